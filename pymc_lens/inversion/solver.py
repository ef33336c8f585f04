"""How the linear system of an inversion is solved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, override

import numpy as np
from scipy.linalg import solve_triangular

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.blas import cholesky_in_place, cholesky_solve_in_place
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.linalg.orthant import confine
from pymc_lens.linalg.precision import DensePrecision, Moments, Precision
from pymc_lens.linalg.truncated_normal import draw_positive
from pymc_lens.workspace import Workspace


class Solved(NamedTuple):
    """What a solver found.

    Attributes
    ----------
    coefficients : (n,) float64
        Where the terms of the evidence are taken.
    prior : Moments
        Of the source before the data.
    log_positivity : float
        What the evidence has beyond the Gaussian formula at these coefficients.
    sites : (2, n) float64 or None
        Of expectation propagation.
    """

    coefficients: np.ndarray
    prior: Moments
    log_positivity: float = 0.0
    sites: np.ndarray | None = None


class Solver(ABC):
    """Finds the coefficients that the evidence is evaluated at.

    An implementation is immutable and hashable.
    """

    # Whether it is the amplitude of each light profile that is confined, and no combination of them.
    confines_amplitudes: ClassVar[bool] = False

    @abstractmethod
    def solve(
        self,
        matrix: np.ndarray,
        data_vector: np.ndarray,
        precision: Precision,
        guess: Solved | None,
        workspace: Workspace,
    ) -> Solved:
        """Solve for the coefficients, and factorise the inverse covariance of their posterior in place.

        Parameters
        ----------
        matrix : (n, n) float64
            Upper triangle of F + H; replaced by a Cholesky factor, of F + H itself where nothing confines the
            coefficients but their most probable values.
        data_vector : (n,) float64
        precision : Precision
            H, of the source alone.
        guess : Solved or None
            Of an evaluation nearby; it may save time, and does not change the result.
        workspace : Workspace

        Raises
        ------
        InadmissibleError
            If F + H is not positive definite to working precision.
        """

    @abstractmethod
    def draw(
        self, solved: Solved, factor: np.ndarray, data_vector: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw coefficients (n,) from their posterior, given what `solve` returned and left."""

    @abstractmethod
    def draw_source(self, precision: Precision, rng: np.random.Generator) -> np.ndarray:
        """Draw a source (n_source,) from its prior."""

    @abstractmethod
    def draw_amplitudes(self, scales: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw light amplitudes (n_light,) from their priors of these standard deviations."""


@dataclass(frozen=True)
class Unconstrained(Solver):
    """The solution of (F + H) s = D, whatever its signs."""

    @override
    def solve(
        self,
        matrix: np.ndarray,
        data_vector: np.ndarray,
        precision: Precision,
        guess: Solved | None,
        workspace: Workspace,
    ) -> Solved:
        _factorise(matrix)
        coefficients = data_vector.copy()
        cholesky_solve_in_place(matrix, coefficients)
        return Solved(coefficients, _free_prior(precision))

    @override
    def draw(
        self, solved: Solved, factor: np.ndarray, data_vector: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        normal = rng.standard_normal(data_vector.size)
        return solved.coefficients + solve_triangular(factor, normal, check_finite=False)

    @override
    def draw_source(self, precision: Precision, rng: np.random.Generator) -> np.ndarray:
        return precision.draw(rng)

    @override
    def draw_amplitudes(self, scales: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(scales.size) * scales


class _Positive(Solver):
    """What solvers without negative coefficients have in common: the prior they stand for."""

    confines_amplitudes: ClassVar[bool] = True

    @override
    def draw_source(self, precision: Precision, rng: np.random.Generator) -> np.ndarray:
        matrix, zero = np.zeros((precision.size, precision.size)), np.zeros(precision.size)
        precision.add_to(matrix)
        _factorise(matrix)
        return draw_positive(zero, matrix, zero, rng)

    @override
    def draw_amplitudes(self, scales: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.abs(rng.standard_normal(scales.size)) * scales


@dataclass(frozen=True)
class PositiveMap(_Positive):
    """The most probable coefficients without negative ones, in the evidence of the unconstrained Gaussian.

    PyAutoLens's formula: the determinants stay those of all coefficients. At the optimum the derivative in
    the coefficients vanishes or is held at zero, so the gradient keeps its form (the envelope theorem) and
    the evidence is once continuously differentiable.
    """

    @override
    def solve(
        self,
        matrix: np.ndarray,
        data_vector: np.ndarray,
        precision: Precision,
        guess: Solved | None,
        workspace: Workspace,
    ) -> Solved:
        system = workspace.array("system", *matrix.shape)
        system[...] = matrix
        _factorise(matrix)
        if guess is None:
            start = data_vector.copy()
            cholesky_solve_in_place(matrix, start)
        else:
            start = guess.coefficients
        solution = solve_positive(system, data_vector, start > 0.0, workspace)
        return Solved(solution.values, _free_prior(precision))

    @override
    def draw(
        self, solved: Solved, factor: np.ndarray, data_vector: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        mean = data_vector.copy()
        cholesky_solve_in_place(factor, mean)
        return draw_positive(mean, factor, solved.coefficients, rng)


@dataclass(frozen=True)
class PositiveMarginal(_Positive):
    """All coefficients that are not negative, integrated over: the evidence of a truncated Gaussian prior.

    ``ln E + ln P(s >= 0 | data) - ln P(s >= 0)``, both probabilities by expectation propagation, whose value
    is stationary in its sites: the gradient keeps its form, with the moments of the confined posterior and
    prior. It takes a factorisation and an inverse for each of some ten sweeps, and the prior's probability is
    a nat too low where the source is correlated over its whole extent.
    """

    @override
    def solve(
        self,
        matrix: np.ndarray,
        data_vector: np.ndarray,
        precision: Precision,
        guess: Solved | None,
        workspace: Workspace,
    ) -> Solved:
        free = DensePrecision(np.triu(matrix) + np.triu(matrix, 1).T)
        n, n_source = data_vector.size, precision.size
        sites = None if guess is None else guess.sites
        posterior = confine(free, data_vector, None if sites is None else sites[:, :n])
        prior = confine(precision, np.zeros(n_source), None if sites is None else sites[:, n:])
        coefficients = posterior.moments.mean
        offset = coefficients - free.solve(data_vector)
        diagonal = np.arange(n)
        matrix[diagonal, diagonal] += posterior.sites[0]
        _factorise(matrix)
        # The terms take the determinant from the factor, which holds the sites as well.
        log_det_sites = 2.0 * float(np.log(matrix.diagonal()).sum()) - free.log_determinant
        log_prior = prior.log_probability - (n - n_source) * np.log(2.0)
        return Solved(
            coefficients,
            prior.moments,
            posterior.log_probability - log_prior + 0.5 * (free.quadratic_form(offset) + log_det_sites),
            np.concatenate([posterior.sites, prior.sites], axis=1),
        )

    @override
    def draw(
        self, solved: Solved, factor: np.ndarray, data_vector: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        assert solved.sites is not None
        upper = np.triu(factor)
        matrix = upper.T @ upper
        diagonal = np.arange(data_vector.size)
        matrix[diagonal, diagonal] -= solved.sites[0, : data_vector.size]
        _factorise(matrix)
        mean = data_vector.copy()
        cholesky_solve_in_place(matrix, mean)
        return draw_positive(mean, matrix, solved.coefficients, rng)


SOLVERS: dict[str | None, Solver] = {
    None: Unconstrained(),
    "map": PositiveMap(),
    "marginal": PositiveMarginal(),
}


def _free_prior(precision: Precision) -> Moments:
    return Moments(np.zeros(precision.size), precision)


def _factorise(matrix: np.ndarray) -> None:
    if cholesky_in_place(matrix) != 0:
        raise InadmissibleError(
            "singular curvature",
            "The matrix F + H is not positive definite to working precision: the regularization "
            "coefficient is too small for this mesh.",
        )
