"""Stage by stage against PyAutoLens, see tests/golden/README.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from astropy.io import fits
from conftest import Golden
from inversions import SourceAlone, named, source_inversion
from scipy.sparse import coo_array

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.errors import InadmissibleError
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.inversion.solvers import SOLVERS, PositiveMap
from pymc_lens.inversion.solvers.base import System
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.linear.mapping import mapping_matrix
from pymc_lens.mesh.base import MeshGeometry, MeshScheme
from pymc_lens.mesh.delaunay import BarycentricScheme
from pymc_lens.mesh.rectangular_adaptive import RectangularAdaptiveScheme
from pymc_lens.mesh.voronoi_nn import NaturalNeighborScheme
from pymc_lens.regularization.adapt import AdaptScheme, BrightnessZerothScheme
from pymc_lens.regularization.adaptive_kernel import AdaptiveKernelScheme
from pymc_lens.regularization.base import RegularizationScheme
from pymc_lens.regularization.constant import ConstantScheme
from pymc_lens.regularization.kernels import GaussianKernelScheme, MaternKernelScheme
from pymc_lens.regularization.matern_spde import MaternSPDEScheme
from pymc_lens.regularization.split import AdaptSplitScheme, ConstantSplitScheme
from pymc_lens.regularization.zeroth import ConstantZeroth, ZerothScheme
from pymc_lens.workspace import Workspace

MESH = pl.mesh.Rectangular((15, 15))
TERMS = (
    "chi_squared",
    "regularization_term",
    "log_det_curvature_reg",
    "log_det_regularization",
    "noise_normalization",
    "log_evidence",
)


@pytest.fixture(scope="module")
def dataset(golden):
    # PyAutoLens's row 0 is the top, ours the bottom.
    data, noise_map, psf = (
        fits.getdata(golden.path(f"{name}.fits")).astype(float)[::-1] for name in ("data", "noise_map", "psf")
    )
    full = pl.Imaging(data, noise_map, psf, 0.1, over_sample_size_pixelization=4)
    return full.apply_mask(pl.Mask2D.circular(full.shape_native, 0.1, 2.5))


@pytest.fixture(scope="module")
def orders(golden, dataset):
    """For our slim pixels and rays their places in PyAutoLens's order."""
    rowcol = golden("dataset_slim.npz")["slim_rowcol"]
    place = np.full((60, 60), -1)
    place[59 - rowcol[:, 0], rowcol[:, 1]] = np.arange(len(rowcol))
    pixels = place[dataset.plane.pixel_rows, dataset.plane.pixel_cols]
    sub = np.arange(16).reshape(4, 4)[::-1].ravel()
    rays = (16 * pixels[:, None] + sub[None]).ravel()
    return pixels, rays


@pytest.fixture(scope="module")
def rays(golden, orders):
    traced = golden("traced.npz")
    positions = traced["traced_sub_yx"].copy()
    positions[traced["relocated_sub_index"]] = traced["relocated_sub_yx"]
    return np.ascontiguousarray(positions[orders[1]])


SOURCE_ORDER = np.arange(225).reshape(15, 15)[::-1].ravel()


def test_dataset(golden, dataset, orders):
    slim = golden("dataset_slim.npz")
    np.testing.assert_allclose(dataset.data_fitted, slim["data"][orders[0]], rtol=1e-12)
    np.testing.assert_allclose(dataset.plane.grid, slim["grid_slim_yx"][orders[0]], atol=1e-12)


def test_rays_before_relocation(golden, dataset, orders):
    lens = pl.mass.Isothermal(ell_comps=(0.17647058823529413, 0.0), einstein_radius=1.2)
    traced = dataset.plane.source_grid - lens.deflections(dataset.plane.source_grid).eval()
    np.testing.assert_allclose(traced, golden("traced.npz")["traced_sub_yx"][orders[1]], atol=1e-10)


