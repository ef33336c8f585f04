"""Places in an image."""

from __future__ import annotations

import numpy as np

from pymc_lens.data.imaging import Imaging
from pymc_lens.fit import FitImaging


def on_sky(dataset: Imaging, row: float, col: float) -> tuple[float, float]:
    """Position (y, x) of a pixel in the frame of the lens model, arcsec."""
    middle = (np.array(dataset.shape_native) - 1) / 2
    y, x = dataset.plane.frame.to_sky(dataset.pixel_scales * (np.array([row, col]) - middle)).tolist()
    return y, x


def arc_radius(fit: FitImaging, centre: tuple[float, float]) -> float:
    """Mean distance (arcsec) of the lensed source's light from a position (y, x)."""
    lensed = np.nan_to_num(fit.lensed_source).clip(0.0)
    return float((lensed * distances(fit.dataset, centre)).sum() / max(lensed.sum(), 1e-30))


def distances(dataset: Imaging, centre: tuple[float, float]) -> np.ndarray:
    """(ny, nx) distances of pixels from a position (y, x) in the frame of the lens model, arcsec."""
    middle = (np.array(dataset.shape_native) - 1) / 2
    y, x = dataset.plane.frame.from_sky(np.array(centre))
    rows, cols = (np.arange(n) for n in dataset.shape_native)
    along_y = dataset.pixel_scales * (rows - middle[0]) - y
    along_x = dataset.pixel_scales * (cols - middle[1]) - x
    return np.hypot(along_y[:, None], along_x[None])
