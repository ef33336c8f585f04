"""The posterior of a model as a function of one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection, RaveledVars
from pymc.vartypes import discrete_types

from pymc_lens.inference.preflight import compile_density
from pymc_lens.inference.values import compiled, marked, point_info
from pymc_lens.inference.workers import n_workers, shared_work


class Density:
    """Log-probability and gradient of a flat vector of the model's value variables.

    The observed variables' part can be given less weight, see `set_weight`.

    Parameters
    ----------
    model : pm.Model
    cores : int, optional
        Processes that `shared` work is given to; by default one for each core.

    Raises
    ------
    ValueError
        If it has no free variable, or a discrete one.

    Attributes
    ----------
    evaluations : int
        So far.
    best : (n,) float64 or None
        Where the log-probability at full weight was highest so far.
    """

    def __init__(self, model: pm.Model, cores: int | None = None) -> None:
        _require_continuous(model)
        self.model, self.cores = model, cores
        self.function = compile_density(model)
        self._info = point_info(model)
        self.evaluations = 0
        self.best: np.ndarray | None = None
        self._best_value = -np.inf
        self._weight = 1.0
        self._last: tuple[bytes, float, np.ndarray] | None = None

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        key = flat.tobytes()
        if self._last is None or self._last[0] != key:
            value, gradient = self.function(RaveledVars(flat, self._info))
            self.evaluations += 1
            self._last = key, float(value), np.array(gradient)
            if self._weight == 1.0 and value > self._best_value:
                self.best, self._best_value = flat.copy(), float(value)
        return self._last[1], self._last[2]

    def shared(
        self, work: Callable[[Any], np.ndarray], tasks: Sequence[Any]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Share work that evaluates the density, and yield (number of the task, result) as they come."""

        def counted(task: Any) -> tuple[np.ndarray, int]:
            before = self.evaluations
            return work(task), self.evaluations - before

        counts_here = n_workers(self.cores) == 1
        for k, (result, evaluations) in shared_work(counted, tasks, self.cores):
            self.evaluations += 0 if counts_here else evaluations
            yield k, result

    def set_weight(self, weight: float) -> None:
        """Multiply the log-likelihood by a weight from now on."""
        self.function.set_weights(np.array([weight]))
        self._weight, self._last = weight, None

    def point(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Value variables by name."""
        return DictToArrayBijection.rmap(RaveledVars(flat, self._info))

    def parameters(self, point: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Free and deterministic variables at a point."""
        return self._parameters(point)

    def coordinates(self, names: set[str]) -> np.ndarray:
        """Mark the flat coordinates (n,) of value variables with these names."""
        return marked(self._info, names)

    @cached_property
    def _parameters(self) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        return compiled(self.model, [*self.model.free_RVs, *self.model.deterministics])


def _require_continuous(model: pm.Model) -> None:
    """Raise ValueError unless a model has free variables, all of them continuous."""
    if not model.free_RVs:
        raise ValueError("model: has no free variable. FitImaging fits at fixed numbers.")
    for rv in model.free_RVs:
        if rv.dtype in discrete_types:
            raise ValueError(
                f"model: {rv.name!r} is discrete, and has no gradient. Fit one model for each of its values."
            )
