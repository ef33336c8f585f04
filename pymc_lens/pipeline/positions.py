"""Positions of multiple images, found without a human, and what they say of a lens.

As the Euclid pipeline of PyAutoLens has it: the brightest places of the image less the lens's light, and how
close together a lens brings them in the source plane.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from pymc_lens.data.imaging import Imaging
from pymc_lens.evaluate import evaluate_once
from pymc_lens.fit import FitImaging
from pymc_lens.pipeline.places import distances, on_sky
from pymc_lens.pipeline.verdict import Criterion, at_least
from pymc_lens.tracer import Tracer

# What counts as a bright place: significance, where noise has a thousand independent places; arcsec from the
# lens and from one another; pixels that the image is smoothed by.
_SIGNIFICANT, _APART, _SMOOTHING = 4.0, 0.15, 1.0
# How close to one another in the source plane images of one source are: arcsec, and Einstein radii.
_TOGETHER, _TOGETHER_IN_RADII = 0.5, 0.5
_IMAGES = 2
# Share of what is bright that a lens should bring together.
_EXPLAINED = 0.6
_TINY = 1e-30


class BrightPlaces(NamedTuple):
    """Local maxima of an image.

    Attributes
    ----------
    positions : (n, 2) float64
        (y, x) in the frame of the lens model, arcsec.
    significance : (n,) float64
        The largest first.
    """

    positions: np.ndarray
    significance: np.ndarray


def bright_places(dataset: Imaging, image: np.ndarray, centre: tuple[float, float]) -> BrightPlaces:
    """Find local maxima of an image in which the lens does not shine.

    The image is smoothed by a pixel, weighted by the noise.

    Parameters
    ----------
    dataset : Imaging
        Of whose noise a maximum is at least four standard deviations.
    image : (ny, nx) float
        Such as `FitImaging.lens_subtracted_image`; NaN where it does not count.
    centre : (y, x)
        Of the lens, arcsec. Maxima are at least 0.15 arcsec from it and from one another.

    Returns
    -------
    BrightPlaces
        To a part of a pixel.
    """
    weight = dataset.native(dataset.noise_fitted**-2.0, fill=0.0)
    weight = np.where(np.isfinite(image), weight, 0.0)
    total = gaussian_filter(weight, _SMOOTHING)
    smooth = gaussian_filter(weight * np.nan_to_num(image), _SMOOTHING) / np.maximum(total, 1e-300)
    # The variance of a smoothed pixel, of a kernel whose square is a Gaussian as well.
    variance = gaussian_filter(weight, _SMOOTHING / np.sqrt(2.0)) / (4.0 * np.pi * _SMOOTHING**2)
    significance = np.where(weight > 0.0, smooth * total / np.sqrt(np.maximum(variance, 1e-300)), 0.0)
    is_peak = (significance == maximum_filter(significance, 3)) & (significance >= _SIGNIFICANT)
    is_peak &= distances(dataset, centre) >= _APART
    rows, cols = np.nonzero(is_peak)
    order = np.argsort(-significance[rows, cols], kind="stable")
    found: list[np.ndarray] = []
    peaks: list[float] = []
    for row, col in zip(rows[order], cols[order], strict=True):
        place = np.array(on_sky(dataset, *_refined(smooth, int(row), int(col))))
        if all(np.linalg.norm(place - other) >= _APART for other in found):
            found.append(place)
            peaks.append(float(significance[row, col]))
    return BrightPlaces(np.array(found).reshape(-1, 2), np.array(peaks))


def traced_together(tracer: Tracer, places: BrightPlaces, radius: float) -> np.ndarray:
    """Find the places that a lens traces to one place, that of one of them.

    Parameters
    ----------
    tracer : Tracer
        All of whose parameters are numbers.
    places : BrightPlaces
    radius : float
        The Einstein radius, arcsec. Members are within half of it, and 0.5 arcsec, of the place: a source
        has several clumps.

    Returns
    -------
    (n,) bool
        Of all groups the most significant, and one of two or more if there is any.
    """
    if not len(places.positions):
        return np.zeros(0, bool)
    (traced,) = evaluate_once([tracer.traced_grid(places.positions)])
    reach = min(_TOGETHER, _TOGETHER_IN_RADII * radius)
    close = np.linalg.norm(traced[:, None] - traced, axis=-1) < reach
    is_group = close.sum(axis=1) >= _IMAGES
    return close[np.where(is_group, close @ places.significance, 0.0).argmax()]


def of_positions(fit: FitImaging, centre: tuple[float, float], radius: float) -> list[Criterion]:
    """Judge a fit by the bright places of its image.

    Parameters
    ----------
    fit : FitImaging
    centre : (y, x)
        Of the lens, arcsec.
    radius : float
        Effective Einstein radius, arcsec.
    """
    places = bright_places(fit.dataset, fit.lens_subtracted_image, centre)
    together = traced_together(fit.tracer, places, radius)
    share = places.significance[together].sum() / max(places.significance.sum(), _TINY)
    return [
        at_least(
            "multiple_images", "joint", together.sum(), _IMAGES, -np.inf,
            "the lens brings no two bright places together",
        ),
        at_least(
            "traced_together", "joint", share, _EXPLAINED, -np.inf,
            "the lens brings only some of the bright places together (share of their significance)",
        ),
    ]  # fmt: skip


def _refined(image: np.ndarray, row: int, col: int) -> tuple[float, float]:
    """Maximum of the parabolas through a pixel and its neighbours."""
    place = []
    for at, n, values in ((row, image.shape[0], image[:, col]), (col, image.shape[1], image[row])):
        shift = 0.0
        if 0 < at < n - 1:
            below, here, above = values[at - 1 : at + 2]
            bend = 2.0 * here - below - above
            shift = np.clip(0.5 * (above - below) / bend, -0.5, 0.5) if bend > 0.0 else 0.0
        place.append(at + shift)
    return place[0], place[1]
