"""What all meshes on traced image-plane vertices have in common: triangulation, border and finite volumes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import ClassVar, override

import numpy as np
from scipy.spatial import KDTree

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.errors import InadmissibleError
from pymc_lens.geometry.finite_volumes import FiniteVolumes
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.geometry.natural_neighbor import locate
from pymc_lens.geometry.triangulation import Triangulation, triangulate
from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.image_mesh.overlay import as_image_mesh
from pymc_lens.linalg.sparsity import SparsityPattern
from pymc_lens.mesh.base import GeometryCotangent, Mesh, MeshGeometry, MeshScheme
from pymc_lens.mesh.border import ZERO_RING, Border
from pymc_lens.validation import require_instance
from pymc_lens.workspace import Workspace

_ARMS = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


@dataclass(frozen=True, eq=False)
class TriangulatedGeometry(MeshGeometry):
    """A triangulated mesh laid out for one set of rays.

    Attributes
    ----------
    rays : (n_rays, 2) float64
    triangulation : Triangulation
        Of the source pixels, then the ring.
    containing : (n_rays,) int32
        See `natural_neighbor.locate`.
    scheme : TriangulatedScheme
    """

    rays: np.ndarray
    triangulation: Triangulation
    containing: np.ndarray
    scheme: TriangulatedScheme

    @cached_property
    @override
    def couplings(self) -> SparsityPattern:
        return self.scheme.pattern(self.triangulation.couplings)

    @cached_property
    def _at_crosses(self) -> TriangulatedGeometry:
        """The mesh with the ends of crosses for rays; their arms are half the root of `thirds`."""
        arms = 0.5 * np.sqrt(self.triangulation.thirds[: len(self.vertices)])
        ends = (self.vertices[:, None] + arms[:, None, None] * _ARMS).reshape(-1, 2)
        containing = np.empty(len(ends), np.int32)
        interpolation = self.scheme.interpolation(self.triangulation, containing, ends, Workspace())
        return replace(self, rays=ends, interpolation=interpolation, containing=containing)

    @property
    @override
    def crosses(self) -> Interpolation:
        return self._at_crosses.interpolation

    @override
    def interpolate(self, points: np.ndarray) -> Interpolation:
        containing = np.empty(len(points), np.int32)
        return self.scheme.interpolation(self.triangulation, containing, points, Workspace())

    @override
    def pullback(
        self, weights_bar: np.ndarray, geometry_bar: GeometryCotangent
    ) -> tuple[np.ndarray, np.ndarray]:
        rays_bar, points_bar = self.scheme.weights_pullback(self, weights_bar)
        vertices_bar = points_bar[: len(self.vertices)]
        if geometry_bar.vertices is not None:
            vertices_bar += geometry_bar.vertices
        if geometry_bar.volumes is not None:
            vertices_bar += self._volumes_pullback(geometry_bar.volumes)
        if geometry_bar.cross_weights is not None:
            vertices_bar += self._crosses_pullback(geometry_bar.cross_weights)
        return rays_bar, vertices_bar

    def _volumes_pullback(self, bar: FiniteVolumes) -> np.ndarray:
        couplings = self.triangulation.couplings
        inner, border = self.scheme.inner(couplings), self.scheme.on_border(couplings)
        conductances_bar = np.zeros(len(couplings))
        conductances_bar[inner] = bar.conductances
        conductances_bar[border] = bar.boundary_conductances[couplings[border, 1]]
        areas_bar = np.concatenate([bar.areas, np.zeros(len(self.scheme.ring))])
        return self.triangulation.volumes_pullback(conductances_bar, areas_bar)[: len(self.vertices)]

    def _crosses_pullback(self, weights_bar: np.ndarray) -> np.ndarray:
        n = len(self.vertices)
        ends_bar, points_bar = self.scheme.weights_pullback(self._at_crosses, weights_bar)
        ends_bar = ends_bar.reshape(n, 4, 2)
        thirds_bar = np.zeros(len(points_bar))
        thirds_bar[:n] = 0.25 * (ends_bar * _ARMS).sum(axis=(1, 2)) / np.sqrt(self.triangulation.thirds[:n])
        points_bar = points_bar + self.triangulation.thirds_pullback(thirds_bar)
        return points_bar[:n] + ends_bar.sum(axis=1)


class TriangulatedMesh(Mesh):
    """A mesh whose vertices are traced from the image plane, as the model names it."""

    has_crosses: ClassVar[bool] = True

    border: Border

    @property
    @override
    def all_cells_have_areas(self) -> bool:
        return self.border.has_ring


@dataclass(frozen=True, eq=False)
class TriangulatedScheme(MeshScheme):
    """Numerics of a mesh whose vertices are traced from the image plane.

    Attributes
    ----------
    traced : (n_source, 2) float64
        Image-plane vertices.
    ring : (n_ring, 2) float64
        Fixed source-plane vertices whose value is zero; where there are none, rays outside the hull see the
        nearest vertex.
    """

    traced: np.ndarray
    ring: np.ndarray

    @abstractmethod
    def weights(
        self, triangulation: Triangulation, containing: np.ndarray, points: np.ndarray, workspace: Workspace
    ) -> Interpolation:
        """Interpolation weights of points (n, 2) in the triangles (n,) that contain them."""

    @abstractmethod
    def weights_pullback(
        self, geometry: TriangulatedGeometry, weights_bar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of `weights`: cotangents of the rays (n, 2) and of all vertices, those of the ring last."""

    @property
    @override
    def digest(self) -> str:
        content = self.traced.tobytes() + b"|" + self.ring.tobytes()
        return f"{type(self).__name__} {sha256(content).hexdigest()}"

    @property
    @override
    def image_plane_vertices(self) -> np.ndarray:
        return self.traced

    @property
    @override
    def flips(self) -> bool:
        return True

    @property
    @override
    def n_source(self) -> int:
        return len(self.traced)

    @override
    def geometry(self, rays: np.ndarray, vertices: np.ndarray, workspace: Workspace) -> TriangulatedGeometry:
        self._require_inside_ring(vertices)
        triangulation = triangulate(np.concatenate([vertices, self.ring]))
        containing = workspace.array("containing", len(rays), dtype=np.int32)
        interpolation = self.interpolation(triangulation, containing, rays, workspace)
        edges, couplings = triangulation.edges, triangulation.couplings
        conductances = triangulation.smooth_conductances
        return TriangulatedGeometry(
            vertices=triangulation.points[: self.n_source],
            interpolation=interpolation,
            neighbors=self.pattern(edges),
            boundary_degree=self._border_sums(edges, np.ones(len(edges))),
            volumes=FiniteVolumes(
                conductances[self.inner(couplings)],
                self._border_sums(couplings, conductances),
                triangulation.areas[: self.n_source],
            ),
            rays=rays,
            triangulation=triangulation,
            containing=containing,
            scheme=self,
        )

    def interpolation(
        self, triangulation: Triangulation, containing: np.ndarray, points: np.ndarray, workspace: Workspace
    ) -> Interpolation:
        """Interpolation at points (n, 2); writes the triangles that contain them into ``containing``."""
        locate(triangulation.points, triangulation.triangles, triangulation.neighbors, points, containing)
        if not len(self.ring):
            outside = np.flatnonzero(containing < 0)
            containing[outside] = -2 - KDTree(triangulation.points).query(points[outside])[1]
        interpolation = self.weights(triangulation, containing, points, workspace)
        interpolation.indices[interpolation.indices >= self.n_source] = -1
        return interpolation

    def pattern(self, pairs: np.ndarray) -> SparsityPattern:
        """Those of the pairs of points (n, 2), larger index first, that are of two source pixels."""
        return SparsityPattern(self.n_source, *pairs[self.inner(pairs)].T)

    def inner(self, pairs: np.ndarray) -> np.ndarray:
        """Whether a pair is of two source pixels."""
        return np.asarray(pairs[:, 0] < self.n_source)

    def on_border(self, pairs: np.ndarray) -> np.ndarray:
        """Whether a pair is of a source pixel and a vertex of the ring."""
        return np.asarray((pairs[:, 0] >= self.n_source) & (pairs[:, 1] < self.n_source))

    def _border_sums(self, pairs: np.ndarray, values: np.ndarray) -> np.ndarray:
        border = self.on_border(pairs)
        return np.bincount(pairs[border, 1], values[border], self.n_source)

    def _require_inside_ring(self, vertices: np.ndarray) -> None:
        if not len(self.ring):
            return
        centre = self.ring.mean(axis=0)
        radius = np.hypot(*(self.ring[0] - centre)) * np.cos(np.pi / len(self.ring))
        if ((vertices - centre) ** 2).sum(axis=1).max() >= radius**2:
            raise InadmissibleError(
                "vertices outside the mesh",
                f"vertices: some are traced beyond the zero ring of radius {radius:.2f} arcsec. The mass "
                "deflects far too strongly, or the ring's radius_factor is too small.",
            )


@dataclass(frozen=True)
class TracedMesh(TriangulatedMesh):
    """Vertices of the image plane, traced to the source plane and triangulated there.

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

    numerics: ClassVar[type[TriangulatedScheme]]

    image_mesh: ImageMesh
    border: Border = ZERO_RING

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_mesh", as_image_mesh(self.image_mesh))
        require_instance("border", self.border, Border)

    @override
    def scheme(self, plane: ImagePlane) -> TriangulatedScheme:
        return self.numerics(self.image_mesh.vertices(plane), self.border.ring(plane))
