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
from pytensor.tensor.variable import TensorVariable
from scipy.optimize import minimize

from pymc_lens.inference.compact_density import CompactDensity
from pymc_lens.inference.values import point_info, value_variables
from pymc_lens.inference.workers import shared_work
from pymc_lens.inversion.compact_source import CompactFit, CompactSource

_log = logging.getLogger(__name__)

# Bins of the mean deflection, and how many of the best draws from the prior in each are climbed from.
_BINS, _OF_BIN = 9, 8
# Iterations of mass and source with the light held, and how many of these ends are climbed on from, with all;
# how long, and how many of those to the last.
_FIRST, _SEMIFINALISTS = 8, 16
_SECOND, _FINALISTS = 30, 6
_LAST = 150
# Components of a source: its clumps may lie apart, and a single one between them bends the mass.
_COMPONENTS = 2
# A residual of so many sigma weighs half while the light is fitted without a source.
_OUTLIER, _LIGHT_PASSES, _LIGHT_ITERATIONS = 3.0, 4, 25
# Relative error of the light's model, beside that of the data, while a source is looked for: what a cusp has
# that Gaussians have not is no source.
_LIGHT_ERROR = 0.01
# First steps of a source's coordinates: pixels for its centre, and of its elliptical components.
_CENTRE_STEP, _ELLIPTICITY_STEP = 1.0, 0.1
# Relative difference of the mean deflection up to which two climbs are the same.
_SAME_DEFLECTION = 0.02
# The same between rivals, so many of which are among the finalists however far behind they are.
_RIVAL_DEFLECTION, _RIVALS = 0.1, 3
# How far (arcsec) a component is a part of a source.
_ONE_SOURCE = 0.45
# An isothermal sphere magnifies single images less, and the images of a source that has two of them more.
_SEVERAL_IMAGES = 2.0
# Quantile of the residuals over the light from which pixels count as arcs.
_BRIGHT = 0.97
_VERY_LOW = 1e12
# How far behind the best in log density, relative, a lens may be that compact sources do not tell from it.
NEARLY_AS_GOOD = 0.05
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
    centres : (n_sources, 2) float64
        Of the light of each compact source that is lensed (y, x), arcsec.
    """

    flat: np.ndarray
    log_density: float
    rays: np.ndarray
    deflection: float
    centres: np.ndarray


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
    the prior are compared, each with the components of its source where bright pixels trace to. The best
    draws in each bin of the mean deflection start short climbs in mass and source; the best of these go on in
    everything, and the best of those to the end.

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
    steps = _steps(density, draws)
    centre = np.concatenate([draws[0], np.zeros(4 * _COMPONENTS * density.n_sources)])
    centre = _fit_light(density, centre, steps, report)
    of_lens = density.of_mass | density.of_light

    def climbed(
        starts: list[np.ndarray], of_model: np.ndarray, iterations: int, stage: str
    ) -> list[np.ndarray]:
        def climb(start: np.ndarray) -> np.ndarray:
            return _ascend(density, start, _scales(density, start, steps, of_model), iterations)

        ends = _shared(climb, starts, stage, report, cores)
        return _distinct(density, sorted(ends, key=density.value, reverse=True), _SAME_DEFLECTION, steps)

    ends = _best_draws(density, centre, draws, report, cores)
    ends = climbed(ends, density.of_mass, _FIRST, "compact source")[:_SEMIFINALISTS]
    ends = _finalists(density, climbed(ends, of_lens, _SECOND, "good compact source"))
    ends = climbed(ends, of_lens, _LAST, "best compact source")
    candidates = [_candidate(density, end) for end in ends]
    return CompactSearch(candidates, of_lens, _gain(density, ends[0]))


def prior_draws(model: pm.Model, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the model's value variables, flattened, (n_draws, n), from the prior.

    Raises
    ------
    NotImplementedError
        If a prior cannot be drawn from, such as a flat one.
    """
    with warnings.catch_warnings():
        # Which priors numba compiles is nothing that a user can change.
        warnings.filterwarnings("ignore", message="Numba will use object mode")
        values = pm.draw(value_variables(model), n_draws, random_seed=rng)
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    by_name = dict(zip(names, values, strict=True))
    order = [name for name, *_ in point_info(model)]
    return np.concatenate([np.reshape(by_name[name], (n_draws, -1)) for name in order], axis=1)


