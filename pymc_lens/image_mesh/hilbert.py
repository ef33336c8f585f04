"""Points along a space-filling curve, dense where an image is bright."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.image_mesh.adaptive import AdaptiveImageMesh


@dataclass(frozen=True, eq=False)
class Hilbert(AdaptiveImageMesh):
    """Points at equal steps of cumulative weight along a Hilbert curve through the unmasked pixels.

    The idea is PyAutoLens's mesh of this name; weights are ``(adapt_image / maximum)^weight_power +
    weight_floor``.

    Parameters
    ----------
    n_points : int
    adapt_image : (n_y, n_x) array
        Image of the lensed source, not negative, of the shape of the dataset.
    weight_power, weight_floor : float
        The larger the power and the smaller the floor, the more points go to where the image is bright.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If a number is outside its domain, or the image is not finite, negative somewhere or zero.
    """

    def vertices(self, plane: ImagePlane) -> np.ndarray:
        order = np.argsort(_hilbert_index(plane.pixel_rows, plane.pixel_cols))
        along = self.weights(plane)[order]
        # Weight up to the middle of each pixel; between middles the curve is a straight line.
        cumulative = np.cumsum(along) - 0.5 * along
        targets = (np.arange(self.n_points) + 0.5) / self.n_points * along.sum()
        grid = plane.grid[order]
        return np.stack([np.interp(targets, cumulative, grid[:, axis]) for axis in (0, 1)], axis=1)


def _hilbert_index(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Place of each pixel along the Hilbert curve (Skilling 2004, AIP Conf. Proc. 707, 381)."""
    y, x = rows.astype(np.int64), cols.astype(np.int64)
    side = 1 << int(max(y.max(), x.max())).bit_length()
    index = np.zeros(y.size, np.int64)
    half = side >> 1
    while half:
        up, right = (y & half) > 0, (x & half) > 0
        index += half * half * ((3 * right) ^ up)
        flip = ~up & right
        x, y = np.where(flip, side - 1 - x, x), np.where(flip, side - 1 - y, y)
        x, y = np.where(~up, y, x), np.where(~up, x, y)
        half >>= 1
    return index
