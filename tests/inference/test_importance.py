"""Importance sampling against exact integrals, and what it does where it cannot work."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

import pymc_lens as pl
from pymc_lens.inference import importance
from pymc_lens.inference.importance import RELIABLE_K, Batch, StudentT, importance_sample
from pymc_lens.inference.importance import _shrunk as shrunk
from pymc_lens.inference.workers import in_a_process, shared_work

CENTRE = np.linspace(-1.0, 1.0, 12)


def log_normal(points):
    return stats.multivariate_normal(CENTRE, np.diag(np.linspace(0.5, 2.0, 12))).logpdf(points)


def sampled(seed, effective=300):
    first = StudentT(np.zeros(12), np.eye(12), 6.0)
    return importance_sample(
        log_normal, [], first, effective, np.random.default_rng(seed), lambda weighted: None
    )


def test_proposal_density_is_that_of_scipy(rng):
    root = np.linalg.cholesky(np.array([[2.0, 0.3], [0.3, 0.5]]))
    proposal = StudentT(np.array([0.1, -0.2]), root, 5.0)
    expected = stats.multivariate_t([0.1, -0.2], root @ root.T, 5.0)
    points = proposal.draw(20_000, rng)
    np.testing.assert_allclose(proposal.log_density(points[:50]), expected.logpdf(points[:50]), rtol=1e-12)
    np.testing.assert_allclose(np.cov(points.T), root @ root.T * 5.0 / 3.0, atol=0.15)


def test_weights_are_of_the_mixture_that_was_drawn_from(rng):
    points = rng.standard_normal((40, 2))
    proposals = (StudentT(np.zeros(2), np.eye(2), 4.0), StudentT(np.ones(2), 2.0 * np.eye(2), 20.0))
    target = stats.multivariate_normal(np.zeros(2), np.eye(2))
    batch = Batch(proposals, points, target.logpdf(points), counts=True)
    first, second = (
        stats.multivariate_t([0, 0], np.eye(2), 4.0),
        stats.multivariate_t([1, 1], 4.0 * np.eye(2), 20.0),
    )
    expected = target.pdf(points) / (0.5 * first.pdf(points) + 0.5 * second.pdf(points))
    np.testing.assert_allclose(np.exp(batch.log_ratios), expected, rtol=1e-12)


@pytest.mark.parametrize("widths", [np.ones(17), np.r_[np.ones(16), 7.0], np.geomspace(0.2, 5.0, 17)])
def test_a_shrunk_covariance_is_nearer_to_the_truth(rng, widths):
    n_draws, errors = 60, []
    for _ in range(30):
        draws = rng.standard_normal((n_draws, 17)) * np.sqrt(widths)
        found = draws.T @ draws / n_draws
        errors.append([((each - np.diag(widths)) ** 2).sum() for each in (found, shrunk(found, n_draws))])
    raw, better = np.mean(errors, axis=0)
    assert better < (0.1 if np.ptp(widths) == 0.0 else 0.95) * raw
    # Of many draws nothing is taken away.
    np.testing.assert_allclose(shrunk(np.diag(widths), 1e9), np.diag(widths), atol=1e-6)


def test_where_the_curvature_is_right_few_values_suffice():
    """Without the curvature 17 dimensions took 1,020 values: a covariance has 153 numbers."""
    normal, spent = stats.multivariate_normal(np.zeros(17)), []
    for seed in range(4):
        batches: list[Batch] = []
        first = StudentT(np.zeros(17), np.eye(17), 6.0)
        importance_sample(
            normal.logpdf, batches, first, 400, np.random.default_rng(seed), lambda weighted: None
        )
        spent.append(sum(len(batch.points) for batch in batches))
    assert np.median(spent) < 800


def test_evidence_is_unbiased_and_its_error_right():
    found = [sampled(seed) for seed in range(40)]
    errors = np.array([weighted.log_z for weighted in found])
    sizes = np.array([weighted.log_z_error for weighted in found])
    assert abs(errors.mean()) < 4.0 * errors.std() / np.sqrt(len(errors))
    assert 0.7 < (errors / sizes).std() < 1.4


def test_moments_are_exact_within_their_errors():
    weighted = sampled(0, effective=3000)
    weights = np.exp(weighted.log_weights)
    assert weighted.pareto_k < RELIABLE_K
    np.testing.assert_allclose(weights @ weighted.points, CENTRE, atol=4.0 * np.sqrt(2.0 / 3000))
    variance = weights @ (weighted.points - CENTRE) ** 2
    np.testing.assert_allclose(variance, np.linspace(0.5, 2.0, 12), rtol=4.0 * np.sqrt(2.0 / 3000))


def bent(strength):
    with pm.Model() as model:
        x = pm.Normal("x", shape=6)
        pm.Normal("y", strength * x[0] ** 2, 0.3)
    return model


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:NUTS ends without agreement")
def test_bent_posterior_is_seen_and_nuts_takes_over(caplog):
    with caplog.at_level(logging.WARNING, logger="pymc_lens"):
        idata = pl.sample(
            250, starts={"x": np.zeros(6)}, random_seed=1, target_accept=0.95, progressbar=False,
            model=bent(1.5),
        )  # fmt: skip
    assert "NUTS takes over" in caplog.text
    assert "pareto_k" not in idata["posterior"].attrs
    assert "diverging" in idata["sample_stats"]
    x = idata["posterior"]["x"].values[..., 0]
    assert x.std() == pytest.approx(1.0, abs=0.15)
    assert float(idata["posterior"]["y"].mean()) == pytest.approx(1.5, abs=0.4)


def test_a_prior_alone_has_evidence_one():
    with pm.Model() as model:
        pm.Gamma("width", 5.0, 2.0)
        pm.Normal("x", shape=3)
    idata = pl.sample(1000, starts={"width": 1.0}, random_seed=1, progressbar=False, model=model)
    attrs = idata["posterior"].attrs
    assert attrs["log_z"] == pytest.approx(0.0, abs=5.0 * attrs["log_z_error"])
    assert float(idata["posterior"]["width"].mean()) == pytest.approx(2.5, rel=0.1)


@pytest.fixture(scope="module", name="normal")
def _normal():
    with pm.Model() as model:
        pm.Normal("x", shape=4)
    return model, pl.find_mode(model, progressbar=False)


def test_what_was_drawn_is_gone_on_from(normal, tmp_path, monkeypatch):
    """Interrupted after three batches: the file has them, and the end is what it would have been."""
    model, mode = normal
    options = {"draws": 400, "mode": mode, "random_seed": 3, "progressbar": False, "model": model}
    whole = pl.sample(**options)
    path = tmp_path / "draws.npz"
    with monkeypatch.context() as patch:
        batches = []

        def interrupted(*arguments):
            batches.append(arguments)
            if len(batches) == 4:
                raise KeyboardInterrupt
            return shared_work(*arguments)

        patch.setattr("pymc_lens.inference.values.shared_work", interrupted)
        with pytest.warns(UserWarning, match="interrupted"):
            part = pl.sample(**options, checkpoint=path)
    assert part["posterior"].sizes["draw"] == 400
    assert part["posterior"].attrs["n_values"] == 360
    gone_on = pl.sample(**options, checkpoint=path)
    np.testing.assert_array_equal(gone_on["weighted_points"]["point"], whole["weighted_points"]["point"])
    assert gone_on["posterior"].attrs["log_z"] == whole["posterior"].attrs["log_z"]


def beside_a_higher_mode():
    """Two standard normals, five standard deviations apart: the evidence is that of their sum."""
    with pm.Model() as model:
        x = pm.Flat("x", shape=2)
        lower = -0.5 * (x**2).sum() - 10.0
        higher = -0.5 * ((x - np.array([3.0, 4.0])) ** 2).sum()
        pm.Potential("both", pt.logaddexp(lower, higher) - np.log(2.0 * np.pi))
    found = pl.find_mode(model, starts={"x": np.zeros(2)}, progressbar=False, cores=1)
    at = {"x": np.zeros(2)}
    log_density = -10.0 - np.log(2.0 * np.pi)
    return model, replace(found, point=at, initvals=at, log_density=log_density, covariance=np.eye(2))


def test_a_draw_that_is_higher_than_the_mode_leads_to_a_higher_one(tmp_path, caplog):
    model, mode = beside_a_higher_mode()
    options = {"mode": mode, "model": model, "cores": 1, "random_seed": 1, "progressbar": False}
    with caplog.at_level(logging.INFO, logger="pymc_lens"):
        idata = pl.sample(200, checkpoint=tmp_path / "draws.npz", **options)
    assert "A draw was higher" in caplog.text
    posterior = idata["posterior"]
    np.testing.assert_allclose(posterior["x"].mean(("chain", "draw")), [3.0, 4.0], atol=0.25)
    np.testing.assert_allclose(posterior["x"].std(("chain", "draw")), 1.0, rtol=0.2)
    attrs = posterior.attrs
    assert attrs["log_z"] == pytest.approx(np.log1p(np.exp(-10.0)), abs=4.0 * attrs["log_z_error"])
    assert attrs["mode_gradient_evaluations"] > mode.evaluations
    # What is on disk is around the higher one, and enough.
    again = pl.sample(200, checkpoint=tmp_path / "draws.npz", **options)
    assert again["posterior"].attrs["n_values"] == attrs["n_values"]
    assert again["posterior"].attrs["log_z"] == attrs["log_z"]


def test_what_is_gone_on_from_a_higher_mode_has_other_random_numbers(tmp_path, monkeypatch):
    model, mode = beside_a_higher_mode()
    options = {"mode": mode, "model": model, "cores": 1, "random_seed": 1, "progressbar": False}
    streams, drawn = [], importance._drawn

    def told(proposals, n_points, rng):
        if len(streams) == 4:
            raise KeyboardInterrupt
        streams.append(rng.bit_generator.seed_seq.spawn_key)
        return drawn(proposals, n_points, rng)

    monkeypatch.setattr(importance, "_drawn", told)
    with pytest.warns(UserWarning, match="interrupted"):
        pl.sample(400, checkpoint=tmp_path / "new" / "draws.npz", **options)
    first = streams.copy()
    streams.clear()
    with pytest.warns(UserWarning, match="interrupted"):
        pl.sample(2000, checkpoint=tmp_path / "new" / "draws.npz", **options)
    assert not set(first) & set(streams)


def test_draws_of_another_model_are_refused(normal, tmp_path):
    model, mode = normal
    path = tmp_path / "draws.npz"
    pl.sample(50, mode=mode, random_seed=3, progressbar=False, model=model, checkpoint=path)
    with pm.Model() as other:
        pm.Normal("x", 1.0, shape=4)
    with pytest.raises(ValueError, match=r"checkpoint: .* holds draws of another model"):
        pl.sample(50, random_seed=3, progressbar=False, model=other, checkpoint=path)


def square(x):
    return x * x


def die(x):
    import os

    os._exit(1)


def test_work_is_shared():
    results = dict(shared_work(square, range(10), 2))
    assert results == {k: k * k for k in range(10)}
    assert dict(shared_work(square, range(3), 1)) == {0: 0, 1: 1, 2: 4}
    with pytest.raises(ZeroDivisionError):
        list(shared_work(lambda x: 1 / x, [1, 0], 2))
    with pytest.raises(RuntimeError, match="A process ended"):
        list(shared_work(die, range(4), 2))


def test_work_in_a_process_leaves_nothing_behind_and_is_reported_here():
    here, said = [], []

    def append(report):
        here.append(1)
        for text in ("begun", "ended"):
            report(text)
        return len(here)

    assert in_a_process(append, said.append) == 1
    assert not here
    assert said == ["begun", "ended"]
    with pytest.raises(ZeroDivisionError):
        in_a_process(lambda report: 1 / 0, said.append)
    with pytest.raises(RuntimeError, match=r"A process ended .* runs out\.$"):
        in_a_process(lambda report: die(0), said.append)
