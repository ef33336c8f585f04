"""What every mesh, prior, part, response, solver and mass profile must hold to; a new one is a new row here.

What is checked of all of them elsewhere is not repeated: pullbacks of meshes in `test_mesh`; of priors, alone
and through the evidence on every mesh, in `test_regularization`; profiles against lenstronomy, potentials and
convergences in `test_mass`; compiled formulas and their adjoints on every backend in `test_ray_op`; evidence
and solution against the textbook formula in `test_inversion`; positive ones against quadrature and SciPy in
`test_positive`.
"""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from documented import extending
from problems import gaussian_psf, mass, simulated
from pytensor.compile.mode import Mode

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.inversion.solvers import SOLVERS
from pymc_lens.inversion.solvers.base import Solved, System
from pymc_lens.linalg.nnls import kkt_residual
from pymc_lens.linalg.precision import DensePrecision
from pymc_lens.linear.mapping import MappingMatrix, mapping_matrix
from pymc_lens.mesh.base import Mesh, MeshGeometry, MeshScheme
from pymc_lens.regularization.base import Regularization
from pymc_lens.response.base import Observed, Response
from pymc_lens.response.imaging_blur import DenseBlur, PairedBlur, TiledBlur
from pymc_lens.response.stacked import StackedResponse
from pymc_lens.workspace import Workspace

ONCE = Mode("py", None)


def difference(function: Any, h: float) -> float:
    """Fourth-order central difference at zero."""
    return (8.0 * (function(h) - function(-h)) - (function(2.0 * h) - function(-2.0 * h))) / (12.0 * h)


def with_holes(**changes: Any) -> pl.Imaging:
    """Pixels that the source covers but no data count of, and a PSF that is not symmetric."""
    dataset = simulated()
    noise = dataset.noise_map.copy()
    noise[15:18, 20:23] = np.inf
    psf = gaussian_psf((5, 4)) * np.linspace(0.5, 1.5, 4)
    arguments = {"mask": dataset.mask, "offset": (0.02, -0.01), "rotation": 10.0} | changes
    return pl.Imaging(dataset.data, noise, psf, 0.1, **arguments)


# --- meshes

OVERLAY = pl.image_mesh.Overlay((11, 12))  # none of its points is a ray, where weights have a kink
EXTENT = (-0.6, 0.6, -0.5, 0.6)
MESHES: dict[str, Mesh] = {
    "Rectangular": pl.mesh.Rectangular((7, 6)),
    "RectangularBox": pl.mesh.RectangularBox((7, 6), (-3.0, 3.0, -3.0, 3.0)),
    "RectangularWindow": pl.mesh.RectangularWindow((7, 6), EXTENT),
    "RectangularWindow, cubic": pl.mesh.RectangularWindow((7, 6), EXTENT, degree=3),
    "StretchedWindow": pl.mesh.StretchedWindow((7, 6), EXTENT, core=0.2),
    "StretchedWindow, cubic": pl.mesh.StretchedWindow((7, 6), EXTENT, degree=3, core=0.2),
    "RectangularAdaptive": pl.mesh.RectangularAdaptive((7, 6)),
    "VoronoiNN": pl.mesh.VoronoiNN(OVERLAY),
    "VoronoiNN without a ring": pl.mesh.VoronoiNN(OVERLAY, pl.mesh.NearestVertex()),
    "Delaunay": pl.mesh.Delaunay(OVERLAY),
    "DelaunayMagnification": pl.mesh.DelaunayMagnification((9, 10)),
    "BorderRelocation": pl.mesh.BorderRelocation(pl.mesh.VoronoiNN(OVERLAY)),
    "RadialBasis of docs/extending.md": extending().RadialBasis((7, 6), 0.15),
}
meshes = pytest.mark.parametrize("name", MESHES)


def traced(points: np.ndarray) -> np.ndarray:
    return pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0)]).traced_grid(points, 1.0).eval(mode=ONCE)


@cache
def rays() -> np.ndarray:
    return traced(simulated().plane.source_grid)


@cache
def laid_out(name: str) -> tuple[MeshScheme, MeshGeometry]:
    scheme = MESHES[name].scheme(simulated().plane)
    return scheme, scheme.geometry(rays(), traced(scheme.image_plane_vertices), Workspace())


