"""Source priors."""

from pymc_lens.regularization.adapt import Adapt, AdaptPower, BrightnessZeroth
from pymc_lens.regularization.adapt_amplitude import AdaptAmplitude
from pymc_lens.regularization.adaptive_kernel import MaternAdaptPowerKernel
from pymc_lens.regularization.base import Regularization
from pymc_lens.regularization.constant import Constant
from pymc_lens.regularization.dirichlet import Dirichlet
from pymc_lens.regularization.kernels import ExponentialKernel, GaussianKernel, MaternKernel
from pymc_lens.regularization.matern_spde import MaternSPDE
from pymc_lens.regularization.ridge import PYAUTOLENS_RIDGE, Ridge
from pymc_lens.regularization.split import AdaptSplit, AdaptSplitPower, ConstantSplit
from pymc_lens.regularization.zeroth import ConstantZeroth, Zeroth

__all__ = [
    "PYAUTOLENS_RIDGE",
    "Adapt",
    "AdaptAmplitude",
    "AdaptPower",
    "AdaptSplit",
    "AdaptSplitPower",
    "BrightnessZeroth",
    "Constant",
    "ConstantSplit",
    "ConstantZeroth",
    "Dirichlet",
    "ExponentialKernel",
    "GaussianKernel",
    "MaternAdaptPowerKernel",
    "MaternKernel",
    "MaternSPDE",
    "Regularization",
    "Ridge",
    "Zeroth",
]
