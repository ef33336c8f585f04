"""Source priors: what their precision means, and their gradient through the evidence on every mesh."""

from __future__ import annotations

from functools import cache, reduce
from operator import add

import numpy as np
import pytest
from geometries import RING, geometries
from hypothesis import given
from hypothesis import strategies as st
from inversions import SourceAndLight, named
from problems import mass, simulated
from scipy.special import gamma, kv

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.errors import InadmissibleError
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import MeshGeometry
from pymc_lens.mesh.voronoi_nn import NaturalNeighborScheme
from pymc_lens.workspace import Workspace

OVERLAY = pl.image_mesh.Overlay((12, 12))
MESHES = {
    "VoronoiNN": pl.mesh.VoronoiNN(OVERLAY),
    "Delaunay": pl.mesh.Delaunay(OVERLAY),
    "DelaunayMagnification": pl.mesh.DelaunayMagnification((11, 12)),
    "Rectangular": pl.mesh.Rectangular((9, 8)),
    "RectangularAdaptive": pl.mesh.RectangularAdaptive((9, 8)),
    "RectangularWindow": pl.mesh.RectangularWindow((9, 8), (-0.6, 0.6, -0.5, 0.6)),
    "RectangularWindow, cubic": pl.mesh.RectangularWindow((9, 8), (-0.6, 0.6, -0.5, 0.6), degree=3),
    "StretchedWindow, cubic": pl.mesh.StretchedWindow((9, 8), (-0.6, 0.6, -0.5, 0.6), degree=3, core=0.25),
}
ADAPT_IMAGE = np.clip(simulated().native(simulated().data_fitted, fill=0.0), 0.0, None)


def priors(adapt_image: np.ndarray) -> dict[str, pl.regularization.Regularization]:
    return {
        "Dirichlet, adapted amplitude": pl.regularization.AdaptAmplitude(
            pl.regularization.Dirichlet(4.0), adapt_image, 0.2, 0.7
        ),
        "MaternSPDE, adapted amplitude": pl.regularization.AdaptAmplitude(
            pl.regularization.MaternSPDE(scale=0.3, amplitude=0.8), adapt_image, 0.2, 1.3
        ),
        "MaternKernel, adapted amplitude": pl.regularization.AdaptAmplitude(
            pl.regularization.MaternKernel(2.0, 0.2, nu=1.5), adapt_image, 0.2, 0.7
        ),
        "Adapt": pl.regularization.Adapt(adapt_image, 2.0, 3.0, 0.7),
        "AdaptPower": pl.regularization.AdaptPower(adapt_image, 2.0, 8.0, 0.7, 1.3),
        "AdaptSplit": pl.regularization.AdaptSplit(adapt_image, 2.0, 3.0, 0.7),
        "AdaptSplitPower": pl.regularization.AdaptSplitPower(adapt_image, 2.0, 8.0, 0.7, 1.3),
        "Constant": pl.regularization.Constant(5.0),
        "ConstantSplit": pl.regularization.ConstantSplit(5.0),
        "Dirichlet": pl.regularization.Dirichlet(4.0),
        "MaternSPDE": pl.regularization.MaternSPDE(scale=0.3, amplitude=0.8),
        "Zeroth": pl.regularization.Zeroth(2.0),
        "ConstantZeroth": pl.regularization.ConstantZeroth(5.0, 0.5),
        "GaussianKernel": pl.regularization.GaussianKernel(2.0, 0.05),
        "ExponentialKernel": pl.regularization.ExponentialKernel(2.0, 0.2),
        "MaternKernel": pl.regularization.MaternKernel(2.0, 0.2, nu=1.5),
        "MaternAdaptPowerKernel": pl.regularization.MaternAdaptPowerKernel(
            adapt_image, 0.2, 2.0, 8.0, 0.7, 1.3, nu=1.5
        ),
        "MaternSPDE nu 2": pl.regularization.MaternSPDE(scale=0.3, amplitude=0.8, nu=2),
    }


PRIORS = priors(ADAPT_IMAGE)


def dense(precision) -> np.ndarray:
    n = precision.size
    upper = np.zeros((n, n))
    precision.add_to(upper)
    return np.triu(upper) + np.triu(upper, 1).T


def box(shape: tuple[int, int], size: float) -> MeshGeometry:
    mesh = pl.mesh.RectangularBox(shape, (-size, size, -size, size))
    return mesh.geometry(np.zeros((1, 2)), np.empty((0, 2)), Workspace())


