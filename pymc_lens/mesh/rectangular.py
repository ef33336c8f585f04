"""Rectangular meshes with bilinear interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.errors import InadmissibleError
from pymc_lens.geometry.bilinear import bilinear, bilinear_pullback
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.geometry.lattice import (
    lattice,
    lattice_neighbors,
    lattice_volumes,
    lattice_volumes_pullback,
    ringed_lattice_volumes,
)
from pymc_lens.geometry.spline import DEGREES, spline, spline_pullback
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry, MeshScheme
from pymc_lens.validation import integer, real_numbers, validated_shape
from pymc_lens.workspace import Workspace

# PyAutoLens widens the overlaid box by this much (arcsec), so that no ray lies on its border.
_BOX_MARGIN = 1e-8


@dataclass(frozen=True)
class Rectangular(MeshScheme):
    """A uniform grid of square-cornered pixels laid over the extent of the traced rays.

    The mesh of PyAutoLens's ``RectangularUniform``: the box follows the outermost rays, values sit at pixel
    centres, interpolation is bilinear between centres and extrapolates over the outer half pixel. Source
    pixel ``i * nx + j`` lies in row i (growing y) and column j (growing x).

    Parameters
    ----------
    shape : (int, int)
        Pixels along y and x, each at least 2.

    Raises
    ------
    TypeError
        If the shape is not two integers.
    ValueError
        If it is too small.
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", validated_shape(self.shape))

    @property
    def n_source(self) -> int:
        return self.shape[0] * self.shape[1]

    def geometry(self, rays: np.ndarray, vertices: np.ndarray, workspace: Workspace) -> MeshGeometry:
        low, high = rays.min(axis=0) - _BOX_MARGIN, rays.max(axis=0) + _BOX_MARGIN
        spacing = (high - low) / self.shape
        place = (rays - low) / spacing - 0.5
        y, x = (low[axis] + spacing[axis] * (np.arange(n) + 0.5) for axis, n in enumerate(self.shape))
        return OverlaidGeometry(
            vertices=lattice(y, x).reshape(-1, 2),
            interpolation=bilinear(place, self.shape, np.inf, workspace),
            neighbors=lattice_neighbors(self.shape),
            boundary_degree=np.zeros(self.n_source),
            volumes=lattice_volumes(y, x),
            axes=(y, x),
            low=low,
            spacing=spacing,
            place=place,
            outermost=np.stack([rays.argmin(axis=0), rays.argmax(axis=0)]),
        )


@dataclass(frozen=True, eq=False)
class OverlaidGeometry(MeshGeometry):
    """A `Rectangular` mesh laid over one set of rays.

    Attributes
    ----------
    axes : ((n_y,) float64, (n_x,) float64)
        Positions of the vertices along y and x, arcsec.
    low : (2,) float64
        Lower corner (y, x) of the box, arcsec.
    spacing : (2,) float64
        Sides of a source pixel, arcsec.
    place : (n_rays, 2) float64
        Of the rays, in units of the spacing from the first vertex.
    outermost : (2, 2) int64
        The lowest, then the highest ray along y and x: the box hangs on them.
    """

    axes: tuple[np.ndarray, np.ndarray]
    low: np.ndarray
    spacing: np.ndarray
    place: np.ndarray
    outermost: np.ndarray

    @property
    def _shape(self) -> tuple[int, int]:
        y, x = self.axes
        return y.size, x.size

    @override
    def interpolate(self, points: np.ndarray) -> Interpolation:
        return bilinear((points - self.low) / self.spacing - 0.5, self._shape, 0.5, Workspace())

    @override
    def pullback(
        self, weights_bar: np.ndarray, geometry_bar: GeometryCotangent
    ) -> tuple[np.ndarray, np.ndarray]:
        rays_bar = bilinear_pullback(self.place, self._shape, weights_bar) / self.spacing
        # place + 1/2 = n (ray - low) / (high - low).
        fraction = (self.place + 0.5) / self._shape
        low_bar = -(rays_bar * (1.0 - fraction)).sum(axis=0)
        high_bar = -(rays_bar * fraction).sum(axis=0)
        for axis, bar in enumerate(axes_pullback(*self.axes, geometry_bar)):
            fraction = (np.arange(bar.size) + 0.5) / bar.size
            low_bar[axis] += bar @ (1.0 - fraction)
            high_bar[axis] += bar @ fraction
        for rays, bar in zip(self.outermost, (low_bar, high_bar), strict=True):
            rays_bar[rays, [0, 1]] += bar
        return rays_bar, np.empty((0, 2))


