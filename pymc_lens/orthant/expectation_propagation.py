"""The normal distribution nearest to one that is confined to vectors without negative elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.precision import Precision
from pymc_lens.orthant.half_normal import hazard

# Of the elements' means, in units of their standard deviations. What is computed from the sites inherits it.
_TOLERANCE = 1e-9
_MAX_SWEEPS = 500
# Acceleration extrapolates a linear map: it misleads before the elements move by less than this.
_LINEAR = 0.1
_MEMORY = 5
# Relative, of the adjoint of the fixed point; the gradient of what is computed from the sites is this exact.
_ADJOINT_TOLERANCE = 1e-9
_ADJOINT_MEMORY, _ADJOINT_RESTARTS = 100, 20
# Standard deviations below zero from which differences of nearly equal numbers need their series.
_FAR = -1e2


@dataclass(frozen=True, eq=False)
class Propagated:
    """Where expectation propagation settled.

    Attributes
    ----------
    sites : (2, n) float64
        Precision and shift that stand for each element's confinement.
    mean : (n,) float64
    tilted : Precision
        That of the distribution without the confinement, with the sites on its diagonal.
    variance : (n,) float64
        Diagonal of its inverse.
    """

    sites: np.ndarray
    mean: np.ndarray
    tilted: Precision
    variance: np.ndarray

    def pullback(self, sites_bar: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of the sites in the mean and the variance of the elements, all else held.

        The sites solve ``sites = target(mean, variance, sites)`` with mean and variance that depend on the
        sites themselves: one linear system with the transposed Jacobian of that equation.

        Parameters
        ----------
        sites_bar : (2, n) float64
        covariance : (n, n) float64
            Inverse of ``tilted``.

        Returns
        -------
        mean_bar, variance_bar : (n,) float64
        """
        cavity = _Cavity.of(self.mean, self.variance, self.sites)
        squares = covariance**2
        # Site precisions and shifts in units of the elements' own.
        units = np.stack([1.0 / self.variance, 1.0 / np.sqrt(self.variance)])

        def residual(scaled: np.ndarray) -> np.ndarray:
            multipliers = scaled.reshape(2, -1) / units
            mean_bar, variance_bar, direct = cavity.pullback(multipliers, self.mean, self.variance)
            shift_bar = covariance @ mean_bar
            back = np.stack([-shift_bar * self.mean - squares @ variance_bar, shift_bar]) + direct
            return ((multipliers - back) * units).ravel()

        size = sites_bar.size
        scaled, failed = gmres(
            LinearOperator((size, size), matvec=residual, dtype=np.float64),
            (sites_bar * units).ravel(),
            rtol=_ADJOINT_TOLERANCE,
            restart=min(size, _ADJOINT_MEMORY),
            maxiter=_ADJOINT_RESTARTS,
        )
        if failed:
            raise InadmissibleError(
                "positive evidence", "The adjoint of expectation propagation did not settle."
            )
        multipliers = scaled.reshape(2, -1) / units
        mean_bar, variance_bar, _ = cavity.pullback(multipliers, self.mean, self.variance)
        return mean_bar, variance_bar