class OnEdgesBarycentric(NaturalNeighborScheme):
    """PyAutoLens interpolates a ray on an edge of a triangle, to 128 roundings, between its two ends alone.

    Sibson's weights of such a ray have more natural neighbours, and are continuous across the edge.
    """

    def weights(self, triangulation, containing, points, workspace):
        smooth = super().weights(triangulation, containing, points, workspace)
        linear = BarycentricScheme.weights(self, triangulation, containing, points, Workspace())
        of_smooth, of_linear = rays_of_entries(smooth), rays_of_entries(linear)
        on_edge = np.zeros(len(points), bool)
        on_edge[of_linear[np.abs(linear.weights) <= 128 * np.finfo(float).eps]] = True
        entries = (
            (rows[chosen], interpolation.indices[chosen], interpolation.weights[chosen])
            for rows, interpolation, chosen in (
                (of_smooth, smooth, ~on_edge[of_smooth]),
                (of_linear, linear, on_edge[of_linear]),
            )
        )
        rows, indices, weights = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        order = np.argsort(rows, kind="stable")
        indptr = np.append(0, np.cumsum(np.bincount(rows, minlength=len(points))))
        return Interpolation(indptr, indices[order], weights[order])


class OneRowDown(RectangularAdaptiveScheme):
    """PyAutoLens counts the rows of this mesh from n instead of n - 1: its source sits a row off centre.

    And it takes distances for kernels between the nodes of a uniform grid over the traced pixel centres.
    """

    def geometry(self, rays, vertices, workspace):
        geometry = super().geometry(rays, vertices, workspace)
        interpolation = geometry.interpolation
        interpolation.indices[:] = np.maximum(interpolation.indices - 15, 0)
        uniform = MESH.geometry(rays, np.empty((0, 2)), Workspace())
        return replace(geometry, vertices=uniform.vertices)


@dataclass(frozen=True, eq=False)
class RoundedDistances(MaternKernelScheme):
    """PyAutoLens takes distances from d^2 = x^2 + y^2 - 2 x y, and some not below a smallest one.

    The rounding makes a pixel's distance to itself about 1e-8: as much as the ridge, where a kernel has a
    slope at zero. It depends on the order of the pixels and on the last digit of their places, so these are
    PyAutoLens's own. (README has a second ridge, on H, which only the Gaussian kernel's numbers contain.)
    """

    shortest: float
    recorded: np.ndarray
    order: np.ndarray

    def correlations(self, scale, vertices):
        np.testing.assert_allclose(vertices, self.recorded[self.order], atol=1e-10)
        squared, products = (self.recorded**2).sum(axis=1), self.recorded @ self.recorded.T
        distances = np.sqrt(np.maximum(squared[:, None] + squared - 2.0 * products, 0.0) + 1e-20)
        rounded = self.correlation(np.maximum(distances, self.shortest) / scale)
        return rounded[np.ix_(self.order, self.order)]


@dataclass(frozen=True, eq=False)
class LastDigits(BarycentricScheme):
    """Takes PyAutoLens's places of vertices, whose rounding decides between two equally good diagonals."""

    recorded: np.ndarray

    def geometry(self, rays, vertices, workspace):
        np.testing.assert_allclose(vertices, self.recorded, atol=1e-11)
        return super().geometry(rays, self.recorded, workspace)


class EdgeZero(PositiveMap):
    """PyAutoLens's option for rectangular meshes: no source in the outermost pixels.

    It drops them from the solution alone; the determinants remain those of all pixels, as if they were free.
    A mesh that ends in zeros by construction, `RectangularBox`, has no such pixels in either.
    """

    def solve(self, matrix, system, guess, workspace):
        whole = matrix.copy()
        solved = super().solve(matrix, system, None, workspace)
        inner = np.arange(225).reshape(15, 15)[1:-1, 1:-1].ravel()
        values = np.zeros(225)
        values[inner] = solve_positive(
            np.ascontiguousarray(whole[np.ix_(inner, inner)]),
            system.data_vector[inner],
            solved.coefficients[inner] > 0.0,
            Workspace(),
        ).values
        return solved._replace(coefficients=values)


