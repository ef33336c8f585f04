"""Quasi-Newton ascents in coordinates whitened by differences of the exact gradient."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize

from pymc_lens.inference.density import Density

_log = logging.getLogger(__name__)

# A coordinate's curvature is first looked for on this scale of the unconstrained space.
_FIRST_STEP = 1e-3
# Differences of the gradient are taken over this fraction of a standard deviation.
_RELATIVE_STEP = 0.3
# The metric is refined over this many standard deviations, so often.
_REFINING_STEP, _REFINEMENTS = 0.7, 2


class Effort(NamedTuple):
    """When an ascent ends: progress in log-probability that counts as none, and iterations."""

    tolerance: float
    iterations: int


# While the likelihood's weight grows, while modes are compared, and at the end.
_TEMPERED, COARSE, FINE = Effort(1.0, 25), Effort(0.1, 100), Effort(1e-4, 300)
# Log-probability below which the gain of a whole climb ends a candidate's.
_ENOUGH = 1.0
# Weights of the likelihood in successive ascents.
_WEIGHTS = (1e-3, 1e-2, 1e-1, 1.0)


def approach(
    density: Density, start: np.ndarray, free: np.ndarray, report: Callable[[str], None], stage: str
) -> np.ndarray:
    """Climb in the free coordinates while the likelihood's weight grows to one.

    At full weight the likelihood of a good image is so steep that an ascent leaves the start at once, for
    whatever mode is downhill from there. At low weight the prior keeps the climb in place.
    """
    density.set_weight(_WEIGHTS[0])
    root = whitening(density, start, free, report)
    for weight in _WEIGHTS[:-1]:
        density.set_weight(weight)
        start = _ascend(density, start, root, _TEMPERED, report, f"{stage}, weight {weight:g}")
    density.set_weight(_WEIGHTS[-1])
    return climb(density, start, free, _TEMPERED, report, stage)


def climb_on(density: Density, start: np.ndarray, report: Callable[[str], None], stage: str) -> np.ndarray:
    """Climb in all coordinates, whitened anew, until that gains next to nothing."""
    gain = np.inf
    while gain > _ENOUGH:
        end = climb(density, start, np.arange(start.size), COARSE, report, stage)
        gain = density(end)[0] - density(start)[0]
        start = end
    return start


def settled(
    density: Density, start: np.ndarray, report: Callable[[str], None], stage: str
) -> tuple[np.ndarray, np.ndarray]:
    """Climb to the very end; return it, and the root (n, n) of the inverse of the negative Hessian there."""
    while True:
        root = whitening(density, start, np.arange(start.size), report)
        end = _ascend(density, start, root, FINE, report, stage)
        if density(end)[0] - density(start)[0] <= _ENOUGH:
            return end, refined(density, end, root, report)
        start = end


def climb(
    density: Density,
    start: np.ndarray,
    free: np.ndarray,
    effort: Effort,
    report: Callable[[str], None],
    stage: str,
) -> np.ndarray:
    """Maximise in the free coordinates, whitened at the start."""
    end = _ascend(density, start, whitening(density, start, free, report), effort, report, stage)
    _log.info("%s: log-probability %.2f, %d gradients.", stage, density(end)[0], density.evaluations)
    return end


def _ascend(
    density: Density,
    start: np.ndarray,
    root: np.ndarray,
    effort: Effort,
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


def whitening(
    density: Density, point: np.ndarray, free: np.ndarray, report: Callable[[str], None]
) -> np.ndarray:
    """Root (n, n_free) of the inverse of the negative Hessian in the free coordinates, made positive."""
    hessian = np.empty((free.size, free.size))
    columns = density.shared(lambda i: _gradient_difference(density, point, i)[free], free.tolist())
    for done, (row, column) in enumerate(columns, start=1):
        hessian[row] = column
        report(f"curvature {done}/{free.size}: {density.evaluations} gradients")
    scales = np.sqrt(np.clip(np.abs(hessian.diagonal()), 1e-2, None))
    values, vectors = eigh(-0.5 * (hessian + hessian.T) / np.outer(scales, scales))
    # Away from the mode some directions curve upwards; their length scale is what matters.
    root = np.zeros((point.size, free.size))
    root[free] = vectors / np.sqrt(np.clip(np.abs(values), 1e-3, None)) / scales[:, None]
    return root


def refined(
    density: Density, mode: np.ndarray, root: np.ndarray, report: Callable[[str], None]
) -> np.ndarray:
    """Whiten again, by the Hessian along the columns of the root and over the width of the posterior.

    Where parameters are degenerate the widest direction is a small difference of the coordinates' large
    curvatures: measured along the coordinates it drowns in their errors.
    """
    for _ in range(_REFINEMENTS):
        hessian = np.empty(root.shape)
        steps = list(_REFINING_STEP * root.T)
        differences = density.shared(lambda step: density(mode + step)[1] - density(mode - step)[1], steps)
        for done, (k, difference) in enumerate(differences, start=1):
            hessian[k] = root.T @ difference / (2.0 * _REFINING_STEP)
            report(f"metric {done}/{len(root)}: {density.evaluations} gradients")
        values, vectors = eigh(-0.5 * (hessian + hessian.T))
        root = root @ (vectors / np.sqrt(np.clip(np.abs(values), 1e-3, None)))
    return root


def _gradient_difference(density: Density, point: np.ndarray, i: int) -> np.ndarray:
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


def _difference(density: Density, point: np.ndarray, step: np.ndarray) -> np.ndarray:
    return (density(point + step)[1] - density(point - step)[1]) / (2.0 * step.max())
