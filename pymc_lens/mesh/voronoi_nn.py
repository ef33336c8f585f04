"""Traced vertices with natural-neighbour interpolation."""

from __future__ import annotations

from typing import override

import numpy as np

from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.geometry.natural_neighbor import sibson_pullback, sibson_weights
from pymc_lens.geometry.triangulation import Triangulation
from pymc_lens.mesh.triangulated import TracedMesh, TriangulatedGeometry, TriangulatedScheme
from pymc_lens.workspace import Workspace


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


class VoronoiNN(TracedMesh):
    """Voronoi cells of traced vertices, interpolated by natural neighbours.

    The source is continuously differentiable everywhere but at the vertices, and nothing jumps when the
    triangulation beneath flips: with a mesh-independent prior the evidence is smooth in the mass.

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

    Examples
    --------
    >>> pl.mesh.VoronoiNN(pl.image_mesh.Overlay((30, 30))).image_mesh
    Overlay(shape=(30, 30), rotation=0.0)
    """

    numerics = NaturalNeighborScheme
