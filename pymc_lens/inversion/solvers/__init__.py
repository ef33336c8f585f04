"""How the linear system of an inversion is solved; a new way is a new file."""

from pymc_lens.inversion.solvers.base import Solver
from pymc_lens.inversion.solvers.nnls import NonNegativeLeastSquares
from pymc_lens.inversion.solvers.positive_map import PositiveMap
from pymc_lens.inversion.solvers.positive_marginal import PositiveMarginal
from pymc_lens.inversion.solvers.unconstrained import Unconstrained

SOLVERS: dict[str | None, Solver] = {
    None: Unconstrained(),
    "map": PositiveMap(),
    "marginal": PositiveMarginal(),
    "nnls": NonNegativeLeastSquares(),
}

__all__ = [
    "SOLVERS",
    "NonNegativeLeastSquares",
    "PositiveMap",
    "PositiveMarginal",
    "Solver",
    "Unconstrained",
]
