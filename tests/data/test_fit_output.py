"""Issue 13, line 15: a fit as FITS files, on the sky of the data. Line 4: pixel scales come from headers."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from problems import gaussian_psf, simulated, tracer

import pymc_lens as pl

SCALE = 0.1
EXAMPLES = Path(__file__).parents[2] / "examples"


def sky_of(scale: float, rotation: float = 33.0) -> WCS:
    """World coordinates near the pole, where meridians converge, with the reference far off the image."""
    wcs = WCS(naxis=2)
    cos, sin = (scale / 3600 * f(np.deg2rad(rotation)) for f in (np.cos, np.sin))
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [43.2, 80.0]
    wcs.wcs.crpix = [600.0, -350.5]
    wcs.wcs.cd = [[-cos, sin], [sin, cos]]
    return wcs


def written(folder: Path, dataset: pl.Imaging, **headers: fits.Header) -> tuple[Path, Path, Path]:
    for name in ("data", "psf", "noise_map"):
        fits.writeto(folder / f"{name}.fits", getattr(dataset, name), headers.get(name))
    return folder / "data.fits", folder / "psf.fits", folder / "noise_map.fits"


def separation(first: np.ndarray, second: np.ndarray) -> float:
    """Arcsec between places (ra, dec) in degrees, at most."""
    cosine = np.cos(np.deg2rad(first[..., 1]))
    return 3600.0 * np.hypot((first - second)[..., 0] * cosine, (first - second)[..., 1]).max()


@pytest.fixture
def read(tmp_path: Path) -> pl.Imaging:
    """A dataset with world coordinates, read and masked."""
    lens = simulated()
    (tmp_path / "in").mkdir()
    header = sky_of(SCALE).to_header()
    header["BUNIT"] = "electron / s"
    dataset = pl.Imaging.from_fits(*written(tmp_path / "in", lens, data=header))
    assert dataset.pixel_scales == SCALE
    return dataset.apply_mask(lens.mask)


def test_issue13_line15_world_coordinates_are_kept_and_take_no_part(read: pl.Imaging, tmp_path: Path) -> None:
    lens = simulated()
    assert read == lens
    assert hash(read) == hash(lens)
    copies = (read, read.apply_over_sampling(1), pickle.loads(pickle.dumps(read)), copy.deepcopy(read))
    for dataset in copies:
        assert dataset.wcs.wcs.compare(read.wcs.wcs)
    data_path, _, noise_path = read.to_fits(tmp_path / "out")
    for path in (data_path, noise_path):
        pixels = np.array([[0, 0], [38, 36], [5.5, 20]])
        here, there = (wcs.all_pix2world(pixels, 0) for wcs in (WCS(fits.getheader(path)), sky_of(SCALE)))
        assert separation(here, there) < 1e-6


def test_issue13_line15_a_fit_is_written_on_the_sky_of_the_data(read: pl.Imaging, tmp_path: Path) -> None:
    fit = pl.FitImaging(read, tracer())
    paths = fit.to_fits(tmp_path / "new" / "folder")
    assert [path.name for path in paths.values()] == [
        "model_image.fits", "residual_map.fits", "lens_light.fits", "lensed_source.fits", "source.fits",
    ]  # fmt: skip
    for name in ("model_image", "residual_map", "lens_light", "lensed_source"):
        image, header = fits.getdata(paths[name], header=True)
        np.testing.assert_array_equal(image, getattr(fit, name))
        assert header["BUNIT"] == "electron / s"
        assert separation(
            WCS(header).all_pix2world([[3, 30]], 0), sky_of(SCALE).all_pix2world([[3, 30]], 0)
        ) < 1e-6  # fmt: skip
    with pytest.raises(FileExistsError, match=r"^overwrite: .*model_image.fits exists"):
        fit.to_fits(tmp_path / "new" / "folder")
    fit.to_fits(tmp_path / "new" / "folder", overwrite=True)
    with pytest.raises(TypeError, match=r"^folder: expected a path, got 3"):
        fit.to_fits(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("has_wcs", [True, False])
def test_issue13_line15_the_source_lies_where_it_would_be_seen(
    read: pl.Imaging, tmp_path: Path, has_wcs: bool
) -> None:
    dataset = read if has_wcs else simulated()
    fit = pl.FitImaging(dataset, tracer())
    path = fit.to_fits(tmp_path)["source"]
    brightness, wcs = fits.getdata(path), WCS(fits.getheader(path))
    peak = np.unravel_index(brightness.argmax(), brightness.shape)
    # Over the sky to the image plane, and from there by the geometry of the data to arcsec.
    rows, cols = (np.indices(brightness.shape) * 1.0).reshape(2, -1)
    world = wcs.all_pix2world(np.stack([cols, rows], axis=1), 0)
    columns_rows = dataset.sky.all_world2pix(world, 0)
    points = (columns_rows[:, ::-1] - (np.array(dataset.shape_native) - 1) / 2) * SCALE
    np.testing.assert_allclose(
        fit.source.brightness(points), brightness.ravel(), atol=1e-5 * brightness.max()
    )
    # problems.clumps: its brightest.
    np.testing.assert_allclose(points.reshape(*brightness.shape, 2)[peak], (-0.12, -0.05), atol=0.06)
    assert fits.getheader(path).get("BUNIT") == "electron / s"


def test_issue13_line15_distortions_and_unreadable_headers(tmp_path: Path) -> None:
    lens = simulated()
    header = sky_of(SCALE).to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header.update(A_ORDER=2, B_ORDER=2, A_2_0=1e-7, B_0_2=2e-7, AP_ORDER=2, BP_ORDER=2)
    dataset = pl.Imaging.from_fits(*written(tmp_path, lens, data=header)).apply_mask(lens.mask)
    assert dataset.pixel_scales == SCALE
    assert dataset.wcs.sip is not None
    assert WCS(fits.getheader(dataset.to_fits(tmp_path / "out")[0])).sip is not None
    source = pl.FitImaging(dataset, tracer()).to_fits(tmp_path / "out")["source"]
    assert WCS(fits.getheader(source)).sip is None
    header["CTYPE1"] = "RA---NIX"
    (tmp_path / "bad").mkdir()
    assert pl.Imaging.from_fits(*written(tmp_path / "bad", lens, data=header), SCALE).wcs is None


# --- pixel scales


@pytest.mark.filterwarnings("ignore:psf_path. the header")  # said again, of which `seen` is witness
def test_issue13_line4_headers_that_contradict_the_pixel_scale_are_said(tmp_path: Path) -> None:
    lens = simulated()
    paths = written(
        tmp_path, lens, data=sky_of(SCALE).to_header(), psf=sky_of(SCALE / 4).to_header()
    )  # fmt: skip
    with pytest.warns(
        UserWarning,
        match=r"^psf_path: the header of .*psf.fits has pixels of 0.025 arcsec, the data have 0.1\.",
    ) as seen:
        dataset = pl.Imaging.from_fits(*paths)
    assert [warning.filename for warning in seen] == [__file__]
    assert dataset.wcs is not None
    with pytest.warns(UserWarning, match="^pixel_scales: the header") as seen:
        dataset = pl.Imaging.from_fits(*paths, pixel_scales=0.05)
    assert [str(warning.message).split(":")[0] for warning in seen] == ["psf_path", "pixel_scales"]
    assert "data.fits has pixels of 0.1 arcsec, the data have 0.05" in str(seen[1].message)
    assert (dataset.pixel_scales, dataset.wcs) == (0.05, None)
    (tmp_path / "same").mkdir()
    same = written(tmp_path / "same", lens, data=sky_of(0.10001).to_header(), psf=sky_of(0.0999).to_header())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert pl.Imaging.from_fits(*same, pixel_scales=0.1).wcs is not None


def test_issue13_line4_a_folder_has_the_scale_of_the_header(tmp_path: Path) -> None:
    lens = simulated()
    header = sky_of(0.04).to_header()
    fits.writeto(tmp_path / "image.fits", lens.data, header)
    fits.writeto(tmp_path / "psf.fits", lens.psf)
    fits.writeto(tmp_path / "noise.fits", lens.noise_map)
    assert pl.pipeline.read_folder(tmp_path).pixel_scales == 0.04
    with pytest.warns(UserWarning, match="0.04 arcsec, the data have 0.08"):
        assert pl.pipeline.read_folder(tmp_path, 0.08).pixel_scales == 0.08
    fits.writeto(tmp_path / "image.fits", lens.data, overwrite=True)
    with pytest.warns(UserWarning, match=r"image.fits does not say its pixel scale: 0.05 arcsec are taken"):
        assert pl.pipeline.read_folder(tmp_path).pixel_scales == 0.05
    assert pl.pipeline.read_folder(tmp_path, 0.08).pixel_scales == 0.08


# --- point spread functions


def shifted(rows: int, cols: int) -> np.ndarray:
    return np.roll(gaussian_psf((11, 11)), (rows, cols), axis=(0, 1))


def test_issue13_line4_a_psf_off_centre_or_with_negative_wings_is_said() -> None:
    data, noise = np.random.default_rng(1).standard_normal((2, 40, 40))
    noise = np.ones_like(noise)
    wings = gaussian_psf((11, 11)) - 0.01
    noisy = gaussian_psf((11, 11)) + 0.003 * np.random.default_rng(0).standard_normal((11, 11))
    doubtful = {
        r"its core lies at \(5.0, 7.0\), its centre is element \(5, 5\)": shifted(0, 2),
        r"its core lies at \(4.0, 5.0\)": shifted(-1, 0) + 0.001,
        r"its negative elements add up to \d\d % of the positive": wings,
    }
    for words, psf in doubtful.items():
        with pytest.warns(UserWarning, match=f"^psf: {words}") as seen:
            dataset = pl.Imaging(data, noise, psf, SCALE)
        assert [warning.filename for warning in seen] == [__file__]
        np.testing.assert_allclose(dataset.psf, psf / psf.sum(), rtol=1e-12)
    y, x = np.indices((10, 10)) - 4.5
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for psf in (gaussian_psf((11, 11)), gaussian_psf((10, 12)), noisy, np.exp(-(y**2 + x**2) / 2)):
            pl.Imaging(data, noise, psf, SCALE)
