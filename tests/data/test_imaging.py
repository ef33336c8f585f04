from __future__ import annotations

import logging
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pymc_lens.data.imaging import Imaging
from pymc_lens.data.mask import Mask2D
from pymc_lens.data.over_sampling import RadialBins

SLACS = Path(__file__).parents[3] / "shared" / "data" / "slacs"


@pytest.fixture
def arrays(rng: np.random.Generator) -> dict:
    return {
        "data": rng.standard_normal((7, 9)),
        "noise_map": rng.uniform(0.5, 1.5, (7, 9)),
        "psf": rng.uniform(0.5, 1.0, (3, 4)),
        "pixel_scales": 0.1,
    }


@pytest.fixture
def mask() -> Mask2D:
    return Mask2D.circular((7, 9), 0.1, radius=0.28)


# --- content


def test_slim_order_is_row_major_from_row_zero(arrays: dict, mask: Mask2D) -> None:
    dataset = Imaging(**arrays, mask=mask)
    expected = [(i, j) for i in range(7) for j in range(9) if not mask.array[i, j]]
    assert (
        list(zip(dataset.plane.pixel_rows.tolist(), dataset.plane.pixel_cols.tolist(), strict=True))
        == expected
    )
    assert (
        dataset.plane.pixel_rows.dtype == dataset.plane.pixel_cols.dtype == dataset.fitted.dtype == np.int64
    )
    assert dataset.plane.n_pixels == len(expected) == mask.n_pixels
    np.testing.assert_array_equal(dataset.data_fitted, [arrays["data"][place] for place in expected])
    np.testing.assert_array_equal(dataset.noise_fitted, [arrays["noise_map"][place] for place in expected])
    np.testing.assert_allclose(
        dataset.plane.grid, [((i - 3) * 0.1, (j - 4) * 0.1) for i, j in expected], atol=1e-12
    )


