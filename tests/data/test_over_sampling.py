from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from scipy.integrate import quad
from scipy.signal import convolve2d
from scipy.special import erf

from pymc_lens.data.mask import Mask2D, pixel_centres
from pymc_lens.data.over_sampling import (
    LightGrid,
    RadialBins,
    checked_over_sample_size,
    light_grid,
    quadrature_positions,
    sub_pixel_positions,
)

# --- positions in a pixel


def test_sub_pixels_are_those_of_pyautolens(golden) -> None:
    data = golden("dataset_slim.npz")
    sub_grid, centres = data["sub_grid_first100"], data["grid_slim_yx"]
    ours = sub_pixel_positions(centres[:7], 4, 0.1)
    # There rows run downwards, also inside a pixel.
    ours = ours.reshape(7, 4, 4, 2)[:, ::-1].reshape(-1, 2)
    np.testing.assert_allclose(ours[:100], sub_grid, atol=1e-12)


def test_sub_pixels_of_a_pixel_are_consecutive_and_row_major() -> None:
    points = sub_pixel_positions(np.array([[0.0, 0.0], [10.0, 20.0]]), 2, 1.0)
    expected = np.array([[-0.25, -0.25], [-0.25, 0.25], [0.25, -0.25], [0.25, 0.25]])
    np.testing.assert_allclose(points, np.concatenate([expected, expected + np.array([10.0, 20.0])]))


@pytest.mark.parametrize("positions", [sub_pixel_positions, quadrature_positions])
def test_one_position_is_the_centre(positions) -> None:
    centres = np.array([[0.3, -0.1], [0.5, 0.7]])
    np.testing.assert_allclose(positions(centres, 1, 0.05), centres)


@pytest.mark.parametrize("sub_size", [2, 4, 6, 8])
def test_quadrature_integrates_cubics_exactly(sub_size: int, rng: np.random.Generator) -> None:
    centre, scale = np.array([[0.3, -0.2]]), 0.7
    in_y, in_x = (Polynomial(rng.standard_normal(4)) for _ in range(2))
    expected = 1.0
    for polynomial, middle in ((in_y, 0.3), (in_x, -0.2)):
        primitive = polynomial.integ()
        expected *= (primitive(middle + scale / 2) - primitive(middle - scale / 2)) / scale
    points = quadrature_positions(centre, sub_size, scale)
    assert points.shape == (sub_size**2, 2)
    assert np.mean(in_y(points[:, 0]) * in_x(points[:, 1])) == pytest.approx(expected, rel=1e-12)
    # Midpoints do not.
    midpoints = sub_pixel_positions(centre, sub_size, scale)
    assert np.mean(in_y(midpoints[:, 0]) * in_x(midpoints[:, 1])) != pytest.approx(expected, rel=1e-5)


def test_quadrature_is_row_major() -> None:
    node = 0.5 / np.sqrt(3.0)
    points = quadrature_positions(np.zeros((1, 2)), 2, 1.0)
    np.testing.assert_allclose(points, [[-node, -node], [-node, node], [node, -node], [node, node]])


def test_four_nodes_equal_sixty_four_midpoints_for_a_gaussian_as_wide_as_a_pixel() -> None:
    centres = pixel_centres(np.arange(9)[:, None], np.arange(9)[None], (9, 9), 1.0).reshape(-1, 2)

    def worst(positions, sub_size: int) -> float:
        points = positions(centres, sub_size, 1.0)
        means = np.exp(-(points**2).sum(axis=-1) / 2).reshape(81, -1).mean(axis=1)
        edges = [erf((centres + side) / np.sqrt(2.0)) * np.sqrt(np.pi / 2) for side in (0.5, -0.5)]
        return float(np.abs(means - (edges[0] - edges[1]).prod(axis=1)).max())

    assert worst(quadrature_positions, 2) < 1.2 * worst(sub_pixel_positions, 8)
    assert worst(quadrature_positions, 2) < 0.1 * worst(sub_pixel_positions, 2)


