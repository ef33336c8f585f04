"""Linear interpolation in triangles."""

from __future__ import annotations

from pymc_lens.linalg.kernel import kernel


@kernel()
def barycentric(points, triangles, containing, queries, indptr, indices, weights):
    """Write the weights of queries (n, 2) in the triangles that contain them; return their number."""
    nnz = 0
    indptr[0] = 0
    for ray in range(queries.shape[0]):
        t = containing[ray]
        if t >= 0:
            y, x = queries[ray]
            total = 0.0
            for k in range(3):
                a, b = triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
                twice_area = (points[a, 0] - y) * (points[b, 1] - x) - (points[a, 1] - x) * (points[b, 0] - y)
                indices[nnz + k], weights[nnz + k] = triangles[t, k], twice_area
                total += twice_area
            for k in range(3):
                weights[nnz + k] /= total
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
        t, begin = containing[ray], indptr[ray]
        if t < 0:
            continue
        a, b, c = triangles[t]
        total = (points[b, 0] - points[a, 0]) * (points[c, 1] - points[a, 1]) - (
            points[b, 1] - points[a, 1]
        ) * (points[c, 0] - points[a, 0])
        y_bar, x_bar = 0.0, 0.0
        for k in range(3):
            a, b = triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
            bar = weights_bar[begin + k] / total
            y_bar += bar * (points[a, 1] - points[b, 1])
            x_bar += bar * (points[b, 0] - points[a, 0])
        queries_bar[ray, 0], queries_bar[ray, 1] = y_bar, x_bar
        # The plane through the values at the corners does not change along a corner's own gradient.
        for k in range(3):
            points_bar[triangles[t, k], 0] -= weights[begin + k] * y_bar
            points_bar[triangles[t, k], 1] -= weights[begin + k] * x_bar
