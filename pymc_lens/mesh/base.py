"""The contract of a source-plane mesh."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.errors import InadmissibleError
from pymc_lens.geometry.finite_volumes import FiniteVolumes
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.linalg.sparsity import SparsityPattern
from pymc_lens.workspace import Workspace


class GeometryCotangent(NamedTuple):
    """Cotangents of what a prior reads of a mesh; None where it does not.

    Attributes
    ----------
    weights : (nnz,) float64 or None
        Of the interpolation.
    vertices : (n_source, 2) float64 or None
    volumes : FiniteVolumes or None
    cross_weights : (nnz,) float64 or None
        Of the interpolation at the crosses.
    """

    weights: np.ndarray | None = None
    vertices: np.ndarray | None = None
    volumes: FiniteVolumes | None = None
    cross_weights: np.ndarray | None = None

    def plus(self, other: GeometryCotangent) -> GeometryCotangent:
        """Sum of both."""
        volumes = self.volumes if other.volumes is None else other.volumes
        if self.volumes is not None and other.volumes is not None:
            volumes = FiniteVolumes(*map(np.add, self.volumes, other.volumes))
        return GeometryCotangent(
            _sum(self.weights, other.weights),
            _sum(self.vertices, other.vertices),
            volumes,
            _sum(self.cross_weights, other.cross_weights),
        )


def _sum(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    if first is None or second is None:
        return first if second is None else second
    return first + second


@dataclass(frozen=True, eq=False)
class MeshGeometry(ABC):
    """A mesh laid out for one set of rays, with the way back to them.

    Attributes
    ----------
    vertices : (n_source, 2) float64
        (y, x) of the source pixels, arcsec.
    interpolation : Interpolation
    neighbors : SparsityPattern
        Pairs of neighbouring source pixels.
    boundary_degree : (n_source,) float64
        Number of neighbours of each source pixel whose value is zero by construction.
    volumes : FiniteVolumes
        Pairs in the order of ``couplings``.
    """

    vertices: np.ndarray
    interpolation: Interpolation
    neighbors: SparsityPattern
    boundary_degree: np.ndarray
    volumes: FiniteVolumes

    @property
    def couplings(self) -> SparsityPattern:
        """Pairs of source pixels between which ``volumes`` has a conductance."""
        return self.neighbors

    @property
    def crosses(self) -> Interpolation:
        """Interpolation at four points around each source pixel, at the ends of a cross; four rows a pixel.

        Raises
        ------
        InadmissibleError
            If the mesh is none of traced vertices.
        """
        raise InadmissibleError(
            "no crosses",
            "regularization: split priors need a mesh of traced vertices, such as VoronoiNN or Delaunay.",
        )

    @abstractmethod
    def interpolate(self, points: np.ndarray) -> Interpolation:
        """Interpolation at any points (n, 2), arcsec; zero outside the mesh."""

    @abstractmethod
    def pullback(
        self, weights_bar: np.ndarray, geometry_bar: GeometryCotangent
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of `MeshScheme.geometry`, at its result.

        Parameters
        ----------
        weights_bar : (nnz,) float64
            Cotangents of the interpolation weights.
        geometry_bar : GeometryCotangent
            Cotangents of what the prior read of the geometry.

        Returns
        -------
        rays_bar : (n_rays, 2) float64
        traced_vertices_bar : (n_vertices, 2) float64
        """


class Mesh(ABC):
    """How the source plane is divided."""

    @property
    def has_crosses(self) -> bool:
        """Whether its geometry has `MeshGeometry.crosses`."""
        return False

    @property
    def all_cells_have_areas(self) -> bool:
        """Whether every source pixel has a cell of finite area."""
        return True

    @abstractmethod
    def scheme(self, plane: ImagePlane) -> MeshScheme:
        """Numerics of this mesh for an image.

        Parameters
        ----------
        plane : ImagePlane
            Where the pixels of the image lie.

        Returns
        -------
        MeshScheme

        Raises
        ------
        ValueError
            If the mesh cannot serve this image.
        """


class MeshScheme(Mesh):
    """The numerics of a mesh: how a ray reads its brightness off the source pixels.

    An implementation is immutable and works on arrays only; forward and adjoint live side by side. A mesh
    that needs nothing of the image is its own scheme.
    """

    @override
    def scheme(self, plane: ImagePlane) -> MeshScheme:
        return self

    @property
    def flips(self) -> bool:
        """Whether neighbours change, as where an edge of a triangulation flips."""
        return False

    @property
    def follows_edges(self) -> bool:
        """Whether interpolation weights jump where it flips."""
        return False

    @property
    def digest(self) -> str:
        """Identifies the content."""
        return repr(self)

    @property
    def image_plane_vertices(self) -> np.ndarray:
        """Image-plane (y, x) of vertices that are traced to the source plane, (n_vertices, 2), arcsec."""
        return np.empty((0, 2))

    @property
    @abstractmethod
    def n_source(self) -> int:
        """Number of source pixels that are solved for."""

    @abstractmethod
    def geometry(self, rays: np.ndarray, vertices: np.ndarray, workspace: Workspace) -> MeshGeometry:
        """Lay the mesh out.

        The pullback of the result reads rays and vertices again: they must not change before it.

        Parameters
        ----------
        rays : (n_rays, 2) float64
            Source-plane (y, x) of every ray, arcsec, finite.
        vertices : (n_vertices, 2) float64
            Source-plane positions of `image_plane_vertices`.
        workspace : Workspace
            Owns the interpolation until the next call.

        Returns
        -------
        MeshGeometry

        Raises
        ------
        InadmissibleError
            If no mesh can be laid out for these rays.
        """
