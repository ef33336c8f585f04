"""How the linear system of an inversion is solved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.blas import cholesky_in_place, cholesky_solve_in_place
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.linalg.precision import Precision
from pymc_lens.linalg.truncated_normal import draw_positive
from pymc_lens.workspace import Workspace


class Solver(ABC):
    """Finds the coefficients that the evidence is evaluated at.

    An implementation is immutable and hashable.
    """

    @abstractmethod
    def solve(
        self, matrix: np.ndarray, data_vector: np.ndarray, guess: np.ndarray | None, workspace: Workspace
    ) -> np.ndarray:
        """Factorise F + H in place and return the coefficients (n,).

        Parameters
        ----------
        matrix : (n, n) float64
            Upper triangle of F + H; replaced by its Cholesky factor U, with U'U = F + H.
        data_vector : (n,) float64
        guess : (n,) float64 or None
            Coefficients of an evaluation nearby; they may save time, and do not change the result.
        workspace : Workspace

        Raises
        ------
        InadmissibleError
            If F + H is not positive definite to working precision.
        """

    @abstractmethod
    def draw(
        self,
        factor: np.ndarray,
        data_vector: np.ndarray,
        coefficients: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw coefficients (n,) from their posterior, given what `solve` left and returned."""

    @abstractmethod
    def draw_source(self, precision: Precision, n_source: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a source (n_source,) from its prior."""

    @abstractmethod
    def draw_amplitudes(self, scales: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw light amplitudes (n_light,) from their priors of these standard deviations."""


@dataclass(frozen=True)
class Unconstrained(Solver):
    """The solution of (F + H) s = D, whatever its signs."""

    def solve(
        self, matrix: np.ndarray, data_vector: np.ndarray, guess: np.ndarray | None, workspace: Workspace
    ) -> np.ndarray:
        _factorise(matrix)
        coefficients = data_vector.copy()
        cholesky_solve_in_place(matrix, coefficients)
        return coefficients

    def draw(
        self,
        factor: np.ndarray,
        data_vector: np.ndarray,
        coefficients: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        normal = rng.standard_normal(coefficients.size)
        return coefficients + solve_triangular(factor, normal, check_finite=False)

    def draw_source(self, precision: Precision, n_source: int, rng: np.random.Generator) -> np.ndarray:
        return precision.draw(rng)

    def draw_amplitudes(self, scales: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(scales.size) * scales


@dataclass(frozen=True)
class PositiveMap(Solver):
    """The most probable coefficients without negative ones, in the evidence of the unconstrained Gaussian.

    PyAutoLens's formula: the determinants stay those of all coefficients. At the optimum the derivative in
    the coefficients vanishes or is held at zero, so the gradient keeps its form (the envelope theorem) and
    the evidence is once continuously differentiable.
    """

    def solve(
        self, matrix: np.ndarray, data_vector: np.ndarray, guess: np.ndarray | None, workspace: Workspace
    ) -> np.ndarray:
        system = workspace.array("system", *matrix.shape)
        system[...] = matrix
        _factorise(matrix)
        if guess is None:
            guess = data_vector.copy()
            cholesky_solve_in_place(matrix, guess)
        return solve_positive(system, data_vector, guess > 0.0, workspace).values

    def draw(
        self,
        factor: np.ndarray,
        data_vector: np.ndarray,
        coefficients: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        mean = data_vector.copy()
        cholesky_solve_in_place(factor, mean)
        return draw_positive(mean, factor, coefficients, rng)

    def draw_source(self, precision: Precision, n_source: int, rng: np.random.Generator) -> np.ndarray:
        matrix = np.zeros((n_source, n_source))
        precision.add_to(matrix)
        _factorise(matrix)
        return draw_positive(np.zeros(n_source), matrix, np.zeros(n_source), rng)

    def draw_amplitudes(self, scales: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.abs(rng.standard_normal(scales.size)) * scales


SOLVERS: dict[str | None, Solver] = {None: Unconstrained(), "map": PositiveMap()}


def _factorise(matrix: np.ndarray) -> None:
    if cholesky_in_place(matrix) != 0:
        raise InadmissibleError(
            "singular curvature",
            "The matrix F + H is not positive definite to working precision: the regularization "
            "coefficient is too small for this mesh.",
        )
