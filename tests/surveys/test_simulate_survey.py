"""Simulated surveys: reproducible, of the light, noise and populations that are documented."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.integrate import quad

import pymc_lens as pl
from pymc_lens.pipeline.folders import lens_folders
from pymc_lens.surveys.galaxies import COSMOLOGY, Sersic, draw_lens
from pymc_lens.surveys.instruments import INSTRUMENTS


@pytest.fixture(scope="module", name="lenses")
def _lenses():
    return list(pl.simulate_survey(3, seed=7))


@pytest.fixture(scope="module", name="truths")
def _truths():
    return [draw_lens(np.random.default_rng([3, k]), INSTRUMENTS["euclid-vis"]) for k in range(60)]


def column(truths, name: str) -> np.ndarray:
    return np.array([truth[name] for truth in truths])


def test_a_lens_is_the_same_however_many_are_asked_for(lenses):
    (alone,) = pl.simulate_survey(1, seed=7, start=2)
    first = next(pl.simulate_survey(10**9, seed=7))
    assert alone.name == lenses[2].name == "lens_000002"
    assert alone.dataset == lenses[2].dataset
    assert alone.truth == lenses[2].truth
    assert first.dataset == lenses[0].dataset
    assert first.dataset != next(pl.simulate_survey(1, seed=8)).dataset


def test_images_are_those_of_the_instrument(lenses):
    (hubble,) = pl.simulate_survey(1, seed=7, instrument="hst-acs")
    assert lenses[0].dataset.shape_native == (40, 40)
    assert hubble.dataset.shape_native == (80, 80)
    assert (lenses[0].dataset.pixel_scales, hubble.dataset.pixel_scales) == (0.1, 0.05)
    # Of the sky alone: 25.5 - 22.2 mag over 0.01 arcsec^2 in 1610 s, and four read-outs.
    sky = 10 ** (0.4 * 3.3) * 0.01 * 1610.0
    variance = (sky + 4 * 4.5**2) / 1610.0**2
    data, noise = lenses[0].dataset.data, lenses[0].dataset.noise_map
    assert np.allclose(noise**2, variance + np.maximum(data, 0.0) / 1610.0)


@pytest.mark.parametrize("index", [1.0, 4.0])
def test_half_of_the_light_is_inside_the_radius(index):
    profile = Sersic(5.0, 0.7, index)
    inside, total = (quad(lambda r: 2 * np.pi * r * profile(r), 0.0, end)[0] for end in (0.7, np.inf))
    assert np.allclose((inside, total), (2.5, 5.0), rtol=1e-4)


def test_the_light_adds_up_to_its_magnitude(lenses):
    # The faint halo beyond the image and the arcs are what is missing and what is too much.
    for _, dataset, truth in lenses:
        rate = 10 ** (0.4 * (25.5 - truth["lens_magnitude"]))
        arcs = 10 ** (0.4 * (25.5 - truth["source_magnitude"]))
        assert (
            0.7 * rate < dataset.data.sum() < rate + 20 * arcs + 10 * np.hypot.reduce(dataset.noise_map, None)
        )


def test_einstein_radii_are_those_of_the_velocity_dispersions(truths):
    for truth in truths[:20]:
        behind = COSMOLOGY.transverse_distance(truth["z_lens"], truth["z_source"])
        ratio = behind / COSMOLOGY.transverse_distance(0.0, truth["z_source"])
        expected = 4 * np.pi * (truth["velocity_dispersion"] / 299792.458) ** 2 * ratio * 206264.806
        assert np.isclose(truth["theta_e"], expected, rtol=1e-4)


def test_einstein_radii_are_those_of_the_critical_curves(truths):
    for truth in truths[:3]:
        mass = pl.mass.PowerLaw(
            ell_comps=(truth["ell_comps_y"], truth["ell_comps_x"]),
            einstein_radius=truth["einstein_radius"],
            slope=truth["slope"],
        )
        source = pl.Galaxy(1.0, light=pl.light.MultiGaussian((0.0, 0.0), (0.0, 0.0), [0.1]))
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass), source])
        # The same to first order in the slope's distance from two, times the ellipticity squared.
        radius = pl.quantities.einstein_radius(tracer, (-2.0, 2.0, -2.0, 2.0))
        assert np.isclose(radius, truth["theta_e"], rtol=0.02)


def test_populations_are_those_documented(truths):
    within = 4.0 / np.sqrt(len(truths))
    assert abs(column(truths, "slope").mean() - 2.078) < 0.16 * within
    assert abs(column(truths, "slope").std() / 0.16 - 1.0) < within
    log_shear = np.log10(column(truths, "shear"))
    assert abs(log_shear.mean() - np.log10(0.05)) < 0.2 * within
    clumpy = np.mean(column(truths, "source_clumps") > 0)
    assert abs(clumpy - 0.55) < 0.5 * within
    direction = np.arctan2(column(truths, "gamma_2"), column(truths, "gamma_1"))
    assert abs(np.exp(1j * direction).mean()) < within


def test_only_lenses_that_can_be_found_are_drawn(truths):
    offset = np.hypot(column(truths, "source_y"), column(truths, "source_x"))
    assert (offset < column(truths, "theta_e")).all()
    assert (column(truths, "theta_e") > 3 * 0.17).all()
    assert (column(truths, "z_source") > column(truths, "z_lens")).all()
    assert (column(truths, "signal_to_noise") > 20).all()


def test_a_survey_is_written_and_read(lenses, tmp_path):
    table = pl.write_survey(iter(lenses), tmp_path / "survey")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("name") for row in rows] == [lens.name for lens in lenses]
    assert {name: float(value) for name, value in rows[1].items()} == lenses[1].truth
    folders = lens_folders(tmp_path / "survey")
    assert [folder.name for folder in folders] == [lens.name for lens in lenses]
    read = pl.pipeline.read_folder(folders[1])
    assert np.allclose(read.data, lenses[1].dataset.data, rtol=1e-6)
    assert np.isclose(read.pixel_scales, 0.1)
    with pytest.raises(FileExistsError):
        pl.write_survey(iter(lenses), tmp_path / "survey")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"instrument": "rubin"}, ValueError, r"instrument: expected one of \['euclid-vis', 'hst-acs'\]"),
        ({"instrument": None}, ValueError, "instrument"),
        ({"n": 1.5}, TypeError, "n: expected an integer"),
        ({"n": -1}, ValueError, "n: expected at least 0"),
        ({"seed": "a"}, TypeError, "seed: expected an integer"),
        ({"start": -1}, ValueError, "start: expected at least 0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_drawn(arguments, error, message):
    with pytest.raises(error, match=message):
        pl.simulate_survey(**{"n": 1, "seed": 1, **arguments})