@meshes
def test_mesh_says_of_its_geometry_what_priors_read(name: str) -> None:
    scheme, geometry = laid_out(name)
    n, pairs = scheme.n_source, geometry.couplings
    assert geometry.vertices.shape == (n, 2)
    assert geometry.boundary_degree.shape == geometry.volumes.areas.shape == (n,)
    assert geometry.volumes.boundary_conductances.shape == (n,)
    assert geometry.volumes.conductances.shape == pairs.rows.shape
    for pattern in (pairs, geometry.neighbors):
        assert pattern.size == n
        assert (pattern.rows > pattern.cols).all()
        assert np.unique(pattern.keys).size == pattern.keys.size
    assert (geometry.volumes.areas > 0.0).all() == MESHES[name].all_cells_have_areas
    interpolation = geometry.interpolation
    assert [part.dtype for part in (interpolation.indptr, interpolation.indices)] == [np.int64, np.int32]
    assert interpolation.indptr[-1] == interpolation.indices.size == interpolation.weights.size
    assert -1 <= interpolation.indices.min() <= interpolation.indices.max() < n
    if MESHES[name].has_crosses:
        assert geometry.crosses.indptr.size == 4 * n + 1


@meshes
def test_mesh_interpolates_rays_as_points(name: str, rng: np.random.Generator) -> None:
    scheme, geometry = laid_out(name)
    source = rng.standard_normal(scheme.n_source)
    inside = (np.abs(rays()) < 0.3).all(
        axis=1
    )  # what lies beyond the mesh may be extrapolated for rays alone
    expected = geometry.interpolation.apply(source)[inside]
    np.testing.assert_allclose(geometry.interpolate(rays()[inside]).apply(source), expected, atol=1e-12)
    assert np.abs(expected).max() > 0.1
    far = geometry.interpolate(np.array([[50.0, 50.0]])).apply(source)
    assert (far == 0.0).all() or name == "VoronoiNN without a ring"


@meshes
def test_mesh_scheme_is_told_by_its_content(name: str) -> None:
    scheme, _ = laid_out(name)
    again = pickle.loads(pickle.dumps(MESHES[name].scheme(simulated().plane)))
    assert again.digest == scheme.digest
    np.testing.assert_array_equal(again.image_plane_vertices, scheme.image_plane_vertices)


def test_mesh_schemes_that_differ_are_told_apart() -> None:
    assert len({laid_out(name)[0].digest for name in MESHES}) == len(MESHES)


# --- priors


def priors(image: np.ndarray) -> dict[str, Regularization]:
    prior = pl.regularization
    return {
        "Adapt": prior.Adapt(image, 2.0, 3.0, 0.7),
        "AdaptAmplitude": prior.AdaptAmplitude(prior.Dirichlet(4.0), image, 0.2, 0.7),
        "AdaptPower": prior.AdaptPower(image, 2.0, 8.0, 0.7, 1.3),
        "AdaptSplit": prior.AdaptSplit(image, 2.0, 3.0, 0.7),
        "AdaptSplitPower": prior.AdaptSplitPower(image, 2.0, 8.0, 0.7, 1.3),
        "BrightnessZeroth": prior.BrightnessZeroth(image, 2.0, 0.7) + prior.Zeroth(1.0),
        "Constant": prior.Constant(5.0),
        "ConstantSplit": prior.ConstantSplit(5.0),
        "ConstantZeroth": prior.ConstantZeroth(5.0, 0.5),
        "Dirichlet": prior.Dirichlet(4.0),
        "ExponentialKernel": prior.ExponentialKernel(2.0, 0.2),
        "GaussianKernel": prior.GaussianKernel(2.0, 0.05),
        "MaternAdaptPowerKernel": prior.MaternAdaptPowerKernel(image, 0.2, 2.0, 8.0, 0.7, 1.3, nu=1.5),
        "MaternKernel": prior.MaternKernel(2.0, 0.2, nu=1.5),
        "MaternSPDE": prior.MaternSPDE(scale=0.3, amplitude=0.8),
        "Zeroth": prior.Zeroth(2.0),
        "sum": prior.Dirichlet(4.0) + prior.Zeroth(0.5),
        "FadingAmplitude of docs/extending.md": extending().FadingAmplitude(2.0, 0.2),
    }


ADAPT_IMAGE = np.clip(simulated().native(simulated().data_fitted, fill=0.0), 0.0, None)
PRIORS = priors(ADAPT_IMAGE)


