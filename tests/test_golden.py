"""Stage by stage against PyAutoLens, see tests/golden/README.md."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from astropy.io import fits
from scipy.sparse import coo_array

import pymc_lens as pl
from pymc_lens.errors import InadmissibleError
from pymc_lens.inversion.mapping import mapping_matrix
from pymc_lens.inversion.problem import InversionInputs, PixelizedInversion
from pymc_lens.inversion.solver import SOLVERS
from pymc_lens.inversion.tiles import curvature, prepare_tiles, tile_blocks
from pymc_lens.mesh.rectangular_adaptive import RectangularAdaptiveScheme
from pymc_lens.regularization.adapt import AdaptScheme, BrightnessZerothScheme
from pymc_lens.regularization.split import AdaptSplitScheme
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
    pixels = place[dataset.pixel_rows, dataset.pixel_cols]
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


def stages(dataset, rays):
    geometry = MESH.geometry(rays, np.empty((0, 2)), Workspace())
    mapping = mapping_matrix(geometry.interpolation, dataset.n_pixels)
    tiles = prepare_tiles(
        dataset.pixel_rows,
        dataset.pixel_cols,
        dataset.psf,
        dataset.psf_centre,
        np.ones(dataset.n_pixels, bool),
    )
    workspace = Workspace()
    root_weights = tiles.gather(1.0 / dataset.noise_fitted)
    blocks = tile_blocks(tiles, mapping, np.empty((0, dataset.n_pixels)), root_weights, 225, workspace)
    f, d = np.empty((225, 225)), np.empty(225)
    curvature(blocks, root_weights * tiles.gather(dataset.data_fitted), f, d, workspace)
    blurred = np.zeros((dataset.n_pixels + 1, 225))
    for tile, (begin, end) in enumerate(
        zip(blocks.column_indptr[:-1], blocks.column_indptr[1:], strict=True)
    ):
        unwhitened = blocks.blocks[begin:end] / np.where(root_weights[tile] > 0, root_weights[tile], np.inf)
        blurred[tiles.pixels[tile][:, None], blocks.columns[begin:end][None]] = unwhitened.T
    return geometry, mapping, blurred[:-1], f, d


def test_dataset(golden, dataset, orders):
    slim = golden("dataset_slim.npz")
    np.testing.assert_allclose(dataset.data_fitted, slim["data"][orders[0]], rtol=1e-12)
    np.testing.assert_allclose(dataset.grid, slim["grid_slim_yx"][orders[0]], atol=1e-12)


def test_rays_before_relocation(golden, dataset, orders):
    lens = pl.mass.Isothermal(ell_comps=(0.17647058823529413, 0.0), einstein_radius=1.2)
    traced = dataset.source_grid - lens.deflections(dataset.source_grid).eval()
    np.testing.assert_allclose(traced, golden("traced.npz")["traced_sub_yx"][orders[1]], atol=1e-10)


def test_stages(golden, dataset, rays, orders):
    expected = golden("rect_uniform_15.npz")
    geometry, mapping, blurred, f, d = stages(dataset, rays)
    np.testing.assert_allclose(geometry.vertices, expected["mesh_vertices_yx"][SOURCE_ORDER], atol=1e-10)

    shape = (dataset.n_pixels, 225)
    theirs = coo_array((expected["mapping_val"], (expected["mapping_row"], expected["mapping_col"])), shape)
    theirs = theirs.toarray()[orders[0]][:, SOURCE_ORDER]
    ours = np.zeros(shape)
    rows = np.repeat(np.arange(dataset.n_pixels), np.diff(mapping.indptr))
    ours[rows, mapping.indices] = mapping.weights
    np.testing.assert_allclose(ours, theirs, atol=1e-8)

    columns = expected["blurred_cols"]
    theirs = coo_array(
        (expected["blurred_val"], (expected["blurred_row"], expected["blurred_col"])),
        (dataset.n_pixels, len(columns)),
    ).toarray()[orders[0]]
    inverse = np.argsort(SOURCE_ORDER)
    np.testing.assert_allclose(blurred[:, inverse[columns]], theirs, atol=1e-8)

    np.testing.assert_allclose(d, expected["data_vector"][SOURCE_ORDER], rtol=1e-8)
    theirs = np.zeros((225, 225))
    theirs[np.triu_indices(225)] = expected["curvature_triu"]
    theirs = (theirs + np.triu(theirs, 1).T)[np.ix_(SOURCE_ORDER, SOURCE_ORDER)]
    np.testing.assert_allclose(np.triu(f), np.triu(theirs), rtol=1e-8, atol=1e-8 * np.abs(theirs).max())


@pytest.mark.parametrize("coefficient", [1, 100])
def test_prior_solution_and_evidence(golden, dataset, rays, coefficient):
    expected, scalars = golden("rect_uniform_15.npz"), golden.json("scalars.json")
    problem = PixelizedInversion(dataset, MESH, pl.regularization.Constant().scheme(dataset))
    inputs = InversionInputs(
        dataset.data_fitted, rays, np.empty((0, 2)), np.empty((0, dataset.light_grid.pixel_index.size)),
        np.array([float(coefficient)]),
    )  # fmt: skip
    inversion = problem.invert(inputs)
    name = f"constant_{coefficient}"
    h = np.zeros((225, 225))
    inversion.precision.add_to(h)
    theirs = np.zeros((225, 225))
    theirs[expected[f"H_{name}_triu_row"], expected[f"H_{name}_triu_col"]] = expected[f"H_{name}_triu_val"]
    theirs = (theirs + np.triu(theirs, 1).T)[np.ix_(SOURCE_ORDER, SOURCE_ORDER)]
    np.testing.assert_allclose(h, np.triu(theirs), rtol=1e-8, atol=1e-12)

    reconstruction = expected[f"s_{name}_posneg"][SOURCE_ORDER]
    np.testing.assert_allclose(
        inversion.coefficients, reconstruction, rtol=1e-8, atol=1e-8 * np.abs(reconstruction).max()
    )
    terms = scalars[f"rect_uniform_15|{name}|posneg"]
    # Their ridge of 1e-8 makes ln det H at coefficient 100 accurate to 1e-4 only (README).
    loose = {"log_det_regularization": 1e-4, "log_evidence": 1e-4} if coefficient == 100 else {}
    for term in TERMS:
        value = getattr(inversion.terms, term)
        assert value == pytest.approx(terms[term], rel=1e-8, abs=loose.get(term, 0.0)), term


TRIANGULATED = {
    "delaunay_overlay_15": pl.mesh.Delaunay,
    "delaunay_nn_overlay_15": pl.mesh.VoronoiNN,
}


def triangulated(golden, dataset, name):
    """Our scheme, PyAutoLens's traced (and relocated) vertices in our order, and that order."""
    expected = golden(f"{name}.npz")
    scheme = TRIANGULATED[name](pl.image_mesh.Overlay((15, 15)), pl.mesh.NearestVertex()).scheme(dataset)
    ours, theirs = (
        np.lexsort(np.round(vertices, 6).T)
        for vertices in (scheme.image_plane_vertices, expected["image_plane_vertices_yx"])
    )
    np.testing.assert_allclose(
        scheme.image_plane_vertices[ours], expected["image_plane_vertices_yx"][theirs], atol=1e-12
    )
    order = np.empty(len(ours), int)
    order[ours] = theirs
    return expected, scheme, np.ascontiguousarray(expected["mesh_vertices_yx"][order]), order


