"""Positive sources: the solver and its certificate, the evidence, its gradient, draws and sampling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pymc as pm
import pytest
from inversions import SourceAndLight, named
from problems import clumps, mass, simulated
from scipy.integrate import quad
from scipy.optimize import nnls
from scipy.spatial.distance import cdist
from scipy.special import log_ndtr, ndtri_exp
from scipy.stats import multivariate_normal

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.errors import InadmissibleError
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.linalg.nnls import kkt_residual, solve_positive
from pymc_lens.linalg.precision import DensePrecision
from pymc_lens.orthant.confinement import confine
from pymc_lens.orthant.truncated_normal import draw_positive
from pymc_lens.regularization.kernels import MaternKernelScheme
from pymc_lens.workspace import Workspace

REAL = Path(__file__).parents[2] / "examples" / "data" / "J0252+0039"


def random_system(rng, n, condition):
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    matrix = (basis * np.geomspace(1.0, 1.0 / condition, n)) @ basis.T
    matrix = 0.5 * (matrix + matrix.T)
    vector = matrix @ rng.standard_normal(n) if rng.random() < 0.5 else rng.standard_normal(n)
    return matrix, vector


def test_certified_on_a_thousand_random_systems(rng):
    workspace, compared = Workspace(), 0
    for _ in range(1000):
        n, condition = int(rng.integers(2, 120)), 10 ** rng.uniform(0, 12)
        matrix, vector = random_system(rng, n, condition)
        solution = solve_positive(matrix, vector, np.linalg.solve(matrix, vector) > 0, workspace)
        assert (solution.values >= 0).all()
        assert solution.residual <= 1e-8
        assert kkt_residual(matrix, vector, solution.values) == solution.residual
        if n < 40 and condition < 1e4:
            root = np.linalg.cholesky(matrix).T
            expected = nnls(root, np.linalg.solve(root.T, vector))[0]
            np.testing.assert_allclose(solution.values, expected, atol=1e-10 * max(1.0, expected.max()))
            compared += 1
    assert compared > 50


def test_guess_does_not_matter(rng):
    matrix, vector = random_system(rng, 60, 1e6)
    solutions = [
        solve_positive(matrix, vector, rng.random(60) < share, Workspace()).values
        for share in (0.0, 0.2, 0.5, 1.0)
    ]
    for solution in solutions[1:]:
        np.testing.assert_array_equal(solution, solutions[0])


def test_kkt_residual_sees_what_is_wrong():
    matrix, vector = np.diag([2.0, 1.0]), np.array([2.0, -1.0])
    assert kkt_residual(matrix, vector, np.array([1.0, 0.0])) == 0.0
    assert kkt_residual(matrix, vector, np.array([0.0, 0.0])) == 1.0
    assert kkt_residual(matrix, vector, np.array([2.0, 0.0])) == pytest.approx(2.0 / 6.0)


def test_singular_matrices_are_refused():
    with pytest.raises(InadmissibleError, match="positive definite"):
        solve_positive(np.zeros((3, 3)), np.ones(3), np.ones(3, bool), Workspace())


def pixelized(dataset, mesh, positivity, light=None, prior=None) -> tuple[Inversion, SourceAndLight]:
    pixelization = pl.Pixelization(mesh, prior or pl.regularization.Dirichlet(4.0), positivity)
    light = None if light is None else replace(light, positivity=positivity)
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass(), light=light), pl.Galaxy(1.0, pixelization=pixelization)])
    problem, inputs = assemble(tracer, dataset)
    return problem, named((dataset.data_fitted, *(part.eval() for part in inputs)))


MESH = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((12, 12)))
LIGHT = pl.light.MultiGaussian.log_spaced((0.0, 0.0), [(0.0, 0.1)], 0.05, 1.0, 6)


def test_real_lens_systems_are_certified(monkeypatch):
    """Source and light of J0252+0039 with weak and strong priors."""
    dataset = pl.Imaging.from_fits(REAL / "image.fits", REAL / "psf.fits", REAL / "noise.fits", 0.05)
    dataset = dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, 0.05, 1.6))
    for coefficient in (0.01, 1.0, 100.0):
        problem, inputs = pixelized(dataset, MESH, "map", LIGHT, pl.regularization.Dirichlet(coefficient))
        coefficients = problem.invert(inputs).coefficients
        free, _ = pixelized(dataset, MESH, None, LIGHT, pl.regularization.Dirichlet(coefficient))
        assert (free.invert(inputs).coefficients < 0.0).mean() > 0.1
        assert (coefficients >= 0.0).all()
        system = problem._workspace.array("system", len(coefficients), len(coefficients))
        data_vector = problem.invert(inputs).image.data_vector
        assert kkt_residual(system, data_vector, coefficients) <= 1e-8


def test_evidence_is_that_of_the_positive_source():
    dataset = simulated(light=True)
    problem, inputs = pixelized(dataset, MESH, "map", LIGHT)
    free, _ = pixelized(dataset, MESH, None, LIGHT)
    inversion, unconstrained = problem.invert(inputs), free.invert(inputs)
    assert (unconstrained.coefficients < 0.0).any()
    assert (inversion.coefficients >= 0.0).all()
    for term in ("log_det_curvature_reg", "log_det_regularization", "noise_normalization"):
        ours, theirs = getattr(inversion.terms, term), getattr(unconstrained.terms, term)
        assert ours == pytest.approx(theirs, rel=1e-12)
    for term in ("chi_squared", "regularization_term"):
        assert getattr(inversion.terms, term) != getattr(unconstrained.terms, term)
    assert inversion.terms.log_evidence < unconstrained.terms.log_evidence
    assert problem != free


def test_result_does_not_depend_on_history(rng):
    problem, inputs = pixelized(simulated(), MESH, "map")
    first = problem.log_evidence(inputs)
    for _ in range(3):
        problem.log_evidence(inputs._replace(data=rng.standard_normal(inputs.data.size)))
        assert problem.log_evidence(inputs._replace(rays=inputs.rays + 0.0)) == pytest.approx(
            first, rel=1e-13
        )


@pytest.mark.parametrize("mesh", [MESH, pl.mesh.RectangularWindow((9, 8), (-0.6, 0.6, -0.5, 0.6))])
def test_gradient(mesh):
    """At 50 random points, in all inputs at once; elements that enter or leave zero are no exception."""
    rng = np.random.default_rng(1)
    problem, at = pixelized(simulated(light=True), mesh, "map", LIGHT)
    for _ in range(50):
        inputs = at._replace(
            rays=at.rays * (1 + 0.02 * rng.standard_normal()),
            vertices=at.vertices * (1 + 0.02 * rng.standard_normal()),
            regularization=at.regularization * np.exp(rng.standard_normal()),
        )
        gradient = named(problem.log_evidence_and_gradient(inputs)[1])
        scales = SourceAndLight(data=1e-2, rays=1e-3, vertices=1e-3, light=1e-3, regularization=1e-1)
        steps = [scale * rng.standard_normal(part.shape) for scale, part in zip(scales, inputs, strict=True)]
        exact = sum((step * part).sum() for step, part in zip(steps, gradient, strict=True))

        def along(t, inputs=inputs, steps=steps):
            moved = (part + t * step for part, step in zip(inputs, steps, strict=True))
            return problem.log_evidence(tuple(moved))

        differences = ((along(h) - along(-h)) / (2 * h) for h in (1e-3, 1e-4, 1e-2))
        assert any(abs(difference / exact - 1.0) < 1e-5 for difference in differences)


def exact_log_probability(mean, covariance):
    """Of no element being negative, by Genz's quasi Monte Carlo."""
    n = mean.size
    return np.log(
        multivariate_normal.cdf(np.zeros(n), -mean, covariance, maxpts=500_000, abseps=0.0, releps=1e-3)
    )


