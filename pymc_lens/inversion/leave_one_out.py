"""What is known of each pixel of an image without its own datum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from pymc_lens.errors import InadmissibleError
from pymc_lens.inversion.inversion import Arrays, Inversion, Solution
from pymc_lens.inversion.solvers import PositiveMarginal, Unconstrained
from pymc_lens.orthant.confinement import Confinement
from pymc_lens.orthant.led_by_free import given_the_rest, leading_covariance
from pymc_lens.orthant.partly_confined import PartlyConfined

# Confined coefficients, and those that follow, that are integrated over pixel by pixel; more are drawn.
_FEW = 64
# Variance of a draw's log weight beyond which coefficients are confined anew without the pixel.
_UNEVEN = 0.1


@dataclass(frozen=True, eq=False)
class PixelNormals:
    """A normal distribution of each datum.

    Attributes
    ----------
    data, mean, deviation : (n_data,) float64
    """

    data: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def log_density(self) -> np.ndarray:
        """Log density (n_data,) of each datum."""
        squared = ((self.data - self.mean) / self.deviation) ** 2
        return -0.5 * (squared + np.log(2.0 * np.pi * self.deviation**2))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw data (n_data,)."""
        return self.mean + self.deviation * rng.standard_normal(self.mean.size)


@dataclass(frozen=True, eq=False)
class PixelMixtures:
    """A mixture of normal distributions of each datum, which have one deviation.

    Attributes
    ----------
    log_density : (n_data,) float64
        Of each datum.
    means, weights : (n_data, n_components) float64
    spread : (n_data,) float64
        Deviation of a component.
    """

    log_density: np.ndarray
    means: np.ndarray
    weights: np.ndarray
    spread: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(n_data,)."""
        return np.asarray(np.einsum("ik,ik->i", self.weights, self.means))

    @property
    def deviation(self) -> np.ndarray:
        """(n_data,)."""
        off = self.means - self.mean[:, None]
        return np.sqrt(self.spread**2 + np.einsum("ik,ik,ik->i", self.weights, off, off))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw data (n_data,)."""
        below = np.cumsum(self.weights, axis=1)
        chosen = (below < rng.random((len(below), 1)) * below[:, -1:]).sum(axis=1, keepdims=True)
        means = np.take_along_axis(self.means, chosen, axis=1)[:, 0]
        return means + self.spread * rng.standard_normal(means.size)


def require_predictive(inversion: Inversion) -> None:
    """Raise ValueError where an inversion's pixels have no predictive densities."""
    if not isinstance(inversion.solver, (Unconstrained, PositiveMarginal)):
        raise ValueError(
            f"positivity: {type(inversion.solver).__name__} takes the likelihood at one solution, which is "
            "no probability of the data, so that no pixel can be left out of it. Take None or 'marginal'."
        )


def leave_out(inversion: Inversion, arrays: Arrays, rng: np.random.Generator) -> PixelNormals | PixelMixtures:
    """Distribution of each datum given all others, with the coefficients integrated over.

    Nothing confined, they are normal. Confined amplitudes of light are integrated over by the draws that the
    evidence is estimated with: a datum's inverse density is their mean of its inverse density given the
    amplitudes. Where it tells so much of these that weights are uneven, they are confined anew without it.
    A confined source has too many for that: it is drawn from its posterior, with all that follows, and only
    what goes before is integrated over. The inverse density of a datum then is the weight of that joint draw.

    Parameters
    ----------
    inversion : Inversion
        As by `require_predictive`.
    arrays : Arrays
    rng : Generator
        For coefficients that are drawn.

    Raises
    ------
    InadmissibleError
        As `Inversion.invert`; or if some datum alone decides what is predicted there, to working precision.
    """
    solution, data = inversion.invert(arrays), arrays[0]
    told = np.empty(0)
    if inversion.confined.any():
        first = int(np.argmax(inversion.confined))
        if inversion.confined.size - first <= _FEW:
            return _mixtures(inversion, data, solution)
        told = solution.in_basis(inversion.draw_coefficients(solution, rng))[first:]
    others = _Others(inversion, solution, told.size)
    residual, unexplained = others.residual(told), others.unexplained()
    _require_unexplained(unexplained)
    deviation = inversion.response.noise / np.sqrt(unexplained)
    return PixelNormals(data, data - residual / unexplained, deviation)


