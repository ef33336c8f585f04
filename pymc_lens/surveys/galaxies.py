"""Populations from which simulated lenses and their sources are drawn.

Galaxy-scale lenses as Collett 2015 (ApJ 811, 20) draws them, with what that leaves out: slopes, shears, light
that is not quite aligned with the mass, and sources that are clumpy.

=====================  ================================================================================
lens redshift          constant comoving density up to 2
velocity dispersion    Choi, Park & Vogeley 2007 (ApJ 658, 884), 100 to 400 km/s, at every redshift
light                  de Vaucouleurs; luminosity and radius by velocity dispersion: Hyde & Bernardi
                       2009 (MNRAS 394, 1978), as in the code of Collett 2015; colours of an elliptical
                       at redshift zero (Fukugita et al. 1995, PASP 107, 945), redshifted, not evolved
axis ratio of light    ``1 - q`` Rayleigh of ``0.378 - 0.000572 sigma / (km/s)``, q > 0.2 (Collett 2015)
Einstein radius        that of an isothermal sphere; of a power law, of the ellipse of the same area
axis ratio of mass     that of the light times N(1, 0.11), turned by N(0, 10 degrees): Koopmans et al.
                       2006 (ApJ 649, 599)
slope                  N(2.078, 0.16): Auger et al. 2010 (ApJ 724, 511)
shear                  log-normal, median 0.05 and 0.2 dex, of any direction: Holder & Schechter 2003
                       (ApJ 589, 688)
sources                ``N(< i)`` as ``10^(0.31 i)``, 20 to 27 mag, redshifts ``z^2 exp(-z / z_0)`` with
                       ``z_0 = 0.0417 i - 0.744``: LSST Science Book 2009 (arXiv:0912.0201), sec. 3.7,
                       extrapolated beyond 25 mag; anywhere inside the Einstein radius
source radius          ``log10(R / kpc) = -(M + 18) / 4 - 1.2 log10((1 + z) / 1.6)`` with 0.35 dex, in
                       the code of Collett 2015; M for a flat spectrum
source shape           exponential; ``1 - q`` Rayleigh of 0.3, q > 0.2 (Collett 2015)
clumps                 in 55 % of the sources (Guo et al. 2015, ApJ 800, 39) one to five Gaussians, each
                       with 2 to 10 % of the light and a tenth of the size, spread as the disc is
=====================  ================================================================================

A pair is a lens that is *found* if (Collett 2015, sec. 3) the source lies inside the Einstein radius, image
and counter-image are resolved, ``theta_E^2 > R^2 + (s / 2)^2`` with a PSF of width s, the magnification is
above 3, the arcs are resolved, ``magnification R > s``, and half of the light of the lensed source has a
signal-to-noise ratio above 20 on the sky and the light of the lens; and, of those, if the Einstein radius is
above three widths of the PSF, so that there is something to model, and all images lie inside the cutout.
Magnifications are those of an isothermal sphere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.integrate import cumulative_trapezoid
from scipy.special import gamma

from pymc_lens.convert import ell_comps_from, power_law_from_lenstronomy
from pymc_lens.cosmology import FlatWCDM
from pymc_lens.light.sersic import half_light_coefficient
from pymc_lens.surveys.instruments import Instrument

COSMOLOGY = FlatWCDM(H0=70.0, Om0=0.3)
_SPEED_OF_LIGHT, _ARCSEC = 299792.458, np.degrees(1.0) * 3600.0
_FARTHEST_LENS, _FARTHEST_SOURCE = 2.0, 6.0
# Pairs that are drawn at once; one in some hundred is found.
_PAIRS = 20_000
# Largest distance from the centre that an image may have, of the half side.
_FITS = 0.8
_SEPARATION, _MAGNIFICATION, _SIGNAL_TO_NOISE = 3.0, 3.0, 20.0
# Rest-frame magnitude of an elliptical over that in r, by wavelength (nm).
_COLOUR = {150.0: 7.5, 230.0: 5.4, 355.0: 2.55, 477.0: 0.77, 623.0: 0.0, 762.0: -0.39, 913.0: -0.65}


@dataclass(frozen=True)
class Sersic:
    """Sérsic profiles of known totals, by the elliptical radius of `pymc_lens.light.Sersic`.

    Attributes
    ----------
    total, radius : float or (n,) array
        All light, and the radius (arcsec) that has half of it inside.
    index : float
    """

    total: Any
    radius: Any
    index: float

    def __call__(self, r: np.ndarray) -> np.ndarray:
        """Surface brightness, per square arcsec, at radii in arcsec."""
        b, n = half_light_coefficient(self.index), self.index
        area = 2.0 * np.pi * n * self.radius**2 * np.exp(b) * b ** (-2.0 * n) * gamma(2.0 * n)
        return self.total / area * np.exp(b * (1.0 - (r / self.radius) ** (1.0 / n)))


def draw_lens(rng: np.random.Generator, instrument: Instrument) -> dict[str, float]:
    """Draw the truth of a lens that an instrument finds, by the name of each number.

    Parameters
    ----------
    rng : Generator
    instrument : Instrument
    """
    while True:
        pairs = _pairs(rng, instrument)
        found = np.flatnonzero(_is_found(pairs, instrument))
        if found.size:
            break
    pair = {name: float(values[found[0]]) for name, values in pairs.items()}
    return {**pair, **_lens_shape(rng, pair), **_source_shape(rng)}


def draw_clumps(rng: np.random.Generator, truth: dict[str, float]) -> list[dict[str, Any]]:
    """Draw the clumps of a source: centre (y, x) and width in arcsec, share of its light."""
    radius = truth["source_radius"]
    return [
        {
            "centre": rng.normal((truth["source_y"], truth["source_x"]), 0.6 * radius),
            "sigma": 0.1 * radius,
            "share": rng.uniform(0.02, 0.1),
        }
        for _ in range(int(truth["source_clumps"]))
    ]


def _pairs(rng: np.random.Generator, instrument: Instrument) -> dict[str, np.ndarray]:
    """Lenses and sources (n,) behind them, the sources anywhere where the widest lens has images of them."""
    z_lens = _inverted(_volume, np.linspace(0.0, _FARTHEST_LENS, 401), rng)
    sigma = _inverted(_dispersions, np.linspace(100.0, 400.0, 401), rng)
    magnitude = 27.0 + np.log10(rng.uniform(10.0 ** (-0.31 * 7.0), 1.0, _PAIRS)) / 0.31
    z_source = rng.gamma(3.0, 0.0417 * magnitude - 0.744)
    behind = (z_source > z_lens) & (z_source < _FARTHEST_SOURCE)
    z_lens, sigma, magnitude, z_source = z_lens[behind], sigma[behind], magnitude[behind], z_source[behind]
    theta_e = 4.0 * np.pi * (sigma / _SPEED_OF_LIGHT) ** 2 * _ARCSEC
    theta_e *= 1.0 - _distance(z_lens) / _distance(z_source)
    y, x = rng.uniform(-theta_e.max(), theta_e.max(), (2, theta_e.size))
    return {
        "z_lens": z_lens,
        "z_source": z_source,
        "velocity_dispersion": sigma,
        "theta_e": theta_e,
        **_lens_light(rng, sigma, z_lens, instrument.wavelength),
        "source_magnitude": magnitude,
        "source_radius": _source_radius(rng, magnitude, z_source),
        "source_y": y,
        "source_x": x,
    }


def _lens_light(
    rng: np.random.Generator, sigma: np.ndarray, z: np.ndarray, wavelength: float
) -> dict[str, np.ndarray]:
    log_sigma = np.log10(sigma)
    absolute = (-0.37 + np.sqrt(0.37**2 - 4.0 * 0.006 * (2.97 + log_sigma))) / (2.0 * 0.006)
    absolute += rng.normal(0.0, 0.15 / 2.4, z.size)
    log_kpc = 2.46 - 2.79 * log_sigma + 0.84 * log_sigma**2 + rng.normal(0.0, 0.11, z.size)
    colour = np.interp(wavelength / (1.0 + z), list(_COLOUR), list(_COLOUR.values())) - 2.5 * np.log10(
        1.0 + z
    )
    return {
        "lens_magnitude": absolute + _distance_modulus(z) + colour,
        "lens_radius": _in_arcsec(log_kpc, z),
    }


def _source_radius(rng: np.random.Generator, magnitude: np.ndarray, z: np.ndarray) -> np.ndarray:
    absolute = magnitude - _distance_modulus(z) + 2.5 * np.log10(1.0 + z)
    log_kpc = -(absolute + 18.0) / 4.0 - 1.2 * np.log10((1.0 + z) / 1.6)
    return _in_arcsec(log_kpc + 0.35 * rng.standard_normal(z.size), z)


def _is_found(pairs: dict[str, np.ndarray], instrument: Instrument) -> np.ndarray:
    theta_e, radius, width = pairs["theta_e"], pairs["source_radius"], instrument.psf_fwhm
    offset = np.hypot(pairs["source_y"], pairs["source_x"])
    magnification = 2.0 * theta_e / np.maximum(offset, radius)
    pairs["signal_to_noise"] = _signal_to_noise(pairs, magnification, instrument)
    return (
        (offset < theta_e)
        & (theta_e**2 > radius**2 + (0.5 * width) ** 2)
        & (theta_e > _SEPARATION * width)
        & (magnification > _MAGNIFICATION)
        & (magnification * radius > width)
        & (pairs["signal_to_noise"] > _SIGNAL_TO_NOISE)
        & (theta_e + offset + radius < _FITS * 0.5 * instrument.cutout)
    )


def _signal_to_noise(
    pairs: dict[str, np.ndarray], magnification: np.ndarray, instrument: Instrument
) -> np.ndarray:
    """Signal-to-noise ratio of the half of the source's light that is brightest, on the light of the lens."""
    signal = 0.5 * magnification * instrument.rate(pairs["source_magnitude"])
    # What half of the light covers, which the PSF widens.
    area = magnification * np.pi * (pairs["source_radius"] ** 2 + (0.5 * instrument.psf_fwhm) ** 2)
    lens = Sersic(instrument.rate(pairs["lens_magnitude"]), pairs["lens_radius"], 4.0)
    sky = instrument.background_noise**2 / instrument.pixel_scale**2
    noise = sky + lens(pairs["theta_e"]) / instrument.exposure_time
    return signal / np.sqrt(signal / instrument.exposure_time + area * noise)


