"""Preflight, mode, metric and every sampler on a small problem."""

from __future__ import annotations

import arviz as az
import numpy as np
import pymc as pm
import pytest
from problems import model, simulated, tracer

import pymc_lens as pl

NAMES = ["einstein_radius", "gamma_1", "coefficient"]


@pytest.fixture(scope="module", name="small")
def _small():
    return model(simulated())


@pytest.fixture(scope="module", name="mode")
def _mode(small):
    return pl.find_mode(small, progressbar=False)


def test_mode_and_metric(small, mode):
    function = small.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    flat = pm.blocking.DictToArrayBijection.map(mode.point)

    def log_density(values):
        return float(function(flat._replace(data=values))[0])

    def gradient(values):
        return function(flat._replace(data=values))[1].copy()

    scatter = np.sqrt(np.diag(mode.covariance))
    assert log_density(flat.data) == pytest.approx(mode.log_density)
    assert np.abs(gradient(flat.data) * scatter).max() < 0.05
    for direction in np.eye(3):
        for sign in (-1, 1):
            assert log_density(flat.data + 0.5 * sign * scatter * direction) < mode.log_density
    # Steps of half a standard deviation: a bilinear mesh has kinks that shorter ones would see.
    steps = 0.5 * np.diag(scatter)
    hessian = np.array(
        [(gradient(flat.data + step) - gradient(flat.data - step)) / step.sum() / 2 for step in steps]
    )
    whitened = hessian * np.outer(scatter, scatter)
    np.testing.assert_allclose(
        mode.covariance / np.outer(scatter, scatter), np.linalg.inv(-whitened), atol=0.1
    )


def test_best_of_several_starts(small, mode):
    found = pl.find_mode(
        small, starts=[{"einstein_radius": 0.6}, {"einstein_radius": 1.05}], progressbar=False
    )
    assert found.log_density == pytest.approx(mode.log_density, abs=0.05)


@pytest.mark.filterwarnings("ignore:Another mode is only")
def test_modes_are_told_apart():
    """A mixture of two normal distributions of different weight, approached from both sides and twice."""
    with pm.Model() as bimodal:
        places = pm.Normal.dist([-2.0, 3.0], [0.5, 0.3])
        pm.Mixture("x", [0.3, 0.7], places)
    starts = [{"x": start} for start in (-2.5, 3.4, -1.6, 2.8)]
    low, high = -2.0, 3.0
    modes = pl.find_modes(bimodal, starts=starts, keep=4, progressbar=False)
    assert [float(mode.parameters["x"]) for mode in modes] == pytest.approx([high, low], abs=1e-3)
    assert [float(mode.covariance[0, 0]) for mode in modes] == pytest.approx([0.3**2, 0.5**2], rel=0.05)
    expected = [np.log(w / s / np.sqrt(2.0 * np.pi)) for w, s in ((0.7, 0.3), (0.3, 0.5))]
    assert [mode.log_density for mode in modes] == pytest.approx(expected, abs=1e-3)
    best = pl.find_mode(bimodal, starts=starts, keep=4, progressbar=False)
    assert best.log_density == pytest.approx(modes[0].log_density, abs=1e-9)


def test_unknown_start(small):
    with pytest.raises(ValueError, match="starts"):
        pl.find_mode(small, starts=[{"radius": 1.0}], progressbar=False)


@pytest.mark.parametrize("search", [pl.find_mode, pl.find_modes])
def test_nowhere_to_start(small, search):
    with pytest.raises(ValueError, match="starts: expected at least one"):
        search(small, starts=[], progressbar=False)
    with pytest.raises(ValueError, match="keep: expected at least 1"):
        search(small, keep=0, progressbar=False)


def test_preflight_names_the_culprit():
    from problems import mass, tracer

    mesh = pl.mesh.RectangularBox((10, 10), (-0.3, 0.3, -0.3, 0.3))
    with pm.Model() as built:
        radius = pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0)
        pl.LensedImage("image", tracer(mass(radius), mesh=mesh), observed=simulated())
    with pytest.raises(ValueError, match=r"'image'.*extent"):
        pl.find_mode(built, progressbar=False)


