"""A regular grid over the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.imaging import Imaging
from pymc_lens.lattice import lattice
from pymc_lens.validation import validated_shape


@dataclass(frozen=True)
class Overlay(ImageMesh):
    """The points of a regular grid laid over the mask that fall on unmasked pixels, as in PyAutoLens.

    Traced to the source plane they are dense where the magnification is high.

    Parameters
    ----------
    shape : (int, int)
        Points along y and x over the extent of the mask, each at least 2.
    """

    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", validated_shape(self.shape))

    def vertices(self, imaging: Imaging) -> np.ndarray:
        shape, scale = np.array(imaging.shape_native), imaging.pixel_scales
        corner = -0.5 * scale * shape
        pixels = np.stack([imaging.pixel_rows, imaging.pixel_cols], axis=1)
        low, high = corner + scale * pixels.min(axis=0), corner + scale * (pixels.max(axis=0) + 1)
        spacing = (high - low) / self.shape
        y, x = (low[axis] + spacing[axis] * (np.arange(self.shape[axis]) + 0.5) for axis in (0, 1))
        points = lattice(y, x).reshape(-1, 2)
        unmasked = np.zeros(imaging.shape_native, bool)
        unmasked[imaging.pixel_rows, imaging.pixel_cols] = True
        row, column = np.floor((points - corner) / scale).astype(int).T
        return points[unmasked[row, column]]
