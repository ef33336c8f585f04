"""The tiled engine against the dense formula, and its gradient against central differences."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from inversions import SourceAlone, SourceAndLight, named, source_inversion
from problems import gaussian_psf
from scipy.signal import convolve2d

import pymc_lens as pl
from pymc_lens.errors import InadmissibleError
from pymc_lens.workspace import Workspace

PSFS = {"odd": (5, 5), "even": (4, 6), "non-square": (3, 9)}
MESHES = {
    "overlay": pl.mesh.Rectangular((7, 6)),
    "box": pl.mesh.RectangularBox((6, 7), (-1.6, 1.6, -1.7, 1.7)),
    "window": pl.mesh.RectangularWindow((6, 7), (-0.5, 0.6, -0.7, 0.4)),
    "cubic": pl.mesh.RectangularWindow((6, 7), (-0.5, 0.6, -0.7, 0.4), degree=3),
    "natural neighbour": pl.mesh.VoronoiNN(pl.image_mesh.Overlay((7, 7))),
}
# The data are pure scatter, far beyond the noise.
pytestmark = pytest.mark.filterwarnings("ignore:noise_map")
LIGHT_SCALES = (2.0, 3.0, 1.0)
NO_VERTICES = np.empty((0, 2))


def dataset(rng, psf_shape):
    """An irregular mask with holes that touches the image's edge, and pixels without weight."""
    shape = (27, 23)
    mask = rng.random(shape) < 0.1
    mask[:, 18:] = True
    noise = 0.05 + 0.02 * rng.random(shape)
    noise[rng.random(shape) < 0.05] = 1e8
    psf = gaussian_psf(psf_shape) * (1.0 + 0.5 * rng.random(psf_shape))
    return pl.Imaging(rng.normal(size=shape), noise, psf, 0.1, mask=pl.Mask2D(mask, 0.1))


def inputs_of(rng, imaging, vertices=NO_VERTICES):
    rays, vertices = (0.8 * grid + 0.1 * np.sin(3.0 * grid) for grid in (imaging.plane.source_grid, vertices))
    rays, vertices = (part + 0.01 * rng.normal(size=part.shape) for part in (rays, vertices))
    light = rng.normal(size=(len(LIGHT_SCALES), imaging.light_grid.pixel_index.size))
    return SourceAndLight(imaging.data_fitted, rays, vertices, np.array([1.3]), light)


