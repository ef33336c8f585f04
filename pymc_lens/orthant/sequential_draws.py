"""Draws of confined elements, one after the other, and the adjoint of their mean weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_lens.linalg.kernel import kernel
from pymc_lens.orthant.half_normal import BLOCK, POINT, TAIL, beyond_zero, hazard

# Elements whose share in each other's means is taken by one product of matrices.
_ELEMENTS = 32


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
        log_weights = np.full(log_uniforms.shape[1], np.log(scale).sum())
        for block in reversed(_blocks(target.size)):
            heights[block] = target[block, None] - factor[block, block.stop :] @ values[block.stop :]
            _draw_block(
                np.ascontiguousarray(factor[block, block]), sites[1, block], scale[block],
                log_uniforms[block], TAIL, POINT, heights[block], ratios[block], values[block], log_weights,
            )  # fmt: skip
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


@kernel(fastmath={"contract"})
def _draw_block(factor, shifts, scale, log_uniforms, tail, point, heights, ratios, values, log_weights):
    """Draw the elements of a block, from the last to the first.

    Parameters
    ----------
    factor : (n, n) float64
        The block of U.
    shifts, scale : (n,) float64
        Of the sites and of the elements without them.
    log_uniforms : (n, n_draws) float64
    tail, point : float64 arrays
        See `beyond_zero`.
    heights : (n, n_draws) float64
        Without the block's own elements; changed to what they are with them.
    ratios, values : (n, n_draws) float64
        Filled.
    log_weights : (n_draws,) float64
        Added to.
    """
    n, n_draws = heights.shape
    scratch, log_masses = np.empty((3, BLOCK)), np.empty(BLOCK)
    for start in range(0, n_draws, BLOCK):
        size = min(BLOCK, n_draws - start)
        stop = start + size
        weight = log_weights[start:stop]
        for i in range(n - 1, -1, -1):
            height, ratio, value = heights[i, start:stop], ratios[i, start:stop], values[i, start:stop]
            for k in range(i + 1, n):
                share, other = factor[i, k], values[k, start:stop]
                for j in range(size):
                    height[j] -= share * other[j]
            for j in range(size):
                ratio[j] = (factor[i, i] * height[j] - shifts[i]) * scale[i]
            beyond_zero(ratio, log_uniforms[i, start:stop], size, tail, point, log_masses, value, scratch)
            for j in range(size):
                value[j] *= scale[i]
                weight[j] += 0.5 * (ratio[j] ** 2 - height[j] ** 2) + log_masses[j]


def _row_products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,ij->i", first, second))


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _ELEMENTS, n)) for start in range(0, n, _ELEMENTS)]
