"""Source priors."""

from pymc_lens.regularization.constant import Constant

__all__ = ["Constant"]
