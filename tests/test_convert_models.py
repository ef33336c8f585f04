"""Whole masses, light and models against lenstronomy and COOLEST's own package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from astropy.cosmology import FlatLambdaCDM
from coolest.api.profiles import light as coolest_lights
from coolest.api.profiles import mass as coolest_masses
from coolest.template.json import JSONSerializer
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from pytensor.compile.mode import Mode
from xarray import DataTree

import pymc_lens as pl
from pymc_lens import convert, light, mass

ONCE = Mode("py", None)
CENTRE, ELL_COMPS = (0.05, -0.1), (0.1, -0.25)
MIDDLE = {"center_x": -0.1, "center_y": 0.05}
SHAPE = {"e1": -0.25, "e2": 0.1, **MIDDLE}

# Models of lenstronomy, and how well it computes them.
MASSES: dict[str, tuple[dict[str, Any], float]] = {
    "SIE": ({"theta_E": 1.3, **SHAPE}, 1e-9),
    "SIS": ({"theta_E": 1.3, **MIDDLE}, 1e-9),
    "EPL": ({"theta_E": 1.3, "gamma": 2.2, **SHAPE}, 1e-9),
    "NIE": ({"theta_E": 1.3, "s_scale": 0.2, **SHAPE}, 1e-9),
    "PJAFFE": ({"sigma0": 2.0, "Ra": 0.2, "Rs": 1.5, **MIDDLE}, 1e-9),
    "CHAMELEON": ({"alpha_1": 1.1, "w_c": 0.2, "w_t": 1.5, **SHAPE}, 1e-8),
    "NFW": ({"Rs": 3.0, "alpha_Rs": 0.9, **MIDDLE}, 1e-9),
    "NFW_ELLIPSE_CSE": ({"Rs": 3.0, "alpha_Rs": 0.9, **SHAPE}, 1e-4),
    "TNFW": ({"Rs": 3.0, "alpha_Rs": 0.9, "r_trunc": 5.0, **MIDDLE}, 1e-9),
    "GNFW": ({"Rs": 3.0, "alpha_Rs": 0.9, "gamma_in": 1.4, **MIDDLE}, 1e-7),
    "CNFW": ({"Rs": 3.0, "alpha_Rs": 0.9, "r_core": 0.2, **MIDDLE}, 1e-7),
    "SERSIC": ({"k_eff": 0.3, "R_sersic": 0.8, "n_sersic": 3.2, **MIDDLE}, 1e-8),
    "SERSIC_ELLIPSE_KAPPA": ({"k_eff": 0.3, "R_sersic": 0.8, "n_sersic": 3.2, **SHAPE}, 1e-7),
    "GAUSSIAN_ELLIPSE_KAPPA": ({"amp": 0.7, "sigma": 0.4, **SHAPE}, 1e-9),
    "MULTI_GAUSSIAN_ELLIPSE_KAPPA": (
        {"amp": np.array([0.7, 0.2]), "sigma": np.array([0.4, 0.1]), **SHAPE},
        1e-9,
    ),
    "MULTIPOLE": ({"m": 3, "a_m": 0.026, "phi_m": 0.2, **MIDDLE, "r_E": 1.3}, 1e-9),
    "SHEAR": ({"gamma1": 0.03, "gamma2": -0.05, "ra_0": 0.3, "dec_0": 0.1}, 1e-12),
    "FLEXION": ({"g1": 0.01, "g2": -0.02, "g3": 0.03, "g4": 0.005, "ra_0": 0.3, "dec_0": 0.1}, 1e-12),
    "CONVERGENCE": ({"kappa": 0.07, "ra_0": 0.3, "dec_0": 0.1}, 1e-12),
    "POINT_MASS": ({"theta_E": 0.7, **MIDDLE}, 1e-9),
}
# Of which lenstronomy's numbers need code that is not installed.
UNSEEN = {
    "PEMD": {"theta_E": 1.3, "gamma": 2.2, **SHAPE},
    "SPEMD": {"theta_E": 1.3, "gamma": 2.2, "s_scale": 0.1, **SHAPE},
}
LIGHTS: dict[str, dict[str, Any]] = {
    "SERSIC_ELLIPSE": {"amp": 3.0, "R_sersic": 0.8, "n_sersic": 3.2, **SHAPE},
    "CORE_SERSIC": {
        "amp": 3.0,
        "R_sersic": 0.8,
        "Rb": 0.1,
        "n_sersic": 3.2,
        "gamma": 0.3,
        "alpha": 2.5,
        **SHAPE,
    },
    "GAUSSIAN_ELLIPSE": {"amp": 3.0, "sigma": 0.4, **SHAPE},
    "MULTI_GAUSSIAN_ELLIPSE": {"amp": np.array([3.0, 1.0]), "sigma": np.array([0.4, 0.1]), **SHAPE},
}


@pytest.fixture
def grid(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-2.5, 2.5, (200, 2))


def alphas(names: list[str], kwargs: list[dict[str, Any]], grid: np.ndarray) -> np.ndarray:
    return np.stack(LensModel(names).alpha(grid[:, 1], grid[:, 0], kwargs)[::-1], axis=-1)


def same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-10, atol=1e-14, err_msg=name)


def parameters_of(profile: Any) -> dict[str, Any]:
    fields = vars(profile).items()
    return {name: np.asarray(value) for name, value in fields if value is not None}


@pytest.mark.parametrize("name", MASSES)
def test_mass_of_lenstronomy(name: str, grid: np.ndarray) -> None:
    kwargs, precision = MASSES[name]
    ours = convert.mass_from_lenstronomy([name], [kwargs]).deflections(grid).eval(mode=ONCE)
    difference = ours - alphas([name], [kwargs], grid)
    if name == "MULTIPOLE":  # odd ones leave a uniform deflection out
        difference -= difference.mean(axis=0)
    np.testing.assert_allclose(difference, 0.0, atol=precision)


@pytest.mark.parametrize("name", [*MASSES, *UNSEEN])
def test_mass_there_and_back(name: str) -> None:
    kwargs = MASSES[name][0] if name in MASSES else UNSEEN[name]
    names, back = convert.mass_to_lenstronomy(convert.mass_from_lenstronomy([name], [kwargs]))
    renamed = {
        "SIS": "SIE",
        "PEMD": "EPL",
        "SERSIC": "SERSIC_ELLIPSE_KAPPA",
        "GAUSSIAN_ELLIPSE_KAPPA": "MULTI_GAUSSIAN_ELLIPSE_KAPPA",
    }
    place = names.index(renamed.get(name, name))
    same({"e1": 0.0, "e2": 0.0, **kwargs} if name in ("SIS", "SERSIC") else kwargs, back[place])


def test_what_both_have_is_a_sum(grid: np.ndarray) -> None:
    ours = (
        mass.PowerLaw(CENTRE, ELL_COMPS, 1.3, 2.1)
        + mass.ExternalShear(0.03, -0.05)
        + mass.ExternalPotential(CENTRE, 0.01, 0.02, 0.02, 0.01, -0.03, 0.02)
        + mass.dPIEMass((0.7, 0.2), (0.0, 0.0), 0.0, 0.3, 0.1)
    )
    names, kwargs = convert.mass_to_lenstronomy(ours)
    assert names == ["EPL", "SHEAR", "SHEAR", "FLEXION", "CHAMELEON"]
    np.testing.assert_allclose(alphas(names, kwargs, grid), ours.deflections(grid).eval(mode=ONCE), atol=1e-9)


@pytest.mark.parametrize("name", LIGHTS)
def test_light_of_lenstronomy(name: str, grid: np.ndarray) -> None:
    kwargs = LIGHTS[name]
    ours, amplitudes = convert.light_from_lenstronomy([name], [kwargs])
    theirs = LightModel([name]).surface_brightness(grid[:, 1], grid[:, 0], [kwargs])
    np.testing.assert_allclose(amplitudes @ ours.images(grid).eval(mode=ONCE), theirs, rtol=1e-9)
    names, (back,) = convert.light_to_lenstronomy(ours, amplitudes)
    assert names == [name]
    same(kwargs, back)


def test_light_without_amplitudes_and_named_cases(grid: np.ndarray) -> None:
    ours = light.DevVaucouleurs(CENTRE, ELL_COMPS, 0.8) + light.Exponential(CENTRE, ELL_COMPS, 0.8)
    names, kwargs = convert.light_to_lenstronomy(ours)
    assert names == ["SERSIC_ELLIPSE"] * 2
    assert [each["n_sersic"] for each in kwargs] == [4.0, 1.0]
    assert convert.light_from_lenstronomy(names, kwargs).amplitudes is None
    names, kwargs = convert.light_to_lenstronomy(ours, [2.0, 0.5])
    theirs = LightModel(names).surface_brightness(grid[:, 1], grid[:, 0], kwargs)
    np.testing.assert_allclose([2.0, 0.5] @ ours.images(grid).eval(mode=ONCE), theirs, rtol=1e-9)


def test_what_has_no_counterpart_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no counterpart of FromPotential"):
        convert.mass_to_lenstronomy(mass.ExternalShear(0.1, 0.0) + mass.FromPotential(lambda y, x: y + x))
    with pytest.raises(ValueError, match="no counterpart of a PowerLawMultipole"):
        convert.mass_to_lenstronomy(mass.PowerLawMultipole(3, CENTRE, 1.3, 2.1, (0.01, 0.0)))
    with pytest.raises(ValueError, match="no counterpart of a gNFW but round ones"):
        convert.mass_to_lenstronomy(mass.gNFW(CENTRE, ELL_COMPS))
    with pytest.raises(ValueError, match="no counterpart of Moffat"):
        convert.light_to_lenstronomy(light.Moffat())
    with pytest.raises(ValueError, match=r"lens_model_list: expected some of .* got \['CURVED_ARC_SPP'\]"):
        convert.mass_from_lenstronomy(["CURVED_ARC_SPP", "SHEAR"], [{}, {}])
    with pytest.raises(ValueError, match="light_model_list: expected as many names"):
        convert.light_from_lenstronomy(["SERSIC"], [])
    with pytest.raises(ValueError, match="amplitudes: expected 1 of them"):
        convert.light_to_lenstronomy(light.Sersic(), [1.0, 2.0])


# --- COOLEST

COOLEST: dict[str, mass.MassProfile] = {
    "SIE": mass.Isothermal(CENTRE, ELL_COMPS, 1.3),
    "PEMD": mass.PowerLaw(CENTRE, ELL_COMPS, 1.3, 2.2),
    "NIE": mass.IsothermalCore(CENTRE, ELL_COMPS, 1.3, 0.2),
    "SPEMD": mass.PowerLawCore(CENTRE, ELL_COMPS, 1.3, 2.2, 0.2),
    "Chameleon": mass.dPIEMass(CENTRE, ELL_COMPS, 0.2, 1.5, 1.1),
    "ExternalShear": mass.ExternalShear(0.03, -0.05),
    "ConvergenceSheet": mass.MassSheet((0.0, 0.0), -0.05),
}
# COOLEST's formulas (docs/models/mass.md of aymgal/COOLEST), u being q x^2 + y^2 / q along the major axis.
CONVERGENCES = {
    "SIE": lambda u, v: 0.5 * v["theta_E"] / np.sqrt(u),
    "PEMD": lambda u, v: 0.5 * (3.0 - v["gamma"]) * (v["theta_E"] ** 2 / u) ** (0.5 * (v["gamma"] - 1.0)),
    "NIE": lambda u, v: 0.5 * v["theta_E"] / np.sqrt(u + v["r_core"] ** 2),
    "SPEMD": lambda u, v: (
        0.5 * (3.0 - v["gamma"]) * (v["theta_E"] ** 2 / (u + v["r_core"] ** 2)) ** (0.5 * (v["gamma"] - 1.0))
    ),
    "Chameleon": lambda u, v: (
        0.5 * v["b"] * (1.0 / np.sqrt(u + v["s_c"] ** 2) - 1.0 / np.sqrt(u + v["s_t"] ** 2))
    ),
}


@pytest.mark.parametrize("name", COOLEST)
@pytest.mark.parametrize("round_one", [False, True])
def test_mass_of_coolest_there_and_back(name: str, round_one: bool) -> None:
    start = COOLEST[name]
    if round_one and hasattr(start, "ell_comps"):
        start = replace(start, ell_comps=(0.0, 0.0))
    types, values = convert.mass_to_coolest(start)
    assert types == [name]
    same(parameters_of(start), parameters_of(convert.mass_from_coolest(types, values)))


@pytest.mark.parametrize("name", CONVERGENCES)
def test_convergence_is_that_of_coolest(name: str, grid: np.ndarray) -> None:
    _, (values,) = convert.mass_to_coolest(COOLEST[name])
    x, y = grid[:, 1] - values["center_x"], grid[:, 0] - values["center_y"]
    along = (x + 1j * y) / np.exp(1j * np.deg2rad(values["phi"] + 90.0))
    squared = values["q"] * along.real**2 + along.imag**2 / values["q"]
    expected = CONVERGENCES[name](squared, values)
    np.testing.assert_allclose(COOLEST[name].convergence(grid).eval(mode=ONCE), expected, rtol=1e-6)


def test_deflections_are_those_of_coolests_package(grid: np.ndarray) -> None:
    types, values = convert.mass_to_coolest(
        COOLEST["PEMD"] + COOLEST["ExternalShear"] + COOLEST["ConvergenceSheet"]
    )
    theirs = sum(
        np.stack(getattr(coolest_masses, kind)().deflection(grid[:, 1], grid[:, 0], **each)[::-1], axis=-1)
        for kind, each in zip(types, values, strict=True)
    )
    ours = convert.mass_from_coolest(types, values).deflections(grid).eval(mode=ONCE)
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_light_of_coolests_package(grid: np.ndarray) -> None:
    start = light.Sersic(CENTRE, ELL_COMPS, 0.8, 3.2)
    types, (values,) = convert.light_to_coolest(start, [2.0])
    theirs = coolest_lights.Sersic().evaluate_surface_brightness(grid[:, 1], grid[:, 0], **values)
    np.testing.assert_allclose(2.0 * start.images(grid).eval(mode=ONCE)[0], theirs, rtol=1e-10)
    back, amplitudes = convert.light_from_coolest(types, [values])
    same(parameters_of(start) | {"amplitude": 2.0}, parameters_of(back) | {"amplitude": amplitudes[0]})


def model_of_lenstronomy() -> tuple[list[str], list[dict[str, Any]]]:
    names = ["EPL", "SHEAR", "NIE", "CHAMELEON", "CONVERGENCE"]
    kwargs = [MASSES[name][0] for name in names]
    return names, [each | ({"ra_0": 0.0, "dec_0": 0.0} if "ra_0" in each else {}) for each in kwargs]


def test_issue16_round_trip_of_lenstronomy_through_a_file_of_coolest(tmp_path: Path) -> None:
    names, kwargs = model_of_lenstronomy()
    lights = ["SERSIC_ELLIPSE"], [LIGHTS["SERSIC_ELLIPSE"]]
    ours, amplitudes = convert.light_from_lenstronomy(*lights)
    cosmology = FlatLambdaCDM(73.0, 0.3)
    tracer = pl.Tracer(
        [
            pl.Galaxy(0.5, convert.mass_from_lenstronomy(names, kwargs), name="lens"),
            pl.Galaxy(2.0, light=ours, name="source"),
        ],
        cosmology,
    )
    convert.write_coolest(tmp_path / "lens.json", tracer)
    read = convert.read_coolest(tmp_path / "lens.json")
    lens, field, source = read.tracer.galaxies
    back = convert.mass_to_lenstronomy(lens.mass + field.mass)
    assert sorted(back[0]) == sorted(names)
    for name, each in zip(names, kwargs, strict=True):
        same(each, back[1][back[0].index(name)])
    back = convert.light_to_lenstronomy(source.light, amplitudes)
    assert back[0] == lights[0]
    same(lights[1][0], back[1][0])
    assert (read.tracer.cosmology.H0.value, read.tracer.cosmology.Om0) == (73.0, 0.3)
    assert [lens.redshift, field.redshift, source.redshift] == [0.5, 0.5, 2.0]
    assert read.dataset is None


def test_coolests_package_reads_what_is_written(tmp_path: Path) -> None:
    profiles = sum((COOLEST[name] for name in list(COOLEST)[1:]), COOLEST["SIE"])
    source = pl.Galaxy(2.0, light=light.Exponential(CENTRE, ELL_COMPS, 0.3))
    convert.write_coolest(tmp_path / "lens.json", pl.Tracer([pl.Galaxy(0.5, profiles), source]))
    reader = JSONSerializer(str(tmp_path / "lens"), check_external_files=False)
    theirs = reader.load(skip_jsonpickle=True, verbose=False)
    lens, field, behind = theirs.lensing_entities
    assert [profile.type for profile in lens.mass_model] == list(COOLEST)[:5]
    assert [profile.type for profile in field.mass_model] == list(COOLEST)[5:]
    assert (field.type, behind.redshift) == ("MassField", 2.0)
    _, values = convert.mass_to_coolest(profiles)
    for profile, each in zip([*lens.mass_model, *field.mass_model], values, strict=True):
        assert {name: p.point_estimate.value for name, p in profile.parameters.items()} == each
    assert behind.light_model[0].parameters["I_eff"].point_estimate.value is None
    assert lens.mass_model[0].id == "0-galaxy-mass-0-SIE"


def test_what_coolest_has_no_counterpart_of_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="COOLEST has no counterpart of NFWSph"):
        convert.mass_to_coolest(mass.NFWSph() + mass.Isothermal())
    with pytest.raises(ValueError, match="no counterpart of a MassSheet but about"):
        convert.mass_to_coolest(mass.MassSheet((0.1, 0.0), 0.1))
    with pytest.raises(ValueError, match="COOLEST has no counterpart of Moffat"):
        convert.light_to_coolest(light.Moffat())
    with pytest.raises(ValueError, match=r"expected some of COOLEST's .* got \['NFW'\]"):
        convert.mass_from_coolest(["NFW"], [{}])
    lens, source = pl.Galaxy(0.5, mass.Isothermal()), pl.Galaxy(2.0)
    with pytest.raises(ValueError, match="no counterpart of the cosmology"):
        convert.write_coolest(tmp_path / "a.json", pl.Tracer([lens, source], pl.FlatWCDM(70.0, 0.3, -0.9)))
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ValueError, match="path: expected a plain JSON file of the COOLEST standard"):
        convert.read_coolest(tmp_path / "b.json")
    with pytest.raises(FileExistsError, match="overwrite"):
        convert.write_coolest(tmp_path / "b.json", pl.Tracer([lens, source]))
    with pytest.raises(ValueError, match="idata: expected it together with the model"):
        convert.write_coolest(tmp_path / "c.json", pl.Tracer([lens, source]), idata=DataTree())


@pytest.fixture(scope="module")
def fit() -> pl.FitImaging:
    rng = np.random.default_rng(0)
    shape, y = (25, 25), np.arange(-3, 4)  # square: what their reader takes
    psf = np.exp(-0.5 * (y[:, None] ** 2 + y**2))
    middle = np.indices(shape) - 12.0
    data = rng.normal(size=shape) + 20.0 * np.exp(-0.05 * (middle**2).sum(axis=0))
    dataset = pl.Imaging(data, np.full(shape, 1.0), psf, 0.1, offset=(0.2, -0.1))
    dataset = dataset.apply_mask(pl.Mask2D.circular(shape, 0.1, 1.0))
    profiles = pl.light.Sersic((0.2, -0.1), (0.1, 0.0), 0.3, 1.0)
    gaussians = pl.light.MultiGaussian((0.2, -0.1), [(0.0, 0.1)], [[0.05, 3.0]])
    pixels = pl.Pixelization(
        pl.mesh.RectangularWindow((8, 8), (-0.6, 0.6, -0.6, 0.6)), pl.regularization.Constant(1.0)
    )
    galaxies = [
        pl.Galaxy(0.5, COOLEST["SIE"], gaussians, name="lens"),
        pl.Galaxy(0.5, light=profiles, name="companion"),
        pl.Galaxy(2.0, pixelization=pixels, name="source"),
    ]
    return pl.FitImaging(dataset, pl.Tracer(galaxies))


def test_whole_fit_in_a_file(fit: pl.FitImaging, tmp_path: Path, grid: np.ndarray) -> None:
    files = convert.write_coolest(tmp_path / "lens.json", fit)
    assert [file.name for file in files] == [
        "lens.json", "lens_data.fits", "lens_noise_map.fits", "lens_mask.fits", "lens_psf.fits",
        "lens_lens_light.fits", "lens_source.fits",
    ]  # fmt: skip
    theirs = JSONSerializer(str(tmp_path / "lens")).load(skip_jsonpickle=True, verbose=False)
    assert theirs.likelihoods[0].get_mask_pixels(str(tmp_path)).sum() == fit.dataset.fitted.size
    read = convert.read_coolest(tmp_path / "lens.json")
    for name in ("data", "noise_map", "offset", "pixel_scales"):
        np.testing.assert_allclose(getattr(read.dataset, name), getattr(fit.dataset, name), rtol=1e-12)
    np.testing.assert_array_equal(read.dataset.mask.array, fit.dataset.mask.array)
    np.testing.assert_allclose(read.dataset.psf, fit.dataset.psf, rtol=1e-12)
    per_pixel = read.amplitudes["companion"] * fit.dataset.pixel_scales**2
    np.testing.assert_allclose(per_pixel, fit.coefficients["companion_light"], rtol=1e-10)
    gaussians = fit.tracer.galaxies[0].light

    def lens_light(points: np.ndarray) -> np.ndarray:
        return fit.coefficients["lens_light"] @ gaussians.images(points).eval(mode=ONCE)

    for name, brightness in (("source", fit.source.brightness), ("lens", lens_light)):
        (seen,) = read.pixels[name]
        left, right, bottom, top = seen.extent
        ny, nx = seen.image.shape
        points = np.array([bottom + 3.5 * (top - bottom) / ny, left + 5.5 * (right - left) / nx])
        expected = brightness(points[None])[0]
        np.testing.assert_allclose(seen.image[3, 5], expected, rtol=1e-9, atol=1e-12)


def test_posterior_in_a_file(fit: pl.FitImaging, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    source = fit.tracer.galaxies[-1]
    with pm.Model() as model:
        radius, ell = pm.Normal("radius", 1.3, 0.1), pl.priors.ell_comps("ell")
        lens = pl.Galaxy(
            0.5, mass.Isothermal(CENTRE, ell, radius) + mass.ExternalShear(0.03, 0.0), name="lens"
        )
        pl.LensedImage("image", pl.Tracer([lens, source]), observed=fit.dataset)
    radii, ells = rng.normal(1.3, 0.1, (2, 5)), rng.normal((0.0, -0.3), 0.05, (2, 5, 2))
    dims = ("chain", "draw")
    posterior = xr.Dataset({"radius": (dims, radii), "ell": ((*dims, "e_yx"), ells)})
    posterior = posterior.assign_coords(chain=range(2), draw=range(5))
    idata = DataTree.from_dict({"posterior": posterior})
    at = pl.fit_at(model, {"radius": 1.3, "ell": (1e-3, -0.3)})
    files = convert.write_coolest(tmp_path / "lens.json", at, model, idata)
    assert files[1].name == "lens_chain.csv"
    theirs = JSONSerializer(str(tmp_path / "lens")).load(skip_jsonpickle=True, verbose=False)
    chain = pd.read_csv(files[1])
    expected = [
        convert.isothermal_to_coolest(r, e) for r, e in zip(radii.ravel(), ells.reshape(-1, 2), strict=True)
    ]
    for name in ("theta_E", "q", "phi"):
        parameter = theirs.lensing_entities.get_parameter_from_id(f"0-galaxy-mass-0-SIE-{name}")
        values = np.array([each[name] for each in expected])
        if name == "phi":  # about zero, where it is continuous
            values = (values + 90.0) % 180.0 - 90.0
        np.testing.assert_allclose(chain[parameter.id], values, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(parameter.posterior_stats.mean, values.mean(), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(parameter.posterior_stats.median, np.median(values), rtol=1e-9, atol=1e-9)
    assert chain["probability_weights"].sum() == pytest.approx(1.0)
