"""Cameras whose images of lenses are simulated."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Instrument:
    """What a camera makes of a sky.

    Attributes
    ----------
    pixel_scale, psf_fwhm, cutout : float
        Arcsec; of a pixel, of the point spread function, a Gaussian, and of the side of an image.
    zero_point : float
        AB magnitude of one electron per second.
    sky_brightness : float
        AB magnitudes per square arcsec.
    exposure_time : float
        Seconds, of all exposures together.
    n_exposures : int
    read_noise : float
        Electrons a pixel and exposure.
    wavelength : float
        Effective, nm.
    """

    pixel_scale: float
    psf_fwhm: float
    zero_point: float
    sky_brightness: float
    exposure_time: float
    n_exposures: int
    read_noise: float
    wavelength: float
    cutout: float = 4.0

    @property
    def n_pixels(self) -> int:
        """Along a side."""
        return round(self.cutout / self.pixel_scale)

    @property
    def psf(self) -> np.ndarray:
        """Point spread function (n, n) out to four standard deviations."""
        sigma = self.psf_fwhm / np.sqrt(8.0 * np.log(2.0)) / self.pixel_scale
        reach = int(np.ceil(4.0 * sigma))
        squared = np.arange(-reach, reach + 1) ** 2
        psf = np.exp(-0.5 * (squared[:, None] + squared) / sigma**2)
        return psf / psf.sum()

    @property
    def background_noise(self) -> float:
        """Standard deviation of sky and read-out, electrons per second and pixel."""
        sky = self.rate(self.sky_brightness) * self.pixel_scale**2 * self.exposure_time
        return float(np.sqrt(sky + self.n_exposures * self.read_noise**2) / self.exposure_time)

    def rate(self, magnitude: Any) -> Any:
        """Electrons per second, of AB magnitudes in any shape."""
        return 10.0 ** (0.4 * (self.zero_point - magnitude))


INSTRUMENTS = MappingProxyType(
    {
        # Collett 2015 (ApJ 811, 20) and the survey file of its code, LensPop.
        "euclid-vis": Instrument(
            pixel_scale=0.1,
            psf_fwhm=0.17,
            zero_point=25.5,
            sky_brightness=22.2,
            exposure_time=1610.0,
            n_exposures=4,
            read_noise=4.5,
            wavelength=715.0,
        ),
        # F814W drizzled to 0.05", an orbit in four exposures as in SLACS (Bolton et al. 2008, ApJ 682, 964);
        # the sky of a zodiacal light that is average gives 0.1 electrons per second and pixel.
        "hst-acs": Instrument(
            pixel_scale=0.05,
            psf_fwhm=0.1,
            zero_point=25.94,
            sky_brightness=21.9,
            exposure_time=2200.0,
            n_exposures=4,
            read_noise=5.0,
            wavelength=805.0,
        ),
    }
)


def instrument_named(name: str) -> Instrument:
    """Return an instrument by its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in INSTRUMENTS:
        raise ValueError(f"instrument: expected one of {sorted(INSTRUMENTS)}, got {name!r}.")
    return INSTRUMENTS[name]
