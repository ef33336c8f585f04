"""Simulated surveys: lenses of documented populations as an instrument would see them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pymc_lens.data.imaging import Imaging
from pymc_lens.galaxy import Galaxy
from pymc_lens.light import MultiGaussian
from pymc_lens.mass import ExternalShear, PowerLaw
from pymc_lens.pipeline.folders import IMAGE, NOISE, PSF
from pymc_lens.simulate import Brightness, simulate_imaging
from pymc_lens.storage import make_folder
from pymc_lens.surveys.galaxies import COSMOLOGY, Sersic, draw_clumps, draw_lens
from pymc_lens.surveys.instruments import Instrument, instrument_named
from pymc_lens.tracer import Tracer
from pymc_lens.validation import integer

_TRUTH = "truth.csv"


class SimulatedLens(NamedTuple):
    """A lens of a simulated survey.

    Attributes
    ----------
    name : str
    dataset : Imaging
    truth : dict of str to float
        What was drawn, angles in arcsec: see `simulate_survey`.
    """

    name: str
    dataset: Imaging
    truth: dict[str, float]


def simulate_survey(
    n: int, seed: int, instrument: str = "euclid-vis", start: int = 0
) -> Iterator[SimulatedLens]:
    """Simulate lenses one after the other.

    Lens k of a seed and instrument is the same however many are asked for.

    Parameters
    ----------
    n : int
        How many.
    seed : int
    instrument : {"euclid-vis", "hst-acs"}
        Euclid's VIS: 0.1" pixels, PSF of 0.17", 1610 s, sky of 22.2 mag. HST's ACS, F814W: 0.05" pixels, PSF
        of 0.1", 2200 s, sky of 21.9 mag. Images are 4" wide.
    start : int
        The first lens: tasks of a large survey simulate some each.

    Yields
    ------
    SimulatedLens
        Name, dataset and truth. Of the truth ``theta_e`` is the Einstein radius of a circle of the same area
        as the ellipse within which the mean convergence is one, ``einstein_radius``, ``slope``,
        ``ell_comps_y`` and ``ell_comps_x`` are those of the `pymc_lens.mass.PowerLaw` at ``centre_y``,
        ``centre_x``, and ``gamma_1``, ``gamma_2`` of the `pymc_lens.mass.ExternalShear`; ``source_y`` and
        ``source_x`` are relative to that centre.

    Raises
    ------
    TypeError
        If a number is no integer.
    ValueError
        If a number is negative, or there is no such instrument.

    Notes
    -----
    The populations, each with its source, are those of ``pymc_lens/surveys/galaxies.py``, and in the
    documentation.

    Examples
    --------
    >>> for name, dataset, truth in pl.simulate_survey(200, seed=1):  # doctest: +SKIP
    ...     result = pl.fit_lens(dataset)
    """
    camera = instrument_named(instrument)
    first, seed = integer("start", start, 0), integer("seed", seed, 0)
    return (_simulated(k, seed, camera) for k in range(first, first + integer("n", n, 0)))


def write_survey(lenses: Iterable[SimulatedLens], folder: str | Path) -> Path:
    """Write lenses as they come: a folder each, as `pymc_lens.pipeline.read_folder` reads it, and the truths.

    Parameters
    ----------
    lenses : iterable of SimulatedLens
        Never all held in memory.
    folder : path

    Returns
    -------
    Path
        Of ``truth.csv``, a row a lens.

    Raises
    ------
    OSError
        If nothing can be written there; FileExistsError if there is a survey already.

    Examples
    --------
    >>> pl.write_survey(pl.simulate_survey(200, seed=1), "survey")  # doctest: +SKIP
    """
    folder = make_folder(folder)
    with (folder / _TRUTH).open("x", newline="") as file:
        table = csv.writer(file)
        for place, lens in enumerate(lenses):
            if place == 0:
                table.writerow(["name", *lens.truth])
            lens.dataset.to_fits(
                [folder / lens.name / name for name in (IMAGE, PSF, NOISE)], dtype=np.float32
            )
            table.writerow([lens.name, *lens.truth.values()])
            file.flush()
    return folder / _TRUTH


def _simulated(k: int, seed: int, instrument: Instrument) -> SimulatedLens:
    rng = np.random.default_rng([seed, k])
    truth = draw_lens(rng, instrument)
    centre = rng.normal(0.0, 0.02, 2)
    truth |= {"centre_y": float(centre[0]), "centre_x": float(centre[1])}
    source = _source(rng, truth, instrument)
    dataset = simulate_imaging(
        _tracer(truth),
        source,
        (instrument.n_pixels, instrument.n_pixels),
        instrument.pixel_scale,
        instrument.psf,
        instrument.exposure_time,
        instrument.background_noise,
        rng,
        lens_light=_lens_light(truth, instrument),
    )
    return SimulatedLens(f"lens_{k:06d}", dataset, truth)


def _tracer(truth: dict[str, float]) -> Tracer:
    mass = PowerLaw(
        centre=(truth["centre_y"], truth["centre_x"]),
        ell_comps=(truth["ell_comps_y"], truth["ell_comps_x"]),
        einstein_radius=truth["einstein_radius"],
        slope=truth["slope"],
    ) + ExternalShear(truth["gamma_1"], truth["gamma_2"])
    # Only where its rays go is asked of the tracer, which wants something that shines.
    source = Galaxy(truth["z_source"], light=MultiGaussian((0.0, 0.0), (0.0, 0.0), [0.1]))
    return Tracer([Galaxy(truth["z_lens"], mass=mass), source], COSMOLOGY)


def _source(rng: np.random.Generator, truth: dict[str, float], instrument: Instrument) -> Brightness:
    """Return an exponential disc with clumps, behind the lens' centre."""
    middle = np.array([truth["centre_y"], truth["centre_x"]])
    clumps = draw_clumps(rng, truth)
    rate = instrument.rate(truth["source_magnitude"]) * instrument.pixel_scale**2
    disc = _Elliptical(
        Sersic(rate * (1.0 - sum(clump["share"] for clump in clumps)), truth["source_radius"], index=1.0),
        middle + np.array([truth["source_y"], truth["source_x"]]),
        (truth["source_ell_comps_y"], truth["source_ell_comps_x"]),
    )

    def brightness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        total = disc(y, x)
        for clump in clumps:
            c_y, c_x = middle + clump["centre"]
            peak = rate * clump["share"] / (2.0 * np.pi * clump["sigma"] ** 2)
            total = total + peak * np.exp(-0.5 * ((y - c_y) ** 2 + (x - c_x) ** 2) / clump["sigma"] ** 2)
        return total

    return brightness


def _lens_light(truth: dict[str, float], instrument: Instrument) -> Brightness:
    rate = instrument.rate(truth["lens_magnitude"]) * instrument.pixel_scale**2
    return _Elliptical(
        Sersic(rate, truth["lens_radius"], index=4.0),
        np.array([truth["centre_y"], truth["centre_x"]]),
        (truth["light_ell_comps_y"], truth["light_ell_comps_x"]),
    )


@dataclass(frozen=True)
class _Elliptical:
    """A profile on ellipses: the geometric mean of an isophote's half-axes is its radius."""

    profile: Sersic
    centre: np.ndarray
    ell_comps: tuple[float, float]

    def __call__(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        y, x = y - self.centre[0], x - self.centre[1]
        e_y, e_x = self.ell_comps
        stretched = (y + e_x * y - e_y * x) ** 2 + (x - e_x * x - e_y * y) ** 2
        return self.profile(np.sqrt(stretched / (1.0 - e_y**2 - e_x**2)))
