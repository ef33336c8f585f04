"""Mass profiles."""

from pymc_lens.mass.base import FromDeflections, FromPotential, Hessian, MassProfile, MassSum
from pymc_lens.mass.dpie import dPIEMass
from pymc_lens.mass.external_potential import ExternalPotential
from pymc_lens.mass.external_shear import ExternalShear
from pymc_lens.mass.isothermal import Isothermal
from pymc_lens.mass.isothermal_core import IsothermalCore
from pymc_lens.mass.mass_sheet import MassSheet
from pymc_lens.mass.multi_gaussian import MultiGaussian
from pymc_lens.mass.multipole import PowerLawMultipole
from pymc_lens.mass.nfw import NFW, NFWSph
from pymc_lens.mass.nfw_generalised import cNFW, gNFW
from pymc_lens.mass.nfw_truncated import NFWTruncatedSph
from pymc_lens.mass.point_mass import PointMass
from pymc_lens.mass.power_law import PowerLaw
from pymc_lens.mass.power_law_core import PowerLawCore
from pymc_lens.mass.sersic import Sersic

__all__ = [
    "NFW",
    "ExternalPotential",
    "ExternalShear",
    "FromDeflections",
    "FromPotential",
    "Hessian",
    "Isothermal",
    "IsothermalCore",
    "MassProfile",
    "MassSheet",
    "MassSum",
    "MultiGaussian",
    "NFWSph",
    "NFWTruncatedSph",
    "PointMass",
    "PowerLaw",
    "PowerLawCore",
    "PowerLawMultipole",
    "Sersic",
    "cNFW",
    "dPIEMass",
    "gNFW",
]
