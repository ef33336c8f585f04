"""Meshes on traced vertices: weights, finite volumes, their adjoints, and what degenerate geometry does."""

from __future__ import annotations

import numpy as np
import pytest
from geometries import RING, geometries, lattice
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from scipy.spatial import Voronoi
from scipy.special import ndtr

import pymc_lens as pl
from pymc_lens.errors import InadmissibleError
from pymc_lens.geometry.border_ellipse import BorderEllipse
from pymc_lens.geometry.finite_volumes import FiniteVolumes
from pymc_lens.geometry.triangulation import triangulate
from pymc_lens.mesh.base import GeometryCotangent
from pymc_lens.mesh.border_relocation import RelocatedScheme
from pymc_lens.mesh.delaunay import BarycentricScheme
from pymc_lens.mesh.rectangular_adaptive import RectangularAdaptiveScheme
from pymc_lens.mesh.voronoi_nn import NaturalNeighborScheme
from pymc_lens.workspace import Workspace

SCHEMES = (NaturalNeighborScheme, BarycentricScheme)


def laid_out(kind, vertices, rays, ring=RING):
    scheme = kind(vertices, ring)
    return scheme, scheme.geometry(rays, vertices, Workspace())


def dense_weights(geometry, n_rays: int) -> np.ndarray:
    """Weights of all vertices, those of the ring dropped."""
    interpolation = geometry.interpolation
    rows = np.repeat(np.arange(n_rays), np.diff(interpolation.indptr))
    dense = np.zeros((n_rays, len(geometry.vertices) + 1))
    np.add.at(dense, (rows, interpolation.indices), interpolation.weights)
    return dense[:, :-1]


def linear_values(kind, vertices, rays):
    """Interpolate y, x and 1 without dropping the ring."""
    points = np.concatenate([vertices, RING])
    scheme = kind(points, np.empty((0, 2)))
    weights = dense_weights(scheme.geometry(rays, points, Workspace()), len(rays))
    return weights, weights @ np.column_stack([points, np.ones(len(points))])


@pytest.mark.parametrize("kind", SCHEMES)
@given(geometry=geometries())
@settings(max_examples=200)
def test_weights_are_a_linear_partition_of_unity(kind, geometry):
    vertices, rays = geometry
    weights, values = linear_values(kind, vertices, rays)
    assert weights.min() >= (0.0 if kind is NaturalNeighborScheme else -1e-13)
    np.testing.assert_allclose(values, np.column_stack([rays, np.ones(len(rays))]), atol=1e-12)


@pytest.mark.parametrize("kind", SCHEMES)
def test_rays_on_vertices_edges_and_circles_of_a_lattice(kind):
    vertices = lattice()
    middles = 0.5 * (vertices[1:] + vertices[:-1])
    rays = np.concatenate([vertices, middles, middles + 1e-12, vertices + 1e-15, vertices * (1 + 1e-9)])
    weights, values = linear_values(kind, vertices, rays)
    np.testing.assert_allclose(values, np.column_stack([rays, np.ones(len(rays))]), atol=1e-12)
    np.testing.assert_allclose(weights[:36, :36], np.eye(36), atol=1e-12)


def cell_area(voronoi: Voronoi, i: int) -> float:
    corners = voronoi.vertices[voronoi.regions[voronoi.point_region[i]]]
    around = corners[np.argsort(np.arctan2(*(corners - corners.mean(axis=0)).T))]
    return 0.5 * abs(
        np.sum(around[:, 0] * np.roll(around[:, 1], -1) - around[:, 1] * np.roll(around[:, 0], -1))
    )