def dense_mapping(interpolation, n_pixels, n_source):
    mapping = mapping_matrix(interpolation, n_pixels)
    dense = np.zeros((n_pixels, n_source))
    dense[np.repeat(np.arange(n_pixels), np.diff(mapping.indptr)), mapping.indices] = mapping.weights
    return dense


def expected_mapping(expected, dataset, orders, order):
    shape = (dataset.n_pixels, len(order))
    theirs = coo_array((expected["mapping_val"], (expected["mapping_row"], expected["mapping_col"])), shape)
    return theirs.toarray()[orders[0]][:, order]


@pytest.mark.parametrize("coefficient", [1, 100])
def test_delaunay(golden, dataset, rays, orders, coefficient):
    name = "delaunay_overlay_15"
    expected, scheme, vertices, order = triangulated(golden, dataset, name)
    problem = PixelizedInversion(dataset, scheme, pl.regularization.Constant().scheme(dataset))
    light = np.empty((0, dataset.light_grid.pixel_index.size))
    inversion = problem.invert(
        InversionInputs(dataset.data_fitted, rays, vertices, light, np.array([float(coefficient)]))
    )
    ours = dense_mapping(inversion.geometry.interpolation, dataset.n_pixels, len(order))
    np.testing.assert_allclose(ours, expected_mapping(expected, dataset, orders, order), atol=1e-10)
    reconstruction = expected[f"s_constant_{coefficient}_posneg"][order]
    np.testing.assert_allclose(
        inversion.coefficients, reconstruction, rtol=1e-8, atol=1e-8 * np.abs(reconstruction).max()
    )
    terms = golden.json("scalars.json")[f"{name}|constant_{coefficient}|posneg"]
    # Their ridge of 1e-8 makes ln det H accurate to 1e-6 and, at coefficient 100, to 1e-4 only (README).
    loose = 1e-6 if coefficient == 1 else 3e-4
    for term in TERMS:
        value = getattr(inversion.terms, term)
        tolerance = loose if term in ("log_det_regularization", "log_evidence") else 0.0
        assert value == pytest.approx(terms[term], rel=1e-8, abs=tolerance), term