def test_inadmissible_point_has_zero_gradient():
    """Ellipticities beyond one, reached through a prior of the user's own, are -inf and harmless."""
    from problems import mass, tracer

    with pm.Model() as built:
        ell_comps = pm.Normal("ell_comps", 0.0, 1.0, shape=2)
        pl.LensedImage("image", tracer(mass(1.0, ell_comps)), observed=simulated())
    function = built.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    start = pm.blocking.DictToArrayBijection.map({"ell_comps": np.array([0.9, 0.8])})
    value, gradient = function(start)
    assert value == -np.inf
    assert np.isfinite(gradient).all()


def check(idata, truth=1.0):
    radius = idata["posterior"]["einstein_radius"]
    assert abs(float(radius.mean()) - truth) < 5 * float(radius.std())
    assert 1e-4 < float(radius.std()) < 0.05


@pytest.fixture(scope="module", name="reference")
def _reference(small, mode):
    """A long run of PyMC's NUTS."""
    return pl.sample(900, method="nuts", mode=mode, random_seed=5, progressbar=False, model=small)


@pytest.fixture(scope="module", name="weighted")
def _weighted(small, mode):
    return pl.sample(500, mode=mode, random_seed=3, progressbar=False, model=small)


def assert_same_posterior(idata, reference):
    summary, expected = (
        az.summary(part, var_names=NAMES, kind="all", round_to="none") for part in (idata, reference)
    )
    for name in NAMES:
        for moment in ("mean", "sd"):
            error = np.hypot(summary[f"mcse_{moment}"][name], expected[f"mcse_{moment}"][name])
            assert abs(summary[moment][name] - expected[moment][name]) < 4 * error, (name, moment)


def assert_converged(idata):
    summary = az.summary(idata, var_names=NAMES, kind="all", round_to="none")
    assert summary["r_hat"].max() < 1.01
    assert int(idata["sample_stats"]["diverging"].sum()) == 0
    assert abs(summary["mean"]["einstein_radius"] - 1.0) < 3 * summary["sd"]["einstein_radius"]


def test_issue13_line2_pymc_has_the_truth_and_agrees(reference):
    assert_converged(reference)


@pytest.mark.parametrize("sampler", ["nutpie", "numpyro"])
def test_issue13_line2_every_sampler_has_the_same_posterior(small, mode, reference, sampler):
    """Two chains of `pl.sample`; SMC below. The truth is within three standard deviations."""
    with small:
        idata = pl.sample(800, chains=2, mode=mode, nuts_sampler=sampler, random_seed=11, progressbar=False)
    assert_same_posterior(idata, reference)
    assert_converged(idata)
    assert set(idata["posterior"].data_vars) == set(NAMES)
    assert idata["observed_data"]["image"].dims == ("image_pixel",)
    assert idata["posterior"].attrs["mode_gradient_evaluations"] == mode.evaluations


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_issue13_F9_numpyro_s_jitter_stays_at_the_mode(small, mode, seed):
    with small:
        idata = pl.sample(
            30, tune=50, chains=1, mode=mode, nuts_sampler="numpyro", random_seed=seed, progressbar=False,
            compute_convergence_checks=False,
        )  # fmt: skip
    check(idata)


def test_log_likelihood_of_a_short_run(small, mode):
    again = pl.sample(
        5, tune=5, chains=1, cores=1, mode=mode, random_seed=1, progressbar=False, model=small,
        compute_convergence_checks=False,
    )  # fmt: skip
    pm.compute_log_likelihood(again, model=small, progressbar=False)
    assert again["log_likelihood"]["image"].shape == (1, 5)
    assert "warmup_posterior" not in again.children


@pytest.mark.slow
def test_issue13_line2_plain_pm_sample_from_the_mode(small, mode):
    """What the documentation tells who wants `pm.sample`."""
    with small:
        idata = pm.sample(
            60, tune=60, chains=1, cores=1, nuts_sampler="pymc", init="adapt_diag", initvals=mode.initvals,
            random_seed=1, progressbar=False, compute_convergence_checks=False,
        )  # fmt: skip
    check(idata)


@pytest.mark.xfail(strict=True, reason="blackjax 1.7 does not take the arguments that PyMC 6 passes it")
def test_blackjax(small):
    with small:
        pm.sample(5, tune=5, chains=1, nuts_sampler="blackjax", progressbar=False)