def test_sibson_weights_are_the_areas_taken_from_voronoi_cells(rng):
    vertices, rays = rng.uniform(-1, 1, (40, 2)), rng.uniform(-0.9, 0.9, (20, 2))
    _, geometry = laid_out(NaturalNeighborScheme, vertices, rays)
    weights = dense_weights(geometry, 20)
    points = np.concatenate([vertices, RING])
    before = Voronoi(points)
    areas = np.array([cell_area(before, i) for i in range(40)])
    np.testing.assert_allclose(geometry.volumes.areas, areas, rtol=1e-10)
    for ray, row in zip(rays, weights, strict=True):
        after = Voronoi(np.concatenate([points, ray[None]]))
        taken = areas - np.array([cell_area(after, i) for i in range(40)])
        np.testing.assert_allclose(row, taken / cell_area(after, len(points)), atol=1e-9)


def test_conductances_are_facet_over_distance(rng):
    points = np.concatenate([rng.uniform(-1, 1, (40, 2)), RING])
    triangulation, voronoi = triangulate(points), Voronoi(points)
    expected = {}
    for (i, j), ridge in zip(voronoi.ridge_points, voronoi.ridge_vertices, strict=True):
        if -1 not in ridge:
            length = np.linalg.norm(np.subtract(*voronoi.vertices[ridge]))
            expected[max(i, j), min(i, j)] = length / np.linalg.norm(points[i] - points[j])
    pairs = zip(map(tuple, triangulation.edges.tolist()), triangulation.conductances, strict=True)
    inner = [(edge, conductance) for edge, conductance in pairs if edge[1] < 40]
    assert len(inner) > 100
    for edge, conductance in inner:
        assert conductance == pytest.approx(expected[edge], rel=1e-9, abs=1e-12)


def stiffness(pairs: np.ndarray, conductances: np.ndarray, n: int) -> np.ndarray:
    matrix = np.zeros((n, n))
    for (i, j), conductance in zip(pairs, conductances, strict=True):
        matrix[[i, j], [i, j]] += conductance
        matrix[[i, j], [j, i]] -= conductance
    return matrix


def test_smooth_conductances_average_linear_elements(rng):
    """At the inner vertices linear functions stay harmonic; no energy falls below the Delaunay mesh's."""
    sheared = lattice() @ np.array([[1.0, 0.03], [0.0, 1.0]])
    points = np.concatenate([sheared + 0.01 * rng.standard_normal(sheared.shape), RING])
    triangulation, n = triangulate(points), len(points)
    smooth = stiffness(triangulation.couplings, triangulation.smooth_conductances, n)
    plain = stiffness(triangulation.edges, triangulation.conductances, n)
    assert np.abs(smooth - plain).max() > 0.01
    assert np.linalg.eigvalsh(smooth - plain).min() > -1e-12
    np.testing.assert_allclose((smooth @ np.column_stack([points, np.ones(n)]))[:36], 0.0, atol=1e-12)


def test_stiffness_is_differentiable_at_a_flip():
    # Four vertices close to a circle; one of them crosses it at offset zero.
    angles = np.array([0.2, 1.4, 3.3, 4.6])
    square = 0.3 * np.stack([np.sin(angles), np.cos(angles)], axis=1)

    def at(offset: float) -> tuple[np.ndarray, np.ndarray, bool]:
        moved = square.copy()
        moved[0] *= 1.0 + offset
        triangulation = triangulate(np.concatenate([moved, RING]))
        n = 4 + len(RING)
        smooth = stiffness(triangulation.couplings, triangulation.smooth_conductances, n)
        plain = stiffness(triangulation.edges, triangulation.conductances, n)
        return smooth, plain, (triangulation.edges == [2, 0]).all(axis=1).any()

    step = 1e-5
    assert at(-step)[2] != at(step)[2]
    for which, kink in ((0, False), (1, True)):
        left, middle, right = (at(offset)[which] for offset in (-step, 0.0, step))
        jump = np.abs(right - 2.0 * middle + left).max() / step
        assert (jump > 0.1) if kink else (jump < 1e-3)


