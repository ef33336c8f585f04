"""Reweighted posteriors against those that are known."""

from __future__ import annotations

import arviz as az
import numpy as np
import pymc as pm
import pytest
from problems import mass, simulated, tracer

import pymc_lens as pl

DATUM = 0.6


def normal(mu: float = 0.0, sigma: float = 1.0) -> pm.Model:
    with pm.Model() as model:
        x = pm.Normal("x", mu, sigma)
        pm.Normal("y", x, 1.0, observed=DATUM)
    return model


def posterior(mu: float, sigma: float) -> tuple[float, float]:
    precision = 1.0 + sigma**-2
    return (DATUM + mu / sigma**2) / precision, precision**-0.5


def test_another_prior_moves_a_normal_mean(rng: np.random.Generator) -> None:
    mean, deviation = posterior(0.0, 1.0)
    idata = az.from_dict({"posterior": {"x": rng.normal(mean, deviation, (2, 2000))}})
    other_mean, other_deviation = posterior(0.5, 0.8)
    table = pl.sensitivity(
        idata, {"same": normal(), "prior": normal(0.5, 0.8)}, model=normal(), num_draws=4000, cores=1,
        progressbar=False,
    )  # fmt: skip
    same, prior = table.loc[("same", "x")], table.loc[("prior", "x")]
    assert same["shift"] == pytest.approx(0.0, abs=1e-12)
    assert same["sd_ratio"] == pytest.approx(1.0)
    assert same["shift_error"] == pytest.approx(0.0, abs=1e-12)
    assert same["effective_draws"] == pytest.approx(4000)
    shift = (other_mean - mean) / deviation
    assert prior["shift"] == pytest.approx(shift, abs=4.0 * prior["shift_error"])
    assert 0.0 < prior["shift_error"] < 0.03
    assert prior["sd_ratio"] == pytest.approx(other_deviation / deviation, rel=0.05)
    assert prior["reliable"]


def test_coordinates_of_the_sampler_are_of_no_matter(rng: np.random.Generator) -> None:
    """A uniform prior on an interval, and an exponential one: each has a transform of its own."""

    def model(prior: type, **arguments: float) -> pm.Model:
        with pm.Model() as built:
            prior("x", **arguments)
        return built

    uniform, exponential = model(pm.Uniform, lower=0.0, upper=3.0), model(pm.Exponential, lam=0.7)
    draws = rng.uniform(0.0, 3.0, (2, 2000))
    table = pl.sensitivity(
        az.from_dict({"posterior": {"x": draws}}), {"exponential": exponential}, model=uniform,
        num_draws=4000, cores=1, progressbar=False,
    )  # fmt: skip
    weights = np.exp(-0.7 * draws)
    expected = ((weights * draws).sum() / weights.sum() - draws.mean()) / draws.std()
    assert table.loc[("exponential", "x"), "shift"] == pytest.approx(expected, abs=0.01)


def test_what_cannot_be_reweighted_is_seen(rng: np.random.Generator) -> None:
    mean, deviation = posterior(0.0, 1.0)
    idata = az.from_dict({"posterior": {"x": rng.normal(mean, deviation, (2, 500))}})
    table = pl.sensitivity(idata, {"far": normal(6.0, 0.3)}, model=normal(), cores=1, progressbar=False)
    assert not table.loc[("far", "x"), "reliable"]
    assert table.loc[("far", "x"), "effective_draws"] < 20


def lens(coefficient: float = 5.0, n: int = 10) -> pm.Model:
    with pm.Model() as model:
        radius = pm.Normal("einstein_radius", 1.0, 0.05)
        mesh = pl.mesh.RectangularWindow((n, n), (-0.5, 0.5, -0.5, 0.5), degree=3)
        pl.LensedImage("image", tracer(mass(radius), coefficient, mesh=mesh), observed=simulated())
    return model


@pytest.mark.slow
def test_a_mesh_moves_a_lens_as_a_fit_with_it_does() -> None:
    grid = np.linspace(0.99, 1.01, 81)

    def weights(n: int) -> np.ndarray:
        log_density = lens(n=n).compile_logp()
        values = np.array([float(log_density({"einstein_radius": radius})) for radius in grid])
        return np.exp(values - values.max()) / np.exp(values - values.max()).sum()

    coarse, fine = weights(10), weights(14)
    mean = coarse @ grid
    expected = (fine @ grid - mean) / np.sqrt(coarse @ (grid - mean) ** 2)
    # Draws at the quantiles of the posterior: of no scatter.
    draws = np.interp((np.arange(300) + 0.5) / 300, np.cumsum(coarse), grid + 0.5 * (grid[1] - grid[0]))
    idata = az.from_dict({"posterior": {"einstein_radius": draws[None]}})
    table = pl.sensitivity(
        idata, {"finer mesh": lens(n=14)}, model=lens(), num_draws=300, cores=1, progressbar=False
    )
    row = table.loc[("finer mesh", "einstein_radius")]
    assert row["reliable"]
    assert row["shift"] == pytest.approx(expected, abs=0.03)


def test_what_is_no_alternative_is_refused() -> None:
    idata = az.from_dict({"posterior": {"x": np.zeros((1, 5))}})
    with pm.Model() as other:
        pm.Normal("z")
    with pytest.raises(ValueError, match=r"alternatives\['other'\]: expected the free variables"):
        pl.sensitivity(idata, {"other": other}, model=normal())
    with pytest.raises(ValueError, match="alternatives: expected at least one"):
        pl.sensitivity(idata, {}, model=normal())
    with pytest.raises(TypeError, match=r"alternatives\['a'\]: expected"):
        pl.sensitivity(idata, {"a": 1}, model=normal())
    with pytest.raises(TypeError, match="idata: expected"):
        pl.sensitivity({}, {"a": normal()}, model=normal())