def _steps(density: CompactDensity, draws: np.ndarray) -> np.ndarray:
    """First steps (n_model,) of the model's coordinates."""
    return 0.3 * np.std(draws, axis=0) if len(draws) > 1 else np.full(density.n_model, 0.1)


def _scales(
    density: CompactDensity, vector: np.ndarray, steps: np.ndarray, of_model: np.ndarray
) -> np.ndarray:
    """First steps of all coordinates of a vector: zero for those of the model that are held."""
    of_sources = np.empty(density.sources(vector).shape)
    of_sources[..., :2] = _CENTRE_STEP * density.pixel_scales[:, None, None]
    of_sources[..., 2:] = _ELLIPTICITY_STEP
    return np.concatenate([np.where(of_model, steps, 0.0), of_sources.ravel()])


def _distinct(
    density: CompactDensity, ends: list[np.ndarray], relative: float, steps: np.ndarray | float
) -> list[np.ndarray]:
    """Leave out what is as one before it: in its mean deflection and all coordinates of its mass."""
    kept: list[tuple[np.ndarray, float]] = []
    for end in ends:
        deflection, mass = _mean_deflection(density, density.rays(end)), end[: density.n_model]
        if not any(
            abs(deflection - other_deflection) <= relative * other_deflection
            and (np.abs(mass - other[: density.n_model]) <= steps)[density.of_mass].all()
            for other, other_deflection in kept
        ):
            kept.append((end, deflection))
    return [end for end, _ in kept]


def _finalists(density: CompactDensity, ends: list[np.ndarray]) -> list[np.ndarray]:
    """Take the best of sorted ends, and the best that are other lenses: one of them may yet be higher."""
    rivals = _distinct(density, ends, _RIVAL_DEFLECTION, np.inf)[:_RIVALS]
    others = [end for end in ends if not any(end is rival for rival in rivals)]
    return rivals + others[: _FINALISTS - len(rivals)]


def _traced(
    density: CompactDensity, rays: list[tuple[np.ndarray, ...]], arcs: list[np.ndarray]
) -> list[np.ndarray]:
    """Where some pixels (slim indices) of each image are in the planes of its sources."""
    return [
        part.reshape(image.dataset.plane.n_pixels, -1, 2).mean(axis=1)[arc]
        for image, parts, arc in zip(density.images, rays, arcs, strict=True)
        for part in parts
    ]


def _candidate(density: CompactDensity, vector: np.ndarray) -> Candidate:
    rays = density.rays(vector)
    found = Candidate(
        vector[: density.n_model],
        density.value(vector),
        np.concatenate([np.empty((0, 2)), *chain(*rays)]),
        _mean_deflection(density, rays),
        _centres(density, vector),
    )
    _log.info("Compact source: log density %.1f, deflection %.3f.", found.log_density, found.deflection)
    return found


def _centres(density: CompactDensity, vector: np.ndarray) -> np.ndarray:
    """Centres (n_sources, 2) of the light of all sources, as far as it is near what lensing adds most to.

    A component far from that, of which there is a single image, explains a neighbour.
    """
    centres, fluxes = density.sources(vector)[..., :2], density.component_fluxes(vector)
    gained = fluxes.of_images - fluxes.of_source
    multiple = fluxes.of_images > _SEVERAL_IMAGES * fluxes.of_source
    lensed = np.argmax(np.where(multiple | ~multiple.any(axis=1, keepdims=True), gained, -np.inf), axis=1)
    away = np.linalg.norm(centres - centres[np.arange(len(centres)), lensed][:, None], axis=2)
    shares = np.where(away < _ONE_SOURCE, fluxes.of_source + 1e-30, 0.0)
    shares /= shares.sum(axis=1, keepdims=True)
    return (shares[:, :, None] * centres).sum(axis=1)


def _gain(density: CompactDensity, vector: np.ndarray) -> float:
    """Compare the best lens with light alone."""
    with_source = sum(fit.log_likelihood for fit in density.fits(vector, CompactSource.fit))
    alone = sum(fit.log_likelihood for fit in density.fits(vector, CompactSource.fit_light))
    return with_source - alone