def log_probability(precision, mean, sites=None):
    """Of no element being negative, as the evidence takes it."""
    confinement = confine(DensePrecision(precision), precision @ mean, sites)
    log_det = np.linalg.slogdet(precision)[1]
    return confinement.log_mass - 0.5 * (mean @ precision @ mean - log_det)


def test_orthant_probabilities(rng):
    for _ in range(10):
        n = int(rng.integers(2, 16))
        root = rng.standard_normal((n, n))
        precision = root @ root.T + 10 ** rng.uniform(-2, 1) * np.eye(n)
        mean = 0.7 * rng.standard_normal(n)
        estimate = log_probability(precision, mean)
        assert estimate == pytest.approx(exact_log_probability(mean, np.linalg.inv(precision)), abs=0.02)
        start = np.stack([rng.random(n), rng.standard_normal(n)])
        assert log_probability(precision, mean, start) == pytest.approx(estimate, abs=1e-9)


def ghk_log_probability(mean, covariance, rng, n_draws=50_000):
    """Of no element being negative, with its standard error.

    The sampler of Geweke, Hajivassiliou and Keane (Genz 1992, J. Comput. Graph. Stat. 1, 141), the element
    that is the least likely to be positive first; equals are scattered.
    """
    scattered = np.random.default_rng(0).permutation(mean.size)
    order = np.lexsort((scattered, mean / np.sqrt(covariance.diagonal())))
    mean, root = mean[order], np.linalg.cholesky(covariance[np.ix_(order, order)])
    normal, log_weights = np.empty((mean.size, n_draws)), np.zeros(n_draws)
    for i in range(mean.size):
        log_mass = log_ndtr((mean[i] + root[i, :i] @ normal[:i]) / root[i, i])
        log_weights += log_mass
        normal[i] = -ndtri_exp(np.log(rng.random(n_draws)) + log_mass)
    weights = np.exp(log_weights - log_weights.max())
    error = weights.std() / weights.mean() / np.sqrt(n_draws)
    return log_weights.max() + np.log(weights.mean()), error