def dense_design(imaging, inputs, inversion):
    """The blurred mapping matrix with the light columns (n_fitted, n), and H (n, n)."""
    n_source = inversion.image.parts[0].geometry.vertices.shape[0]
    interpolation = inversion.image.parts[0].geometry.interpolation
    rays = np.repeat(np.arange(len(inputs.rays)), np.diff(interpolation.indptr))
    mapping = np.zeros((imaging.plane.n_pixels, n_source + 1))
    np.add.at(mapping, (rays // 4, interpolation.indices), interpolation.weights / 4)
    (cy, cx), psf = imaging.psf_centre, imaging.psf
    frame = imaging.light_grid.frame_shape
    columns = []
    for column in mapping[:, :-1].T:
        image = imaging.plane.native(column, fill=0.0)
        full = convolve2d(image, psf)[cy:, cx:]
        columns.append(full[imaging.plane.pixel_rows, imaging.plane.pixel_cols])
    for column in inputs.light:
        image = np.zeros(frame).ravel()
        image[imaging.light_grid.pixel_index] = column
        full = convolve2d(image.reshape(frame), psf)[cy : cy + frame[0], cx : cx + frame[1]]
        columns.append(full.ravel()[imaging.light_grid.mask_index])
    design = np.array(columns).T[imaging.fitted]
    h = np.zeros((len(columns),) * 2)
    inversion.priors[0].precision.add_to(h)
    h = h + np.triu(h, 1).T
    light = np.arange(n_source, len(columns))
    h[light, light] = np.array(LIGHT_SCALES) ** -2.0
    return design, h


def dense(imaging, inputs, inversion):
    """ln E and the solution by the textbook formula with dense matrices."""
    design, h = dense_design(imaging, inputs, inversion)
    weights = imaging.noise_fitted**-2.0
    a = design.T @ (weights[:, None] * design) + h
    s = np.linalg.solve(a, design.T @ (weights * inputs.data))
    residual = inputs.data - design @ s
    twice = (
        (weights * residual**2).sum() + s @ h @ s + np.linalg.slogdet(a)[1] - np.linalg.slogdet(h)[1]
        + np.log(2 * np.pi / weights).sum()
    )  # fmt: skip
    return -0.5 * twice, s, design @ s


@pytest.fixture(params=PSFS, name="psf_shape")
def _psf_shape(request):
    return PSFS[request.param]


@pytest.fixture(params=MESHES, name="mesh")
def _mesh(request):
    return MESHES[request.param]


@pytest.fixture(name="case")
def _case(rng, psf_shape, mesh):
    imaging = dataset(rng, psf_shape)
    scheme = mesh.scheme(imaging.plane)
    problem = source_inversion(
        imaging, scheme, pl.regularization.Constant().scheme(imaging.plane), LIGHT_SCALES
    )
    return problem, inputs_of(rng, imaging, scheme.image_plane_vertices)


def test_equals_dense_formula(case):
    problem, inputs = case
    inversion = problem.invert(inputs)
    log_evidence, solution, model = dense(problem.response.imaging, inputs, inversion)
    assert inversion.terms.log_evidence == pytest.approx(log_evidence, rel=1e-11)
    np.testing.assert_allclose(
        inversion.coefficients, solution, rtol=1e-10, atol=1e-10 * np.abs(solution).max()
    )
    np.testing.assert_allclose(problem.model_image(inversion, inversion.coefficients), model, atol=1e-10)


def test_nearly_dependent_light_costs_no_digits(rng):
    # Columns that differ by 1e-6: pivots of F + H lose twelve digits. A QR decomposition of everything that
    # was measured, on top of the root of H, has the determinant without forming F.
    imaging = dataset(rng, PSFS["odd"])
    scheme = MESHES["box"].scheme(imaging.plane)
    scales = tuple(1e7 * scale for scale in LIGHT_SCALES)
    problem = source_inversion(imaging, scheme, pl.regularization.Constant().scheme(imaging.plane), scales)
    inputs = inputs_of(rng, imaging)
    inputs = inputs._replace(light=inputs.light[0] + 1e-6 * inputs.light)
    inversion = problem.invert(inputs)
    design, h = dense_design(imaging, inputs, inversion)
    light = np.arange(h.shape[0] - len(scales), h.shape[0])
    h[light, light] = np.array(scales) ** -2.0
    stacked = np.vstack([design / imaging.noise_fitted[:, None], np.linalg.cholesky(h).T])
    triangle = np.linalg.qr(stacked, mode="r")
    expected = 2.0 * np.log(np.abs(triangle.diagonal())).sum()
    assert inversion.terms.log_det_curvature_reg == pytest.approx(expected, abs=1e-7)
    whitened = np.append(inputs.data / imaging.noise_fitted, np.zeros(len(h)))
    solution = np.linalg.lstsq(stacked, whitened)[0]
    model = design @ solution
    np.testing.assert_allclose(problem.model_image(inversion, inversion.coefficients), model, atol=1e-8)


def test_gradient(case, rng):
    problem, inputs = case
    # Steps that keep every ray within its cell and every vertex its neighbours, where ln E is smooth.
    steps = SourceAndLight(data=1e-3, rays=1e-7, vertices=1e-7, light=1e-4, regularization=1e-2)
    value, gradient = problem.log_evidence_and_gradient(inputs)
    gradient = named(gradient)
    assert value == problem.log_evidence(inputs)
    for name, part in inputs._asdict().items():
        if part.size == 0:
            continue
        step = getattr(steps, name) * rng.normal(size=part.shape)

        def along(t, name=name, part=part, step=step):
            return problem.log_evidence(inputs._replace(**{name: part + t * step}))

        difference = (8 * (along(1) - along(-1)) - (along(2) - along(-2))) / 12
        slope = (step * getattr(gradient, name)).sum()
        # The evidence is a sum of ten thousands: rounding limits the difference to about 1e-10 absolute.
        assert slope == pytest.approx(difference, rel=1e-6, abs=1e-9), name


def test_draws_follow_the_posterior(rng):
    imaging = dataset(rng, (3, 3))
    problem = source_inversion(
        imaging,
        pl.mesh.RectangularBox((3, 3), MESHES["box"].extent),
        pl.regularization.Constant().scheme(imaging.plane),
    )
    inputs = SourceAlone(*inputs_of(rng, imaging)[:-1])
    inversion = problem.invert(inputs)
    covariance = np.linalg.inv(np.triu(inversion.factor).T @ np.triu(inversion.factor))
    draws = np.array([problem.draw_coefficients(inversion, rng) for _ in range(20_000)])
    scatter = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((draws.mean(axis=0) - inversion.coefficients) / scatter, 0.0, atol=0.03)
    np.testing.assert_allclose(
        np.cov(draws.T) / np.outer(scatter, scatter), covariance / np.outer(scatter, scatter), atol=0.05
    )


def test_prior_draws_follow_the_prior(rng):
    imaging = dataset(rng, (3, 3))
    mesh = pl.mesh.RectangularBox((4, 3), MESHES["box"].extent)
    geometry = mesh.geometry(inputs_of(rng, imaging).rays, np.empty((0, 2)), Workspace())
    precision = pl.regularization.Constant().scheme(imaging.plane).prior(np.array([0.7]), geometry).precision
    h = np.zeros((12, 12))
    precision.add_to(h)
    covariance = np.linalg.inv(h + np.triu(h, 1).T)
    draws = np.array([precision.draw(rng) for _ in range(20_000)])
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.05 * covariance.max())
    diagonal, pairs = precision.free_moments()
    np.testing.assert_allclose(diagonal, covariance.diagonal(), rtol=1e-12)
    np.testing.assert_allclose(pairs, covariance[precision.pattern.rows, precision.pattern.cols], rtol=1e-12)
    assert precision.log_determinant == pytest.approx(-np.linalg.slogdet(covariance)[1])


def test_inadmissible_points(case):
    problem, inputs = case
    bad = {
        "rays": inputs._replace(
            rays=np.where(np.arange(inputs.rays.size).reshape(-1, 2) == 7, np.nan, inputs.rays)
        ),
        "coefficient": inputs._replace(regularization=np.array([-1.0])),
        "light": inputs._replace(light=inputs.light * np.inf),
    }
    for name, point in bad.items():
        with pytest.raises(InadmissibleError, match=name):
            problem.invert(point)
        value, gradient = problem.log_evidence_and_gradient(point)
        assert value == -np.inf
        assert problem.log_evidence(point) == -np.inf
        assert all((part == 0.0).all() for part in gradient)
    assert problem.evaluations["non-finite source.rays"] == 2


def test_identity(case):
    problem, inputs = case
    copy = pickle.loads(pickle.dumps(problem))
    assert copy == problem
    assert hash(copy) == hash(problem)
    assert copy.log_evidence(inputs) == problem.log_evidence(inputs)
    other = source_inversion(
        problem.response.imaging, problem.mapped[0].mesh, problem.mapped[0].regularization, (2.0, 3.0, 1.5)
    )
    assert other != problem


def test_tiles_without_source(rng):
    """Where a window leaves whole tiles without any source, and there is no light, they count as noise."""
    shape = (40, 40)
    imaging = pl.Imaging(rng.normal(size=shape), np.full(shape, 0.5), gaussian_psf((3, 3)), 0.1)
    mesh = pl.mesh.RectangularWindow((4, 4), (-0.3, 0.3, -0.3, 0.3))
    problem = source_inversion(imaging, mesh, pl.regularization.Constant().scheme(imaging.plane))
    inputs = SourceAlone(
        imaging.data_fitted, imaging.plane.source_grid + 0.003, np.empty((0, 2)), np.array([1.0])
    )
    inversion = problem.invert(inputs)
    residual = imaging.data_fitted - problem.model_image(inversion, inversion.coefficients)
    assert inversion.terms.chi_squared == pytest.approx((residual**2).sum() / 0.25, rel=1e-12)
    value, gradient = problem.log_evidence_and_gradient(inputs)
    gradient = named(gradient)
    step = 1e-7 * rng.normal(size=inputs.rays.shape)
    ahead, behind = (problem.log_evidence(inputs._replace(rays=inputs.rays + s * step)) for s in (1, -1))
    assert (gradient.rays * step).sum() == pytest.approx((ahead - behind) / 2, rel=1e-4, abs=1e-9)
    assert np.isfinite(value)


def test_rays_outside(rng):
    imaging = dataset(rng, (3, 3))
    rays = inputs_of(rng, imaging).rays
    with pytest.raises(InadmissibleError, match="extent"):
        pl.mesh.RectangularBox((5, 5), (-0.5, 0.5, -0.5, 0.5)).geometry(rays, np.empty((0, 2)), Workspace())
    with pytest.raises(InadmissibleError, match="extent"):
        pl.mesh.RectangularWindow((5, 5), (5.0, 6.0, 5.0, 6.0)).geometry(rays, np.empty((0, 2)), Workspace())


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        (((3,), (-1, 1, -1, 1)), TypeError, "shape"),
        (((3.5, 3), (-1, 1, -1, 1)), TypeError, "shape"),
        (((1, 3), (-1, 1, -1, 1)), ValueError, "shape"),
        (((3, 3), (1, -1, -1, 1)), ValueError, "extent"),
        (((3, 3), (-1, 1, -1, 1), 2), ValueError, "degree"),
        (((3, 3), (-1, 1, -1)), ValueError, "extent"),
        (((3, 3), (-1, 1, -1, np.nan)), ValueError, "extent"),
    ],
)
def test_bad_mesh(arguments, error, name):
    with pytest.raises(error, match=name):
        pl.mesh.RectangularBox(*arguments)


def test_an_evaluation_that_moves_the_prior_alone_equals_a_fresh_one(rng):
    """The curvature matrix is kept then; what comes after must not see the difference."""
    imaging = dataset(rng, (5, 5))
    mesh, prior = MESHES["overlay"], pl.regularization.Constant().scheme(imaging.plane)
    kept = source_inversion(imaging, mesh, prior, LIGHT_SCALES)
    inputs = inputs_of(rng, imaging)
    moved = inputs._replace(rays=1.001 * inputs.rays)
    for at, coefficient in [
        (inputs, 1.0),
        (inputs, 2.0),
        (inputs, 3.0),
        (moved, 3.0),
        (inputs, 3.0),
        (inputs, 1.0),
    ]:
        point = at._replace(regularization=np.array([coefficient]))
        fresh = source_inversion(imaging, mesh, prior, LIGHT_SCALES)
        expected, expected_gradient = fresh.log_evidence_and_gradient(point)
        value, gradient = kept.log_evidence_and_gradient(point)
        assert value == expected
        for ours, theirs in zip(gradient, expected_gradient, strict=True):
            np.testing.assert_array_equal(ours, theirs)