def test_dirichlet_energy_is_the_integral_of_the_squared_gradient(rng):
    """On scattered vertices and on a lattice alike, for a Gaussian of width w: pi."""
    ring = pl.mesh.ZeroRing().ring(simulated().plane)
    scattered = rng.uniform(-1.3, 1.3, (4000, 2))
    scheme = NaturalNeighborScheme(scattered, ring)
    geometries = [box((60, 50), 1.3), scheme.geometry(np.zeros((1, 2)), scattered, Workspace())]
    prior = pl.regularization.Dirichlet(3.0)
    for geometry in geometries:
        source = np.exp(-(geometry.vertices**2).sum(axis=1) / (2 * 0.3**2))
        precision = prior.scheme(simulated().plane).prior(np.array([3.0]), geometry).precision
        assert precision.quadratic_form(source) == pytest.approx(9.0 * np.pi, rel=0.02)


@pytest.mark.parametrize("nu", [1, 2])
def test_matern_spde_has_the_matern_covariance(nu):
    """In the middle of a box of ten correlation lengths, with cells a sixth of one."""
    scale, amplitude, n = 0.3, 0.7, 61
    geometry = box((n, n), 1.5)
    prior = pl.regularization.MaternSPDE(scale, amplitude, nu)
    covariance = np.linalg.inv(
        dense(prior.scheme(simulated().plane).prior(np.array([scale, amplitude]), geometry).precision)
    )
    middle = n * n // 2
    row = covariance[middle].reshape(n, n)[n // 2, n // 2 :]
    distance = np.sqrt(2 * nu) / scale * np.maximum(np.arange(row.size) * 3.0 / (n + 1), 1e-9)
    expected = amplitude**2 * 2 ** (1 - nu) / gamma(nu) * distance**nu * kv(nu, distance)
    np.testing.assert_allclose(row[:16], expected[:16], atol=0.03 * amplitude**2)


def test_matern_spde_against_its_dense_formula():
    geometry = _laid_out("VoronoiNN")
    pairs, volumes = geometry.couplings, geometry.volumes
    stiffness = np.diag(volumes.boundary_conductances)
    for i, j, conductance in zip(pairs.rows, pairs.cols, volumes.conductances, strict=True):
        stiffness[[i, j], [i, j]] += conductance
        stiffness[[i, j], [j, i]] -= conductance
    scale, amplitude = 0.3, 0.8
    for nu in (1, 2, 3):
        kappa_squared = 2 * nu / scale**2
        operator = kappa_squared * np.diag(volumes.areas) + stiffness
        tau_squared = 1 / (4 * np.pi * nu * kappa_squared**nu * amplitude**2)
        expected = tau_squared * operator @ np.linalg.matrix_power(operator / volumes.areas[:, None], nu)
        scheme = pl.regularization.MaternSPDE(scale, amplitude, nu).scheme(simulated().plane)
        ours = dense(scheme.prior(np.array([scale, amplitude]), geometry).precision)
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


def _problem(mesh: str, prior: str) -> tuple[Inversion, SourceAndLight]:
    dataset = simulated()
    pixelization = pl.Pixelization(MESHES[mesh], PRIORS[prior])
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0, pixelization=pixelization)])
    problem, inputs = assemble(tracer, dataset)
    return problem, named((dataset.data_fitted, *(part.eval() for part in inputs)))


def _laid_out(mesh: str) -> MeshGeometry:
    problem, inputs = _problem(mesh, "Dirichlet")
    return problem.mapped[0].mesh.geometry(inputs.rays, inputs.vertices, Workspace())


def has_digits(mesh: str, prior: str) -> bool:
    """Whether a prior goes with a mesh and ln E has the digits to be differentiated numerically.

    The smallest cells of traced vertices leave few to a precision of the third power of M.
    """
    if prior == "MaternSPDE nu 2":
        return mesh.startswith(("Rectangular", "Stretched"))
    return "Split" not in prior or not mesh.startswith(("Rectangular", "Stretched"))


COMBINATIONS = [(mesh, prior) for mesh in MESHES for prior in PRIORS if has_digits(mesh, prior)]


