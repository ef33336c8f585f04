"""Where the right lens is, by compact sources.

The evidence of a source that may shine anywhere prefers wrong lenses on many images: those that copy the arcs
behind a lens that bends little, or that swallow the light of the lens. A few concentric Gaussians in the
source plane can do neither.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection
from pytensor.tensor.variable import TensorVariable
from scipy.optimize import minimize

from pymc_lens.inference.compact_density import CompactDensity, CompactImage
from pymc_lens.inference.workers import shared_work
from pymc_lens.inversion.compact_source import CompactFit, CompactSource

_log = logging.getLogger(__name__)

# Bins of the mean deflection whose best draws from the prior are climbed from.
_BINS = 9
# Iterations of mass and source, then of everything, then of the best ones to the end.
_FIRST, _SECOND, _LAST, _FINALISTS = 30, 40, 150, 4
# A residual of so many sigma weighs half while the light is fitted without a source.
_OUTLIER, _LIGHT_PASSES, _LIGHT_ITERATIONS = 3.0, 4, 25
# First steps of a source's coordinates: pixels for its centre, and of its elliptical components.
_CENTRE_STEP, _ELLIPTICITY_STEP = 1.0, 0.1
# Quantile of the residuals over the light from which pixels count as arcs.
_BRIGHT = 0.97
_VERY_LOW = 1e12
# Log-likelihood that a source must gain to be seen: it has some ten free numbers.
_SEEN = 20.0


class Candidate(NamedTuple):
    """Where a climb with compact sources ended.

    Attributes
    ----------
    flat : (n,) float64
        The model's value variables.
    log_density : float
        Of the compact model, up to a constant.
    rays : (n_rays, 2) float64
        Positions of all images' sub-pixels in the planes of all pixelized sources, arcsec.
    deflection : float
        Mean length of their deflections, arcsec.
    """

    flat: np.ndarray
    log_density: float
    rays: np.ndarray
    deflection: float


class CompactSearch(NamedTuple):
    """What a search with compact sources found.

    Attributes
    ----------
    candidates : list of Candidate
        The highest first.
    of_lens : (n,) bool
        The model's coordinates that rays or light depend on; the others are as in the first draw.
    gain : float
        Log-likelihood of the best with its compact source over that of light alone.
    """

    candidates: list[Candidate]
    of_lens: np.ndarray
    gain: float

    @property
    def remarks(self) -> list[str]:
        """Why these may not be lenses."""
        if self.gain > _SEEN:
            return []
        return [
            f"No lensed source is seen: the best compact one raises the log-likelihood by {self.gain:.1f} "
            "only. The posterior is that of a lens which the data do not need."
        ]


def compact_candidates(
    model: pm.Model,
    images: Sequence[TensorVariable],
    draws: np.ndarray,
    report: Callable[[str], None],
    cores: int | None = None,
) -> CompactSearch:
    """Search for lenses that trace the images to compact sources.

    The light is fitted alone at first, robustly, so that arcs do not count. With the light held, draws from
    the prior are compared, each with its source where bright pixels trace to. The best draw in each bin of
    the mean deflection starts a climb: in mass and source, then in everything; the best of these go on.

    Parameters
    ----------
    model : pm.Model
    images : sequence of TensorVariable
        Its observed pixelized images.
    draws : (n_draws, n) float64
        Value variables, flattened: where to start. The first is taken for the rest of the model: its light
        and its source's prior are those of all others.
    report : callable
        Told what is going on.
    cores : int, optional
        Processes that share the climbs; by default one for each core.
    """
    density = CompactDensity(model, images)
    scales = _scales(density, draws)
    centre = np.concatenate([draws[0], np.zeros(4 * density.n_sources)])
    centre = _fit_light(density, centre, scales, report)
    starts = _best_draws(density, centre, draws, report, cores)
    of_lens = density.of_mass | density.of_light
    of_mass, of_all = (_with_sources(density, of_model) for of_model in (density.of_mass, of_lens))

    def climbed(start: np.ndarray) -> np.ndarray:
        end = _ascend(density, start, of_mass, scales, _FIRST, report, "compact source")
        return _ascend(density, end, of_all, scales, _SECOND, report, "compact source")

    def climbed_on(start: np.ndarray) -> np.ndarray:
        return _ascend(density, start, of_all, scales, _LAST, report, "best compact sources")

    ends = _shared(climbed, starts, "compact source", report, cores)
    ends.sort(key=density.value, reverse=True)
    ends = _shared(climbed_on, ends[:_FINALISTS], "best compact source", report, cores)
    ends.sort(key=density.value, reverse=True)
    candidates = [_candidate(density, end) for end in ends]
    return CompactSearch(candidates, of_lens, _gain(density, ends[0]))


def prior_draws(model: pm.Model, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the model's value variables, flattened, (n_draws, n), from the prior.

    Raises
    ------
    NotImplementedError
        If a prior cannot be drawn from, such as a flat one.
    """
    variables = []
    for rv in model.free_RVs:
        transform = model.rvs_to_transforms[rv]
        variables.append(rv if transform is None else transform.forward(rv, *rv.owner.inputs))
    with warnings.catch_warnings():
        # Which priors numba compiles is nothing that a user can change.
        warnings.filterwarnings("ignore", message="Numba will use object mode")
        values = pm.draw(variables, n_draws, random_seed=rng)
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    by_name = dict(zip(names, values, strict=True))
    order = DictToArrayBijection.map(model.initial_point()).point_map_info
    return np.concatenate([np.reshape(by_name[name], (n_draws, -1)) for name, *_ in order], axis=1)


