"""Conversions between this package's conventions and those of others.

Those of single parameters take numbers, NumPy arrays, xarray's DataArrays (such as
``idata.posterior["ell_comps"]``) and PyTensor variables (such as random variables of a model), and return
what they were given. Two components, as of ``ell_comps`` and ``centre``, are a pair of numbers, the *last*
axis of an array or variable, or the dimension of a DataArray whose coordinate names them (else its only one
of length two besides chain, draw and sample). Others take whole masses, light and models.
"""

from pymc_lens.convert.coolest import light_from_coolest, light_to_coolest, mass_from_coolest, mass_to_coolest
from pymc_lens.convert.coolest_files import CoolestModel, PixelImage, read_coolest, write_coolest
from pymc_lens.convert.lenstronomy import (
    LightAndAmplitudes,
    light_from_lenstronomy,
    light_to_lenstronomy,
    mass_from_lenstronomy,
    mass_to_lenstronomy,
)
from pymc_lens.convert.parameters import (
    axis_ratio_and_angle_from_ell_comps,
    effective_einstein_radius,
    ell_comps_from,
    isothermal_core_from_lenstronomy,
    isothermal_core_to_lenstronomy,
    isothermal_from_coolest,
    isothermal_from_lenstronomy,
    isothermal_to_coolest,
    isothermal_to_lenstronomy,
    nfw_from_lenstronomy,
    nfw_to_lenstronomy,
    power_law_from_lenstronomy,
    power_law_to_lenstronomy,
    sersic_from_lenstronomy,
    sersic_to_lenstronomy,
)

__all__ = [
    "CoolestModel",
    "LightAndAmplitudes",
    "PixelImage",
    "axis_ratio_and_angle_from_ell_comps",
    "effective_einstein_radius",
    "ell_comps_from",
    "isothermal_core_from_lenstronomy",
    "isothermal_core_to_lenstronomy",
    "isothermal_from_coolest",
    "isothermal_from_lenstronomy",
    "isothermal_to_coolest",
    "isothermal_to_lenstronomy",
    "light_from_coolest",
    "light_from_lenstronomy",
    "light_to_coolest",
    "light_to_lenstronomy",
    "mass_from_coolest",
    "mass_from_lenstronomy",
    "mass_to_coolest",
    "mass_to_lenstronomy",
    "nfw_from_lenstronomy",
    "nfw_to_lenstronomy",
    "power_law_from_lenstronomy",
    "power_law_to_lenstronomy",
    "read_coolest",
    "sersic_from_lenstronomy",
    "sersic_to_lenstronomy",
    "write_coolest",
]
