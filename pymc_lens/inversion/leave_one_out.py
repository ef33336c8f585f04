"""What is known of each pixel of an image without its own datum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from pymc_lens.errors import InadmissibleError
from pymc_lens.inversion.inversion import Arrays, Inversion, Solution
from pymc_lens.inversion.solvers import PositiveMarginal, Unconstrained
from pymc_lens.orthant.led_by_free import given_the_rest, leading_covariance


class PixelNormals(NamedTuple):
    """A normal distribution of each datum.

    Attributes
    ----------
    mean, deviation : (n_data,) float64
    """

    mean: np.ndarray
    deviation: np.ndarray

    def log_density(self, data: np.ndarray) -> np.ndarray:
        """Log densities (n_data,) of data (n_data,)."""
        squared = ((data - self.mean) / self.deviation) ** 2
        return -0.5 * (squared + np.log(2.0 * np.pi * self.deviation**2))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw data (n_data,)."""
        return self.mean + self.deviation * rng.standard_normal(self.mean.size)


def require_predictive(inversion: Inversion) -> None:
    """Raise ValueError where an inversion's pixels have no predictive densities."""
    if not isinstance(inversion.solver, (Unconstrained, PositiveMarginal)):
        raise ValueError(
            f"positivity: {type(inversion.solver).__name__} takes the likelihood at one solution, which is "
            "no probability of the data, so that no pixel can be left out of it. Take None or 'marginal'."
        )


def pixel_normals(inversion: Inversion, arrays: Arrays, rng: np.random.Generator) -> PixelNormals:
    """Distributions of the data by which draws are weighed in leave-one-out cross-validation.

    Nothing confined, that of each datum given all others, with the coefficients integrated over. Where
    negative coefficients are excluded that is no normal distribution: instead, these are drawn from their
    posterior, with all that follow them, and only those before are integrated over. In either case the
    inverse density of a datum is the weight of a joint draw that leaves it out.

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
    solution = inversion.invert(arrays)
    known = np.empty(0)
    if inversion.confined.any():
        drawn = solution.in_basis(inversion.draw_coefficients(solution, rng))
        known = drawn[int(np.argmax(inversion.confined)) :]
    return _given_the_others(inversion, arrays[0], solution, known)


def _given_the_others(
    inversion: Inversion, data: np.ndarray, solution: Solution, known: np.ndarray
) -> PixelNormals:
    """Leave each datum out of a linear model whose last coefficients (n_known,) are known.

    No system is solved again. With residuals r = d - L s and leverages
    ``h = diag(L (F + H)^-1 L') / sigma^2``, the datum d_i given all others is normal, of mean
    ``d_i - r_i / (1 - h_i)`` and variance ``sigma_i^2 / (1 - h_i)``. With the covariance of the data,
    ``S = sigma^2 + L H^-1 L'``, these are ``d_i - (S^-1 d)_i / (S^-1)_ii`` and ``1 / (S^-1)_ii`` of
    Sundararajan & Keerthi (2001, Neural Comput. 13, 1103). Consumes the factor.
    """
    noise, factor = inversion.response.noise, solution.factor
    n_leading = len(factor) - known.size
    image = solution.image
    whitened = solve_triangular(factor, image.data_vector, trans=1, check_finite=False)[:n_leading]
    coefficients = given_the_rest(factor, whitened, known)
    residual = inversion.response.unwhiten(image.whitened - image.observed.predict(coefficients))
    leading_covariance(factor, n_leading)
    variances = image.observed.variances(factor)
    unexplained = 1.0 - inversion.response.unwhiten(variances) / noise
    if not (unexplained > 0.0).all():
        raise InadmissibleError(
            "data that decide alone",
            f"data: {int((unexplained <= 0.0).sum())} pixels are predicted by themselves alone, to working "
            "precision, and cannot be left out. Give light a narrower prior, or the source a smoother one.",
        )
    return PixelNormals(data - residual / unexplained, noise / np.sqrt(unexplained))
