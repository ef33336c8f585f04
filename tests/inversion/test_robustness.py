"""Extreme parameters are inadmissible, not errors (issue 13, F5)."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from inversions import named
from problems import mass, simulated, tracer

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.evaluate import evaluate_once
from pymc_lens.regularization.kernels import MaternKernelScheme

EXTREMES = (0.0, 5e-324, 1e-300, 1e-150, 1e-30, 1e-8, 1.0, 1e3, 1e8, 1e30, 1e150, 1e300, np.inf, np.nan, -1.0)


@pytest.fixture(scope="module", name="dataset")
def _dataset():
    return simulated(light=True)


def priors(image: np.ndarray) -> dict[str, pl.regularization.Regularization]:
    of = pl.regularization
    return {
        "Adapt": of.Adapt(image),
        "AdaptPower": of.AdaptPower(image),
        "AdaptSplit": of.AdaptSplit(image),
        "AdaptSplitPower": of.AdaptSplitPower(image),
        "AdaptAmplitude of MaternSPDE": of.AdaptAmplitude(of.MaternSPDE(), image),
        "AdaptAmplitude of Dirichlet": of.AdaptAmplitude(of.Dirichlet(), image),
        "AdaptAmplitude of MaternKernel": of.AdaptAmplitude(of.MaternKernel(scale=0.1), image),
        "BrightnessZeroth": of.BrightnessZeroth(image),
        "Constant": of.Constant(),
        "ConstantSplit": of.ConstantSplit(),
        "ConstantZeroth": of.ConstantZeroth(),
        "Dirichlet": of.Dirichlet(),
        "ExponentialKernel": of.ExponentialKernel(scale=0.1),
        "GaussianKernel": of.GaussianKernel(scale=0.05),
        "MaternAdaptPowerKernel": of.MaternAdaptPowerKernel(image, scale=0.1),
        "MaternKernel": of.MaternKernel(scale=0.1, nu=1.5),
        "MaternSPDE": of.MaternSPDE(),
        "Zeroth": of.Zeroth(),
    }


NAMES = list(priors(np.ones((2, 2))))
MESHES = {
    "VoronoiNN": pl.mesh.VoronoiNN(pl.image_mesh.Overlay((8, 8))),
    "RectangularWindow": pl.mesh.RectangularWindow((8, 8), (-0.5, 0.5, -0.5, 0.5)),
}


def combine(dataset, mesh, prior):
    source = pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, prior))
    problem, symbolic = assemble(pl.Tracer([pl.Galaxy(0.5, mass=mass()), source]), dataset)
    return problem, named((dataset.data_fitted, *evaluate_once(list(symbolic))))


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("name", NAMES)
def test_issue13_F5_extreme_parameters_of_every_prior(dataset, name, mesh, rng):
    image = np.clip(dataset.data, 0.0, None)
    try:
        problem, inputs = combine(dataset, MESHES[mesh], priors(image)[name])
    except ValueError:  # a pair of mesh and prior that cannot be
        return
    usual = inputs.regularization
    for k in range(60):
        parameters = rng.choice(EXTREMES, usual.size)
        kept = rng.random(usual.size) < (0.6 if k % 2 else 0.0)
        parameters = np.where(kept, usual, parameters)
        value, gradient = problem.log_evidence_and_gradient(inputs._replace(regularization=parameters))
        assert not np.isnan(value), parameters
        assert all(np.isfinite(part).all() for part in gradient), parameters
        if value == -np.inf:
            assert not any(part.any() for part in gradient)
        else:
            assert np.isfinite(value), parameters


@pytest.mark.parametrize("name", NAMES)
def test_issue13_F5_a_value_where_there_is_a_gradient(dataset, name):
    """Each parameter extreme in turn; and where the caller has NumPy raise, it raises nothing either."""
    problem, inputs = combine(dataset, MESHES["VoronoiNN"], priors(np.clip(dataset.data, 0.0, None))[name])
    for place in range(inputs.regularization.size):
        for extreme in EXTREMES:
            parameters = inputs.regularization.copy()
            parameters[place] = extreme
            at = inputs._replace(regularization=parameters)
            with np.errstate(all="raise"):
                assert problem.log_evidence(at) == problem.log_evidence_and_gradient(at)[0], parameters


@pytest.mark.parametrize("factor", [0.0, 1e-300, 1e-160, 1e-12, 1e30, 1e160, 1e300])
@pytest.mark.parametrize("name", [*MESHES, "Delaunay", "Rectangular", "RectangularAdaptive"])
def test_issue13_F5_extreme_rays_on_every_mesh(dataset, name, factor):
    """All of them, vertices included; and one that is thrown far off while the others stay."""
    meshes = MESHES | {
        "Delaunay": pl.mesh.Delaunay(pl.image_mesh.Overlay((8, 8)), pl.mesh.NearestVertex()),
        "Rectangular": pl.mesh.Rectangular((8, 8)),
        "RectangularAdaptive": pl.mesh.RectangularAdaptive((8, 8)),
    }
    problem, inputs = combine(dataset, meshes[name], pl.regularization.Zeroth())
    one = inputs.rays.copy()
    one[7] *= factor
    for at in (
        inputs._replace(rays=factor * inputs.rays, vertices=factor * inputs.vertices),
        inputs._replace(rays=one),
    ):
        value, gradient = problem.log_evidence_and_gradient(at)
        assert value < np.inf
        assert all(np.isfinite(part).all() for part in gradient)
        assert value > -np.inf or not any(part.any() for part in gradient)


@pytest.mark.parametrize("nu", [0.5, 1.5, 20.0])
def test_issue13_F5_a_matern_kernel_has_its_limits(nu, rng):
    vertices, bar = rng.uniform(-1.0, 1.0, (20, 2)), np.ones((20, 20))
    kernel = MaternKernelScheme(nu)
    for scale, limit in ((1e300, np.ones((20, 20))), (1e-300, np.eye(20))):
        np.testing.assert_allclose(kernel.correlations(scale, vertices), limit, rtol=1e-14)
        for part in kernel.correlations_pullback(scale, vertices, bar):
            np.testing.assert_allclose(part, 0.0, atol=1e-290)


@pytest.fixture(scope="module", name="likelihood")
def _likelihood(dataset):
    """Return log-likelihood and gradient as a function of profiles' parameters by name."""
    usual = {
        "centre": 0.0, "einstein_radius": 1.0, "ell_comps": 0.1, "light_centre": 0.0, "light_ell_comps": 0.0,
        "gamma": 0.0, "point_radius": 0.1, "sheet": 0.01,
        "sheet_centre": 0.0,
    }  # fmt: skip
    with pm.Model() as model:
        free = {name: pm.Normal(name, value, 1.0) for name, value in usual.items()}
        lens = (
            pl.mass.Isothermal((free["centre"], 0.0), (free["ell_comps"], 0.0), free["einstein_radius"])
            + pl.mass.ExternalShear(gamma_1=free["gamma"])
            + pl.mass.PointMass(einstein_radius=free["point_radius"])
            + pl.mass.MassSheet((free["sheet_centre"], 0.1), free["sheet"])
        )
        light = pl.light.MultiGaussian(
            (free["light_centre"], 0.0), (free["light_ell_comps"], 0.0), np.array([0.1, 0.5])
        )
        image = pl.LensedImage("image", tracer(lens, light=light), observed=dataset)
    logp = model.logp(vars=[image])
    outputs = [logp, *pt.grad(logp, model.value_vars)]
    function = model.compile_fn(outputs, inputs=model.value_vars)
    return lambda values: function(usual | values)


@pytest.mark.parametrize("extreme", [1e300, -1e300, 1e160, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize(
    "name",
    [
        "centre",
        "einstein_radius",
        "ell_comps",
        "light_centre",
        "light_ell_comps",
        "gamma",
        "point_radius",
        "sheet",
        "sheet_centre",
    ],
)
def test_issue13_F5_extreme_lenses_have_a_finite_gradient(likelihood, name, extreme):
    """Through PyTensor, for priors that let such values pass."""
    value, *gradient = likelihood({name: extreme})
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, 0.0)


def test_a_usual_lens_has_a_gradient(likelihood):
    value, *gradient = likelihood({})
    assert np.isfinite(value)
    assert np.abs(gradient).min() > 0.0
