"""Linear light profiles."""

from pymc_lens.light.base import LightProfile
from pymc_lens.light.mixture import Mixture
from pymc_lens.light.multi_gaussian import MultiGaussian
from pymc_lens.light.point_source import PointSource
from pymc_lens.light.sersic import DevVaucouleurs, Exponential, Sersic, SersicCore
from pymc_lens.light.simple import Gaussian, Moffat

__all__ = [
    "DevVaucouleurs",
    "Exponential",
    "Gaussian",
    "LightProfile",
    "Mixture",
    "Moffat",
    "MultiGaussian",
    "PointSource",
    "Sersic",
    "SersicCore",
]
