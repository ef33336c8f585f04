"""Priors whose standard deviation follows the brightness of the source."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inversions import named
from problems import clumps, mass, simulated

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import MeshGeometry
from pymc_lens.mesh.rectangular_adaptive import RectangularAdaptiveScheme
from pymc_lens.mesh.voronoi_nn import NaturalNeighborScheme
from pymc_lens.regularization.adapt_amplitude import AdaptAmplitudeScheme
from pymc_lens.workspace import Workspace

ADAPT_IMAGE = np.clip(simulated().native(simulated().data_fitted, fill=0.0), 0.0, None)
PRIORS = {
    "Dirichlet": pl.regularization.Dirichlet(2.0),
    "MaternSPDE": pl.regularization.MaternSPDE(scale=0.3, amplitude=0.8),
    "MaternKernel": pl.regularization.MaternKernel(2.0, 0.2, nu=1.5),
}
N_PIXELS, RAYS_PER_PIXEL = 40, 4
RING = 2.0 * np.stack([np.sin(np.arange(24) * np.pi / 12), np.cos(np.arange(24) * np.pi / 12)], 1)


def adapted(name: str, image: np.ndarray) -> tuple[AdaptAmplitudeScheme, np.ndarray]:
    """Numerics on an image of a few pixels, and parameters."""
    prior = PRIORS[name]
    return AdaptAmplitudeScheme(prior.scheme(simulated().plane), image), np.array(
        [*prior.parameters, 0.3, 0.7]
    )


def dense(precision) -> np.ndarray:
    upper = np.zeros((precision.size, precision.size))
    precision.add_to(upper)
    return np.triu(upper) + np.triu(upper, 1).T


def scattered(rng: np.random.Generator, mesh: str) -> tuple:
    """Return a mesh, vertices, rays and the relative brightness of their pixels."""
    pixels = rng.uniform(-1.2, 1.2, (N_PIXELS, 2))
    image = np.maximum(np.exp(-8.0 * (pixels**2).sum(axis=1)) * rng.uniform(0.5, 1.0, N_PIXELS), 1e-3)
    rays = np.repeat(pixels, RAYS_PER_PIXEL, axis=0)
    rays += rng.uniform(-0.1, 0.1, rays.shape)
    if mesh == "VoronoiNN":
        vertices = rng.uniform(-1.2, 1.2, (int(rng.integers(5, 40)), 2))
        return NaturalNeighborScheme(vertices, RING), vertices, rays, image
    points = rng.normal(0.0, 0.5, (60, 2))
    return RectangularAdaptiveScheme((5, 7), 1.0, points, np.full(60, 1 / 60)), points, rays, image


def laid_out(seed: int, mesh: str = "VoronoiNN") -> tuple[MeshGeometry, np.ndarray]:
    scheme, vertices, rays, image = scattered(np.random.default_rng(seed), mesh)
    return scheme.geometry(rays, vertices, Workspace()), image


@pytest.mark.parametrize("mesh", ["VoronoiNN", "RectangularAdaptive"])
@pytest.mark.parametrize("name", ["Dirichlet", "MaternSPDE"])
@given(seed=st.integers(0, 2**32 - 1))
def test_pullback(name, mesh, seed):
    """Through mesh and prior, along a random direction of rays, vertices and parameters."""
    rng = np.random.default_rng(seed)
    mesh_scheme, vertices, rays, image = scattered(rng, mesh)
    scheme, parameters = adapted(name, image)
    laid = mesh_scheme.geometry(rays, vertices, Workspace())
    at = scheme.prior(parameters, laid)
    base = at.precision
    assert isinstance(base, SparsePrecision)
    pairs, root = base.pattern, 1.0 / np.sqrt(base.diagonal)
    bar = SparseCotangent(
        rng.standard_normal(pairs.size) * root**2,
        rng.standard_normal(pairs.rows.size) * root[pairs.rows] * root[pairs.cols],
    )
    matrix_bar = np.diag(bar.diagonal)
    matrix_bar[pairs.rows, pairs.cols] = bar.off_diagonal

    d_rays, d_vertices = rng.standard_normal(rays.shape), rng.standard_normal(vertices.shape)
    d_parameters = rng.standard_normal(parameters.size)

    def value(step: float) -> float:
        laid = mesh_scheme.geometry(rays + step * d_rays, vertices + step * d_vertices, Workspace())
        return np.sum(matrix_bar * dense(scheme.prior(parameters + step * d_parameters, laid).precision))

    parameters_bar, geometry_bar = at.pullback(bar)
    rays_bar, vertices_bar = laid.pullback(geometry_bar.weights.copy(), geometry_bar)
    bars = (rays_bar, d_rays), (vertices_bar, d_vertices), (parameters_bar, d_parameters)
    exact = sum(np.sum(bar * direction) for bar, direction in bars)
    scale = sum(np.abs(bar * direction).sum() for bar, direction in bars)

    def slope(h: float) -> float:
        return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)

    # A flip or a ray that crosses a vertex within the step spoils the difference, not the derivative.
    assert any(abs(slope(h) - exact) < 1e-6 * scale for h in (1e-5, 1e-4, 1e-6, 1e-7))


@pytest.mark.parametrize("name", PRIORS)
def test_standard_deviations_follow_the_amplitudes(name):
    """Those of draws as well: ``H^-1 = diag(a) H0^-1 diag(a)``."""
    geometry, image = laid_out(3)
    scheme, parameters = adapted(name, image)
    amplitudes = 0.3 + 0.7 * scheme.brightness(geometry) ** 0.7
    assert amplitudes.max() > 1.3 * amplitudes.min()
    plain = np.linalg.inv(dense(scheme.other.prior(parameters[:-2], geometry).precision))
    precision = scheme.prior(parameters, geometry).precision
    covariance = np.linalg.inv(dense(precision))
    np.testing.assert_allclose(covariance, np.outer(amplitudes, amplitudes) * plain, rtol=1e-8, atol=1e-12)
    rng = np.random.default_rng(0)
    draws = np.array([precision.draw(rng) for _ in range(4000)])
    np.testing.assert_allclose(draws.std(axis=0), amplitudes * np.sqrt(plain.diagonal()), rtol=0.06)


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("flat", ["faint_ratio", "adapt_image"])
def test_equals_the_prior_where_nothing_is_fainter(name, flat):
    geometry, image = laid_out(4)
    scheme, parameters = adapted(name, image if flat == "faint_ratio" else np.ones_like(image))
    if flat == "faint_ratio":
        parameters[-2] = 1.0
    plain = dense(scheme.other.prior(parameters[:-2], geometry).precision)
    np.testing.assert_allclose(dense(scheme.prior(parameters, geometry).precision), plain, rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_brightness_is_a_mean_of_the_image(seed):
    for mesh in ("VoronoiNN", "RectangularAdaptive"):
        geometry, image = laid_out(seed, mesh)
        found = AdaptAmplitudeScheme(PRIORS["Dirichlet"].scheme(simulated().plane), image).brightness(
            geometry
        )
        assert found.min() >= image.min() * (1 - 1e-9)
        assert found.max() <= image.max() * (1 + 1e-9)


def test_no_ray_on_the_mesh_is_faint():
    vertices = np.array([[0.0, 0.0], [0.0, 0.5], [0.5, 0.0]])
    geometry = NaturalNeighborScheme(vertices, RING).geometry(np.full((8, 2), 9.0), vertices, Workspace())
    scheme = AdaptAmplitudeScheme(PRIORS["Dirichlet"].scheme(simulated().plane), np.array([0.1, 1.0]))
    np.testing.assert_allclose(scheme.brightness(geometry), 0.1, rtol=1e-9)


def test_brightness_is_that_of_the_source_on_every_mesh(rng):
    """For an image of the source without blur or noise, at places in the source plane."""
    dataset = simulated()
    meshes = [pl.mesh.VoronoiNN(pl.image_mesh.Overlay((n, n))) for n in (16, 24, 36)]
    meshes += [pl.mesh.RectangularWindow((n, n), (-0.8, 0.8, -0.8, 0.8)) for n in (20, 50)]
    meshes += [pl.mesh.RectangularAdaptive((25, 25))]
    places = rng.uniform(-0.35, 0.35, (500, 2))
    found = []
    for mesh in meshes:
        problem, inputs = inversion(mesh, PRIORS["Dirichlet"])
        geometry = problem.mapped[0].mesh.geometry(inputs.rays, inputs.vertices, Workspace())
        image = clumps(*inputs.rays.T).reshape(len(dataset.plane.grid), -1).mean(axis=1) + 1e-9
        values = AdaptAmplitudeScheme(problem.mapped[0].regularization, image).brightness(geometry)
        found.append(geometry.interpolate(places).apply(values))
    differences = np.sqrt(((np.array(found) - np.mean(found, axis=0)) ** 2).mean(axis=1))
    assert differences.max() < 0.02 * np.ptp(clumps(*places.T))
    assert np.corrcoef(np.mean(found, axis=0), clumps(*places.T))[0, 1] > 0.98


@pytest.mark.parametrize("name", PRIORS)
def test_continuous_where_an_edge_flips(rng, name):
    """A vertex of a square moves through the circle of the other three."""
    square = np.array([[0.3, 0.3], [0.3, -0.3], [-0.3, -0.3], [-0.3, 0.3]])
    around = 0.9 * np.stack([np.sin(np.arange(7)), np.cos(np.arange(7))], 1)
    rays = rng.uniform(-0.5, 0.5, (N_PIXELS * RAYS_PER_PIXEL, 2))
    scheme, parameters = adapted(name, rng.uniform(0.01, 1.0, N_PIXELS))
    found, edges = [], []
    for step in (-1e-12, 1e-12):
        vertices = np.concatenate([square, around])
        vertices[0] += step
        geometry = NaturalNeighborScheme(vertices, RING).geometry(rays, vertices, Workspace())
        found.append(dense(scheme.prior(parameters, geometry).precision))
        edges.append(set(zip(geometry.neighbors.rows, geometry.neighbors.cols, strict=True)))
    assert edges[0] ^ edges[1] == {(2, 0), (3, 1)}
    np.testing.assert_allclose(*found, rtol=0.0, atol=1e-10 * np.abs(found[0]).max())


def inversion(mesh: pl.mesh.Mesh, prior: pl.regularization.Regularization) -> tuple:
    tracer = pl.Tracer(
        [pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, prior))]
    )
    problem, inputs = assemble(tracer, simulated())
    return problem, named((simulated().data_fitted, *(part.eval() for part in inputs)))


@pytest.mark.parametrize(
    ("positivity", "tolerance"), [(None, 1e-6), pytest.param("marginal", 1e-5, marks=pytest.mark.slow)]
)
def test_all_parameters_may_be_random_variables(positivity, tolerance):
    """To as many digits as without the adapt image; expectation propagation stops at five."""
    with pm.Model() as model:
        prior = pl.regularization.MaternSPDE(
            pm.LogNormal("scale", -1.0, 1.0), pm.LogNormal("amplitude", 0.0, 1.0)
        )
        prior = pl.regularization.AdaptAmplitude(
            prior,
            ADAPT_IMAGE,
            faint_ratio=pm.LogNormal("faint_ratio", -2.0, 1.0),
            signal_scale=pm.LogNormal("signal_scale", 0.0, 0.5),
        )
        mesh = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((12, 12)))
        lens = pl.Galaxy(0.5, mass=mass(pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0)))
        source = pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, prior, positivity))
        pl.LensedImage("image", pl.Tracer([lens, source]), observed=simulated())
    function = model.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    at = pm.blocking.DictToArrayBijection.map(model.initial_point()).data - 0.0211
    exact = function(at)[1]
    assert exact.size == 5
    for k in range(at.size):

        def error(h, k=k):
            values = [function(at + m * h * np.eye(5)[k])[0] for m in (-2, -1, 1, 2)]
            slope = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
            return abs(slope - exact[k]) / max(abs(exact[k]), 1.0)

        assert any(error(h) < tolerance for h in (1e-4, 1e-3, 1e-5, 1e-6)), model.value_vars[k]


def test_the_adapt_image_enters_the_digest():
    mesh = pl.mesh.RectangularWindow((6, 6), (-0.6, 0.6, -0.6, 0.6))
    digests = {
        inversion(mesh, prior)[0].digest
        for prior in (
            PRIORS["Dirichlet"],
            pl.regularization.AdaptAmplitude(PRIORS["Dirichlet"], ADAPT_IMAGE),
            pl.regularization.AdaptAmplitude(PRIORS["Dirichlet"], ADAPT_IMAGE**2),
            pl.regularization.AdaptAmplitude(PRIORS["MaternSPDE"], ADAPT_IMAGE),
            pl.regularization.AdaptAmplitude(pl.regularization.MaternSPDE(nu=2), ADAPT_IMAGE),
        )
    }
    assert len(digests) == 5


@pytest.mark.parametrize("prior", [pl.regularization.Constant(), pl.regularization.Dirichlet()])
def test_jumps_where_the_other_prior_does(prior):
    mesh = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((6, 6)))
    plain, _ = inversion(mesh, prior)
    wrapped, _ = inversion(mesh, pl.regularization.AdaptAmplitude(prior, ADAPT_IMAGE))
    (plain,), (wrapped,) = plain.mapped, wrapped.mapped
    assert wrapped.jumps_at_flips == plain.jumps_at_flips == isinstance(prior, pl.regularization.Constant)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones(3), "expected an image"),
        (np.full((3, 3), np.inf), "finite"),
        (-np.ones((3, 3)), "negative"),
        (np.zeros((3, 3)), "not all zero"),
    ],
)
def test_bad_adapt_images(image, message):
    with pytest.raises(ValueError, match=f"adapt_image: .*{message}"):
        pl.regularization.AdaptAmplitude(PRIORS["Dirichlet"], image)


def test_adapt_images_that_do_not_fit_the_dataset():
    with pytest.raises(ValueError, match=r"adapt_image: expected the shape of the dataset, \(37, 39\)"):
        pl.regularization.AdaptAmplitude(PRIORS["Dirichlet"], np.ones((3, 3))).scheme(simulated().plane)
    corner = np.zeros(simulated().shape_native)
    corner[0, 0] = 1.0
    with pytest.raises(ValueError, match="adapt_image: zero in all pixels of the mask"):
        pl.regularization.AdaptAmplitude(PRIORS["Dirichlet"], corner).scheme(simulated().plane)


def test_bad_parameters():
    with pytest.raises(TypeError, match="regularization: expected a Regularization, got the class Dirichlet"):
        pl.regularization.AdaptAmplitude(pl.regularization.Dirichlet, ADAPT_IMAGE)
    for name in ("faint_ratio", "signal_scale"):
        with pytest.raises(ValueError, match=f"{name}: expected a positive number"):
            pl.regularization.AdaptAmplitude(PRIORS["Dirichlet"], ADAPT_IMAGE, **{name: 0.0})
    geometry, image = laid_out(5)
    scheme, parameters = adapted("MaternSPDE", image)
    for k, names in enumerate(("scale, amplitude",) * 2 + ("faint_ratio, signal_scale",) * 2):
        wrong = parameters.copy()
        wrong[k] = -1.0
        with pytest.raises(InadmissibleError, match=f"{names}: expected positive"):
            scheme.prior(wrong, geometry)
