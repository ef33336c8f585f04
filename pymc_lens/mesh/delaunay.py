"""Traced vertices with linear interpolation in the triangles between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.geometry.barycentric import barycentric, barycentric_pullback
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.geometry.triangulation import Triangulation
from pymc_lens.image_mesh.overlay import Overlay
from pymc_lens.mesh.border import ZERO_RING, Border
from pymc_lens.mesh.triangulated import (
    TracedMesh,
    TriangulatedGeometry,
    TriangulatedMesh,
    TriangulatedScheme,
)
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
        nnz = barycentric(
            triangulation.points, triangulation.triangles, containing, points, indptr, indices, weights
        )
        return Interpolation(indptr, indices[:nnz], weights[:nnz])

    @override
    def weights_pullback(
        self, geometry: TriangulatedGeometry, weights_bar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        triangulation, interpolation = geometry.triangulation, geometry.interpolation
        rays_bar, points_bar = np.zeros(geometry.rays.shape), np.zeros(triangulation.points.shape)
        barycentric_pullback(
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
    image_mesh : ImageMesh
        Whose points are traced to the source plane.
    border : Border
        What lies beyond the outermost vertices: a `ZeroRing`, or `NearestVertex`.

    Raises
    ------
    TypeError
        If an argument is of another kind.
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
