"""The mode of the posterior and the curvature there: where sampling starts and the metric it starts with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection, RaveledVars
from pymc.initial_point import make_initial_point_fn
from pytensor.tensor.variable import TensorVariable
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from scipy.linalg import eigh
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from pymc_lens.inference.preflight import compile_density, preflight

_log = logging.getLogger(__name__)

# A coordinate's curvature is first looked for on this scale of the unconstrained space.
_FIRST_STEP = 1e-3
# Differences of the gradient are taken over this fraction of a standard deviation.
_RELATIVE_STEP = 0.3
# The metric is refined over this many standard deviations, so often.
_REFINING_STEP, _REFINEMENTS = 0.7, 2


class _Effort(NamedTuple):
    """When an ascent ends: progress in log-probability that counts as none, and iterations."""

    tolerance: float
    iterations: int


# While the likelihood's weight grows, while modes are compared, and at the end.
_TEMPERED, _COARSE, _FINE = _Effort(1.0, 25), _Effort(0.1, 100), _Effort(1e-4, 300)
# Log-probability below which the gain of a whole climb ends a candidate's.
_ENOUGH = 1.0
# Weights of the likelihood in successive ascents.
_WEIGHTS = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, eq=False)
class Mode:
    """A maximum of the posterior density in the unconstrained space.

    Attributes
    ----------
    point : dict of str to ndarray
        Values of the model's value variables (transformed where a prior is bounded).
    parameters : dict of str to ndarray
        Free and deterministic variables there, in their own units.
    log_density : float
    covariance : (n, n) float64
        Inverse of the negative Hessian, in the order of the flattened ``point``.
    evaluations : int
        Evaluations of the gradient that the search had taken by then.
    """

    point: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    log_density: float
    covariance: np.ndarray
    evaluations: int


def find_mode(
    model: pm.Model | None = None,
    *,
    starts: Sequence[dict[str, Any]] = ({},),
    keep: int = 3,
    progressbar: bool = True,
) -> Mode:
    """Climb to the highest mode of the posterior from one or several starting points.

    Quasi-Newton ascent (L-BFGS) from each start, in coordinates whitened by the Hessian there, which is
    measured by central differences of the exact gradient; at the best end point the same again settles the
    mode. At first the values given in a start are held, and the likelihood's weight grows to one in four
    ascents, so that the prior keeps everything else in place while it settles: a mass model that starts out
    wrong must not be bent to make up for lens light that has not been fitted yet. Then all is released; at
    once for a start that names every free variable. Modes of lens models are many, and a start 10-25 % off in
    Einstein radius often ends in a lower one: where the prior is wide, give several starts.

    Parameters
    ----------
    model : pm.Model, optional
        By default the model on the context stack.
    starts : sequence of dict
        Initial values by variable name, in the parameters' own units; what a dict leaves out starts at the
        prior's support point.
    keep : int
        How many starts, the best after the first ascent, are followed to the end.
    progressbar : bool

    Raises
    ------
    ValueError
        If there are no starts, one names what is no free variable, ``keep`` is less than 1, or no start has
        a finite log-probability and gradient; names the culprit.
    """
    model = pm.modelcontext(model)
    density = _Density(model)
    with _searching(progressbar) as report:
        highest, *_ = _ends(density, starts, keep, report)
        return _settle(density, highest, report)


def find_modes(
    model: pm.Model | None = None,
    *,
    starts: Sequence[dict[str, Any]] = ({},),
    keep: int = 3,
    progressbar: bool = True,
) -> list[Mode]:
    """Climb to several modes of the posterior, as `find_mode` does to the highest.

    Where a mode may be an artefact of a coarse model, a better one can be started from each.

    Parameters
    ----------
    model, starts, keep, progressbar
        As of `find_mode`.

    Returns
    -------
    list of Mode
        Those that the kept starts lead to, the highest first. Ends within one another's posterior, as the
        curvature at the higher has it, are one.

    Raises
    ------
    ValueError
        As `find_mode`.
    """
    model = pm.modelcontext(model)
    density = _Density(model)
    modes: list[Mode] = []
    with _searching(progressbar) as report:
        for end in _ends(density, starts, keep, report):
            if not any(_within_posterior(mode, end) for mode in modes):
                modes.append(_settle(density, end, report))
    return sorted(modes, key=lambda mode: mode.log_density, reverse=True)


def _ends(
    density: _Density, starts: Sequence[dict[str, Any]], keep: int, report: Callable[[str], None]
) -> list[np.ndarray]:
    """Climb from the starts, and on from the best; returns where that ends, the highest first."""
    if not starts:
        raise ValueError("starts: expected at least one dict of initial values, which may be {}, got none.")
    if keep < 1:
        raise ValueError(f"keep: expected at least 1 start to follow to the end, got {keep!r}.")
    model = density.model
    points = [_initial_point(model, start) for start in starts]
    candidates: list[np.ndarray] = []
    for k, (start, point) in enumerate(zip(starts, points, strict=True)):
        if k == len(points) - 1 and not candidates:
            preflight(model, point, density.function)
        flat = DictToArrayBijection.map(point).data
        if np.isfinite(density(flat)[0]):
            stage = f"start {k + 1}/{len(points)}"
            free = _not_named(model, start, point)
            # A start that names everything is where somebody has already arrived.
            candidates.append(_approach(density, flat, free, report, stage) if free.size else flat)
    candidates.sort(key=lambda flat: density(flat)[0], reverse=True)
    ends = [
        _climb_on(density, flat, report, f"candidate {k}")
        for k, flat in enumerate(candidates[:keep], start=1)
    ]
    return sorted(ends, key=lambda flat: density(flat)[0], reverse=True)


def _within_posterior(mode: Mode, flat: np.ndarray) -> bool:
    """Whether a point is no farther from a mode than draws from the Gaussian around it are on average."""
    away = flat - DictToArrayBijection.map(mode.point).data
    return float(away @ np.linalg.solve(mode.covariance, away)) < away.size


def _settle(density: _Density, end: np.ndarray, report: Callable[[str], None]) -> Mode:
    """Climb the rest of the way, and measure the curvature there."""
    end = _climb(density, end, np.arange(end.size), _FINE, report, "settling")
    root = _whitening(density, end, np.arange(end.size), report)
    for _ in range(_REFINEMENTS):
        root = _refine(density, end, root, report)
    value, _ = density(end)
    _log.info("Mode at log-probability %.2f after %d gradients.", value, density.evaluations)
    point = density.point(end)
    return Mode(point, density.parameters(point), value, root @ root.T, density.evaluations)


class _Density:
    """Log-probability and gradient of a flat vector, counting its evaluations.

    The observed variables' part can be given less weight, see `set_weight`.
    """

    def __init__(self, model: pm.Model) -> None:
        self.model = model
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

    def set_weight(self, weight: float) -> None:
        """Multiply the log-likelihood by a weight from now on."""
        self.function.set_weights(np.array([weight]))
        self._last = None

    def point(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        return DictToArrayBijection.rmap(RaveledVars(flat, self._info))

    def parameters(self, point: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Free and deterministic variables at a point."""
        return {rv.name: value for rv, value in zip(self._variables, self._values(point), strict=True)}

    @property
    def _variables(self) -> list[TensorVariable]:
        return [*self.model.free_RVs, *self.model.deterministics]

    @cached_property
    def _values(self) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
        values = self.model.replace_rvs_by_values(self._variables)
        return self.model.compile_fn(values, inputs=self.model.value_vars, on_unused_input="ignore")


