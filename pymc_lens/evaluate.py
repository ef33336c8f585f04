"""Variables at fixed numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.replace import graph_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RNGConsumerOp
from pytensor.tensor.variable import TensorVariable

# One evaluation of a small graph: rewriting and compiling it would take longer than running it.
_ONCE = pytensor.compile.mode.Mode(linker="py", optimizer=None)


def with_values(variables: list[Any], values: Mapping[str, np.ndarray]) -> list[TensorVariable]:
    """Put numbers in the place of random variables, found by their names.

    Raises
    ------
    ValueError
        If a value has another shape than its variable; names it.
    """
    replacements = {
        variable: pt.constant(checked_value(variable, values[variable.name]))
        for variable in ancestors(variables)
        if _is_random(variable) and variable.name in values
    }
    return graph_replace(variables, replacements, strict=False)


def evaluate_once(
    variables: list[TensorVariable], values: Mapping[str, np.ndarray] = MappingProxyType({})
) -> list[np.ndarray]:
    """Evaluate variables that hang on constants, and on random variables with known values, only.

    Parameters
    ----------
    variables : list
    values : mapping of str to ndarray
        Of random variables by name.

    Raises
    ------
    TypeError
        If a variable depends on another random or free symbolic variable.
    ValueError
        If a value has another shape than its variable.
    """
    variables = with_values(variables, values)
    require_numbers(variables)
    function = pytensor.function([], variables, mode=_ONCE)
    return [np.asarray(value, dtype=np.float64, order="C") for value in function()]


def require_numbers(variables: list[TensorVariable], besides: Sequence[Variable] = ()) -> None:
    """Raise TypeError if variables hang on random or free symbolic ones, besides those that are known."""
    for variable in ancestors(variables):
        is_free = variable.owner is None and not isinstance(variable, (Constant, SharedVariable))
        if variable not in besides and (_is_random(variable) or is_free):
            raise TypeError(
                f"tracer: expected numbers, got the variable {variable}. Use LensedImage for a tracer "
                "with random variables, and fit_at for a fit of such a model."
            )


def checked_value(variable: TensorVariable, value: Any) -> np.ndarray:
    """Return a value of a variable as an array.

    Raises
    ------
    TypeError
        If it is no number or array of numbers.
    ValueError
        If it has another shape than the variable.
    """
    try:
        array = np.asarray(value, dtype=variable.dtype)
    except (TypeError, ValueError):
        raise TypeError(f"{variable.name}: expected numbers, got {value!r}.") from None
    shape = variable.type.shape
    if array.ndim != len(shape) or any(n not in (m, None) for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{variable.name}: expected a value of shape {shape}, got shape {array.shape}.")
    return array


def _is_random(variable: Variable) -> bool:
    return variable.owner is not None and isinstance(variable.owner.op, RNGConsumerOp)