@dataclass(frozen=True)
class RectangularBox(MeshScheme):
    """A uniform grid in a fixed box of the source plane, whose source is zero on the border of the box.

    Unlike an overlaid grid it does not move with the rays, so the evidence has no kinks where another ray
    becomes the outermost: the rectangular mesh to sample with. The values sit on the inner nodes of the
    lattice, the source is a tensor product of splines, and it fades to zero at the border.

    Parameters
    ----------
    shape : (int, int)
        Nodes along y and x, each at least 2.
    extent : (float, float, float, float)
        ``(y_min, y_max, x_min, x_max)`` of the box, arcsec. Every ray must stay inside.
    degree : int
        Of the splines. 1, bilinear: the source pixels are the brightness at the nodes, and the evidence has a
        kink where a ray crosses a line between them. 3, cubic: the source pixels are the coefficients of
        uniform B-splines, whose weighted means are the brightness, and the evidence is twice continuously
        differentiable.

    Raises
    ------
    TypeError
        If an argument is of another kind; the box is fixed, its edges cannot be random variables.
    ValueError
        If the shape is too small, the extent not four finite numbers in that order, or the degree another.
    """

    shape: tuple[int, int]
    extent: tuple[float, float, float, float]
    degree: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", validated_shape(self.shape))
        edges = real_numbers("extent", self.extent)
        if edges.shape != (4,) or not np.isfinite(edges).all():
            raise ValueError(
                f"extent: expected four finite numbers (y_min, y_max, x_min, x_max), got {self.extent!r}."
            )
        if edges[0] >= edges[1] or edges[2] >= edges[3]:
            raise ValueError(f"extent: expected y_min < y_max and x_min < x_max, got {self.extent!r}.")
        object.__setattr__(self, "extent", tuple(edges.tolist()))
        if integer("degree", self.degree, minimum=0) not in DEGREES:
            raise ValueError(f"degree: expected 1 (bilinear) or 3 (cubic), got {self.degree!r}.")

    @property
    def n_source(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def _borders(self) -> np.ndarray:
        """Lowest and highest (y, x), (2, 2), of the box in coordinates in which the nodes are even."""
        return np.reshape(self.extent, (2, 2)).T

    @property
    def spacing(self) -> np.ndarray:
        """Distances (2,) of the nodes along y and x in these coordinates."""
        return np.ptp(self._borders, axis=0) / (np.array(self.shape) + float(self.degree))

    @property
    def _first(self) -> np.ndarray:
        """(y, x) of the first node in these coordinates: its spline is zero from the border on."""
        return self._borders[0] + 0.5 * (self.degree + 1) * self.spacing

    def geometry(self, rays: np.ndarray, vertices: np.ndarray, workspace: Workspace) -> MeshGeometry:
        low, high = rays.min(axis=0), rays.max(axis=0)
        reached = (low[0], high[0], low[1], high[1])
        y_min, y_max, x_min, x_max = self.extent
        if reached[0] < y_min or reached[1] > y_max or reached[2] < x_min or reached[3] > x_max:
            raise InadmissibleError(
                "rays outside the mesh",
                f"extent: rays leave the box {self.extent} of RectangularBox; they reach "
                f"({', '.join(f'{edge:.3f}' for edge in reached)}) arcsec (y_min, y_max, x_min, x_max). "
                "Enlarge the extent or use a smaller mask.",
            )
        return self._laid_out(rays, workspace)

    def place(self, points: np.ndarray) -> np.ndarray:
        """Places of points in units of the spacing from the first node.

        Parameters
        ----------
        points : (n, 2) float64
            (y, x), arcsec.

        Returns
        -------
        (n, 2) float64 array
        """
        return (points - self._first) / self.spacing

    def place_pullback(self, place: np.ndarray, place_bar: np.ndarray) -> np.ndarray:
        """Adjoint of `place`.

        Parameters
        ----------
        place : (n, 2) float64
            Its result.
        place_bar : (n, 2) float64
            Cotangents of that.

        Returns
        -------
        (n, 2) float64 array
            Cotangents of the points.
        """
        return place_bar / self.spacing

    def _nodes_along(self, axis: int) -> np.ndarray:
        """Positions (n + 2,) of the nodes along y (0) or x (1), arcsec, and of one more at either end."""
        return self._first[axis] + self.spacing[axis] * np.arange(-1, self.shape[axis] + 1)

    def _laid_out(self, rays: np.ndarray, workspace: Workspace) -> MeshGeometry:
        place, neighbors = self.place(rays), lattice_neighbors(self.shape)
        y, x = self._nodes_along(0), self._nodes_along(1)
        return SplineGeometry(
            vertices=lattice(y[1:-1], x[1:-1]).reshape(-1, 2),
            interpolation=spline(place, self.shape, self.degree, workspace),
            neighbors=neighbors,
            boundary_degree=4.0 - neighbors.degree,
            volumes=ringed_lattice_volumes(y, x),
            mesh=self,
            place=place,
        )


@dataclass(frozen=True, eq=False)
class SplineGeometry(MeshGeometry):
    """A `RectangularBox` for one set of rays; the vertices are fixed.

    Attributes
    ----------
    mesh : RectangularBox
    place : (n_rays, 2) float64
        Of the rays.
    """

    mesh: RectangularBox
    place: np.ndarray

    @override
    def interpolate(self, points: np.ndarray) -> Interpolation:
        return spline(self.mesh.place(points), self.mesh.shape, self.mesh.degree, Workspace())

    @override
    def pullback(
        self, weights_bar: np.ndarray, geometry_bar: GeometryCotangent
    ) -> tuple[np.ndarray, np.ndarray]:
        place_bar = spline_pullback(self.place, self.mesh.shape, self.mesh.degree, weights_bar)
        return self.mesh.place_pullback(self.place, place_bar), np.empty((0, 2))


@dataclass(frozen=True)
class RectangularWindow(RectangularBox):
    """A uniform grid in a fixed window of the source plane, outside which the source is zero.

    A `RectangularBox` that rays may leave: those see no source. All of the resolution goes to where the
    source is, and the source fades to zero at the border of the window, so the evidence stays continuous as
    rays enter and leave.

    Parameters
    ----------
    shape, extent, degree
        See `RectangularBox`. At least one ray must enter the window.

    Raises
    ------
    TypeError, ValueError
        As `RectangularBox`.

    Examples
    --------
    >>> pl.mesh.RectangularWindow((30, 30), extent=(-0.6, 0.6, -0.6, 0.6), degree=3)
    RectangularWindow(shape=(30, 30), extent=(-0.6, 0.6, -0.6, 0.6), degree=3)
    """

    def geometry(self, rays: np.ndarray, vertices: np.ndarray, workspace: Workspace) -> MeshGeometry:
        geometry = self._laid_out(rays, workspace)
        if (geometry.interpolation.indices < 0).all():
            raise InadmissibleError(
                "rays outside the mesh",
                f"extent: no ray enters the window {self.extent} of RectangularWindow. Move or enlarge it.",
            )
        return geometry


def axes_pullback(
    y: np.ndarray, x: np.ndarray, geometry_bar: GeometryCotangent
) -> tuple[np.ndarray, np.ndarray]:
    """Cotangents of the axes of a lattice from those of its vertices and volumes."""
    y_bar, x_bar = np.zeros(y.size), np.zeros(x.size)
    if geometry_bar.vertices is not None:
        vertices_bar = geometry_bar.vertices.reshape(y.size, x.size, 2)
        y_bar += vertices_bar[..., 0].sum(axis=1)
        x_bar += vertices_bar[..., 1].sum(axis=0)
    if geometry_bar.volumes is not None:
        of_y, of_x = lattice_volumes_pullback(y, x, geometry_bar.volumes)
        y_bar += of_y
        x_bar += of_x
    return y_bar, x_bar