def _initial_point(model: pm.Model, start: dict[str, Any]) -> dict[str, np.ndarray]:
    unknown = set(start) - {rv.name for rv in model.free_RVs}
    if unknown:
        raise ValueError(f"starts: {sorted(unknown)} are not free variables of the model.")
    overrides = {model[name]: value for name, value in start.items()}
    return make_initial_point_fn(model=model, overrides=overrides, return_transformed=True)(0)


def _not_named(model: pm.Model, start: dict[str, Any], point: dict[str, np.ndarray]) -> np.ndarray:
    """Flat indices of what a start does not name."""
    named = {model.rvs_to_values[model[name]].name for name in start}
    free = np.concatenate([np.full(np.size(value), name not in named) for name, value in point.items()])
    return np.flatnonzero(free)


def _approach(
    density: _Density, start: np.ndarray, free: np.ndarray, report: Callable[[str], None], stage: str
) -> np.ndarray:
    """Climb in the free coordinates while the likelihood's weight grows to one.

    At full weight the likelihood of a good image is so steep that an ascent leaves the start at once, for
    whatever mode is downhill from there. At low weight the prior keeps the climb in place.
    """
    density.set_weight(_WEIGHTS[0])
    root = _whitening(density, start, free, report)
    for weight in _WEIGHTS[:-1]:
        density.set_weight(weight)
        start = _ascend(density, start, root, _TEMPERED, report, f"{stage}, weight {weight:g}")
    density.set_weight(_WEIGHTS[-1])
    return _climb(density, start, free, _TEMPERED, report, stage)


