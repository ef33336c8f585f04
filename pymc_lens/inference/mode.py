"""The mode of the posterior and the curvature there: where sampling starts and the metric it starts with."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection

from pymc_lens.distributions import lensed_images
from pymc_lens.inference.climb import COARSE, FINE, approach, climb, climb_on, settled
from pymc_lens.inference.compact_search import (
    NEARLY_AS_GOOD,
    Candidate,
    compact_candidates,
    prior_draws,
)
from pymc_lens.inference.density import Density
from pymc_lens.inference.preflight import preflight
from pymc_lens.inference.remarks import remarks_on, rounded, within_posterior
from pymc_lens.inference.starts import checked_starts, free_values, initial_point
from pymc_lens.progress import Report, shown
from pymc_lens.validation import integer, require_instance

_log = logging.getLogger(__name__)

# Draws from the prior that the search for the lens looks at, and those of the source's prior at each lens.
_LENSES, _SOURCE_PRIORS = 360, 24
# Two lenses are one if the rays of one are, in the root mean square, so close to the other's, in units of the
# mean deflection.
_SAME_RAYS = 0.02


@dataclass(frozen=True, eq=False)
class Mode:
    """A maximum of the posterior density in the unconstrained space.

    Attributes
    ----------
    point : dict of str to ndarray
        Values of the model's value variables (transformed where a prior is bounded).
    parameters : dict of str to ndarray
        Free and deterministic variables there, in their own units.
    initvals : dict of str to ndarray
        The free ones alone: ``initvals`` of `pymc.sample`, or ``starts`` of another search.
    log_density : float
    covariance : (n, n) float64
        Inverse of the negative Hessian, in the order of the flattened ``point``.
    evaluations : int
        Evaluations of the gradient that the search had taken by then.
    remarks : tuple of str
        What is suspicious about it; `find_mode` warns of these.
    converged : bool
        False if the search was interrupted: the best point so far, with the prior's covariance.
    """

    point: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    initvals: dict[str, np.ndarray]
    log_density: float
    covariance: np.ndarray
    evaluations: int
    remarks: tuple[str, ...] = ()
    converged: bool = True

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {rounded(value)}" for name, value in self.initvals.items())
        return f"Mode(log density {self.log_density:.2f} after {self.evaluations} gradients: {values})"


def find_mode(
    model: pm.Model | None = None,
    *,
    starts: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    keep: int = 3,
    cores: int | None = None,
    progressbar: bool = True,
) -> Mode:
    """Find the highest mode of the posterior.

    By default nothing needs to be known of the lens. Draws from the prior are compared, and the best climbed
    from, with a few concentric Gaussians in the place of the pixelized source: a source that may shine
    anywhere would copy the image behind most lenses. At the lenses that this finds the pixelized source's
    prior is fitted, then everything (quasi-Newton ascents in coordinates whitened by the Hessian, which is
    measured by differences of the exact gradient).

    With ``starts`` the search climbs from these. The values given are held at first, and the likelihood's
    weight grows to one in four ascents, so that the prior keeps everything else in place while it settles;
    then all is released, at once for a start that names every free variable. A start 10-25 % off in Einstein
    radius often ends in a lower mode.

    What is suspicious is said in a warning: a mode at the edge of a prior, at ``|ell_comps| > 0.9``, below a
    start, with a rival close by, or data that need no lens. Ctrl-C ends the search: the best point so far is
    returned.

    Parameters
    ----------
    model : pm.Model, optional
        By default the model on the context stack.
    starts : dict or sequence of dict, optional
        Initial values by variable name, in the parameters' own units; also of deterministic variables that
        depend on a single free one. What a dict leaves out starts at the prior's support point.
    keep : int
        How many lenses or starts, the best so far, are followed to the end.
    cores : int, optional
        Processes that share the work; by default one for each core.
    progressbar : bool

    Returns
    -------
    Mode
        Of whose remarks it warns.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If the model has discrete or no free variables, there are no starts, one names what is no variable of
        the model, ``keep`` is less than 1, or no start has a finite log-probability and gradient; names the
        culprit.
    """
    modes = _search(model, starts, keep, cores, progressbar, _highest_only)
    for remark in modes[0].remarks:
        warnings.warn(remark, stacklevel=2)
    return modes[0]


def find_modes(
    model: pm.Model | None = None,
    *,
    starts: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    keep: int = 3,
    cores: int | None = None,
    progressbar: bool = True,
) -> list[Mode]:
    """Find several modes of the posterior, as `find_mode` does the highest.

    Where a mode may be an artefact of a coarse model, a better one can be started from each.

    Parameters
    ----------
    model, starts, keep, cores, progressbar
        As of `find_mode`.

    Returns
    -------
    list of Mode
        Those that the kept starts lead to, the highest first. Ends within one another's posterior, as the
        curvature at the higher has it, are one.

    Raises
    ------
    TypeError, ValueError
        As `find_mode`.
    """
    modes = _search(model, starts, keep, cores, progressbar, _distinct)
    for remark in modes[0].remarks:
        warnings.warn(remark, stacklevel=2)
    return modes


def higher_mode(model: pm.Model, mode: Mode, flat: np.ndarray, cores: int | None, report: Report) -> Mode:
    """Climb to the mode above a point that lies higher than one.

    Parameters
    ----------
    model : pm.Model
    mode : Mode
        The lower one, whose remarks the other keeps.
    flat : (n,) float64
        Value variables, flattened, of the point.
    cores : int, optional
        Processes that share the work; by default one for each core.
    report : callable
        Told what is going on.
    """
    density = Density(model, cores)
    end = climb(density, flat, np.arange(flat.size), COARSE, report, "higher mode")
    found = _settle(density, end, report)
    return replace(found, evaluations=mode.evaluations + found.evaluations, remarks=mode.remarks)


class _Found(NamedTuple):
    """Where climbs ended, the highest first; the starting points; what the search itself has to say."""

    ends: list[np.ndarray]
    starts: list[np.ndarray]
    remarks: list[str]


def _search(
    model: pm.Model | None,
    starts: Any,
    keep: int,
    cores: int | None,
    progressbar: bool,
    settle: Callable[[Density, list[np.ndarray], Report], list[Mode]],
) -> list[Mode]:
    """Climb, settle what is to be kept of the ends, and look at the highest."""
    model = pm.modelcontext(model)
    require_instance("model", model, pm.Model)
    integer("keep", keep, 1)
    if cores is not None:
        integer("cores", cores, 1)
    given = None if starts is None else [free_values(model, start) for start in checked_starts(starts)]
    density = Density(model, cores)
    draws = _draws(model, np.random.default_rng(0))  # the same search finds the same mode
    with shown("Finding the mode", progressbar) as report:
        try:
            if given is None:
                found = _unattended(density, draws, keep, report)
            else:
                found = _from_starts(density, given, keep, report)
            modes = settle(density, found.ends, report)
        except KeyboardInterrupt:
            return [_interrupted(density, draws)]
    modes.sort(key=lambda mode: mode.log_density, reverse=True)
    remarks = (*found.remarks, *remarks_on(modes[0], found.ends, found.starts, density, draws))
    return [replace(modes[0], remarks=remarks), *modes[1:]]


def _draws(model: pm.Model, rng: np.random.Generator) -> np.ndarray:
    """Return the support point, then draws from the prior, as flat value variables (n_draws, n)."""
    support = DictToArrayBijection.map(model.initial_point()).data
    try:
        return np.concatenate([support[None], prior_draws(model, _LENSES, rng)])
    except NotImplementedError:  # flat priors, potentials
        return support[None]


def _unattended(density: Density, draws: np.ndarray, keep: int, report: Report) -> _Found:
    """Climb from the lenses that compact sources find."""
    model = density.model
    images = [rv for rv in lensed_images(model).values() if rv in model.observed_RVs]
    if not images:
        return _from_starts(density, [{}], keep, report)
    search = compact_candidates(model, images, draws, report, density.cores)
    of_source = np.flatnonzero(~search.of_lens)
    ends = []
    for k, candidate in enumerate(_worth_following(search.candidates)[:keep], start=1):
        stage = f"lens {k}"
        start = _best_source_prior(density, candidate.flat, draws, of_source, report, stage)
        if of_source.size:
            start = climb(density, start, of_source, FINE._replace(tolerance=0.1), report, stage)
        ends.append(start)
    return _Found(_climbed_on(density, ends, report), [draws[0]], search.remarks)


def _worth_following(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Leave out what falls far behind and what is there already."""
    followed: list[Candidate] = []
    best = candidates[0].log_density
    for candidate in candidates:
        behind = best - candidate.log_density > NEARLY_AS_GOOD * abs(best)
        known = candidate.rays.size and any(
            np.sqrt(2.0 * np.mean((candidate.rays - other.rays) ** 2)) <= _SAME_RAYS * other.deflection
            for other in followed
        )
        if not behind and not known:
            followed.append(candidate)
    return followed


