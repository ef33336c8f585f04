"""Mass and moments of a normal distribution confined to vectors without negative elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dlauum, dsygst, dtrtri
from scipy.stats.qmc import Sobol

from pymc_lens.linalg.blas import symmetric
from pymc_lens.linalg.precision import Precision
from pymc_lens.orthant.expectation_propagation import Propagated, propagate
from pymc_lens.orthant.half_normal import beyond_zero, hazard

# Powers of two, of which Sobol's points are balanced. The more elements, the more the weights scatter; what
# draws take goes with their number times that of the elements. Of 1,024 draws whose effective share is 0.9
# the error of the logarithm of the mean weight is 0.01.
_LOG2_DRAWS_PER_ELEMENT, _MAX_LOG2_DRAWS, _MAX_LOG2_VALUES = 4, 10, 20
_SEED = 20130101
# Draws that one is chosen from by weight, and the share of them that must be effective.
_CHOSEN_FROM, _EFFECTIVE_SHARE = 256, 0.2
# Elements whose share in each other's means is taken by one product of matrices.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Confinement:
    """A normal distribution ``exp(-x'Px / 2 + shift'x)`` on ``x >= 0``.

    Attributes
    ----------
    log_mass : float
        Logarithm of its integral over ``(2 pi)^(n / 2)``.
    propagated : Propagated
        The normal distribution nearest to it.
    factor : (n, n) float64
        Cholesky factor U of its precision, in the upper triangle.
    target : (n,) float64
        U times its mean.
    draws : Draws
    """

    log_mass: float
    propagated: Propagated
    factor: np.ndarray
    target: np.ndarray
    draws: Draws

    @property
    def sites(self) -> np.ndarray:
        """(2, n) sites of expectation propagation, to start the next from."""
        return self.propagated.sites

    def draw(self, rng: np.random.Generator) -> np.ndarray | None:
        """Draw (n,) from the distribution: one of many draws, by weight; None where few have all of it."""
        if self.draws.effective_share < _EFFECTIVE_SHARE:
            return None
        log_uniforms = np.log1p(-rng.random((self.target.size, _CHOSEN_FROM)))
        draws = Draws.of(self.factor, self.target, self.sites, log_uniforms)
        weights = np.exp(draws.log_weights - draws.log_weights.max())
        return draws.values[:, rng.choice(_CHOSEN_FROM, p=weights / weights.sum())]

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and second moments (n, n), as the derivatives of `log_mass` as computed.

        They are its derivative in the shift, and -2 times that in P. The draws move with the distribution
        they are from, and that moves with the sites.
        """
        upper = np.triu(self.factor)
        inverse = dtrtri(upper.T, lower=1)[0].T
        target_bar, factor_bar, sites_bar = self.draws.pullback(upper)
        mean = inverse @ (target_bar + self.target)
        factor_bar -= np.triu(np.outer(self.target, mean))
        second = -2.0 * _cholesky_pullback(upper, inverse, factor_bar)
        sites_bar += np.stack([-0.5 * second.diagonal(), mean])
        covariance = symmetric(dlauum(inverse.T, lower=1)[0].T)
        mean_bar, variance_bar = self.propagated.pullback(sites_bar, covariance)
        of_mean = covariance @ mean_bar
        cross = np.outer(of_mean, self.propagated.mean)
        second += cross + cross.T + 2.0 * _weighted_square(covariance, variance_bar)
        return mean + of_mean, second


