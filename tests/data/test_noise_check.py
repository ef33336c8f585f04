"""Issue 13, line 4: a noise map that does not hold the noise is said; nothing is said of one that does."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from problems import gaussian_psf, lens_light
from scipy.ndimage import gaussian_filter

import pymc_lens as pl

SLACS = Path(__file__).parents[3] / "shared" / "data" / "slacs"
EXAMPLES = Path(__file__).parents[2] / "examples" / "data"


def files(folder: Path) -> tuple[Path, Path, Path]:
    names = ("image", "psf", "noise") if (folder / "image.fits").exists() else ("data", "psf", "noise_map")
    image, psf, noise = (folder / f"{name}.fits" for name in names)
    return image, psf, noise


LENSES = [EXAMPLES / "J0252+0039", EXAMPLES / "source_complex"]
if SLACS.is_dir():
    LENSES += sorted(path for path in SLACS.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", LENSES, ids=lambda path: path.name)
def test_issue13_line4_real_lenses_give_no_warning_and_their_variances_do(
    folder: Path, tmp_path: Path
) -> None:
    image, psf, noise = files(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dataset = pl.Imaging.from_fits(image, psf, noise, pixel_scales=0.05)
        dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, 0.05, radius=3.0))
        # A small cut-out, where light of the lens is everywhere.
        middle = slice(dataset.shape_native[0] // 2 - 20, dataset.shape_native[0] // 2 + 21)
        pl.Imaging(
            dataset.data[middle, middle], dataset.noise_map[middle, middle], dataset.psf, dataset.pixel_scales
        )
    for kind, power in (("variance", 2), ("weight", -2)):
        path = tmp_path / f"{kind}.fits"
        fits.writeto(path, dataset.noise_map**power)
        with pytest.warns(
            UserWarning, match=rf"^noise_map: the data scatter .* look like those of a {kind} map"
        ) as seen:
            pl.Imaging.from_fits(image, psf, path, pixel_scales=0.05)
        assert len(seen) == 1
        assert seen[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            read = pl.Imaging.from_fits(image, psf, path, pixel_scales=0.05, noise_map_kind=kind)
        np.testing.assert_allclose(read.noise_map, dataset.noise_map, rtol=1e-12)


def sky(rng: np.random.Generator, shape: tuple[int, int] = (60, 60)) -> np.ndarray:
    return rng.standard_normal(shape)


def innocent(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Data and noise maps as they occur, which must not be doubted."""
    y, x = (np.indices((60, 60)) - 29.5) * 0.05
    light = gaussian_filter(lens_light(y, x) + 20.0 * np.exp(-np.hypot(y, x) / 0.05), 1.0)
    white = sky(rng)
    drizzled = gaussian_filter(sky(rng), 1.2)
    drizzled /= drizzled.std()
    counts = rng.poisson(1e3 * light + 5.0) / 1e3
    padded = np.where(np.hypot(y, x) < 1.0, white, 0.0)
    return {
        "white": (white, np.ones_like(white)),
        "correlated": (drizzled, np.ones_like(drizzled)),
        "conservative by 2": (white, np.full_like(white, 2.0)),
        "too small by 2": (white, np.full_like(white, 0.5)),
        "negative background": (0.01 * white - 5.0, np.full_like(white, 0.01)),
        "gradient of the sky": (0.01 * (white + 30.0 * y), np.full_like(white, 0.01)),
        "bright, S/N 1,000": (light + 0.02 * white, np.full_like(white, 0.02)),
        "Poisson": (counts, np.sqrt(np.maximum(counts, 1e-3) / 1e3)),
        "padded": (padded, np.ones_like(white)),
        "scarce counts": (rng.poisson(0.05, (60, 60)), np.full_like(white, 0.22)),
        "noiseless padding only": (np.zeros_like(white), np.ones_like(white)),
        "cut-out": (light[20:40, 20:40] + 0.05 * white[20:40, 20:40], np.full((20, 20), 0.05)),
        "tiny": (white[:9, :9], np.full((9, 9), 100.0)),
    }


@pytest.mark.parametrize("name", sorted(innocent(np.random.default_rng(0))))
def test_issue13_line4_sound_noise_maps_are_not_doubted(name: str) -> None:
    for seed in range(3):
        data, noise = innocent(np.random.default_rng(seed))[name]
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            pl.Imaging(data, noise, gaussian_psf(), 0.05)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (100.0, "data scatter by at most .* times"),
        (0.01**2, 'data scatter by at least .* noise_map_kind="variance"'),
        (0.01**-2, 'data scatter by at most .* noise_map_kind="weight"'),
        (1e12, "data scatter by at most .* Check its units"),
        (10.0, "data scatter by at most .* Check its units"),
    ],
)
def test_issue13_line4_wrong_noise_maps_are_said(rng: np.random.Generator, noise: float, words: str) -> None:
    data = 0.01 * sky(rng)
    with pytest.warns(UserWarning, match=f"^noise_map: .*{words}"):
        dataset = pl.Imaging(data, np.full(data.shape, noise), gaussian_psf(), 0.05)
    # Once: another mask, another over-sampling and a copy in another process do not repeat it.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dataset.apply_mask(pl.Mask2D.circular(data.shape, 0.05, 1.0)).apply_over_sampling(3)


def test_issue13_line8_noise_that_drops_out_is_said(rng: np.random.Generator) -> None:
    data, noise = sky(rng), np.ones((60, 60))
    negative = np.where(rng.uniform(size=noise.shape) < 0.6, -1.0, noise)
    with pytest.warns(
        UserWarning, match=r"^noise_map: (59|60|61) % of the unmasked pixels have negative noise"
    ):
        pl.Imaging(data, negative, gaussian_psf(), 0.05)
    y, x = np.indices(noise.shape) - 29.5
    circle = np.where(np.hypot(y, x) < 15.0, noise, np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        dataset = pl.Imaging(data, circle, gaussian_psf(), 0.05)
        dataset.apply_mask(pl.Mask2D.circular(data.shape, 0.05, 0.8))
    with pytest.warns(UserWarning, match=r"^noise_map: \d+ % .* most of them for non-finite or masked noise"):
        dataset.apply_mask(pl.Mask2D.circular(data.shape, 0.05, 1.3))
