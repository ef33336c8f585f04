"""A source on a mesh: mesh, mapping matrix and prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.linear.base import Input, MappedPart, MappedScheme
from pymc_lens.linear.mapping import MappingMatrix, mapping_matrix, mapping_matrix_pullback
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry, MeshScheme
from pymc_lens.regularization.base import Prior, RegularizationScheme
from pymc_lens.validation import require_memory
from pymc_lens.workspace import Workspace

# Of the size of the curvature matrix, that an evaluation with its gradient holds at once.
_MATRICES = 4


@dataclass(frozen=True, eq=False)
class PixelizedScheme(MappedScheme):
    """Numerics of a pixelized source.

    Its inputs are the source-plane (y, x) of the sub-pixels, (n_rays, 2), those of the mesh's image-plane
    vertices, (n_vertices, 2), in arcsec, and the parameters of its prior.

    Parameters
    ----------
    name, confined
        See `LinearScheme`.
    mesh : MeshScheme
    regularization : RegularizationScheme
    n_pixels : int
        Image pixels that the rays belong to.
    """

    name: str
    mesh: MeshScheme
    regularization: RegularizationScheme
    n_pixels: int
    confined: bool = False
    inputs = (Input("rays", 2), Input("vertices", 2), Input("regularization", 1, of_prior=True))

    def __post_init__(self) -> None:
        require_memory(
            "mesh", _MATRICES * 8 * self.size**2, f"the matrices of {self.size} source pixels",
            "Take fewer source pixels.",
        )  # fmt: skip

    @property
    @override
    def size(self) -> int:
        return self.mesh.n_source

    @property
    @override
    def digest(self) -> str:
        return f"PixelizedScheme {self.name} {self.mesh.digest} {self.regularization!r} {self.confined}"

    @property
    def jumps_at_flips(self) -> bool:
        """Whether the log evidence jumps where the triangulation flips."""
        return self.mesh.flips and (self.mesh.follows_edges or self.regularization.counts_neighbors)

    @override
    def lay_out(self, arrays: tuple[np.ndarray, ...], workspace: Workspace) -> PixelizedPart:
        rays, vertices = arrays
        geometry = self.mesh.geometry(rays, vertices, workspace)
        mapping = mapping_matrix(geometry.interpolation, self.n_pixels)
        return PixelizedPart(self, rays, geometry, mapping)


@dataclass(frozen=True, eq=False)
class PixelizedPart(MappedPart):
    """A pixelized source laid out for one set of rays."""

    scheme: PixelizedScheme
    rays: np.ndarray
    geometry: MeshGeometry
    mapping: MappingMatrix

    @override
    def prior(self, arrays: tuple[np.ndarray, ...]) -> Prior:
        return self.scheme.regularization.prior(arrays[0], self.geometry)

    @override
    def pullback(self, mapping_bar: np.ndarray, geometry_bar: GeometryCotangent) -> list[np.ndarray]:
        weights_bar = mapping_matrix_pullback(self.mapping, self.geometry.interpolation, mapping_bar)
        if geometry_bar.weights is not None:
            weights_bar += geometry_bar.weights
        return list(self.geometry.pullback(weights_bar, geometry_bar))
