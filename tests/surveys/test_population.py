"""Populations from posteriors of single lenses, against hierarchical models whose likelihood is known."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from differences import assert_gradient_matches_differences
from scipy import stats

import pymc_lens as pl

# Graphs are evaluated few times: compiling them would take longest.
pytestmark = pytest.mark.usefixtures("uncompiled")

INTERIM = (2.0, 0.5)
TRUE_MU, TRUE_SIGMA = 2.08, 0.16


def gaussian_lenses(rng: np.random.Generator, n_lenses: int, n_draws: int):
    """Estimates of slopes with known errors, and draws of their posteriors under the interim prior."""
    slopes = rng.normal(TRUE_MU, TRUE_SIGMA, n_lenses)
    errors = rng.uniform(0.05, 0.15, n_lenses)
    estimates = slopes + errors * rng.standard_normal(n_lenses)
    mean, sd = INTERIM
    precision = 1.0 / errors**2 + 1.0 / sd**2
    middle = (estimates / errors**2 + mean / sd**2) / precision
    draws = middle[:, None] + rng.standard_normal((n_lenses, n_draws)) / np.sqrt(precision)[:, None]
    return estimates, errors, [{"slope": of_lens} for of_lens in draws]


def population_model(draws, prior, **kwargs) -> pm.Model:
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 2.0, 0.5), pm.HalfNormal("sigma", 0.3)
        pl.PopulationLikelihood("lenses", {"slope": pm.Normal.dist(mu, sigma)}, draws, prior, **kwargs)
    return model


def log_likelihoods(model: pm.Model, *points) -> np.ndarray:
    """Of each lens (n_points, n_lenses), up to a constant for each lens."""
    log_likelihood = model.logp(vars=model.observed_RVs, sum=False)
    function = model.compile_fn(log_likelihood, inputs=model.value_vars, on_unused_input="ignore")
    return np.array([np.ravel(function(values_of(model, point))) for point in points])


def values_of(model: pm.Model, point: dict[str, float]) -> dict[str, np.ndarray]:
    values = {"mu": point["mu"], "sigma_log__": np.log(point["sigma"])}
    return {variable.name: np.asarray(values[variable.name]) for variable in model.value_vars}


POINTS = [{"mu": 2.08, "sigma": 0.16}, {"mu": 2.02, "sigma": 0.2}, {"mu": 2.15, "sigma": 0.12}]


@pytest.fixture(name="uncompiled")
def _uncompiled():
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield


@pytest.fixture(scope="module", name="slopes")
def _slopes():
    return gaussian_lenses(np.random.default_rng(4), 40, 1500)


@pytest.fixture(scope="module", name="interim")
def _interim():
    return {"slope": pm.Normal.dist(*INTERIM)}


@pytest.fixture(scope="module", name="model")
def _model(slopes, interim):
    return population_model(slopes[2], interim)


def test_likelihoods_are_those_of_the_marginal_model(slopes, model):
    estimates, errors, draws = slopes
    values = np.array([of_lens["slope"] for of_lens in draws])
    # Each lens has a factor of its own, its evidence under the interim prior.
    interim = stats.norm.logpdf(estimates, INTERIM[0], np.hypot(INTERIM[1], errors))
    for point, found in zip(POINTS, log_likelihoods(model, *POINTS), strict=True):
        exact = stats.norm.logpdf(estimates, point["mu"], np.hypot(point["sigma"], errors))
        ratio = stats.norm.pdf(values, point["mu"], point["sigma"]) / stats.norm.pdf(values, *INTERIM)
        error = ratio.std(axis=1) / ratio.mean(axis=1) / np.sqrt(values.shape[1])
        away = found - (exact - interim)
        assert (np.abs(away) < 5.0 * error).all()
        assert abs(away.sum()) < 4.0 * np.sqrt((error**2).sum())


def test_the_error_is_the_one_that_is_told(interim):
    _, _, draws = gaussian_lenses(np.random.default_rng(4), 40, 4000)
    blocks = [[{"slope": d["slope"][200 * k : 200 * (k + 1)]} for d in draws] for k in range(20)]
    model = population_model(blocks[0], interim)
    point = POINTS[0]
    estimates = []
    for block in blocks:
        values = np.array([d["slope"] for d in block])
        ratio = stats.norm.pdf(values, point["mu"], point["sigma"]) / stats.norm.pdf(values, *INTERIM)
        estimates.append(np.log(ratio.mean(axis=1)).sum())
    variance = pm.draw(pm.do(model, point)["lenses_variance"])
    assert 0.4 < variance / np.var(estimates, ddof=1) < 2.5


def test_the_gradient_is_the_one_of_differences(model):
    assert_gradient_matches_differences(model, 1e-4, np.random.default_rng(1))


@pytest.mark.slow
def test_nuts_samples_the_posterior_of_the_marginal_model(slopes, interim):
    estimates, errors, draws = slopes
    model = population_model([{"slope": of_lens["slope"][:500]} for of_lens in draws], interim)
    with model:
        idata = pm.sample(300, tune=300, chains=2, cores=1, random_seed=2, progressbar=False)
    # On a grid, under the same priors.
    mu, sigma = np.meshgrid(np.linspace(1.9, 2.3, 161), np.linspace(0.02, 0.5, 161), indexing="ij")
    log_posterior = stats.norm.logpdf(mu, 2.0, 0.5) + stats.halfnorm.logpdf(sigma, scale=0.3)
    log_posterior += stats.norm.logpdf(estimates, mu[..., None], np.hypot(sigma[..., None], errors)).sum(
        axis=-1
    )
    weights = np.exp(log_posterior - log_posterior.max())
    weights /= weights.sum()
    for name, grid in (("mu", mu), ("sigma", sigma)):
        mean = (weights * grid).sum()
        sd = np.sqrt((weights * (grid - mean) ** 2).sum())
        draws = idata.posterior[name]
        assert abs(float(draws.mean()) - mean) < 0.3 * sd
        assert 0.8 < float(draws.std()) / sd < 1.25
    found = pl.check_population(idata)
    assert found["variance"] < 1.0
    assert found["effective_draws"] > 10.0
    with model:
        pm.compute_log_likelihood(idata, progressbar=False)
    assert idata.log_likelihood["lenses"].shape == (2, 300, 40)


def test_draws_that_do_not_cover_the_population_are_warned_of(interim):
    _, _, draws = gaussian_lenses(np.random.default_rng(4), 40, 25)
    idata = xr.DataTree.from_dict(
        {"posterior": xr.Dataset({"lenses_effective_draws": (("chain", "draw"), [[3.0, 4.0]]),
                                  "lenses_variance": (("chain", "draw"), [[5.0, 6.0]])})}
    )  # fmt: skip
    with pytest.warns(UserWarning, match="do not cover the population: 3 effective draws"):
        found = pl.check_population(idata)
    assert np.isclose(found["variance"], 5.95)
    model = population_model(draws, interim)
    narrow = pm.draw(pm.do(model, {"mu": 2.08, "sigma": 0.02})["lenses_variance"])
    assert narrow > 1.0


def test_posteriors_cannot_be_drawn_from_a_population(model):
    with pytest.raises(NotImplementedError, match="Leave it out of var_names"):
        pm.draw(model["lenses"])


def test_numbers_of_draws_may_differ(slopes, interim):
    _, _, draws = slopes
    draws = [{"slope": d["slope"][: 100 + 10 * place]} for place, d in enumerate(draws[:6])]
    found = log_likelihoods(population_model(draws, interim), POINTS[1])[0]
    alone = [log_likelihoods(population_model([of_lens], interim), POINTS[1])[0, 0] for of_lens in draws[:3]]
    assert np.allclose(found[:3], alone)


def fit_model() -> pm.Model:
    """A stand-in for the model of the fits: parameters of several kinds and functions of them."""
    with pm.Model() as model:
        radius = pm.LogNormal("einstein_radius", 0.1, 0.45)
        pm.Deterministic("log_radius", pt.log(radius))
        pl.priors.ell_comps("ell_comps", sigma=0.2)
        shear = pm.Normal("gamma_1", 0.0, 0.05)
        pm.Normal("gamma_2", shear, 0.05)
        scale = pm.HalfNormal("unnamed", 1.0)
        pm.Normal("child", 0.0, scale)
        pm.Deterministic("folded", pt.sqrt(shear**2 + radius))
    return model


def some_draws(rng, n: int = 50):
    return {
        "einstein_radius": rng.lognormal(0.0, 0.3, n),
        "log_radius": rng.normal(0.0, 0.3, n),
        "ell_comps": rng.normal(0.0, 0.1, (n, 2)),
        "gamma_1": rng.normal(0.0, 0.03, n),
        "gamma_2": rng.normal(0.0, 0.03, n),
        "child": rng.normal(0.0, 1.0, n),
        "folded": rng.uniform(0.5, 1.0, n),
    }


def test_the_interim_prior_is_taken_from_the_model():
    rng = np.random.default_rng(2)
    draws = [some_draws(rng), some_draws(rng, 60)]
    population = {
        "log_radius": pm.Normal.dist(0.0, 0.2),
        ("gamma_1", "gamma_2"): pm.MvNormal.dist(np.zeros(2), 0.03**2 * np.eye(2)),
        "ell_comps": pm.Normal.dist(0.0, 0.15, shape=2),
    }
    log_prior = [
        stats.norm.logpdf(d["log_radius"], 0.1, 0.45)
        + stats.norm.logpdf(d["gamma_1"], 0.0, 0.05)
        + stats.norm.logpdf(d["gamma_2"], d["gamma_1"], 0.05)
        + pm.logp(pl.priors.EllComps.dist(0.2), d["ell_comps"]).eval()
        for d in draws
    ]
    log_population = [
        stats.norm.logpdf(d["log_radius"], 0.0, 0.2)
        + stats.norm.logpdf(d["gamma_1"], 0.0, 0.03)
        + stats.norm.logpdf(d["gamma_2"], 0.0, 0.03)
        + stats.norm.logpdf(d["ell_comps"], 0.0, 0.15).sum(axis=-1)
        for d in draws
    ]
    expected = [np.log(np.exp(p - q).mean()) for p, q in zip(log_population, log_prior, strict=True)]
    for prior in (fit_model(), log_prior):
        with pm.Model() as model:
            pl.PopulationLikelihood("lenses", population, draws, prior)
        assert np.allclose(log_likelihoods(model, {"mu": 0.0, "sigma": 1.0})[0], expected)


def test_a_population_may_depend_on_what_is_known_of_each_lens(slopes, interim):
    _, _, draws = slopes
    redshift = np.linspace(0.2, 0.9, 4)
    values = np.array([d["slope"] for d in draws[:4]])
    with pm.Model() as model:
        mu = pm.Normal("mu", 2.0, 0.5)
        population = {"slope": pm.Normal.dist(mu - 0.3 * redshift, 0.15)}
        pl.PopulationLikelihood("lenses", population, draws[:4], interim)
    log_ratio = stats.norm.logpdf(values, 2.1 - 0.3 * redshift[:, None], 0.15) - stats.norm.logpdf(
        values, *INTERIM
    )
    expected = np.log(np.exp(log_ratio).mean(axis=1))
    assert np.allclose(log_likelihoods(model, {"mu": 2.1, "sigma": 1.0})[0], expected)


@pytest.mark.parametrize(
    "distribution",
    [
        pm.StudentT.dist(nu=5, mu=2.0, sigma=0.2),
        pm.TruncatedNormal.dist(2.0, 0.2, lower=1.0, upper=3.0),
        pm.NormalMixture.dist(w=[0.4, 0.6], mu=[1.9, 2.1], sigma=[0.1, 0.2]),
    ],
    ids=["StudentT", "TruncatedNormal", "NormalMixture"],
)
def test_any_distribution_will_do(distribution, slopes, interim):
    draws = [{"slope": d["slope"][:30]} for d in slopes[2][:2]]
    with pm.Model() as model:
        pl.PopulationLikelihood("lenses", {"slope": distribution}, draws, interim)
    values = np.array([d["slope"] for d in draws])
    ratio = np.exp(pm.logp(distribution, values).eval()) / stats.norm.pdf(values, *INTERIM)
    found = log_likelihoods(model, {"mu": 0.0, "sigma": 1.0})[0]
    assert np.allclose(found, np.log(ratio.mean(axis=1)))


def test_lenses_that_are_not_found_are_corrected_for(interim):
    # Found if the slope is above 2: the likelihood of what is found has the tail's probability below it.
    rng = np.random.default_rng(8)
    simulated = rng.normal(*INTERIM, 40_000)
    found = simulated[simulated > 2.0]
    selection = pl.Selection({"slope": found}, interim, simulated.size)
    _, _, draws = gaussian_lenses(rng, 20, 200)
    plain, corrected = population_model(draws, interim), population_model(draws, interim, selection=selection)
    for point in POINTS:
        difference = log_likelihoods(plain, point) - log_likelihoods(corrected, point)
        assert np.allclose(difference, stats.norm.logsf(2.0, point["mu"], point["sigma"]), atol=0.02)


def test_draws_are_read_from_what_samplers_return(slopes, interim, tmp_path):
    _, _, draws = slopes
    few = {f"lens_{k}": d["slope"][:100] for k, d in enumerate(draws[:3])}
    trees = {
        name: xr.DataTree.from_dict(
            {"posterior": xr.Dataset({"slope": (("chain", "draw"), values.reshape(2, 50))})}
        )
        for name, values in few.items()
    }
    pl.save(trees["lens_1"], tmp_path / "posterior.nc")
    trees["lens_1"] = xr.open_datatree(tmp_path / "posterior.nc")
    by_arrays = log_likelihoods(population_model([{"slope": v} for v in few.values()], interim), POINTS[0])
    model = population_model(trees, interim)
    assert np.allclose(log_likelihoods(model, POINTS[0]), by_arrays)
    assert list(model.coords["lenses_lens"]) == list(few)
    assert list(model.coords["lenses_parameter"]) == ["slope", "log_prior"]


GOOD = [{"slope": np.linspace(1.8, 2.2, 30)}] * 3
NORMAL = pm.Normal.dist(2.0, 0.2)


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"population": {}}, ValueError, "population: expected at least one"),
        ({"population": NORMAL}, TypeError, "population: expected a Mapping"),
        ({"population": {"slope": 2.0}}, TypeError, r"population\['slope'\]: expected a distribution"),
        ({"population": {"slope": pt.dscalar("x")}}, TypeError, "expected a distribution"),
        ({"population": {"slope": pm.Poisson.dist(3.0)}}, TypeError, "continuous"),
        ({"population": {"slope": pm.Normal.dist(0, 1, shape=5)}}, ValueError, "a distribution of shape"),
        ({"population": {"q": NORMAL}}, ValueError, r"draws\[0\]: expected draws of 'q', got those"),
        ({"draws": []}, ValueError, "at least one lens"),
        ({"draws": GOOD[0]["slope"]}, TypeError, "draws: expected a sequence of posteriors"),
        ({"draws": [1.0]}, TypeError, r"draws\[0\]: expected a DataTree"),
        ({"draws": [{"slope": np.ones(5)}]}, ValueError, "at least 20 draws a lens, got 5"),
        ({"draws": [{"slope": np.full(30, np.nan)}]}, ValueError, "finite draws"),
        ({"draws": [{"slope": ["a"] * 30}]}, TypeError, "real numbers"),
        ({"draws": [xr.DataTree()]}, ValueError, "posterior group"),
        ({"prior": "flat"}, TypeError, "prior: expected a pm.Model"),
        ({"prior": None}, TypeError, "prior: expected a pm.Model"),
        ({"prior": {"q": NORMAL}}, ValueError, "prior: expected the parameters of the pop"),
        ({"prior": {"slope": pm.Uniform.dist(1.9, 2.5)}}, ValueError, "density above zero at every draw"),
        ({"prior": [np.zeros(30)]}, ValueError, "an array for each of 3 lenses, got 1"),
        ({"prior": [np.zeros(3)] * 3}, ValueError, r"expected shape \(30,\)"),
        ({"prior": fit_model()}, ValueError, r"prior: expected a model with \['slope'\]"),
        ({"selection": 3}, TypeError, "selection: expected a Selection"),
        (
            {"selection": pl.Selection({"slope": np.full(50, 2.0)}, {"slope": NORMAL}, 10)},
            ValueError,
            "selection.n_simulated: expected at least the 50",
        ),
        (
            {"selection": pl.Selection(GOOD[0], {"slope": NORMAL}, 99), "draws": GOOD * 3},
            ValueError,
            "selection.detected: expected at least 4 times the 9 lenses",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_construction(changed, error, message):
    good = {"population": {"slope": NORMAL}, "draws": GOOD, "prior": {"slope": pm.Normal.dist(2.0, 0.5)}}
    with pm.Model(), pytest.raises(error, match=message):
        pl.PopulationLikelihood("lenses", **{**good, **changed})


def test_a_variable_of_the_model_is_no_distribution():
    with pm.Model():
        slope = pm.Normal("slope", 2.0, 0.2)
        with pytest.raises(TypeError, match=r"got the variable 'slope'. Use .dist\(\)"):
            pl.PopulationLikelihood("lenses", {"slope": slope}, GOOD, {"slope": NORMAL})


@pytest.mark.parametrize("parameter", ["child", "folded"])
def test_priors_that_do_not_follow_from_the_model_are_refused(parameter):
    draws = [some_draws(np.random.default_rng(3))]
    with pm.Model(), pytest.raises(ValueError, match="Give the logarithm of the density"):
        pl.PopulationLikelihood("lenses", {parameter: NORMAL}, draws, fit_model())
