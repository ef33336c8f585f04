"""Positions of multiple images, found without a human, and what they say of a lens.

As the Euclid pipeline of PyAutoLens has it: the brightest places of the image less the lens's light, and how
close together a lens brings them in the source plane.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.optimize import least_squares

from pymc_lens.data.imaging import Imaging
from pymc_lens.evaluate import evaluate_once
from pymc_lens.fit import FitImaging
from pymc_lens.mass.isothermal import deflection
from pymc_lens.pipeline.places import distances, on_sky
from pymc_lens.pipeline.verdict import Criterion, at_least, at_most
from pymc_lens.tracer import Tracer

# What counts as a bright place: significance, arcsec from the lens and from one another; pixels that the
# image is smoothed by.
_SIGNIFICANT, _APART, _SMOOTHING = 3.0, 0.15, 1.0
# Arcsec: how close to one another in the source plane images of one place are, for any lens.
_TOGETHER = 0.5
# Arcsec: between these the threshold is so many times the smallest spread.
_LEAST, _MOST, _TIMES = 0.3, 0.5, 2.0
_IMAGES = 2
# Standard deviations of what keeps a lens that is fitted to positions alone an ordinary one: of elliptical
# components, of the shear, and of the spread (arcsec) that is weighed against them.
_ELLIPTICITY, _SHEAR, _SPREAD = 0.2, 0.05, 0.05
_LARGEST_ELLIPTICITY, _LARGEST_SHEAR = 0.7, 0.4


def bright_places(dataset: Imaging, image: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Find local maxima of an image in which the lens does not shine.

    The image is smoothed by a pixel, weighted by the noise.

    Parameters
    ----------
    dataset : Imaging
        Of whose noise a maximum is at least three standard deviations.
    image : (ny, nx) float
        Such as `FitImaging.lens_subtracted_image`; NaN where it does not count.
    centre : (y, x)
        Of the lens, arcsec. Maxima are at least 0.15 arcsec from it and from one another.

    Returns
    -------
    (n, 2) array
        (y, x) in the frame of the lens model, arcsec, the most significant first; to a part of a pixel.
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
    for row, col in zip(rows[order], cols[order], strict=True):
        place = np.array(on_sky(dataset, *_refined(smooth, int(row), int(col))))
        if all(np.linalg.norm(place - other) >= _APART for other in found):
            found.append(place)
    return np.array(found).reshape(-1, 2)


def image_positions(fit: FitImaging, centre: tuple[float, float]) -> np.ndarray:
    """Find the bright places of the lensed source that the fit's lens brings together.

    Parameters
    ----------
    fit : FitImaging
    centre : (y, x)
        Of the lens, arcsec.

    Returns
    -------
    (n, 2) array
        (y, x), arcsec, the most significant first: the largest group that is traced to within 0.5 arcsec of
        one of its members. A single place, or none, where there are no two such.
    """
    places = bright_places(fit.dataset, fit.lens_subtracted_image, centre)
    if not len(places):
        return places
    traced = _traced(fit.tracer, places, None)
    close = np.linalg.norm(traced[:, None] - traced, axis=-1) < _TOGETHER
    return places[close[close.sum(axis=1).argmax()]]


def source_spread(tracer: Tracer, positions: np.ndarray, redshift: float | None = None) -> float:
    """Largest distance in the source plane between what positions are traced to.

    Parameters
    ----------
    tracer : Tracer
        All of whose parameters are numbers.
    positions : (n, 2) array
        (y, x), arcsec.
    redshift : float, optional
        Of the source; by default the tracer's.

    Returns
    -------
    float
        Arcsec; zero for less than two positions.

    Raises
    ------
    TypeError
        If the tracer depends on variables.
    """
    return _spread(_traced(tracer, positions, redshift))


def smallest_spread(positions: np.ndarray, centre: tuple[float, float]) -> float:
    """Spread behind the isothermal ellipsoid with shear that brings positions together best.

    Parameters
    ----------
    positions : (n, 2) array
        (y, x), arcsec.
    centre : (y, x)
        Of the lens, arcsec.

    Returns
    -------
    float
        Arcsec. Two positions are brought together by nearly any such lens.
    """
    if len(positions) < _IMAGES:
        return 0.0
    radius = float(np.linalg.norm(positions - centre, axis=1).mean())

    def residuals(parameters: np.ndarray) -> np.ndarray:
        traced = _behind(parameters, positions, centre)
        keep = parameters[1:] / (_ELLIPTICITY, _ELLIPTICITY, _SHEAR, _SHEAR)
        return np.concatenate([((traced - traced.mean(axis=0)) / _SPREAD).ravel(), keep])

    largest = np.array([2.0 * radius] + 2 * [_LARGEST_ELLIPTICITY] + 2 * [_LARGEST_SHEAR])
    lowest = np.array([0.3 * radius, *-largest[1:]])
    best = least_squares(residuals, [radius, 0.0, 0.0, 0.0, 0.0], bounds=(lowest, largest))
    return _spread(_behind(best.x, positions, centre))


def without_a_stranger(positions: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Leave one of at least three positions out, if no lens brings them together otherwise.

    Parameters
    ----------
    positions, centre
        See `smallest_spread`.

    Returns
    -------
    (n, 2) or (n - 1, 2) array
    """
    if len(positions) <= _IMAGES or smallest_spread(positions, centre) <= _MOST:
        return positions
    others = [np.delete(positions, place, axis=0) for place in range(len(positions))]
    return min(others, key=lambda left: smallest_spread(left, centre))


def spread_threshold(smallest: float) -> float:
    """Largest spread of positions behind a right lens, arcsec, from `smallest_spread`."""
    return min(max(_TIMES * smallest, _LEAST), _MOST)


def of_positions(fit: FitImaging, centre: tuple[float, float]) -> list[Criterion]:
    """Judge a fit by the bright places of its image.

    Parameters
    ----------
    fit : FitImaging
    centre : (y, x)
        Of the lens, arcsec.
    """
    places = without_a_stranger(bright_places(fit.dataset, fit.lens_subtracted_image, centre), centre)
    smallest = smallest_spread(places, centre)
    threshold = spread_threshold(smallest)
    together = image_positions(fit, centre)
    return [
        at_least(
            "multiple_images", "joint", len(together), _IMAGES, -np.inf,
            "the lens brings no two bright places together",
        ),
        at_most(
            "smallest_spread", "joint", smallest, _MOST, np.inf,
            "no simple lens brings the bright places together (arcsec)",
        ),
        at_most(
            "source_spread", "joint", source_spread(fit.tracer, places), threshold, np.inf,
            "the lens does not bring the bright places together (arcsec)",
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


def _traced(tracer: Tracer, positions: np.ndarray, redshift: float | None) -> np.ndarray:
    return evaluate_once([tracer.traced_grid(positions, redshift)])[0]


def _spread(traced: np.ndarray) -> float:
    return max((float(np.linalg.norm(a - b)) for a, b in combinations(traced, 2)), default=0.0)


def _behind(parameters: np.ndarray, positions: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Trace positions, relative to the centre, through an isothermal ellipsoid with shear."""
    radius, e_y, e_x, gamma_1, gamma_2 = parameters
    y, x = (positions - centre).T
    alpha_y, alpha_x = deflection(y, x, 0.0, 0.0, e_y, e_x, radius * (1.0 - e_y**2 - e_x**2))
    sheared = (gamma_2 * x - gamma_1 * y, gamma_1 * x + gamma_2 * y)
    return np.stack([y - alpha_y - sheared[0], x - alpha_x - sheared[1]], axis=-1)
