"""Places in an image."""

from __future__ import annotations

import numpy as np

from pymc_lens.data.imaging import Imaging


def on_sky(dataset: Imaging, row: float, col: float) -> tuple[float, float]:
    """Position (y, x) of a pixel in the frame of the lens model, arcsec."""
    middle = (np.array(dataset.shape_native) - 1) / 2
    y, x = dataset.plane.frame.to_sky(dataset.pixel_scales * (np.array([row, col]) - middle)).tolist()
    return y, x


def distances(dataset: Imaging, centre: tuple[float, float]) -> np.ndarray:
    """(ny, nx) distances of pixels from a position (y, x) in the frame of the lens model, arcsec."""
    middle = (np.array(dataset.shape_native) - 1) / 2
    y, x = dataset.plane.frame.from_sky(np.array(centre))
    rows, cols = (np.arange(n) for n in dataset.shape_native)
    along_y = dataset.pixel_scales * (rows - middle[0]) - y
    along_x = dataset.pixel_scales * (cols - middle[1]) - x
    return np.hypot(along_y[:, None], along_x[None])