# --- sizes


def test_radial_bins() -> None:
    bins = RadialBins(sizes=(8, 4, 1), radii=(0.5, 1.0), centre=(1.0, 2.0))
    offsets = np.array([[0.0, 0.0], [0.3, 0.4], [0.0, -0.51], [-1.0, 0.0], [3.0, 3.0]])
    assert bins.at(offsets + np.array([1.0, 2.0])).tolist() == [8, 8, 4, 4, 1]
    assert RadialBins([2], []).at(np.array([[7.0, 7.0]])).tolist() == [2]
    assert RadialBins((4, 1), [0.5]) == RadialBins([4, 1], (0.5,))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (((4, 2), (0.1, 0.2)), "^sizes: expected one more than radii"),
        (((4, 0), (0.1,)), "^sizes: expected integers >= 1"),
        (((4.5, 1), (0.1,)), "^sizes: expected integers >= 1"),
        (((4, 2, 1), (0.2, 0.1)), "^radii: expected increasing"),
        (((4, 1), (0.0,)), "^radii: expected increasing"),
        (((4, 1), (np.nan,)), "^radii: expected increasing"),
        (((4, 1), (0.1,), (0.0, np.nan)), "^centre"),
    ],
)
def test_bad_radial_bins(arguments: tuple, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        RadialBins(*arguments)


def test_checked_over_sample_size() -> None:
    array = np.array([[1, 2], [3, 4]], dtype=np.int32)
    checked = checked_over_sample_size("size", array, (2, 2))
    np.testing.assert_array_equal(checked, array)
    assert checked.dtype == np.int64
    assert not checked.flags.writeable
    assert checked_over_sample_size("size", 3, (2, 2)) == 3
    for bad, match in [
        (0, ">= 1, got 0"),
        (2.0, ">= 1, got 2.0"),
        (True, ">= 1, got True"),
        (np.ones((2, 3), dtype=int), r"shape \(2, 2\), got \(2, 3\)"),
        (np.zeros((2, 2), dtype=int), "minimum 0"),
        (np.ones((2, 2)), "float64"),
    ]:
        with pytest.raises(ValueError, match=f"^size: expected .*{match}"):
            checked_over_sample_size("size", bad, (2, 2))


# --- light grid


def irregular_mask() -> Mask2D:
    array = np.ones((11, 13), dtype=bool)
    array[0:4, 9:13] = False
    array[7, 2] = False
    array[2, 11] = True
    return Mask2D(array, 0.1)


def frame_positions(grid: LightGrid) -> dict[int, np.ndarray]:
    """Mean position of each pixel of a light grid, by its flat index in the frame."""
    means = [points.reshape(-1, size**2, 2).mean(axis=1) for size, points in grid.groups]
    return dict(zip(grid.pixel_index.tolist(), np.concatenate(means), strict=True))


@pytest.mark.parametrize("psf_shape", [(3, 3), (4, 4), (5, 2), (1, 6), (1, 1)])
@pytest.mark.parametrize("sparse", [False, True])
def test_light_grid_covers_exactly_the_pixels_that_scatter_into_the_mask(
    psf_shape: tuple[int, int], sparse: bool, rng: np.random.Generator
) -> None:
    mask = irregular_mask()
    psf = rng.uniform(0.1, 1.0, psf_shape) * (rng.uniform(size=psf_shape) > 0.5 if sparse else 1.0)
    psf[psf_shape[0] // 2, psf_shape[1] // 2] = 1.0
    centre = (psf_shape[0] // 2, psf_shape[1] // 2)
    reached_from = {
        (i - (a - centre[0]), j - (b - centre[1]))
        for i, j in zip(*np.nonzero(~mask.array), strict=True)
        for a, b in zip(*np.nonzero(psf), strict=True)
    }
    grid = light_grid(mask, psf, centre, 1)
    positions = np.array(list(frame_positions(grid).values()))
    rows_cols = np.rint(positions / 0.1 + (np.array(mask.shape_native) - 1) / 2).astype(int)
    assert set(map(tuple, rows_cols.tolist())) == reached_from
    if not sparse and psf_shape != (1, 1):
        outside = [(i, j) for i, j in reached_from if not (0 <= i < 11 and 0 <= j < 13)]
        assert outside


@pytest.mark.parametrize("psf_shape", [(3, 3), (4, 6), (5, 2)])
def test_periodic_blurring_of_the_frame_is_linear_blurring_in_the_mask(
    psf_shape: tuple[int, int], rng: np.random.Generator
) -> None:
    # The promise to the blurring engine: the frame is large enough that nothing wraps into the mask.
    mask, psf = irregular_mask(), rng.uniform(size=psf_shape)
    centre = (psf_shape[0] // 2, psf_shape[1] // 2)
    grid = light_grid(mask, psf, centre, RadialBins((2, 1), (0.35,)))

    def brightness(points: np.ndarray) -> np.ndarray:
        return 1.0 + points[..., 0] * 3.0 - np.cos(points[..., 1])

    frame = np.zeros(grid.frame_shape)
    frame.flat[grid.pixel_index] = np.concatenate(
        [brightness(points).reshape(-1, size**2).mean(axis=1) for size, points in grid.groups]
    )
    kernel = np.zeros(grid.frame_shape)
    kernel[: psf_shape[0], : psf_shape[1]] = psf
    kernel = np.roll(kernel, (-centre[0], -centre[1]), axis=(0, 1))
    blurred = np.fft.irfft2(np.fft.rfft2(frame) * np.fft.rfft2(kernel), grid.frame_shape)

    # The same on a far larger canvas, pixel by pixel.
    margin, shape = 10, mask.shape_native
    rows, cols = np.arange(-margin, shape[0] + margin)[:, None], np.arange(-margin, shape[1] + margin)[None]
    centres = pixel_centres(rows, cols, shape, 0.1)
    sizes = np.where(np.hypot(centres[..., 0], centres[..., 1]) <= 0.35, 2, 1)
    canvas = np.empty(sizes.shape)
    for place in np.ndindex(sizes.shape):
        canvas[place] = brightness(quadrature_positions(centres[place][None], int(sizes[place]), 0.1)).mean()
    full = convolve2d(canvas, psf)
    rows, cols = np.nonzero(~mask.array)
    expected = full[rows + margin + centre[0], cols + margin + centre[1]]
    np.testing.assert_allclose(blurred.flat[grid.mask_index], expected, rtol=1e-12)


def test_light_grid_groups_by_size_and_extends_an_array_of_sizes_outwards() -> None:
    mask, psf = irregular_mask(), np.ones((3, 3))
    sizes = np.ones((11, 13), dtype=np.int64)
    sizes[0, 12] = 3
    grid = light_grid(mask, psf, (1, 1), sizes)
    by_size = {size: points for size, points in grid.groups}
    assert sorted(by_size) == [1, 3]
    assert grid.pixel_index.size == sum(len(points) // size**2 for size, points in grid.groups)
    assert np.unique(grid.pixel_index).size == grid.pixel_index.size
    corner = by_size[3].reshape(-1, 9, 2).mean(axis=1)
    expected = pixel_centres(np.array([-1, -1, 0, 0]), np.array([12, 13, 12, 13]), (11, 13), 0.1)
    np.testing.assert_allclose(corner, expected, atol=1e-12)


def test_light_grid_arrays_are_read_only() -> None:
    grid = light_grid(irregular_mask(), np.ones((3, 3)), (1, 1), 2)
    for array in (grid.pixel_index, grid.mask_index, grid.groups[0][1]):
        assert not array.flags.writeable
        assert array.dtype in (np.int64, np.float64)


# --- accuracy of the default

_SCALE, _SIZE = 0.05, 61


def hst_like_psf() -> np.ndarray:
    """Core of sigma 0.9 pixels and wings, as the PSFs of the SLACS lenses."""
    step = np.arange(-7, 8)
    squared = step[:, None] ** 2 + step[None] ** 2
    psf = np.exp(-squared / (2 * 0.9**2)) + 0.02 * np.exp(-squared / (2 * 3.0**2))
    return psf / psf.sum()


def default_means(brightness) -> np.ndarray:
    """Pixel averages of a brightness as the default over-sampling has them, blurred."""
    grid = light_grid(
        Mask2D.unmasked((_SIZE, _SIZE), _SCALE), np.ones((1, 1)), (0, 0), RadialBins.for_lens_light(_SCALE)
    )
    image = np.empty(grid.frame_shape)
    image.flat[grid.pixel_index] = np.concatenate(
        [brightness(points).reshape(-1, size**2).mean(axis=1) for size, points in grid.groups]
    )
    return convolve2d(image, hst_like_psf(), mode="valid")


def error_of_gaussian(sigma: float, centre: np.ndarray) -> float:
    """Largest error over peak of the default for a circular Gaussian, whose averages are error functions."""
    points = (np.arange(_SIZE) - (_SIZE - 1) / 2) * _SCALE

    def in_one_direction(middle: float) -> np.ndarray:
        upper, lower = ((points - middle + side * _SCALE / 2) / (sigma * np.sqrt(2)) for side in (1, -1))
        return (erf(upper) - erf(lower)) * np.sqrt(np.pi / 2) * sigma / _SCALE

    exact = convolve2d(
        np.outer(in_one_direction(centre[0]), in_one_direction(centre[1])), hst_like_psf(), mode="valid"
    )
    ours = default_means(lambda p: np.exp(-((p - centre) ** 2).sum(axis=-1) / (2 * sigma**2)))
    return float(np.abs(ours - exact).max() / exact.max())


@pytest.mark.parametrize(
    ("sigma", "offset"),
    [(0.01, 0.1), (0.02, 0.15), (0.05, 0.15), (0.1, 0.15), (0.2, 0.15), (0.4, 0.15), (0.8, 0.15)],
)
def test_default_errors_of_gaussians_stay_below_a_thousandth_of_the_peak(sigma: float, offset: float) -> None:
    angles = np.linspace(0.1, 6.0, 6)
    centres = offset * np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    assert max(error_of_gaussian(sigma, centre) for centre in centres) < 1e-3


def test_default_error_of_a_de_vaucouleurs_cusp() -> None:
    # A cusp on a pixel centre; its flux inside the innermost pixels is a one-dimensional integral.
    def profile(radius: np.ndarray) -> np.ndarray:
        return np.exp(-7.669 * radius**0.25)

    ours = default_means(lambda p: profile(np.hypot(p[:, 0], p[:, 1])))
    fine = np.empty((_SIZE, _SIZE))
    centres = pixel_centres(np.arange(_SIZE)[:, None], np.arange(_SIZE)[None], (_SIZE, _SIZE), _SCALE)
    for place in np.ndindex(fine.shape):
        size = 32 if np.hypot(*centres[place]) < 0.3 else 4
        points = quadrature_positions(centres[place][None], size, _SCALE)
        fine[place] = profile(np.hypot(points[:, 0], points[:, 1])).mean()
    # Central pixel exactly: eight equal triangles in polar coordinates.
    half = _SCALE / 2

    def flux_within(radius: float) -> float:
        return quad(lambda t: 4 * t**7 * np.exp(-7.669 * t), 0.0, radius**0.25)[0]

    fine[_SIZE // 2, _SIZE // 2] = (
        8 * quad(lambda phi: flux_within(half / np.cos(phi)), 0.0, np.pi / 4)[0] / _SCALE**2
    )
    exact = convolve2d(fine, hst_like_psf(), mode="valid")
    assert np.abs(ours - exact).max() / exact.max() < 0.02