def test_source_grid_holds_the_sub_pixels_of_each_pixel_in_turn(arrays: dict, mask: Mask2D) -> None:
    dataset = Imaging(**arrays, mask=mask, over_sample_size_pixelization=3)
    blocks = dataset.plane.source_grid.reshape(dataset.plane.n_pixels, 9, 2)
    third = 0.1 / 3
    expected = [(a * third, b * third) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    for block, centre in zip(blocks, dataset.plane.grid, strict=True):
        np.testing.assert_allclose(block, centre + expected, atol=1e-12)


def test_grids_are_those_of_pyautolens(golden) -> None:
    # Its first row is that of largest y.
    slim = golden("dataset_slim.npz")
    flipped = {name: fits.getdata(golden.path(f"{name}.fits"))[::-1] for name in ("data", "noise_map", "psf")}
    dataset = Imaging(**flipped, pixel_scales=0.1, mask=Mask2D(slim["mask"][::-1], 0.1))
    order = np.lexsort((dataset.plane.pixel_cols, -dataset.plane.pixel_rows))
    np.testing.assert_allclose(dataset.plane.grid[order], slim["grid_slim_yx"], atol=1e-12)
    np.testing.assert_allclose(dataset.data_fitted[order], slim["data"], atol=1e-12)
    np.testing.assert_allclose(dataset.noise_fitted[order], slim["noise"], atol=1e-12)


def test_defaults(arrays: dict) -> None:
    dataset = Imaging(**arrays)
    assert dataset.mask == Mask2D.unmasked((7, 9), 0.1)
    assert dataset.plane.source_grid.shape == (7 * 9 * 4, 2)
    assert isinstance(dataset.over_sample_size_lp, RadialBins)
    assert dataset.over_sample_size_lp.sizes == (8, 4, 2, 1)
    np.testing.assert_allclose(dataset.over_sample_size_lp.radii, (0.3, 0.5, 1.2))
    assert dataset.unit is None


def test_light_grid_is_that_of_mask_and_psf(arrays: dict, mask: Mask2D) -> None:
    dataset = Imaging(**arrays, mask=mask, over_sample_size_lp=2)
    grid = dataset.light_grid
    rows, cols = dataset.plane.pixel_rows, dataset.plane.pixel_cols
    assert grid.frame_shape == (np.ptp(rows) + 1 + 2, np.ptp(cols) + 1 + 3)
    # A PSF of shape (3, 4) is centred at (1, 2): light comes from one row below and one column to the left.
    expected = (rows - rows.min() + 1) * grid.frame_shape[1] + (cols - cols.min() + 1)
    np.testing.assert_array_equal(grid.mask_index, expected)
    assert [size for size, _ in grid.groups] == [2]


@pytest.mark.parametrize(("shape", "centre"), [((3, 5), (1, 2)), ((4, 4), (2, 2)), ((1, 6), (0, 3))])
def test_psf_is_normalised_and_centred(arrays: dict, shape: tuple, centre: tuple) -> None:
    psf = np.arange(7.0, shape[0] * shape[1] + 7).reshape(shape)
    dataset = Imaging(**(arrays | {"psf": psf}))
    np.testing.assert_allclose(dataset.psf, psf / psf.sum(), rtol=1e-15)
    assert dataset.psf_centre == centre
    # Where FFT order puts the origin.
    delta = np.zeros(shape)
    delta[0, 0] = 1.0
    assert np.unravel_index(np.fft.fftshift(delta).argmax(), shape) == dataset.psf_centre


def test_everything_is_read_only_and_independent_of_the_arguments(arrays: dict) -> None:
    dataset = Imaging(**arrays)
    before = dataset.data[0, 0]
    arrays["data"][0, 0] += 1.0
    assert dataset.data[0, 0] == before
    for name in ("data", "noise_map", "psf", "fitted", "data_fitted", "noise_fitted"):
        assert not getattr(dataset, name).flags.writeable, name
    for name in ("grid", "source_grid", "pixel_rows", "pixel_cols"):
        assert not getattr(dataset.plane, name).flags.writeable, name
        assert getattr(dataset.plane, name) is getattr(dataset.plane, name), name
    with pytest.raises(FrozenInstanceError):
        dataset.data = arrays["data"]  # type: ignore[misc]


# --- dropped pixels


@pytest.fixture
def flawed(arrays: dict) -> dict:
    arrays["data"][1, 2] = np.nan
    arrays["data"][5, 5] = np.inf
    arrays["noise_map"][1, 3] = np.nan
    arrays["noise_map"][2, 2] = 0.0
    arrays["noise_map"][2, 3] = -1.0
    arrays["noise_map"][3, 3] = 1e8
    return arrays


FLAWS = [(1, 2), (5, 5), (1, 3), (2, 2), (2, 3), (3, 3)]


def test_flawed_pixels_have_no_weight_but_stay_in_the_mapping_region(flawed: dict) -> None:
    dataset = Imaging(**flawed)
    places = list(zip(dataset.plane.pixel_rows, dataset.plane.pixel_cols, strict=True))
    dropped = sorted(set(range(dataset.plane.n_pixels)) - set(dataset.fitted.tolist()))
    assert [places[k] for k in dropped] == sorted(FLAWS)
    assert dataset.plane.n_pixels == 63
    assert dataset.plane.source_grid.shape == (63 * 4, 2)
    assert dataset.light_grid.mask_index.size == 63
    assert np.isfinite(dataset.data_fitted).all()
    assert dataset.noise_fitted.max() < 2.0


def test_one_log_line_counts_the_dropped(flawed: dict, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="pymc_lens.data.imaging"):
        dataset = Imaging(**flawed).apply_over_sampling(3)
        for _ in range(2):
            assert dataset.data_fitted.size == dataset.noise_fitted.size == dataset.fitted.size == 57
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        "6 of 63 unmasked pixels dropped: 2 non-finite or masked data, 1 non-finite or masked noise, "
        "2 noise <= 0, 1 noise > 100000 x median."
    )


def test_nothing_is_logged_when_nothing_is_dropped(arrays: dict, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="pymc_lens.data.imaging"):
        assert Imaging(**arrays).fitted.size == 63
    assert caplog.records == []


def test_flaws_outside_the_mask_do_not_matter(flawed: dict) -> None:
    array = np.ones((7, 9), dtype=bool)
    array[6] = False
    assert Imaging(**flawed, mask=Mask2D(array, 0.1)).fitted.size == 9


def test_huge_is_relative_to_the_median_of_sound_noise(arrays: dict) -> None:
    noise = np.full((7, 9), 1e6)
    noise[0, 0] = 0.9e11
    noise[0, 1] = 1.1e11
    noise[1:3] = np.nan
    dataset = Imaging(**(arrays | {"noise_map": noise}))
    assert 0 in dataset.fitted
    assert 1 not in dataset.fitted


# --- native