def propagate(precision: Precision, shift: np.ndarray, sites: np.ndarray | None = None) -> Propagated:
    """Approximate N(P^-1 shift, P^-1) confined to ``x >= 0`` by expectation propagation.

    It is accurate for orthants (Cunningham, Hennig & Lacoste-Julien 2011, arXiv:1111.6832): each element's
    step function is replaced by a Gaussian site, such that the element's mean and variance are right given
    all other sites. All sites move at once; close to where they settle, Anderson's acceleration spares most
    of the sweeps where elements are strongly correlated.

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
    damping, last_change, history = 1.0, np.inf, _History()
    for _ in range(_MAX_SWEEPS):
        tilted = precision.shifted(sites[0])
        mean, variance = tilted.solve(shift + sites[1]), tilted.inverse_diagonal()
        target = _Cavity.of(mean, variance, sites).sites()
        # What a full step would move the elements by, each on its own.
        moved = (target[1] - sites[1]) - (target[0] - sites[0]) * mean
        change = float(np.abs(moved * np.sqrt(variance)).max(initial=0.0))
        if change < _TOLERANCE:
            return Propagated(sites, mean, tilted, variance)
        if change < _LINEAR:
            sites = history.extrapolate(sites, target - sites, np.stack([variance, np.sqrt(variance)]))
            continue
        history = _History()
        if change > last_change:
            damping = max(0.5 * damping, 0.1)
        last_change = change
        sites = sites + damping * (target - sites)
    raise InadmissibleError(
        "positive evidence", f"Expectation propagation did not settle in {_MAX_SWEEPS} sweeps."
    )


class _History:
    """The last sites and their steps.

    Anderson's acceleration (Walker & Ni 2011, SIAM J. Numer. Anal. 49, 1715).
    """

    def __init__(self) -> None:
        self._sites: list[np.ndarray] = []
        self._steps: list[np.ndarray] = []

    def extrapolate(self, sites: np.ndarray, step: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Sites (2, n) whose step would be the shortest in these units, if it were linear in the sites."""
        past_sites = np.array([(sites - past).ravel() for past in self._sites])
        past_steps = np.array([(step - past).ravel() for past in self._steps])
        self._sites = [*self._sites, sites][-_MEMORY:]
        self._steps = [*self._steps, step][-_MEMORY:]
        moved = (sites + step).ravel()
        if past_steps.size:
            shares = np.linalg.lstsq((past_steps * units.ravel()).T, (step * units).ravel(), rcond=1e-10)[0]
            moved -= shares @ (past_sites + past_steps)
        moved = moved.reshape(sites.shape)
        # A site of negative precision could leave the distribution without a norm.
        return np.stack([np.maximum(moved[0], 0.0), moved[1]])


@dataclass(frozen=True, eq=False)
class _Cavity:
    """Each element's distribution without its own site."""

    precision: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, variance: np.ndarray, sites: np.ndarray) -> _Cavity:
        return cls(1.0 / variance - sites[0], mean / variance - sites[1])

    @cached_property
    def _ratio(self) -> np.ndarray:
        return self.shift / np.sqrt(self.precision)

    @cached_property
    def _confined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First three cumulants of the confined element in units of the cavity's; far out by their series."""
        far = self._ratio < _FAR
        near = np.where(far, 0.0, self._ratio)
        rate = hazard(near)
        mean = near + rate
        variance = 1.0 - rate * mean
        third = (1.0 - variance) * mean - rate * variance
        depth = -np.where(far, self._ratio, _FAR)
        inverse_square = depth**-2.0
        return (
            np.where(far, (1.0 - inverse_square * (2.0 - 10.0 * inverse_square)) / depth, mean),
            np.where(far, inverse_square * (1.0 - inverse_square * (6.0 - 50.0 * inverse_square)), variance),
            np.where(
                far, inverse_square * (2.0 - inverse_square * (24.0 - 300.0 * inverse_square)) / depth, third
            ),
        )

    def sites(self) -> np.ndarray:
        """Sites (2, n) that give each element the mean and variance of its confined distribution."""
        mean, variance, _ = self._confined
        precision = self.precision * (1.0 / variance - 1.0)
        shift = np.sqrt(self.precision) * mean / variance - self.shift
        return np.stack([precision, shift])

    def pullback(
        self, sites_bar: np.ndarray, mean: np.ndarray, variance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Adjoint of `sites` after `of`: cotangents of mean (n,), variance (n,) and the old sites (2, n)."""
        confined_mean, confined_variance, third = self._confined
        precision_bar, shift_bar = sites_bar
        root = np.sqrt(self.precision)
        # The mean's derivative in the ratio is the variance, the variance's the third cumulant.
        slope = third / confined_variance**2
        ratio_bar = shift_bar * root * (1.0 - confined_mean * slope) - precision_bar * self.precision * slope
        of_shift = ratio_bar / root - shift_bar
        of_precision = (
            precision_bar * (1.0 / confined_variance - 1.0)
            + 0.5 * shift_bar * confined_mean / (root * confined_variance)
            - 0.5 * ratio_bar * self._ratio / self.precision
        )
        return (
            of_shift / variance,
            -(of_precision + of_shift * mean) / variance**2,
            np.stack([-of_precision, -of_shift]),
        )