@pytest.mark.parametrize("name", PRIORS)
def test_precision_is_its_matrix(name: str, rng: np.random.Generator) -> None:
    prior, (_, geometry) = PRIORS[name], laid_out("VoronoiNN")
    precision = prior.scheme(simulated().plane).prior(np.array(prior.parameters), geometry).precision
    n = precision.size
    upper = np.zeros((n, n))
    precision.add_to(upper)
    matrix = np.triu(upper) + np.triu(upper, 1).T
    source, scale = rng.standard_normal(n), rng.uniform(0.5, 2.0, n)
    digits = {"rtol": 1e-7 if "Kernel" in name else 1e-9}
    np.testing.assert_allclose(precision.quadratic_form(source), source @ matrix @ source, rtol=1e-9)
    np.testing.assert_allclose(precision.log_determinant, np.linalg.slogdet(matrix)[1], **digits)
    np.testing.assert_allclose(matrix @ precision.solve(source), source, atol=1e-6)
    np.testing.assert_allclose(precision.inverse_diagonal(), np.linalg.inv(matrix).diagonal(), **digits)
    factor = np.triu(precision.cholesky())
    np.testing.assert_allclose(factor.T @ factor, matrix, atol=1e-10 * matrix.max())
    shifted, scaled = np.zeros((n, n)), np.zeros((n, n))
    precision.shifted(scale).add_to(shifted)
    precision.scaled(scale).add_to(scaled)
    np.testing.assert_allclose(np.triu(shifted), np.triu(matrix + np.diag(scale)), rtol=1e-12)
    np.testing.assert_allclose(np.triu(scaled), np.triu(scale[:, None] * matrix * scale), rtol=1e-12)
    assert np.isfinite(precision.draw(rng)).all()


@pytest.mark.parametrize("name", PRIORS)
def test_prior_scheme_is_told_by_its_content(name: str) -> None:
    plane = simulated().plane
    scheme = PRIORS[name].scheme(plane)
    again = pickle.loads(pickle.dumps(priors(ADAPT_IMAGE.copy())[name].scheme(plane)))
    assert repr(again) == repr(scheme)
    image = ADAPT_IMAGE.copy()
    image[18, 18] += 1.0
    adapted = any(word in name for word in ("Adapt", "Brightness"))
    assert (repr(priors(image)[name].scheme(plane)) != repr(scheme)) == adapted


@pytest.mark.parametrize("name", PRIORS)
def test_prior_refuses_parameters_outside_its_domain(name: str) -> None:
    prior, (_, geometry) = PRIORS[name], laid_out("VoronoiNN")
    scheme = prior.scheme(simulated().plane)
    for place in range(len(prior.parameters)):
        for value in (-1.0, 0.0):
            parameters = np.array(prior.parameters)
            parameters[place] = value
            with pytest.raises(pl.InadmissibleError):
                _ = scheme.prior(parameters, geometry).precision.log_determinant


# --- linear parts

LIGHT = pl.light.MultiGaussian.log_spaced((0.01, 0.02), [(0.1, 0.0)], 0.1, 0.6, 3)


def source(
    positivity: str | None = None, redshift: float = 1.0, mesh: str = "RectangularWindow, cubic"
) -> pl.Galaxy:
    pixelization = pl.Pixelization(MESHES[mesh], pl.regularization.Dirichlet(4.0), positivity)
    return pl.Galaxy(redshift, pixelization=pixelization)


def lens(light: pl.light.LightProfile | None = None) -> pl.Galaxy:
    return pl.Galaxy(0.5, mass=mass(), light=light)


POINT = pl.light.PointSource((0.02, -0.01))
SERSIC = extending().Sersic((0.0, 0.1), (0.1, 0.0), 0.3, 1.5)
IMAGES = {
    "pixelized": ([lens(), source()], None),
    "two pixelized": ([lens(), source(), source(redshift=2.0, mesh="VoronoiNN")], None),
    "light": ([pl.Galaxy(0.5, light=LIGHT)], None),
    "lensed light": ([lens(), pl.Galaxy(1.0, light=LIGHT)], None),
    "light of docs/extending.md": ([lens(SERSIC), pl.Galaxy(1.0, light=SERSIC)], None),
    "mixture": ([pl.Galaxy(0.5, light=pl.light.Mixture(LIGHT, [1.0, 0.5, 0.2]))], None),
    "light with a cusp": ([pl.Galaxy(0.5, light=pl.light.Sersic((0.01, 0.02), (0.1, 0.0), 0.3, 4.0))], None),
    "points": (
        [lens(POINT), pl.Galaxy(1.0, light=pl.light.PointSource([(0.9, 0.3), (-0.7, 0.42)]) + LIGHT)],
        None,
    ),
    "sky": ([pl.Galaxy(0.5, light=LIGHT)], pl.Sky()),
    "all, one of them positive": (
        [lens(LIGHT), source("map"), pl.Galaxy(1.0, light=SERSIC), source(redshift=2.0)],
        pl.Sky(order=1),
    ),
}
images = pytest.mark.parametrize("name", IMAGES)


