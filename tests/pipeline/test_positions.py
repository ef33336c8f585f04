"""Bright places of an image, and what they say of a lens: on simulations whose truth is known."""

from __future__ import annotations

import numpy as np
from problems import simulated, tracer

import pymc_lens as pl
from pymc_lens.pipeline import positions as found

CENTRE = (0.0, 0.0)
EXTENT = (-2.0, 2.0, -2.0, 2.0)


def image_of(places: np.ndarray, peaks: list[float]) -> tuple[pl.Imaging, np.ndarray]:
    """An empty dataset of noise 0.1 in pixels of 0.05 arcsec, and an image of Gaussian spots."""
    y, x = np.meshgrid(*(0.05 * (np.arange(n) - 0.5 * (n - 1)) for n in (81, 80)), indexing="ij")
    rng = np.random.default_rng(1)
    image = 0.1 * rng.standard_normal(y.shape)
    for (at_y, at_x), peak in zip(places, peaks, strict=True):
        image += peak * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / (2.0 * 0.06**2))
    dataset = pl.Imaging(image, np.full(y.shape, 0.1), np.ones((3, 3)), 0.05)
    return dataset.apply_mask(pl.Mask2D.circular(y.shape, 0.05, 1.9)), image


def test_bright_places_are_found_to_a_part_of_a_pixel() -> None:
    # Below: one too close to a brighter one, one too close to the lens, one beyond the mask.
    places = np.array([(0.83, 0.41), (-0.72, 0.66), (0.31, -1.04), (0.9, 0.47), (0.05, 0.02), (1.9, 1.9)])
    dataset, image = image_of(places, [3.0, 2.0, 1.0, 1.0, 3.0, 3.0])
    bright = found.bright_places(dataset, image, CENTRE)
    np.testing.assert_allclose(bright.positions[:3], places[:3], atol=0.02)
    assert (np.diff(bright.significance) <= 0.0).all()
    # Of 11,000 pixels of smoothed noise some hundred are maxima, none of them significant.
    assert len(bright.positions) == 3


def test_a_dark_image_has_none() -> None:
    dataset, image = image_of(np.empty((0, 2)), [])
    bright = found.bright_places(dataset, np.full_like(image, np.nan), CENTRE)
    assert bright.positions.shape == (0, 2)
    assert found.traced_together(tracer(), bright, 1.0).shape == (0,)


def quad(source: tuple[float, float] = (0.03, 0.05)) -> np.ndarray:
    return pl.quantities.image_positions(tracer(), source, EXTENT).positions


def test_a_lens_brings_images_of_a_point_together_and_no_strangers() -> None:
    positions = np.insert(quad(), 2, [(1.7, -1.6), (-0.2, -1.9)], axis=0)
    together = found.traced_together(tracer(), equally_bright(positions), 1.0)
    np.testing.assert_array_equal(together, [True, True, False, False, True, True])
    # One that hardly lenses leaves them where they are.
    weak = tracer(pl.mass.Isothermal(einstein_radius=0.02))
    assert found.traced_together(weak, equally_bright(quad()), 1.0).sum() == 1


def equally_bright(positions: np.ndarray) -> found.BrightPlaces:
    return found.BrightPlaces(positions, np.full(len(positions), 10.0))


def test_two_images_outshine_any_number_of_faint_places() -> None:
    images = pl.quantities.image_positions(tracer(), (0.7, 0.3), EXTENT).positions
    assert len(images) == 2
    # Opposite the source, where a lens traces everything near one place.
    faint = np.array([(-0.7, -0.9), (-0.9, -0.7), (-0.8, -1.0)])
    places = found.BrightPlaces(np.concatenate([images, faint]), np.array([40.0, 30.0, 4.5, 4.4, 4.3]))
    alone = found.traced_together(tracer(), found.BrightPlaces(*(each[2:] for each in places)), 1.0)
    assert alone.all()
    np.testing.assert_array_equal(
        found.traced_together(tracer(), places, 1.0), [True, True, False, False, False]
    )


def test_images_of_a_simulated_lens_and_a_wrong_lens() -> None:
    fit = pl.FitImaging(simulated(), tracer())
    bright = found.bright_places(fit.dataset, fit.lens_subtracted_image, CENTRE)
    positions = bright.positions[found.traced_together(fit.tracer, bright, 1.0)]
    assert len(positions) >= 2
    np.testing.assert_allclose(
        np.linalg.norm(positions, axis=1), 1.0, atol=0.35, err_msg="around the Einstein radius"
    )
    grades = {each.name: each.grade for each in found.of_positions(fit, CENTRE, 1.0)}
    assert set(grades.values()) == {"keep"}
    wrong = pl.FitImaging(simulated(), tracer(pl.mass.Isothermal(einstein_radius=0.02)))
    grades = {each.name: each.grade for each in found.of_positions(wrong, CENTRE, 1.0)}
    assert grades["traced_together"] == "review"
