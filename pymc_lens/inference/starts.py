"""Starting points in the user's own coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
from pymc.initial_point import make_initial_point_fn
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable
from scipy.optimize import root

from pymc_lens.validation import is_numeric

# Of a deterministic variable found again from the free one beneath it, relative to 1 + its size.
_SAME = 1e-6


def checked_starts(starts: Any) -> list[dict[str, Any]]:
    """Return one or several dicts of starting values as a list.

    Raises
    ------
    TypeError
        If they are something else.
    ValueError
        If there are none.
    """
    listed = [starts] if isinstance(starts, Mapping) else starts
    if not isinstance(listed, Sequence) or not all(isinstance(start, Mapping) for start in listed):
        raise TypeError(f"starts: expected a dict of initial values or a list of them, got {starts!r}.")
    if not listed:
        raise ValueError("starts: expected at least one dict of initial values, which may be {}, got none.")
    return [dict(start) for start in listed]


def free_values(model: pm.Model, start: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Values of free variables that give the variables of a start their values.

    Parameters
    ----------
    model : pm.Model
    start : mapping of str to value
        Free variables, or deterministic ones that depend on a single free variable of the same size.

    Returns
    -------
    dict of str to ndarray
        Free variables by name, in their own units.

    Raises
    ------
    ValueError
        If a name is unknown, a value has another shape than its variable or is not finite, or a deterministic
        variable cannot have its value.
    """
    values: dict[str, np.ndarray] = {}
    for name, value in start.items():
        variable = _variable(model, name)
        if not is_numeric(value) or not np.isfinite(np.asarray(value, dtype=float)).all():
            raise ValueError(f"starts: expected finite numbers for {name!r}, got {value!r}.")
        if variable in model.free_RVs:
            values[name] = np.asarray(value, dtype=float)
        else:
            free, values_of_free = _solved(model, variable, np.asarray(value, dtype=float))
            values[free] = values_of_free
    return values


def initial_point(model: pm.Model, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Value variables by name; what is not given is at the prior's support point.

    Raises
    ------
    ValueError
        If a value has another shape than its variable, or lies outside its support.
    """
    support = make_initial_point_fn(model=model, return_transformed=False)(0)
    for name, value in values.items():
        if np.shape(value) != np.shape(support[name]):
            raise ValueError(
                f"starts: expected shape {np.shape(support[name])} for {name!r}, got {np.shape(value)}."
            )
    overrides = {model[name]: value for name, value in values.items()}
    point = make_initial_point_fn(model=model, overrides=overrides, return_transformed=True)(0)
    for name in values:
        if not np.isfinite(point[model.rvs_to_values[model[name]].name]).all():
            raise ValueError(f"starts: {name!r} = {values[name]} lies outside the support of its prior.")
    return point


def _variable(model: pm.Model, name: str) -> TensorVariable:
    variables = {rv.name: rv for rv in (*model.free_RVs, *model.deterministics)}
    if name not in variables:
        free = sorted(rv.name for rv in model.free_RVs)
        raise ValueError(
            f"starts: {name!r} is not a variable of the model, whose free variables are {', '.join(free)}."
        )
    return variables[name]


def _solved(model: pm.Model, variable: TensorVariable, wanted: np.ndarray) -> tuple[str, np.ndarray]:
    """Name and value of the free variable beneath a deterministic one that gives it a value."""
    (expression,) = model.replace_rvs_by_values([variable])
    above = set(ancestors([expression]))
    beneath = [value for value in model.value_vars if value in above]
    names = [model.values_to_rvs[value].name for value in beneath]
    if len(beneath) != 1:
        raise ValueError(
            f"starts: {variable.name!r} depends on {len(beneath)} free variables: give {', '.join(names)}."
        )
    (value,), (name,) = beneath, names
    first = np.asarray(model.initial_point()[value.name], dtype=float)
    if first.size != wanted.size:
        raise ValueError(
            f"starts: expected {first.size} values for {variable.name!r}, got shape {wanted.shape}. "
            f"Give {name} instead."
        )
    function = pm.compile([value], [expression, model.replace_rvs_by_values([model[name]])[0]])

    def miss(flat: np.ndarray) -> np.ndarray:
        return np.ravel(function(flat.reshape(first.shape))[0]) - wanted.ravel()

    # Off the point of symmetry, where a derivative may vanish.
    found = root(miss, first.ravel() + 0.1).x
    if not np.abs(miss(found)).max(initial=0.0) < _SAME * (1.0 + np.abs(wanted).max(initial=0.0)):
        raise ValueError(f"starts: no value of {name} gives {variable.name} = {wanted}.")
    return name, function(found.reshape(first.shape))[1]