def assembled(name: str, dataset: pl.Imaging) -> tuple[Inversion, tuple[np.ndarray, ...]]:
    galaxies, sky = IMAGES[name]
    inversion, inputs = assemble(pl.Tracer(galaxies), dataset, sky)
    return inversion, (dataset.data_fitted, *(part.eval(mode=ONCE) for part in inputs))


@images
def test_part_has_an_exact_gradient(name: str, rng: np.random.Generator) -> None:
    inversion, arrays = assembled(name, with_holes())
    gradient = inversion.log_evidence_and_gradient(arrays)[1]
    assert [each.ndim for each in inversion.inputs] == [array.ndim for array in arrays]
    for place, (array, bar) in enumerate(zip(arrays, gradient, strict=True)):
        assert array.shape == bar.shape
        if not array.size:
            continue
        direction = 1e-2 * rng.standard_normal(array.shape)
        exact, size = (bar * direction).sum(), np.linalg.norm(bar * direction)

        def value(h: float, place: int = place, moved: Any = (array, direction)) -> float:
            return inversion.log_evidence((*arrays[:place], moved[0] + h * moved[1], *arrays[place + 1 :]))

        errors = (abs(difference(value, h) - exact) / size for h in (1e-2, 1e-3, 1e-4, 1e-5, 1e-1))
        assert any(error < 1e-6 for error in errors), inversion.inputs[place].name


@images
def test_part_is_seen_alone(name: str) -> None:
    inversion, arrays = assembled(name, with_holes())
    solution = inversion.invert(arrays)
    coefficients = solution.coefficients
    pictures = inversion.images(solution, coefficients)
    model = inversion.model_image(solution, coefficients)
    np.testing.assert_allclose(sum(pictures.values()), model, atol=1e-10 * np.abs(model).max())
    assert list(pictures) == [part.name for part in inversion.parts]
    for part in inversion.parts:
        assert coefficients[inversion.places[part.name]].size == part.size
        assert not part.confined or (coefficients[inversion.places[part.name]] >= 0.0).all()


@images
def test_part_is_told_by_its_content(name: str) -> None:
    (inversion, _), (again, _) = assembled(name, with_holes()), assembled(name, with_holes())
    assert pickle.loads(pickle.dumps(again)) == inversion
    assert [part.digest for part in again.parts] == [part.digest for part in inversion.parts]
    assert assembled(name, with_holes(rotation=20.0))[0] != inversion


def test_parts_that_differ_are_told_apart() -> None:
    # Of a mixture there is one column like that of any profile: what differs is an input.
    different = IMAGES.keys() - {"mixture"}
    assert len({assembled(name, with_holes())[0].digest for name in different}) == len(different)
    # Light of one name, in front of the lens and behind it: its pixels come in another order.
    named = pl.Galaxy(0.5, light=LIGHT, name="it"), pl.Galaxy(1.0, light=LIGHT, name="it")
    front, behind = (
        assemble(pl.Tracer(galaxies), with_holes()) for galaxies in ([named[0]], [lens(), named[1]])
    )
    assert front.inversion != behind.inversion


# --- responses

EXPOSURES = (with_holes(), simulated().apply_mask(pl.Mask2D.circular((37, 39), 0.1, 1.2)))
RESPONSES: dict[str, tuple[type[Response], tuple[pl.Imaging, ...]]] = {
    "TiledBlur": (TiledBlur, EXPOSURES[:1]),
    "PairedBlur": (PairedBlur, EXPOSURES[:1]),
    "DenseBlur": (DenseBlur, EXPOSURES[:1]),
    "StackedResponse of tiles": (TiledBlur, EXPOSURES),
    "StackedResponse of pairs": (PairedBlur, EXPOSURES),
    "StackedResponse, dense": (DenseBlur, EXPOSURES),
}
responses = pytest.mark.parametrize("name", RESPONSES)