def test_importance_sampling_has_the_same_posterior(weighted, reference):
    assert_same_posterior(weighted, reference)
    attrs = weighted["posterior"].attrs
    assert attrs["pareto_k"] < 0.7
    assert attrs["effective_draws"] >= 1000
    assert attrs["n_values"] < 2000
    assert weighted["posterior"]["einstein_radius"].shape == (2, 500)
    points = weighted["weighted_points"]
    weights = np.exp(points["log_weight"].values)
    assert weights.sum() == pytest.approx(1.0)
    log_radius = points["point"].sel(coordinate="einstein_radius_interval__")
    mean = float(np.exp(log_radius.values) @ weights)
    assert mean == pytest.approx(float(weighted["posterior"]["einstein_radius"].mean()), abs=1e-4)


def test_issue13_line2_smc_has_the_same_posterior(small, weighted, reference):
    with small:
        idata = pm.sample_smc(
            400, chains=2, cores=1, random_seed=1, progressbar=False, compute_convergence_checks=False
        )
    assert_same_posterior(idata, reference)
    log_z = [
        float(np.asarray(chain, dtype=float)[-1])
        for chain in idata["sample_stats"]["log_marginal_likelihood"].values
    ]
    assert log_z == pytest.approx([weighted["posterior"].attrs["log_z"]] * 2, abs=0.5)
    assert small["image"].owner.op.inversion.evaluations["value"] > 100


def test_two_processes(small, mode):
    idata = pl.sample(
        10, tune=10, chains=2, cores=2, mode=mode, random_seed=1, progressbar=False, model=small,
        compute_convergence_checks=False,
    )  # fmt: skip
    first, second = idata["posterior"]["einstein_radius"].values
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"draws": 0}, ValueError, "draws: expected at least 1"),
        ({"draws": 10.0}, TypeError, "draws: expected an integer"),
        ({"chains": 0}, ValueError, "chains: expected at least 1"),
        ({"tune": -1}, ValueError, "tune: expected at least 0"),
        ({"max_treedepth": 0}, ValueError, "max_treedepth: expected at least 1"),
        ({"target_accept": 1.2}, ValueError, "target_accept: expected a number between 0 and 1"),
        ({"mode": {"einstein_radius": 1.0}}, TypeError, "mode: expected a Mode"),
        ({"nuts_sampler": "stan"}, ValueError, "nuts_sampler: expected one of"),
        ({"method": "smc"}, ValueError, "method: expected one of"),
        ({"method": "importance", "nuts_sampler": "pymc"}, ValueError, "does not take nuts_sampler"),
        ({"method": "importance", "init": "auto"}, ValueError, "does not take init"),
        ({"cores": 0}, ValueError, "cores: expected at least 1"),
        ({"starts": [1.0]}, TypeError, "starts: expected a dict"),
        ({"starts": 3}, TypeError, "starts: expected a dict"),
        ({"starts": {"gamma_1": "a"}}, ValueError, "expected finite numbers for 'gamma_1'"),
        ({"model": 3}, TypeError, "model: expected a Model"),
    ],
    ids=str,
)
def test_issue13_line8_wrong_arguments_of_sample(small, options, error, words):
    with pytest.raises(error, match=words):
        pl.sample(**{"model": small, "progressbar": False, **options})


def test_issue13_line8_wrong_arguments_of_find_mode(small):
    with pytest.raises(TypeError, match="keep: expected an integer"):
        pl.find_mode(small, keep=True)
    with pytest.raises(TypeError, match="model: expected a Model"):
        pl.find_modes(small["image"])
    with pm.Model() as fixed:
        pl.LensedImage("image", tracer(), observed=simulated())
    with pytest.raises(ValueError, match="model: has no free variable"):
        pl.find_mode(fixed)
    with pm.Model() as discrete:
        pm.Poisson("n", 3.0)
        pm.Normal("x")
    for call in (pl.find_mode, pl.sample):
        with pytest.raises(ValueError, match="model: 'n' is discrete"):
            call(model=discrete)


def test_a_mode_of_another_model_is_refused(small):
    with pm.Model() as other:
        pm.Normal("x")
    mode = pl.find_mode(other, progressbar=False)
    with pytest.raises(ValueError, match="mode: expected one of this model"):
        pl.sample(mode=mode, model=small)
    assert repr(mode).startswith("Mode(log density")
