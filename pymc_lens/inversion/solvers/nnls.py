"""Amplitudes by non-negative least squares, and the likelihood at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, override

import numpy as np

from pymc_lens.inversion.solvers.base import Solved, Solver, System
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.workspace import Workspace


@dataclass(frozen=True)
class NonNegativeLeastSquares(Solver):
    """The most probable coefficients without negative ones, and their probability: nothing is integrated.

    What lens codes take for the likelihood of linear light. At the optimum the gradient is that at fixed
    amplitudes (the envelope theorem): the blur of one image, however many columns there are.
    """

    marginalises: ClassVar[bool] = False

    @override
    def solve(self, matrix: np.ndarray, system: System, guess: Solved | None, workspace: Workspace) -> Solved:
        start = system.data_vector if guess is None else guess.coefficients
        solution = solve_positive(matrix, system.data_vector, start > 0.0, workspace, ~system.confined)
        return Solved(solution.values)