def correlated_prior(rng, scale):
    """Places of 200 elements in a unit box, and the covariance of a smooth source there."""
    y, x = np.meshgrid((np.arange(10) + 0.5) / 10, (np.arange(20) + 0.5) / 20, indexing="ij")
    places = np.stack([y, x], axis=-1).reshape(-1, 2) + rng.uniform(-0.02, 0.02, (200, 2))
    correlation = MaternKernelScheme(1.5).correlation(cdist(places, places) / scale)
    return places, correlation + 1e-8 * np.eye(200)


@pytest.mark.parametrize("scale", [0.3, 0.4, 0.5])
def test_priors_of_two_hundred_correlated_elements(scale):
    rng = np.random.default_rng(5)
    _, covariance = correlated_prior(rng, scale)
    expected, error = ghk_log_probability(np.zeros(200), covariance, rng)
    assert error < 0.03
    assert log_probability(np.linalg.inv(covariance), np.zeros(200)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("scale", "signal_to_noise"), [(0.2, 3.0), (0.4, 10.0)])
def test_posteriors_of_two_hundred_correlated_elements(scale, signal_to_noise):
    """A blurred image of two clumps, most of it empty."""
    rng = np.random.default_rng(6)
    places, covariance = correlated_prior(rng, scale)
    y, x = places.T
    pixels = np.stack(np.meshgrid(np.linspace(0, 1, 30), np.linspace(0, 1, 30)), axis=-1).reshape(-1, 2)
    blur = np.exp(-(cdist(pixels, places) ** 2) / (2 * 0.05**2))
    blur /= blur.sum(axis=1, keepdims=True)
    image = blur @ clumps(y - 0.5, x - 0.5)
    noise = image.max() / signal_to_noise
    data = image + noise * rng.standard_normal(image.size)
    precision = np.linalg.inv(covariance) + blur.T @ blur / noise**2
    mean = np.linalg.solve(precision, blur.T @ data) / noise**2
    expected, error = ghk_log_probability(mean, np.linalg.inv(precision), rng)
    assert error < 0.03
    assert log_probability(precision, mean) == pytest.approx(expected, abs=0.1)


