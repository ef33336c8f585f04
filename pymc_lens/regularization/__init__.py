"""Source priors."""

from pymc_lens.regularization.base import Regularization
from pymc_lens.regularization.constant import Constant
from pymc_lens.regularization.dirichlet import Dirichlet
from pymc_lens.regularization.matern_spde import MaternSPDE

__all__ = ["Constant", "Dirichlet", "MaternSPDE", "Regularization"]
