"""The solution whatever its signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.inversion.solvers.base import Solved, Solver, System, factorise
from pymc_lens.linalg.blas import cholesky_solve_in_place
from pymc_lens.workspace import Workspace


@dataclass(frozen=True)
class Unconstrained(Solver):
    """The solution of (F + H) s = D, whatever its signs."""

    @override
    def solve(self, matrix: np.ndarray, system: System, guess: Solved | None, workspace: Workspace) -> Solved:
        factorise(matrix)
        coefficients = system.data_vector.copy()
        cholesky_solve_in_place(matrix, coefficients)
        return Solved(coefficients)
