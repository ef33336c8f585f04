from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytensor.tensor as pt
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.signal import convolve2d
from scipy.special import erf

import pymc_lens as pl
from pymc_lens.data.imaging import Imaging
from pymc_lens.simulate import Image, simulate_imaging

EXAMPLES = Path(__file__).parents[2] / "examples"


class NoLens:
    """A tracer that bends nothing."""

    def traced_grid(self, grid):
        return pt.as_tensor_variable(grid)


def psf(shape: tuple[int, int] = (5, 5)) -> np.ndarray:
    kernel = np.random.default_rng(3).uniform(0.1, 1.0, shape)
    return kernel / kernel.sum()


def blob(sigma: float, y0: float = 0.0, x0: float = 0.0, peak: float = 1.0):
    return lambda y, x: peak * np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * sigma**2))


def blob_means(sigma: float, rows: np.ndarray, scale: float, middle: float) -> np.ndarray:
    """Exact pixel averages of a Gaussian in one direction; rows in pixels from the origin."""
    upper, lower = ((rows * scale - middle + side * scale / 2) / (sigma * np.sqrt(2)) for side in (1, -1))
    return (erf(upper) - erf(lower)) * np.sqrt(np.pi / 2) * sigma / scale


BRIGHT = {"exposure_time": 1e12, "background_noise": 1e-9, "seed": 1}


# --- the noiseless image


@pytest.mark.parametrize("shape", [(5, 5), (4, 6), (3, 2)])
def test_image_is_the_blurred_pixel_average_with_light_from_outside(shape: tuple[int, int]) -> None:
    # The blob sits on the image's corner: most of its light is outside, and the PSF brings some of it in.
    ny, nx, scale, sigma = 11, 14, 0.1, 0.15
    y0, x0 = 0.55, -0.7
    dataset = simulate_imaging(NoLens(), blob(sigma, y0, x0), (ny, nx), scale, psf(shape), **BRIGHT)
    margin = 12
    rows = np.arange(-margin, ny + margin) - (ny - 1) / 2
    cols = np.arange(-margin, nx + margin) - (nx - 1) / 2
    canvas = np.outer(blob_means(sigma, rows, scale, y0), blob_means(sigma, cols, scale, x0))
    full = convolve2d(canvas, psf(shape))
    first_row, first_col = margin + shape[0] // 2, margin + shape[1] // 2
    expected = full[first_row : first_row + ny, first_col : first_col + nx]
    np.testing.assert_allclose(dataset.data, expected, atol=5e-6 * expected.max())
    assert np.unravel_index(dataset.data.argmax(), (ny, nx))[0] > ny // 2


def test_lens_light_is_added_in_the_image_plane() -> None:
    class Shift:
        def traced_grid(self, grid):
            return pt.as_tensor_variable(grid + np.array([0.0, 1.0]))

    both = simulate_imaging(
        Shift(), blob(0.1, 0.0, 1.0), (21, 21), 0.1, psf(), lens_light=blob(0.2, 0.3, 0.0), **BRIGHT
    )
    source = simulate_imaging(NoLens(), blob(0.1), (21, 21), 0.1, psf(), **BRIGHT)
    light = simulate_imaging(NoLens(), blob(0.2, 0.3, 0.0), (21, 21), 0.1, psf(), **BRIGHT)
    np.testing.assert_allclose(both.data, source.data + light.data, atol=1e-5)


