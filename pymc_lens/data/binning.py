"""An image on larger pixels: all that a search needs of it."""

from __future__ import annotations

import numpy as np

from pymc_lens.data.image_plane import Frame
from pymc_lens.data.imaging import Imaging
from pymc_lens.data.mask import Mask2D
from pymc_lens.validation import integer, require_instance


def binned(dataset: Imaging, factor: int) -> Imaging:
    """Average ``factor`` x ``factor`` pixels into one.

    Each pixel counts with its weight in the fit, so that the huge noise of a contaminant does not spread.
    Rows and columns that are left over are cut off, half of them at each side.

    Parameters
    ----------
    dataset : Imaging
    factor : int

    Returns
    -------
    Imaging
        In the same frame: ``offset`` makes up for what was cut off. A pixel is masked where most of what it
        is made of is, and dropped where none of that has weight. The PSF is that between averages.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If the factor is less than one, or leaves no pixel to fit.
    """
    require_instance("dataset", dataset, Imaging)
    integer("factor", factor, 1)
    weight = dataset.native(dataset.noise_fitted**-2.0, fill=0.0)
    total = _sums(weight, factor)
    seen = total > 0.0
    data = _sums(weight * np.where(weight > 0.0, dataset.data, 0.0), factor) / np.where(seen, total, 1.0)
    noise = np.where(seen, total, np.inf) ** -0.5
    mask = _sums(dataset.mask.array.astype(float), factor) > 0.5 * factor**2
    scale = factor * dataset.pixel_scales
    return Imaging(
        data,
        noise,
        _between_averages(dataset.psf, dataset.psf_centre, factor),
        scale,
        mask=Mask2D(mask, scale),
        over_sample_size_pixelization=dataset.over_sample_size_pixelization,
        unit=dataset.unit,
        offset=_centre(dataset, factor),
        rotation=dataset.rotation,
    )


def _sums(image: np.ndarray, factor: int) -> np.ndarray:
    """Sum over blocks (ny // factor, nx // factor)."""
    (ny, nx), (low_y, low_x) = (n // factor for n in image.shape), _cut(image.shape, factor)
    cut = image[low_y : low_y + ny * factor, low_x : low_x + nx * factor]
    return cut.reshape(ny, factor, nx, factor).sum(axis=(1, 3))


def _cut(shape: tuple[int, ...], factor: int) -> list[int]:
    """Rows and columns that are cut off at the low sides."""
    return [n % factor // 2 for n in shape]


def _centre(dataset: Imaging, factor: int) -> tuple[float, float]:
    shape = dataset.shape_native
    shift = [low - 0.5 * (n % factor) for low, n in zip(_cut(shape, factor), shape, strict=True)]
    frame = Frame(dataset.offset, dataset.rotation)
    y, x = frame.to_sky(dataset.pixel_scales * np.array(shift)).tolist()
    return y, x


def _between_averages(psf: np.ndarray, centre: tuple[int, int], factor: int) -> np.ndarray:
    """PSF (odd, odd) between averages over blocks: what two random points of two blocks are apart."""
    along_y, along_x = (_triangles(n, middle, factor) for n, middle in zip(psf.shape, centre, strict=True))
    return along_y @ psf @ along_x.T


def _triangles(n: int, middle: int, factor: int) -> np.ndarray:
    reach = -(-(max(middle, n - 1 - middle)) // factor)
    blocks = factor * np.arange(-reach, reach + 1)
    away = np.abs(np.arange(n) - middle - blocks[:, None])
    return np.clip(1.0 - away / factor, 0.0, None)
