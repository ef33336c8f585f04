"""A regular grid over the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.geometry.lattice import lattice
from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.validation import number, require_instance, require_memory, validated_shape

# Arrays of what is laid out beyond the mask on every side, see `Overlay.vertices`.
_BYTES_A_POINT = 9 * 64


@dataclass(frozen=True)
class Overlay(ImageMesh):
    """The points of a regular grid laid over the mask that fall on unmasked pixels, as in PyAutoLens.

    Traced to the source plane they are dense where the magnification is high.

    Turning the grid shows how much of a result is owed to where the vertices happen to lie. An odd shape puts
    a point in the middle of the mask, and where that is the centre of an isothermal lens its image jumps, and
    the evidence with it: to sample, use even shapes.

    Parameters
    ----------
    shape : (int, int)
        Points along y and x over the extent of the mask, each at least 2.
    rotation : float
        Angle of the grid, degrees counter-clockwise about the middle of the mask; 0 as in PyAutoLens.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If an argument is outside its domain.

    Examples
    --------
    >>> pl.image_mesh.Overlay((30, 30))
    Overlay(shape=(30, 30), rotation=0.0)
    """

    shape: tuple[int, int]
    rotation: float = 0.0

    def __post_init__(self) -> None:
        ny, nx = validated_shape(self.shape)
        require_memory("shape", _BYTES_A_POINT * ny * nx, f"{ny} x {nx} points", "Take fewer.")
        object.__setattr__(self, "shape", (ny, nx))
        number("rotation", self.rotation)

    def vertices(self, plane: ImagePlane) -> np.ndarray:
        shape, scale = np.array(plane.shape_native), plane.pixel_scales
        corner = -0.5 * scale * shape
        pixels = np.stack([plane.pixel_rows, plane.pixel_cols], axis=1)
        low, high = corner + scale * pixels.min(axis=0), corner + scale * (pixels.max(axis=0) + 1)
        spacing = (high - low) / self.shape
        # Beyond the extent of the mask on every side, so that a turned grid still covers it.
        y, x = (low[axis] + spacing[axis] * (np.arange(-n, 2 * n) + 0.5) for axis, n in enumerate(self.shape))
        points = _rotated(lattice(y, x).reshape(-1, 2), 0.5 * (low + high), self.rotation)
        row, column = np.floor((points - corner) / scale).astype(int).T
        within = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        unmasked = np.zeros(plane.shape_native, bool)
        unmasked[plane.pixel_rows, plane.pixel_cols] = True
        within[within] = unmasked[row[within], column[within]]
        return plane.frame.to_sky(points[within])


def as_image_mesh(value: ImageMesh | tuple[int, int]) -> ImageMesh:
    """Return an image mesh as it is, and for a shape the overlay of that shape."""
    if isinstance(value, (tuple, list, np.ndarray)):
        return Overlay(value)
    require_instance("image_mesh", value, ImageMesh)
    return value


def _rotated(points: np.ndarray, centre: np.ndarray, degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return centre + (points - centre) @ np.array([[cosine, -sine], [sine, cosine]])
