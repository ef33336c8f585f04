"""Simulate the `source_complex` example: a clumpy star-forming galaxy behind an isothermal lens.

    python examples/simulate_source_complex.py

writes data.fits, psf.fits and noise_map.fits to examples/data/source_complex, the same with every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pymc_lens as pl

FOLDER = Path(__file__).parent / "data" / "source_complex"

PIXEL_SCALES = 0.05
# A circular mask of 3.6" leaves room for the PSF's reach of ten pixels.
SHAPE = (165, 165)
EINSTEIN_RADIUS = 1.6
ELL_COMPS = (0.17647, 0.0)
EXPOSURE_TIME = 1100.0
BACKGROUND_NOISE = 0.018
SEED = 20080712


@dataclass(frozen=True)
class Sersic:
    """Elliptical Sersic profile: (y, x) centre and effective radius in arcsec, angle in degrees from +x."""

    centre: tuple[float, float]
    axis_ratio: float
    angle: float
    intensity: float
    effective_radius: float
    index: float

    def __call__(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        cos, sin = np.cos(np.deg2rad(self.angle)), np.sin(np.deg2rad(self.angle))
        dy, dx = y - self.centre[0], x - self.centre[1]
        along, across = cos * dx + sin * dy, cos * dy - sin * dx
        radius = np.sqrt(self.axis_ratio * along**2 + across**2 / self.axis_ratio)
        # Ciotti & Bertin 1999 (A&A 352, 447), eq. 18.
        b = 2 * self.index - 1 / 3 + 4 / (405 * self.index) + 46 / (25515 * self.index**2)
        return self.intensity * np.exp(-b * ((radius / self.effective_radius) ** (1 / self.index) - 1))


# A disc, its bulge, and five clumps (an index of 0.5 is a Gaussian). All are wide enough for a source mesh of
# 40 x 40 pixels on the whole mask to resolve them at this signal-to-noise.
CLUMPS = (
    Sersic((0.11, 0.05), 0.60, 40.0, 0.25, 0.50, 1.0),
    Sersic((0.11, 0.05), 0.85, 70.0, 0.80, 0.20, 0.5),
    Sersic((0.50, 0.45), 0.80, 10.0, 1.10, 0.20, 0.5),
    Sersic((-0.31, -0.50), 0.70, 120.0, 0.90, 0.22, 0.5),
    Sersic((0.62, -0.22), 0.90, 0.0, 0.80, 0.18, 0.5),
    Sersic((-0.39, 0.36), 0.60, 80.0, 0.80, 0.22, 0.5),
    Sersic((-0.76, -0.67), 0.85, 30.0, 0.70, 0.18, 0.5),
)


def source(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Surface brightness of the source, electrons per second and image pixel."""
    return sum((clump(y, x) for clump in CLUMPS), start=np.zeros(np.shape(y)))


def hst_like_psf() -> np.ndarray:
    """21 x 21 pixels: a Gaussian core of FWHM 0.1" and wings that hold an eighth of the light."""
    step = np.arange(-10, 11) * PIXEL_SCALES
    squared = step[:, None] ** 2 + step[None, :] ** 2
    core = np.exp(-squared / (2 * 0.0425**2))
    wings = (1 + squared / 0.15**2) ** -2.0
    return 0.875 * core / core.sum() + 0.125 * wings / wings.sum()


def tracer() -> pl.Tracer:
    """Return the true lens."""
    mass = pl.mass.Isothermal(centre=(0.0, 0.0), ell_comps=ELL_COMPS, einstein_radius=EINSTEIN_RADIUS)
    return pl.Tracer([pl.Galaxy(redshift=0.5, mass=mass), pl.Galaxy(redshift=1.0)])


def main() -> None:
    dataset = pl.simulate_imaging(
        tracer(), source, SHAPE, PIXEL_SCALES, hst_like_psf(), EXPOSURE_TIME, BACKGROUND_NOISE, SEED
    )
    paths = dataset.to_fits(FOLDER, overwrite=True, dtype=np.float32)
    signal_to_noise = dataset.data / dataset.noise_map
    print(f"wrote {', '.join(path.name for path in paths)} to {FOLDER}; peak S/N {signal_to_noise.max():.0f}")


if __name__ == "__main__":
    main()