def test_natural_neighbor(golden, dataset, rays, orders):
    """All but 40 of the 31,616 rays, for which PyAutoLens resorts to barycentric weights."""
    expected, scheme, vertices, order = triangulated(golden, dataset, "delaunay_nn_overlay_15")
    geometry = scheme.geometry(rays, vertices, Workspace())
    theirs = expected_mapping(expected, dataset, orders, order)
    difference = theirs - dense_mapping(geometry.interpolation, dataset.n_pixels, len(order))
    barycentric = pl.mesh.Delaunay(pl.image_mesh.Overlay((15, 15)), pl.mesh.NearestVertex()).scheme(dataset)
    linear = barycentric.geometry(rays, vertices, Workspace()).interpolation
    n_rays, n = len(rays), len(order)
    change = dense_mapping(linear, n_rays, n) - dense_mapping(geometry.interpolation, n_rays, n)
    odd = np.flatnonzero(np.abs(difference).max(axis=1) > 1e-8)
    assert len(odd) == 16
    replaced = 0
    for pixel in odd:
        of_pixel = change[16 * pixel : 16 * pixel + 16] / 16
        subsets = [list(c) for size in (1, 2, 3) for c in combinations(range(16), size)]
        errors = [np.abs(of_pixel[subset].sum(axis=0) - difference[pixel]).max() for subset in subsets]
        assert min(errors) < 1e-8
        replaced += len(subsets[int(np.argmin(errors))])
    assert replaced == 40


PRIORS = {
    "zeroth_1": pl.regularization.Zeroth(1.0),
    "constant_zeroth_1_0.5": pl.regularization.ConstantZeroth(1.0, 0.5),
    "gaussian_kernel_1_0.1": pl.regularization.GaussianKernel(1.0, 0.1),
    "exponential_kernel_1_0.3": pl.regularization.ExponentialKernel(1.0, 0.3),
    "matern_kernel_1_0.3_0.5": pl.regularization.MaternKernel(1.0, 0.3, nu=0.5),
    "matern_kernel_1_0.3_1.5": pl.regularization.MaternKernel(1.0, 0.3, nu=1.5),
}


