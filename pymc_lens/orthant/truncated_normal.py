"""Draws from a normal distribution confined to vectors without negative elements."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from pymc_lens.linalg.blas import cholesky_inverse_in_place, symmetric
from pymc_lens.linalg.kernel import kernel
from pymc_lens.orthant.led_by_free import given_the_rest

# Trajectories of a quarter of a turn, after which nothing is left of a starting point but in its bounces.
_TRAJECTORIES = 12
_QUARTER_TURN = 0.5 * np.pi


def draw_positive(
    mean: np.ndarray, factor: np.ndarray, start: np.ndarray, confined: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw from N(mean, (U'U)^-1) given that no confined element is negative.

    Hamiltonian Monte Carlo whose trajectories are known exactly, ellipses that bounce off the walls (Pakman &
    Paninski 2014, J. Comput. Graph. Stat. 23, 518): nothing is ever rejected. In the variables themselves a
    bounce costs one column of the covariance.

    Parameters
    ----------
    mean : (n,) float64
        Of the distribution without the confinement.
    factor : (n, n) float64
        Cholesky factor U of the precision, in the upper triangle.
    start : (n,) float64
        A point whose confined elements are not negative.
    confined : (n,) bool
    rng : Generator

    Returns
    -------
    (n,) float64
    """
    first = int(np.argmax(confined))
    # What comes before is free: drawn at once, given the rest.
    of_rest = np.ascontiguousarray(factor[first:, first:])
    rest = _draw_rest(mean[first:], of_rest, start[first:], confined[first:], rng)
    away = given_the_rest(factor, rng.standard_normal(first), rest - mean[first:])
    return np.concatenate([mean[:first] + away[:first], rest])


def _draw_rest(
    mean: np.ndarray, factor: np.ndarray, start: np.ndarray, confined: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    covariance = factor.copy()
    cholesky_inverse_in_place(covariance)
    covariance = symmetric(covariance)
    position = np.where(confined, np.maximum(start, 1e-3 * np.sqrt(covariance.diagonal())), start)
    for _ in range(_TRAJECTORIES):
        velocity = solve_triangular(factor, rng.standard_normal(mean.size), check_finite=False)
        _travel(mean, covariance, confined, position, velocity, _QUARTER_TURN)
    return position


@kernel()
def _travel(mean, covariance, confined, position, velocity, duration):
    """Move along ``mean + (position - mean) cos t + velocity sin t``, reflected where an element hits 0."""
    n = mean.size
    remaining = duration
    last = -1
    while True:
        first, wall = remaining, -1
        for i in range(n):
            a, b = position[i] - mean[i], velocity[i]
            radius = np.sqrt(a * a + b * b)
            # The lowest point of the ellipse lies above zero for most elements.
            if radius <= mean[i] or not confined[i]:
                continue
            # mean + radius cos(t - phase) falls through zero at phase + arccos(-mean / radius).
            t = np.arctan2(b, a) + np.arccos(max(-mean[i] / radius, -1.0))
            t -= 2.0 * np.pi * np.floor(t / (2.0 * np.pi))
            # Just reflected, it leaves the wall: rounding must not hold it there.
            if (i == last and t < 1e-9) or t > 2.0 * np.pi - 1e-9:
                continue
            if t < first:
                first, wall = t, i
        cosine, sine = np.cos(first), np.sin(first)
        for i in range(n):
            a, b = position[i] - mean[i], velocity[i]
            position[i] = mean[i] + a * cosine + b * sine
            if confined[i]:
                position[i] = max(position[i], 0.0)
            velocity[i] = b * cosine - a * sine
        if wall < 0:
            return
        remaining -= first
        position[wall] = 0.0
        impulse = -2.0 * velocity[wall] / covariance[wall, wall]
        for i in range(n):
            velocity[i] += impulse * covariance[wall, i]
        velocity[wall] = abs(velocity[wall])
        last = wall