def response_of(name: str, *other: pl.Imaging) -> Response:
    kind, exposures = RESPONSES[name]
    each = [kind(exposure) for exposure in (*other, *exposures[len(other) :])]
    return StackedResponse(each) if "Stacked" in name else each[0]


class Seen:
    """A response of random columns that are seen everywhere, and of a source where it takes one."""

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        kind, exposures = RESPONSES[name]
        self.response = response_of(name)
        starts = np.cumsum([0, *(kind(exposure).frame_size for exposure in exposures)])
        self.positions = np.concatenate(
            [
                exposure.light_grid.pixel_index + start
                for exposure, start in zip(exposures, starts, strict=False)
            ]
        )
        self.columns = rng.standard_normal((3, self.positions.size))
        self.blurred = self.response.blur([(self.columns, self.positions)])
        self.n_mapped, empty = 0, np.empty(0, np.int32)
        self.mapping = MappingMatrix(np.zeros(1, np.int64), empty, np.empty(0), empty)
        if kind is not DenseBlur:
            mesh = pl.mesh.RectangularWindow((7, 6), EXTENT)
            grid = traced(np.concatenate([exposure.plane.source_grid for exposure in exposures]))
            interpolation = mesh.geometry(grid, np.empty((0, 2)), Workspace()).interpolation
            n_pixels = sum(exposure.plane.n_pixels for exposure in exposures)
            self.n_mapped, self.mapping = mesh.n_source, mapping_matrix(interpolation, n_pixels)
        self.n = self.n_mapped + len(self.columns)
        self.data = rng.standard_normal(self.response.noise.size)

    def observed(self, weights: np.ndarray | None = None, blurred: np.ndarray | None = None) -> Observed:
        weights = self.mapping.weights if weights is None else weights
        mapping = MappingMatrix(self.mapping.indptr, self.mapping.indices, weights, self.mapping.slots)
        blurred = self.blurred if blurred is None else blurred
        return self.response.observe(mapping, self.n_mapped, blurred, Workspace())

    def normal_equations(self, observed: Observed) -> tuple[np.ndarray, np.ndarray]:
        matrix, vector = np.empty((self.n, self.n)), np.empty(self.n)
        observed.normal_equations(self.response.whiten(self.data), matrix, vector)
        return np.triu(matrix) + np.triu(matrix, 1).T, vector


@pytest.fixture(name="seen")
def _seen(name: str, rng: np.random.Generator) -> Seen:
    return Seen(name, rng)


@responses
def test_response_has_adjoints(seen: Seen, rng: np.random.Generator) -> None:
    response, bar = seen.response, rng.standard_normal(seen.blurred.shape)
    forward = (seen.blurred * bar).sum()
    assert (seen.columns * response.blur_pullback(bar, seen.positions)).sum() == pytest.approx(
        forward, rel=1e-12
    )
    values, image = seen.data, rng.standard_normal(response.root_weights.size)
    fitted = response.spread(np.ones_like(values)) > 0.0
    assert response.spread(values) @ image == pytest.approx(values @ image[fitted], rel=1e-12)
    np.testing.assert_allclose(response.root_weights, response.spread(1.0 / response.noise), rtol=1e-12)


@responses
def test_response_whitens(seen: Seen) -> None:
    response, whitened = seen.response, seen.response.whiten(seen.data)
    np.testing.assert_allclose(response.unwhiten(whitened), seen.data, rtol=1e-12)
    chi_squared = ((seen.data / response.noise) ** 2).sum()
    assert (whitened**2).sum() == pytest.approx(chi_squared, rel=1e-12)
    assert response.noise_normalization == pytest.approx(np.log(2.0 * np.pi * response.noise**2).sum())


