"""A mesh for rays that are first moved inside the traced border of the mask."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.geometry.border_ellipse import BorderEllipse
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.linalg.sparsity import SparsityPattern
from pymc_lens.mesh.base import GeometryCotangent, Mesh, MeshGeometry, MeshScheme
from pymc_lens.validation import require_instance
from pymc_lens.workspace import Workspace


@dataclass(frozen=True)
class BorderRelocation(Mesh):
    """Another mesh, for rays and vertices that are first moved inside the traced border: PyAutoLens's choice.

    Rays beyond an ellipse around the traced border pixels of the mask, such as those near the centre of a
    singular lens, are moved towards its centre until they lie on it, so that no source pixels are spent on
    them. It is there for comparison: the evidence has kinks where a ray crosses the ellipse, where another
    border pixel becomes the farthest along an axis, and where the ellipse turns round because the border is
    as long as wide. A `ZeroRing`, or a fixed grid, takes such rays as they are.

    Parameters
    ----------
    mesh : Mesh
        Of the relocated rays and vertices.

    Raises
    ------
    TypeError
        If ``mesh`` is not a mesh.

    Examples
    --------
    >>> pl.mesh.BorderRelocation(pl.mesh.Rectangular((40, 40)))
    BorderRelocation(mesh=Rectangular(shape=(40, 40)))
    """

    mesh: Mesh

    def __post_init__(self) -> None:
        require_instance("mesh", self.mesh, Mesh)

    @property
    @override
    def has_crosses(self) -> bool:
        return self.mesh.has_crosses

    @property
    @override
    def all_cells_have_areas(self) -> bool:
        return self.mesh.all_cells_have_areas

    @override
    def scheme(self, plane: ImagePlane) -> RelocatedScheme:
        return RelocatedScheme(self.mesh.scheme(plane), border_pixels(plane))


def border_pixels(plane: ImagePlane) -> np.ndarray:
    """Centres (n_border, 2) of the pixels that are the first or last unmasked of their row or column."""
    rows, cols = plane.pixel_rows, plane.pixel_cols
    return plane.grid[_outermost(rows, cols) | _outermost(cols, rows)]


def _outermost(lines: np.ndarray, places: np.ndarray) -> np.ndarray:
    first, last = np.full(lines.max() + 1, places.max()), np.zeros(lines.max() + 1, places.dtype)
    np.minimum.at(first, lines, places)
    np.maximum.at(last, lines, places)
    return (places == first[lines]) | (places == last[lines])


@dataclass(frozen=True, eq=False)
class RelocatedGeometry(MeshGeometry):
    """A mesh laid out for relocated rays.

    Attributes
    ----------
    inner : MeshGeometry
        Of the relocated rays and vertices.
    ellipse : BorderEllipse
    rays : (n_rays, 2) float64
        Before they are relocated.
    traced : (n_vertices, 2) float64
        Vertices of the inner mesh before they are relocated.
    """

    inner: MeshGeometry
    ellipse: BorderEllipse
    rays: np.ndarray
    traced: np.ndarray

    @property
    @override
    def couplings(self) -> SparsityPattern:
        return self.inner.couplings

    @property
    @override
    def crosses(self) -> Interpolation:
        return self.inner.crosses

    @override
    def interpolate(self, points: np.ndarray) -> Interpolation:
        return self.inner.interpolate(points)

    @override
    def pullback(
        self, weights_bar: np.ndarray, geometry_bar: GeometryCotangent
    ) -> tuple[np.ndarray, np.ndarray]:
        relocated_rays_bar, relocated_bar = self.inner.pullback(weights_bar, geometry_bar)
        rays_bar, border_bar = self.ellipse.pullback(self.rays, relocated_rays_bar)
        traced_bar, more_border_bar = self.ellipse.pullback(self.traced, relocated_bar)
        return rays_bar, np.concatenate([traced_bar, border_bar + more_border_bar])


@dataclass(frozen=True, eq=False)
class RelocatedScheme(MeshScheme):
    """Numerics of `BorderRelocation`.

    Attributes
    ----------
    inner : MeshScheme
    border : (n_border, 2) float64
        Image-plane (y, x) of the border pixels, which are traced as vertices after those of the inner mesh.
    """

    inner: MeshScheme
    border: np.ndarray

    @property
    @override
    def flips(self) -> bool:
        return self.inner.flips

    @property
    @override
    def follows_edges(self) -> bool:
        return self.inner.follows_edges

    @property
    @override
    def digest(self) -> str:
        return f"BorderRelocation {sha256(self.border.tobytes()).hexdigest()} of {self.inner.digest}"

    @property
    @override
    def image_plane_vertices(self) -> np.ndarray:
        return np.concatenate([self.inner.image_plane_vertices, self.border])

    @property
    @override
    def n_source(self) -> int:
        return self.inner.n_source

    @override
    def geometry(self, rays: np.ndarray, vertices: np.ndarray, workspace: Workspace) -> RelocatedGeometry:
        traced, border = np.split(vertices, [len(vertices) - len(self.border)])
        ellipse = BorderEllipse.around(border)
        inner = self.inner.geometry(ellipse.relocate(rays), ellipse.relocate(traced), workspace)
        return RelocatedGeometry(
            vertices=inner.vertices,
            interpolation=inner.interpolation,
            neighbors=inner.neighbors,
            boundary_degree=inner.boundary_degree,
            volumes=inner.volumes,
            inner=inner,
            ellipse=ellipse,
            rays=rays,
            traced=traced,
        )
