"""A normal distribution of which some elements are confined to be not negative."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pymc_lens.linalg.precision import DensePrecision
from pymc_lens.orthant.confinement import Confinement, confine


@dataclass(frozen=True, eq=False)
class PartlyConfined:
    """A normal distribution ``exp(-x'Px / 2 + shift'x)`` on ``x_c >= 0``.

    The others are integrated over analytically: ``x_u = offset + slope x_c``, with a covariance of their own.

    Attributes
    ----------
    log_mass : float
        Logarithm of its integral over ``(2 pi)^(n / 2)``.
    confinement : Confinement
        Of the confined elements' marginal distribution.
    confined : (n,) bool
    offset : (n_u,) float64
    slope : (n_u, n_c) float64
    covariance : (n_u, n_u) float64
        Of the others, given the confined ones.
    """

    log_mass: float
    confinement: Confinement
    confined: np.ndarray
    offset: np.ndarray
    slope: np.ndarray
    covariance: np.ndarray

    @property
    def sites(self) -> np.ndarray:
        """(2, n_c) sites of expectation propagation, to start the next from."""
        return self.confinement.sites

    @property
    def mean(self) -> np.ndarray:
        """(n,) mean of the nearest normal distribution."""
        return self._joined(self.confinement.propagated.mean)

    def draw(self, rng: np.random.Generator) -> np.ndarray | None:
        """Draw (n,) from the distribution; None where `Confinement.draw` does not."""
        drawn = self.confinement.draw(rng)
        if drawn is None:
            return None
        drawn = self._joined(drawn)
        normal = rng.standard_normal(self.offset.size)
        drawn[~self.confined] += np.linalg.cholesky(self.covariance) @ normal
        return drawn

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and second moments (n, n), as the derivatives of `log_mass` as computed."""
        mean, second = self.confinement.moments()
        moments = np.empty((self.confined.size,) * 2)
        c, u = np.flatnonzero(self.confined), np.flatnonzero(~self.confined)
        cross = np.outer(self.offset, mean) + self.slope @ second
        of_others = np.outer(self.offset + self.slope @ mean, self.offset) + cross @ self.slope.T
        moments[np.ix_(c, c)], moments[np.ix_(u, u)] = second, self.covariance + of_others
        moments[np.ix_(u, c)], moments[np.ix_(c, u)] = cross, cross.T
        return self._joined(mean), moments

    def _joined(self, of_confined: np.ndarray) -> np.ndarray:
        joined = np.empty(self.confined.size)
        joined[self.confined] = of_confined
        joined[~self.confined] = self.offset + self.slope @ of_confined
        return joined


def confine_some(
    matrix: np.ndarray, shift: np.ndarray, confined: np.ndarray, sites: np.ndarray | None = None
) -> PartlyConfined:
    """Confine some elements of N(P^-1 shift, P^-1) to be not negative.

    Parameters
    ----------
    matrix : (n, n) float64
        P, symmetric, positive definite.
    shift : (n,) float64
    confined : (n,) bool
    sites : (2, n_c) float64, optional
        See `confine`.

    Raises
    ------
    InadmissibleError
        As `confine`.
    """
    c, u = np.flatnonzero(confined), np.flatnonzero(~confined)
    factor = cho_factor(matrix[np.ix_(u, u)])
    crossing = matrix[np.ix_(u, c)]
    offset, slope = cho_solve(factor, shift[u]), -cho_solve(factor, crossing)
    marginal = matrix[np.ix_(c, c)] + crossing.T @ slope
    confinement = confine(
        DensePrecision(0.5 * (marginal + marginal.T)), shift[c] - crossing.T @ offset, sites
    )
    log_mass = (
        confinement.log_mass + 0.5 * float(shift[u] @ offset) - float(np.log(factor[0].diagonal()).sum())
    )
    return PartlyConfined(log_mass, confinement, confined, offset, slope, cho_solve(factor, np.eye(u.size)))
