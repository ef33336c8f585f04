"""Exponential and logarithm that LLVM vectorizes in loops: calls of the library's take five times as long."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import register_jitable

# No sum is reordered: these functions live on the order of their operations.
INLINED: dict[str, Any] = {"forceinline": True, "error_model": "numpy", "fastmath": {"contract"}}
# Below, exponentials lose digits and speed.
_VANISHING = -708.0
_LOG2_E = 1.0 / np.log(2.0)
# ln 2: products of the first part with exponents of two are exact.
_LN2 = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
# Added to a number it leaves the nearest integer in the last bits.
_TO_INTEGER = 1.5 * 2.0**52
_LARGEST = np.finfo(np.float64).max
# Bits of the root of 1/2, and of a number without its exponent.
_ROOT_HALF_BITS, _MANTISSA = np.float64(np.sqrt(0.5)).view(np.int64), (1 << 52) - 1


@register_jitable(**INLINED)
def exp(x):
    """Exponential of a number that is not positive, to the last digit; zero below `_VANISHING`."""
    # x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by its series, 2^n by its bits.
    shifted = x * _LOG2_E + _TO_INTEGER
    n = shifted - _TO_INTEGER
    r = x - n * _LN2[0] - n * _LN2[1]
    series = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    series = 1.0 / 39916800.0 + r * series
    series = 1.0 / 3628800.0 + r * series
    series = 1.0 / 362880.0 + r * series
    series = 1.0 / 40320.0 + r * series
    series = 1.0 / 5040.0 + r * series
    series = 1.0 / 720.0 + r * series
    series = 1.0 / 120.0 + r * series
    series = 1.0 / 24.0 + r * series
    series = 1.0 / 6.0 + r * series
    series = 1.0 + r * (1.0 + r * (0.5 + r * series))
    bits = (np.float64(shifted).view(np.int64) + 1023) << 52
    return 0.0 if x < _VANISHING else series * np.int64(bits).view(np.float64)


@register_jitable(**INLINED)
def log(x):
    """Logarithm of a positive normal number, to the last digits; what is infinite or NaN is returned."""
    # x = 2^n m with m from the root of 1/2 to that of 2; ln m by the series of 2 artanh((m - 1) / (m + 1)).
    bits = np.float64(x).view(np.int64) - _ROOT_HALF_BITS
    n = np.float64(bits >> 52)
    m = np.int64((bits & _MANTISSA) + _ROOT_HALF_BITS).view(np.float64)
    r = (m - 1.0) / (m + 1.0)
    square = r * r
    series = 1.0 / 19.0 + square * (1.0 / 21.0)
    series = 1.0 / 17.0 + square * series
    series = 1.0 / 15.0 + square * series
    series = 1.0 / 13.0 + square * series
    series = 1.0 / 11.0 + square * series
    series = 1.0 / 9.0 + square * series
    series = 1.0 / 7.0 + square * series
    series = 1.0 / 5.0 + square * series
    series = 1.0 / 3.0 + square * series
    logarithm = n * _LN2[0] + (2.0 * (r + r * square * series) + n * _LN2[1])
    return logarithm if x <= _LARGEST else x
