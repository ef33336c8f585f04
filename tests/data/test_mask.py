from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pymc_lens.data.mask import Mask2D, checked_pixel_scales, checked_shape, pixel_centres


def brute_force(shape: tuple[int, int], scale: float, keep) -> np.ndarray:
    """Mask out what ``keep(y, x)`` refuses, pixel by pixel."""
    array = np.empty(shape, dtype=bool)
    for i in range(shape[0]):
        for j in range(shape[1]):
            array[i, j] = not keep((i - (shape[0] - 1) / 2) * scale, (j - (shape[1] - 1) / 2) * scale)
    return array


# --- shapes


def test_circular_is_that_of_pyautolens(golden) -> None:
    # Its rows run downwards, and a circle about the centre is symmetric; still, flip.
    mask = Mask2D.circular((60, 60), 0.1, radius=2.5)
    np.testing.assert_array_equal(mask.array, golden("dataset_slim.npz")["mask"][::-1])
    assert mask.n_pixels == 1976


def test_circular_keeps_distances_within_the_radius_of_its_centre() -> None:
    mask = Mask2D.circular((9, 14), 0.2, radius=0.61, centre=(0.3, -0.4))
    expected = brute_force((9, 14), 0.2, lambda y, x: (y - 0.3) ** 2 + (x + 0.4) ** 2 <= 0.61**2)
    np.testing.assert_array_equal(mask.array, expected)
    # y grows with the row: the circle lies in the upper rows and the left columns.
    rows, cols = np.nonzero(~mask.array)
    assert rows.mean() > 4.0
    assert cols.mean() < 6.5


def test_circular_includes_its_radius() -> None:
    assert Mask2D.circular((5, 5), 1.0, radius=1.0).n_pixels == 5


def test_annular() -> None:
    mask = Mask2D.annular((20, 17), 0.1, inner_radius=0.33, outer_radius=0.71, centre=(0.1, 0.05))
    expected = brute_force((20, 17), 0.1, lambda y, x: 0.33 <= np.hypot(y - 0.1, x - 0.05) <= 0.71)
    np.testing.assert_array_equal(mask.array, expected)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0, -400.0])
def test_elliptical(angle: float) -> None:
    mask = Mask2D.elliptical((31, 25), 0.1, 1.13, axis_ratio=0.4, angle=angle, centre=(-0.2, 0.1))
    # Inside an ellipse the distances to the two foci add up to less than the major axis.
    focus = 1.13 * np.sqrt(1 - 0.4**2) * np.array([np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])

    def keep(y: float, x: float) -> bool:
        point = np.array([y + 0.2, x - 0.1])
        return np.linalg.norm(point - focus) + np.linalg.norm(point + focus) <= 2 * 1.13

    np.testing.assert_array_equal(mask.array, brute_force((31, 25), 0.1, keep))


def test_elliptical_of_axis_ratio_one_is_circular() -> None:
    ellipse = Mask2D.elliptical((30, 31), 0.1, 1.2, axis_ratio=1.0, angle=77.0)
    assert ellipse == Mask2D.circular((30, 31), 0.1, 1.2)


def test_unmasked() -> None:
    mask = Mask2D.unmasked((3, 4), 0.1)
    assert mask.n_pixels == 12
    assert mask.shape_native == (3, 4)


# --- FITS


def write(path: Path, array: np.ndarray, **header: object) -> Path:
    fits.PrimaryHDU(array, fits.Header(header)).writeto(path)
    return path


def test_from_fits_keeps_zeros_and_row_order(tmp_path: Path) -> None:
    array = np.zeros((4, 6), dtype=np.int16)
    array[0, :] = 1
    array[3, 2] = 7
    mask = Mask2D.from_fits(write(tmp_path / "mask.fits", array), pixel_scales=0.05)
    np.testing.assert_array_equal(mask.array, array != 0)


def test_from_fits_reads_the_scale_of_the_header(tmp_path: Path) -> None:
    header = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.08 / 3600, "CDELT2": 0.08 / 3600}
    path = write(tmp_path / "mask.fits", np.zeros((4, 6), dtype=np.int16), **header)
    assert Mask2D.from_fits(path).pixel_scales == pytest.approx(0.08, rel=1e-9)


def test_from_fits_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"path: .*nowhere"):
        Mask2D.from_fits(tmp_path / "nowhere.fits", 0.1)
    path = write(tmp_path / "mask.fits", np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match="NaN"):
        Mask2D.from_fits(path, 0.1)
    with pytest.raises(ValueError, match=r"no extension 3; it has 0 \(PRIMARY\)"):
        Mask2D.from_fits(path, 0.1, hdu=3)