@pytest.mark.parametrize("mesh", ["rect_uniform_15", "delaunay_overlay_15"])
@pytest.mark.parametrize("name", PRIORS)
def test_other_priors(golden, dataset, rays, name, mesh):
    if mesh == "rect_uniform_15":
        expected, scheme, vertices, order = golden(f"{mesh}.npz"), MESH, np.empty((0, 2)), SOURCE_ORDER
    else:
        expected, scheme, vertices, order = triangulated(golden, dataset, mesh)
    prior = PRIORS[name]
    problem = PixelizedInversion(dataset, scheme, prior.scheme(dataset))
    light = np.empty((0, dataset.light_grid.pixel_index.size))
    parameters = np.array([float(p) for p in prior.parameters])
    inversion = problem.invert(InversionInputs(dataset.data_fitted, rays, vertices, light, parameters))
    # PyAutoLens takes distances from d^2 = x^2 + y^2 - 2 x y, whose rounding makes a pixel's distance to
    # itself 1e-8: as much as the ridge, where the kernel has a slope at zero.
    tolerance = 1e-6 if "exponential" in name or "matern" in name else 1e-8
    reconstruction = expected[f"s_{name}_posneg"][order]
    np.testing.assert_allclose(
        inversion.coefficients, reconstruction, rtol=0.0, atol=tolerance * np.abs(reconstruction).max()
    )
    terms = golden.json("scalars.json")[f"{mesh}|{name}|posneg"]
    for term in TERMS:
        assert getattr(inversion.terms, term) == pytest.approx(terms[term], rel=tolerance), term


