"""Points seen as the PSF: against one that is known everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from problems import mass
from pytensor.compile.mode import Mode
from scipy.special import erf

import pymc_lens as pl
from pymc_lens.light import PointSource
from pymc_lens.parts import Light, parts_of
from pymc_lens.response.imaging_blur import DenseBlur

ONCE = Mode("py", None)
SHAPE, SCALE, PSF_SIZE = (41, 43), 0.05, 21


def gaussian(shape: tuple[int, int], centre: tuple[float, float], width: float) -> np.ndarray:
    """Gaussian of unit flux and a full width at half maximum averaged over pixels, all in pixels."""
    sigma = np.sqrt(2.0) * width / 2.3548200450309493
    along = []
    for n, c in zip(shape, centre, strict=True):
        edges = np.arange(n + 1) - 0.5 * n - c
        along.append(0.5 * np.diff(erf(edges / sigma)))
    return np.multiply.outer(*along)


def dataset(width: float = 3.0, **kwargs: Any) -> pl.Imaging:
    psf = gaussian((PSF_SIZE, PSF_SIZE), (0.0, 0.0), width)
    noise = np.full(SHAPE, 0.1)
    data = 0.1 * np.random.default_rng(1).standard_normal(SHAPE)
    return pl.Imaging(data, noise, psf / psf.sum(), SCALE, **kwargs)


def seen(light: PointSource, imaging: pl.Imaging) -> np.ndarray:
    """Images (n, ny, nx) of the points of unit flux."""
    scheme, (columns,) = Light("points", light).on(imaging)
    blurred = DenseBlur(imaging).blur([(columns.eval(mode=ONCE), scheme.positions)])
    return np.array([imaging.plane.native(image) for image in blurred])


def test_on_a_pixel_it_is_the_psf() -> None:
    imaging = dataset()
    (image,) = seen(PointSource((2 * SCALE, -3 * SCALE)), imaging)
    rows, cols = slice(20 + 2 - 10, 20 + 2 + 11), slice(21 - 3 - 10, 21 - 3 + 11)
    np.testing.assert_allclose(image[rows, cols], imaging.psf, atol=1e-14)
    assert image.sum() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(("width", "error"), [(2.0, 2.2e-3), (2.5, 1.5e-3), (3.0, 5e-4)])
@pytest.mark.parametrize("centre", [(0.5, 0.5), (-2.3, 4.4), (0.25, -0.1)], ids=str)
def test_between_pixels_it_is_the_psf_there(width: float, error: float, centre: tuple[float, float]) -> None:
    (image,) = seen(PointSource((centre[0] * SCALE, centre[1] * SCALE)), dataset(width))
    expected = gaussian(SHAPE, centre, width)
    assert np.abs(image - expected).max() < error * expected.max()
    assert image.sum() == pytest.approx(1.0, rel=1e-4)


def test_an_image_may_lie_elsewhere_on_the_sky() -> None:
    imaging = dataset(offset=(0.3, -0.2), rotation=30.0)
    centre = np.array([1.3, -2.6])
    (image,) = seen(PointSource(imaging.plane.frame.to_sky(centre * SCALE)), imaging)
    expected = gaussian(SHAPE, tuple(centre), 3.0)
    np.testing.assert_allclose(image, expected, atol=5e-4 * expected.max())


def test_gradient_in_the_position_is_that_of_differences() -> None:
    imaging, values = dataset(), pt.vector("values", shape=(2,))
    scheme, (columns,) = Light("points", PointSource(values)).on(imaging)
    weights = np.random.default_rng(2).standard_normal(scheme.positions.size)
    total = columns[0] @ weights
    function = pytensor.function([values], [total, pytensor.grad(total, values)], mode=ONCE)
    for point in (np.array([0.013, -0.041]), np.array([SCALE, 0.0])):  # also where a pixel's distance is zero
        exact = function(point)[1]
        for axis, step in enumerate(1e-4 * np.eye(2)):
            sides = [w * function(point + k * step)[0] for w, k in ((8, 1), (-8, -1), (-1, 2), (1, -2))]
            assert exact[axis] == pytest.approx(sum(sides) / 12e-4, rel=1e-7)


def test_fluxes_of_images_and_nucleus_are_found(rng: np.random.Generator) -> None:
    positions, fluxes = np.array([[0.62, 0.31], [-0.55, 0.12], [0.1, -0.5]]), np.array([20.0, 12.0, 7.0])
    nucleus, flux = (0.02, 0.03), 9.0
    image = 0.1 * rng.standard_normal(SHAPE)
    for place, size in zip([*positions, nucleus], [*fluxes, flux], strict=True):
        image += size * gaussian(SHAPE, tuple(np.array(place) / SCALE), 3.0)
    imaging = dataset().with_data(image, np.full(SHAPE, 0.1), None)
    lens = pl.Galaxy(0.5, mass=mass(), light=PointSource(nucleus, positivity="map"))
    fit = pl.FitImaging(imaging, pl.Tracer([lens, pl.Galaxy(1.5, light=PointSource(positions))]))
    # A point's variance is that of the noise over the sum of the squared PSF.
    sd = 0.1 / np.sqrt((imaging.psf**2).sum())
    assert (np.abs(fit.coefficients["source_points"] - fluxes) < 4.0 * sd).all()
    assert np.abs(fit.coefficients["lens_light"] - flux) < 4.0 * sd
    assert fit.reduced_chi_squared == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / imaging.fitted.size))
    assert np.nansum(fit.lensed_source) == pytest.approx(fit.coefficients["source_points"].sum(), rel=1e-3)
    assert fit.sources == {}


def test_a_lens_moves_the_host_and_not_the_points() -> None:
    host, points = (
        pl.light.Exponential((0.0, 0.1), effective_radius=0.2),
        PointSource([(1.0, 0.0), (-0.9, 0.1)]),
    )
    mixed = pl.light.Mixture(points, [1.0, 0.5])
    tracer = pl.Tracer(
        [pl.Galaxy(0.5, mass=mass(), light=points), pl.Galaxy(1.0, light=host + points + mixed)]
    )
    names = [(type(part).__name__, part.name, part.light.n_columns) for part in parts_of(tracer)]
    assert names == [
        ("Light", "lens_light", 2), ("LensedLight", "source_light", 1), ("PointImages", "source_points", 3),
    ]  # fmt: skip


def test_positions_may_be_those_of_a_model() -> None:
    with pm.Model():
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0)])
        images = pl.ImagePositions("images", tracer, near=[(1.0, 0.2), (-0.8, 0.1)], sigma=0.01)
        assert PointSource(images).n_columns == 2
        assert PointSource(pm.Normal("nucleus", shape=2)).n_columns == 1


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"centre": (0.0, np.nan)}, ValueError, "centre: expected a finite number"),
        ({"centre": 0.1}, ValueError, "centre: expected a pair"),
        ({"centre": None}, ValueError, "centre: expected a pair"),
        ({"centre": "ab"}, TypeError, "centre: expected real numbers"),
        ({"centre": [(0.0, 1.0), (0.0, 1.0, 2.0)]}, ValueError, "centre: expected a pair"),
        ({"centre": pt.matrix("centres")}, ValueError, "centre: expected a variable whose number of pairs"),
        ({"centre": pt.tensor("centres", shape=(2, 3))}, ValueError, "centre: expected two components"),
        ({"intensity_scale": 0.0}, ValueError, "intensity_scale: expected a positive number"),
        ({"positivity": "yes"}, ValueError, "positivity: expected one of"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pl.light.PointSource(**changes)


def test_it_has_no_surface_brightness() -> None:
    with pytest.raises(TypeError, match="light: a PointSource has no surface brightness"):
        PointSource().images(np.zeros((3, 2)))