def test_over_sampling_converges() -> None:
    def image(size: int) -> np.ndarray:
        dataset = simulate_imaging(
            NoLens(), blob(0.05), (15, 15), 0.1, psf(), over_sample_size=size, **BRIGHT
        )
        return dataset.data

    exact = image(32)
    errors = [np.abs(image(size) - exact).max() for size in (2, 4, 8)]
    # Fourth order.
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_isothermal_makes_an_einstein_ring() -> None:
    # A disc of radius r behind the centre of a circular lens is a ring from einstein_radius - r to
    # einstein_radius + r, of the same surface brightness.
    lens = pl.Galaxy(redshift=0.5, mass=pl.mass.Isothermal(einstein_radius=1.2))
    tracer = pl.Tracer([lens, pl.Galaxy(redshift=1.0)])
    radius = 0.15

    def disc(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return (np.hypot(y, x) < radius).astype(float)

    dataset = simulate_imaging(tracer, disc, (70, 70), 0.05, np.ones((1, 1)), **BRIGHT)
    y, x = np.indices((70, 70)) - 34.5
    distance = np.hypot(y, x) * 0.05
    on_ring = np.abs(distance - 1.2) < radius - 0.04
    np.testing.assert_allclose(dataset.data[on_ring], 1.0, atol=1e-5)
    np.testing.assert_allclose(dataset.data[np.abs(distance - 1.2) > radius + 0.04], 0.0, atol=1e-6)
    area = np.pi * ((1.2 + radius) ** 2 - (1.2 - radius) ** 2)
    assert dataset.data.sum() * 0.05**2 == pytest.approx(area, rel=2e-3)


# --- noise


def test_noise_has_the_stated_statistics() -> None:
    # Flat brightness b: variance b / t + background^2, and a noise map that says so.
    level, time, background = 0.7, 400.0, 0.05
    dataset = simulate_imaging(
        NoLens(), lambda y, x: np.full(y.shape, level), (300, 300), 0.1, psf(), time, background, seed=5,
        over_sample_size=1,
    )  # fmt: skip
    variance = level / time + background**2
    n = dataset.data.size
    assert dataset.data.mean() == pytest.approx(level, abs=4 * np.sqrt(variance / n))
    assert dataset.data.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / n))
    assert dataset.noise_map.mean() == pytest.approx(np.sqrt(variance), rel=2e-3)
    np.testing.assert_allclose(dataset.noise_map**2, dataset.data / time + background**2, rtol=1e-12)


def test_counts_are_poisson() -> None:
    time = 2.0
    dataset = simulate_imaging(
        NoLens(),
        lambda y, x: np.full(y.shape, 1.5),
        (200, 200),
        0.1,
        psf(),
        time,
        1e-9,
        seed=5,
        over_sample_size=1,
    )
    counts = dataset.data * time
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-6)
    # Poisson of mean 3: P(0) = e^-3.
    assert (np.rint(counts) == 0).mean() == pytest.approx(np.exp(-3.0), abs=4 * np.sqrt(0.05 * 0.95 / 40000))


def test_noise_map_is_the_background_where_the_data_are_negative() -> None:
    dataset = simulate_imaging(NoLens(), blob(0.1, peak=0.0), (40, 40), 0.1, psf(), 100.0, 0.3, seed=1)
    negative = dataset.data < 0.0
    assert 0.4 < negative.mean() < 0.6
    np.testing.assert_allclose(dataset.noise_map[negative], 0.3, rtol=1e-12)
    assert (dataset.noise_map[~negative] > 0.3).all()


def test_the_seed_decides() -> None:
    def image(seed) -> Imaging:
        return simulate_imaging(NoLens(), blob(0.2), (12, 12), 0.1, psf(), 100.0, 0.1, seed)

    assert image(1) == image(1) == image(np.random.default_rng(1))
    assert image(1) != image(2)


def test_result_can_be_written_and_read(tmp_path: Path) -> None:
    dataset = simulate_imaging(NoLens(), blob(0.2), (12, 13), 0.1, 3.0 * psf(), 100.0, 0.1, seed=1)
    assert dataset.unit == "electron / s"
    assert dataset.psf.sum() == pytest.approx(1.0)
    assert Imaging.from_fits(*dataset.to_fits(tmp_path)) == dataset