def positive_moments(mean, deviation):
    """First two of a normal variable that is positive, by quadrature."""
    peak, reach = max(mean, 0.0), 12.0 * min(deviation, deviation**2 / max(-mean, deviation))

    def integral(power):
        def density(x):
            return x**power * np.exp(0.5 * ((peak - mean) ** 2 - (x - mean) ** 2) / deviation**2)

        low, high = max(peak - reach, 0.0), peak + 3.0 * reach
        return quad(density, low, high, epsabs=0.0, epsrel=1e-12, limit=200)[0]

    return integral(1) / integral(0), integral(2) / integral(0)


def test_one_element_is_exact():
    for mean in (-40.0, -3.0, 0.0, 2.0, 9.0):
        estimate = log_probability(np.array([[4.0]]), np.array([mean]))
        assert estimate == pytest.approx(log_ndtr(2.0 * mean), rel=1e-10)
        confinement = confine(DensePrecision(np.array([[4.0]])), np.array([4.0 * mean]))
        first, second = confinement.moments()
        expected = positive_moments(mean, 0.5)
        assert first[0] == pytest.approx(expected[0], rel=1e-8)
        assert second[0, 0] == pytest.approx(expected[1], rel=1e-8)
        assert confinement.propagated.mean[0] == pytest.approx(expected[0], rel=1e-8)
        variance = expected[1] - expected[0] ** 2
        assert confinement.propagated.variance[0] == pytest.approx(variance, rel=1e-6)


def test_sparse_and_dense_priors_are_confined_alike():
    problem, inputs = pixelized(simulated(), MESH, None)
    precision = problem.invert(inputs).priors[0].precision
    matrix = np.zeros((problem.n_mapped,) * 2)
    precision.add_to(matrix)
    sparse = confine(precision, np.zeros(problem.n_mapped))
    dense = confine(DensePrecision(matrix + np.triu(matrix, 1).T), np.zeros(problem.n_mapped))
    assert sparse.log_mass == pytest.approx(dense.log_mass, rel=1e-9)
    np.testing.assert_allclose(sparse.moments()[1], dense.moments()[1], rtol=1e-6)


def test_marginal_evidence_is_the_integral_over_positive_sources():
    mesh = pl.mesh.RectangularWindow((3, 4), (-0.5, 0.5, -0.5, 0.5))
    dataset = simulated()
    problem, inputs = pixelized(dataset, mesh, "marginal", prior=pl.regularization.Dirichlet(0.3))
    free, _ = pixelized(dataset, mesh, None, prior=pl.regularization.Dirichlet(0.3))
    inputs = inputs._replace(data=np.random.default_rng(0).normal(0.0, dataset.noise_fitted))
    inversion = free.invert(inputs)
    precision = np.zeros((12, 12))
    inversion.priors[0].precision.add_to(precision)
    prior = np.linalg.inv(precision + np.triu(precision, 1).T)
    root = np.linalg.inv(np.triu(inversion.factor))
    exact = (
        inversion.terms.log_evidence
        + exact_log_probability(inversion.coefficients, root @ root.T)
        - exact_log_probability(np.zeros(12), prior)
    )
    assert (inversion.coefficients < 0.0).any()
    assert problem.log_evidence(inputs) == pytest.approx(exact, abs=0.1)
    assert problem.log_evidence(inputs) != pytest.approx(inversion.terms.log_evidence, abs=1.0)


@pytest.mark.parametrize(
    ("mesh", "prior", "n_points"),
    [
        (MESH, pl.regularization.Dirichlet(4.0), 5),
        (pl.mesh.RectangularWindow((9, 8), (-0.6, 0.6, -0.5, 0.6)), pl.regularization.Dirichlet(4.0), 5),
        (
            pl.mesh.RectangularWindow((14, 14), (-0.6, 0.6, -0.5, 0.6)),
            pl.regularization.MaternKernel(1.0, 0.4, nu=1.5),
            2,
        ),
    ],
    ids=["voronoi", "rectangular", "correlated"],
)
def test_gradient_of_the_marginal_evidence(mesh, prior, n_points):
    rng = np.random.default_rng(2)
    problem, at = pixelized(simulated(light=True), mesh, "marginal", LIGHT, prior)
    for _ in range(n_points):
        inputs = at._replace(regularization=at.regularization * np.exp(rng.standard_normal()))
        gradient = named(problem.log_evidence_and_gradient(inputs)[1])
        scales = SourceAndLight(data=1e-2, rays=1e-3, vertices=1e-3, light=1e-3, regularization=1e-1)
        for name, part in inputs._asdict().items():
            step = getattr(scales, name) * rng.standard_normal(part.shape)
            exact = (step * getattr(gradient, name)).sum()
            if not part.size:
                continue

            def along(t, name=name, part=part, step=step, inputs=inputs):
                return problem.log_evidence(inputs._replace(**{name: part + t * step}))

            differences = ((along(h) - along(-h)) / (2 * h) for h in (1e-2, 1e-3, 1e-1, 1e-4))
            assert any(abs(difference / exact - 1.0) < 1e-4 for difference in differences), name