class Case(NamedTuple):
    """One of PyAutoLens's meshes as pymc_lens lays it out; ``order`` holds its pixels in our order."""

    expected: dict[str, np.ndarray]
    scheme: MeshScheme
    vertices: np.ndarray
    order: np.ndarray


TRIANGULATED = {"delaunay_overlay_15": BarycentricScheme, "delaunay_nn_overlay_15": OnEdgesBarycentric}
NAMES = ("rect_uniform_15", "rect_rtu_adapt_density_15", *TRIANGULATED)


@pytest.fixture(scope="module")
def case(golden, dataset, orders):
    @cache
    def of(name: str) -> Case:
        expected = golden(f"{name}.npz")
        if name == "rect_uniform_15":
            return Case(expected, MESH, np.empty((0, 2)), SOURCE_ORDER)
        if name == "rect_rtu_adapt_density_15":
            centres = np.ascontiguousarray(golden("traced.npz")["relocated_slim_yx"][orders[0]])
            ours = pl.mesh.RectangularAdaptive((15, 15)).scheme(dataset.plane)
            scheme = OneRowDown(ours.shape, ours.bandwidth, ours.centres, ours.weights)
            return Case(expected, scheme, centres, SOURCE_ORDER)
        traced = pl.image_mesh.Overlay((15, 15)).vertices(dataset.plane)
        order = matching(traced, expected["image_plane_vertices_yx"])
        vertices = np.ascontiguousarray(expected["mesh_vertices_yx"][order])
        return Case(expected, TRIANGULATED[name](traced, np.empty((0, 2))), vertices, order)

    return of