def image_of_signals(interpolation, signals, n_rays, n_pixels):
    """An adapt image (n_pixels,) whose mean over the entries of each source pixel is its signal."""
    pixels = np.repeat(np.arange(n_rays) // 16, np.diff(interpolation.indptr))
    means = np.zeros((len(signals), n_pixels))
    np.add.at(means, (interpolation.indices, pixels), interpolation.weights)
    means /= np.maximum(np.bincount(interpolation.indices, minlength=len(signals)), 1)[:, None]
    return np.linalg.lstsq(means, signals, rcond=None)[0]


def check_solution(inversion, expected, golden, mesh, name, order, solver="posneg", tolerance=1e-8):
    """Source and every term of the evidence; their ridge of 1e-8 limits ln det H (README)."""
    reconstruction = expected[f"s_{name}_{solver}"][order]
    np.testing.assert_allclose(
        inversion.coefficients, reconstruction, rtol=0.0, atol=tolerance * np.abs(reconstruction).max()
    )
    terms = golden.json("scalars.json")[f"{mesh}|{name}|{solver}"]
    for term in TERMS:
        loose = 1e-3 if term in ("log_det_regularization", "log_evidence") else 0.0
        assert getattr(inversion.terms, term) == pytest.approx(terms[term], rel=tolerance, abs=loose), term


@pytest.mark.parametrize("mesh", ["rect_uniform_15", "delaunay_overlay_15"])
@pytest.mark.parametrize(("name", "power", "factor"), [("adapt", 2.0, 1.0), ("adapt_power", 1.0, 0.5)])
def test_adapt(golden, dataset, rays, name, power, factor, mesh):
    """With an adapt image made to give PyAutoLens's signals, whose own image is not recorded."""
    if mesh == "rect_uniform_15":
        expected, scheme, vertices, order = golden(f"{mesh}.npz"), MESH, np.empty((0, 2)), SOURCE_ORDER
    else:
        expected, scheme, vertices, order = triangulated(golden, dataset, mesh)
    interpolation = scheme.geometry(rays, vertices, Workspace()).interpolation
    image = image_of_signals(
        interpolation, expected["pixel_signals_scale1"][order], len(rays), dataset.n_pixels
    )
    problem = PixelizedInversion(dataset, scheme, AdaptScheme(image, power, factor))
    light = np.empty((0, dataset.light_grid.pixel_index.size))
    parameters = np.array([1.0, 10.0, 1.0])
    inversion = problem.invert(InversionInputs(dataset.data_fitted, rays, vertices, light, parameters))
    check_solution(inversion, expected, golden, mesh, f"{name}_1_10_1", order)


SPLIT_PRIORS = {
    "constant_split_1": ("constant", np.array([1.0])),
    "constant_split_100": ("constant", np.array([100.0])),
    "adapt_split_1_10_1": (2.0, np.array([1.0, 10.0, 1.0])),
    "adapt_split_power_1_10_1": (1.0, np.array([1.0, 10.0, 1.0])),
}


@pytest.mark.parametrize("name", SPLIT_PRIORS)
@pytest.mark.parametrize("solver", ["posneg", "pos"])
def test_split_priors(golden, dataset, rays, name, solver):
    mesh = "delaunay_overlay_15"
    expected, scheme, vertices, order = triangulated(golden, dataset, mesh)
    kind, parameters = SPLIT_PRIORS[name]
    if kind == "constant":
        prior = pl.regularization.ConstantSplit().scheme(dataset)
    else:
        interpolation = scheme.geometry(rays, vertices, Workspace()).interpolation
        image = image_of_signals(
            interpolation, expected["pixel_signals_scale1"][order], len(rays), dataset.n_pixels
        )
        prior = AdaptSplitScheme(image, kind, 1.0)
    problem = PixelizedInversion(dataset, scheme, prior, solver=SOLVERS["map" if solver == "pos" else None])
    light = np.empty((0, dataset.light_grid.pixel_index.size))
    inversion = problem.invert(InversionInputs(dataset.data_fitted, rays, vertices, light, parameters))
    check_solution(inversion, expected, golden, mesh, name, order, solver)


def test_brightness_zeroth(golden, dataset, rays):
    """The solution is PyAutoLens's, and H as singular."""
    mesh, name = "delaunay_overlay_15", "brightness_zeroth_1_1"
    expected, scheme, vertices, order = triangulated(golden, dataset, mesh)
    geometry = scheme.geometry(rays, vertices, Workspace())
    signals = expected["pixel_signals_scale1"][order]
    image = image_of_signals(geometry.interpolation, signals, len(rays), dataset.n_pixels)
    prior = BrightnessZerothScheme(image, 1.0, 1.0)
    ours = prior.precision(np.ones(2), geometry)
    assert not ours.off_diagonal.any()
    # Their solution (F + H)^-1 D, which exists all the same, with F from an inversion by another prior.
    other = PixelizedInversion(dataset, scheme, pl.regularization.Zeroth().scheme(dataset))
    light = np.empty((0, dataset.light_grid.pixel_index.size))
    inversion = other.invert(InversionInputs(dataset.data_fitted, rays, vertices, light, np.ones(1)))
    root = np.triu(inversion.factor)
    solution = np.linalg.solve(root.T @ root + np.diag(ours.diagonal - 1.0), inversion.data_vector)
    reconstruction = expected[f"s_{name}_posneg"][order]
    np.testing.assert_allclose(solution, reconstruction, atol=1e-8 * np.abs(reconstruction).max())
    problem = PixelizedInversion(dataset, scheme, prior)
    with pytest.raises(InadmissibleError, match="not positive definite"):
        problem.invert(InversionInputs(dataset.data_fitted, rays, vertices, light, np.ones(2)))


@pytest.mark.parametrize("mesh", ["rect_uniform_15", "delaunay_overlay_15"])
@pytest.mark.parametrize("name", ["constant_1", "constant_100", *PRIORS])
def test_positive_sources(golden, dataset, rays, name, mesh):
    if mesh == "rect_uniform_15":
        expected, scheme, vertices, order = golden(f"{mesh}.npz"), MESH, np.empty((0, 2)), SOURCE_ORDER
    else:
        expected, scheme, vertices, order = triangulated(golden, dataset, mesh)
    prior = PRIORS.get(name) or pl.regularization.Constant(float(name.rsplit("_")[-1]))
    problem = PixelizedInversion(dataset, scheme, prior.scheme(dataset), solver=SOLVERS["map"])
    light = np.empty((0, dataset.light_grid.pixel_index.size))
    parameters = np.array([float(p) for p in prior.parameters])
    inversion = problem.invert(InversionInputs(dataset.data_fitted, rays, vertices, light, parameters))
    # Their kernels' rounding again, see test_other_priors.
    tolerance = 1e-6 if "exponential" in name or "matern" in name else 1e-8
    check_solution(inversion, expected, golden, mesh, name, order, "pos", tolerance)
    assert (inversion.coefficients == 0.0).sum() == golden.json("scalars.json")[f"{mesh}|{name}|pos"][
        "n_zero"
    ]


def test_fit_without_relocation(golden, dataset):
    lens = pl.mass.Isothermal(ell_comps=(0.17647058823529413, 0.0), einstein_radius=1.2)
    pixelization = pl.Pixelization(MESH, pl.regularization.Constant(1.0))
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.0, pixelization=pixelization)])
    fit = pl.FitImaging(dataset, tracer)
    terms = golden.json("scalars.json")["rect_uniform_15|constant_1|posneg|no_border"]
    for term in TERMS:
        assert getattr(fit.terms, term) == pytest.approx(terms[term], rel=1e-8), term
    assert fit.log_evidence == pytest.approx(terms["log_evidence"], rel=1e-8)
    assert fit.reconstruction.sum() == pytest.approx(terms["s_sum"], rel=1e-8)


