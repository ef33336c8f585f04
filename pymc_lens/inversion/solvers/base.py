"""The contract of a solver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.blas import (
    cholesky_in_place,
    cholesky_inverse_in_place,
    cholesky_solve_in_place,
)
from pymc_lens.linalg.precision import Precision
from pymc_lens.orthant.truncated_normal import draw_positive
from pymc_lens.workspace import Workspace


@dataclass(frozen=True, eq=False)
class System:
    """What a solver is told of the coefficients, besides F + H.

    Attributes
    ----------
    data_vector : (n,) float64
        D.
    confined : (n,) bool
        Those that are not negative.
    priors : tuple of (slice, Precision)
        Places and H of the pixelized sources.
    """

    data_vector: np.ndarray
    confined: np.ndarray
    priors: tuple[tuple[slice, Precision], ...]

    @property
    def n_dense_confined(self) -> int:
        """Confined coefficients that are of no pixelized source."""
        first_dense = max((place.stop for place, _ in self.priors), default=0)
        return int(self.confined[first_dense:].sum())


class Solved(NamedTuple):
    """What a solver found.

    Attributes
    ----------
    coefficients : (n,) float64
        Where the terms of the evidence are taken.
    log_positivity : float
        What the evidence has beyond the Gaussian formula at these coefficients.
    confinements : tuple
        What the solver's moments, and its next solution, are made of.
    """

    coefficients: np.ndarray
    log_positivity: float = 0.0
    confinements: tuple[Any, ...] = ()


class EvidenceMoments(NamedTuple):
    """Moments of posterior and prior, as the derivatives of the evidence.

    ``dlnE/dD = mean``, ``dlnE/dF = -(covariance + mean mean') / 2``, and ``dlnE/dH = dlnE/dF + prior / 2``.

    Attributes
    ----------
    mean : (n,) float64
    covariance : (n, n) float64
        In the upper triangle.
    priors : list of SparseMoments or ndarray
        Second moments of each pixelized source before the data, where H has elements.
    """

    mean: np.ndarray
    covariance: np.ndarray
    priors: list[Any]


class Solver(ABC):
    """Finds the coefficients that the evidence is evaluated at.

    An implementation is immutable and hashable.
    """

    # Whether amplitudes are integrated over. If not, the terms of determinants are left out, and the gradient
    # is that at fixed amplitudes.
    marginalises: ClassVar[bool] = True

    @abstractmethod
    def solve(self, matrix: np.ndarray, system: System, guess: Solved | None, workspace: Workspace) -> Solved:
        """Solve for the coefficients; where it `marginalises`, factorise F + H in place.

        Parameters
        ----------
        matrix : (n, n) float64
            Upper triangle of F + H; replaced by its Cholesky factor.
        system : System
        guess : Solved or None
            Of an evaluation nearby; it may save time, and does not change the result.
        workspace : Workspace

        Raises
        ------
        InadmissibleError
            If F + H is not positive definite to working precision.
        """

    def moments(self, solved: Solved, factor: np.ndarray, system: System) -> EvidenceMoments:
        """Return what the gradient of the evidence reads; consumes the factor that `solve` left."""
        cholesky_inverse_in_place(factor)
        priors = [precision.free_moments() for _, precision in system.priors]
        return EvidenceMoments(solved.coefficients, factor, priors)

    def draw(
        self, solved: Solved, factor: np.ndarray, system: System, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw coefficients (n,) from their posterior, given the factor that `solve` left."""
        if not system.confined.any():
            normal = rng.standard_normal(system.confined.size)
            return solved.coefficients + solve_triangular(factor, normal, check_finite=False)
        mean = system.data_vector.copy()
        cholesky_solve_in_place(factor, mean)
        return draw_positive(mean, factor, solved.coefficients, system.confined, rng)


def factorise(matrix: np.ndarray) -> None:
    """Replace the upper triangle of F + H by its Cholesky factor.

    Raises
    ------
    InadmissibleError
        If it is not positive definite to working precision.
    """
    if cholesky_in_place(matrix) != 0:
        raise InadmissibleError(
            "singular curvature",
            "The matrix F + H is not positive definite to working precision: the regularization "
            "coefficient is too small for this mesh.",
        )
