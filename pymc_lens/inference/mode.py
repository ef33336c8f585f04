"""The mode of the posterior and the curvature there: where sampling starts and the metric it starts with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection, RaveledVars
from pymc.initial_point import make_initial_point_fn
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from scipy.linalg import cholesky, eigh
from scipy.optimize import minimize

from pymc_lens.inference.preflight import compile_density, preflight

_log = logging.getLogger(__name__)

# A coordinate's curvature is first looked for on this scale of the unconstrained space.
_FIRST_STEP = 1e-3
# Differences of the gradient are taken over this fraction of a standard deviation.
_RELATIVE_STEP = 0.1


@dataclass(frozen=True, eq=False)
class Mode:
    """A maximum of the posterior density in the unconstrained space.

    Attributes
    ----------
    point : dict of str to ndarray
        Values of the model's value variables (transformed where a prior is bounded).
    log_density : float
    covariance : (n, n) float64
        Inverse of the negative Hessian, in the order of the flattened ``point``.
    evaluations : int
        Evaluations of the gradient that it took.
    """

    point: dict[str, np.ndarray]
    log_density: float
    covariance: np.ndarray
    evaluations: int


def find_mode(
    model: pm.Model | None = None,
    *,
    starts: Sequence[dict[str, Any]] = ({},),
    progressbar: bool = True,
) -> Mode:
    """Climb to the highest mode of the posterior from one or several starting points.

    Quasi-Newton ascent (L-BFGS) from each start, in coordinates whitened by the Hessian there, which is measured
    by central differences of the exact gradient; at the best end point the same again settles the mode. Modes of lens models are many, and a start 10-25 % off in Einstein radius often ends in a lower one:
    give several starts.

    Parameters
    ----------
    model : pm.Model, optional
        By default the model on the context stack.
    starts : sequence of dict
        Initial values by variable name, in the parameters' own units; what a dict leaves out starts at the
        prior's support point.
    progressbar : bool

    Raises
    ------
    ValueError
        If no start has a finite log-probability and gradient; names the culprit.
    """
    model = pm.modelcontext(model)
    density = _Density(model)
    points = [_initial_point(model, start) for start in starts]
    with _progress(progressbar) as report:
        ends = []
        for k, point in enumerate(points):
            if len(points) == 1 or k == len(points) - 1 and not ends:
                preflight(model, point, density.function)
            flat = DictToArrayBijection.map(point).data
            if np.isfinite(density(flat)[0]):
                root = cholesky(_covariance(density, flat, report), lower=True)
                ends.append(_ascend(density, flat, root, report, f"start {k + 1}/{len(points)}"))
        best = max(ends, key=lambda end: density(end)[0])
        root = cholesky(_covariance(density, best, report), lower=True)
        best = _ascend(density, best, root, report, "settling the mode")
        covariance = _covariance(density, best, report)
    value, _ = density(best)
    _log.info("Mode at log-probability %.2f after %d gradients.", value, density.evaluations)
    return Mode(density.point(best), value, covariance, density.evaluations)


class _Density:
    """Log-probability and gradient of a flat vector, counting its evaluations."""

    def __init__(self, model: pm.Model) -> None:
        self.function = compile_density(model)
        self._info = DictToArrayBijection.map(model.initial_point()).point_map_info
        self.evaluations = 0
        self._last: tuple[bytes, float, np.ndarray] | None = None

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        key = flat.tobytes()
        if self._last is None or self._last[0] != key:
            value, gradient = self.function(RaveledVars(flat, self._info))
            self.evaluations += 1
            self._last = key, float(value), np.array(gradient)
        return self._last[1], self._last[2]

    def point(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        return DictToArrayBijection.rmap(RaveledVars(flat, self._info))


def _initial_point(model: pm.Model, start: dict[str, Any]) -> dict[str, np.ndarray]:
    unknown = set(start) - {rv.name for rv in model.free_RVs}
    if unknown:
        raise ValueError(f"starts: {sorted(unknown)} are not free variables of the model.")
    overrides = {model[name]: value for name, value in start.items()}
    return make_initial_point_fn(model=model, overrides=overrides, return_transformed=True)(0)


def _ascend(
    density: _Density, start: np.ndarray, root: np.ndarray, report: Callable[[str], None], stage: str
) -> np.ndarray:
    """Maximise over ``start + root @ u``; points without likelihood count as very low."""
    floor = density(start)[0] - 1e8

    def objective(u: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(start + root @ u)
        report(f"{stage}: log-probability {value:.1f}, {density.evaluations} gradients")
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -floor, np.zeros_like(u)
        return -value, -root.T @ gradient

    result = minimize(
        objective, np.zeros(start.size), jac=True, method="L-BFGS-B", options={"maxiter": 300, "maxcor": 30, "ftol": 1e-9, "gtol": 1e-3}
    )
    return start + root @ result.x


def _covariance(density: _Density, mode: np.ndarray, report: Callable[[str], None]) -> np.ndarray:
    """Inverse of the negative Hessian, made positive, by central differences of the gradient."""
    n = mode.size
    hessian = np.empty((n, n))
    for i in range(n):
        step = np.zeros(n)
        step[i] = _FIRST_STEP
        for _ in range(3):
            column = (density(mode + step)[1] - density(mode - step)[1]) / (2.0 * step[i])
            wanted = _RELATIVE_STEP / np.sqrt(max(abs(column[i]), 1e-2))
            if 0.3 < step[i] / wanted < 3.0:
                break
            step[i] = wanted
        hessian[i] = column
        report(f"curvature at the mode, {i + 1}/{n}: {density.evaluations} gradients")
    scales = np.sqrt(np.clip(np.abs(hessian.diagonal()), 1e-2, None))
    values, vectors = eigh(-0.5 * (hessian + hessian.T) / np.outer(scales, scales))
    # Away from the mode some directions curve upwards; their length scale is what matters.
    inverse = (vectors / np.clip(np.abs(values), 1e-3, None)) @ vectors.T
    return inverse / np.outer(scales, scales)


class _progress:
    """A one-line display of what the search is doing."""

    def __init__(self, shown: bool) -> None:
        columns = SpinnerColumn(), TextColumn("Finding the mode, {task.description}"), TimeElapsedColumn()
        self._progress = Progress(*columns, disable=not shown, transient=True)

    def __enter__(self) -> Callable[[str], None]:
        self._progress.start()
        task = self._progress.add_task("starting")
        return lambda text: self._progress.update(task, description=text)

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
