"""Traced vertices with linear interpolation in the triangles between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.image_mesh.overlay import Overlay
from pymc_lens.image_plane import ImagePlane
from pymc_lens.linalg.kernel import kernel
from pymc_lens.mesh.base import Interpolation
from pymc_lens.mesh.border import ZERO_RING, Border
from pymc_lens.mesh.triangulated import (
    TracedMesh,
    TriangulatedGeometry,
    TriangulatedMesh,
    TriangulatedScheme,
)
from pymc_lens.mesh.triangulation import Triangulation
from pymc_lens.validation import require_instance, validated_shape
from pymc_lens.workspace import Workspace


class BarycentricScheme(TriangulatedScheme):
    """Numerics of `Delaunay`."""

    @property
    @override
    def follows_edges(self) -> bool:
        return True

    @override
    def weights(
        self, triangulation: Triangulation, containing: np.ndarray, points: np.ndarray, workspace: Workspace
    ) -> Interpolation:
        indptr = workspace.array("ray_indptr", len(points) + 1, dtype=np.int64)
        indices = workspace.array("ray_indices", 3 * len(points), dtype=np.int32)
        weights = workspace.array("ray_weights", 3 * len(points))
        nnz = _barycentric(
            triangulation.points, triangulation.triangles, containing, points, indptr, indices, weights
        )
        return Interpolation(indptr, indices[:nnz], weights[:nnz])

    @override
    def weights_pullback(
        self, geometry: TriangulatedGeometry, weights_bar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        triangulation, interpolation = geometry.triangulation, geometry.interpolation
        rays_bar, points_bar = np.zeros(geometry.rays.shape), np.zeros(triangulation.points.shape)
        _barycentric_pullback(
            triangulation.points, triangulation.triangles, geometry.containing, interpolation.indptr,
            interpolation.weights, weights_bar, rays_bar, points_bar,
        )  # fmt: skip
        return rays_bar, points_bar


class Delaunay(TracedMesh):
    """Delaunay triangles of traced vertices with barycentric interpolation.

    The interpolation jumps where the triangulation flips, and the evidence with it: `VoronoiNN` on the same
    image mesh is the one to sample with.

    Parameters
    ----------
    image_mesh, border
        See `TracedMesh`.
    """

    numerics = BarycentricScheme


@dataclass(frozen=True)
class DelaunayMagnification(TriangulatedMesh):
    """PyAutoLens's mesh of this name: `Delaunay` on `image_mesh.Overlay`, dense where magnification is high.

    Parameters
    ----------
    shape : (int, int)
        Of the overlay.
    border : Border

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the shape is too small.
    """

    shape: tuple[int, int]
    border: Border = ZERO_RING

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", validated_shape(self.shape))
        require_instance("border", self.border, Border)

    @override
    def scheme(self, plane: ImagePlane) -> TriangulatedScheme:
        return Delaunay(Overlay(self.shape), self.border).scheme(plane)


@kernel()
def _barycentric(points, triangles, containing, queries, indptr, indices, weights):
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
def _barycentric_pullback(
    points, triangles, containing, indptr, weights, weights_bar, queries_bar, points_bar
):
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