@pytest.mark.parametrize(("mesh", "prior"), COMBINATIONS)
def test_gradient_of_the_evidence(rng, mesh, prior):
    problem, inputs = _problem(mesh, prior)
    gradient = named(problem.log_evidence_and_gradient(inputs)[1])
    for part in ("rays", "vertices", "regularization"):
        at = getattr(inputs, part)
        if not at.size:
            continue
        direction = rng.standard_normal(at.shape) * (1.0 if part == "regularization" else 0.01)
        terms = getattr(gradient, part) * direction
        exact, size = np.sum(terms), np.linalg.norm(terms)  # the latter: of a slope where nothing cancels

        def slope(h, part=part, at=at, direction=direction):
            def value(step):
                return problem.log_evidence(inputs._replace(**{part: at + step * direction}))

            return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)

        errors = (abs(slope(h) - exact) / size for h in (1e-4, 3e-5, 1e-3, 1e-5, 3e-6))
        assert any(error < 1e-6 for error in errors), part


SMALL = pl.Imaging(np.ones((5, 5)), np.ones((5, 5)), np.ones((3, 3)), 0.1)
BRIGHTNESS = 0.1 + np.arange(25.0).reshape(5, 5) % 7
ALONE = priors(BRIGHTNESS) | {"BrightnessZeroth": pl.regularization.BrightnessZeroth(BRIGHTNESS, 2.0, 0.7)}
SUMS = {
    "sparse": ("Adapt", "MaternSPDE nu 2", "Zeroth", "ConstantSplit"),
    "dense": ("AdaptPower", "MaternKernel", "Dirichlet, adapted amplitude", "GaussianKernel"),
}
ALONE |= {f"sum, {name}": reduce(add, (ALONE[term] for term in terms)) for name, terms in SUMS.items()}
ALONE["sum, adapted amplitude"] = pl.regularization.AdaptAmplitude(ALONE["sum, sparse"], BRIGHTNESS, 0.2, 0.7)


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_has_the_sum_of_the_precisions(rng, name):
    vertices, rays = rng.uniform(-1.2, 1.2, (40, 2)), rng.uniform(-1.3, 1.3, (50, 2))
    laid = NaturalNeighborScheme(vertices, RING).geometry(rays, vertices, Workspace())

    def precision(prior):
        return prior.scheme(SMALL.plane).prior(np.array(prior.parameters), laid).precision

    ours, terms = ALONE[f"sum, {name}"], [ALONE[term] for term in SUMS[name]]
    assert ours.parameters == sum((term.parameters for term in terms), ())
    assert isinstance(precision(ours), SparsePrecision) == (name == "sparse")
    expected = sum(dense(precision(term)) for term in terms)
    np.testing.assert_allclose(dense(precision(ours)), expected, rtol=1e-12, atol=1e-12 * expected.max())


def test_a_sum_needs_and_counts_what_its_terms_do():
    ours, plain = ALONE["sum, sparse"], ALONE["Dirichlet"] + ALONE["Zeroth"]
    assert ours.needs_crosses
    assert ours.needs_areas
    assert not plain.needs_crosses
    assert not plain.needs_areas
    for prior, counts in ((ours, True), (plain, False)):
        scheme = prior.scheme(SMALL.plane)
        assert scheme.counts_neighbors == scheme.counts_rays == counts
    with pytest.raises(TypeError, match="unsupported operand"):
        ours + 1.0


@given(geometry=geometries(), seed=st.integers(0, 2**32 - 1))
def test_pullback_of_every_precision(geometry, seed):
    """Through the mesh to rays, vertices and parameters at once, for a random linear form of H."""
    vertices, rays = geometry
    rng = np.random.default_rng(seed)
    n = len(vertices)
    mesh = NaturalNeighborScheme(vertices, RING)
    laid = mesh.geometry(rays, vertices, Workspace())
    form = rng.standard_normal((n, n))
    form += form.T
    d_vertices, d_rays = rng.standard_normal(vertices.shape), rng.standard_normal(rays.shape)

    @cache
    def moved(step):
        return mesh.geometry(rays + step * d_rays, vertices + step * d_vertices, Workspace())

    for name, prior in ALONE.items():
        scheme = prior.scheme(SMALL.plane)
        parameters = np.array(prior.parameters) * rng.uniform(0.8, 1.25, len(prior.parameters))
        d_parameters = parameters * rng.standard_normal(parameters.size)
        at = scheme.prior(parameters, laid)
        precision = at.precision
        bar = form
        if isinstance(precision, SparsePrecision):
            pairs = precision.pattern
            bar = SparseCotangent(form.diagonal(), 2.0 * form[pairs.rows, pairs.cols])
        parameters_bar, geometry_bar = at.pullback(bar)
        weights_bar = np.zeros(laid.interpolation.weights.size)
        if geometry_bar.weights is not None:
            weights_bar = geometry_bar.weights
        rays_bar, vertices_bar = laid.pullback(weights_bar, geometry_bar)
        terms = [parameters_bar * d_parameters, rays_bar * d_rays, vertices_bar * d_vertices]
        exact, scale = sum(part.sum() for part in terms), sum(np.abs(part).sum() for part in terms)

        def slope(h, scheme=scheme, parameters=parameters, d_parameters=d_parameters):
            def value(step):
                return np.sum(
                    form * dense(scheme.prior(parameters + step * d_parameters, moved(step)).precision)
                )

            return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)

        # A flip or a crossing within the step spoils the difference, rounding the smallest steps.
        errors = (abs(slope(h) - exact) / scale for h in (1e-5, 1e-6, 1e-4, 1e-7, 1e-3, 1e-8))
        assert any(error < 1e-6 for error in errors), name