@pytest.mark.parametrize("kind", SCHEMES)
@given(geometry=geometries(), seed=st.integers(0, 2**32 - 1))
def test_pullback(kind, geometry, seed):
    """Along a random direction; the step stays below the distance to the next flip."""
    vertices, rays = geometry
    rng = np.random.default_rng(seed)
    n = len(vertices)
    brightness, source, area_bar = rng.standard_normal(n), rng.standard_normal(n), rng.standard_normal(n)
    ray_bar = rng.standard_normal(len(rays))
    scheme, laid = laid_out(kind, vertices, rays)

    def scalar(vertices, rays):
        geometry = scheme.geometry(rays, vertices, Workspace())
        pairs, volumes = geometry.couplings, geometry.volumes
        energy = volumes.conductances @ (source[pairs.rows] - source[pairs.cols]) ** 2
        energy += volumes.boundary_conductances @ source**2
        return ray_bar @ (dense_weights(geometry, len(rays)) @ brightness) + energy + volumes.areas @ area_bar

    rows = np.repeat(np.arange(len(rays)), np.diff(laid.interpolation.indptr))
    weights_bar = ray_bar[rows] * np.append(brightness, 0.0)[laid.interpolation.indices]
    pairs = laid.couplings
    volumes_bar = FiniteVolumes((source[pairs.rows] - source[pairs.cols]) ** 2, source**2, area_bar)
    rays_bar, vertices_bar = laid.pullback(weights_bar, GeometryCotangent(volumes=volumes_bar))
    d_vertices, d_rays = rng.standard_normal(vertices.shape), rng.standard_normal(rays.shape)
    exact = np.sum(vertices_bar * d_vertices) + np.sum(rays_bar * d_rays)
    scale = np.abs(vertices_bar * d_vertices).sum() + np.abs(rays_bar * d_rays).sum()

    def slope(h):
        return (
            scalar(vertices + h * d_vertices, rays + h * d_rays)
            - scalar(vertices - h * d_vertices, rays - h * d_rays)
        ) / (2 * h)

    # A flip or a ray that crosses an edge within the step spoils the difference, not the derivative.
    errors = (abs(slope(h) - exact) / scale for h in (1e-6, 3e-6, 1e-5, 1e-7))
    assert any(error < 1e-6 for error in errors)


@given(seed=st.integers(0, 2**32 - 1), bandwidth=st.sampled_from([0.5, 1.0, 3.0]))
def test_adaptive_rectangle(seed, bandwidth):
    """Its weights against the sum over all points, and its pullback along a random direction."""
    rng = np.random.default_rng(seed)
    points, rays = rng.normal(0.0, [0.3, 0.5], (200, 2)), rng.normal(0.0, 0.4, (50, 2))
    point_weights = rng.uniform(0.1, 1.0, 200)
    shape = (6, 9)
    scheme = RectangularAdaptiveScheme(shape, bandwidth, points, point_weights / point_weights.sum())
    laid = scheme.geometry(rays, points, Workspace())

    for axis, n in enumerate(shape):
        low, high = points[:, axis].min(), points[:, axis].max()

        def count(q, axis=axis, h=bandwidth * (high - low) / n):
            return ndtr((np.atleast_1d(q)[:, None] - points[:, axis]) / h) @ point_weights

        q = np.concatenate([np.clip(rays[:, axis], low, high), laid.axes[axis].nodes[1:-1]])
        fraction = (count(q) - count(low)) / (count(high) - count(low))
        np.testing.assert_allclose(laid.axes[axis].place(q), (n - 3) * fraction + 1.0, atol=1e-12 * n)
        np.testing.assert_allclose(fraction[-(n - 2) :], np.linspace(0, 1, n - 2), atol=1e-12)

    brightness, source, vertex_bar = (
        rng.standard_normal(54),
        rng.standard_normal(54),
        rng.normal(size=(54, 2)),
    )
    ray_bar = rng.standard_normal(len(rays))

    def scalar(points, rays):
        geometry = scheme.geometry(rays, points, Workspace())
        pairs, volumes = geometry.couplings, geometry.volumes
        energy = volumes.conductances @ (source[pairs.rows] - source[pairs.cols]) ** 2
        energy += volumes.areas @ source + np.sum(geometry.vertices * vertex_bar)
        return ray_bar @ (dense_weights(geometry, len(rays)) @ brightness) + energy

    weights_bar = np.repeat(ray_bar, 4) * brightness[laid.interpolation.indices]
    pairs = laid.couplings
    volumes_bar = FiniteVolumes((source[pairs.rows] - source[pairs.cols]) ** 2, np.zeros(54), source)
    rays_bar, points_bar = laid.pullback(
        weights_bar, GeometryCotangent(vertices=vertex_bar, volumes=volumes_bar)
    )
    d_points, d_rays = rng.standard_normal(points.shape), rng.standard_normal(rays.shape)
    exact = np.sum(points_bar * d_points) + np.sum(rays_bar * d_rays)
    scale = np.abs(points_bar * d_points).sum() + np.abs(rays_bar * d_rays).sum()

    def slope(h):
        def value(step):
            return scalar(points + step * d_points, rays + step * d_rays)

        return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)

    # A ray that crosses a row of source pixels within the step spoils the difference, not the derivative.
    assert min(abs(slope(h) - exact) / scale for h in (1e-4, 1e-5, 1e-6)) < 1e-6


