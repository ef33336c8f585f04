"""Image meshes that adapt to an image."""

from __future__ import annotations

import numpy as np
import pytest
from problems import simulated

import pymc_lens as pl

DATASET = simulated()
IMAGE = np.clip(DATASET.native(DATASET.data_fitted, fill=0.0), 0.0, None)
KINDS = (pl.image_mesh.Hilbert, pl.image_mesh.KMeans)


def brightness_at(points: np.ndarray) -> np.ndarray:
    shape = np.array(DATASET.shape_native)
    row, column = np.round(points / DATASET.pixel_scales + (shape - 1) / 2).astype(int).T
    return IMAGE[row, column]


@pytest.mark.parametrize("kind", KINDS)
def test_points_follow_the_brightness(kind):
    even = kind(120, IMAGE, weight_power=0.5, weight_floor=1e3).vertices(DATASET.plane)
    adapted = kind(120, IMAGE, weight_power=1.0, weight_floor=0.01).vertices(DATASET.plane)
    for points in (even, adapted):
        assert points.shape == (120, 2)
        assert np.hypot(*points.T).max() < 1.75
        assert len(np.unique(points.round(9), axis=0)) == 120
    assert brightness_at(adapted).mean() > 1.5 * brightness_at(even).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_deterministic(kind):
    first, second = (kind(80, IMAGE).vertices(DATASET.plane) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_even_weights_spread_k_means_evenly():
    """Each point stands for the same area, to the accuracy of 120 cells in a circle."""
    points = pl.image_mesh.KMeans(120, np.ones_like(IMAGE)).vertices(DATASET.plane)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1) + 10.0 * np.eye(120)
    spacing = np.sqrt(np.pi * 1.7**2 / 120)
    assert 0.5 * spacing < distance.min(axis=1).min()
    assert distance.min(axis=1).max() < 1.3 * spacing


def test_hilbert_curve_visits_neighbours():
    """Every step of the curve through a full square is one pixel long."""
    data = np.ones((16, 16))
    dataset = pl.Imaging(data, data, np.ones((1, 1)), 1.0)
    points = pl.image_mesh.Hilbert(256, data, weight_floor=1.0).vertices(dataset.plane)
    np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), 1.0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input(kind):
    with pytest.raises(ValueError, match="n_points: expected at least 4"):
        kind(3, IMAGE)
    with pytest.raises(ValueError, match="n_points: expected at most"):
        kind(10**6, IMAGE).vertices(DATASET.plane)
    with pytest.raises(ValueError, match="weight_power"):
        kind(50, IMAGE, weight_power=0.0)
    with pytest.raises(ValueError, match="adapt_image: expected finite"):
        kind(50, np.full_like(IMAGE, np.nan))
    with pytest.raises(ValueError, match="adapt_image: expected the shape"):
        kind(50, np.ones((3, 3))).vertices(DATASET.plane)
    dark = np.zeros_like(IMAGE)
    dark[0, 0] = 1.0
    with pytest.raises(ValueError, match="zero at every unmasked pixel"):
        kind(50, dark).vertices(DATASET.plane)


def test_turned_overlay():
    """A grid of the same spacing, turned counter-clockwise about the middle, over the same pixels."""
    data = np.ones((40, 40))
    dataset = pl.Imaging(data, data, np.ones((3, 3)), 0.1)
    dataset = dataset.apply_mask(pl.Mask2D.circular((40, 40), 0.1, 1.6))
    straight = pl.image_mesh.Overlay((20, 20)).vertices(dataset.plane)
    turned = pl.image_mesh.Overlay((20, 20), rotation=30.0).vertices(dataset.plane)
    assert abs(len(turned) - len(straight)) < 0.05 * len(straight)
    # Back by 30 degrees: y' = y cos - x sin, x' = y sin + x cos for the angle -30.
    angle = np.deg2rad(30.0)
    y, x = turned.T
    back = np.stack([y * np.cos(angle) - x * np.sin(angle), x * np.cos(angle) + y * np.sin(angle)], 1)
    spacing = np.diff(np.unique(straight[:, 0].round(9)))[0]
    np.testing.assert_allclose(np.abs(back / spacing % 1.0 - 0.5), 0.0, atol=1e-9)
    rows, cols = np.floor((turned + 2.0) / 0.1).astype(int).T
    assert not dataset.mask.array[rows, cols].any()
    with pytest.raises(ValueError, match="rotation"):
        pl.image_mesh.Overlay((20, 20), rotation=np.nan)