def test_native_of_all_and_of_fitted_pixels(flawed: dict, mask: Mask2D) -> None:
    dataset = Imaging(**flawed, mask=mask)
    image = dataset.native(dataset.data_fitted)
    kept = np.isfinite(image)
    np.testing.assert_array_equal(image[kept], dataset.data[kept])
    assert kept.sum() == dataset.fitted.size < dataset.plane.n_pixels
    everywhere = dataset.plane.native(np.ones(dataset.plane.n_pixels), fill=0.0)
    np.testing.assert_array_equal(everywhere, ~mask.array)
    with pytest.raises(
        ValueError, match=r"^values: expected one for each of the \d+ fitted pixels, got shape \(3,\)"
    ):
        dataset.native(np.ones(3))
    with pytest.raises(ValueError, match=r"^values"):
        dataset.native(np.ones((7, 9)))


# --- changing


def test_apply_mask_and_over_sampling_return_new_datasets(arrays: dict, mask: Mask2D) -> None:
    dataset = Imaging(**arrays, unit="e/s", over_sample_size_pixelization=3)
    masked = dataset.apply_mask(mask)
    assert masked.mask == mask
    assert (masked.unit, masked.over_sample_size_pixelization) == ("e/s", 3)
    assert dataset.plane.n_pixels == 63
    assert masked.apply_mask(Mask2D.unmasked((7, 9), 0.1)) == dataset
    finer = masked.apply_over_sampling(over_sample_size_lp=5)
    assert (finer.over_sample_size_pixelization, finer.over_sample_size_lp) == (3, 5)
    assert finer.apply_over_sampling(over_sample_size_pixelization=1).over_sample_size_lp == 5
    assert finer.mask == mask


# --- identity


def test_equality_and_hash_are_by_content(arrays: dict, mask: Mask2D) -> None:
    dataset = Imaging(**arrays)
    copies = {name: np.copy(arrays[name]) for name in ("data", "noise_map", "psf")}
    assert dataset == Imaging(**copies, pixel_scales=0.1)
    assert hash(dataset) == hash(Imaging(**arrays))
    sizes = np.ones((7, 9), dtype=int)
    changed = [
        Imaging(**(arrays | {name: arrays[name] + np.eye(*arrays[name].shape) * 1e-9}))
        for name in ("data", "noise_map", "psf")
    ]
    changed += [
        Imaging(**(arrays | {"pixel_scales": 0.2})),
        dataset.apply_mask(mask),
        dataset.apply_over_sampling(3),
        dataset.apply_over_sampling(over_sample_size_lp=1),
        dataset.apply_over_sampling(over_sample_size_lp=sizes),
        dataset.apply_over_sampling(over_sample_size_lp=2 * sizes),
        Imaging(**arrays, unit="e/s"),
    ]
    assert len({dataset.digest, *(other.digest for other in changed)}) == len(changed) + 1
    assert all(dataset != other for other in changed)
    assert dataset != "dataset"
    int(dataset.digest, 16)


def test_pickle_keeps_content_and_read_only_flags(flawed: dict, mask: Mask2D) -> None:
    dataset = Imaging(**flawed, mask=mask, over_sample_size_lp=2, unit="e/s")
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy == dataset
    assert copy.digest == dataset.digest
    assert not copy.psf.flags.writeable
    np.testing.assert_array_equal(copy.fitted, dataset.fitted)


# --- FITS