def check_pullback(scheme, rays, vertices, rng):
    """The pullback of interpolation, vertices and volumes together, along a random direction."""
    laid = scheme.geometry(rays, vertices, Workspace())
    n = scheme.n_source
    brightness, source, areas_bar = rng.standard_normal((3, n))
    vertices_bar, ray_bar = rng.standard_normal((n, 2)), rng.standard_normal(len(rays))

    def scalar(rays, vertices):
        geometry = scheme.geometry(rays, vertices, Workspace())
        pairs, volumes = geometry.couplings, geometry.volumes
        energy = volumes.conductances @ (source[pairs.rows] - source[pairs.cols]) ** 2
        energy += volumes.boundary_conductances @ source**2 + volumes.areas @ areas_bar
        image = geometry.interpolation.apply(brightness)
        return ray_bar @ image + energy + np.sum(geometry.vertices * vertices_bar)

    per_ray = np.repeat(ray_bar, np.diff(laid.interpolation.indptr))
    weights_bar = per_ray * np.append(brightness, 0.0)[laid.interpolation.indices]
    pairs = laid.couplings
    volumes_bar = FiniteVolumes((source[pairs.rows] - source[pairs.cols]) ** 2, source**2, areas_bar)
    rays_bar, traced_bar = laid.pullback(
        weights_bar, GeometryCotangent(vertices=vertices_bar, volumes=volumes_bar)
    )
    d_rays, d_vertices = rng.standard_normal(rays.shape), rng.standard_normal(vertices.shape)
    exact = np.sum(rays_bar * d_rays) + np.sum(traced_bar * d_vertices)
    scale = np.abs(rays_bar * d_rays).sum() + np.abs(traced_bar * d_vertices).sum()

    def slope(h):
        def value(step):
            return scalar(rays + step * d_rays, vertices + step * d_vertices)

        return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)

    # A flip, or a ray that crosses an edge, a row or the ellipse within the step spoils the difference, not
    # the derivative.
    for h in (1e-5, 1e-6, 1e-4, 1e-7):
        error = abs(slope(h) - exact) / scale
        if error < 1e-6:
            return
    raise AssertionError(f"relative error {error:.1e} at the smallest step")


