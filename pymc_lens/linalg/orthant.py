"""Probability and moments of a normal distribution confined to vectors without negative elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.precision import Moments, Precision

# Of the elements' means, in units of their standard deviations. The probability is stationary in the sites:
# its error is the square of this.
_TOLERANCE = 1e-6
_MAX_SWEEPS = 500
# Standard deviations below zero from which differences of nearly equal numbers need their series.
_FAR = -1e3
_LOG_ROOT_2PI = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True, eq=False)
class Confinement:
    """The normal distribution closest to a confined one, by expectation propagation.

    Attributes
    ----------
    log_probability : float
        Of the orthant, under the distribution without the confinement.
    moments : Moments
        Its precision is that of the distribution without the confinement, with the sites on its diagonal.
    sites : (2, n) float64
        Precision and shift that stand for each element's confinement.
    sweeps : int
    """

    log_probability: float
    moments: Moments
    sites: np.ndarray
    sweeps: int


def confine(precision: Precision, shift: np.ndarray, sites: np.ndarray | None = None) -> Confinement:
    """Confine N(P^-1 shift, P^-1) to ``x >= 0``.

    Expectation propagation, which is accurate for orthants (Cunningham, Hennig & Lacoste-Julien 2011,
    arXiv:1111.6832): each element's step function is replaced by a Gaussian site, such that the element's
    mean and variance are right given all other sites. All sites move at once.

    Parameters
    ----------
    precision : Precision
        P, (n, n).
    shift : (n,) float64
    sites : (2, n) float64, optional
        Where to start; the result does not depend on it.

    Raises
    ------
    InadmissibleError
        If P is not positive definite, or the sites do not settle.
    """
    sites = np.zeros((2, shift.size)) if sites is None else sites
    damping, last_change = 1.0, np.inf
    for sweep in range(1, _MAX_SWEEPS + 1):
        tilted = precision.shifted(sites[0])
        mean, variance = tilted.solve(shift + sites[1]), tilted.inverse_diagonal()
        cavity = _Cavity.of(mean, variance, sites)
        target = cavity.sites()
        # What a full step would move the elements by, each on its own.
        moved = (target[1] - sites[1]) - (target[0] - sites[0]) * mean
        change = float(np.abs(moved * np.sqrt(variance)).max(initial=0.0))
        if change < _TOLERANCE:
            return Confinement(
                _log_probability(precision, tilted, shift, mean, variance, cavity, sites),
                Moments(mean, tilted),
                sites,
                sweep,
            )
        if change > last_change:
            damping = max(0.5 * damping, 0.1)
        last_change = change
        sites = sites + damping * (target - sites)
    raise InadmissibleError(
        "positive evidence", f"Expectation propagation did not settle in {_MAX_SWEEPS} sweeps."
    )


@dataclass(frozen=True, eq=False)
class _Cavity:
    """Each element's distribution without its own site."""

    precision: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, variance: np.ndarray, sites: np.ndarray) -> _Cavity:
        return cls(1.0 / variance - sites[0], mean / variance - sites[1])

    @property
    def _ratio(self) -> np.ndarray:
        return self.shift / np.sqrt(self.precision)

    @property
    def log_mass(self) -> np.ndarray:
        """Logarithm of the probability of each element to be positive."""
        return np.asarray(log_ndtr(self._ratio))

    def sites(self) -> np.ndarray:
        """Sites (2, n) that give each element the mean and variance of its confined distribution."""
        z = self._ratio
        far = z < _FAR
        near = np.where(far, 0.0, z)
        hazard = np.exp(-0.5 * near**2 - _LOG_ROOT_2PI - log_ndtr(near))
        inverse_square = np.where(far, z, 1.0) ** -2.0
        # Mean and variance of the confined element in units of the cavity's; far out by their series.
        mean = np.where(far, np.sqrt(inverse_square) * (1.0 - 2.0 * inverse_square), near + hazard)
        variance = np.where(
            far, inverse_square * (1.0 - 6.0 * inverse_square), 1.0 - hazard * (near + hazard)
        )
        precision = self.precision * (1.0 / variance - 1.0)
        shift = self.precision * mean / (variance * np.sqrt(self.precision)) - self.shift
        return np.stack([precision, shift])


def _log_probability(
    precision: Precision,
    tilted: Precision,
    shift: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    cavity: _Cavity,
    sites: np.ndarray,
) -> float:
    """Mass of the approximation: its log partition function over that of the free distribution.

    The factor of each site is such that the mass of each element's confined distribution is right.
    """
    of_tilted = 0.5 * (shift + sites[1]) @ mean - 0.5 * tilted.log_determinant
    of_free = 0.5 * shift @ precision.solve(shift) - 0.5 * precision.log_determinant
    of_elements = 0.5 * mean**2 / variance + 0.5 * np.log(variance)
    of_cavities = 0.5 * cavity.shift**2 / cavity.precision - 0.5 * np.log(cavity.precision)
    return float(of_tilted - of_free + (cavity.log_mass + of_cavities - of_elements).sum())
