"""The model at one point (issue 13, line 10)."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from problems import full_model, mass, model, simulated, tracer

import pymc_lens as pl

POINT = {"einstein_radius": 1.02, "gamma_1": 0.025, "coefficient": 4.0}


@pytest.fixture(scope="module", name="dataset")
def _dataset():
    return simulated()


def at_point(dataset):
    return pl.FitImaging(dataset, tracer(mass(1.02, gamma_1=0.025), 4.0))


def as_idata(draws: int = 5, log_density: np.ndarray | None = None) -> xr.DataTree:
    """Two chains around the point, which is draw 3 of chain 1."""
    offsets = np.linspace(-0.02, 0.01, 2 * draws).reshape(2, draws)
    offsets[1, 3] = 0.0
    posterior = {name: (("chain", "draw"), value + offsets) for name, value in POINT.items()}
    groups = {"posterior": xr.Dataset(posterior, {"chain": [0, 1], "draw": np.arange(draws)})}
    if log_density is not None:
        groups["sample_stats"] = xr.Dataset(
            {"lp": (("chain", "draw"), log_density)}, groups["posterior"].coords
        )
    return xr.DataTree.from_dict(groups)


def test_issue13_line10_a_dict(dataset):
    fit, direct = pl.fit_at(model(dataset), POINT), at_point(dataset)
    assert fit.log_evidence == pytest.approx(direct.log_evidence, rel=1e-12)
    np.testing.assert_allclose(fit.model_image, direct.model_image, rtol=1e-9)
    assert fit.dataset is dataset


def test_issue14_a_fit_keeps_its_sources_when_the_model_is_evaluated_again(dataset):
    """Fits at points of one model share its inversion, whose arrays the next evaluation overwrites."""
    built = model(dataset)
    first = pl.fit_at(built, POINT)
    pl.fit_at(built, POINT | {"einstein_radius": 0.9})
    expected = at_point(dataset).source
    np.testing.assert_allclose(first.source.rays, expected.rays, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(first.source.magnification, expected.magnification, rtol=1e-9)


def test_issue13_line10_the_draw_of_highest_density(dataset):
    density = np.zeros((2, 5))
    density[1, 3] = 2.0
    fit = pl.fit_at(model(dataset), as_idata(log_density=density))
    assert fit.log_evidence == pytest.approx(at_point(dataset).log_evidence, rel=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_issue13_line10_samplers_that_record_the_negative_density(dataset, sign):
    density = 1000.0 + np.arange(10.0).reshape(2, 5) % 9  # the highest is draw 3 of chain 1
    idata = as_idata(log_density=sign * density)
    stats = idata["sample_stats"].to_dataset()
    idata["sample_stats"] = stats.assign(energy=(("chain", "draw"), 1.5 - density))
    fit = pl.fit_at(model(dataset), idata)
    assert fit.log_evidence == pytest.approx(at_point(dataset).log_evidence, rel=1e-12)


def test_issue13_line10_the_mean_where_no_density_is_known(dataset):
    idata = as_idata()
    mean = {name: float(idata["posterior"][name].mean()) for name in POINT}
    fit = pl.fit_at(model(dataset), idata)
    assert fit.log_evidence == pl.fit_at(model(dataset), mean).log_evidence
    assert fit.log_evidence == pl.fit_at(model(dataset), idata.posterior.mean(("chain", "draw"))).log_evidence


def test_issue13_line10_one_draw(dataset):
    draw = as_idata().posterior.sel(chain=1, draw=3)
    fit = pl.fit_at(model(dataset), draw)
    assert fit.log_evidence == pytest.approx(at_point(dataset).log_evidence, rel=1e-12)
    assert pl.fit_at(model(dataset), draw.to_dataset()).log_evidence == fit.log_evidence


def test_issue13_line10_a_mode_with_everything_random():
    dataset = simulated(light=True)
    built = full_model(dataset)
    parameters = {
        "einstein_radius": np.array(1.01), "ell_comps": np.array([0.08, -0.04]),
        "inner": np.array([0.02, 0.02]), "outer": np.array([0.0, -0.06]),
        "light_centre": np.array([0.01, 0.02]), "mass_centre": np.array([0.0, 0.01]),
        "gamma_1": np.array(0.02), "gamma_2": np.array(0.0), "coefficient": np.array(3.0),
    }  # fmt: skip
    fit = pl.fit_at(built, pl.Mode({}, parameters, parameters, 0.0, np.eye(13), 0))
    for rv in built.free_RVs:
        built.set_initval(rv, parameters[rv.name])
    logp = built.compile_logp(built["image"], jacobian=False)(built.initial_point())
    assert fit.log_evidence == pytest.approx(float(logp), rel=1e-9)
    lens = fit.tracer.galaxies[0]
    assert lens.mass.profiles[0].einstein_radius == 1.01
    np.testing.assert_array_equal(lens.light.centre, [0.01, 0.02])
    # The numbers of the tracer are those of the fit: it can be built again from them, and drawn.
    assert pl.FitImaging(dataset, fit.tracer).log_evidence == pytest.approx(fit.log_evidence, rel=1e-12)
    assert len(pl.plot.subplot_fit(fit).axes) == 12


def test_issue13_line10_variables_inside_functions(dataset):
    with pm.Model() as built:
        kappa = pm.Normal("kappa", 0.0, 0.1)
        sheet = pl.mass.FromDeflections(lambda y, x: (kappa * y, kappa * x))
        pl.LensedImage("image", tracer(mass() + sheet), observed=dataset)
    fit = pl.fit_at(built, {"kappa": 0.02})
    numbers = pl.mass.FromDeflections(lambda y, x: (0.02 * y, 0.02 * x))
    assert fit.log_evidence == pytest.approx(pl.FitImaging(dataset, tracer(mass() + numbers)).log_evidence)
    assert len(pl.plot.subplot_fit(fit).axes) == 12


def test_issue13_line10_an_image_observed_later(dataset):
    with pm.Model() as built:
        pl.LensedImage("image", tracer(mass(pm.Normal("einstein_radius"))), dataset=dataset)
    other = 1.1 * dataset.data_fitted
    fit = pl.fit_at(pm.observe(built, {"image": other}), {"einstein_radius": 1.0})
    np.testing.assert_array_equal(fit.dataset.data_fitted, other)
    assert fit.chi_squared == pytest.approx(np.nansum(fit.chi_squared_map))
    latent = pl.fit_at(built, {"einstein_radius": 1.0, "image": other})
    assert latent.log_evidence == fit.log_evidence


def test_issue13_line10_variables_that_were_set(dataset):
    built = pm.do(model(dataset), {"gamma_1": 0.025})
    fit = pl.fit_at(built, {"einstein_radius": 1.02, "coefficient": 4.0})
    assert fit.log_evidence == pytest.approx(at_point(dataset).log_evidence, rel=1e-12)
    assert fit.tracer.galaxies[0].mass.profiles[1].gamma_1 == 0.025


def test_issue13_line10_several_images(dataset):
    with pm.Model() as built:
        radius = pm.Normal("einstein_radius")
        for name, coefficient in (("red", 2.0), ("blue", 8.0)):
            pl.LensedImage(name, tracer(mass(radius), coefficient), observed=dataset)
    with pytest.raises(ValueError, match=r"var_name: .*'blue', 'red'"):
        pl.fit_at(built, {"einstein_radius": 1.0})
    fit = pl.fit_at(built, {"einstein_radius": 1.0}, var_name="blue")
    assert fit.tracer.galaxies[-1].pixelization.regularization.coefficient == 8.0


def test_issue13_line10_values_that_are_computed_may_agree(dataset):
    with pm.Model() as built:
        radius = pm.Normal("einstein_radius")
        pm.Deterministic("diameter", 2.0 * radius)
        pl.LensedImage("image", tracer(mass(radius)), observed=dataset)
    fit = pl.fit_at(built, {"einstein_radius": 1.0, "diameter": 2.0})
    assert fit.log_evidence == pl.fit_at(built, {"einstein_radius": 1.0}).log_evidence
    with pytest.raises(ValueError, match=r"diameter = 2\.1 contradicts"):
        pl.fit_at(built, {"einstein_radius": 1.0, "diameter": 2.1})
    assert pl.fit_at(built, {"diameter": 2.0}).log_evidence == pytest.approx(fit.log_evidence, rel=1e-9)


@pytest.mark.parametrize(
    ("point", "error", "words"),
    [
        ({"einstein_radius": 1.0}, ValueError, r"no value of \['coefficient', 'gamma_1'\]"),
        ({**POINT, "radius": 1.0}, ValueError, r"\['radius'\] are not variables .*'einstein_radius'"),
        ({**POINT, "gamma_1": [0.0, 0.1]}, ValueError, r"gamma_1: expected a value of shape \(\)"),
        (as_idata().posterior, ValueError, r"one draw, got dimensions \['chain', 'draw'\]"),
        (1.0, TypeError, "point: expected what pl.sample"),
        (xr.DataTree(), ValueError, "no value of"),
    ],
)
def test_issue13_line10_bad_points(dataset, point, error, words):
    with pytest.raises(error, match=words):
        pl.fit_at(model(dataset), point)


def test_issue13_line10_bad_models(dataset):
    with pytest.raises(TypeError, match=r"model: expected a pm\.Model, got Imaging"):
        pl.fit_at(dataset, POINT)
    with pytest.raises(ValueError, match="none"):
        pl.fit_at(pm.Model(), {})