@responses
def test_response_has_the_normal_equations_of_what_it_predicts(seen: Seen) -> None:
    response, observed = seen.response, seen.observed()
    unit = np.eye(seen.n)
    predicted = np.array([observed.predict(column).ravel() for column in unit])
    matrix, vector = seen.normal_equations(observed)
    size = np.abs(matrix).max()
    np.testing.assert_allclose(matrix, predicted @ predicted.T, atol=1e-12 * size)
    whitened = response.whiten(seen.data).ravel()
    np.testing.assert_allclose(vector, predicted @ whitened, atol=1e-12 * size)
    columns = np.array([response.unwhiten(observed.predict(column)) for column in unit[seen.n_mapped :]])
    fitted = response.spread(np.ones(response.noise.size)) > 0.0
    np.testing.assert_allclose(columns, seen.blurred[:, fitted], atol=1e-12)


@responses
def test_response_knows_the_variances_of_what_it_predicts(seen: Seen, rng: np.random.Generator) -> None:
    observed, root = seen.observed(), rng.standard_normal((seen.n, seen.n))
    predicted = np.array([observed.predict(column) for column in np.eye(seen.n)])
    expected = (np.tensordot(root, predicted, (0, 0)) ** 2).sum(axis=0)
    variances = observed.variances(np.triu(root @ root.T))
    np.testing.assert_allclose(variances, expected, atol=1e-12 * expected.max())


@responses
def test_response_pulls_the_evidence_back(seen: Seen, rng: np.random.Generator) -> None:
    """Of ``s'D - tr(F (C + ss')) / 2``, whose derivative in the columns is that of the evidence."""
    mean, root = rng.standard_normal(seen.n), rng.standard_normal((seen.n, seen.n))
    second = root @ root.T + np.outer(mean, mean)
    d_weights = rng.standard_normal(seen.mapping.weights.size)
    d_blurred = rng.standard_normal(seen.blurred.shape)

    def value(h: float) -> float:
        observed = seen.observed(seen.mapping.weights + h * d_weights, seen.blurred + h * d_blurred)
        matrix, vector = seen.normal_equations(observed)
        return mean @ vector - 0.5 * (matrix * second).sum()

    observed = seen.observed()
    seen.normal_equations(observed)
    residual = seen.response.whiten(seen.data) - observed.predict(mean)
    weights_bar, blurred_bar = observed.pullback(residual, mean, np.triu(root @ root.T))
    exact = weights_bar @ d_weights + (blurred_bar * d_blurred).sum()
    assert difference(value, 1e-3) == pytest.approx(exact, rel=1e-8)


@responses
def test_response_is_told_by_its_content(name: str) -> None:
    response = response_of(name)
    assert pickle.loads(pickle.dumps(response_of(name, with_holes()))).digest == response.digest
    assert response_of(name, with_holes(rotation=20.0)).digest != response.digest


def test_responses_that_differ_are_told_apart() -> None:
    assert len({response_of(name).digest for name in RESPONSES}) == len(RESPONSES)


# --- solvers

N_SOURCE = 6
CONFINED = {
    None: np.zeros(10, bool),
    **{way: np.arange(10) < 8 for way in ("map", "marginal")},
    "nnls": np.arange(10) >= 8,
}


class Posed:
    """A small system: six pixels of a source with a prior, and four amplitudes, some of them confined."""

    def __init__(self, way: str | None, rng: np.random.Generator) -> None:
        self.solver, self.confined = SOLVERS[way], CONFINED[way]
        design = rng.standard_normal((15, 10))
        self.curvature, self.prior = design.T @ design, 2.0 * np.eye(N_SOURCE) - 0.3
        self.vector = design.T @ (design @ rng.standard_normal(10) + rng.standard_normal(15))

    def solved(self, curvature: np.ndarray, prior: np.ndarray, vector: np.ndarray) -> tuple[Any, ...]:
        """Return ln E up to what no solver changes, the matrix, what was found, the factor, the system."""
        own = self.solver.marginalises
        priors = ((slice(0, N_SOURCE), DensePrecision(prior)),) if own else ()
        system = System(vector, self.confined, priors)
        matrix = curvature + np.eye(10)
        if own:
            matrix[:N_SOURCE, :N_SOURCE] += prior - np.eye(N_SOURCE)
        factor = np.triu(matrix)
        solved = self.solver.solve(factor, system, None, Workspace())
        s = solved.coefficients
        log_evidence = s @ vector - 0.5 * s @ matrix @ s + solved.log_positivity
        if own:
            log_evidence -= np.log(factor.diagonal()).sum() - 0.5 * np.linalg.slogdet(prior)[1]
        return log_evidence, matrix, solved, factor, system


solvers = pytest.mark.parametrize("way", SOLVERS)


