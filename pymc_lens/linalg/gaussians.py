"""Averages of many Gaussians over pixels, and the way back.

Loops over few points that stay in the cache, in a layout and with an exponential that LLVM vectorizes. To
compute exponentials again on the way back takes no longer than to keep them.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from pymc_lens.linalg.elementary import INLINED, exp
from pymc_lens.linalg.kernel import kernel

_BLOCK = 128


@kernel(fastmath={"contract"})
def gaussian_averages(y, x, roots, slopes, groups, per_pixel):
    """Pixel averages of elliptical Gaussians, ``exp(slope * |R (y, x)|^2)``.

    Parameters
    ----------
    y, x : (n_pixels * per_pixel,) float64
        Positions from the centre; those of one pixel consecutive.
    roots : (n_groups, 3) float64
        (p, q, r) of the matrix ``R = [[p, r], [r, q]]`` of each ellipse.
    slopes : (n,) float64
        Negative, of each Gaussian: ``-1 / (2 sigma^2)``.
    groups : (n,) int64
        Ellipse of each Gaussian.
    per_pixel : int

    Returns
    -------
    (n, n_pixels) float64
        Zero where it would be below 1e-307, NaN of an ellipse that is NaN.
    """
    n_pixels = y.size // per_pixel
    averages = np.zeros((slopes.size, n_pixels))
    block_y, block_x = np.empty((per_pixel, _BLOCK)), np.empty((per_pixel, _BLOCK))
    squared = np.empty((len(roots), per_pixel, _BLOCK))
    for start in range(0, n_pixels, _BLOCK):
        size = min(_BLOCK, n_pixels - start)
        _gather(y, start, size, block_y)
        _gather(x, start, size, block_x)
        _squared_radii(block_y, block_x, size, roots, squared)
        for k in range(slopes.size):
            slope, row = slopes[k], averages[k, start : start + size]
            for point in range(per_pixel):
                radii = squared[groups[k], point]
                for i in range(size):
                    row[i] += exp(slope * radii[i])
            for i in range(size):
                row[i] /= per_pixel
    return averages


@kernel(fastmath={"contract", "reassoc"})
def gaussian_averages_pullback(y, x, roots, averages_bar, slopes, groups, per_pixel):
    """Cotangents of `y`, `x` and `roots` from that of the averages, (n, n_pixels); see `gaussian_averages`.

    An ellipse that is NaN contributes nothing.
    """
    n_pixels = averages_bar.shape[1]
    y_bar, x_bar, roots_bar = np.empty(y.size), np.empty(x.size), np.zeros(roots.shape)
    block_y, block_x = np.empty((per_pixel, _BLOCK)), np.empty((per_pixel, _BLOCK))
    block_y_bar, block_x_bar = np.empty((per_pixel, _BLOCK)), np.empty((per_pixel, _BLOCK))
    squared = np.empty((len(roots), per_pixel, _BLOCK))
    squared_bar, weights = np.empty(squared.shape), np.empty(_BLOCK)
    for start in range(0, n_pixels, _BLOCK):
        size = min(_BLOCK, n_pixels - start)
        _gather(y, start, size, block_y)
        _gather(x, start, size, block_x)
        _squared_radii(block_y, block_x, size, roots, squared)
        squared_bar[:] = 0.0
        for k in range(slopes.size):
            slope = slopes[k]
            for i in range(size):
                weights[i] = slope / per_pixel * averages_bar[k, start + i]
            for point in range(per_pixel):
                radii, bar = squared[groups[k], point], squared_bar[groups[k], point]
                for i in range(size):
                    bar[i] += weights[i] * exp(slope * radii[i])
        block_y_bar[:], block_x_bar[:] = 0.0, 0.0
        for group in range(len(roots)):
            p, q, r = roots[group]
            if np.isnan(p + q + r):
                continue
            p_bar, q_bar, r_bar = 0.0, 0.0, 0.0
            for point in range(per_pixel):
                ys, xs, bar = block_y[point], block_x[point], squared_bar[group, point]
                ys_bar, xs_bar = block_y_bar[point], block_x_bar[point]
                for i in range(size):
                    a_bar = 2.0 * bar[i] * (p * ys[i] + r * xs[i])
                    b_bar = 2.0 * bar[i] * (r * ys[i] + q * xs[i])
                    ys_bar[i] += p * a_bar + r * b_bar
                    xs_bar[i] += r * a_bar + q * b_bar
                    p_bar += a_bar * ys[i]
                    q_bar += b_bar * xs[i]
                    r_bar += a_bar * xs[i] + b_bar * ys[i]
            roots_bar[group, 0] += p_bar
            roots_bar[group, 1] += q_bar
            roots_bar[group, 2] += r_bar
        _scatter(block_y_bar, start, size, y_bar)
        _scatter(block_x_bar, start, size, x_bar)
    return y_bar, x_bar, roots_bar


# Neighbours in a block are of different pixels, so that sums over the points of pixels are vectorized.


@register_jitable(**INLINED)
def _gather(values, start, size, block):
    for i in range(size):
        for point in range(len(block)):
            block[point, i] = values[(start + i) * len(block) + point]


@register_jitable(**INLINED)
def _scatter(block, start, size, values):
    for i in range(size):
        for point in range(len(block)):
            values[(start + i) * len(block) + point] = block[point, i]


@register_jitable(**INLINED)
def _squared_radii(block_y, block_x, size, roots, squared):
    for group in range(len(roots)):
        p, q, r = roots[group]
        for point in range(len(block_y)):
            ys, xs, radii = block_y[point], block_x[point], squared[group, point]
            for i in range(size):
                radii[i] = (p * ys[i] + r * xs[i]) ** 2 + (r * ys[i] + q * xs[i]) ** 2
