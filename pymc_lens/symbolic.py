"""Positions and parameters that may be numbers or symbolic variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lens.validation import is_numeric, require_finite


def split_positions(grid: Any) -> tuple[TensorVariable, TensorVariable]:
    """Split (..., 2) positions in (y, x) order into y and x, each (...).

    Raises
    ------
    ValueError
        If the last axis is known not to have length 2.
    """
    shape = grid.type.shape if isinstance(grid, Variable) else np.shape(grid)
    if not shape or shape[-1] not in (2, None):
        raise ValueError(f"grid: expected (..., 2) positions in (y, x) order, got shape {shape}.")
    if isinstance(grid, Variable):
        positions = pt.as_tensor_variable(grid)
        return positions[..., 0], positions[..., 1]
    # Contiguous halves, so that every compiled loop over them is vectorized.
    columns = np.moveaxis(np.asarray(grid, dtype=np.float64), -1, 0)
    return pt.as_tensor_variable(np.array(columns[0])), pt.as_tensor_variable(np.array(columns[1]))


def join_positions(y: TensorVariable, x: TensorVariable) -> TensorVariable:
    """Join y and x, each (...), into (..., 2) positions."""
    return pt.stack([y, x], axis=-1)


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """Take a pair of numbers or variables, or a length-2 vector, apart.

    Numbers come back as floats, symbolic components as they are.

    Raises
    ------
    ValueError
        If there are not two components, or one is a number that is not finite.
    """
    if isinstance(value, Variable):
        vector = pt.as_tensor_variable(value)
        if vector.type.ndim != 1 or vector.type.shape[0] not in (2, None):
            raise ValueError(f"{name}: expected two components, got a variable of shape {vector.type.shape}.")
        return vector[0], vector[1]
    try:
        first, second = value
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a pair (y, x) or a length-2 vector, got {value!r}.") from None
    return scalar(name, first), scalar(name, second)


def scalar(name: str, value: Any) -> Any:
    """Return a number as a float, a symbolic scalar as it is.

    Raises
    ------
    ValueError
        If the value is not a scalar, or is a number that is not finite.
    TypeError
        If it is neither a number nor a symbolic variable.
    """
    if isinstance(value, Variable):
        variable = pt.as_tensor_variable(value)
        if variable.type.ndim != 0:
            raise ValueError(f"{name}: expected a scalar, got a variable of shape {variable.type.shape}.")
        return variable
    if not is_numeric(value):
        raise TypeError(f"{name}: expected a number or a symbolic variable, got {value!r}.")
    if np.ndim(value) != 0:
        raise ValueError(f"{name}: expected a scalar, got shape {np.shape(value)}.")
    require_finite(name, value)
    return float(value)


def zero_unless(condition: TensorVariable, value: Any) -> TensorVariable:
    """Return a parameter where a condition on parameters holds, and zero where it does not."""
    return pt.switch(condition, value, 0.0)


def nan_unless(condition: TensorVariable, value: Any) -> TensorVariable:
    """Return a result where a condition on parameters holds, and NaN where it does not.

    The likelihood is zero at a point where rays or light are not finite, so a prior that reaches beyond a
    profile's domain costs draws but raises nothing. Where the result was computed from parameters that
    passed `zero_unless`, its gradient there is zero rather than NaN.
    """
    return pt.switch(condition, value, np.nan)