def _best_source_prior(
    density: Density,
    flat: np.ndarray,
    draws: np.ndarray,
    of_source: np.ndarray,
    report: Report,
    stage: str,
) -> np.ndarray:
    """Return the point whose source prior, of the draws from it, has the highest density at a lens."""
    points = []
    for draw in draws[: _SOURCE_PRIORS + 1] if of_source.size else draws[:1]:
        point = flat.copy()
        point[of_source] = draw[of_source]
        points.append(point)
    values = []
    for k, point in enumerate(points, start=1):
        values.append(density(point)[0])
        report(f"{stage}, source prior {k}/{len(points)}: log-probability {max(values):.1f}")
    best = points[int(np.argmax(values))]
    if not np.isfinite(max(values)):
        preflight(density.model, density.point(best), density.function)
    return best


def _from_starts(
    density: Density, starts: Sequence[Mapping[str, np.ndarray]], keep: int, report: Report
) -> _Found:
    """Climb from given values, held at first."""
    model = density.model
    points = [initial_point(model, start) for start in starts]
    flats = [DictToArrayBijection.map(point).data for point in points]
    candidates: list[np.ndarray] = []
    for k, (start, point, flat) in enumerate(zip(starts, points, flats, strict=True)):
        if k == len(points) - 1 and not candidates:
            preflight(model, point, density.function)
        if np.isfinite(density(flat)[0]):
            held = density.coordinates({model.rvs_to_values[model[name]].name for name in start})
            # A start that names everything is where somebody has already arrived.
            stage = f"start {k + 1}/{len(points)}"
            candidates.append(
                flat if held.all() else approach(density, flat, np.flatnonzero(~held), report, stage)
            )
    candidates.sort(key=lambda flat: density(flat)[0], reverse=True)
    return _Found(_climbed_on(density, candidates[:keep], report), flats, [])