class _Others:
    """A linear model whose last coefficients are told, and whose others are integrated over.

    No system is solved again to leave a datum out. With residuals r = d - L s and leverages
    ``h = diag(L (F + H)^-1 L') / sigma^2``, the datum d_i given all others is normal, of mean
    ``d_i - r_i / (1 - h_i)`` and variance ``sigma_i^2 / (1 - h_i)``. With the covariance of the data,
    ``S = sigma^2 + L H^-1 L'``, these are ``d_i - (S^-1 d)_i / (S^-1)_ii`` and ``1 / (S^-1)_ii`` of
    Sundararajan & Keerthi (2001, Neural Comput. 13, 1103).
    """

    def __init__(self, inversion: Inversion, solution: Solution, n_told: int) -> None:
        self.response, self.image, self.factor = inversion.response, solution.image, solution.factor
        self.n_leading = len(self.factor) - n_told
        whitened = solve_triangular(self.factor, self.image.data_vector, trans=1, check_finite=False)
        self.whitened = whitened[: self.n_leading]

    def residual(self, told: np.ndarray) -> np.ndarray:
        """(n_data,) with the mean of the other coefficients."""
        predicted = self.image.observed.predict(given_the_rest(self.factor, self.whitened, told))
        return self.response.unwhiten(self.image.whitened - predicted)

    def unexplained(self) -> np.ndarray:
        """``1 - h`` (n_data,); consumes the factor."""
        leading_covariance(self.factor, self.n_leading)
        variances = self.image.observed.variances(self.factor)
        return 1.0 - self.response.unwhiten(variances) / self.response.noise


def _mixtures(inversion: Inversion, data: np.ndarray, solution: Solution) -> PixelMixtures:
    rest: PartlyConfined = solution.solved.confinements[0].rest
    n_rest, noise = rest.confined.size, inversion.response.noise
    others = _Others(inversion, solution, n_rest)
    at_zero = others.residual(np.zeros(n_rest))
    slopes = np.stack([at_zero - others.residual(unit) for unit in np.eye(n_rest)], axis=1)
    # What is not confined among the rest is integrated over too.
    of_free = slopes[:, ~rest.confined]
    residual = at_zero - of_free @ rest.offset
    slopes = slopes[:, rest.confined] + of_free @ rest.slope
    unexplained = others.unexplained() - ((of_free @ rest.covariance) * of_free).sum(axis=1) / noise**2
    _require_unexplained(unexplained)
    spread = noise / np.sqrt(unexplained)
    # Off the prediction from the others, in units of its deviation: at zero, and how that changes.
    left, slopes = residual / (unexplained * spread), slopes / (unexplained * spread)[:, None]
    confinement = rest.confinement
    off = left[:, None] - slopes @ confinement.draws.values
    log_total, _ = _normalised(confinement.draws.log_weights)
    log_inverse, weights = _normalised(confinement.draws.log_weights - log_total + 0.5 * off**2)
    log_density = -log_inverse
    for i in np.flatnonzero(_unevenness(confinement, left, slopes) > _UNEVEN):
        without = confinement.without(slopes[i], left[i])
        log_density[i] = confinement.log_mass - without.log_mass - 0.5 * left[i] ** 2
        off[i] = left[i] - slopes[i] @ without.draws.values
        weights[i] = _normalised(without.draws.log_weights)[1]
    log_density -= np.log(np.sqrt(2.0 * np.pi) * spread)
    return PixelMixtures(log_density, data[:, None] - spread[:, None] * off, weights, spread)


def _normalised(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms (...) of the sums of weights (..., n), and these over their sums."""
    highest = log_weights.max(axis=-1)
    weights = np.exp(log_weights - highest[..., None])
    totals = weights.sum(axis=-1)
    weights /= totals[..., None]
    return highest + np.log(totals), weights


def _unevenness(confinement: Confinement, left: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Variances (n_data,) of half the squares of ``left - slopes x``, of x as if it were normal."""
    whitened = solve_triangular(confinement.factor, slopes.T, trans=1, check_finite=False)
    told = (whitened**2).sum(axis=0)
    return told * ((left - slopes @ confinement.propagated.mean) ** 2 + 0.5 * told)


def _require_unexplained(unexplained: np.ndarray) -> None:
    if not (unexplained > 0.0).all():
        raise InadmissibleError(
            "data that decide alone",
            f"data: {int((unexplained <= 0.0).sum())} pixels are predicted by themselves alone, to working "
            "precision, and cannot be left out. Give light a narrower prior, or the source a smoother one.",
        )
