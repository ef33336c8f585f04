"""PyTensor's numba backend runs the isothermal deflections ray by ray, in one vectorized loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numba.extending import overload
from pytensor.graph.basic import Apply
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

from pymc_lens.mass import isothermal_formulas
from pymc_lens.mass.isothermal_formulas import arctan_ratio, deflection, deflection_pullback, direction
from pymc_lens.mass.isothermal_op import IsothermalDeflections, IsothermalPullback

# PyTensor's cache key sees neither the formulas nor the loops: a stale kernel would be read from disk.
_VERSION = crc32(Path(isothermal_formulas.__file__).read_bytes() + Path(__file__).read_bytes())


# Inlined whatever their length, or LLVM would not vectorize the loops around them; the rest as in PyTensor.
_OPTIONS = {
    "forceinline": True,
    "error_model": "numpy",
    "fastmath": {"arcp", "contract", "afn", "reassoc", "nsz"},
}


def _make_callable(formula: Callable) -> None:
    """Let compiled code call a formula."""
    overload(formula, strict=False, jit_options=_OPTIONS)(lambda *inputs: formula)


for _formula in (arctan_ratio, direction, deflection, deflection_pullback):
    _make_callable(_formula)


@register_funcify_default_op_cache_key(IsothermalDeflections)
def numba_isothermal_deflections(
    op: IsothermalDeflections, node: Apply, **kwargs: Any
) -> tuple[Callable, int]:
    """Compile `deflection` into a loop over rays."""

    @numba_njit(error_model="numpy")
    def isothermal_deflections(y: np.ndarray, x: np.ndarray, parameters: np.ndarray) -> tuple:
        y, x = np.ascontiguousarray(y), np.ascontiguousarray(x)
        centre_y, centre_x, e_y, e_x, strength = [parameters[i] for i in range(5)]
        alpha_y, alpha_x = np.empty(y.size), np.empty(x.size)
        for i in range(y.size):
            alpha_y[i], alpha_x[i] = deflection(y[i], x[i], centre_y, centre_x, e_y, e_x, strength)
        return alpha_y, alpha_x

    return isothermal_deflections, _VERSION


@register_funcify_default_op_cache_key(IsothermalPullback)
def numba_isothermal_pullback(op: IsothermalPullback, node: Apply, **kwargs: Any) -> tuple[Callable, int]:
    """Compile `deflection_pullback` into a loop over rays that adds up the parameters' cotangents."""

    @numba_njit(error_model="numpy")
    def isothermal_pullback(
        y: np.ndarray,
        x: np.ndarray,
        parameters: np.ndarray,
        alpha_y_bar: np.ndarray,
        alpha_x_bar: np.ndarray,
    ) -> tuple:
        y, x = np.ascontiguousarray(y), np.ascontiguousarray(x)
        alpha_y_bar, alpha_x_bar = np.ascontiguousarray(alpha_y_bar), np.ascontiguousarray(alpha_x_bar)
        centre_y, centre_x, e_y, e_x, strength = [parameters[i] for i in range(5)]
        y_bar, x_bar = np.empty(y.size), np.empty(x.size)
        sum_y, sum_x, sum_e_y, sum_e_x, sum_strength = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(y.size):
            bars = deflection_pullback(
                y[i], x[i], centre_y, centre_x, e_y, e_x, strength, alpha_y_bar[i], alpha_x_bar[i]
            )
            y_bar[i], x_bar[i] = bars[0], bars[1]
            sum_y += bars[0]
            sum_x += bars[1]
            sum_e_y += bars[2]
            sum_e_x += bars[3]
            sum_strength += bars[4]
        return y_bar, x_bar, np.array([-sum_y, -sum_x, sum_e_y, sum_e_x, sum_strength])

    return isothermal_pullback, _VERSION
