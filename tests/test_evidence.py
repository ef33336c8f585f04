"""The evidence of whole models against exact integrals, and of one way against the others."""

from __future__ import annotations

import arviz as az
import numpy as np
import pymc as pm
import pytest
from problems import model, simulated
from scipy import stats

import pymc_lens as pl
from pymc_lens.evidence import LogMarginalLikelihood
from pymc_lens.inference.bridge import bridge, proposal_of

Z = LogMarginalLikelihood


def gaussian() -> tuple[pm.Model, float]:
    """Five normal coefficients of a straight line and more, with a scale of their prior that is known."""
    x = np.vander(np.linspace(-1.0, 1.0, 12), 5)
    data = x @ np.array([0.3, -0.5, 0.2, 1.0, 0.1]) + np.random.default_rng(1).normal(0.0, 0.3, 12)
    with pm.Model() as built:
        coefficients = pm.Normal("coefficients", 0.0, 2.0, shape=5)
        pm.Normal("y", x @ coefficients, 0.3, observed=data)
    covariance = 4.0 * x @ x.T + 0.09 * np.eye(12)
    return built, float(stats.multivariate_normal(np.zeros(12), covariance).logpdf(data))


def test_bridge_is_unbiased_and_its_error_right(rng: np.random.Generator) -> None:
    target = stats.multivariate_normal(np.ones(8), np.diag(np.linspace(0.5, 2.0, 8)))
    found = []
    for _ in range(60):
        draws = target.rvs(800, rng)
        proposal = proposal_of(draws[:400])
        proposed = proposal.draw(400, rng)
        at_draws, at_proposed = (
            target.logpdf(at) + 5.0 - proposal.log_density(at) for at in (draws[400:], proposed)
        )
        found.append(bridge(at_draws.reshape(2, -1), at_proposed))
    log_z, errors = np.array(found).T
    assert log_z.mean() == pytest.approx(5.0, abs=4.0 * log_z.std() / np.sqrt(60))
    assert log_z.std() == pytest.approx(errors.mean(), rel=0.3)


def sampled(built: pm.Model, starts: dict) -> list[Z]:
    """By importance, bridge and SMC."""
    mode = pl.find_mode(built, starts=starts, cores=1, progressbar=False)
    options = {"mode": mode, "model": built, "cores": 1, "random_seed": 1, "progressbar": False}
    by_nuts = pl.sample(300, method="nuts", compute_convergence_checks=False, **options)
    by_smc = pm.sample_smc(
        500, model=built, chains=4, cores=1, random_seed=1, progressbar=False,
        compute_convergence_checks=False,
    )  # fmt: skip
    return [
        pl.log_marginal_likelihood(pl.sample(500, **options)),
        pl.log_marginal_likelihood(by_nuts, model=built, cores=1, random_seed=1, progressbar=False),
        pl.log_marginal_likelihood(by_smc),
    ]


def test_three_ways_agree_with_the_exact_value() -> None:
    built, exact = gaussian()
    found = sampled(built, {"coefficients": np.zeros(5)})
    assert [each.method for each in found] == ["importance", "bridge", "smc"]
    for each in found:
        assert each.is_reliable
        assert each.error < 0.2
        assert each.log_z == pytest.approx(exact, abs=4.0 * each.error)


@pytest.mark.slow
def test_three_ways_agree_on_a_lens() -> None:
    importance, by_bridge, smc = sampled(model(simulated()), {"einstein_radius": 1.0})
    for each in (by_bridge, smc):
        assert each.error < 0.2
        assert each.log_z == pytest.approx(importance.log_z, abs=4.0 * np.hypot(each.error, importance.error))


def test_models_are_ranked() -> None:
    table = pl.compare_evidence(
        {
            "worse": Z(-12.0, 0.3, "bridge"),
            "best": Z(-10.0, 0.4, "importance", 0.2),
            "bad": Z(-11.0, 2.0, "smc"),
        }
    )
    assert list(table.index) == ["best", "bad", "worse"]
    np.testing.assert_allclose(table["log_bayes_factor"], [0.0, -1.0, -2.0])
    np.testing.assert_allclose(table["bayes_factor_error"], [0.0, np.hypot(2.0, 0.4), 0.5])
    np.testing.assert_allclose(table["weight"], np.exp([0, -1, -2]) / np.exp([0, -1, -2]).sum())
    assert list(table["warning"]) == [False, True, False]


def test_pareto_k_is_warned_of() -> None:
    assert not Z(0.0, 0.1, "importance", 0.8).is_reliable
    assert not Z(0.0, np.nan, "smc").is_reliable


def draws_of(data: float, **attrs: float):
    tree = az.from_dict({"posterior": {"x": np.zeros((2, 4))}, "observed_data": {"y": np.array([data])}})
    tree["posterior"].attrs.update(attrs)
    return tree


def test_what_does_not_compare_is_refused() -> None:
    known = {"log_z": 1.0, "log_z_error": 0.1, "pareto_k": 0.1}
    with pytest.raises(ValueError, match="models: 'b' and 'a' are fits to other data"):
        pl.compare_evidence({"a": draws_of(1.0, **known), "b": draws_of(2.0, **known)})
    with pytest.raises(ValueError, match=r"models\['a'\]: these draws do not know their evidence"):
        pl.compare_evidence({"a": draws_of(1.0)})
    with pytest.raises(TypeError, match=r"models\['a'\]: expected"):
        pl.compare_evidence({"a": 1.0})
    with pytest.raises(ValueError, match="models: expected at least one"):
        pl.compare_evidence({})
    with pytest.raises(ValueError, match="method: these draws allow 'importance'"):
        pl.log_marginal_likelihood(draws_of(1.0, **known), method="bridge")
    with pytest.raises(ValueError, match="method: expected one of"):
        pl.log_marginal_likelihood(draws_of(1.0, **known), method="nested")
    with pytest.raises(ValueError, match="idata: expected a posterior group"):
        pl.log_marginal_likelihood(az.from_dict({"prior": {"x": np.zeros((1, 2))}}))


def test_too_few_draws_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="idata: expected enough draws"):
        proposal_of(rng.standard_normal((4, 5)))
