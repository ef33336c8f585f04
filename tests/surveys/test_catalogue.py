"""Catalogues: what is wrong with one is said with row and column before anything is fitted."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table

import pymc_lens as pl

SHAPE = (20, 22)


@pytest.fixture(name="images")
def _images(rng) -> np.ndarray:
    return rng.standard_normal((3, *SHAPE))


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, images: np.ndarray) -> Path:
    """Three lenses: in files of their own, in extensions of one, in stacks of FITS and HDF5."""
    noise, psf = np.ones(SHAPE), np.ones((3, 3))
    for k, image in enumerate(images):
        dataset = pl.Imaging(image, noise, psf, 0.1)
        dataset.to_fits([tmp_path / f"{name}_{k}.fits" for name in ("image", "psf", "noise")])
    own = fits.getheader(tmp_path / "image_0.fits")
    extensions = [fits.ImageHDU(image, own, name=f"lens_{k}") for k, image in enumerate(images)]
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(tmp_path / "many.fits")
    fits.PrimaryHDU(images).writeto(tmp_path / "stack.fits")
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["images"], file["noise"], file["psf"] = images, np.ones((3, *SHAPE)), psf
    return tmp_path


def table(**columns) -> pd.DataFrame:
    names = [f"lens_{k}" for k in range(3)]
    default = {f"{column}": [f"{column}_{k}.fits" for k in range(3)] for column in ("image", "noise", "psf")}
    return pd.DataFrame({"name": names} | default | columns)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"image": [f"many.fits[{k + 1}]" for k in range(3)]},
        {"image": [f"many.fits[LENS_{k}]" for k in range(3)]},
        {"image": [f"stack.fits[0][{k}]" for k in range(3)], "pixel_scale": 0.1},
        {
            "image": [f"stack.h5[images][{k}]" for k in range(3)],
            "noise": [f"stack.h5[noise][{k}]" for k in range(3)],
            "psf": "stack.h5[psf]",
            "pixel_scale": 0.1,
        },
    ],
)
def test_images_are_read_from_wherever_they_are(folder, images, columns):
    found = pl.Catalogue.from_table(table(**columns), folder).entries
    for k, entry in enumerate(found):
        dataset = entry.read()
        assert entry.name == f"lens_{k}"
        assert dataset.pixel_scales == pytest.approx(0.1)
        np.testing.assert_array_equal(dataset.data, images[k])
        np.testing.assert_array_equal(dataset.noise_map, 1.0)
        assert dataset.psf.shape == (3, 3)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "fits"])
def test_tables_are_read_in_three_formats(folder, suffix):
    written = table(name=["007", "8", "9"], lens_redshift=[0.3, 0.4, np.nan], draws=[50, 60, 70], ra=1.0)
    path = folder / f"catalogue.{suffix}"
    if suffix == "fits":
        Table.from_pandas(written).write(path)
    else:
        getattr(written, f"to_{suffix}")(path, index=False)
    entries = pl.Catalogue.read(path).entries
    assert [entry.name for entry in entries] == ["007", "8", "9"]
    assert entries[1].options == {"lens_redshift": 0.4, "draws": 60}
    assert entries[2].options == {"draws": 70}
    assert entries[0].read().shape_native == SHAPE


def test_a_folder_of_folders_is_a_catalogue(folder, images):
    for name in ("b", "a"):
        (folder / "lenses" / name).mkdir(parents=True)
        for file in ("image", "noise", "psf"):
            shutil.copy(folder / f"{file}_0.fits", folder / "lenses" / name / f"{file}.fits")
    found = pl.Catalogue.read(folder / "lenses")
    assert [entry.name for entry in found.entries] == ["a", "b"]
    np.testing.assert_array_equal(found.entries[0].read().data, images[0])
    assert pl.Catalogue.read(folder / "lenses" / "a").entries[0].name == "a"
    with pytest.raises(ValueError, match=r"no folder with image\.fits"):
        pl.Catalogue.read(folder / "nowhere")
    with pytest.raises(OSError, match="nowhere"):
        pl.Catalogue.read(folder / "nowhere.csv")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"name": ["a", "b", "a"]}, r"row 3, column name: 'a' is the name of row 1 as well"),
        ({"name": ["a", "../b", "c"]}, r"row 2, column name: expected what can be the name of a folder"),
        ({"name": ["a", None, "c"]}, r"row 2, column name: expected what can be"),
        ({"name": ["lenses.csv", "b", "c"]}, r"row 1, column name: expected what can be"),
        (
            {"psf": ["psf_0.fits", "none.fits", "psf_2.fits"]},
            r"row 2 \(lens_1\), column psf: there is no file",
        ),
        (
            {"noise": ["noise_0.fits", "noise_1.fits", None]},
            r"row 3 \(lens_2\), column noise: expected a path",
        ),
        ({"image": "many.fits[1][2][3]"}, r"row 1 \(lens_0\), column image: there is no file"),
        ({"image": "stack.h5"}, r"row 1 \(lens_0\), column image: .* is HDF5: name the dataset"),
        ({"image": "stack.h5[none][0]"}, r"row 1 \(lens_0\), column image: .* has no images 'none'"),
        ({"image": "stack.fits[7][0]"}, r"row 1 \(lens_0\), column image: .* has no images 7"),
        ({"image": "stack.fits[0][3]"}, r"row 1 \(lens_0\), column image: .* holds 3 images, there is no 3"),
        ({"image": "image_0.fits[0][0]"}, r"row 1 \(lens_0\), column image: .*expected 3 axes, got shape"),
        ({"image": "stack.fits[0][0]"}, r"row 1 \(lens_0\), column pixel_scale: stacks of images need one"),
        ({"pixel_scale": [0.1, -0.1, 0.1]}, r"row 2 \(lens_1\), column pixel_scale: expected a positive"),
        ({"draws": [10, 10, 2.5]}, r"row 3 \(lens_2\), column draws: expected an integer, got 2.5"),
        ({"random_seed": [-1, 0, 0]}, r"row 1 \(lens_0\), column random_seed: expected at least 0"),
        ({"lens_redshift": ["high", 1, 1]}, r"row 1 \(lens_0\), column lens_redshift: expected .*'high'"),
        ({"lens_redshift": 0.9, "source_redshift": 0.8}, r"column source_redshift: expected more than lens_"),
    ],
)
def test_what_is_wrong_names_row_and_column(folder, columns, words):
    with pytest.raises(ValueError, match="catalogue, " + ".*" * (not words.startswith("row")) + words):
        pl.Catalogue.from_table(table(**columns), folder)


def test_missing_columns_are_named(folder):
    with pytest.raises(ValueError, match="missing are noise, psf, got name, image"):
        pl.Catalogue.from_table(table()[["name", "image"]], folder)
    with pytest.raises(ValueError, match="expected at least one lens"):
        pl.Catalogue.from_table(table()[:0], folder)


def test_a_scale_for_all_is_checked_as_one_of_a_row(folder):
    with pytest.raises(ValueError, match=r"^pixel_scale: expected a positive number, got -0\.1"):
        pl.Catalogue.read(folder / "lenses" / "a", pixel_scale=-0.1)
    with pytest.raises(TypeError, match=r"^pixel_scale: expected real numbers, got '0\.1'"):
        pl.Catalogue.from_table(table(), folder, pixel_scale="0.1")