def _climbed_on(density: Density, starts: list[np.ndarray], report: Report) -> list[np.ndarray]:
    """Climb from each until ends, the highest first, can be compared; an only one is settled anyway."""
    if len(starts) == 1:
        return [climb(density, starts[0], np.arange(starts[0].size), COARSE, report, "climb")]
    ends = [climb_on(density, start, report, f"candidate {k}") for k, start in enumerate(starts, start=1)]
    return sorted(ends, key=lambda flat: density(flat)[0], reverse=True)


def _highest_only(density: Density, ends: list[np.ndarray], report: Report) -> list[Mode]:
    return [_settle(density, ends[0], report)]


def _distinct(density: Density, ends: list[np.ndarray], report: Report) -> list[Mode]:
    modes: list[Mode] = []
    for end in ends:
        if not any(within_posterior(mode, end) for mode in modes):
            modes.append(_settle(density, end, report))
    return modes


def _settle(density: Density, end: np.ndarray, report: Report) -> Mode:
    """Climb the rest of the way, and measure the curvature there."""
    end, root = settled(density, end, report, "settling")
    mode = _mode(density, end, root @ root.T)
    _log.info("Mode at log-probability %.2f after %d gradients.", mode.log_density, density.evaluations)
    return mode


def _mode(density: Density, flat: np.ndarray, covariance: np.ndarray) -> Mode:
    point = density.point(flat)
    parameters = density.parameters(point)
    initvals = {rv.name: parameters[rv.name] for rv in density.model.free_RVs}
    return Mode(point, parameters, initvals, density(flat)[0], covariance, density.evaluations)


def _interrupted(density: Density, draws: np.ndarray) -> Mode:
    best = draws[0] if density.best is None else density.best
    remark = (
        "The search for the mode was interrupted: this is the best point so far. Go on from it with "
        "starts=[mode.initvals]."
    )
    variance = draws.var(axis=0) if len(draws) > 1 else np.ones(best.size)
    return replace(_mode(density, best, np.diag(variance)), remarks=(remark,), converged=False)