def test_draws_follow_the_truncated_normal(rng):
    n = 4
    root = rng.standard_normal((n, n))
    precision = root @ root.T + 0.3 * np.eye(n)
    mean = 0.5 * rng.standard_normal(n)
    proposals = rng.multivariate_normal(mean, np.linalg.inv(precision), size=400_000)
    expected = proposals[(proposals > 0).all(axis=1)]
    assert len(expected) > 5000
    factor = np.ascontiguousarray(np.linalg.cholesky(precision).T)
    draws = np.array([draw_positive(mean, factor, np.zeros(n), np.ones(n, bool), rng) for _ in range(8000)])
    assert (draws >= 0.0).all()
    error = np.sqrt(expected.var(axis=0) * (1 / len(expected) + 1 / len(draws)))
    assert (np.abs(draws.mean(axis=0) - expected.mean(axis=0)) < 4 * error).all()
    np.testing.assert_allclose(draws.std(axis=0), expected.std(axis=0), rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(draws.T), np.corrcoef(expected.T), atol=0.06)


@pytest.mark.parametrize("positivity", ["map", "marginal"])
def test_posterior_and_prior_draws_are_positive(rng, positivity):
    problem, inputs = pixelized(simulated(light=True), MESH, positivity, LIGHT)
    inversion = problem.invert(inputs)
    draws = np.array([problem.draw_coefficients(inversion, rng) for _ in range(40)])
    assert (draws >= 0.0).all()
    # Expectation propagation knows the mean of the confined posterior without a draw.
    marginal, _ = pixelized(simulated(light=True), MESH, "marginal", LIGHT)
    off = draws.mean(axis=0) - marginal.invert(inputs).coefficients
    score = off / (draws.std(axis=0) / np.sqrt(40))
    assert 0.5 < np.sqrt(np.mean(score**2)) < 1.5
    inversion = problem.invert(inputs)
    images = np.array([problem.draw_prior_image(inputs, rng) for _ in range(3)])
    assert (images.mean(axis=1) > 0.0).all()


@pytest.mark.slow
def test_sampling_and_reconstruction():
    dataset = simulated()
    with pm.Model() as model:
        radius = pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0)
        coefficient = pm.LogNormal("coefficient", np.log(5.0), 1.0)
        mesh = pl.mesh.RectangularWindow((10, 10), (-0.5, 0.5, -0.5, 0.5))
        pixelization = pl.Pixelization(mesh, pl.regularization.Constant(coefficient), positivity="map")
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass(radius)), pl.Galaxy(1.0, pixelization=pixelization)])
        pl.LensedImage("image", tracer, observed=dataset)
    idata = pl.sample(
        30, tune=30, chains=2, cores=1, random_seed=1, progressbar=False, model=model,
        starts={"einstein_radius": 1.0},
        compute_convergence_checks=False,
    )  # fmt: skip
    assert abs(float(idata["posterior"]["einstein_radius"].mean()) - 1.0) < 0.02
    assert int(idata["sample_stats"]["diverging"].sum()) == 0
    idata = pl.reconstruct(idata, model=model, num_draws=5, progressbar=False, random_seed=1)
    assert float(idata["source_reconstruction"]["source"].min()) >= 0.0


def test_bad_positivity():
    with pytest.raises(ValueError, match="positivity: expected one of"):
        pl.Pixelization(MESH, pl.regularization.Constant(), positivity="yes")