def matching(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """For each of our points the place of the same point among theirs."""
    place, index = (np.lexsort(np.round(points, 6).T) for points in (ours, theirs))
    order = np.empty(len(ours), int)
    order[place] = index
    np.testing.assert_allclose(ours, theirs[order], atol=1e-12)
    return order


def rays_of_entries(interpolation: Interpolation) -> np.ndarray:
    return np.repeat(np.arange(interpolation.indptr.size - 1), np.diff(interpolation.indptr))


def dense_mapping(interpolation, n_pixels, n_source):
    mapping = mapping_matrix(interpolation, n_pixels)
    dense = np.zeros((n_pixels, n_source))
    dense[np.repeat(np.arange(n_pixels), np.diff(mapping.indptr)), mapping.indices] = mapping.weights
    return dense


def symmetric(upper: np.ndarray) -> np.ndarray:
    return np.triu(upper) + np.triu(upper, 1).T


def inputs_of(dataset, rays, case, parameters):
    return SourceAlone(dataset.data_fitted, rays, case.vertices, np.array(parameters, float))


@pytest.mark.parametrize("name", NAMES)
def test_mapping_and_curvature(golden, dataset, rays, orders, case, name):
    mesh = case(name)
    expected, order = mesh.expected, mesh.order
    geometry = mesh.scheme.geometry(rays, mesh.vertices, Workspace())
    np.testing.assert_allclose(geometry.vertices, expected["mesh_vertices_yx"][order], atol=1e-10)
    interpolation = geometry.interpolation
    shape = (dataset.plane.n_pixels, len(order))
    theirs = coo_array((expected["mapping_val"], (expected["mapping_row"], expected["mapping_col"])), shape)
    np.testing.assert_allclose(
        dense_mapping(interpolation, *shape), theirs.toarray()[orders[0]][:, order], atol=1e-8
    )

    every37 = np.flatnonzero(orders[1] % 37 == 0)
    theirs = np.zeros((855, len(order) + 1))
    np.add.at(
        theirs, (np.arange(855)[:, None], expected["sub_mappings_every37"]), expected["sub_weights_every37"]
    )
    ours = dense_mapping(interpolation, len(rays), len(order))[every37]
    np.testing.assert_allclose(ours, theirs[orders[1][every37] // 37][:, order], atol=1e-8)

    prior = pl.regularization.Zeroth(1.0)
    problem = source_inversion(dataset, mesh.scheme, prior.scheme(dataset.plane))
    inversion = problem.invert(inputs_of(dataset, rays, mesh, [1.0]))
    np.testing.assert_allclose(inversion.image.data_vector, expected["data_vector"][order], rtol=1e-8)
    root = np.triu(inversion.factor)
    curvature = root.T @ root - np.eye(len(order))
    if "curvature_triu" in expected:
        theirs = np.zeros(curvature.shape)
        theirs[np.triu_indices(len(order))] = expected["curvature_triu"]
        theirs = symmetric(theirs)[np.ix_(order, order)]
        np.testing.assert_allclose(curvature, theirs, rtol=1e-8, atol=1e-8 * np.abs(theirs).max())
    else:
        for ours, theirs in (
            (curvature.diagonal(), expected["curvature_diag"]),
            (curvature.sum(axis=1), expected["curvature_row_sums"]),
        ):
            np.testing.assert_allclose(ours, theirs[order], rtol=1e-8, atol=1e-8 * theirs.max())


def test_blurred_columns(golden, dataset, rays, orders, case):
    """Through images of single source pixels; PyAutoLens records no columns of the adaptive rectangle."""
    for name in NAMES:
        mesh = case(name)
        expected = mesh.expected
        problem = source_inversion(dataset, mesh.scheme, pl.regularization.Zeroth(1.0).scheme(dataset.plane))
        inversion = problem.invert(inputs_of(dataset, rays, mesh, [1.0]))
        columns = np.stack([problem.model_image(inversion, unit) for unit in np.eye(len(mesh.order))], axis=1)
        for ours, theirs in (
            (columns.sum(axis=0), expected["blurred_colsum"][mesh.order]),
            (columns.sum(axis=1), expected["blurred_rowsum"][orders[0]]),
            (np.linalg.norm(columns), expected["blurred_frob"]),
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)
        shape = (dataset.plane.n_pixels, len(expected["blurred_cols"]))
        theirs = coo_array(
            (expected["blurred_val"], (expected["blurred_row"], expected["blurred_col"])), shape
        )
        place = np.argsort(mesh.order)[expected["blurred_cols"]]
        if theirs.nnz:
            np.testing.assert_allclose(columns[:, place], theirs.toarray()[orders[0]], atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_neighbors(rays, case, name):
    mesh = case(name)
    ours = mesh.scheme.geometry(rays, mesh.vertices, Workspace()).neighbors
    theirs, sizes = mesh.expected["neighbors"], mesh.expected["neighbors_sizes"].astype(int)
    pairs = {frozenset((i, int(j))) for i, size in enumerate(sizes) for j in theirs[i, :size]}
    assert {
        frozenset(pair) for pair in zip(mesh.order[ours.rows], mesh.order[ours.cols], strict=True)
    } == pairs


@pytest.fixture(scope="module")
def adapt_image(golden, orders):
    return golden("dataset_slim.npz")["adapt_image"][orders[0]]


def test_signals(rays, case, adapt_image):
    """On Delaunay triangles all but eight vertices.

    PyAutoLens divides by the number of a vertex's weights that are not zero, and the third weight of a ray on
    an edge is zero but for rounding: these rays count or not by chance.
    """
    for name in NAMES:
        mesh = case(name)
        interpolation = mesh.scheme.geometry(rays, mesh.vertices, Workspace()).interpolation
        n, image = len(mesh.order), np.repeat(adapt_image, 16)
        sums = np.bincount(
            interpolation.indices, image[rays_of_entries(interpolation)] * interpolation.weights, n
        )
        counts = np.bincount(interpolation.indices, minlength=n)
        theirs = mesh.expected["pixel_signals_scale1"][mesh.order]
        seen = sums > 0.0
        np.testing.assert_array_equal(theirs[~seen], 0.0)
        ratio = sums[seen] / theirs[seen]
        implied = ratio / np.median(ratio / counts[seen])
        np.testing.assert_allclose(implied, np.round(implied), atol=1e-6)
        differing = np.flatnonzero(np.round(implied) != counts[seen])
        assert len(differing) == (8 if "delaunay" in name else 0)
        on_edges = np.bincount(interpolation.indices[np.abs(interpolation.weights) < 1e-12], minlength=n)
        assert (np.abs(implied - counts[seen]) < on_edges[seen] + 0.5).all()


def image_of_signals(interpolation, signals, n_rays, n_pixels):
    """An adapt image (n_pixels,) whose mean over the entries of each source pixel is its signal."""
    pixels = np.repeat(np.arange(n_rays) // 16, np.diff(interpolation.indptr))
    means = np.zeros((len(signals), n_pixels))
    np.add.at(means, (interpolation.indices, pixels), interpolation.weights)
    means /= np.maximum(np.bincount(interpolation.indices, minlength=len(signals)), 1)[:, None]
    return np.linalg.lstsq(means, signals, rcond=None)[0]


@pytest.fixture(scope="module")
def image_of(dataset, rays, case, adapt_image):
    """The adapt image; on Delaunay triangles one made to give PyAutoLens's signals, see `test_signals`."""

    @cache
    def of(name: str) -> np.ndarray:
        if name not in TRIANGULATED:
            return adapt_image
        mesh = case(name)
        interpolation = mesh.scheme.geometry(rays, mesh.vertices, Workspace()).interpolation
        signals = mesh.expected["pixel_signals_scale1"][mesh.order]
        return image_of_signals(interpolation, signals, len(rays), dataset.plane.n_pixels)

    return of


ABSOLUTE = pl.regularization.PYAUTOLENS_RIDGE
ADAPT = [1.0, 10.0, 1.0]
PRIORS = {
    "constant_1": (lambda image, *mesh: ConstantScheme(ABSOLUTE), [1.0]),
    "constant_100": (lambda image, *mesh: ConstantScheme(ABSOLUTE), [100.0]),
    "constant_zeroth_1_0.5": (lambda image, *mesh: ConstantZeroth(ridge=ABSOLUTE).scheme(None), [1.0, 0.5]),
    "zeroth_1": (lambda image, *mesh: ZerothScheme(), [1.0]),
    "adapt_1_10_1": (lambda image, *mesh: AdaptScheme(image, 2.0, 1.0, ABSOLUTE), ADAPT),
    "adapt_power_1_10_1": (lambda image, *mesh: AdaptScheme(image, 1.0, 0.5, ABSOLUTE), ADAPT),
    "gaussian_kernel_1_0.1": (lambda image, *mesh: GaussianKernelScheme(), [1.0, 0.1]),
    "exponential_kernel_1_0.3": (lambda image, *mesh: RoundedDistances(0.5, 1e-10, *mesh), [1.0, 0.3]),
    "matern_kernel_1_0.3_0.5": (lambda image, *mesh: RoundedDistances(0.5, 1e-8, *mesh), [1.0, 0.3]),
    "matern_kernel_1_0.3_1.5": (lambda image, *mesh: RoundedDistances(1.5, 1e-8, *mesh), [1.0, 0.3]),
    "matern_adapt_power_0.3_0.5": (
        lambda image, *mesh: AdaptiveKernelScheme(
            RoundedDistances(0.5, 1e-8, *mesh), AdaptScheme(image, None, 1.0), ABSOLUTE
        ),
        [0.3, 1.0, 3.0, 1.0, 1.0],
    ),
    "constant_split_1": (lambda image, *mesh: ConstantSplitScheme(ABSOLUTE), [1.0]),
    "constant_split_100": (lambda image, *mesh: ConstantSplitScheme(ABSOLUTE), [100.0]),
    "adapt_split_1_10_1": (lambda image, *mesh: AdaptSplitScheme(image, 2.0, 1.0, ABSOLUTE), ADAPT),
    "adapt_split_power_1_10_1": (lambda image, *mesh: AdaptSplitScheme(image, 1.0, 1.0, ABSOLUTE), ADAPT),
}
BY_SOLVER = {"posneg": SOLVERS[None], "pos": SOLVERS["map"], "pos_edge0": EdgeZero()}
# Absolute, of ln det H: PyAutoLens's ridge of 1e-8 leaves it four digits where squared weights are 1e4, and
# six where they are 100 (README).
LOOSE = {
    "constant_100": 1e-3,
    "constant_split_100": 1e-3,
    "adapt_1_10_1": 1e-3,
    "adapt_split_1_10_1": 1e-3,
    "adapt_power_1_10_1": 1e-5,
    "adapt_split_power_1_10_1": 1e-5,
}
ENTRIES = sorted(
    tuple(key.split("|"))
    for key in json.loads((Golden.folder / "scalars.json").read_text())
    if "no_border" not in key
)


def prior_of(
    name: str, image: np.ndarray, mesh: Case, geometry: MeshGeometry
) -> tuple[RegularizationScheme, list[float]]:
    if name == "matern_sparse_1_0.3":
        # PyAutoLens makes the variance of the central pixel one, instead of that of an infinite field.
        free = MaternSPDEScheme(1).prior(np.array([0.3, 1.0]), geometry).precision
        return MaternSPDEScheme(1), [0.3, free.inverse_diagonal()[112] ** -0.5]
    scheme, parameters = PRIORS[name]
    return scheme(image, mesh.expected["mesh_vertices_yx"], mesh.order), parameters


def recorded_prior(
    expected: dict[str, np.ndarray], name: str, order: np.ndarray, ours: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of our and PyAutoLens's H, or of the parts of it that are recorded."""
    if f"H_{name}_triu_val" in expected:
        theirs = np.zeros(ours.shape)
        theirs[expected[f"H_{name}_triu_row"], expected[f"H_{name}_triu_col"]] = expected[
            f"H_{name}_triu_val"
        ]
        yield ours, symmetric(theirs)[np.ix_(order, order)]
        return
    yield ours.diagonal(), expected[f"H_{name}_diag"][order]
    yield ours[np.argmin(order)], expected[f"H_{name}_row0"][order]
    yield ours.sum(axis=1), expected[f"H_{name}_rowsum"][order]


@pytest.mark.parametrize(
    ("name", "prior", "solver"), [entry for entry in ENTRIES if "brightness" not in entry[1]]
)
def test_entry(golden, dataset, rays, orders, case, image_of, name, prior, solver):
    """H, the source, every term of the evidence, and where recorded the model image."""
    mesh = case(name)
    expected, order = mesh.expected, mesh.order
    geometry = mesh.scheme.geometry(rays, mesh.vertices, Workspace())
    scheme, parameters = prior_of(prior, image_of(name), mesh, geometry)
    problem = source_inversion(dataset, mesh.scheme, scheme, solver=BY_SOLVER[solver])
    inversion = problem.invert(inputs_of(dataset, rays, mesh, parameters))

    precision = np.zeros((len(order), len(order)))
    inversion.priors[0].precision.add_to(precision)
    precision = symmetric(precision)
    for ours, theirs in recorded_prior(expected, prior, order, precision):
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-8 * np.abs(precision).max())

    theirs = expected[f"s_{prior}_{solver}"][order]
    np.testing.assert_allclose(inversion.coefficients, theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max())
    entry = golden.json("scalars.json")["|".join((name, prior, solver))]
    for term in TERMS:
        loose = LOOSE.get(prior, 0.0) if term in ("log_det_regularization", "log_evidence") else 0.0
        expected_term = pytest.approx(entry[term], rel=1e-8, abs=loose)
        assert getattr(inversion.terms, term) == expected_term, term
    if solver != "posneg":
        assert (inversion.coefficients == 0.0).sum() == entry["n_zero"]
    if f"model_{prior}_{solver}" in expected:
        theirs = expected[f"model_{prior}_{solver}"][orders[0]]
        image = problem.model_image(inversion, inversion.coefficients)
        np.testing.assert_allclose(image, theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max())


@pytest.mark.parametrize(("name", "solver"), [(e[0], e[2]) for e in ENTRIES if "brightness" in e[1]])
def test_brightness_zeroth(dataset, rays, case, image_of, name, solver):
    """The solution is PyAutoLens's, and H as singular: it is recorded as the error that it raises."""
    mesh, entry = case(name), "brightness_zeroth_1_1"
    geometry = mesh.scheme.geometry(rays, mesh.vertices, Workspace())
    prior = BrightnessZerothScheme(image_of(name), 1.0, 1.0)
    ours = prior.prior(np.ones(2), geometry).precision
    assert not ours.off_diagonal.any()
    # F + H exists all the same; F from an inversion by another prior.
    other = source_inversion(dataset, mesh.scheme, ZerothScheme())
    inversion = other.invert(inputs_of(dataset, rays, mesh, [1.0]))
    root = np.triu(inversion.factor)
    system = root.T @ root + np.diag(ours.diagonal - 1.0)
    confined = np.full(len(system), solver != "posneg")
    told = System(inversion.image.data_vector, confined, inversion.system.priors)
    solved = BY_SOLVER[solver].solve(system, told, None, Workspace())
    theirs = mesh.expected[f"s_{entry}_{solver}"][mesh.order]
    np.testing.assert_allclose(solved.coefficients, theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max())
    problem = source_inversion(dataset, mesh.scheme, prior)
    with pytest.raises(InadmissibleError, match="not positive definite"):
        problem.invert(inputs_of(dataset, rays, mesh, [1.0, 1.0]))


def relocated(dataset, mesh, prior, positivity=None):
    """From the lens to the inversion, with rays and vertices as they are traced."""
    lens = pl.mass.Isothermal(ell_comps=(0.17647058823529413, 0.0), einstein_radius=1.2)
    pixelization = pl.Pixelization(pl.mesh.BorderRelocation(mesh), prior, positivity=positivity)
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.0, pixelization=pixelization)])
    problem, symbolic = assemble(tracer, dataset)
    inputs = named((dataset.data_fitted, *(part.eval() for part in symbolic)))
    return inputs, problem.invert(inputs)


def test_border_ellipse(golden, dataset, rays, orders):
    inputs, inversion = relocated(dataset, MESH, pl.regularization.Constant(1.0, ridge=ABSOLUTE))
    traced, ellipse = golden("traced.npz"), inversion.image.parts[0].geometry.ellipse
    centres, border = (
        np.ascontiguousarray(traced["traced_slim_yx"]),
        traced["traced_slim_yx"][traced["border_slim"]],
    )
    order = matching(ellipse.border, border)
    np.testing.assert_allclose(ellipse.border, border[order], atol=1e-10)
    np.testing.assert_allclose(ellipse.relocate(inputs.rays), rays, atol=1e-10)
    np.testing.assert_allclose(ellipse.relocate(centres), traced["relocated_slim_yx"], atol=1e-10)
    moved = (ellipse.relocate(inputs.rays) != inputs.rays).any(axis=1)
    np.testing.assert_array_equal(np.sort(orders[1][moved]), traced["relocated_sub_index"])


@pytest.mark.parametrize("positivity", [None, "map"])
@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("rect_uniform_15", "constant_1"),
        ("delaunay_overlay_15", "constant_1"),
        ("delaunay_nn_overlay_15", "zeroth_1"),
        ("delaunay_nn_overlay_15", "gaussian_kernel_1_0.1"),
    ],
)
def test_border_relocation(golden, dataset, orders, case, name, prior, positivity):
    mesh = case(name)
    expected, order = mesh.expected, mesh.order
    regularization = {
        "constant_1": pl.regularization.Constant(1.0, ridge=ABSOLUTE),
        "zeroth_1": pl.regularization.Zeroth(1.0),
        "gaussian_kernel_1_0.1": pl.regularization.GaussianKernel(1.0, 0.1),
    }[prior]
    scheme = mesh.scheme
    if name == "delaunay_overlay_15":
        scheme = LastDigits(mesh.scheme.traced, mesh.scheme.ring, mesh.vertices)
    _, inversion = relocated(dataset, scheme, regularization, positivity)
    geometry = inversion.image.parts[0].geometry
    np.testing.assert_allclose(geometry.vertices, expected["mesh_vertices_yx"][order], atol=1e-10)
    shape = (dataset.plane.n_pixels, len(order))
    theirs = coo_array((expected["mapping_val"], (expected["mapping_row"], expected["mapping_col"])), shape)
    np.testing.assert_allclose(
        dense_mapping(geometry.interpolation, *shape), theirs.toarray()[orders[0]][:, order], atol=1e-8
    )
    solver = {None: "posneg", "map": "pos"}[positivity]
    theirs = expected[f"s_{prior}_{solver}"][order]
    np.testing.assert_allclose(inversion.coefficients, theirs, rtol=0.0, atol=1e-8 * np.abs(theirs).max())
    entry = golden.json("scalars.json")[f"{name}|{prior}|{solver}"]
    for term in TERMS:
        assert getattr(inversion.terms, term) == pytest.approx(entry[term], rel=1e-8), term