def _scales(density: CompactDensity, draws: np.ndarray) -> np.ndarray:
    """First steps of all coordinates, sources included."""
    of_model = 0.3 * np.std(draws, axis=0) if len(draws) > 1 else np.full(density.n_model, 0.1)
    of_sources = [
        ([_CENTRE_STEP * image.dataset.pixel_scales] * 2 + [_ELLIPTICITY_STEP] * 2) * image.compact.n_sources
        for image in density.images
    ]
    return np.concatenate([of_model, *of_sources])


def _with_sources(density: CompactDensity, of_model: np.ndarray) -> np.ndarray:
    """Return indices of some of the model's coordinates and all of the sources'."""
    return np.flatnonzero(np.concatenate([of_model, np.ones(4 * density.n_sources, bool)]))


def _candidate(density: CompactDensity, vector: np.ndarray) -> Candidate:
    rays = density.rays(vector)
    found = Candidate(
        vector[: density.n_model],
        density.value(vector),
        np.concatenate([np.empty((0, 2)), *chain(*rays)]),
        _mean_deflection(density, rays),
    )
    _log.info("Compact source: log density %.1f, deflection %.3f.", found.log_density, found.deflection)
    return found


def _gain(density: CompactDensity, vector: np.ndarray) -> float:
    """Compare the best lens with light alone."""
    with_source = sum(fit.log_likelihood for fit in density.fits(vector, CompactSource.fit))
    alone = sum(fit.log_likelihood for fit in density.fits(vector, CompactSource.fit_light))
    return with_source - alone


def _fit_light(
    density: CompactDensity, start: np.ndarray, scales: np.ndarray, report: Callable[[str], None]
) -> np.ndarray:
    """Fit the light without a source, with weights of a Cauchy distribution."""
    free = np.flatnonzero(np.concatenate([density.of_light, np.zeros(4 * density.n_sources, bool)]))
    if not free.size:
        return start
    for k in range(_LIGHT_PASSES):
        fits = density.fits(start, CompactSource.fit_light)
        for image, fit in zip(density.images, fits, strict=True):
            image.compact.weights = 1.0 / (1.0 + (_significance(image.compact, fit) / _OUTLIER) ** 2)
        stage = f"light {k + 1}/{_LIGHT_PASSES}"
        start = _ascend(density.of_light_alone, start, free, scales, _LIGHT_ITERATIONS, report, stage)
    for image in density.images:
        image.compact.weights = np.ones(image.compact.data.size)
    return start


