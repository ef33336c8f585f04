"""Traced vertices with natural-neighbour interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.image_mesh.overlay import as_image_mesh
from pymc_lens.image_plane import ImagePlane
from pymc_lens.mesh.base import Interpolation
from pymc_lens.mesh.border import ZERO_RING, Border
from pymc_lens.mesh.natural_neighbor import sibson_pullback, sibson_weights
from pymc_lens.mesh.triangulated import TriangulatedGeometry, TriangulatedMesh, TriangulatedScheme
from pymc_lens.mesh.triangulation import Triangulation
from pymc_lens.validation import require_instance
from pymc_lens.workspace import Workspace


@dataclass(frozen=True)
class VoronoiNN(TriangulatedMesh):
    """Voronoi cells of traced vertices, interpolated by natural neighbours.

    The source is continuously differentiable everywhere but at the vertices, and nothing jumps when the
    triangulation beneath flips: with a mesh-independent prior the evidence is smooth in the mass.

    Parameters
    ----------
    image_mesh : ImageMesh or (int, int)
        Where the vertices lie in the image plane; a shape is that of an `image_mesh.Overlay`.
    border : Border
        What lies beyond them.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    """

    image_mesh: ImageMesh
    border: Border = ZERO_RING

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_mesh", as_image_mesh(self.image_mesh))
        require_instance("border", self.border, Border)

    @override
    def scheme(self, plane: ImagePlane) -> TriangulatedScheme:
        return NaturalNeighborScheme(self.image_mesh.vertices(plane), self.border.ring(plane))


class NaturalNeighborScheme(TriangulatedScheme):
    """Numerics of `VoronoiNN`."""

    @override
    def weights(
        self, triangulation: Triangulation, containing: np.ndarray, points: np.ndarray, workspace: Workspace
    ) -> Interpolation:
        return sibson_weights(triangulation, containing, points, workspace)

    @override
    def weights_pullback(
        self, geometry: TriangulatedGeometry, weights_bar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return sibson_pullback(
            geometry.triangulation, geometry.containing, geometry.rays, geometry.interpolation, weights_bar
        )