class OneRowDown(RectangularAdaptiveScheme):
    """PyAutoLens counts the rows of this mesh from n instead of n - 1: its source sits a row off centre."""

    def geometry(self, rays, vertices, workspace):
        geometry = super().geometry(rays, vertices, workspace)
        interpolation = geometry.interpolation
        interpolation.indices[:] = np.where(interpolation.weights == 0.0, 0, interpolation.indices - 15)
        return geometry


@pytest.mark.parametrize("name", ["constant_1", "adapt_power_1_10_1"])
def test_adaptive_rectangle(golden, dataset, rays, orders, name):
    expected = golden("rect_rtu_adapt_density_15.npz")
    centres = np.ascontiguousarray(golden("traced.npz")["relocated_slim_yx"][orders[0]])
    ours = pl.mesh.RectangularAdaptive((15, 15)).scheme(dataset)
    scheme = OneRowDown(ours.shape, ours.bandwidth, ours.centres, ours.weights)
    interpolation = scheme.geometry(rays, centres, Workspace()).interpolation
    theirs = expected_mapping(expected, dataset, orders, SOURCE_ORDER)
    np.testing.assert_allclose(dense_mapping(interpolation, dataset.n_pixels, 225), theirs, atol=1e-10)
    prior, parameters = pl.regularization.Constant().scheme(dataset), np.ones(1)
    if name.startswith("adapt"):
        signals = expected["pixel_signals_scale1"][SOURCE_ORDER]
        image = image_of_signals(interpolation, signals, len(rays), dataset.n_pixels)
        prior, parameters = AdaptScheme(image, 1.0, 0.5), np.array([1.0, 10.0, 1.0])
    problem = PixelizedInversion(dataset, scheme, prior)
    light = np.empty((0, dataset.light_grid.pixel_index.size))
    inversion = problem.invert(InversionInputs(dataset.data_fitted, rays, centres, light, parameters))
    check_solution(inversion, expected, golden, "rect_rtu_adapt_density_15", name, SOURCE_ORDER)