def _fit_light(
    density: CompactDensity, start: np.ndarray, steps: np.ndarray, report: Callable[[str], None]
) -> np.ndarray:
    """Fit the light without a source, with weights of a Cauchy distribution; then weigh by its error."""
    if not density.of_light.any():
        return start
    scales = np.concatenate([np.where(density.of_light, steps, 0.0), np.zeros(start.size - density.n_model)])
    for k in range(_LIGHT_PASSES):
        fits = density.fits(start, CompactSource.fit_light)
        for image, fit in zip(density.images, fits, strict=True):
            image.compact.weights = 1.0 / (1.0 + (_significance(image.compact, fit) / _OUTLIER) ** 2)
        report(f"light {k + 1}/{_LIGHT_PASSES}")
        start = _ascend(density.of_light_alone, start, scales, _LIGHT_ITERATIONS)
    for image, fit in zip(density.images, density.fits(start, CompactSource.fit_light), strict=True):
        error = _LIGHT_ERROR * fit.model / image.compact.response.noise
        image.compact.weights = 1.0 / (1.0 + error**2)
    return start


def _best_draws(
    density: CompactDensity,
    centre: np.ndarray,
    draws: np.ndarray,
    report: Callable[[str], None],
    cores: int | None,
) -> list[np.ndarray]:
    """Return the best draws in each bin of the mean deflection, the light held."""
    arcs = _brightest_pixels(density, centre)

    def tried(draw: np.ndarray) -> tuple[np.ndarray, float, float]:
        vector = centre.copy()
        vector[: density.n_model][density.of_mass] = draw[density.of_mass]
        rays = density.rays(vector)
        traced = _traced(density, rays, arcs)
        rng = np.random.default_rng(np.frombuffer(draw.tobytes(), np.uint32))

        def anywhere() -> list[np.ndarray]:
            return [rng.choice(part) for part in traced]

        middle = [np.median(part, axis=0) for part in traced]
        firsts = (middle, anywhere()) if density.n_sources else (middle,)  # without sources all are the same
        vectors = [_with_sources(density, vector, first, anywhere()) for first in firsts]
        values = [density.value(each) for each in vectors]
        best = int(np.argmax(values))
        return vectors[best], values[best], _mean_deflection(density, rays)

    tries = _shared(tried, list(draws), "lens", report, cores)
    values = np.array([value for _, value, _ in tries])
    deflections = [deflection for *_, deflection in tries]
    n_bins = _BINS if density.n_sources else 1  # without a source there are no rays to measure deflections by
    bins = np.quantile(deflections, np.linspace(0.0, 1.0, n_bins + 1)[1:-1])
    members = np.searchsorted(bins, deflections)
    best: list[int] = []
    for b in np.unique(members):
        of_bin = np.flatnonzero((members == b) & np.isfinite(values))
        best.extend(of_bin[np.argsort(values[of_bin])[::-1][:_OF_BIN]])
    return [tries[i][0] for i in best]


def _with_sources(density: CompactDensity, vector: np.ndarray, *centres: list[np.ndarray]) -> np.ndarray:
    """Put round components of all sources at these centres, each (n_sources, 2)."""
    vector = vector.copy()
    sources = vector[density.n_model :].reshape(density.n_sources, len(centres), 4)
    for k, of_sources in enumerate(centres):
        sources[:, k, :2] = np.reshape(of_sources, (-1, 2))
    return vector


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


def _brightest_pixels(density: CompactDensity, vector: np.ndarray) -> list[np.ndarray]:
    """Slim indices of the pixels of each image that are brightest over its light."""
    brightest = []
    for image, fit in zip(density.images, density.fits(vector, CompactSource.fit_light), strict=True):
        significance = _significance(image.compact, fit)
        brightest.append(image.dataset.fitted[significance >= np.quantile(significance, _BRIGHT)])
    return brightest


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
    scales: np.ndarray,
    iterations: int,
) -> np.ndarray:
    """Maximise in the coordinates whose scales are not zero, in units of these."""
    free = np.flatnonzero(scales)

    def objective(u: np.ndarray) -> tuple[float, np.ndarray]:
        vector = start.copy()
        vector[free] += scales[free] * u
        value, gradient = density(vector)
        if not np.isfinite(value):
            return _VERY_LOW, np.zeros(free.size)
        return -value, -scales[free] * gradient[free]

    options = {"maxiter": iterations, "maxcor": 30, "ftol": 1e-9}
    result: Any = minimize(objective, np.zeros(free.size), jac=True, method="L-BFGS-B", options=options)  # type: ignore[call-overload]
    end = start.copy()
    end[free] += scales[free] * result.x
    return end