def _best_draws(
    density: CompactDensity,
    centre: np.ndarray,
    draws: np.ndarray,
    report: Callable[[str], None],
    cores: int | None,
) -> list[np.ndarray]:
    """Return the best draw in each bin of the mean deflection, the light held."""
    arcs = [
        _brightest(image, _significance(image.compact, fit))
        for image, fit in zip(density.images, density.fits(centre, CompactSource.fit_light), strict=True)
    ]

    def tried(draw: np.ndarray) -> tuple[list[np.ndarray], list[float], float]:
        vector = centre.copy()
        vector[: density.n_model][density.of_mass] = draw[density.of_mass]
        rays = density.rays(vector)
        traced = [
            part.reshape(image.dataset.plane.n_pixels, -1, 2).mean(axis=1)[arc]
            for image, parts, arc in zip(density.images, rays, arcs, strict=True)
            for part in parts
        ]
        guesses = [[np.median(part, axis=0) for part in traced]]
        if density.n_sources:  # otherwise there is nothing to guess, and both would be the same
            seed = np.frombuffer(draw.tobytes(), np.uint32)
            guesses.append([np.random.default_rng(seed).choice(part) for part in traced])
        vectors = []
        for guess in guesses:
            vector[density.n_model :].reshape(-1, 4)[:, :2] = np.reshape(guess, (-1, 2))
            vectors.append(vector.copy())
        return vectors, [density.value(each) for each in vectors], _mean_deflection(density, rays)

    tries = _shared(tried, list(draws), "lens", report, cores)
    vectors = [vector for each in tries for vector in each[0]]
    values = [value for each in tries for value in each[1]]
    deflections = [each[2] for each in tries for _ in each[0]]
    if not density.n_sources:  # where there are no rays to measure deflections by
        return [vectors[i] for i in np.argsort(values)[::-1][:_BINS] if np.isfinite(values[i])]
    bins = np.quantile(deflections, np.linspace(0.0, 1.0, _BINS + 1)[1:-1])
    members = np.searchsorted(bins, deflections)
    best = [max(np.flatnonzero(members == b), key=lambda i: values[i]) for b in np.unique(members)]
    return [vectors[i] for i in best if np.isfinite(values[i])]


def _shared(
    function: Callable[[Any], Any],
    tasks: list[Any],
    stage: str,
    report: Callable[[str], None],
    cores: int | None,
) -> list[Any]:
    """Evaluate a function of all tasks, in their order."""
    results: dict[int, Any] = {}
    for k, result in shared_work(function, tasks, cores):
        results[k] = result
        report(f"{stage} {len(results)}/{len(tasks)}")
    return [results[k] for k in range(len(tasks))]


def _significance(compact: CompactSource, fit: CompactFit) -> np.ndarray:
    return (compact.data - fit.model) / compact.response.noise


def _brightest(image: CompactImage, significance: np.ndarray) -> np.ndarray:
    """Slim indices of the pixels that are brightest over the light."""
    return image.dataset.fitted[significance >= np.quantile(significance, _BRIGHT)]


def _mean_deflection(density: CompactDensity, rays: list[tuple[np.ndarray, ...]]) -> float:
    """Mean length of the deflections (arcsec) of rays (n_rays, 2) of each image; zero without any."""
    lengths = [
        np.hypot(*(part - image.dataset.plane.source_grid).T)
        for image, parts in zip(density.images, rays, strict=True)
        for part in parts
    ]
    return float(np.concatenate(lengths).mean()) if lengths else 0.0


def _ascend(
    density: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    free: np.ndarray,
    scales: np.ndarray,
    iterations: int,
    report: Callable[[str], None],
    stage: str,
) -> np.ndarray:
    """Maximise in the free coordinates, in units of their scales."""

    def objective(u: np.ndarray) -> tuple[float, np.ndarray]:
        vector = start.copy()
        vector[free] += scales[free] * u
        value, gradient = density(vector)
        report(f"{stage}: log density {value:.1f}")
        if not np.isfinite(value):
            return _VERY_LOW, np.zeros(free.size)
        return -value, -scales[free] * gradient[free]

    options = {"maxiter": iterations, "maxcor": 30, "ftol": 1e-9}
    result: Any = minimize(objective, np.zeros(free.size), jac=True, method="L-BFGS-B", options=options)  # type: ignore[call-overload]
    end = start.copy()
    end[free] += scales[free] * result.x
    return end