def test_border_relocation_of_triangles(dataset, rays, case):
    """The triangulation is not unique: the lens is symmetric, and rounding cuts its trapezoids.

    A diagonal that is not PyAutoLens's has a facet of length zero. Sibson's weights do not depend on it;
    linear ones do, and the prior that counts neighbours, hence `LastDigits` in the test above.
    """
    mesh = case("delaunay_overlay_15")
    _, inversion = relocated(dataset, mesh.scheme, pl.regularization.Constant(1.0, ridge=ABSOLUTE))
    ours = inversion.image.parts[0].geometry
    theirs = mesh.scheme.geometry(rays, mesh.vertices, Workspace())
    np.testing.assert_allclose(ours.vertices, theirs.vertices, atol=1e-10)
    edges, recorded = (
        dict(zip(map(tuple, t.edges.tolist()), t.conductances, strict=True))
        for t in (ours.inner.triangulation, theirs.triangulation)
    )
    differing = edges.keys() ^ recorded.keys()
    assert len(differing) < 0.05 * len(edges)
    for edge in differing:
        assert abs(edges.get(edge, 0.0) + recorded.get(edge, 0.0)) < 1e-8
    for edge in edges.keys() & recorded.keys():
        assert edges[edge] == pytest.approx(recorded[edge], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", ["rect_uniform_15", "delaunay_overlay_15"])
def test_fit_without_relocation(golden, dataset, case, name):
    mesh = case(name)
    scheme = mesh.scheme
    if name == "delaunay_overlay_15":
        # No vertex is far enough out to be relocated, only rays are: the recorded ones are as traced.
        scheme = LastDigits(mesh.scheme.traced, mesh.scheme.ring, mesh.vertices)
    lens = pl.mass.Isothermal(ell_comps=(0.17647058823529413, 0.0), einstein_radius=1.2)
    pixelization = pl.Pixelization(scheme, pl.regularization.Constant(1.0, ridge=ABSOLUTE))
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.0, pixelization=pixelization)])
    fit = pl.FitImaging(dataset, tracer)
    terms = golden.json("scalars.json")[f"{name}|constant_1|posneg|no_border"]
    for term in TERMS:
        assert getattr(fit.terms, term) == pytest.approx(terms[term], rel=1e-8), term
    assert fit.log_evidence == pytest.approx(terms["log_evidence"], rel=1e-8)
    assert fit.source.reconstruction.sum() == pytest.approx(terms["s_sum"], rel=1e-8)