RECTANGULAR = {
    "Rectangular": pl.mesh.Rectangular((6, 9)),
    "RectangularBox": pl.mesh.RectangularBox((6, 9), (-2.0, 2.0, -2.2, 1.9)),
    "RectangularWindow": pl.mesh.RectangularWindow((6, 9), (-0.7, 0.5, -0.6, 0.9)),
    "RectangularWindow, cubic": pl.mesh.RectangularWindow((6, 9), (-0.7, 0.5, -0.6, 0.9), degree=3),
    "StretchedWindow": pl.mesh.StretchedWindow((6, 9), (-0.7, 0.5, -0.6, 0.9), core=0.2),
    "StretchedWindow, cubic": pl.mesh.StretchedWindow((6, 9), (-0.7, 0.5, -0.6, 0.9), degree=3, core=0.2),
}


@pytest.mark.parametrize("name", RECTANGULAR)
@given(seed=st.integers(0, 2**32 - 1))
def test_rectangular_pullbacks(name, seed):
    rng = np.random.default_rng(seed)
    check_pullback(RECTANGULAR[name], rng.uniform(-1.3, 1.3, (50, 2)), np.empty((0, 2)), rng)


@pytest.mark.parametrize("degree", [1, 3])
def test_splines_are_those_of_scipy(rng, degree):
    """A sum of the basis elements of both axes, on a window that ends where the outermost reach zero."""
    shape, extent = (6, 9), (-0.7, 0.5, -0.6, 0.9)
    mesh = pl.mesh.RectangularWindow(shape, extent, degree)
    source = rng.standard_normal(54)
    points = rng.uniform(-1.0, 1.0, (300, 2))
    geometry = mesh.geometry(points, np.empty((0, 2)), Workspace())
    values = []
    for axis, n in enumerate(shape):
        low, high = extent[2 * axis : 2 * axis + 2]
        knots = low + (high - low) / (n + degree) * np.arange(n + degree + 1)
        along = points[:, axis]
        elements = [BSpline.basis_element(knots[k : k + degree + 2], extrapolate=False) for k in range(n)]
        values.append(np.nan_to_num(np.array([element(along) for element in elements])))
        nodes = geometry.vertices.reshape(*shape, 2)[:, 0, 0] if axis == 0 else geometry.vertices[:n, 1]
        np.testing.assert_allclose(nodes, [knots[k : k + degree + 2].mean() for k in range(n)], atol=1e-12)
    expected = np.einsum("ip,jp,ij->p", *values, source.reshape(shape))
    np.testing.assert_allclose(geometry.interpolation.apply(source), expected, atol=1e-12)
    assert np.abs(expected).max() > 0.1


def test_a_window_whose_core_is_large_is_not_stretched(rng):
    shape, extent = (6, 9), (-0.7, 0.5, -0.6, 0.9)
    points = rng.uniform(-1.0, 1.0, (300, 2))
    even, stretched = (
        mesh.geometry(points, np.empty((0, 2)), Workspace())
        for mesh in (
            pl.mesh.RectangularWindow(shape, extent, 3),
            pl.mesh.StretchedWindow(shape, extent, 3, core=1e4),
        )
    )
    np.testing.assert_allclose(stretched.vertices, even.vertices, atol=1e-7)
    for part, other in zip(stretched.volumes, even.volumes, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-6)
    source = rng.standard_normal(54)
    np.testing.assert_allclose(
        stretched.interpolation.apply(source), even.interpolation.apply(source), atol=1e-6
    )


def test_a_stretched_window_is_finest_in_its_middle_and_measures_in_arcsec(rng):
    """Of exp(-r^2 / 2 s^2) the squared gradient has the integral pi, and the square pi s^2."""
    mesh, width = pl.mesh.StretchedWindow((60, 60), (-1.5, 1.7, -1.3, 1.5), 1, core=0.3), 0.3
    geometry = mesh.geometry(rng.uniform(-1.0, 1.0, (300, 2)), np.empty((0, 2)), Workspace())
    y = geometry.vertices.reshape(60, 60, 2)[:, 0, 0]
    border = np.arcsinh(1.6 / 0.3)
    np.testing.assert_allclose(y, 0.1 + 0.3 * np.sinh(np.linspace(-border, border, 62)[1:-1]), atol=1e-12)
    source = np.exp(-0.5 * ((geometry.vertices - 0.1) ** 2).sum(axis=1) / width**2)
    volumes, pairs = geometry.volumes, geometry.couplings
    squared = volumes.conductances @ (source[pairs.rows] - source[pairs.cols]) ** 2
    squared += volumes.boundary_conductances @ source**2
    assert squared == pytest.approx(np.pi, rel=0.01)
    assert volumes.areas @ source**2 == pytest.approx(np.pi * width**2, rel=0.01)


