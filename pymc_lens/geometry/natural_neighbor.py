"""Sibson's natural-neighbour weights and their adjoint.

Inserting a point p into a Voronoi diagram takes from each neighbouring cell i an area A_i; the weights are
``w_i = A_i / sum A`` (Sibson 1980, Math. Proc. Camb. Phil. Soc. 87, 151). They are positive, reproduce linear
functions, and are continuously differentiable everywhere but at the vertices themselves.

The triangles whose circumcircle contains p form a cavity (Bowyer 1981, Watson 1981), whose rim is the polygon
of p's neighbours. The stolen area of each is a sum of cross products over Voronoi edges, all relative to p:
those between two triangles of the cavity, those cut where p's own cell begins, and p's own facets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pymc_lens.geometry.barycentric import corner_weights, corner_weights_pullback, doubled_area
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.geometry.triangulation import Triangulation
from pymc_lens.linalg.kernel import kernel
from pymc_lens.workspace import Workspace

# A ray this close to a vertex, in units of the triangle's circumradius, sees that vertex alone.
_COINCIDENT = 1e-13
# Powers smaller than this, in units of the squared circumradius, are decided by the determinant.
_DOUBTFUL = 1e-9


class _Mesh(NamedTuple):
    """What the kernels read of a `Triangulation`; see there."""

    points: np.ndarray
    triangles: np.ndarray
    neighbors: np.ndarray
    circles: np.ndarray


class _Cavity(NamedTuple):
    """Room for the cavity of one point, see `_cavity`, and for what it is found with."""

    stack: np.ndarray
    crossed: np.ndarray
    rim: np.ndarray
    inner: np.ndarray
    corners: np.ndarray


@kernel()
def _locate(points, triangles, neighbors, start, y, x):
    """Triangle that contains p, -1 outside the hull: a walk towards p from a triangle nearby."""
    t, previous = start, -1
    for _ in range(triangles.shape[0] + 3):
        step = -2
        for k in range(3):
            other = neighbors[t, k]
            if other == previous and previous >= 0:
                continue
            if doubled_area(points, triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3], y, x) < 0.0:
                step = other
                break
        if step == -2:
            return t
        if step == -1:
            return -1
        t, previous = step, t
    # Rounding can close a walk to a circle.
    best, widest = -1, -np.inf
    for t in range(triangles.shape[0]):
        margin = np.inf
        for k in range(3):
            margin = min(
                margin, doubled_area(points, triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3], y, x)
            )
        if margin > widest:
            best, widest = t, margin
    return best


@kernel()
def locate(points, triangles, neighbors, queries, containing):
    """Write the triangle (n,) that contains each query (n, 2), -1 outside the hull.

    Consecutive queries should be close to one another.
    """
    start = 0
    for ray in range(queries.shape[0]):
        containing[ray] = _locate(points, triangles, neighbors, start, queries[ray, 0], queries[ray, 1])
        if containing[ray] >= 0:
            start = containing[ray]


@kernel(inline="always")
def _swallowed(points, triangles, circles, t, a, b, y, x):
    """Whether p lies in the circumcircle of the triangle t beyond the edge (a, b)."""
    c0, c1 = circles[t, 0] - y, circles[t, 1] - x
    power = circles[t, 2] - c0 * c0 - c1 * c1
    if abs(power) > _DOUBTFUL * circles[t, 2]:
        return power > 0.0
    a0, a1 = points[a, 0] - y, points[a, 1] - x
    b0, b1 = points[b, 0] - y, points[b, 1] - x
    if a0 * b1 - a1 * b0 <= 0.0:
        # p lies on the edge: the rim must go around it.
        return True
    apex = triangles[t, 0] + triangles[t, 1] + triangles[t, 2] - a - b
    e0, e1 = points[apex, 0] - y, points[apex, 1] - x
    # The triangle is (a, apex, b) counter-clockwise.
    determinant = (
        (a0 * a0 + a1 * a1) * (e0 * b1 - e1 * b0)
        + (e0 * e0 + e1 * e1) * (b0 * a1 - b1 * a0)
        + (b0 * b0 + b1 * b1) * (a0 * e1 - a1 * e0)
    )
    return determinant > 0.0


@kernel()
def _room_for_a_cavity(mesh):
    n, n_triangles = mesh.points.shape[0], mesh.triangles.shape[0]
    # Unsigned: a negative index would have to be wrapped around.
    stack, crossed = np.empty((n_triangles + 3, 2), np.uint32), np.empty((n_triangles, 4), np.uint32)
    return _Cavity(stack, crossed, np.empty(n, np.uint32), np.empty(n, np.uint32), np.empty((n, 2)))


@kernel()
def _cavity(mesh, cavity, first, y, x):
    """Collect the cavity of p around the triangle that contains it.

    Writes the rim's vertices counter-clockwise, for each rim edge (from vertex k to k + 1) the corner of p's
    cell relative to p and the triangle inside; and for each edge within the cavity the triangles on its left
    and right and its ends. Returns how many of each; zeros where p lies on the hull itself.
    """
    points, triangles, neighbors, circles = mesh
    stack, crossed, rim, inner, corners = cavity
    n_rim, n_crossed = 0, 0
    depth = 3
    for k in range(3):
        stack[k, 0], stack[k, 1] = first, 2 - k
    while depth > 0:
        depth -= 1
        t, k = stack[depth, 0], stack[depth, 1]
        a, b = triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
        other = neighbors[t, k]
        if other >= 0 and _swallowed(points, triangles, circles, other, a, b, y, x):
            crossed[n_crossed, 0], crossed[n_crossed, 1] = t, other
            crossed[n_crossed, 2], crossed[n_crossed, 3] = a, b
            n_crossed += 1
            back = 0
            while neighbors[other, back] != t:
                back += 1
            # Last in, first out: the edge that begins at a comes first.
            stack[depth, 0], stack[depth, 1] = other, (back + 2) % 3
            stack[depth + 1, 0], stack[depth + 1, 1] = other, (back + 1) % 3
            depth += 2
        else:
            a0, a1 = points[a, 0] - y, points[a, 1] - x
            b0, b1 = points[b, 0] - y, points[b, 1] - x
            twice_area = a0 * b1 - a1 * b0
            if twice_area <= 0.0:
                return 0, 0
            scale = 0.5 / twice_area
            aa, bb = a0 * a0 + a1 * a1, b0 * b0 + b1 * b1
            corners[n_rim, 0], corners[n_rim, 1] = scale * (aa * b1 - bb * a1), scale * (bb * a0 - aa * b0)
            rim[n_rim], inner[n_rim] = a, t
            n_rim += 1
    return n_rim, n_crossed


@kernel(inline="always")
def _coincident(points, triangles, circles, t, y, x):
    """Find the corner of a triangle that p coincides with, or -1."""
    for k in range(3):
        v = triangles[t, k]
        d0, d1 = points[v, 0] - y, points[v, 1] - x
        if d0 * d0 + d1 * d1 <= _COINCIDENT * _COINCIDENT * circles[t, 2]:
            return v
    return -1


@kernel()
def _weights(mesh, containing, queries, indptr, indices, weights):
    """Fill the rows of Sibson weights; returns the number of entries, or -1 where they do not fit."""
    points, triangles, _, circles = mesh
    cavity = _room_for_a_cavity(mesh)
    _, crossed, rim, inner, corners = cavity
    area = np.zeros(points.shape[0])
    nnz = 0
    indptr[0] = 0
    for ray in range(queries.shape[0]):
        y, x, first = queries[ray, 0], queries[ray, 1], containing[ray]
        if first <= -2:
            if nnz == indices.size:
                return -1
            indices[nnz], weights[nnz] = -2 - first, 1.0
            nnz += 1
        elif first >= 0:
            alone = _coincident(points, triangles, circles, first, y, x)
            n_rim, n_crossed = 0, 0
            if alone < 0:
                n_rim, n_crossed = _cavity(mesh, cavity, first, y, x)
            if nnz + max(n_rim, 3) > indices.size:
                return -1
            if alone >= 0:
                indices[nnz], weights[nnz] = alone, 1.0
                nnz += 1
            elif n_rim == 0:
                for k in range(3):
                    indices[nnz + k] = triangles[first, k]
                corner_weights(points, triangles[first], y, x, weights[nnz : nnz + 3])
                nnz += 3
            else:
                for e in range(n_crossed):
                    t, other, a, b = crossed[e]
                    c0, c1 = circles[t, 0] - y, circles[t, 1] - x
                    d0, d1 = circles[other, 0] - y, circles[other, 1] - x
                    piece = d0 * c1 - d1 * c0
                    area[a] += piece
                    area[b] -= piece
                total = 0.0
                previous = n_rim - 1
                for k in range(n_rim):
                    q0, q1 = corners[k, 0], corners[k, 1]
                    facet = corners[previous, 0] * q1 - corners[previous, 1] * q0
                    total += facet
                    t = inner[k]
                    piece = q0 * (circles[t, 1] - x) - q1 * (circles[t, 0] - y)
                    area[rim[k]] += facet + piece
                    area[rim[k + 1 if k + 1 < n_rim else 0]] -= piece
                    previous = k
                for k in range(n_rim):
                    # Rounding alone can take it below zero.
                    indices[nnz + k], weights[nnz + k] = rim[k], max(area[rim[k]] / total, 0.0)
                    area[rim[k]] = 0.0
                nnz += n_rim
        indptr[ray + 1] = nnz
    return nnz


@kernel()
def _weights_pullback(mesh, containing, queries, indptr, weights, weights_bar):
    """Adjoint of `_weights`: cotangents of the queries and of the points.

    A boundary between two regions of the stolen area that moves by the bisector's rule sweeps its length over
    the distance of its two points, times the lever of its midpoint.
    """
    points, triangles, _, circles = mesh
    cavity = _room_for_a_cavity(mesh)
    _, crossed, rim, inner, corners = cavity
    queries_bar, points_bar, area_bar = np.zeros(queries.shape), np.zeros(points.shape), np.zeros(len(points))
    for ray in range(queries.shape[0]):
        y, x, first = queries[ray, 0], queries[ray, 1], containing[ray]
        begin, end = indptr[ray], indptr[ray + 1]
        if first < 0 or end - begin < 2:
            continue
        n_rim, n_crossed = _cavity(mesh, cavity, first, y, x)
        if n_rim == 0:
            # On the hull: the weights are barycentric.
            corner_weights_pullback(
                points, triangles[first], weights[begin:end], weights_bar[begin:end], queries_bar[ray],
                points_bar,
            )  # fmt: skip
            continue
        mean_bar = 0.0
        for entry in range(begin, end):
            mean_bar += weights[entry] * weights_bar[entry]
        total = 0.0
        previous = n_rim - 1
        for k in range(n_rim):
            total += corners[previous, 0] * corners[k, 1] - corners[previous, 1] * corners[k, 0]
            previous = k
        scale = 2.0 / total
        for k in range(n_rim):
            area_bar[rim[k]] = scale * (weights_bar[begin + k] - mean_bar)
        y_bar, x_bar = 0.0, 0.0
        previous = n_rim - 1
        for k in range(n_rim):
            v = rim[k]
            q0, q1 = corners[k, 0], corners[k, 1]
            v0, v1 = points[v, 0] - y, points[v, 1] - x
            f0, f1 = q0 - corners[previous, 0], q1 - corners[previous, 1]
            # The facet is perpendicular to v, counter-clockwise around p.
            bar = area_bar[v] * (v0 * f1 - v1 * f0) / (v0 * v0 + v1 * v1)
            m0, m1 = 0.5 * (q0 + corners[previous, 0]), 0.5 * (q1 + corners[previous, 1])
            y_bar += bar * m0
            x_bar += bar * m1
            points_bar[v, 0] += bar * (v0 - m0)
            points_bar[v, 1] += bar * (v1 - m1)
            # The old facet from the corner to the circumcentre inside.
            w = rim[k + 1 if k + 1 < n_rim else 0]
            t = inner[k]
            c0, c1 = circles[t, 0] - y, circles[t, 1] - x
            _sweep(points, points_bar, v, w, area_bar[v] - area_bar[w], q0, q1, c0, c1, y, x)
            previous = k
        for e in range(n_crossed):
            t, other, a, b = crossed[e]
            c0, c1 = circles[t, 0] - y, circles[t, 1] - x
            d0, d1 = circles[other, 0] - y, circles[other, 1] - x
            _sweep(points, points_bar, a, b, area_bar[a] - area_bar[b], d0, d1, c0, c1, y, x)
        queries_bar[ray, 0], queries_bar[ray, 1] = y_bar, x_bar
    return queries_bar, points_bar


@kernel(inline="always")
def _sweep(points, points_bar, a, b, bar, from_0, from_1, to_0, to_1, y, x):
    """Cotangents of the ends of a Delaunay edge by the facet between their cells, given relative to p."""
    e0, e1 = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    # Seen from a the facet runs counter-clockwise from its first to its second end.
    scaled = bar * (e0 * (to_1 - from_1) - e1 * (to_0 - from_0)) / (e0 * e0 + e1 * e1)
    m0, m1 = 0.5 * (from_0 + to_0) + y, 0.5 * (from_1 + to_1) + x
    points_bar[a, 0] += scaled * (m0 - points[a, 0])
    points_bar[a, 1] += scaled * (m1 - points[a, 1])
    points_bar[b, 0] -= scaled * (m0 - points[b, 0])
    points_bar[b, 1] -= scaled * (m1 - points[b, 1])


def sibson_weights(
    triangulation: Triangulation, containing: np.ndarray, points: np.ndarray, workspace: Workspace
) -> Interpolation:
    """Natural-neighbour weights of points (n, 2) in the triangles (n,) that contain them.

    Points outside the hull (-1) have no entries, or see vertex v alone (-2 - v).
    """
    indptr = workspace.array("ray_indptr", len(points) + 1, dtype=np.int64)
    capacity = 8 * len(points) + len(triangulation.points)
    while True:
        indices = workspace.array("ray_indices", capacity, dtype=np.int32)
        weights = workspace.array("ray_weights", capacity)
        nnz = _weights(_mesh(triangulation), containing, points, indptr, indices, weights)
        if nnz >= 0:
            return Interpolation(indptr, indices[:nnz], weights[:nnz])
        capacity *= 2


def sibson_pullback(
    triangulation: Triangulation,
    containing: np.ndarray,
    points: np.ndarray,
    interpolation: Interpolation,
    weights_bar: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Adjoint of `sibson_weights`: cotangents of the points (n, 2) and of the vertices (n_vertices, 2)."""
    indptr, weights = interpolation.indptr, interpolation.weights
    return _weights_pullback(_mesh(triangulation), containing, points, indptr, weights, weights_bar)


def _mesh(triangulation: Triangulation) -> _Mesh:
    triangles = triangulation.triangles.view(np.uint32)
    return _Mesh(triangulation.points, triangles, triangulation.neighbors, triangulation.circumcircles)
