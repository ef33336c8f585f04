"""Linear light profiles."""

from pymc_lens.light.base import LightProfile
from pymc_lens.light.multi_gaussian import MultiGaussian

__all__ = ["LightProfile", "MultiGaussian"]