def relocated(kind, vertices, n_border):
    if kind == "Rectangular":
        inner = RECTANGULAR[kind]
    else:
        inner = {"VoronoiNN": NaturalNeighborScheme, "Delaunay": BarycentricScheme}[kind](vertices, RING)
    return RelocatedScheme(inner, np.zeros((n_border, 2)))


@pytest.mark.parametrize("kind", ["Rectangular", "VoronoiNN", "Delaunay"])
@given(geometry=geometries(), seed=st.integers(0, 2**32 - 1))
def test_border_relocation_pullback(kind, geometry, seed):
    vertices, rays = geometry
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0.0, 2.0 * np.pi, 30)
    border = np.stack([0.9 * np.sin(angles), 1.1 * np.cos(angles)], 1) + 0.1 * rng.standard_normal((30, 2))
    scheme = relocated(kind, vertices, len(border))
    if kind == "Rectangular":
        vertices = np.empty((0, 2))
    check_pullback(scheme, rays, np.concatenate([vertices, border]), rng)


def test_rays_are_moved_onto_the_ellipse(rng):
    """Around points of an ellipse of known axes, with its principal axes turned by 30 degrees."""
    angles = np.linspace(0.0, 2.0 * np.pi, 401)[:-1]
    turn = np.array([[np.cos(np.pi / 6), -np.sin(np.pi / 6)], [np.sin(np.pi / 6), np.cos(np.pi / 6)]])
    centre, extents = np.array([0.3, -0.2]), np.array([0.5, 1.2])
    border = centre + np.stack([np.sin(angles), np.cos(angles)], 1) * extents @ turn.T
    ellipse = BorderEllipse.around(border)
    points = rng.uniform(-3.0, 3.0, (200, 2))
    moved = ellipse.relocate(points)
    before, after = (np.hypot(*((part - centre) @ turn / extents).T) for part in (points, moved))
    np.testing.assert_array_equal(moved[before < 1.0], points[before < 1.0])
    np.testing.assert_allclose(after[before > 1.0], 1.0, atol=1e-12)
    np.testing.assert_allclose(np.arctan2(*(moved - centre).T), np.arctan2(*(points - centre).T), atol=1e-12)


def test_a_round_border_has_axes_along_y_and_x():
    angles = 2.0 * np.pi * np.arange(4) / 4
    ellipse = BorderEllipse.around(np.stack([np.sin(angles), np.cos(angles)], 1))
    np.testing.assert_array_equal(ellipse.axes, np.eye(2))
    _, border_bar = ellipse.pullback(np.array([[3.0, 1.0]]), np.ones((1, 2)))
    assert np.isfinite(border_bar).all()


def test_border_pixels_are_the_outermost_of_rows_and_columns():
    data = np.ones((20, 30))
    dataset = pl.Imaging(data, data, np.ones((3, 3)), 0.1)
    dataset = dataset.apply_mask(pl.Mask2D.annular((20, 30), 0.1, 0.35, 0.8))
    border = pl.mesh.BorderRelocation(pl.mesh.Rectangular((5, 5))).scheme(dataset.plane).image_plane_vertices
    assert (np.hypot(*border.T) > 0.65).all()
    grid = dataset.plane.grid
    expected = [
        point
        for point in grid
        if any(
            sign * point[axis]
            >= (sign * grid[np.isclose(grid[:, 1 - axis], point[1 - axis]), axis]).max() - 1e-9
            for axis in (0, 1)
            for sign in (-1, 1)
        )
    ]
    np.testing.assert_allclose(border, expected)


