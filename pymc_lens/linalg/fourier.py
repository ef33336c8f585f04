"""Fourier transforms along the first axis of many columns at once, for convolutions.

Cooley & Tukey's (1965, Math. Comp. 19, 297) with the radices 4, 2 and 3, in place and without reordering:
frequencies come in an order of their own, which `forward` leaves and `inverse` expects, and in which two
transforms may be multiplied as in any other. Real and imaginary parts are arrays of their own, and the inner
loops run along rows, so that LLVM vectorizes them: two thirds of the time that SciPy's take.
"""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from pymc_lens.linalg.elementary import INLINED
from pymc_lens.linalg.kernel import kernel

_RADICES = (4, 2, 3)
_HALF_ROOT_3 = 0.5 * 3.0**0.5
_SQUARE = 16


class Plan(NamedTuple):
    """How a length is transformed.

    Attributes
    ----------
    radices : (n_stages,) int64
    cosines, sines : (n_factors,) float64
        Of the factors between the stages.
    """

    radices: np.ndarray
    cosines: np.ndarray
    sines: np.ndarray


def plan(length: int) -> Plan:
    """Plan transforms of a length from `fast_length`."""
    radices, size = _factors(length), length
    angles: list[float] = []
    for radix in radices:
        size //= radix
        multiples = np.outer(np.arange(size), np.arange(1, radix))
        angles.extend(-2.0 * np.pi / (size * radix) * multiples.ravel())
    turns = np.array(angles, np.float64)
    return Plan(np.array(radices, np.int64), np.cos(turns), np.sin(turns))


def fast_length(shortest: int) -> int:
    """Smallest length of at least ``shortest`` that is a product of the radices."""
    return next(length for length in count(shortest) if np.prod(_factors(length)) == length)


def _factors(length: int) -> list[int]:
    factors = []
    for radix in _RADICES:
        while length % radix == 0:
            factors.append(radix)
            length //= radix
    return factors


@kernel(fastmath={"contract"})
def forward(real, imaginary, plan):
    """Transform columns of (n, n_columns) in place."""
    radices, cosines, sines = plan
    size, factor = real.shape[0], 0
    for radix in radices:
        size //= radix
        for first in range(0, real.shape[0], size * radix):
            for j in range(size):
                rows, factors = first + j, factor + j * (radix - 1)
                if radix == 4:
                    _split_4(real, imaginary, rows, size, cosines[factors:], sines[factors:])
                elif radix == 3:
                    _split_3(real, imaginary, rows, size, cosines[factors:], sines[factors:])
                else:
                    _split_2(real, imaginary, rows, size, cosines[factors:], sines[factors:])
        factor += size * (radix - 1)


@kernel(fastmath={"contract"})
def inverse(real, imaginary, plan):
    """Undo `forward`, but for the factor n."""
    radices, cosines, sines = plan
    size, factor = 1, cosines.size
    # With real and imaginary parts exchanged, a transform is its own inverse.
    for stage in range(radices.size - 1, -1, -1):
        radix = radices[stage]
        factor -= size * (radix - 1)
        for first in range(0, real.shape[0], size * radix):
            for j in range(size):
                rows, factors = first + j, factor + j * (radix - 1)
                if radix == 4:
                    _merge_4(imaginary, real, rows, size, cosines[factors:], sines[factors:])
                elif radix == 3:
                    _merge_3(imaginary, real, rows, size, cosines[factors:], sines[factors:])
                else:
                    _merge_2(imaginary, real, rows, size, cosines[factors:], sines[factors:])
        size *= radix


@kernel()
def transpose(matrix, turned):
    """Write the transpose of (n, m) into (m, n), by squares that stay in the cache."""
    n, m = matrix.shape
    for top in range(0, n, _SQUARE):
        for left in range(0, m, _SQUARE):
            for i in range(top, min(top + _SQUARE, n)):
                for j in range(left, min(left + _SQUARE, m)):
                    turned[j, i] = matrix[i, j]


@register_jitable(**INLINED)
def _turn(x, y, cosine, sine):
    return x * cosine - y * sine, x * sine + y * cosine


@register_jitable(**INLINED)
def _transform_4(x0, y0, x1, y1, x2, y2, x3, y3):
    sum_x, sum_y, difference_x, difference_y = x0 + x2, y0 + y2, x0 - x2, y0 - y2
    other_x, other_y, turned_x, turned_y = x1 + x3, y1 + y3, y1 - y3, x3 - x1
    return (
        sum_x + other_x, sum_y + other_y, difference_x + turned_x, difference_y + turned_y,
        sum_x - other_x, sum_y - other_y, difference_x - turned_x, difference_y - turned_y,
    )  # fmt: skip