# --- object


def test_immutable_and_independent_of_its_argument() -> None:
    array = np.zeros((3, 3), dtype=bool)
    mask = Mask2D(array, 0.1)
    array[0, 0] = True
    assert mask.n_pixels == 9
    with pytest.raises(ValueError, match="read-only"):
        mask.array[0, 0] = True
    with pytest.raises(AttributeError):
        mask.pixel_scales = 0.2  # type: ignore[misc]


def test_equality_is_by_content() -> None:
    first, again = (Mask2D.circular((10, 10), 0.1, 0.3) for _ in range(2))
    assert first == again
    assert hash(first) == hash(again)
    for other in (
        Mask2D.circular((10, 10), 0.1, 0.4),
        Mask2D(first.array, 0.2),
        Mask2D.unmasked((5, 20), 0.1),
    ):
        assert first != other
    assert first != "mask"


def test_pickle_keeps_content_and_the_read_only_flag() -> None:
    mask = Mask2D.circular((10, 10), 0.1, 0.3)
    copy = pickle.loads(pickle.dumps(mask))
    assert copy == mask
    assert not copy.array.flags.writeable


def test_bad_masks() -> None:
    with pytest.raises(ValueError, match="array: the mask leaves none"):
        Mask2D(np.ones((3, 3), dtype=bool), 0.1)
    with pytest.raises(ValueError, match="array: the mask leaves none"):
        Mask2D.circular((4, 4), 0.1, radius=0.01)
    with pytest.raises(TypeError, match="array: expected booleans"):
        Mask2D(np.zeros((3, 3)), 0.1)
    with pytest.raises(ValueError, match=r"array: expected shape \(ny, nx\), got \(9,\)"):
        Mask2D(np.zeros(9, dtype=bool), 0.1)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"radius": -1.0}, "radius"),
        ({"radius": np.nan}, "radius"),
        ({"centre": (0.0, np.inf)}, "centre"),
        ({"centre": 0.0}, "centre"),
        ({"shape_native": (10,)}, "shape_native"),
        ({"pixel_scales": 0.0}, "pixel_scales"),
    ],
)
def test_bad_arguments_of_circular(arguments: dict, match: str) -> None:
    good = {"shape_native": (10, 10), "pixel_scales": 0.1, "radius": 0.4}
    Mask2D.circular(**good)
    with pytest.raises(ValueError, match=f"^{match}: expected"):
        Mask2D.circular(**(good | arguments))


def test_bad_arguments_of_annular_and_elliptical() -> None:
    with pytest.raises(ValueError, match=r"^inner_radius: expected less than outer_radius 0\.4"):
        Mask2D.annular((10, 10), 0.1, 0.4, 0.4)
    for ratio in (0.0, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"^axis_ratio"):
            Mask2D.elliptical((10, 10), 0.1, 0.4, ratio, 0.0)
    with pytest.raises(ValueError, match=r"^angle"):
        Mask2D.elliptical((10, 10), 0.1, 0.4, 0.5, np.nan)


# --- helpers


def test_pixel_scales() -> None:
    assert checked_pixel_scales(0.05) == 0.05
    assert checked_pixel_scales((0.05, 0.05)) == 0.05
    assert checked_pixel_scales(np.float32(0.5)) == 0.5
    with pytest.raises(ValueError, match=r"^pixel_scales: expected square pixels, got \(0\.05, 0\.06\)"):
        checked_pixel_scales((0.05, 0.06))
    for bad in (-0.1, 0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^pixel_scales: expected a positive number"):
            checked_pixel_scales(bad)
    for wrong in (None, "0.05", (0.05, 0.05, 0.05), ("0.05",), ()):
        with pytest.raises(TypeError, match=r"^pixel_scales: expected a number"):
            checked_pixel_scales(wrong)  # type: ignore[arg-type]


def test_shape() -> None:
    assert checked_shape([np.int64(3), 4]) == (3, 4)
    for bad in ((3,), (3, 4, 5), (3, 0), (3.0, 4)):
        with pytest.raises(ValueError, match=r"^shape_native"):
            checked_shape(bad)  # type: ignore[arg-type]


def test_pixel_centres_put_the_origin_at_the_image_centre() -> None:
    np.testing.assert_allclose(pixel_centres(np.array([1]), np.array([2]), (3, 5), 0.1), [[0.0, 0.0]])
    np.testing.assert_allclose(pixel_centres(np.array([0]), np.array([3]), (2, 4), 0.1), [[-0.05, 0.15]])
    assert pixel_centres(np.arange(3)[:, None], np.arange(4)[None], (3, 4), 1.0).shape == (3, 4, 2)
