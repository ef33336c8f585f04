"""PyTensor's numba backend runs the formulas of compiled mass profiles ray by ray, in one vectorized loop."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from inspect import getclosurevars, isfunction
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numba.np.unsafe.ndarray import to_fixed_tuple
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from pymc_lens.ops import formulas
from pymc_lens.ops.ray_op import INLINED, RayOp, RayPullback


@register_funcify_and_cache_key(RayOp)
def numba_deflections(op: RayOp, **kwargs: Any) -> tuple[Callable, str | None]:
    """Compile the formula into a loop over rays."""
    deflection, n_parameters = op.deflection, op.n_parameters

    @numba_njit(error_model="numpy")
    def deflections(y, x, parameters):
        y, x = np.ascontiguousarray(y), np.ascontiguousarray(x)
        values = to_fixed_tuple(parameters, n_parameters)
        alpha_y, alpha_x = np.empty(y.size), np.empty(x.size)
        for i in range(y.size):
            alpha_y[i], alpha_x[i] = deflection(y[i], x[i], *values)
        return alpha_y, alpha_x

    return deflections, _cache_key(deflection)


@register_funcify_and_cache_key(RayPullback)
def numba_pullback(op: RayPullback, **kwargs: Any) -> tuple[Callable, str | None]:
    """Compile the adjoint into a loop over rays that adds up the parameters' cotangents."""
    deflection_pullback, n_parameters = op.deflection_pullback, op.n_parameters
    zeros = (0.0,) * n_parameters

    @numba_njit(error_model="numpy")
    def pullback(y, x, parameters, alpha_y_bar, alpha_x_bar):
        y, x = np.ascontiguousarray(y), np.ascontiguousarray(x)
        alpha_y_bar, alpha_x_bar = np.ascontiguousarray(alpha_y_bar), np.ascontiguousarray(alpha_x_bar)
        values = to_fixed_tuple(parameters, n_parameters)
        y_bar, x_bar, sums = np.empty(y.size), np.empty(x.size), zeros
        for i in range(y.size):
            bars = deflection_pullback(y[i], x[i], *values, alpha_y_bar[i], alpha_x_bar[i])
            y_bar[i], x_bar[i] = bars[0], bars[1]
            sums = _sum(sums, bars[2:])
        return y_bar, x_bar, np.array(sums)

    return pullback, _cache_key(deflection_pullback)


def _sum(left: tuple, right: tuple) -> tuple:
    """Add two tuples elementwise."""
    return tuple(a + b for a, b in zip(left, right, strict=True))


@overload(_sum, strict=False, jit_options=INLINED)
def _compiled_sum(left: types.BaseTuple, right: types.BaseTuple) -> Callable:
    if len(left) == 0:
        return lambda left, right: ()
    return lambda left, right: (left[0] + right[0], *_sum(left[1:], right[1:]))


def _cache_key(function: Callable) -> str | None:
    """Name what is compiled for a formula by the text of its files; None, uncached, where it has none.

    PyTensor's own key sees neither the formulas nor the loops: a stale kernel would be read from disk.
    """
    files = _files(function) | {Path(__file__)}
    if function.__closure__ or not all(file.exists() for file in files):
        return None
    texts = b"".join(file.read_bytes() for file in sorted(files))
    return sha256(f"{function.__module__}.{function.__qualname__}".encode() + texts).hexdigest()


def _files(function: Callable) -> set[Path]:
    """Files that a formula and what it calls are written in."""
    file = Path(function.__code__.co_filename)
    if function.__module__ == formulas.__name__:  # what is compiled is another function of this file
        return {file}
    called = (value for value in getclosurevars(function).globals.values() if isfunction(value))
    return {file}.union(*map(_files, called))
