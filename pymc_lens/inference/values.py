"""A model's log density at many points of the sampler's own coordinates, and the way to them from draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pymc.blocking import DictToArrayBijection, RaveledVars
from pytensor.tensor.variable import TensorVariable

from pymc_lens.inference.workers import shared_work

# Points that a process is given at a time.
_CHUNK = 8


class Values:
    """Log density of flat vectors of a model's value variables; the processes of one machine share the work.

    Parameters
    ----------
    model : pm.Model
    info : sequence
        Places of the value variables in a flat vector, see `point_info`.
    cores : int, optional
        Processes; by default one for each core.
    jacobian : bool
        False for the density in the parameters' own units, which is the same whatever the coordinates are.
    """

    def __init__(
        self, model: pm.Model, info: Any, cores: int | None = None, *, jacobian: bool = True
    ) -> None:
        self.cores, self._info = cores, info
        self._log_density = model.compile_logp(jacobian=jacobian)

    def __call__(self, points: np.ndarray, report: Callable[[str], None] = lambda text: None) -> np.ndarray:
        """Log densities (n_points,) of points (n_points, n); -inf where there is none."""
        values = np.empty(len(points))
        chunks = np.array_split(points, -(-len(points) // _CHUNK))
        starts = np.cumsum([0, *map(len, chunks)])
        done = 0
        for k, result in shared_work(self._of_chunk, chunks, self.cores):
            values[starts[k] : starts[k + 1]] = result
            done += len(result)
            report(f"{done} of {len(points)} values")
        return np.where(np.isnan(values), -np.inf, values)

    def _of_chunk(self, chunk: np.ndarray) -> list[float]:
        points = (DictToArrayBijection.rmap(RaveledVars(flat, self._info)) for flat in chunk)
        return [float(self._log_density(point)) for point in points]


def point_info(model: pm.Model) -> Any:
    """Return the places of a model's value variables in a flat vector, in its own order."""
    return DictToArrayBijection.map(model.initial_point()).point_map_info


def marked(info: Any, names: set[str]) -> np.ndarray:
    """Mark the coordinates (n,) of value variables with these names in a flat vector, see `point_info`."""
    return np.array([name in names for name, _, size, _ in info for _ in range(size)], dtype=bool)


def compiled(
    model: pm.Model, variables: Sequence[TensorVariable]
) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """Compile variables of a model, by name, as a function of its value variables."""
    function = model.compile_fn(
        model.replace_rvs_by_values(variables), inputs=model.value_vars, on_unused_input="ignore"
    )
    names = [variable.name for variable in variables]
    return lambda point: dict(zip(names, function(point), strict=True))


def value_variables(model: pm.Model) -> list[TensorVariable]:
    """Return a model's value variables as functions of its free variables, in the order of these."""
    transforms = [(rv, model.rvs_to_transforms[rv]) for rv in model.free_RVs]
    return [rv if way is None else way.forward(rv, *rv.owner.inputs) for rv, way in transforms]


def points_of(model: pm.Model, draws: xr.Dataset) -> np.ndarray:
    """Return draws along ``sample``, in the parameters' own units, as flat vectors (sample, n).

    Value variables are in the order of `point_info`.
    """
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    function = pytensor.function(model.free_RVs, value_variables(model), on_unused_input="ignore")
    arrays = [draws[rv.name].transpose("sample", ...).values for rv in model.free_RVs]
    order = [name for name, *_ in point_info(model)]
    points = []
    for draw in zip(*arrays, strict=True):
        at = dict(zip(names, function(*draw), strict=True))
        points.append(np.concatenate([np.ravel(at[name]) for name in order]))
    return np.array(points)
