"""Linear interpolation in triangles."""

from __future__ import annotations

from pymc_lens.linalg.kernel import kernel


@kernel(inline="always")
def doubled_area(points, a, b, y, x):
    """Twice the signed area of (p, a, b)."""
    return (points[a, 0] - y) * (points[b, 1] - x) - (points[a, 1] - x) * (points[b, 0] - y)


@kernel(inline="always")
def corner_weights(points, corners, y, x, weights):
    """Write the weights (3,) of a triangle's corners at p."""
    total = 0.0
    for k in range(3):
        weights[k] = doubled_area(points, corners[(k + 1) % 3], corners[(k + 2) % 3], y, x)
        total += weights[k]
    for k in range(3):
        weights[k] /= total


@kernel(inline="always")
def corner_weights_pullback(points, corners, weights, weights_bar, query_bar, points_bar):
    """Adjoint of `corner_weights`: write the cotangent of p, add those of the points."""
    a, b, c = corners
    total = (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1]) - (points[b, 1] - points[a, 1]) * (
        points[c, 0] - points[a, 0]
    )
    y_bar, x_bar = 0.0, 0.0
    for k in range(3):
        a, b = corners[(k + 1) % 3], corners[(k + 2) % 3]
        bar = weights_bar[k] / total
        y_bar += bar * (points[a, 1] - points[b, 1])
        x_bar += bar * (points[b, 0] - points[a, 0])
    query_bar[0], query_bar[1] = y_bar, x_bar
    # The plane through the values at the corners does not change along a corner's own gradient.
    for k in range(3):
        points_bar[corners[k], 0] -= weights[k] * y_bar
        points_bar[corners[k], 1] -= weights[k] * x_bar


@kernel()
def barycentric(points, triangles, containing, queries, indptr, indices, weights):
    """Write the weights of queries (n, 2) in the triangles that contain them; return their number."""
    nnz = 0
    indptr[0] = 0
    for ray in range(queries.shape[0]):
        t = containing[ray]
        if t >= 0:
            for k in range(3):
                indices[nnz + k] = triangles[t, k]
            corner_weights(points, triangles[t], queries[ray, 0], queries[ray, 1], weights[nnz : nnz + 3])
            nnz += 3
        elif t <= -2:
            indices[nnz], weights[nnz] = -2 - t, 1.0
            nnz += 1
        indptr[ray + 1] = nnz
    return nnz


@kernel()
def barycentric_pullback(
    points, triangles, containing, indptr, weights, weights_bar, queries_bar, points_bar
):
    """Adjoint of `barycentric`: write cotangents of the queries, add those of the points."""
    for ray in range(containing.shape[0]):
        t, entries = containing[ray], slice(indptr[ray], indptr[ray + 1])
        if t >= 0:
            corner_weights_pullback(
                points, triangles[t], weights[entries], weights_bar[entries], queries_bar[ray], points_bar
            )
