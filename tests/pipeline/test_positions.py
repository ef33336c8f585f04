"""Bright places of an image, and what they say of a lens: on simulations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from problems import mass, simulated, tracer

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
    np.testing.assert_allclose(bright[:3], places[:3], atol=0.02)
    # Of 11,000 pixels of smoothed noise some hundred are maxima, hardly one of them significant.
    assert len(bright) <= 3 + 3


def test_a_dark_image_has_none() -> None:
    dataset, image = image_of(np.empty((0, 2)), [])
    assert found.bright_places(dataset, np.full_like(image, np.nan), CENTRE).shape == (0, 2)


def quad(source: tuple[float, float] = (0.03, 0.05)) -> np.ndarray:
    return pl.quantities.image_positions(tracer(), source, EXTENT).positions


def test_spread_is_none_behind_the_true_lens() -> None:
    positions = quad()
    assert len(positions) == 4
    assert found.source_spread(tracer(), positions) < 1e-6
    assert found.source_spread(tracer(mass(0.7)), positions) > 0.3
    assert found.source_spread(tracer(), positions[:1]) == 0.0


def test_smallest_spread_tells_images_from_strangers(rng: np.random.Generator) -> None:
    positions = quad()
    assert found.smallest_spread(positions, CENTRE) < 0.02
    strangers = np.vstack([positions, [[1.6, 1.1]], [[-0.3, -1.8]]])
    assert found.smallest_spread(strangers, CENTRE) > 0.3
    assert found.smallest_spread(positions[:1], CENTRE) == 0.0


def test_a_stranger_is_left_out() -> None:
    positions = quad()
    np.testing.assert_array_equal(found.without_a_stranger(positions, CENTRE), positions)
    for place in (0, 2, 4):
        mixed = np.insert(positions, place, (1.7, -1.6), axis=0)
        np.testing.assert_array_equal(found.without_a_stranger(mixed, CENTRE), positions)


@pytest.mark.parametrize(
    ("smallest", "threshold"), [(0.0, 0.3), (0.1, 0.3), (0.2, 0.4), (0.3, 0.5), (2.0, 0.5)]
)
def test_threshold(smallest: float, threshold: float) -> None:
    assert found.spread_threshold(smallest) == pytest.approx(threshold)


def test_images_of_a_simulated_lens_and_a_wrong_lens() -> None:
    fit = pl.FitImaging(simulated(), tracer())
    positions = found.image_positions(fit, CENTRE)
    assert len(positions) >= 2
    # Of three clumps within 0.2 arcsec of their middle.
    assert found.source_spread(fit.tracer, positions) < 0.4
    np.testing.assert_allclose(
        np.linalg.norm(positions, axis=1), 1.0, atol=0.35, err_msg="around the Einstein radius"
    )
    grades = {each.name: each.grade for each in found.of_positions(fit, CENTRE)}
    assert set(grades.values()) == {"keep"}
    wrong = pl.FitImaging(simulated(), tracer(pl.mass.Isothermal(einstein_radius=0.02)))
    assert {each.name: each.grade for each in found.of_positions(wrong, CENTRE)}["source_spread"] == "review"