def test_border_relocation_refuses_what_it_cannot_relocate():
    with pytest.raises(TypeError, match="mesh: expected a Mesh, got tuple"):
        pl.mesh.BorderRelocation((9, 9))
    line = np.stack([np.linspace(-1.0, 1.0, 9), np.zeros(9)], 1)
    with pytest.raises(InadmissibleError, match="border of the mask is traced to one line"):
        BorderEllipse.around(line)


def test_adaptive_rectangle_refuses_what_it_cannot_lay_out():
    with pytest.raises(ValueError, match="shape: expected at least 5"):
        pl.mesh.RectangularAdaptive((4, 9))
    with pytest.raises(ValueError, match="bandwidth"):
        pl.mesh.RectangularAdaptive((9, 9), bandwidth=0.0)
    points = np.stack([np.linspace(-1, 1, 20), np.zeros(20)], 1)
    scheme = RectangularAdaptiveScheme((6, 6), 1.0, points, np.full(20, 0.05))
    with pytest.raises(InadmissibleError, match="one line"):
        scheme.geometry(points, points, Workspace())


def test_nearest_vertex_outside_the_hull():
    vertices = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.1, 1.2]])
    for kind in SCHEMES:
        _, geometry = laid_out(kind, vertices, np.array([[-1.0, -2.0], [5.0, 5.0]]), np.empty((0, 2)))
        np.testing.assert_array_equal(dense_weights(geometry, 2), [[1, 0, 0, 0], [0, 0, 0, 1]])


def test_rays_beyond_the_ring_see_nothing():
    _, geometry = laid_out(NaturalNeighborScheme, lattice(), np.array([[5.0, 0.0], [0.0, 0.1]]))
    weights = dense_weights(geometry, 2)
    assert weights[0].sum() == 0.0
    assert weights[1].sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("vertices", "message"),
    [
        (np.concatenate([lattice(), lattice()[:3]]), "3 coincide"),
        (np.stack([np.arange(6.0), np.arange(6.0)], 1), "one line"),
        (3.0 * lattice(), "beyond the zero ring"),
    ],
)
def test_degenerate_vertices_are_refused(vertices, message):
    ring = np.empty((0, 2)) if "line" in message else RING
    with pytest.raises(InadmissibleError, match=message):
        laid_out(NaturalNeighborScheme, vertices, np.zeros((1, 2)), ring)


def test_overlay_is_a_lattice_on_the_unmasked_pixels():
    data = np.ones((20, 30))
    dataset = pl.Imaging(data, data, np.ones((3, 3)), 0.1)
    dataset = dataset.apply_mask(pl.Mask2D.circular((20, 30), 0.1, 0.8))
    vertices = pl.image_mesh.Overlay((8, 8)).vertices(dataset.plane)
    assert (np.hypot(*vertices.T) < 0.9).all()
    assert 0.7 * 64 < len(vertices) < 64
    np.testing.assert_allclose(np.unique(np.diff(np.unique(vertices[:, 0].round(9)))), 0.2)


@pytest.mark.parametrize("shape", [(1, 4), (3, 0)])
def test_bad_shapes(shape):
    for mesh in (pl.image_mesh.Overlay, pl.mesh.DelaunayMagnification):
        with pytest.raises(ValueError, match="shape: expected at least 2"):
            mesh(shape)


def test_bad_rings():
    with pytest.raises(ValueError, match="n_vertices"):
        pl.mesh.ZeroRing(n_vertices=4)
    with pytest.raises(ValueError, match="radius_factor"):
        pl.mesh.ZeroRing(radius_factor=0.9)
