"""The images of a fit as FITS files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pymc_lens.data._fits import FitsOutput, checked_path, resampled_wcs, write_fits
from pymc_lens.data.imaging import Imaging
from pymc_lens.geometry.lattice import lattice, square_around

if TYPE_CHECKING:
    from pymc_lens.fit import FitImaging
    from pymc_lens.solved_image import Source

_IMAGES = ("model_image", "residual_map", "lens_light", "lensed_source")
# Magnification makes details of a source visible that are smaller than the pixels of the data.
SOURCE_PIXELS_PER_PIXEL = 4


def write_fit(fit: FitImaging, folder: str | Path, overwrite: bool) -> dict[str, Path]:
    """Write the images of a fit; see `FitImaging.to_fits`."""
    folder, dataset = checked_path("folder", folder), fit.dataset
    outputs = {name: FitsOutput(getattr(fit, name), dataset.sky, dataset.unit) for name in _IMAGES}
    for name, source in fit.sources.items():
        outputs["source" if len(fit.sources) == 1 else name] = _source(dataset, source)
    paths = {name: folder / f"{name}.fits" for name in outputs}
    write_fits({paths[name]: output for name, output in outputs.items()}, overwrite)
    return paths


def source_pixels(points: np.ndarray, dataset: Imaging) -> tuple[np.ndarray, np.ndarray]:
    """Return the y and the x of pixels of a source in a square around points (n, 2)."""
    scale = dataset.pixel_scales / SOURCE_PIXELS_PER_PIXEL
    y, x = (
        start + scale * np.arange(np.ceil((stop - start) / scale) + 1)
        for start, stop in zip(*square_around(points), strict=True)
    )
    return y, x


def _source(dataset: Imaging, source: Source) -> FitsOutput:
    # World coordinates are those of the image, whatever frame the lens model lives in.
    frame = dataset.plane.frame
    y, x = source_pixels(frame.from_sky(source.detected_rays), dataset)
    first = (
        np.array([y[0], x[0]]) / dataset.pixel_scales + (np.array(dataset.shape_native) - 1) / 2
    ).tolist()
    wcs = resampled_wcs(dataset.sky, first, 1.0 / SOURCE_PIXELS_PER_PIXEL)
    return FitsOutput(source.brightness(frame.to_sky(lattice(y, x))), wcs, dataset.unit)