def test_fits_round_trip(flawed: dict, tmp_path: Path) -> None:
    dataset = Imaging(**flawed, unit="electron / s")
    paths = dataset.to_fits(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["data.fits", "psf.fits", "noise_map.fits"]
    assert Imaging.from_fits(*paths) == dataset
    # Row 0 of the file is that of lowest y; the world coordinates have their origin at the image centre.
    np.testing.assert_array_equal(fits.getdata(paths[0])[0], flawed["data"][0])
    (centre,) = WCS(fits.getheader(paths[0])).wcs_pix2world([[4.0, 3.0]], 0)
    np.testing.assert_allclose(np.cos(np.deg2rad(centre)), 1.0, atol=1e-12)
    with pytest.raises(FileExistsError, match=r"^overwrite: .*data.fits exists"):
        dataset.to_fits(tmp_path / "new" / "folder")
    other = Imaging(**(flawed | {"pixel_scales": 0.3}))
    assert Imaging.from_fits(*other.to_fits(tmp_path / "new" / "folder", overwrite=True)) == other


def test_to_fits_with_three_paths_and_smaller_numbers(arrays: dict, tmp_path: Path) -> None:
    paths = [tmp_path / "a.fits", tmp_path / "b.fits", str(tmp_path / "c.fits")]
    dataset = Imaging(**arrays)
    dataset.to_fits(paths, dtype=np.float32)
    assert fits.getdata(paths[1]).dtype.itemsize == 4
    np.testing.assert_allclose(Imaging.from_fits(*paths).noise_map, dataset.noise_map, rtol=1e-7)
    with pytest.raises(ValueError, match=r"^paths: expected a folder or three files .* got 2"):
        dataset.to_fits(paths[:2])


def write(path: Path, *images: np.ndarray | None, names: tuple[str, ...] = (), **header: object) -> Path:
    hdus: list = [fits.PrimaryHDU(images[0], fits.Header(header))]
    hdus += [fits.ImageHDU(image, name=name) for image, name in zip(images[1:], names, strict=True)]
    fits.HDUList(hdus).writeto(path)
    return path


def test_from_fits_with_extensions(arrays: dict, tmp_path: Path) -> None:
    path = write(tmp_path / "all.fits", None, arrays["data"], arrays["noise_map"], names=("SCI", "ERR"))
    psf = write(tmp_path / "psf.fits", arrays["psf"].astype(np.float32))
    dataset = Imaging.from_fits(path, psf, path, 0.1, data_hdu="SCI", noise_map_hdu=2)
    np.testing.assert_array_equal(dataset.noise_map, arrays["noise_map"])
    assert dataset.data.dtype == np.float64
    assert dataset.data.dtype.isnative
    with pytest.raises(
        ValueError, match=r"^data_path: .* has no extension 'DQ'; it has 0 \(PRIMARY\), 1 \(SCI\)"
    ):
        Imaging.from_fits(path, psf, path, 0.1, data_hdu="DQ")
    with pytest.raises(ValueError, match=r"^noise_map_path: .* has no extension 7"):
        Imaging.from_fits(path, psf, path, 0.1, data_hdu="SCI", noise_map_hdu=7)
    with pytest.raises(ValueError, match=r"^data_path: expected a two-dimensional image .* got no data"):
        Imaging.from_fits(path, psf, path, 0.1)


def test_from_fits_names_the_bad_file(arrays: dict, tmp_path: Path) -> None:
    good = write(tmp_path / "good.fits", arrays["data"])
    cube = write(tmp_path / "cube.fits", np.zeros((2, 3, 3)))
    text = tmp_path / "text.fits"
    text.write_text("no FITS")
    with pytest.raises(FileNotFoundError, match=r"^psf_path: there is no file .*nowhere"):
        Imaging.from_fits(good, tmp_path / "nowhere.fits", good, 0.1)
    with pytest.raises(ValueError, match=r"^psf_path: expected a two-dimensional image .*\(2, 3, 3\)"):
        Imaging.from_fits(good, cube, good, 0.1)
    with pytest.raises(ValueError, match=r"^noise_map_path: .* is not a FITS file"):
        Imaging.from_fits(good, good, text, 0.1)


@pytest.mark.parametrize("rotation", [0.0, 33.0])
def test_pixel_scale_and_unit_come_from_the_header(arrays: dict, tmp_path: Path, rotation: float) -> None:
    cos, sin = (f(np.deg2rad(rotation)) * 0.04 / 3600 for f in (np.cos, np.sin))
    header = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 43.2,
        "CRVAL2": 60.0,
        "BUNIT": "ELECTRONS/S",
    }
    matrix = {"CD1_1": -cos, "CD1_2": sin, "CD2_1": sin, "CD2_2": cos}
    data = write(tmp_path / "data.fits", np.ones((7, 9)), **header, **matrix)
    psf = write(tmp_path / "psf.fits", arrays["psf"])
    dataset = Imaging.from_fits(data, psf, data)
    assert dataset.pixel_scales == pytest.approx(0.04, rel=1e-9)
    assert dataset.unit == "ELECTRONS/S"
    with pytest.warns(UserWarning, match=r"^pixel_scales: the header of .* 0.04 arcsec, the data have 0.08"):
        assert Imaging.from_fits(data, psf, data, pixel_scales=0.08).pixel_scales == 0.08