def _lens_shape(rng: np.random.Generator, pair: dict[str, float]) -> dict[str, float]:
    light_q = _axis_ratio(rng, 0.378 - 0.000572 * pair["velocity_dispersion"])
    light_angle = rng.uniform(0.0, 180.0)
    q = float(np.clip(light_q * rng.normal(1.0, 0.11), 0.2, 0.99))
    angle = light_angle + rng.normal(0.0, 10.0)
    slope = float(np.clip(rng.normal(2.078, 0.16), 1.5, 2.7))
    shear, direction = 0.05 * 10.0 ** (0.2 * rng.standard_normal()), rng.uniform(0.0, 2.0 * np.pi)
    e_y, e_x = ell_comps_from(q, angle)
    mass = power_law_from_lenstronomy(pair["theta_e"], slope, e_x, e_y)
    light_e_y, light_e_x = ell_comps_from(light_q, light_angle)
    return {
        "einstein_radius": float(mass["einstein_radius"]),
        "slope": slope,
        "q": q,
        "ell_comps_y": float(e_y),
        "ell_comps_x": float(e_x),
        "shear": float(shear),
        "gamma_1": float(shear * np.cos(direction)),
        "gamma_2": float(shear * np.sin(direction)),
        "light_ell_comps_y": float(light_e_y),
        "light_ell_comps_x": float(light_e_x),
    }


