"""Positions and parameters that may be numbers or symbolic variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.utils import MissingInputError
from pytensor.tensor.basic import Join
from pytensor.tensor.variable import TensorVariable

from pymc_lens.validation import (
    number,
    real_numbers,
    require_between,
    require_ell_comps,
    require_not_negative,
    require_positive,
    require_real_variable,
    require_scalar_variable,
)

# Whatever the unit, no galaxy is that large or that far off the image.
_FAR = 1e30
# Far below the square of any ellipticity that shows.
_TINY = 1e-30
# Rewrites that take a shape from its graph instead of from the value, and nothing that has to be compiled.
_SHAPES_ONLY = Mode("py", "fast_compile")


def split_positions(grid: Any) -> tuple[TensorVariable, TensorVariable]:
    """Split (..., 2) positions in (y, x) order into y and x, each (...).

    Raises
    ------
    TypeError
        If they are no plain numbers.
    ValueError
        If the last axis is known not to have length 2.
    """
    positions = pt.as_tensor_variable(grid) if isinstance(grid, Variable) else real_numbers("grid", grid)
    shape = positions.type.shape if isinstance(positions, Variable) else positions.shape
    if not shape or shape[-1] not in (2, None):
        raise ValueError(f"grid: expected (..., 2) positions in (y, x) order, got shape {shape}.")
    if isinstance(positions, Variable):
        return _joined(positions) or (positions[..., 0], positions[..., 1])
    # Contiguous halves, so that every compiled loop over them is vectorized.
    columns = np.moveaxis(positions, -1, 0)
    return pt.as_tensor_variable(np.array(columns[0])), pt.as_tensor_variable(np.array(columns[1]))


def _joined(positions: TensorVariable) -> tuple[TensorVariable, TensorVariable] | None:
    """Take what `join_positions` made apart, so that no compiled loop reads pairs; None of others."""
    node = positions.owner
    if node is None or not isinstance(node.op, Join) or node.op.axis != positions.type.ndim - 1:
        return None
    if [part.type.shape[-1] for part in node.inputs] != [1, 1]:
        return None
    y, x = (part.squeeze(axis=-1) for part in node.inputs)
    return y, x


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
        if vector.type.ndim != 1 or _length(vector) not in (2, None):
            raise ValueError(
                f"{name}: expected two components, got the variable {value} of shape {vector.type.shape}."
            )
        return vector[0], vector[1]
    try:
        # A set has no order, and what is read only once is gone afterwards.
        first, second = value if isinstance(value, Sequence) else np.asanyarray(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a pair (y, x) or a length-2 vector, got {value!r}.") from None
    return scalar(name, first), scalar(name, second)


def pairs(name: str, value: Any) -> list[tuple[Any, Any]]:
    """Take a pair, or a sequence of pairs, apart; see `pair`.

    Raises
    ------
    ValueError
        As `pair`, or if the number of pairs in a variable is not known.
    """
    if isinstance(value, Variable) and value.type.ndim == 2:
        n_pairs = value.type.shape[0]
        if n_pairs is None:
            raise ValueError(f"{name}: expected a variable whose number of pairs is known, got shape (?, 2).")
        value = [value[place] for place in range(n_pairs)]
    single = isinstance(value, Variable) or not isinstance(value, Iterable)
    # An array without axes is iterable by its type only.
    if single or getattr(value, "ndim", 1) == 0 or all(map(_is_scalar, value)):
        value = [value]
    return [pair(name, each) for each in value]


def _is_scalar(value: Any) -> bool:
    return value.type.ndim == 0 if isinstance(value, Variable) else np.ndim(value) == 0


def _length(vector: TensorVariable) -> int | None:
    """Length of a vector, also where it is that of a dimension of a model; None where nothing tells it."""
    if vector.type.shape[0] is not None:
        return int(vector.type.shape[0])
    try:
        return int(pytensor.function([], vector.shape[0], mode=_SHAPES_ONLY)())
    except MissingInputError:
        return None


def scalar(name: str, value: Any) -> Any:
    """Return a number as a float, a symbolic scalar as it is.

    Raises
    ------
    ValueError
        If the value is not a scalar, or is a number that is not finite.
    TypeError
        If it is neither a real number nor a symbolic variable.
    """
    if not isinstance(value, Variable):
        return number(name, value)
    require_scalar_variable(name, value)
    return pt.as_tensor_variable(value)


def vector(name: str, value: Any, length: int) -> TensorVariable:
    """Return numbers or a variable, as a vector of known length.

    Raises
    ------
    TypeError
        If they are of another kind.
    ValueError
        If there are more or fewer, or one is not finite.
    """
    if isinstance(value, (list, tuple)) and any(isinstance(part, Variable) for part in value):
        value = pt.stack([pt.as_tensor_variable(scalar(name, part)) for part in value])
    if not isinstance(value, Variable):
        numbers = real_numbers(name, value)
        if numbers.shape != (length,) or not np.isfinite(numbers).all():
            raise ValueError(f"{name}: expected {length} finite numbers, got {value!r}.")
        return pt.as_tensor_variable(numbers)
    vector = expression(name, value)
    if vector.type.ndim != 1 or vector.type.shape[0] not in (length, None):
        raise ValueError(f"{name}: expected {length} values, got a variable of shape {vector.type.shape}.")
    return pt.specify_shape(vector, (length,))


def called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function with symbolic variables.

    Raises
    ------
    TypeError
        If it fails, as functions of NumPy do that know no variables.
    """
    try:
        return function(*arguments)
    except (AttributeError, TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: it fails on PyTensor variables ({error}). Inside it use the functions of "
            "pytensor.tensor, such as pt.hypot and pt.where, in the place of NumPy's."
        ) from error