def confine(precision: Precision, shift: np.ndarray, sites: np.ndarray | None = None) -> Confinement:
    """Confine N(P^-1 shift, P^-1) to ``x >= 0``.

    The mass is estimated with draws, one element after the other (the sampler of Geweke, Hajivassiliou and
    Keane: Genz 1992, J. Comput. Graph. Stat. 1, 141), each given those drawn already and, for those still to
    come, the Gaussian sites of expectation propagation in place of their confinement. Thus a draw knows what
    lies ahead (a twisted proposal: Guarniero, Johansen & Lee 2017, J. Am. Stat. Assoc. 112, 1636), and its
    weight corrects what the sites got wrong. From points that never change the estimate is a smooth function
    of P and the shift.

    Parameters
    ----------
    precision : Precision
        P, (n, n).
    shift : (n,) float64
    sites : (2, n) float64, optional
        Where expectation propagation starts; the result does not depend on it.

    Raises
    ------
    InadmissibleError
        If P is not positive definite, or the sites do not settle.
    """
    propagated = propagate(precision, shift, sites)
    factor = propagated.tilted.cholesky()
    target = solve_triangular(factor, shift + propagated.sites[1], trans=1, check_finite=False)
    draws = Draws.of(factor, target, propagated.sites, _log_uniforms(target.size))
    log_mass = 0.5 * float(target @ target) + draws.log_mean_weight
    return Confinement(log_mass, propagated, factor, target, draws)


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of the elements from the last to the first, with U the Cholesky factor of P and the sites.

    Given the later elements, and with the sites of the earlier ones, element i is
    ``N(U_ii^-1 height_i, U_ii^-2)`` with ``height = target - strictly_upper(U) x``. Its own site is taken
    out again, which leaves the precision ``scale_i^-2``, and it is confined to ``x_i >= 0``. The weight of a
    draw is the product of the masses that this leaves to its elements, over those with the sites.

    Attributes
    ----------
    diagonal, scale : (n,) float64
        U_ii, and the standard deviation of an element without its site.
    log_uniforms, heights, ratios, values : (n, n_draws) float64
        ``ratios`` are the means without the element's site in units of ``scale``.
    log_weights : (n_draws,) float64
    """

    diagonal: np.ndarray
    scale: np.ndarray
    log_uniforms: np.ndarray
    heights: np.ndarray
    ratios: np.ndarray
    values: np.ndarray
    log_weights: np.ndarray

    @classmethod
    def of(cls, factor: np.ndarray, target: np.ndarray, sites: np.ndarray, log_uniforms: np.ndarray) -> Draws:
        diagonal = factor.diagonal().copy()
        scale = (diagonal**2 - sites[0]) ** -0.5
        heights, ratios, values = (np.empty(log_uniforms.shape) for _ in range(3))
        log_masses = np.empty(log_uniforms.shape[1])
        log_weights = np.full(log_uniforms.shape[1], np.log(scale).sum())
        for block in reversed(_blocks(target.size)):
            heights[block] = target[block, None] - factor[block, block.stop :] @ values[block.stop :]
            for i in reversed(range(block.start, block.stop)):
                known = slice(i + 1, block.stop)
                heights[i] -= factor[i, known] @ values[known]
                ratios[i] = (diagonal[i] * heights[i] - sites[1, i]) * scale[i]
                beyond_zero(ratios[i], log_uniforms[i], log_masses, values[i])
                values[i] *= scale[i]
                log_weights += 0.5 * (ratios[i] ** 2 - heights[i] ** 2) + log_masses
        return cls(diagonal, scale, log_uniforms, heights, ratios, values, log_weights)

    @property
    def log_mean_weight(self) -> float:
        highest = self.log_weights.max()
        return float(highest + np.log(np.exp(self.log_weights - highest).mean()))

    @property
    def effective_share(self) -> float:
        weights = np.exp(self.log_weights - self.log_weights.max())
        return float(weights.mean() ** 2 / (weights**2).mean())

    def pullback(self, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Adjoint of `log_mean_weight` in the target (n,), in U (n, n) and in the sites (2, n)."""
        weights = np.exp(self.log_weights - self.log_mean_weight) / self.log_weights.size
        heights_bar = np.empty(self.heights.shape)
        diagonal_bar, precision_bar, shift_bar = np.empty((3, len(upper)))
        for block in _blocks(len(upper)):
            scale, diagonal = self.scale[block], self.diagonal[block]
            ratios, heights, values = self.ratios[block], self.heights[block], self.values[block]
            lengths = values / scale[:, None]
            # Of a value in the ratio: how much of a shift of the mean arrives.
            spread = 1.0 - np.exp(self.log_uniforms[block] + 0.5 * lengths * (lengths - 2.0 * ratios))
            spread *= scale[:, None]
            lever = (diagonal * scale)[:, None]
            gain = spread * lever
            ratios_bar = weights * (ratios + hazard(ratios))
            heights_bar[block] = ratios_bar * lever - weights * heights
            values_bar = -upper[: block.start, block].T @ heights_bar[: block.start]
            for i in range(block.start, block.stop):
                known, row = slice(block.start, i), i - block.start
                values_bar[row] -= upper[known, i] @ heights_bar[known]
                heights_bar[i] += gain[row] * values_bar[row]
            ratios_bar += values_bar * spread
            # In ratio, weight and value the precision without the site is but a scale.
            scaled = 1.0 + _row_products(ratios_bar, ratios) + _row_products(values_bar, values)
            precision_bar[block] = -0.5 * scale**2 * scaled
            diagonal_bar[block] = (
                scale * _row_products(ratios_bar, heights) + 2.0 * diagonal * precision_bar[block]
            )
            shift_bar[block] = scale * ratios_bar.sum(axis=1)
        factor_bar = np.triu(-heights_bar @ self.values.T, 1)
        factor_bar[np.diag_indices_from(upper)] = diagonal_bar
        return heights_bar.sum(axis=1), factor_bar, -np.stack([precision_bar, shift_bar])


def _row_products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,ij->i", first, second))


@lru_cache(maxsize=4)
def _log_uniforms(n: int) -> np.ndarray:
    """Logarithms (n, n_draws) of Sobol's points, with the coarsest coordinate for the last element."""
    log2_n = (n - 1).bit_length()
    sobol = Sobol(n, rng=_SEED)
    log2_draws = min(log2_n + _LOG2_DRAWS_PER_ELEMENT, _MAX_LOG2_DRAWS, _MAX_LOG2_VALUES - log2_n)
    points = sobol.random_base2(max(0, log2_draws))
    # The middles of the cells that their bits resolve: none is 0.
    log_uniforms = np.log(points.T[::-1] + 0.5 ** (sobol.bits + 1))
    log_uniforms.flags.writeable = False
    return log_uniforms


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]


def _cholesky_pullback(upper: np.ndarray, inverse: np.ndarray, upper_bar: np.ndarray) -> np.ndarray:
    """Adjoint (n, n), symmetric, of the factor U in ``U'U`` (Murray 2016, arXiv:1602.07527, section 3).

    SciPy's routines read the arrays by columns, as their transposes.
    """
    inner = dtrmm(0.5, upper.T, upper_bar.T, lower=1, trans_a=1)
    return symmetric(dsygst(inner, inverse.T, itype=2, lower=1)[0].T)


def _weighted_square(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``matrix diag(weights) matrix`` for a symmetric matrix (n, n)."""
    columns = matrix * np.sqrt(np.abs(weights))
    above, below = columns[:, weights > 0.0], columns[:, weights < 0.0]
    return above @ above.T - below @ below.T
