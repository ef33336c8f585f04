"""The contract of a source-plane mesh."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from pymc_lens.linalg.sparsity import SparsityPattern


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Weights that give the source brightness at rays from its values on a mesh, in compressed rows.

    Attributes
    ----------
    indptr : (n_rays + 1,) int64
    indices : (nnz,) int32
        Source pixel of each entry; -1 stands for a vertex whose value is zero by construction.
    weights : (nnz,) float64
    """

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray

    def apply(self, source: np.ndarray) -> np.ndarray:
        """Brightness (n_rays,) of a source given by its pixels (n_source,)."""
        values = np.append(source, 0.0)[self.indices] * self.weights
        return np.add.reduceat(np.append(values, 0.0), self.indptr[:-1]) * (np.diff(self.indptr) > 0)

    def where(self, inside: np.ndarray) -> Interpolation:
        """Return the same with zero brightness at the rays that are not ``inside`` (n_rays,)."""
        kept = np.repeat(inside, np.diff(self.indptr))
        return Interpolation(self.indptr, np.where(kept, self.indices, -1).astype(np.int32), self.weights)


@dataclass(frozen=True, eq=False)
class MeshGeometry:
    """A mesh laid out for one set of rays.

    Attributes
    ----------
    vertices : (n_source, 2) float64
        (y, x) of the source pixels, arcsec.
    interpolation : Interpolation
    neighbors : SparsityPattern
        Pairs of neighbouring source pixels.
    boundary_degree : (n_source,) float64
        Number of neighbours of each source pixel whose value is zero by construction.
    """

    vertices: np.ndarray
    interpolation: Interpolation
    neighbors: SparsityPattern
    boundary_degree: np.ndarray


class Mesh(ABC):
    """How the source plane is divided, and how a ray reads its brightness off the source pixels.

    An implementation is immutable and hashable (a frozen dataclass of numbers). It works on arrays only;
    forward and adjoint live side by side.
    """

    @property
    @abstractmethod
    def n_source(self) -> int:
        """Number of source pixels that are solved for."""

    @abstractmethod
    def geometry(self, rays: np.ndarray, vertices: np.ndarray) -> MeshGeometry:
        """Lay the mesh out.

        Parameters
        ----------
        rays : (n_rays, 2) float64
            Source-plane (y, x) of every ray, arcsec, finite.
        vertices : (n_vertices, 2) float64
            Source-plane positions of traced image-plane vertices; empty for a mesh that has none.

        Raises
        ------
        InadmissibleError
            If no mesh can be laid out for these rays.
        """

    @abstractmethod
    def interpolate(self, geometry: MeshGeometry, points: np.ndarray) -> Interpolation:
        """Interpolation of a laid-out mesh at any points (n, 2), arcsec; zero outside the mesh."""

    @abstractmethod
    def pullback(
        self,
        geometry: MeshGeometry,
        rays: np.ndarray,
        weights_bar: np.ndarray,
        vertices_bar: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of `geometry`.

        Parameters
        ----------
        geometry : MeshGeometry
            Result of the forward call.
        rays : (n_rays, 2) float64
        weights_bar : (nnz,) float64
            Cotangents of the interpolation weights.
        vertices_bar : (n_source, 2) float64 or None
            Cotangents of the positions of the source pixels, where the prior depends on them.

        Returns
        -------
        rays_bar : (n_rays, 2) float64
        traced_vertices_bar : (n_vertices, 2) float64
        """