def test_matern_spde_needs_cells_with_area():
    scheme = pl.mesh.VoronoiNN(OVERLAY, pl.mesh.NearestVertex()).scheme(simulated().plane)
    vertices = scheme.image_plane_vertices
    geometry = scheme.geometry(simulated().plane.source_grid, vertices, Workspace())
    prior = pl.regularization.MaternSPDE().scheme(simulated().plane)
    with pytest.raises(InadmissibleError, match="no area"):
        prior.prior(np.array([0.3, 0.8]), geometry)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones(3), "expected an image"),
        (np.full((3, 3), np.nan), "finite"),
        (-np.ones((3, 3)), "negative"),
        (np.zeros((3, 3)), "not all zero"),
    ],
)
def test_bad_adapt_images(image, message):
    with pytest.raises(ValueError, match=f"adapt_image: .*{message}"):
        pl.regularization.Adapt(image)


def test_adapt_image_of_another_shape():
    with pytest.raises(ValueError, match=r"adapt_image: expected the shape of the dataset, \(37, 39\)"):
        pl.regularization.AdaptPower(np.ones((3, 3))).scheme(simulated().plane)


def test_split_priors_need_traced_vertices():
    prior = pl.regularization.ConstantSplit(1.0)
    with pytest.raises(InadmissibleError, match="traced vertices"):
        prior.scheme(simulated().plane).prior(np.ones(1), box((4, 4), 1.0))


def test_bad_parameters():
    for name in ("scale", "amplitude"):
        with pytest.raises(ValueError, match=name):
            pl.regularization.MaternSPDE(**{name: -1.0})
    with pytest.raises(ValueError, match="coefficient"):
        pl.regularization.Dirichlet(0.0)
    with pytest.raises(TypeError, match="nu: expected an integer"):
        pl.regularization.MaternSPDE(nu=1.5)
    with pytest.raises(ValueError, match="nu: expected at least 1"):
        pl.regularization.MaternSPDE(nu=0)
    geometry = box((4, 4), 1.0)
    for prior, parameters in ((PRIORS["MaternSPDE"], [0.3, -1.0]), (PRIORS["Dirichlet"], [-2.0])):
        with pytest.raises(InadmissibleError, match="positive"):
            prior.scheme(simulated().plane).prior(np.array(parameters), geometry)


def pixelized(mesh, prior):
    source = pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, prior))
    lens = pl.Galaxy(0.5, mass=pl.mass.Isothermal())
    return pl.LensedImage.dist(pl.Tracer([lens, source]), simulated())


WINDOW = pl.mesh.RectangularWindow((8, 8), (-0.5, 0.5, -0.5, 0.5))
NO_BORDER = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((8, 8)), border=pl.mesh.NearestVertex())
IMAGE = np.clip(simulated().data, 0.0, None)


@pytest.mark.parametrize(
    ("mesh", "prior", "words"),
    [
        (WINDOW, pl.regularization.ConstantSplit(), "split priors need a mesh of traced vertices"),
        (
            pl.mesh.BorderRelocation(pl.mesh.Rectangular((8, 8))),
            pl.regularization.AdaptSplit(IMAGE),
            "split priors",
        ),
        (NO_BORDER, pl.regularization.MaternSPDE(), "MaternSPDE needs a mesh whose cells all have an area"),
        (NO_BORDER, pl.regularization.AdaptAmplitude(pl.regularization.MaternSPDE(), IMAGE), "ZeroRing"),
        (
            pl.mesh.Rectangular((250, 250)),
            pl.regularization.Constant(),
            "62500 source pixels, which take about",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_issue13_line8_wrong_pairs_and_sizes_are_refused_at_construction(mesh, prior, words):
    with pytest.raises(ValueError, match=words):
        pixelized(mesh, prior)