def expression(name: str, value: Any) -> TensorVariable:
    """Return what a user's function has returned as a variable.

    Raises
    ------
    TypeError
        If it is none, such as an array of variables that NumPy has made, or does not hold real numbers.
    """
    try:
        variable = pt.as_tensor_variable(value)
    except (NotImplementedError, TypeError, ValueError):
        raise TypeError(
            f"{name}: expected an expression of PyTensor, got {value!r}. Functions of NumPy do not give one: "
            "use those of pytensor.tensor."
        ) from None
    require_real_variable(name, variable)
    return variable


def may_be_equal(shape: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Whether two shapes, of which some lengths are not known, may be the same."""
    if len(shape) != len(other):
        return False
    return all(a == b or None in (a, b) for a, b in zip(shape, other, strict=True))


def moderate(*values: Any) -> list[TensorVariable]:
    """Return conditions that variables are finite, and so small that powers of them do not overflow."""
    return [pt.abs(value) < _FAR for value in values if isinstance(value, Variable)]


def zero_unless(condition: TensorVariable, value: Any) -> TensorVariable:
    """Return a parameter where a condition on parameters holds, and zero where it does not."""
    value = pt.as_tensor_variable(value)
    # PyTensor's rewrite of a choice between two zeros makes the stack trace of that constant, which outlives
    # the graph, three times as long with every compilation.
    if isinstance(value, Constant) and not value.data.any():
        return value
    return pt.switch(condition, value, 0.0)


def within(
    values: Sequence[Any], instead: Sequence[float], *conditions: bool | TensorVariable
) -> tuple[TensorVariable, ...]:
    """Whether parameters lie within a domain, and then parameters that do in any case.

    Parameters
    ----------
    values : sequence of numbers or variables
    instead : sequence of float
        What is taken for the parameters where they lie outside.
    *conditions : bool or variable
        All hold within the domain, where no parameter is extreme either.
    """
    variables = (condition for condition in conditions if isinstance(condition, Variable))
    known = pt.as_tensor_variable(np.array(all(c for c in conditions if not isinstance(c, Variable))))
    admissible = reduce(and_, [*moderate(*values), *variables], known)
    # PyTensor would take a number such as 2.0 for one of single precision, and go on with that.
    full = (
        value if isinstance(value, Variable) else pt.as_tensor_variable(np.float64(value)) for value in values
    )
    inside = (
        pt.switch(admissible, value, other) if other else zero_unless(admissible, value)
        for value, other in zip(full, instead, strict=True)
    )
    return admissible, *inside


class Domain(NamedTuple):
    """Where a parameter lies, a number or a pair.

    Attributes
    ----------
    read : callable
        From a name and what the user gave to the numbers or variables of the parameter.
    require : callable
        Of the name and these; raises ValueError where numbers lie outside.
    conditions : callable
        Of these; what holds inside.
    instead : tuple of float
        What is taken for these where some parameter lies outside its domain.
    """

    read: Callable[[str, Any], tuple[Any, ...]]
    require: Callable[..., None]
    conditions: Callable[..., tuple[Any, ...]]
    instead: tuple[float, ...]


def _one(name: str, value: Any) -> tuple[Any]:
    return (scalar(name, value),)


REAL = Domain(_one, lambda name, value: None, lambda value: (), (0.0,))
NOT_NEGATIVE = Domain(_one, require_not_negative, lambda value: (value >= 0.0,), (0.0,))
POSITIVE = Domain(_one, require_positive, lambda value: (value > 0.0,), (1.0,))
PLANE = Domain(pair, lambda name, y, x: None, lambda y, x: (), (0.0, 0.0))


def between(low: float, high: float, instead: float) -> Domain:
    """Domain of a number between two others."""

    def require(name: str, value: Any) -> None:
        require_between(name, value, low, high)

    return Domain(_one, require, lambda value: (value > low, value < high), (instead,))


def elliptical(below: float = 1.0) -> Domain:
    """Domain of elliptical components inside a circle."""

    def require(name: str, e_y: Any, e_x: Any) -> None:
        require_ell_comps(name, (e_y, e_x), below)

    return Domain(pair, require, lambda e_y, e_x: (e_y * e_y + e_x * e_x < below**2,), (0.0, 0.0))


class Bounded:
    """What has parameters, each a number or a variable in a domain of its own.

    Attributes
    ----------
    domains : dict of str to Domain
        By the names of the parameters.
    """

    domains: ClassVar[Mapping[str, Domain]] = {}

    def __post_init__(self) -> None:
        for name, domain in self.domains.items():
            domain.require(name, *domain.read(name, getattr(self, name)))

    def inside_the_domain(self, *conditions: Any) -> tuple[TensorVariable, ...]:
        """Whether parameters, under more conditions, are admissible, then parameters that are in any case.

        Those of a pair are two, in the order of `domains`.
        """
        values: list[Any] = []
        instead: list[float] = []
        for name, domain in self.domains.items():
            parts = domain.read(name, getattr(self, name))
            values += parts
            instead += domain.instead
            conditions += domain.conditions(*parts)
        return within(values, instead, *conditions)


def ellipticity(e_y: TensorVariable, e_x: TensorVariable) -> TensorVariable:
    """Size of elliptical components, ``(1 - q) / (1 + q)``, whose gradient at the circle, a kink, is zero."""
    return pt.sqrt(e_y * e_y + e_x * e_x + _TINY)


def nan_unless(condition: TensorVariable, value: Any) -> TensorVariable:
    """Return a result where a condition on parameters holds, and NaN where it does not.

    The likelihood is zero at a point where rays or light are not finite, so a prior that reaches beyond a
    profile's domain costs draws but raises nothing. Where the result was computed from parameters that
    passed `zero_unless`, its gradient there is zero rather than NaN.
    """
    return pt.switch(condition, value, np.nan)