@register_jitable(**INLINED)
def _transform_3(x0, y0, x1, y1, x2, y2):
    sum_x, sum_y = x1 + x2, y1 + y2
    turned_x, turned_y = _HALF_ROOT_3 * (y1 - y2), _HALF_ROOT_3 * (x2 - x1)
    middle_x, middle_y = x0 - 0.5 * sum_x, y0 - 0.5 * sum_y
    return (
        x0 + sum_x, y0 + sum_y, middle_x + turned_x, middle_y + turned_y, middle_x - turned_x,
        middle_y - turned_y,
    )  # fmt: skip


@register_jitable(**INLINED)
def _split_4(x, y, first, step, c, s):
    x0, x1, x2, x3 = x[first], x[first + step], x[first + 2 * step], x[first + 3 * step]
    y0, y1, y2, y3 = y[first], y[first + step], y[first + 2 * step], y[first + 3 * step]
    c1, c2, c3, s1, s2, s3 = c[0], c[1], c[2], s[0], s[1], s[2]
    for k in range(x0.size):
        t = _transform_4(x0[k], y0[k], x1[k], y1[k], x2[k], y2[k], x3[k], y3[k])
        x0[k], y0[k] = t[0], t[1]
        x1[k], y1[k] = _turn(t[2], t[3], c1, s1)
        x2[k], y2[k] = _turn(t[4], t[5], c2, s2)
        x3[k], y3[k] = _turn(t[6], t[7], c3, s3)


@register_jitable(**INLINED)
def _merge_4(x, y, first, step, c, s):
    x0, x1, x2, x3 = x[first], x[first + step], x[first + 2 * step], x[first + 3 * step]
    y0, y1, y2, y3 = y[first], y[first + step], y[first + 2 * step], y[first + 3 * step]
    c1, c2, c3, s1, s2, s3 = c[0], c[1], c[2], s[0], s[1], s[2]
    for k in range(x0.size):
        t1_x, t1_y = _turn(x1[k], y1[k], c1, s1)
        t2_x, t2_y = _turn(x2[k], y2[k], c2, s2)
        t3_x, t3_y = _turn(x3[k], y3[k], c3, s3)
        t = _transform_4(x0[k], y0[k], t1_x, t1_y, t2_x, t2_y, t3_x, t3_y)
        x0[k], y0[k], x1[k], y1[k] = t[0], t[1], t[2], t[3]
        x2[k], y2[k], x3[k], y3[k] = t[4], t[5], t[6], t[7]


@register_jitable(**INLINED)
def _split_3(x, y, first, step, c, s):
    x0, x1, x2 = x[first], x[first + step], x[first + 2 * step]
    y0, y1, y2 = y[first], y[first + step], y[first + 2 * step]
    c1, c2, s1, s2 = c[0], c[1], s[0], s[1]
    for k in range(x0.size):
        t = _transform_3(x0[k], y0[k], x1[k], y1[k], x2[k], y2[k])
        x0[k], y0[k] = t[0], t[1]
        x1[k], y1[k] = _turn(t[2], t[3], c1, s1)
        x2[k], y2[k] = _turn(t[4], t[5], c2, s2)


@register_jitable(**INLINED)
def _merge_3(x, y, first, step, c, s):
    x0, x1, x2 = x[first], x[first + step], x[first + 2 * step]
    y0, y1, y2 = y[first], y[first + step], y[first + 2 * step]
    c1, c2, s1, s2 = c[0], c[1], s[0], s[1]
    for k in range(x0.size):
        t1_x, t1_y = _turn(x1[k], y1[k], c1, s1)
        t2_x, t2_y = _turn(x2[k], y2[k], c2, s2)
        t = _transform_3(x0[k], y0[k], t1_x, t1_y, t2_x, t2_y)
        x0[k], y0[k], x1[k], y1[k], x2[k], y2[k] = t


@register_jitable(**INLINED)
def _split_2(x, y, first, step, c, s):
    x0, x1, y0, y1, c1, s1 = x[first], x[first + step], y[first], y[first + step], c[0], s[0]
    for k in range(x0.size):
        difference_x, difference_y = x0[k] - x1[k], y0[k] - y1[k]
        x0[k], y0[k] = x0[k] + x1[k], y0[k] + y1[k]
        x1[k], y1[k] = _turn(difference_x, difference_y, c1, s1)


@register_jitable(**INLINED)
def _merge_2(x, y, first, step, c, s):
    x0, x1, y0, y1, c1, s1 = x[first], x[first + step], y[first], y[first + step], c[0], s[0]
    for k in range(x0.size):
        t_x, t_y = _turn(x1[k], y1[k], c1, s1)
        x1[k], y1[k] = x0[k] - t_x, y0[k] - t_y
        x0[k], y0[k] = x0[k] + t_x, y0[k] + t_y
