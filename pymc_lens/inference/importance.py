"""Adaptive importance sampling: the posterior, and the evidence of the whole model, from values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from arviz_stats.base.array import array_stats
from scipy.linalg import solve_triangular
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp

# Degrees of freedom that a proposal may have.
_DEGREES = (4.0, 6.0, 10.0, 20.0, 40.0)
_EM_STEPS = 12
# A proposal is adapted to weights tempered to this many effective draws for each dimension.
_EFFECTIVE_PER_DIMENSION = 5.0
# A batch is drawn from so many of the latest fits: each reaches another part of a bent posterior.
_MIXED = 8
# Values in a batch for each dimension, and at least.
_BATCH_PER_DIMENSION, _SMALLEST_BATCH = 15, 120
# Vehtari et al. 2024 (JMLR 25, 72): above it importance sampling is not to be trusted.
RELIABLE_K = 0.7
# Logarithms of weights that differ by less have no tail.
_EQUAL = 1e-10
# Batches that at most only find the proposal.
_LONGEST_WARM_UP = 8
# At each multiple of so many batches it is asked whether to go on. Effective draws a value that NUTS has
# for the same time; a k, at the first multiple, at which moments do not exist.
_PATIENCE, _WORTHWHILE, _HOPELESS_K = 10, 0.05, 1.0
# How often the former half of what counts is dropped before that is the end.
_DROPS = 2


class StudentT(NamedTuple):
    """A multivariate Student t distribution.

    Attributes
    ----------
    centre : (n,) float64
    root : (n, n) float64
        Lower triangular; the scale matrix is ``root @ root.T``.
    degrees : float
        Of freedom.
    """

    centre: np.ndarray
    root: np.ndarray
    degrees: float

    def draw(self, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws (n_draws, n)."""
        normal = rng.standard_normal((n_draws, self.centre.size))
        stretch = np.sqrt(self.degrees / rng.chisquare(self.degrees, n_draws))
        return self.centre + stretch[:, None] * (normal @ self.root.T)

    def whitened(self, points: np.ndarray) -> np.ndarray:
        """Points (n_points, n) in coordinates in which this is around zero and of unit scale."""
        return solve_triangular(self.root, (points - self.centre).T, lower=True).T

    def unwhitened(self, reference: StudentT) -> StudentT:
        """Return this one, of points that are whitened by a reference, in the coordinates of the points."""
        return StudentT(
            reference.centre + reference.root @ self.centre, reference.root @ self.root, self.degrees
        )

    def squared_distances(self, points: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distances (n_points,) from the centre."""
        return (self.whitened(points) ** 2).sum(axis=1)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Log densities (n_points,) of points (n_points, n)."""
        n, nu = self.centre.size, self.degrees
        norm = gammaln(0.5 * (nu + n)) - gammaln(0.5 * nu) - 0.5 * n * np.log(nu * np.pi)
        norm -= np.log(np.diag(self.root)).sum()
        return norm - 0.5 * (nu + n) * np.log1p(self.squared_distances(points) / nu)


class Batch(NamedTuple):
    """Draws from a proposal.

    Attributes
    ----------
    proposals : tuple of StudentT
        That they came from, in equal parts; the latest at the end.
    points : (n_points, n) float64
    log_target : (n_points,) float64
        Log densities of the target there.
    counts : bool
        Whether they are draws of the posterior, or only serve to find the next proposal.
    """

    proposals: tuple[StudentT, ...]
    points: np.ndarray
    log_target: np.ndarray
    counts: bool

    @property
    def log_ratios(self) -> np.ndarray:
        """Logarithms (n_points,) of the target over the proposal."""
        each = [proposal.log_density(self.points) for proposal in self.proposals]
        return self.log_target - logsumexp(each, axis=0) + np.log(len(each))


class Weighted(NamedTuple):
    """All draws so far with their importance weights.

    Attributes
    ----------
    points : (n_points, n) float64
    log_target : (n_points,) float64
    log_weights : (n_points,) float64
        Pareto-smoothed, normalized.
    effective : float
        Effective draws, 1 / sum of squared weights.
    pareto_k : float
    log_z, log_z_error : float
        Logarithm of the target's integral, and its standard error.
    """

    points: np.ndarray
    log_target: np.ndarray
    log_weights: np.ndarray
    effective: float
    pareto_k: float
    log_z: float
    log_z_error: float


def importance_sample(
    log_target: Callable[[np.ndarray], np.ndarray],
    batches: list[Batch],
    first: StudentT,
    effective: float,
    rng: np.random.Generator,
    settled: Callable[[Weighted], None],
) -> Weighted:
    """Draw until there are enough effective draws with weights to be trusted, or that is not worthwhile.

    Each batch is drawn from Student t distributions that were fitted to all draws before, the latest eight.
    Draws are weighted by the proposals that they came from: the mixture of all (Cornuet et al. 2012, Scand.
    J. Stat. 39, 798) has itself been fitted to these draws, and would find the evidence too low, by 0.4 in
    25 dimensions. It serves to fit the next proposal. The first batches do that only, until there are enough
    draws to fit to; those after count with the square root of their number, whatever comes out of them, so
    that the evidence is unbiased (Owen & Zhou 2020, ACM TOMACS 30, 13). Should that not become worthwhile,
    the former half of them has only served to find the proposal, twice at most: batches from before a second
    mode, or a tail, was found spoil those after.

    Parameters
    ----------
    log_target : callable
        Log densities (n_points,), up to a constant, of points (n_points, n). -inf where there is none.
    batches : list of Batch
        Those of earlier calls, to go on from; new ones are appended as soon as they are there.
    first : StudentT
        Where to begin.
    effective : float
        Effective draws wanted.
    rng : Generator
    settled : callable
        Told how things are after each batch that counts.

    Returns
    -------
    Weighted
        To be trusted where its ``pareto_k`` is below `RELIABLE_K`.
    """
    size = max(_SMALLEST_BATCH, _BATCH_PER_DIMENSION * first.centre.size)
    rng.spawn(len(batches))  # the streams that these were drawn from
    while True:
        if any(batch.counts for batch in batches):
            weighted = weigh(batches)
            settled(weighted)
            if _is_enough(weighted, effective):
                return weighted
            if _is_hopeless(weighted, len(batches), effective):
                if len(batches) > _DROPS * _PATIENCE:
                    return weighted
                batches[:] = _without_former_half(batches)
        proposal, counts = adapted(batches) if batches else (first, False)
        counts |= len(batches) >= _LONGEST_WARM_UP
        former = batches[-1].proposals[1 - _MIXED :] if batches and batches[-1].counts else ()
        proposals = (*former, proposal)
        points = _drawn(proposals, size, rng.spawn(1)[0])
        batches.append(Batch(proposals, points, log_target(points), counts))


def _drawn(proposals: tuple[StudentT, ...], n_points: int, rng: np.random.Generator) -> np.ndarray:
    """Draw so many points (n_points, n), or a few more, from several proposals in equal parts."""
    each = -(-n_points // len(proposals))
    return np.concatenate([proposal.draw(each, rng) for proposal in proposals])


def weigh(batches: list[Batch]) -> Weighted:
    """Weigh the draws that count by the target over the proposal that they came from."""
    counted = [batch for batch in batches if batch.counts]
    shares = np.sqrt(np.arange(1.0, len(counted) + 1.0))
    shares /= shares.sum()
    log_ratios = [
        batch.log_ratios + np.log(share / len(batch.points))
        for batch, share in zip(counted, shares, strict=True)
    ]
    points = np.concatenate([batch.points for batch in counted])
    log_target = np.concatenate([batch.log_target for batch in counted])
    log_weights, pareto_k = smoothed(np.concatenate(log_ratios))
    log_z = logsumexp(np.concatenate(log_ratios))
    variance = sum(_variance_of_sum(np.exp(of_batch - log_z)) for of_batch in log_ratios)
    effective = 1.0 / np.exp(logsumexp(2.0 * log_weights))
    return Weighted(
        points, log_target, log_weights, float(effective), pareto_k, float(log_z), float(np.sqrt(variance))
    )


def adapted(batches: list[Batch]) -> tuple[StudentT, bool]:
    """Fit a Student t to the draws of all batches: the one of the highest weighted likelihood.

    While few draws hold all the weight, weights are tempered. What draws do not tell of the scale matrix is
    that of the first proposal, see `_shrunk`.

    Returns
    -------
    StudentT
    bool
        Whether there was enough to fit to.
    """
    (first,), points = batches[0].proposals, np.concatenate([batch.points for batch in batches])
    log_mixture = logsumexp([batch.proposals[-1].log_density(points) for batch in batches], axis=0)
    log_ratios = np.concatenate([batch.log_target for batch in batches]) - log_mixture
    power = _tempering(log_ratios[np.isfinite(log_ratios)], _EFFECTIVE_PER_DIMENSION * first.centre.size)
    log_weights = power * log_ratios
    weights = np.exp(log_weights - logsumexp(log_weights))
    seen = weights > 0.0
    weights, whitened = weights[seen], first.whitened(points[seen])
    fits = [_fit(whitened, weights, degrees) for degrees in _DEGREES]
    best = max(fits, key=lambda fit: weights @ fit.log_density(whitened))
    return best.unwhitened(first), power == 1.0


def smoothed(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Return normalized logarithms of Pareto-smoothed weights, and k; -inf where all weights are equal."""
    seen = np.isfinite(log_ratios)
    log_weights, pareto_k = np.full(log_ratios.size, -np.inf), -np.inf
    log_weights[seen] = log_ratios[seen]
    if np.ptp(log_ratios[seen]) > _EQUAL:
        # It takes log-likelihoods that are left out.
        log_weights[seen], pareto_k = array_stats.psislw(-log_ratios[seen])
    return log_weights - logsumexp(log_weights), float(pareto_k)


def _variance_of_sum(terms: np.ndarray) -> float:
    return float((terms**2).sum() - terms.sum() ** 2 / terms.size)


def resample(weighted: Weighted, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return indices (n_draws,) of draws of equal weight: systematic resampling, in random order."""
    cumulative = np.cumsum(np.exp(weighted.log_weights))
    places = (np.arange(n_draws) + rng.uniform()) / n_draws
    return rng.permutation(np.searchsorted(cumulative / cumulative[-1], places))


def _is_enough(weighted: Weighted, effective: float) -> bool:
    return weighted.effective >= effective and weighted.pareto_k < RELIABLE_K


def _is_hopeless(weighted: Weighted, n_batches: int, effective: float) -> bool:
    """Whether, where that is asked, NUTS would be done sooner, or weights cannot be trusted."""
    if n_batches % _PATIENCE:
        return False
    missing = (effective / weighted.effective - 1.0) * len(weighted.points)
    highest_k = _HOPELESS_K if n_batches == _PATIENCE else RELIABLE_K
    return missing > effective / _WORTHWHILE or weighted.pareto_k >= highest_k


def _without_former_half(batches: list[Batch]) -> list[Batch]:
    """Batches of which the former half of those that count does no more."""
    n_former = sum(batch.counts for batch in batches) // 2
    first = next(k for k, batch in enumerate(batches) if batch.counts)
    kept = first + n_former
    return [batch._replace(counts=batch.counts and k >= kept) for k, batch in enumerate(batches)]


def _tempering(log_weights: np.ndarray, effective: float) -> float:
    """Return the power, at most one, at which weights have so many effective draws, or half their number."""
    effective = min(effective, 0.5 * log_weights.size)

    def excess(power: float) -> float:
        squared = logsumexp(2.0 * power * log_weights)
        return float(2.0 * logsumexp(power * log_weights) - squared - np.log(effective))

    return 1.0 if excess(1.0) >= 0.0 else brentq(excess, 0.0, 1.0)


def _fit(points: np.ndarray, weights: np.ndarray, degrees: float) -> StudentT:
    """Maximise the weighted likelihood at given degrees of freedom by expectation maximisation."""
    n, effective = points.shape[1], 1.0 / (weights**2).sum()
    fit = StudentT(np.zeros(n), np.eye(n), degrees)
    for _ in range(_EM_STEPS):
        of_point = weights * (degrees + n) / (degrees + fit.squared_distances(points))
        centre = of_point @ points / of_point.sum()
        away = points - centre
        scale = _shrunk((away.T * of_point) @ away, effective)
        fit = StudentT(centre, np.linalg.cholesky(scale), degrees)
    return fit


def _shrunk(scale: np.ndarray, n_draws: float) -> np.ndarray:
    """Move a covariance (n, n) of normal draws to a multiple of one as far as noise has moved it away.

    Most directions are as wide as the curvature at the mode says. Draws alone would have to be several times
    as many as there are matrix elements (Ledoit & Wolf 2004, J. Multivar. Anal. 88, 365; the noise is that of
    normal draws).
    """
    noise = ((scale**2).sum() + np.trace(scale) ** 2) / n_draws
    away = scale - np.trace(scale) / len(scale) * np.eye(len(scale))
    distance = (away**2).sum()
    return scale - away * min(1.0, noise / distance) if distance > 0.0 else scale
