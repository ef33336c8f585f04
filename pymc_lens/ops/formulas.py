"""What formulas of compiled mass profiles use besides arithmetic.

Each works on arrays of NumPy and JAX, compiled by numba on single numbers, and, but for `repeat`, on the
variables of PyTensor, from which it derives second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numba.extending import overload
from pytensor.graph.basic import Variable

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


def choose(condition: Any, first: Callable, second: Callable, *arguments: Any) -> tuple:
    """Call one of two formulas, which return tuples: the first where a condition on a ray holds.

    On arrays and variables both are called. Only on variables, which are differentiated, need the one that is
    not chosen be finite.
    """
    where = _library(condition).where
    with np.errstate(all="ignore"):
        results = zip(first(*arguments), second(*arguments), strict=True)
    return tuple(where(condition, yes, no) for yes, no in results)


def log(x: Any) -> Any:
    """Natural logarithm."""
    return _library(x).log(x)


def log1p(x: Any) -> Any:
    """Natural logarithm of one more."""
    return _library(x).log1p(x)


def exp(x: Any) -> Any:
    """Exponential function."""
    return _library(x).exp(x)


def arctan(x: Any) -> Any:
    """Angle between -pi/2 and pi/2."""
    return _library(x).arctan(x)


def minimum(x: Any, most: float) -> Any:
    """Return the smaller one of a number and a constant."""
    return _library(x).minimum(x, most)


def _library(value: Any) -> Any:
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)):
        return np
    return pt if isinstance(value, Variable) else import_module("jax.numpy")


def _as_numpy(name: str) -> Callable:
    function = getattr(np, name)
    return lambda x: lambda x: function(x)


@overload(repeat, strict=False, jit_options=INLINED)
def _compiled_repeat(step: Any, count: Any, state: Any, *constants: Any) -> Callable:
    def repeated(step, count, state, *constants):
        for m in range(int(count), 0, -1):
            state = step(m, state, *constants)
        return state

    return repeated


@overload(choose, strict=False, jit_options=INLINED)
def _compiled_choice(condition: Any, first: Any, second: Any, *arguments: Any) -> Callable:
    def chosen(condition, first, second, *arguments):
        if condition:
            return first(*arguments)
        return second(*arguments)

    return chosen


@overload(minimum, strict=False, jit_options=INLINED)
def _compiled_minimum(x: Any, most: Any) -> Callable:
    return lambda x, most: min(x, most)


for _function in (log, log1p, exp, arctan):
    overload(_function, strict=False, jit_options=INLINED)(_as_numpy(_function.__name__))