def test_the_shipped_example_is_its_truth_with_noise() -> None:
    script = runpy.run_path(str(EXAMPLES / "simulate_source_complex.py"))
    names = ("data.fits", "psf.fits", "noise_map.fits")
    shipped = Imaging.from_fits(*(script["FOLDER"] / name for name in names))
    assert shipped.pixel_scales == 0.05
    assert shipped.unit == "electron / s"
    truth = simulate_imaging(
        script["tracer"](), script["source"], shipped.shape_native, 0.05, script["hst_like_psf"](),
        over_sample_size=6, **BRIGHT,
    )  # fmt: skip
    np.testing.assert_allclose(shipped.psf, truth.psf, rtol=1e-6)
    normalized = (shipped.data - truth.data) / shipped.noise_map
    n = normalized.size
    assert normalized.mean() == pytest.approx(0.0, abs=5 / np.sqrt(n))
    assert (normalized**2).mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / n))
    assert 50.0 < (shipped.data / shipped.noise_map).max() < 100.0
    # The mask of the overview, with the reach of the PSF around it.
    mask = pl.Mask2D.circular(shipped.shape_native, 0.05, radius=3.6)
    assert shipped.apply_mask(mask).light_grid.frame_shape == shipped.shape_native


# --- sources given as images


def test_image_interpolates_linearly(rng: np.random.Generator) -> None:
    array = rng.uniform(size=(6, 9))
    image = Image(array, 0.2, centre=(0.3, -0.1))
    y = (np.arange(6) - 2.5) * 0.2 + 0.3
    x = (np.arange(9) - 4.0) * 0.2 - 0.1
    reference = RegularGridInterpolator((y, x), array, bounds_error=False, fill_value=0.0)
    points = rng.uniform(-1.3, 1.3, (4, 500, 2))
    np.testing.assert_allclose(image(points[..., 0], points[..., 1]), reference(points), atol=1e-12)
    assert image(np.array([y[1]]), np.array([x[7]]))[0] == pytest.approx(array[1, 7])


def test_image_as_source() -> None:
    rows = (np.arange(61) - 30) * 0.02
    sampled = Image(blob(0.15)(rows[:, None], rows[None]), 0.02)
    image, function = (
        simulate_imaging(NoLens(), source, (9, 9), 0.1, psf(), **BRIGHT) for source in (sampled, blob(0.15))
    )
    np.testing.assert_allclose(image.data, function.data, atol=5e-3)


# --- bad input


def test_symbolic_parameters_are_refused() -> None:
    lens = pl.Galaxy(redshift=0.5, mass=pl.mass.Isothermal(einstein_radius=pt.dscalar("einstein_radius")))
    tracer = pl.Tracer([lens, pl.Galaxy(redshift=1.0)])
    with pytest.raises(TypeError, match=r"^tracer: expected numbers, got the variable einstein_radius"):
        simulate_imaging(tracer, blob(0.2), (12, 12), 0.1, psf(), **BRIGHT)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("exposure_time", 0.0, "exposure_time: expected a positive number"),
        ("background_noise", -1.0, "background_noise: expected a positive number"),
        ("background_noise", np.nan, "background_noise: expected a positive number"),
        ("over_sample_size", 0, "over_sample_size: expected an integer >= 1"),
        ("psf", -np.eye(3), "psf: expected no negative elements"),
        ("psf", np.ones((30, 3)), "psf: its shape"),
        ("shape_native", (12, 0), "shape_native: expected"),
        ("source", lambda y, x: -np.ones(y.shape), "source: expected finite brightness >= 0, the lowest is"),
        ("source", lambda y, x: np.full(y.shape, np.nan), "source: expected finite brightness"),
        ("source", lambda y, x: 1.0, r"source: expected a brightness for each position, got shape \(\)"),
        ("lens_light", lambda y, x: -np.ones(y.shape), "lens_light: expected finite brightness"),
    ],
)
def test_bad_input_names_the_argument(name: str, value: object, match: str) -> None:
    good = {
        "source": blob(0.2),
        "shape_native": (12, 12),
        "pixel_scales": 0.1,
        "psf": psf(),
        "exposure_time": 100.0,
        "background_noise": 0.1,
        "seed": 1,
    }
    with pytest.raises(ValueError, match=f"^{match}"):
        simulate_imaging(NoLens(), **(good | {name: value}))


def test_bad_images() -> None:
    with pytest.raises(ValueError, match=r"^array: expected a two-dimensional array, got shape \(3,\)"):
        Image(np.ones(3), 0.1)
    with pytest.raises(ValueError, match=r"^array: expected finite"):
        Image(np.full((3, 3), np.nan), 0.1)
