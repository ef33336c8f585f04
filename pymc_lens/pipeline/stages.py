"""The stages of an unattended fit, in their order."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection, RaveledVars
from scipy.ndimage import binary_dilation, gaussian_filter, label

from pymc_lens.data.binning import binned
from pymc_lens.data.imaging import Imaging
from pymc_lens.data.mask import Mask2D
from pymc_lens.distributions import lensed_images
from pymc_lens.fit import FitImaging
from pymc_lens.galaxy import Pixelization
from pymc_lens.inference.compact_search import NEARLY_AS_GOOD, compact_candidates, prior_draws
from pymc_lens.inference.mode import Mode, find_mode
from pymc_lens.inference.values import compiled, point_info
from pymc_lens.inference.workers import in_a_process
from pymc_lens.pipeline.models import (
    AdaptTo,
    Redshifts,
    first_pixelization,
    search_model,
    splines,
    tracer,
)
from pymc_lens.pipeline.places import arc_radius, distances, on_sky
from pymc_lens.progress import Report, shown
from pymc_lens.regularization import AdaptAmplitude, MaternSPDE
from pymc_lens.tuning import tune_regularization

_log = logging.getLogger(__name__)

# Arcsec: how far from the image's centre the lens may well be, and at most; the mask that the search begins
# with.
_OFF_CENTRE, _FARTHEST, _FIRST_MASK = 0.5, 1.0, 3.3
# Pixels: smoothing before the brightest is looked for; radius of a mask that is fine enough for a search.
_SMOOTHING, _SEARCH_RADIUS = 2.0, 32.0
# Draws from the prior that a search compares.
_DRAWS = 400
# The final mask holds what of the lensed source is brighter than this (sigma of the noise), and a margin
# (arcsec).
_SEEN, _MARGIN, _LEAST_MASK = 1.5, 0.3, 1.0
# How far a source shines from the centre of the compact one: Einstein radii, and at least arcsec.
_REACH, _LEAST_REACH = 0.45, 0.4
# Contaminants: connected residuals of this significance and so many pixels, in a smoothed map; what is around
# them (pixels) is left out as well.
_RESIDUAL, _LEAST_PIXELS, _AROUND = 6.0, 6, 3
# Lenses that are fitted jointly, at most.
_CONTENDERS = 4
# Where the brightness-dependent prior starts.
_FAINT_RATIO, _SIGNAL_SCALE = 0.01, 1.0
# First guesses: of a source's correlation length (arcsec), and of its contrast (median noise).
_SCALE, _CONTRAST = 0.08, 10.0


class Field(NamedTuple):
    """An image with a mask around its lens.

    Attributes
    ----------
    dataset : Imaging
    centre : (y, x)
        Where the lens shines, arcsec, in the frame of the lens model.
    """

    dataset: Imaging
    centre: tuple[float, float]


class Lens(NamedTuple):
    """A lens that the search has found.

    Attributes
    ----------
    parameters : dict of str to ndarray
        Of mass and light, see `lens_priors`.
    log_density : float
        With a compact source, up to a constant.
    source_centre : (2,) float64
        Of that source (y, x), arcsec.
    """

    parameters: dict[str, np.ndarray]
    log_density: float
    source_centre: np.ndarray

    @property
    def reach(self) -> float:
        """Arcsec from its centre, in the source plane, to which the source may shine.

        What is farther off is no part of it, and is hardly lensed: a neighbour.
        """
        return max(_REACH * float(self.parameters["einstein_radius"]), _LEAST_REACH)


class Search(NamedTuple):
    """What the search has found.

    Attributes
    ----------
    lenses : list of Lens
        The most probable first.
    gain : float
        Log-likelihood that the best compact source gains over the lens's light alone.
    """

    lenses: list[Lens]
    gain: float

    @property
    def contenders(self) -> list[Lens]:
        """Lenses that compact sources do not tell apart: the joint fit has to."""
        best = self.lenses[0].log_density
        near = [lens for lens in self.lenses if best - lens.log_density <= NEARLY_AS_GOOD * abs(best)]
        return near[:_CONTENDERS]


class FirstSource(NamedTuple):
    """What is known of the source behind a lens that is held.

    Attributes
    ----------
    adapt_to : AdaptTo
    peak : float
        Its highest surface brightness.
    """

    adapt_to: AdaptTo
    peak: float


class Joint(NamedTuple):
    """A joint fit that began at a lens of the search.

    Attributes
    ----------
    lens : Lens
        Where it began.
    model : pm.Model
        Its window and prior are of the source behind that lens.
    mode : Mode
    """

    lens: Lens
    model: pm.Model
    mode: Mode

    @property
    def log_integral(self) -> float:
        """Of the density around the mode, as if it were normal."""
        return self.mode.log_density + 0.5 * float(np.linalg.slogdet(2.0 * np.pi * self.mode.covariance)[1])


def field(dataset: Imaging) -> Field:
    """Find the lens: the brightest place near the centre of the image, and mask a circle around it.

    A mask that is there is kept.

    Raises
    ------
    ValueError
        If nothing shines there.
    """
    weight = dataset.native((dataset.noise_fitted / np.median(dataset.noise_fitted)) ** -2.0, fill=0.0)
    total = gaussian_filter(weight, _SMOOTHING)
    image = np.where(weight > 0.0, dataset.data, 0.0)
    smooth = gaussian_filter(weight * image, _SMOOTHING) / np.maximum(total, 1e-3)
    # An arc may be brighter than the lens, which is what the image is centred on.
    n_y, n_x = dataset.shape_native
    away = distances(dataset, on_sky(dataset, 0.5 * (n_y - 1), 0.5 * (n_x - 1)))
    likely = smooth * np.exp(-0.5 * (away / _OFF_CENTRE) ** 2)
    near = np.where((away > _FARTHEST) | (total < 1e-2), -np.inf, likely)
    row, col = np.unravel_index(np.argmax(near), near.shape)
    if not near[row, col] > 0.0:
        raise ValueError("dataset: nothing shines near the centre of the image. Is the lens there?")
    centre = on_sky(dataset, float(row), float(col))
    if dataset.mask.array.any():
        return Field(dataset, centre)
    reach = 0.5 * min(dataset.shape_native) * dataset.pixel_scales - float(np.abs(centre).max())
    return without(Field(dataset, centre), distances(dataset, centre) > min(_FIRST_MASK, reach))


def search(start: Field, redshifts: Redshifts, cores: int | None, progressbar: bool) -> Search:
    """Find lenses behind which a compact source explains the image, on pixels that are fine enough for it."""
    with shown("Searching for the lens", progressbar) as report:
        # Some 400 functions are compiled.
        return in_a_process(lambda told: _found(start, redshifts, cores, told), report)


def coarse_model(start: Field, redshifts: Redshifts) -> pm.Model:
    """Make the model of a search: `search_model` of an image of few pixels."""
    radius = np.sqrt(start.dataset.fitted.size / np.pi)
    coarse = binned(start.dataset, max(1, round(radius / _SEARCH_RADIUS)))
    return search_model(coarse, start.centre, redshifts)


def _found(start: Field, redshifts: Redshifts, cores: int | None, report: Report) -> Search:
    model = coarse_model(start, redshifts)
    draws = prior_draws(model, _DRAWS, np.random.default_rng(0))
    found = compact_candidates(model, list(lensed_images(model).values()), draws, report, cores)
    info = point_info(model)
    values_of = compiled(model, model.free_RVs)
    lenses = []
    for candidate in found.candidates:
        values = values_of(DictToArrayBijection.rmap(RaveledVars(candidate.flat, info)))
        parameters = {name: np.asarray(value) for name, value in values.items()}
        lenses.append(Lens(parameters, candidate.log_density, candidate.centres[0]))
    best = lenses[0]
    _log.info("Search: Einstein radius %.3f, %d lenses.", best.parameters["einstein_radius"], len(lenses))
    return Search(lenses, found.gain)


def first_source(dataset: Imaging, lens: Lens, redshifts: Redshifts) -> tuple[FitImaging, FirstSource]:
    """Reconstruct the source behind a lens that is held, by evidence.

    The image of the first source, which may shine anywhere, still holds some light of the lens, and of
    neighbours. A second shines where the first is bright near the compact source, and holds hardly any.
    """
    parameters = lens.parameters
    coefficient = 1.0 / (_CONTRAST * float(np.median(dataset.noise_fitted)))
    smooth = tracer(parameters, first_pixelization(coefficient), dataset.pixel_scales, redshifts)
    try:
        smooth = tune_regularization(dataset, smooth).tracer
    except ValueError as error:  # next to nothing is seen of the source
        _log.info("First source: %s", error)
    fit = FitImaging(dataset, smooth)
    adapt_to = AdaptTo.fit(fit, lens.source_centre, lens.reach)
    peak = float(fit.coefficients[fit.source.name].max())
    prior = AdaptAmplitude(MaternSPDE(_SCALE, peak), adapt_to.image, _FAINT_RATIO, _SIGNAL_SCALE)
    pixelization = Pixelization(splines(adapt_to.window, dataset.pixel_scales), prior)
    fit = FitImaging(dataset, tracer(parameters, pixelization, dataset.pixel_scales, redshifts))
    _log.info("First source: ln E %.1f, chi2/N %.3f.", fit.log_evidence, fit.reduced_chi_squared)
    return fit, FirstSource(AdaptTo.fit(fit, lens.source_centre, lens.reach), peak)


def contaminants(fit: FitImaging, centre: tuple[float, float]) -> np.ndarray:
    """Mark pixels (ny, nx) of neighbours: connected residuals that neither lens nor source explains.

    Only what lies farther out than where most of the lensed source's light does.
    """
    residual = np.nan_to_num(fit.normalized_residual_map)
    bright = gaussian_filter(residual, 1.0) * 2.0 * np.sqrt(np.pi) > _RESIDUAL
    labels, _ = label(bright & (distances(fit.dataset, centre) > 1.2 * arc_radius(fit, centre)))
    is_large = np.bincount(labels.ravel()) >= _LEAST_PIXELS
    is_large[0] = False  # what is not bright
    return binary_dilation(is_large[labels], iterations=_AROUND)


def without(start: Field, pixels: np.ndarray) -> Field:
    """Mask pixels (ny, nx) out."""
    mask = Mask2D(start.dataset.mask.array | pixels, start.dataset.pixel_scales)
    return start._replace(dataset=start.dataset.apply_mask(mask))


def around_the_arcs(start: Field, fit: FitImaging) -> Field:
    """Mask what is farther out than anything that is seen of the lensed source."""
    seen = np.nan_to_num(fit.lensed_source / fit.dataset.noise_map) > _SEEN
    away = distances(start.dataset, start.centre)
    radius = max(float(np.quantile(away[seen], 0.995)) if seen.any() else 0.0, _LEAST_MASK) + _MARGIN
    beyond = away > radius
    return without(start, beyond) if (beyond & ~start.dataset.mask.array).any() else start


def joint_mode(model: pm.Model, first: FirstSource, lens: Lens, cores: int | None, progressbar: bool) -> Mode:
    """Climb in everything of `joint_model` at once, from the lens of the search and its source.

    Raises
    ------
    KeyboardInterrupt
        If that is interrupted: the best point so far is no mode.
    """
    source = {"scale": _SCALE, "amplitude": first.peak, "faint_ratio": _FAINT_RATIO}
    source |= {"signal_scale": _SIGNAL_SCALE}
    mode = find_mode(model, starts={**lens.parameters, **source}, cores=cores, progressbar=progressbar)
    if not mode.converged:  # it would be kept as what this stage has found
        raise KeyboardInterrupt("The climb to the mode was interrupted.")
    return mode
