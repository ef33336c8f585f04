"""What formulas of compiled mass profiles use besides arithmetic: on NumPy and JAX, and compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numba.extending import overload

from pymc_lens.ops.ray_op import INLINED


def repeat(step: Callable, count: Any, state: tuple, *constants: Any) -> tuple:
    """Apply ``state = step(m, state, *constants)`` for m from a count down to one.

    Parameters
    ----------
    step : callable
        A formula that returns a state as it takes it: a tuple of numbers, each as large as a ray's.
    count : float
        May differ from call to call, but not from ray to ray.
    """
    if _library(count) is np:
        for m in range(int(count), 0, -1):
            state = step(m, state, *constants)
        return state
    jax = import_module("jax")
    count = count.astype(int)

    def counted(passed: Any, state: tuple) -> tuple:
        return step(count - passed, state, *constants)

    return jax.lax.fori_loop(0, count, counted, state)


def log(x: Any) -> Any:
    """Natural logarithm."""
    return _library(x).log(x)


def exp(x: Any) -> Any:
    """Exponential function."""
    return _library(x).exp(x)


def _library(value: Any) -> Any:
    return np if isinstance(value, (int, float, np.ndarray, np.generic)) else import_module("jax.numpy")


@overload(repeat, strict=False, jit_options=INLINED)
def _compiled_repeat(step: Any, count: Any, state: Any, *constants: Any) -> Callable:
    def repeated(step, count, state, *constants):
        for m in range(int(count), 0, -1):
            state = step(m, state, *constants)
        return state

    return repeated


@overload(log, strict=False, jit_options=INLINED)
def _compiled_log(x: Any) -> Callable:
    return lambda x: np.log(x)


@overload(exp, strict=False, jit_options=INLINED)
def _compiled_exp(x: Any) -> Callable:
    return lambda x: np.exp(x)
