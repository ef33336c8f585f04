"""Regularization by its evidence, against scans and a simplex."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from problems import mass, simulated
from scipy.optimize import minimize

import pymc_lens as pl

MESH = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((12, 12)))


def traced(prior, lens=None):
    pixelization = pl.Pixelization(MESH, prior)
    lens = mass(1.0) if lens is None else lens
    return pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.0, pixelization=pixelization)])


@pytest.mark.parametrize(
    "prior",
    [
        pl.regularization.Constant(1e-2),
        pl.regularization.MaternSPDE(0.02, 30.0),
    ],
    ids=["Constant", "MaternSPDE"],
)
def test_the_maximum_is_that_of_a_simplex(prior):
    dataset = simulated()
    tuned = pl.tune_regularization(dataset, traced(prior))
    assert list(tuned.parameters) == [f"source.{name}" for name in prior.names]
    found = np.log(list(tuned.parameters.values()))

    def minus(logs):
        return -pl.FitImaging(dataset, traced(prior.with_parameters(np.exp(logs)))).log_evidence

    options = {"xatol": 1e-5, "fatol": 1e-8, "maxfev": 250 * found.size}
    scanned = minimize(minus, found + 0.2, method="Nelder-Mead", options=options)
    np.testing.assert_allclose(found, scanned.x, atol=1e-3)
    assert tuned.log_evidence == pytest.approx(-scanned.fun, abs=1e-5)
    assert pl.FitImaging(dataset, tuned.tracer).log_evidence == pytest.approx(tuned.log_evidence, rel=1e-12)
    # Along each axis the Hessian is that of a parabola through points a fifth of a deviation off.
    for k, precision in enumerate(np.diag(np.linalg.inv(tuned.covariance))):
        step = 0.2 / np.sqrt(precision) * np.eye(found.size)[k]
        drop = 0.5 * (minus(found + step) + minus(found - step)) + tuned.log_evidence
        assert drop == pytest.approx(0.02, rel=0.1)


def test_bad_input():
    dataset = simulated()
    with pytest.raises(ValueError, match="no galaxy has a pixelization"):
        pl.tune_regularization(
            dataset, pl.Tracer([pl.Galaxy(0.5, light=pl.light.MultiGaussian((0.0, 0.0), (0.0, 0.0), [1.0]))])
        )
    with pytest.raises(TypeError, match="tracer: expected a Tracer"):
        pl.tune_regularization(dataset, MESH)
    with pm.Model():
        random = traced(pl.regularization.Constant(pm.HalfNormal("coefficient")))
        with pytest.raises(TypeError, match="tracer: expected numbers"):
            pl.tune_regularization(dataset, random)
    outside = pl.mesh.RectangularBox((10, 10), (-0.3, 0.3, -0.3, 0.3))
    pixelization = pl.Pixelization(outside, pl.regularization.Constant())
    leaving = pl.Tracer([pl.Galaxy(0.5, mass=mass(1.0)), pl.Galaxy(1.0, pixelization=pixelization)])
    with pytest.raises(ValueError, match="the likelihood is zero"):
        pl.tune_regularization(dataset, leaving)


def test_a_parameter_without_maximum_is_said():
    """Noise alone wants no source at all: the coefficient goes to infinity."""
    dataset = simulated()
    noise = np.random.default_rng(1).standard_normal(dataset.shape_native) * dataset.noise_map
    empty = dataset.with_data(noise, dataset.noise_map, dataset.unit)
    with pytest.raises(ValueError, match=r"no maximum in source.coefficient"):
        pl.tune_regularization(empty, traced(pl.regularization.Constant(1.0)))
    image = pl.FitImaging(dataset, traced(pl.regularization.Dirichlet(5.0))).adapt_image
    prior = pl.regularization.AdaptAmplitude(pl.regularization.MaternSPDE(0.1, 1.0), image, 0.1, 1.0)
    assert prior.with_parameters([2.0, 3.0, 0.5, 1.5]).parameters == (2.0, 3.0, 0.5, 1.5)
    with pytest.raises(ValueError, match=r"no maximum in source.faint_ratio"):
        pl.tune_regularization(dataset, traced(prior))
    both = pl.regularization.Dirichlet(1.0) + pl.regularization.Zeroth(0.5)
    assert both.with_parameters([2.0, 3.0]).parameters == (2.0, 3.0)
    with pytest.raises(ValueError, match=r"no maximum in source.1.coefficient"):
        pl.tune_regularization(dataset, traced(both))