def _source_shape(rng: np.random.Generator) -> dict[str, float]:
    e_y, e_x = ell_comps_from(_axis_ratio(rng, 0.3), rng.uniform(0.0, 180.0))
    is_clumpy = rng.uniform() < 0.55
    return {
        "source_ell_comps_y": float(e_y),
        "source_ell_comps_x": float(e_x),
        "source_clumps": float(rng.integers(1, 6)) if is_clumpy else 0.0,
    }


def _axis_ratio(rng: np.random.Generator, scale: float) -> float:
    """Draw an axis ratio above 0.2, one less of which is a Rayleigh variate."""
    # The inverse of its distribution function, cut off at 0.8.
    below = -np.expm1(-0.5 * (0.8 / scale) ** 2)
    return float(1.0 - scale * np.sqrt(-2.0 * np.log1p(-below * rng.uniform())))


def _inverted(
    density: Callable[[np.ndarray], np.ndarray], grid: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw from a density that is given on a grid, by its distribution function."""
    cumulative = cumulative_trapezoid(density(grid), grid, initial=0)
    return np.interp(rng.uniform(0.0, cumulative[-1], _PAIRS), cumulative, grid)


def _volume(z: np.ndarray) -> np.ndarray:
    """Comoving volume per redshift, up to a factor."""
    return _distance(z) ** 2 * np.gradient(_distance(z), z)


def _dispersions(sigma: np.ndarray) -> np.ndarray:
    relative = sigma / 161.0
    return relative**2.32 * np.exp(-(relative**2.67)) / sigma


_REDSHIFTS = np.linspace(0.0, _FARTHEST_SOURCE, 1201)


@cache
def _distances() -> np.ndarray:
    """Comoving, Mpc, at these redshifts."""
    relative = np.array([COSMOLOGY.transverse_distance(0.0, z) for z in _REDSHIFTS])
    return relative * COSMOLOGY.hubble_distance


def _distance(z: np.ndarray) -> np.ndarray:
    """Comoving, Mpc."""
    return np.interp(z, _REDSHIFTS, _distances())


def _distance_modulus(z: np.ndarray) -> np.ndarray:
    return 5.0 * np.log10((1.0 + z) * _distance(z) * 1e5)


def _in_arcsec(log_kpc: np.ndarray, z: np.ndarray) -> np.ndarray:
    return 10.0**log_kpc / (1e3 * _distance(z) / (1.0 + z)) * _ARCSEC
