"""The Ops: one call of the numerics, every backend, clear refusals."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from inversions import source_inversion
from problems import simulated

import pymc_lens as pl
from pymc_lens.ops import LogEvidence


@pytest.fixture(name="problem")
def _problem():
    mesh = pl.mesh.RectangularWindow((8, 8), (-1.0, 1.0, -1.0, 1.0))
    return source_inversion(simulated(), mesh, pl.regularization.Constant().scheme(simulated().plane))


def graph(problem):
    scale, coefficient = pt.dscalar("scale"), pt.dscalar("coefficient")
    imaging = problem.response.imaging
    inputs = (
        imaging.data_fitted,
        scale * imaging.plane.source_grid,
        np.empty((0, 2)),
        pt.stack([coefficient]),
    )
    return [scale, coefficient], LogEvidence(problem)(*inputs)


@pytest.mark.parametrize("mode", ["NUMBA", "JAX", "FAST_COMPILE"])
def test_one_call_for_value_and_gradient(problem, mode):
    variables, value = graph(problem)
    both = pytensor.function(variables, [value, *pt.grad(value, variables)], mode=mode)
    alone = pytensor.function(variables, value, mode=mode)
    both(0.5, 1.3), alone(0.5, 1.3)
    problem.evaluations.clear()
    results = both(0.5, 1.3)
    assert dict(problem.evaluations) == {"value and gradient": 1}
    problem.evaluations.clear()
    assert alone(0.5, 1.3) == pytest.approx(float(results[0]), rel=1e-14)
    assert dict(problem.evaluations) == {"value": 1}


def test_jax_differentiates_the_value_itself(problem):
    import jax
    from pymc.sampling.jax import get_jaxified_graph

    variables, value = graph(problem)
    jaxified = get_jaxified_graph(inputs=variables, outputs=[value])
    slopes = jax.grad(lambda scale, coefficient: jaxified(scale, coefficient)[0], argnums=(0, 1))(0.5, 1.3)
    exact = pytensor.function(variables, pt.grad(value, variables))(0.5, 1.3)
    np.testing.assert_allclose(slopes, exact, rtol=1e-12)


def test_second_derivatives_are_refused(problem):
    variables, value = graph(problem)
    first = pt.grad(value, variables[0])
    with pytest.raises(pytensor.gradient.NullTypeGradError, match="second derivatives of the log evidence"):
        pt.grad(first, variables[1])


def test_wrong_inputs(problem):
    imaging = problem.response.imaging
    good = [imaging.data_fitted, imaging.plane.source_grid, np.empty((0, 2)), np.ones(1)]
    with pytest.raises(TypeError, match="rays"):
        LogEvidence(problem)(good[0], good[1].ravel(), *good[2:])
    with pytest.raises(TypeError, match="data"):
        LogEvidence(problem)(good[0].astype("float32"), *good[1:])


def test_equality_by_content(problem):
    mesh = pl.mesh.RectangularWindow((8, 8), (-1.0, 1.0, -1.0, 1.0))
    same = source_inversion(simulated(), mesh, pl.regularization.Constant().scheme(simulated().plane))
    assert LogEvidence(problem) == LogEvidence(same)
    assert hash(LogEvidence(problem)) == hash(LogEvidence(same))
