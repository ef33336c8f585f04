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
_BLOCK = 128


def _polynomial(function: Callable[[np.ndarray], np.ndarray], degree: int) -> np.ndarray:
    """Coefficients (degree + 1,) of the polynomial near a function on (-1, 1), the highest power first."""
    return Chebyshev.interpolate(function, degree).convert(kind=Polynomial).coef[::-1].copy()


# Mills' ratio, ``erfcx(t) (1 + 2 t)`` for any positive t in ``(t - c) / (t + c)`` (Shepherd & Laframboise
# 1981, Math. Comput. 36, 249): right to 4e-15.
_CENTRE = 3.75


def _scaled_tail(y: np.ndarray) -> np.ndarray:
    t = _CENTRE * (1.0 + y) / (1.0 - y)
    return np.asarray((1.0 + 2.0 * t) * erfcx(t))


_TAIL = _polynomial(_scaled_tail, 20)

# The point z beyond which a normal variable has a probability p below one half: ``z / sqrt(-ln p)`` in
# ``ln(-ln p)``, right to 3e-14 as far as `_FARTHEST`.
_FARTHEST = -5000.0
_MIDDLE, _HALF_WIDTH = (0.5 * (np.log(-_FARTHEST) + sign * np.log(_LN2)) for sign in (1.0, -1.0))


def _scaled_point(y: np.ndarray) -> np.ndarray:
    negative_log = np.exp(_MIDDLE + _HALF_WIDTH * y)
    return np.asarray(-ndtri_exp(-negative_log) / np.sqrt(negative_log))


_POINT = _polynomial(_scaled_point, 28)


def hazard(ratio: np.ndarray) -> np.ndarray:
    """Density over distribution function of the standard normal, without cancellation in the tails.

    It is the derivative of the distribution function's logarithm.
    """
    rates = np.empty(ratio.shape)
    _hazard(ratio.ravel(), _TAIL, rates.reshape(-1))
    return rates


def beyond_zero(
    ratios: np.ndarray, log_uniforms: np.ndarray, log_masses: np.ndarray, values: np.ndarray
) -> None:
    """Draw from normal variables of standard deviation 1 confined to what is not negative.

    Parameters
    ----------
    ratios : (n,) float64
        Their means.
    log_uniforms : (n,) float64
        Logarithms of the probabilities to be beyond what is drawn.
    log_masses, values : (n,) float64
        Filled with the logarithm of each variable's probability not to be negative, and with the draws.
    """
    _beyond_zero(ratios, log_uniforms, _TAIL, _POINT, log_masses, values)
    log_tails = log_uniforms + log_masses
    far = log_tails < _FARTHEST
    if far.any():
        values[far] = np.maximum(ratios[far] - ndtri_exp(log_tails[far]), 0.0)


@kernel(fastmath={"contract"})
def _hazard(ratios, tail, rates):
    y, factors = np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(0, ratios.size, _BLOCK):
        size = min(_BLOCK, ratios.size - start)
        ratio, rate = ratios[start : start + size], rates[start : start + size]
        _tails(ratio, tail, size, y, factors)
        for i in range(size):
            t = _ROOT_HALF * abs(ratio[i])
            density = exp(-t * t)
            far, near = 1.0 / factors[i], density / (1.0 - factors[i] * density)
            rate[i] = _DENSITY_AT_ZERO * (far if ratio[i] < 0.0 else near)


@kernel(fastmath={"contract"})
def _beyond_zero(ratios, log_uniforms, tail, point, log_masses, values):
    y, factors, negative_logs = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(0, ratios.size, _BLOCK):
        size = min(_BLOCK, ratios.size - start)
        ratio, log_uniform = ratios[start : start + size], log_uniforms[start : start + size]
        log_mass, value = log_masses[start : start + size], values[start : start + size]
        _tails(ratio, tail, size, y, factors)
        for i in range(size):
            t = _ROOT_HALF * abs(ratio[i])
            near = 1.0 - factors[i] * exp(-t * t)
            below = ratio[i] < 0.0
            log_mass[i] = log(factors[i] if below else near) - (t * t if below else 0.0)
            log_tail = log_uniform[i] + log_mass[i]
            log_rest = log(1.0 - exp(log_tail))
            negative_logs[i] = -(log_tail if log_tail < -_LN2 else log_rest)
            y[i] = (log(negative_logs[i]) - _MIDDLE) / _HALF_WIDTH
        _horner(point, y, size, factors)
        for i in range(size):
            z = np.sqrt(negative_logs[i]) * factors[i]
            drawn = ratio[i] + (z if log_uniform[i] + log_mass[i] < -_LN2 else -z)
            value[i] = 0.0 if drawn < 0.0 else drawn


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
