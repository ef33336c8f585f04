"""LensedImage as a PyMC citizen."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from differences import assert_gradient_matches_differences
from problems import TRUTH, full_model, mass, model, simulated, tracer

import pymc_lens as pl

REAL = Path(__file__).parents[1] / "examples" / "data" / "J0252+0039"


def test_gradient_of_every_parameter_simulated(rng):
    assert_gradient_matches_differences(full_model(simulated(light=True)), 1e-6, rng)


def test_gradient_of_every_parameter_real(rng):
    dataset = pl.Imaging.from_fits(
        REAL / "image.fits", REAL / "psf.fits", REAL / "noise.fits", pixel_scales=0.05
    )
    dataset = dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, 0.05, radius=1.6))
    assert_gradient_matches_differences(full_model(dataset), 3e-7, rng)


def test_log_probability_is_the_fit_s_evidence():
    dataset = simulated()
    built = model(dataset)
    point = {"einstein_radius": 1.02, "gamma_1": 0.025, "coefficient": 4.0}
    fit = pl.FitImaging(dataset, tracer(mass(1.02, gamma_1=0.025), 4.0))
    logp = pm.logp(
        pl.LensedImage.dist(tracer(mass(1.02, gamma_1=0.025), 4.0), dataset), dataset.data_fitted
    ).eval()
    assert logp == pytest.approx(fit.log_evidence, rel=1e-12)
    in_model = built.compile_logp(built["image"], jacobian=False)
    transformed = {
        rv_value.name: (
            transform.forward(np.float64(point[rv.name]), *rv.owner.inputs).eval()
            if transform
            else np.asarray(point[rv.name])
        )
        for rv in built.free_RVs
        for rv_value, transform in [(built.rvs_to_values[rv], built.rvs_to_transforms[rv])]
    }
    assert in_model(transformed) == pytest.approx(fit.log_evidence, rel=1e-12)


def test_data_are_differentiable():
    """As a latent image: dlnE/dd = -W (d - model)."""
    dataset = simulated()
    image = pt.dvector("image")
    logp = pm.logp(pl.LensedImage.dist(tracer(), dataset), image)
    slope = pytensor.function([image], pt.grad(logp, image))(dataset.data_fitted)
    fit = pl.FitImaging(dataset, tracer())
    residual = fit.residual_map[np.isfinite(fit.residual_map)]
    np.testing.assert_allclose(slope, -residual / dataset.noise_fitted**2, rtol=1e-8, atol=1e-6)


def test_dims_and_coords():
    dataset = simulated()
    built = model(dataset)
    assert built.named_vars_to_dims["image"] == ("image_pixel",)
    assert len(built.coords["image_pixel"]) == dataset.fitted.size


def test_predictive():
    dataset = simulated()
    with model(dataset):
        prior = pm.sample_prior_predictive(20, random_seed=1)
        posterior = pm.sample_posterior_predictive(prior["prior"].to_dataset(), random_seed=1)
    draws = prior["prior_predictive"]["image"]
    assert draws.dims == ("chain", "draw", "image_pixel")
    assert np.isfinite(draws).all()
    # A source drawn from the prior adds to the noise.
    assert (draws.std(("chain", "draw")) > 0.5 * dataset.noise_fitted).all()
    assert posterior["posterior_predictive"]["image"].shape == draws.shape
    np.testing.assert_array_equal(prior["observed_data"]["image"], dataset.data_fitted)


def test_prior_draws_have_the_evidence_s_covariance():
    """Draws at fixed parameters scatter with the covariance whose determinant the evidence holds."""
    dataset = simulated()
    image = pl.LensedImage.dist(tracer(coefficient=2.0), dataset)
    draws = pm.draw(image, 400, random_seed=2)
    assert draws.shape == (400, dataset.fitted.size)
    logps = [pm.logp(image, draw).eval() for draw in draws[:5]]
    problem = image.owner.op.inversion
    quadratic = [-2 * logp for logp in logps]
    fit = pl.FitImaging(dataset, tracer(coefficient=2.0))
    constant = (
        fit.terms.log_det_curvature_reg - fit.terms.log_det_regularization + fit.terms.noise_normalization
    )
    n = problem.response.imaging.fitted.size
    assert np.mean(quadratic) - constant == pytest.approx(n, rel=5 * np.sqrt(2 / (5 * n)))


def test_unobserved_image():
    dataset = simulated()
    with pm.Model() as built:
        pl.LensedImage("image", tracer(), dataset=dataset)
    assert built["image"] in built.free_RVs
    assert pm.draw(built["image"], random_seed=1).shape == (dataset.fitted.size,)


def test_draws_compile_without_a_complaint(caplog):
    """PyTensor makes the random variable anew of its properties, to draw in place."""
    assert np.isfinite(pm.draw(pl.LensedImage.dist(tracer(), simulated()), random_seed=1)).all()
    assert "Rewrite failure" not in caplog.text


def test_bad_arguments():
    dataset = simulated()
    with pm.Model():
        with pytest.raises(TypeError, match="observed"):
            pl.LensedImage("a", tracer(), observed=dataset.data)
        with pytest.raises(TypeError, match="observed"):
            pl.LensedImage("b", tracer())
        with pytest.raises(TypeError, match="tracer"):
            pl.LensedImage("c", mass(), observed=dataset)
        with pytest.raises(ValueError, match="pixelization"):
            pl.LensedImage("d", pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0)]), observed=dataset)


def test_fit_refuses_random_variables():
    with pm.Model(), pytest.raises(TypeError, match="LensedImage"):
        pl.FitImaging(simulated(), tracer(mass(pm.Normal("einstein_radius"))))


def test_fit_names_a_mesh_that_rays_leave():
    mesh = pl.mesh.RectangularBox((10, 10), (-0.3, 0.3, -0.3, 0.3))
    with pytest.raises(ValueError, match="extent"):
        pl.FitImaging(simulated(), tracer(mesh=mesh))


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: pl.mass.Isothermal(einstein_radius=-1.0), "einstein_radius"),
        (lambda: pl.mass.Isothermal(ell_comps=(0.8, 0.7)), "ell_comps"),
        (lambda: pl.mass.Isothermal(centre=(np.nan, 0.0)), "centre"),
        (lambda: pl.regularization.Constant(coefficient=0.0), "coefficient"),
        (lambda: pl.mesh.Rectangular((1, 5)), "shape"),
        (lambda: pl.Galaxy(redshift=-0.5), "redshift"),
        (lambda: pl.Tracer([]), "galaxies"),
    ],
)
def test_bad_numbers(build, name):
    with pytest.raises(ValueError, match=name):
        build()


def test_truth_is_likelier_than_a_wrong_lens():
    dataset = simulated()
    right = pl.FitImaging(dataset, tracer()).log_evidence
    wrong = pl.FitImaging(dataset, tracer(mass(0.8 * TRUTH["einstein_radius"]))).log_evidence
    assert right > wrong + 50


@pytest.mark.parametrize(
    ("mesh", "prior", "jumps"),
    [
        (pl.mesh.VoronoiNN(pl.image_mesh.Overlay((8, 8))), pl.regularization.Constant(1.0), True),
        (pl.mesh.DelaunayMagnification((8, 8)), pl.regularization.Dirichlet(1.0), True),
        (pl.mesh.VoronoiNN(pl.image_mesh.Overlay((8, 8))), pl.regularization.MaternSPDE(0.1, 1.0), False),
        (pl.mesh.RectangularWindow((8, 8), (-0.5, 0.5, -0.5, 0.5)), pl.regularization.Constant(1.0), False),
    ],
)
def test_warns_of_an_evidence_that_jumps(mesh, prior, jumps):
    source = pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, prior))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pl.LensedImage.dist(pl.Tracer([pl.Galaxy(0.5, mass=mass()), source]), simulated())
    assert any("VoronoiNN with MaternSPDE" in str(warning.message) for warning in caught) == jumps