@pytest.fixture(name="posed")
def _posed(way: str | None, rng: np.random.Generator) -> Posed:
    return Posed(way, rng)


@solvers
def test_solver_confines_what_is_confined_and_is_optimal(way: str | None, posed: Posed) -> None:
    _, matrix, solved, _, _ = posed.solved(posed.curvature, posed.prior, posed.vector)
    s, free = solved.coefficients, ~posed.confined
    assert (s[~free] >= 0.0).all()
    assert (np.linalg.solve(matrix, posed.vector)[posed.confined] < 0.0).any() == (way is not None)
    if way == "marginal":  # a mean: of the confined and, given those, of the others
        given = posed.vector[free] - matrix[np.ix_(free, ~free)] @ s[~free]
        np.testing.assert_allclose(matrix[np.ix_(free, free)] @ s[free], given, rtol=1e-6, atol=1e-6)
        return
    slack = posed.vector - matrix @ s
    size = np.abs(posed.vector).max()
    np.testing.assert_allclose(slack[free], 0.0, atol=1e-10 * size)
    assert kkt_residual(
        matrix[~free][:, ~free], posed.vector[~free] - matrix[~free][:, free] @ s[free], s[~free]
    ) < (1e-8)


@solvers
def test_solver_knows_the_derivatives_of_the_evidence(
    way: str | None, posed: Posed, rng: np.random.Generator
) -> None:
    direction = rng.standard_normal((10, 10))
    d_curvature = direction + direction.T
    d_prior, d_vector = d_curvature[:N_SOURCE, :N_SOURCE], rng.standard_normal(10)
    at = (posed.curvature, posed.prior, posed.vector)
    _, _, solved, factor, system = posed.solved(*at)
    mean = solved.coefficients
    second, before = np.outer(mean, mean), np.zeros((N_SOURCE, N_SOURCE))
    if posed.solver.marginalises:
        mean, covariance, (before,) = posed.solver.moments(solved, factor, system)
        second = np.triu(covariance) + np.triu(covariance, 1).T + np.outer(mean, mean)
        before = np.triu(before) + np.triu(before, 1).T
    of_prior = (before - second[:N_SOURCE, :N_SOURCE]) * d_prior
    exact = {
        "D": (mean @ d_vector, (0.0, 0.0, 1.0)),
        "F": (-0.5 * (second * d_curvature).sum(), (1.0, 0.0, 0.0)),
        "H": (0.5 * of_prior.sum(), (0.0, 1.0, 0.0)),
    }
    if not posed.solver.marginalises:
        del exact["H"]
    for what, (slope, which) in exact.items():

        def value(h: float, which: Any = which) -> float:
            steps = zip(at, which, (d_curvature, d_prior, d_vector), strict=True)
            return posed.solved(*(array + share * h * step for array, share, step in steps))[0]

        errors = [abs(difference(value, h) / slope - 1.0) for h in (1e-3, 1e-4, 1e-2)]
        assert min(errors) < (1e-4 if way == "marginal" else 1e-6), (what, errors)


@solvers
def test_solver_takes_any_guess_and_is_told_by_its_content(way: str | None, posed: Posed) -> None:
    at = (posed.curvature, posed.prior, posed.vector)
    _, matrix, solved, _, system = posed.solved(*at)
    again = pickle.loads(pickle.dumps(posed.solver))
    assert (again, hash(again), repr(again)) == (posed.solver, hash(posed.solver), repr(posed.solver))
    guess = Solved(solved.coefficients + 1.0, 0.0, solved.confinements)
    from_guess = again.solve(np.triu(matrix), system, guess, Workspace())
    np.testing.assert_allclose(from_guess.coefficients, solved.coefficients, rtol=1e-7, atol=1e-9)
    assert from_guess.log_positivity == pytest.approx(solved.log_positivity, rel=1e-7, abs=1e-9)


# --- mass profiles

