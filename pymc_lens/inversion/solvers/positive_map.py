"""The most probable solution without negative coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.inversion.solvers.base import Solved, Solver, System, factorise
from pymc_lens.linalg.blas import cholesky_solve_in_place
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.workspace import Workspace


@dataclass(frozen=True)
class PositiveMap(Solver):
    """The most probable coefficients without negative ones, in the evidence of the unconstrained Gaussian.

    PyAutoLens's formula: the determinants stay those of all coefficients. At the optimum the derivative in
    the coefficients vanishes or is held at zero, so the gradient keeps its form (the envelope theorem) and
    the evidence is once continuously differentiable.
    """

    @override
    def solve(self, matrix: np.ndarray, system: System, guess: Solved | None, workspace: Workspace) -> Solved:
        whole = workspace.array("system", *matrix.shape)
        whole[...] = matrix
        factorise(matrix)
        if guess is None:
            start = system.data_vector.copy()
            cholesky_solve_in_place(matrix, start)
        else:
            start = guess.coefficients
        solution = solve_positive(whole, system.data_vector, start > 0.0, workspace, ~system.confined)
        return Solved(solution.values)
