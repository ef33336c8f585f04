"""Rectangular meshes with bilinear interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import index

import numpy as np
from numba import njit

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.sparsity import SparsityPattern
from pymc_lens.mesh.base import Interpolation, Mesh, MeshGeometry

# PyAutoLens widens the overlaid box by this much (arcsec), so that no ray lies on its border.
_BOX_MARGIN = 1e-8


@dataclass(frozen=True)
class Rectangular(Mesh):
    """A uniform grid of square-cornered pixels laid over the extent of the traced rays.

    The mesh of PyAutoLens's ``RectangularUniform``: the box follows the outermost rays, values sit at pixel
    centres, interpolation is bilinear between centres and extrapolates over the outer half pixel. Source
    pixel ``i * nx + j`` lies in row i (growing y) and column j (growing x).

    Parameters
    ----------
    shape : (int, int)
        Pixels along y and x, each at least 2.
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _validated_shape(self.shape))

    @property
    def n_source(self) -> int:
        return self.shape[0] * self.shape[1]

    def geometry(self, rays: np.ndarray, vertices: np.ndarray) -> MeshGeometry:
        low, high = rays.min(axis=0) - _BOX_MARGIN, rays.max(axis=0) + _BOX_MARGIN
        spacing = (high - low) / self.shape
        return MeshGeometry(
            vertices=_lattice(low + 0.5 * spacing, spacing, self.shape),
            interpolation=_interpolation((rays - low) / spacing - 0.5, self.shape, 0),
            neighbors=_neighbors(self.shape),
            boundary_degree=np.zeros(self.n_source),
        )

    def interpolate(self, geometry: MeshGeometry, points: np.ndarray) -> Interpolation:
        first, last = geometry.vertices[0], geometry.vertices[-1]
        place = (points - first) / ((last - first) / (np.array(self.shape) - 1.0))
        inside = ((place >= -0.5) & (place <= np.array(self.shape) - 0.5)).all(axis=1)
        return _interpolation(place, self.shape, 0).where(inside)

    def pullback(
        self,
        geometry: MeshGeometry,
        rays: np.ndarray,
        weights_bar: np.ndarray,
        vertices_bar: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        low, high = rays.min(axis=0) - _BOX_MARGIN, rays.max(axis=0) + _BOX_MARGIN
        spacing = (high - low) / self.shape
        place = (rays - low) / spacing
        scaled_bar = _place_bar(place - 0.5, self.shape, 0, weights_bar) / spacing
        # The box hangs on the outermost rays: place = n (ray - low) / (high - low).
        fraction = place / self.shape
        low_bar = -(scaled_bar * (1.0 - fraction)).sum(axis=0)
        high_bar = -(scaled_bar * fraction).sum(axis=0)
        if vertices_bar is not None:
            vertex_fraction = (geometry.vertices - low) / (high - low)
            low_bar += (vertices_bar * (1.0 - vertex_fraction)).sum(axis=0)
            high_bar += (vertices_bar * vertex_fraction).sum(axis=0)
        rays_bar = scaled_bar
        for axis in (0, 1):
            rays_bar[rays[:, axis].argmin(), axis] += low_bar[axis]
            rays_bar[rays[:, axis].argmax(), axis] += high_bar[axis]
        return rays_bar, np.empty((0, 2))


@dataclass(frozen=True)
class RectangularBox(Mesh):
    """A uniform grid in a fixed box of the source plane, whose source is zero on the border of the box.

    Unlike an overlaid grid it does not move with the rays, so the evidence has no kinks where another ray
    becomes the outermost: the rectangular mesh to sample with. The values sit on the inner nodes of the
    lattice, interpolation is bilinear, and the source fades to zero at the border.

    Parameters
    ----------
    shape : (int, int)
        Nodes along y and x, each at least 2.
    extent : (float, float, float, float)
        ``(y_min, y_max, x_min, x_max)`` of the box, arcsec. Every ray must stay inside.
    """

    shape: tuple[int, int]
    extent: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _validated_shape(self.shape))
        extent = tuple(float(edge) for edge in self.extent)
        if len(extent) != 4 or not np.isfinite(extent).all():
            raise ValueError(
                f"extent: expected four finite numbers (y_min, y_max, x_min, x_max), got {self.extent!r}."
            )
        if extent[0] >= extent[1] or extent[2] >= extent[3]:
            raise ValueError(f"extent: expected y_min < y_max and x_min < x_max, got {self.extent!r}.")
        object.__setattr__(self, "extent", extent)

    @property
    def n_source(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def _low(self) -> np.ndarray:
        return np.array([self.extent[0], self.extent[2]])

    @property
    def _spacing(self) -> np.ndarray:
        high = np.array([self.extent[1], self.extent[3]])
        return (high - self._low) / (np.array(self.shape) + 1.0)

    def geometry(self, rays: np.ndarray, vertices: np.ndarray) -> MeshGeometry:
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
        return self._laid_out(self._interpolation(rays))

    def interpolate(self, geometry: MeshGeometry, points: np.ndarray) -> Interpolation:
        return self._interpolation(points).where(self._inside(points))

    def pullback(
        self,
        geometry: MeshGeometry,
        rays: np.ndarray,
        weights_bar: np.ndarray,
        vertices_bar: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        return _place_bar(self._place(rays), self.shape, 1, weights_bar) / self._spacing, np.empty((0, 2))

    def _place(self, points: np.ndarray) -> np.ndarray:
        return (points - self._low) / self._spacing - 1.0

    def _inside(self, points: np.ndarray) -> np.ndarray:
        place = self._place(points)
        return ((place >= -1.0) & (place <= np.array(self.shape))).all(axis=1)

    def _interpolation(self, points: np.ndarray) -> Interpolation:
        return _interpolation(self._place(points), self.shape, 1)

    def _laid_out(self, interpolation: Interpolation) -> MeshGeometry:
        return MeshGeometry(
            vertices=_lattice(self._low + self._spacing, self._spacing, self.shape),
            interpolation=interpolation,
            neighbors=_neighbors(self.shape),
            boundary_degree=4.0 - _neighbors(self.shape).degree,
        )


@dataclass(frozen=True)
class RectangularWindow(RectangularBox):
    """A uniform grid in a fixed window of the source plane, outside which the source is zero.

    A `RectangularBox` that rays may leave: those see no source. All of the resolution goes to where the
    source is, and the source fades to zero at the border of the window, so the evidence stays continuous as
    rays enter and leave.

    Parameters
    ----------
    shape, extent
        See `RectangularBox`. At least one ray must enter the window.
    """

    def geometry(self, rays: np.ndarray, vertices: np.ndarray) -> MeshGeometry:
        inside = self._inside(rays)
        if not inside.any():
            raise InadmissibleError(
                "rays outside the mesh",
                f"extent: no ray enters the window {self.extent} of RectangularWindow. Move or enlarge it.",
            )
        return self._laid_out(self._interpolation(rays).where(inside))

    def interpolate(self, geometry: MeshGeometry, points: np.ndarray) -> Interpolation:
        return self._interpolation(points).where(self._inside(points))


def _validated_shape(shape: tuple[int, int]) -> tuple[int, int]:
    try:
        ny, nx = (index(n) for n in shape)
    except (TypeError, ValueError):
        raise TypeError(f"shape: expected two integers, got {shape!r}.") from None
    if min(ny, nx) < 2:
        raise ValueError(f"shape: expected at least 2 pixels along each axis, got {shape!r}.")
    return ny, nx


def _lattice(first: np.ndarray, spacing: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    y = first[0] + spacing[0] * np.arange(shape[0])
    x = first[1] + spacing[1] * np.arange(shape[1])
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)


@lru_cache(maxsize=8)
def _neighbors(shape: tuple[int, int]) -> SparsityPattern:
    pixel = np.arange(shape[0] * shape[1]).reshape(shape)
    rows = np.concatenate([pixel[1:].ravel(), pixel[:, 1:].ravel()])
    cols = np.concatenate([pixel[:-1].ravel(), pixel[:, :-1].ravel()])
    return SparsityPattern(pixel.size, rows, cols)


def _interpolation(place: np.ndarray, shape: tuple[int, int], ring: int) -> Interpolation:
    """Bilinear weights at lattice coordinates; ``ring`` rows of zero-valued nodes surround the lattice."""
    indices = np.empty(4 * len(place), np.int32)
    weights = np.empty(4 * len(place))
    _bilinear(place, shape[0], shape[1], ring, indices, weights)
    return Interpolation(4 * np.arange(len(place) + 1), indices, weights)


def _place_bar(place: np.ndarray, shape: tuple[int, int], ring: int, weights_bar: np.ndarray) -> np.ndarray:
    """Adjoint of `_interpolation` to the lattice coordinates."""
    place_bar = np.empty_like(place)
    _bilinear_pullback(place, shape[0], shape[1], ring, weights_bar, place_bar)
    return place_bar


@njit(cache=True, nogil=True)
def _cell(place, n, ring):
    return min(max(int(np.floor(place)), -ring), n - 2 + ring)


@njit(cache=True, nogil=True)
def _bilinear(place, ny, nx, ring, indices, weights):
    for ray in range(place.shape[0]):
        i, j = _cell(place[ray, 0], ny, ring), _cell(place[ray, 1], nx, ring)
        ty, tx = place[ray, 0] - i, place[ray, 1] - j
        for corner in range(4):
            a, b = corner // 2, corner % 2
            row, col = i + a, j + b
            inside = 0 <= row < ny and 0 <= col < nx
            indices[4 * ray + corner] = row * nx + col if inside else -1
            weights[4 * ray + corner] = (ty if a else 1.0 - ty) * (tx if b else 1.0 - tx)


@njit(cache=True, nogil=True)
def _bilinear_pullback(place, ny, nx, ring, weights_bar, place_bar):
    for ray in range(place.shape[0]):
        i, j = _cell(place[ray, 0], ny, ring), _cell(place[ray, 1], nx, ring)
        ty, tx = place[ray, 0] - i, place[ray, 1] - j
        bar = weights_bar[4 * ray : 4 * ray + 4]
        place_bar[ray, 0] = (bar[2] - bar[0]) * (1.0 - tx) + (bar[3] - bar[1]) * tx
        place_bar[ray, 1] = (bar[1] - bar[0]) * (1.0 - ty) + (bar[3] - bar[2]) * ty
