"""Issue 13, line 8: what is wrong with data, masks, over-sampling and simulations is said at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytensor.tensor as pt
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.utils.masked import Masked
from astropy.wcs import WCS
from problems import clumps, gaussian_psf, simulated, tracer

import pymc_lens as pl
from pymc_lens.data.over_sampling import RadialBins
from pymc_lens.simulate import Image, simulate_imaging

RNG = np.random.default_rng(2)
DATA, NOISE = RNG.standard_normal((20, 22)), np.ones((20, 22))


def imaging(**changes: Any) -> pl.Imaging:
    good = {"data": DATA, "noise_map": NOISE, "psf": gaussian_psf(), "pixel_scales": 0.1}
    return pl.Imaging(**(good | changes))


def simulation(**changes: Any) -> pl.Imaging:
    good = {
        "tracer": tracer(),
        "source": clumps,
        "shape_native": (12, 12),
        "pixel_scales": 0.1,
        "psf": gaussian_psf(),
        "exposure_time": 100.0,
        "background_noise": 0.1,
        "seed": 1,
        "over_sample_size": 1,
    }
    return simulate_imaging(**(good | changes))


def circular(**changes: Any) -> pl.Mask2D:
    return pl.Mask2D.circular(**({"shape_native": (9, 9), "pixel_scales": 0.1, "radius": 0.3} | changes))


def wings(depth: float) -> np.ndarray:
    return gaussian_psf((11, 11)) - depth


TABLE: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    # images
    (
        "complex data",
        lambda: imaging(data=DATA + 1j),
        TypeError,
        "data: expected .* real numbers, got complex128",
    ),
    ("boolean data", lambda: imaging(data=DATA > 0), TypeError, "data: expected .* real numbers, got bool"),
    ("boolean noise", lambda: imaging(noise_map=NOISE > 0), TypeError, "noise_map: expected .* got bool"),
    ("complex psf", lambda: imaging(psf=gaussian_psf() * 1j), TypeError, "psf: expected .* got complex128"),
    ("dates", lambda: imaging(data=DATA.astype("M8[s]")), TypeError, "data: expected .* got datetime64"),
    ("strings", lambda: imaging(data=[["1"]]), TypeError, "data: expected .* got <U1"),
    (
        "ragged",
        lambda: imaging(data=[[1.0, 2.0], [3.0]]),
        ValueError,
        "data: expected a two-dimensional array",
    ),
    ("nothing", lambda: imaging(data=None), ValueError, "data: expected a two-dimensional array"),
    ("all masked", lambda: imaging(data=np.ma.masked_all((20, 22))), ValueError, "no unmasked pixel"),
    # units
    (
        "noise without unit",
        lambda: imaging(data=DATA * u.Jy),
        TypeError,
        "noise_map: expected a unit, as data has",
    ),
    (
        "data without unit",
        lambda: imaging(noise_map=NOISE * u.Jy),
        TypeError,
        "data: expected a unit, as noise_map",
    ),
    (
        "other dimension",
        lambda: imaging(data=DATA * u.Jy, noise_map=NOISE * u.s),
        ValueError,
        "noise_map: expected a unit that converts to Jy, got s",
    ),
    (
        "unknown unit",
        lambda: imaging(data=DATA * u.Jy, noise_map=NOISE * u.Jy, unit="furlong"),
        ValueError,
        "unit: expected a unit that astropy knows",
    ),
    ("unit of a wrong type", lambda: imaging(unit=3), TypeError, "unit: expected a string, got 3"),
    (
        "CCDData",
        lambda: imaging(data=CCDData(DATA, unit="adu"), noise_map=NOISE * u.adu),
        TypeError,
        "data: expected an array or a Quantity, got CCDData",
    ),
    (
        "pixel scale in seconds",
        lambda: imaging(pixel_scales=1 * u.s),
        ValueError,
        "pixel_scales: expected an angle",
    ),
    ("boolean pixel scale", lambda: imaging(pixel_scales=True), TypeError, "pixel_scales: expected a number"),
    ("radius in seconds", lambda: circular(radius=1 * u.s), ValueError, "radius: expected an angle"),
    # point spread functions
    (
        "psf of sum zero",
        lambda: imaging(psf=gaussian_psf() - gaussian_psf().mean()),
        ValueError,
        "psf: expected",
    ),
    (
        "psf of nearly no sum",
        lambda: imaging(psf=wings(gaussian_psf((11, 11)).mean() - 1e-6)),
        ValueError,
        "psf: expected a kernel whose sum is well above zero, got .* is positive. Subtract its background",
    ),
    (
        "masked psf",
        lambda: imaging(psf=np.ma.masked_less(gaussian_psf(), 0.1)),
        ValueError,
        "psf: expected finite numbers.* bad pixels to zero",
    ),
    # world coordinates
    (
        "wcs of a wrong type",
        lambda: imaging(wcs="TAN"),
        TypeError,
        "wcs: expected a celestial astropy.wcs.WCS",
    ),
    ("linear wcs", lambda: imaging(wcs=WCS(naxis=2)), TypeError, "wcs: expected a celestial astropy.wcs.WCS"),
    (
        "wcs of another scale",
        lambda: imaging(wcs=simulated().sky, pixel_scales=0.05),
        ValueError,
        "wcs: expected the data's pixel_scales, 0.05 arcsec, got",
    ),
    # files
    (
        "path of a wrong type",
        lambda: pl.Imaging.from_fits(1, 2, 3),
        TypeError,
        "data_path: expected a path, got 1",
    ),
    # masks
    ("boolean radius", lambda: circular(radius=True), TypeError, "radius: expected a number, got True"),
    ("radius as a string", lambda: circular(radius="3"), TypeError, "radius: expected a number, got '3'"),
    ("centre as strings", lambda: circular(centre=("a", 0.0)), ValueError, "centre: expected a pair"),
    ("centre of three", lambda: circular(centre=(0.0, 0.0, 0.0)), ValueError, "centre: expected a pair"),
    (
        "shape as a number",
        lambda: circular(shape_native=9),
        ValueError,
        "shape_native: expected two positive",
    ),
    (
        "boolean shape",
        lambda: circular(shape_native=(True, 9)),
        ValueError,
        "shape_native: expected two positive",
    ),
    (
        "angle as a string",
        lambda: pl.Mask2D.elliptical((9, 9), 0.1, 0.3, 0.5, "a"),
        TypeError,
        "angle: expected a number, got 'a'",
    ),
    (
        "axis ratio as a string",
        lambda: pl.Mask2D.elliptical((9, 9), 0.1, 0.3, "a", 0.0),
        TypeError,
        "axis_ratio: expected a number, got 'a'",
    ),
    ("ragged mask", lambda: pl.Mask2D([[True], [True, False]], 0.1), ValueError, "array: expected booleans"),
    # over-sampling
    (
        "boolean rays",
        lambda: imaging(over_sample_size_pixelization=True),
        ValueError,
        "over_sample_size_pixelization: expected an integer >= 1, got True",
    ),
    (
        "rays as a float",
        lambda: imaging().apply_over_sampling(2.0),
        ValueError,
        "over_sample_size_pixelization: expected an integer >= 1, got 2.0",
    ),
    (
        "positions as a float",
        lambda: imaging().apply_over_sampling(over_sample_size_lp=2.0),
        ValueError,
        "over_sample_size_lp: expected an integer >= 1, got 2.0",
    ),
    (
        "positions as a string",
        lambda: imaging(over_sample_size_lp="4"),
        ValueError,
        "over_sample_size_lp: expected an integer >= 1, got '4'",
    ),
    (
        "boolean positions",
        lambda: imaging(over_sample_size_lp=NOISE > 0),
        ValueError,
        "over_sample_size_lp: expected integers >= 1, got bool",
    ),
    (
        "ragged positions",
        lambda: imaging(over_sample_size_lp=[[1], [1, 2]]),
        ValueError,
        "over_sample_size_lp: expected integers of the image's shape",
    ),
    ("boolean bins", lambda: RadialBins((True, 1), (0.1,)), ValueError, "sizes: expected integers >= 1"),
    (
        "bins as a number",
        lambda: RadialBins(4, 0.1),
        TypeError,
        "sizes: expected a sequence of numbers, got 4",
    ),
    ("radii as strings", lambda: RadialBins((4, 1), ("a",)), TypeError, "radii: expected a number, got 'a'"),
    (
        "too many rays",
        lambda: pl.FitImaging(simulated().apply_over_sampling(4000), tracer()),
        ValueError,
        "over_sample_size_pixelization: expected what fits into the .* GiB of memory, got 1.4e.10",
    ),
    (
        "too many positions",
        lambda: simulated().apply_over_sampling(over_sample_size_lp=40000).light_grid,
        ValueError,
        "over_sample_size_lp: expected what fits into the .* GiB",
    ),
    # simulations
    (
        "tracer of a wrong type",
        lambda: simulation(tracer="lens"),
        TypeError,
        "tracer: expected a Tracer, got 'lens'",
    ),
    (
        "symbolic tracer",
        lambda: simulation(tracer=tracer(pl.mass.Isothermal(einstein_radius=pt.dscalar("t")))),
        TypeError,
        "tracer: expected numbers, got the variable t",
    ),
    (
        "source as an array",
        lambda: simulation(source=DATA),
        TypeError,
        "source: expected a function of y and x",
    ),
    ("no source", lambda: simulation(source=None), TypeError, "source: expected a function of y and x"),
    ("light as a number", lambda: simulation(lens_light=1.0), TypeError, "lens_light: expected a function"),
    (
        "source that returns strings",
        lambda: simulation(source=lambda y, x: "bright"),
        ValueError,
        "source: expected a brightness for each position, got 'bright'",
    ),
    (
        "time as a string",
        lambda: simulation(exposure_time="1"),
        TypeError,
        "exposure_time: expected a number",
    ),
    ("boolean time", lambda: simulation(exposure_time=True), TypeError, "exposure_time: expected a number"),
    (
        "noise as an array",
        lambda: simulation(background_noise=NOISE),
        TypeError,
        "background_noise: expected a numb",
    ),
    (
        "shape as one number",
        lambda: simulation(shape_native=12),
        ValueError,
        "shape_native: expected two positive",
    ),
    (
        "seed as a string",
        lambda: simulation(seed="a"),
        TypeError,
        "seed: expected an integer >= 0 or a Generator",
    ),
    (
        "negative seed",
        lambda: simulation(seed=-1),
        TypeError,
        "seed: expected an integer >= 0 or a Generator",
    ),
    (
        "rays as a boolean",
        lambda: simulation(over_sample_size=True),
        ValueError,
        "over_sample_size: expected an int",
    ),
    (
        "far too many rays",
        lambda: simulation(over_sample_size=40000),
        ValueError,
        "over_sample_size: expected what fits",
    ),
    ("psf as a string", lambda: simulation(psf="hst.fits"), TypeError, "psf: expected .* real numbers"),
    ("complex image", lambda: Image(DATA + 1j, 0.1), TypeError, "array: expected .* got complex128"),
    ("centre as a number", lambda: Image(DATA, 0.1, centre=0.0), ValueError, "centre: expected a pair"),
]


@pytest.mark.parametrize(
    ("call", "error", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_issue13_line8_bad_data(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


# --- what is read as it is meant


MASKED = np.zeros(DATA.shape, dtype=bool)
MASKED[3, 4] = MASKED[7, 7] = True


@pytest.mark.parametrize("masked", [np.ma.array, Masked], ids=["numpy", "astropy"])
def test_issue13_line8_masked_pixels_drop_out(masked: Any, caplog: pytest.LogCaptureFixture) -> None:
    spoilt = np.where(MASKED, 1e6, DATA)
    with caplog.at_level("INFO", logger="pymc_lens.data.imaging"):
        dataset = imaging(data=masked(spoilt, mask=MASKED))
        assert dataset.fitted.size == DATA.size - 2
        assert "2 of 440 unmasked pixels dropped: 2 non-finite or masked data." in caplog.text
    assert np.abs(dataset.data_fitted).max() < 10.0
    assert imaging(noise_map=masked(NOISE, mask=MASKED)).fitted.size == DATA.size - 2
    in_mjy = (
        imaging(data=masked(spoilt, mask=MASKED) * u.mJy, noise_map=NOISE * u.mJy)
        if masked is Masked
        else dataset
    )
    np.testing.assert_array_equal(in_mjy.data, dataset.data)


def test_issue13_line8_units_are_converted() -> None:
    plain = imaging(unit="mJy")
    assert imaging(data=DATA * u.mJy, noise_map=(NOISE * u.mJy).to(u.Jy)) == plain
    assert imaging(data=DATA * u.mJy, noise_map=NOISE * u.mJy, unit="Jy").data[2, 3] == pytest.approx(
        plain.data[2, 3] / 1000, rel=1e-15
    )
    for scale in (100 * u.mas, 0.1 * u.arcsec / u.pix, (100 * u.mas, 0.1 * u.arcsec), [0.1, 0.1] * u.arcsec):
        assert imaging(pixel_scales=scale).pixel_scales == pytest.approx(0.1, rel=1e-15)
    mask = circular(radius=300 * u.mas, centre=(0.1 * u.arcsec, 0.0))
    assert mask == circular(centre=(0.1, 0.0))
    assert RadialBins((2, 1), [100 * u.mas]) == RadialBins((2, 1), (0.1,))


def test_issue13_line8_masked_quantities_drop_out_too() -> None:
    flux = Masked(DATA * u.mJy, mask=MASKED)
    np.testing.assert_array_equal(
        imaging(data=flux, noise_map=NOISE * u.mJy).data, np.where(MASKED, np.nan, DATA)
    )


def test_issue13_line8_units_of_headers_are_converted(tmp_path: Path) -> None:
    def written(name: str, image: np.ndarray, unit: str | None) -> Path:
        path = tmp_path / f"{name}.fits"
        header = fits.Header() if unit is None else fits.Header({"BUNIT": unit})
        fits.writeto(path, image, header, overwrite=True)
        return path

    psf = written("psf", gaussian_psf(), None)

    def read(unit: str | None, noise_unit: str | None, noise: np.ndarray = NOISE) -> pl.Imaging:
        paths = written("data", DATA, unit), psf, written("noise", noise, noise_unit)
        return pl.Imaging.from_fits(*paths, pixel_scales=0.1)

    plain = imaging(unit="mJy")
    assert read("mJy", "Jy", NOISE / 1000) == read("mJy", None) == read("mJy", "unheard-of") == plain
    with pytest.raises(
        ValueError, match=r"^noise_map_path: its header has the unit mJy2, that of the data mJy"
    ):
        read("mJy", "mJy2")
    with pytest.raises(
        ValueError, match=r"^noise_map_kind: expected 'sd', 'variance' or 'weight', got 'rms'"
    ):
        pl.Imaging.from_fits(tmp_path / "data.fits", psf, tmp_path / "noise.fits", 0.1, noise_map_kind="rms")


def test_issue13_line8_a_truncated_file_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.fits"
    fits.writeto(whole, DATA)
    cut = tmp_path / "cut.fits"
    cut.write_bytes(whole.read_bytes()[:4000])
    with (
        pytest.warns(UserWarning, match="truncated"),
        pytest.raises(
            ValueError, match=r"^data_path: extension 0 of .*cut.fits cannot be read .*truncated\?"
        ),
    ):
        pl.Imaging.from_fits(cut, whole, whole, 0.1)
    (tmp_path / "empty.fits").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^psf_path: .*empty.fits is not a FITS file"):
        pl.Imaging.from_fits(whole, tmp_path / "empty.fits", whole, 0.1)
    with pytest.raises(ValueError, match=r"^data_path: .*whole.fits has no extension None"):
        pl.Imaging.from_fits(whole, whole, whole, 0.1, data_hdu=None)