def _climb_on(density: _Density, start: np.ndarray, report: Callable[[str], None], stage: str) -> np.ndarray:
    """Climb in all coordinates, whitened anew, until that gains next to nothing."""
    gain = np.inf
    while gain > _ENOUGH:
        end = _climb(density, start, np.arange(start.size), _COARSE, report, stage)
        gain = density(end)[0] - density(start)[0]
        start = end
    return start


def _climb(
    density: _Density,
    start: np.ndarray,
    free: np.ndarray,
    effort: _Effort,
    report: Callable[[str], None],
    stage: str,
) -> np.ndarray:
    """Maximise in the free coordinates, whitened at the start."""
    end = _ascend(density, start, _whitening(density, start, free, report), effort, report, stage)
    _log.info("%s: log-probability %.2f, %d gradients.", stage, density(end)[0], density.evaluations)
    return end


def _ascend(
    density: _Density,
    start: np.ndarray,
    root: np.ndarray,
    effort: _Effort,
    report: Callable[[str], None],
    stage: str,
) -> np.ndarray:
    """Maximise over ``start + root @ u``; points without likelihood count as very low."""
    level = density(start)[0]

    def objective(u: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(start + root @ u)
        report(f"{stage}: log-probability {value:.1f}, {density.evaluations} gradients")
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e8 - level, np.zeros_like(u)
        return -value, -root.T @ gradient

    options = {
        "maxiter": effort.iterations,
        "maxcor": 30,
        "ftol": effort.tolerance / max(abs(level), 1.0),
        "gtol": 1e-3,
    }
    zero = np.zeros(root.shape[1])
    result: Any = minimize(objective, zero, jac=True, method="L-BFGS-B", options=options)  # type: ignore[call-overload]
    return start + root @ result.x


def _whitening(
    density: _Density, point: np.ndarray, free: np.ndarray, report: Callable[[str], None]
) -> np.ndarray:
    """Root (n, n_free) of the inverse of the negative Hessian in the free coordinates, made positive."""
    hessian = np.empty((free.size, free.size))
    for row, i in enumerate(free):
        hessian[row] = _gradient_difference(density, point, i)[free]
        report(f"curvature {row + 1}/{free.size}: {density.evaluations} gradients")
    scales = np.sqrt(np.clip(np.abs(hessian.diagonal()), 1e-2, None))
    values, vectors = eigh(-0.5 * (hessian + hessian.T) / np.outer(scales, scales))
    # Away from the mode some directions curve upwards; their length scale is what matters.
    root = np.zeros((point.size, free.size))
    root[free] = vectors / np.sqrt(np.clip(np.abs(values), 1e-3, None)) / scales[:, None]
    return root


def _refine(
    density: _Density, mode: np.ndarray, root: np.ndarray, report: Callable[[str], None]
) -> np.ndarray:
    """Whiten again, by the Hessian along the columns of the root and over the width of the posterior.

    Where parameters are degenerate the widest direction is a small difference of the coordinates' large
    curvatures: measured along the coordinates it drowns in their errors.
    """
    hessian = np.empty(root.shape)
    for k, direction in enumerate(root.T):
        step = _REFINING_STEP * direction
        difference = density(mode + step)[1] - density(mode - step)[1]
        hessian[k] = root.T @ difference / (2.0 * _REFINING_STEP)
        report(f"metric {k + 1}/{len(root)}: {density.evaluations} gradients")
    values, vectors = eigh(-0.5 * (hessian + hessian.T))
    return root @ (vectors / np.sqrt(np.clip(np.abs(values), 1e-3, None)))


def _gradient_difference(density: _Density, point: np.ndarray, i: int) -> np.ndarray:
    """Differentiate the gradient (n,) along coordinate i, over a step that suits its curvature."""
    step = np.zeros(point.size)
    step[i] = _FIRST_STEP
    column = _difference(density, point, step)
    for _ in range(2):
        wanted = _RELATIVE_STEP / np.sqrt(max(abs(column[i]), 1e-2))
        if 0.2 < step[i] / wanted < 5.0:
            break
        step[i] = wanted
        column = _difference(density, point, step)
    return column


def _difference(density: _Density, point: np.ndarray, step: np.ndarray) -> np.ndarray:
    return (density(point + step)[1] - density(point - step)[1]) / (2.0 * step.max())


@contextmanager
def _searching(progressbar: bool) -> Iterator[Callable[[str], None]]:
    """Show in one line what the search is doing, and give BLAS one thread.

    The kernels call BLAS on small blocks, where a second thread only waits.
    """
    columns = SpinnerColumn(), TextColumn("Finding the mode, {task.description}"), TimeElapsedColumn()
    display = Progress(*columns, disable=not progressbar, transient=True)
    with display, threadpool_limits(1, user_api="blas"):
        task = display.add_task("starting")
        yield lambda text: display.update(task, description=text)
