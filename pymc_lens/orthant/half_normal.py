"""A standard normal variable confined to one side of a point.

Loops that LLVM vectorizes. Functions of SciPy, one call a number, take two to three times as long, and this
is most of what the mass of an orthant takes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba.extending import register_jitable
from numpy.polynomial import Chebyshev, Polynomial
from scipy.special import erfcx, ndtri_exp

from pymc_lens.linalg.elementary import INLINED, exp, log
from pymc_lens.linalg.kernel import kernel

_ROOT_HALF, _LN2 = np.sqrt(0.5), np.log(2.0)
_DENSITY_AT_ZERO = 1.0 / np.sqrt(2.0 * np.pi)
# Numbers that stay in the cache.
BLOCK = 128


def _polynomial(function: Callable[[np.ndarray], np.ndarray], degree: int) -> np.ndarray:
    """Coefficients (degree + 1,) of the polynomial near a function on (-1, 1), the highest power first."""
    return Chebyshev.interpolate(function, degree).convert(kind=Polynomial).coef[::-1].copy()


# Mills' ratio, ``erfcx(t) (1 + 2 t)`` for any positive t in ``(t - c) / (t + c)`` (Shepherd & Laframboise
# 1981, Math. Comput. 36, 249): right to 4e-15.
_CENTRE = 3.75


def _scaled_tail(y: np.ndarray) -> np.ndarray:
    t = _CENTRE * (1.0 + y) / (1.0 - y)
    return np.asarray((1.0 + 2.0 * t) * erfcx(t))


TAIL = _polynomial(_scaled_tail, 20)

# The point z beyond which a normal variable has a probability p below one half: ``z / sqrt(-ln p)`` in
# ``ln(-ln p)``, right to 3e-14 as far as `_FARTHEST`.
_FARTHEST = 5000.0
_MIDDLE, _HALF_WIDTH = (0.5 * (np.log(_FARTHEST) + sign * np.log(_LN2)) for sign in (1.0, -1.0))


def _scaled_point(y: np.ndarray) -> np.ndarray:
    negative_log = np.exp(_MIDDLE + _HALF_WIDTH * y)
    return np.asarray(-ndtri_exp(-negative_log) / np.sqrt(negative_log))


POINT = _polynomial(_scaled_point, 28)


def hazard(ratio: np.ndarray) -> np.ndarray:
    """Density over distribution function of the standard normal, without cancellation in the tails.

    It is the derivative of the distribution function's logarithm.
    """
    rates = np.empty(ratio.shape)
    _hazard(ratio.ravel(), TAIL, rates.reshape(-1))
    return rates


@kernel(fastmath={"contract"})
def _hazard(ratios, tail, rates):
    y, factors = np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, ratios.size, BLOCK):
        size = min(BLOCK, ratios.size - start)
        ratio, rate = ratios[start : start + size], rates[start : start + size]
        _tails(ratio, tail, size, y, factors)
        for i in range(size):
            t = _ROOT_HALF * abs(ratio[i])
            density = exp(-t * t)
            far, near = 1.0 / factors[i], density / (1.0 - factors[i] * density)
            rate[i] = _DENSITY_AT_ZERO * (far if ratio[i] < 0.0 else near)


@register_jitable(**INLINED)
def beyond_zero(ratios, log_uniforms, size, tail, point, log_masses, values, scratch):
    """Draw from normal variables of standard deviation 1 confined to what is not negative.

    Parameters
    ----------
    ratios : (n,) float64
        Their means.
    log_uniforms : (n,) float64
        Logarithms of the probabilities to be beyond what is drawn.
    size : int
        How many of them, at most `BLOCK`.
    tail, point : float64 arrays
        `TAIL` and `POINT`.
    log_masses, values : (n,) float64
        Filled with the logarithm of each variable's probability not to be negative, and with the draws.
    scratch : (3, BLOCK) float64
    """
    y, factors, negative_logs = scratch
    _tails(ratios, tail, size, y, factors)
    n_far = 0
    for i in range(size):
        t = _ROOT_HALF * abs(ratios[i])
        near = 1.0 - factors[i] * exp(-t * t)
        below = ratios[i] < 0.0
        log_masses[i] = log(factors[i] if below else near) - (t * t if below else 0.0)
        log_tail = log_uniforms[i] + log_masses[i]
        log_rest = log(1.0 - exp(log_tail))
        negative_logs[i] = -(log_tail if log_tail < -_LN2 else log_rest)
        y[i] = (log(negative_logs[i]) - _MIDDLE) / _HALF_WIDTH
        n_far += 1 if negative_logs[i] > _FARTHEST else 0
    _horner(point, y, size, factors)
    for i in range(size):
        z = np.sqrt(negative_logs[i]) * factors[i]
        drawn = ratios[i] + (z if log_uniforms[i] + log_masses[i] < -_LN2 else -z)
        values[i] = 0.0 if drawn < 0.0 else drawn
    if n_far > 0:
        for i in range(size):
            if negative_logs[i] > _FARTHEST:
                values[i] = max(ratios[i] + _far_point(negative_logs[i]), 0.0)


@register_jitable
def _far_point(negative_log):
    """Return the point beyond which the probability is ``exp(-negative_log)``, by its asymptotic series."""
    z = np.sqrt(2.0 * negative_log)
    # Each step takes the error by a factor of z^2, ten thousand.
    for _ in range(4):
        inverse = 1.0 / (z * z)
        rest = np.log(z / _DENSITY_AT_ZERO) - np.log1p(-inverse * (1.0 - 3.0 * inverse))
        z = np.sqrt(2.0 * (negative_log - rest))
    return z


@register_jitable(**INLINED)
def _tails(ratios, tail, size, y, factors):
    """Fill `factors` with the probability beyond ``|ratio|`` over ``exp(-ratio^2 / 2)``."""
    for i in range(size):
        t = _ROOT_HALF * abs(ratios[i])
        y[i] = (t - _CENTRE) / (t + _CENTRE)
    _horner(tail, y, size, factors)
    for i in range(size):
        factors[i] *= 0.5 / (1.0 + 2.0 * _ROOT_HALF * abs(ratios[i]))


@register_jitable(**INLINED)
def _horner(coefficients, y, size, values):
    """Fill `values` with a polynomial of degree 4 k: of four powers with each pass over the block."""
    values[:size] = coefficients[0]
    for k in range(1, coefficients.size, 4):
        a, b, c, d = coefficients[k], coefficients[k + 1], coefficients[k + 2], coefficients[k + 3]
        for i in range(size):
            values[i] = (((values[i] * y[i] + a) * y[i] + b) * y[i] + c) * y[i] + d
