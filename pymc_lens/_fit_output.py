"""The images of a fit as FITS files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pymc_lens.data._fits import FitsOutput, resampled_wcs, write_fits
from pymc_lens.geometry.lattice import lattice, square_around

if TYPE_CHECKING:
    from pymc_lens.fit import FitImaging
    from pymc_lens.solved_image import Source

_IMAGES = ("model_image", "residual_map", "lens_light", "lensed_source")
# Magnification makes details of a source visible that are smaller than the pixels of the data.
_SOURCE_PIXELS_PER_PIXEL = 4


def write_fit(fit: FitImaging, folder: str | Path, overwrite: bool) -> dict[str, Path]:
    """Write the images of a fit; see `FitImaging.to_fits`."""
    if not isinstance(folder, (str, PathLike)):
        raise TypeError(f"folder: expected a path, got {folder!r}.")
    dataset = fit.dataset
    outputs = {name: FitsOutput(getattr(fit, name), dataset.sky, dataset.unit) for name in _IMAGES}
    for name, source in fit.sources.items():
        outputs["source" if len(fit.sources) == 1 else name] = _source(fit, source)
    paths = {name: Path(folder) / f"{name}.fits" for name in outputs}
    write_fits({paths[name]: output for name, output in outputs.items()}, overwrite)
    return paths


def _source(fit: FitImaging, source: Source) -> FitsOutput:
    dataset = fit.dataset
    scale = dataset.pixel_scales / _SOURCE_PIXELS_PER_PIXEL
    # World coordinates are those of the image, whatever frame the lens model lives in.
    frame = dataset.plane.frame
    low, high = square_around(frame.from_sky(source.detected_rays))
    y, x = (
        start + scale * np.arange(np.ceil((stop - start) / scale) + 1)
        for start, stop in zip(low, high, strict=True)
    )
    first = (
        np.array([y[0], x[0]]) / dataset.pixel_scales + (np.array(dataset.shape_native) - 1) / 2
    ).tolist()
    wcs = resampled_wcs(dataset.sky, first, 1.0 / _SOURCE_PIXELS_PER_PIXEL)
    return FitsOutput(source.brightness(frame.to_sky(lattice(y, x))), wcs, dataset.unit)