def test_headers_without_a_usable_scale(arrays: dict, tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.fits", np.ones((7, 9)))
    psf = write(tmp_path / "psf.fits", arrays["psf"])
    with pytest.raises(
        ValueError, match=r"^pixel_scales: the header of .*bare.fits holds no world coordinates"
    ):
        Imaging.from_fits(bare, psf, bare)
    header = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-5, "CDELT2": 2e-5}
    oblong = write(tmp_path / "oblong.fits", np.ones((7, 9)), **header)
    with pytest.raises(ValueError, match=r"^pixel_scales: expected square pixels"):
        Imaging.from_fits(oblong, psf, oblong)


# --- bad input


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("data", np.ones(63), r"data: expected a two-dimensional array, got shape \(63,\)"),
        ("data", np.ones((0, 9)), r"data: expected a two-dimensional array, got shape \(0, 9\)"),
        ("noise_map", np.ones((9, 7)), r"noise_map: expected the shape of data, \(7, 9\), got \(9, 7\)"),
        ("noise_map", np.zeros((7, 9)), r"noise_map: no unmasked pixel has"),
        ("noise_map", np.full((7, 9), np.nan), r"noise_map: no unmasked pixel has"),
        ("noise_map", -np.ones((7, 9)), r"noise_map: no unmasked pixel has"),
        ("psf", np.ones((8, 3)), r"psf: its shape \(8, 3\) is larger than the image's, \(7, 9\)"),
        ("psf", np.ones((3, 10)), r"psf: its shape \(3, 10\) is larger"),
        ("psf", np.ones(3), r"psf: expected a two-dimensional array"),
        ("psf", np.full((3, 3), np.nan), r"psf: expected finite numbers"),
        ("psf", -np.ones((3, 3)), r"psf: expected a positive sum, got -9.0"),
        ("psf", np.zeros((3, 3)), r"psf: expected a positive sum, got 0.0"),
        ("pixel_scales", (0.1, 0.2), r"pixel_scales: expected square pixels"),
        ("pixel_scales", -0.1, r"pixel_scales: expected a positive number"),
        ("mask", Mask2D.unmasked((9, 7), 0.1), r"mask: expected the shape of data, \(7, 9\), got \(9, 7\)"),
        (
            "mask",
            Mask2D.unmasked((7, 9), 0.05),
            r"mask: expected the data's pixel_scales, 0.1 arcsec, got 0.05",
        ),
        (
            "over_sample_size_pixelization",
            0,
            r"over_sample_size_pixelization: expected an integer >= 1, got 0",
        ),
        ("over_sample_size_pixelization", 2.5, r"over_sample_size_pixelization: expected an integer >= 1"),
        (
            "over_sample_size_lp",
            np.ones((3, 3), dtype=int),
            r"over_sample_size_lp: expected the image's shape",
        ),
    ],
)
def test_bad_input_names_the_argument(arrays: dict, name: str, value: object, match: str) -> None:
    with pytest.raises(ValueError, match=f"^{match}"):
        Imaging(**(arrays | {name: value}))


def test_a_mask_must_be_a_mask(arrays: dict) -> None:
    with pytest.raises(TypeError, match=r"^mask: expected a Mask2D, got ndarray"):
        Imaging(**arrays, mask=np.zeros((7, 9), dtype=bool))  # type: ignore[arg-type]


def test_a_mask_without_a_usable_pixel(flawed: dict) -> None:
    array = np.ones((7, 9), dtype=bool)
    array[3, 3] = array[1, 2] = array[2, 2] = False
    # The huge noise is the only positive one, so it is not huge by its own median.
    with pytest.warns(UserWarning, match="67 % of the unmasked pixels are dropped"):
        assert Imaging(**flawed, mask=Mask2D(array, 0.1)).fitted.size == 1
    array[3, 3] = True
    with pytest.raises(ValueError, match=r"^noise_map: no unmasked pixel has"):
        Imaging(**flawed, mask=Mask2D(array, 0.1))


# --- real data


@pytest.mark.skipif(not SLACS.is_dir(), reason="the SLACS data are not beside the checkout")
def test_slacs_lens() -> None:
    folder = SLACS / "J0252+0039"
    dataset = Imaging.from_fits(folder / "image.fits", folder / "psf.fits", folder / "noise.fits", 0.05)
    dataset = dataset.apply_mask(Mask2D.circular(dataset.shape_native, dataset.pixel_scales, 3.6))
    assert dataset.psf.shape == (15, 15)
    assert dataset.plane.n_pixels == 16241
    contaminated = fits.getdata(folder / "noise.fits")[~dataset.mask.array] == 1e8
    assert dataset.fitted.size == 16241 - contaminated.sum() == 15503
    assert dataset.noise_fitted.max() < 1.0