CENTRE = (0.05, -0.1)
values = pt.vector("values", shape=(5,))
PROFILES: dict[str, pl.mass.MassProfile] = {
    "ExternalShear": pl.mass.ExternalShear(values[2], values[3]),
    "Isothermal": pl.mass.Isothermal(values[:2], values[2:4], values[4]),
    "IsothermalCore": pl.mass.IsothermalCore(values[:2], values[2:4], values[4], values[4] - 1.0),
    "dPIEMass": pl.mass.dPIEMass(values[:2], values[2:4], 0.1, values[4], values[4]),
    "MassSheet": pl.mass.MassSheet(values[:2], values[2]),
    "NFW": pl.mass.NFW(values[:2], values[2:4], 0.1, values[4]),
    "PowerLawMultipole": pl.mass.PowerLawMultipole(
        3, values[:2], values[4], 1.0 + values[4], values[2:4], values[2:4]
    ),
    "Sersic": pl.mass.Sersic(values[:2], values[2:4], 0.1, values[4], 1.0 + values[4], 1.0),
    "MultiGaussian": pl.mass.MultiGaussian(values[:2], values[2:4], [0.1, 1.0], (values[4], 1.0), values[4]),
    "NFWSph": pl.mass.NFWSph(values[:2], 0.1, values[4]),
    "PowerLawCore": pl.mass.PowerLawCore(values[:2], values[2:4], values[4], 1.0 + values[4], values[4]),
    "cNFW": pl.mass.cNFW(values[:2], values[2:4], 0.1, values[4], values[4] - 1.0),
    "gNFW": pl.mass.gNFW(values[:2], values[2:4], 0.1, values[4], values[4]),
    "NFWTruncatedSph": pl.mass.NFWTruncatedSph(values[:2], 0.1, values[4], 2.0 * values[4]),
    "ExternalPotential": pl.mass.ExternalPotential(values[:2], *(values[i] for i in (2, 3, 4, 2, 3, 4))),
    "PointMass": pl.mass.PointMass(values[:2], values[4]),
    "PowerLaw": pl.mass.PowerLaw(values[:2], values[2:4], values[4], 1.0 + values[4]),
    "TruncatedHalo of docs/extending.md": extending().TruncatedHalo(
        values[:2], values[4], 0.1, 1.0 + values[4]
    ),
    "CompiledHalo of docs/extending.md": extending().CompiledHalo(
        values[:2], values[4], 0.1, 1.0 + values[4]
    ),
}
PROFILES["MassSum"] = PROFILES["Isothermal"] + PROFILES["ExternalShear"]


@pytest.mark.parametrize("name", PROFILES)
def test_profile_is_finite_at_its_centre_where_it_is_round(name: str) -> None:
    """Its deflection vanishes there; that, its convergence and all gradients are finite."""
    at = np.array([*CENTRE, 0.0, 0.0, 1.2])
    profile, grid = PROFILES[name], np.array([CENTRE, (0.3, 0.4)])
    deflections, convergence = profile.deflections(grid), profile.convergence(grid)
    total = deflections.sum()
    results = pytensor.function(
        [values], [deflections, convergence, pytensor.grad(total, values)], mode=ONCE
    )(at)
    assert all(np.isfinite(result).all() for result in results)
    np.testing.assert_array_equal(results[0][0], 0.0)


@pytest.mark.parametrize("name", PROFILES)
def test_profile_is_never_an_error(name: str) -> None:
    """Where the likelihood is zero its gradient is zero too, whatever the parameters."""
    grid, bars = np.array([CENTRE, (0.3, 0.4)]), pt.matrix("bars", shape=(2, 2))
    deflections = PROFILES[name].deflections(grid)
    gradient = pytensor.grad((bars * deflections).sum(), values)
    both = pytensor.function([values, bars], [deflections, gradient], mode=ONCE)
    for place in range(5):
        for extreme in (-1e40, 1e40, 1e200):
            at = np.array([*CENTRE, 0.1, 0.05, 1.2])
            at[place] = extreme
            alphas, slopes = both(at, np.zeros((2, 2)))
            np.testing.assert_array_equal(slopes, 0.0)
            assert alphas.shape == grid.shape


# --- nobody is missing


@pytest.mark.parametrize(
    ("room", "contract", "tables", "besides"),
    [
        (pl.mesh, Mesh, MESHES, {"Mesh"}),
        (pl.regularization, Regularization, PRIORS, {"Regularization"}),
        (pl.mass, pl.mass.MassProfile, PROFILES, {"MassProfile", "FromPotential", "FromDeflections"}),
    ],
)
def test_every_public_class_has_a_row(room: Any, contract: type, tables: dict, besides: set[str]) -> None:
    kinds = (getattr(room, name) for name in room.__all__)
    public = {kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, contract)}
    assert public - besides <= {name.split(",")[0] for name in tables}
