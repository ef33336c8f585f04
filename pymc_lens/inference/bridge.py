"""Bridge sampling: the integral of a density from draws of it, and from draws of a density that is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from arviz_stats.base.array import array_stats
from scipy.special import expit, logsumexp

from pymc_lens.inference.importance import StudentT

# Tails heavier than a normal's, which the estimate hardly depends on.
_DEGREES = 10.0
_STEPS, _CONVERGED = 1000, 1e-10


class Bridge(NamedTuple):
    """What bridge sampling found.

    Attributes
    ----------
    log_z, log_z_error : float
        Logarithm of the integral, and its standard error.
    """

    log_z: float
    log_z_error: float


def proposal_of(points: np.ndarray) -> StudentT:
    """Return a Student t distribution with the mean and the covariance of points (n_points, n).

    Raises
    ------
    ValueError
        If there are too few different points for a covariance.
    """
    n = points.shape[1]
    covariance = np.cov(points.T).reshape(n, n)
    if np.linalg.matrix_rank(covariance) < n:
        raise ValueError(
            f"idata: expected enough draws for the covariance of {n} parameters, got {len(points)} for it "
            "to be taken from. Draw more."
        )
    scale = covariance * (_DEGREES - 2.0) / _DEGREES
    return StudentT(points.mean(axis=0), np.linalg.cholesky(scale), _DEGREES)


def bridge(at_draws: np.ndarray, at_proposals: np.ndarray) -> Bridge:
    """Estimate the integral of a density by the optimal bridge.

    The fixed point of Meng & Wong (1996, Statistica Sinica 6, 831, eq. 4.1), with the effective number of
    draws for their number (Gronau et al. 2017, J. Math. Psychol. 81, 80), and its relative error by
    Frühwirth-Schnatter (2004, Econom. J. 7, 143).

    Parameters
    ----------
    at_draws : (n_chains, n_draws) float64
        Logarithm of the density over the proposal's, at draws of the density, which may be correlated.
    at_proposals : (n_proposals,) float64
        The same at independent draws of the proposal; -inf where there is no density.

    Raises
    ------
    ValueError
        If there is no density at any of the proposal's draws.
    """
    if not np.isfinite(at_proposals).any():
        raise ValueError("idata: the posterior is far from normal: no draw of its approximation is in it.")
    effective = _effective(at_draws)
    log_share = np.log(effective) - np.log(at_proposals.size)
    shift = float(np.median(at_draws))
    log_z = _fixed_point(at_draws.ravel() - shift, at_proposals - shift, log_share)
    # With s1 + s2 = 1: s1 p / (s1 p + s2 g), and s2 g / (s1 p + s2 g).
    of_density = expit(at_proposals - shift - log_z + log_share)
    of_proposal = expit(-(at_draws - shift - log_z + log_share))
    variance = _relative_variance(of_density) / at_proposals.size
    variance += _relative_variance(of_proposal) / _effective(of_proposal)
    return Bridge(log_z + shift, float(np.sqrt(variance)))


def _fixed_point(at_draws: np.ndarray, at_proposals: np.ndarray, log_share: float) -> float:
    """Iterate ``z = mean(l / (s1 l + s2 z)) / mean(1 / (s1 l + s2 z))`` over proposals and draws."""
    log_z = following = 0.0
    for _ in range(_STEPS):
        # Means of s1 l / (s1 l + s2 z) over proposals, and of s2 z / (s1 l + s2 z) over draws.
        over = logsumexp(-np.logaddexp(0.0, log_z - at_proposals - log_share)) - np.log(at_proposals.size)
        under = logsumexp(-np.logaddexp(0.0, at_draws + log_share - log_z)) - np.log(at_draws.size)
        following = float(over - under + log_z - log_share)
        if abs(following - log_z) < _CONVERGED:
            break
        log_z = following
    return following


def _effective(values: np.ndarray) -> float:
    return float(array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean"))


def _relative_variance(values: np.ndarray) -> float:
    return float(values.var() / values.mean() ** 2)
