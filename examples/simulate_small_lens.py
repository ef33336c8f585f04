"""Simulate the `small_lens` example: an image on which every fit of the documentation takes seconds.

    python examples/simulate_small_lens.py

writes image.fits, noise.fits and psf.fits to examples/data/small_lens, the same with every run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import pymc_lens as pl

FOLDER = Path(__file__).parent / "data" / "small_lens"

SHAPE, PIXEL_SCALES = (56, 56), 0.1
EINSTEIN_RADIUS, ELL_COMPS = 1.2, (0.10, -0.05)
SHEAR = (0.04, -0.02)
# (y, x), width and peak of each clump of the source.
CLUMPS = (((0.02, 0.06), 0.14, 0.6), ((0.21, -0.06), 0.06, 1.4), ((-0.12, 0.24), 0.06, 1.2))
EXPOSURE_TIME, BACKGROUND_NOISE, SEED = 800.0, 0.03, 17


def source(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Surface brightness of the source, electrons per second and image pixel."""
    clumps = [
        peak * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2)) for (cy, cx), sigma, peak in CLUMPS
    ]
    return np.sum(clumps, axis=0)


def tracer() -> pl.Tracer:
    """Return the true lens."""
    mass = pl.mass.Isothermal((0.0, 0.0), ELL_COMPS, EINSTEIN_RADIUS) + pl.mass.ExternalShear(*SHEAR)
    return pl.Tracer([pl.Galaxy(redshift=0.5, mass=mass), pl.Galaxy(redshift=1.0)])


def psf() -> np.ndarray:
    """11 x 11 pixels: a Gaussian of FWHM 0.2 arcsec."""
    step = np.arange(-5, 6) * PIXEL_SCALES
    return np.exp(-(step[:, None] ** 2 + step[None, :] ** 2) / (2 * 0.085**2))


def main() -> None:
    dataset = pl.simulate_imaging(
        tracer(), source, SHAPE, PIXEL_SCALES, psf(), EXPOSURE_TIME, BACKGROUND_NOISE, SEED
    )
    paths = [FOLDER / name for name in ("image.fits", "psf.fits", "noise.fits")]
    dataset.to_fits(paths, overwrite=True, dtype=np.float32)
    print(f"wrote {FOLDER}; peak S/N {(dataset.data / dataset.noise_map).max():.0f}")


if __name__ == "__main__":
    main()
