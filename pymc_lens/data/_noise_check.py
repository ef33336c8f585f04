"""Whether a noise map and the scatter of the data agree, seen from the two images alone."""

from __future__ import annotations

from typing import Literal

import numpy as np

NoiseMapKind = Literal["sd", "variance", "weight"]

# Pixels along the side of a block: few against galaxies and gradients of the sky, many against the reach of
# correlated noise.
_BLOCK = 8
# Blocks with fewer usable pixels have no say; nothing is said of an image that has fewer of the others.
_ENOUGH_PIXELS, _ENOUGH_BLOCKS = 32, 4
# Of a large image the blocks of a coarser raster will do.
_MOST_BLOCKS = 1024
# Noise maps are conservative by up to 2 (SLACS: 1.5), and resampling hides as much; variances and weights are
# off by the noise itself or its cube.
_TOLERATED = 3.0
# Standard deviation over median absolute deviation of a Gaussian.
_MAD_TO_SD = 1.4826


def standard_deviations(noise_map: np.ndarray, kind: NoiseMapKind) -> np.ndarray:
    """Take a noise map to standard deviations; negative values stay so, weights of zero become NaN.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind == "sd":
        return noise_map
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "variance":
            return np.sign(noise_map) * np.sqrt(np.abs(noise_map))
        if kind == "weight":
            return np.sign(noise_map) / np.sqrt(np.abs(noise_map))
    raise ValueError(f"noise_map_kind: expected 'sd', 'variance' or 'weight', got {kind!r}.")


def noise_map_doubt(data: np.ndarray, noise_map: np.ndarray) -> str | None:
    """Say what is wrong with a noise map whose standard deviations are not those of the data.

    Parameters
    ----------
    data, noise_map : (ny, nx) float64
        NaN in both where a pixel is not to be used; noise positive.

    Returns
    -------
    str or None
        None if they agree within a factor of three, or the image is too small to tell.
    """
    scatter = scatter_range(data, noise_map)
    if scatter is None or _agrees(scatter):
        return None
    least, most = scatter
    found = f"at least {least:.3g}" if least > _TOLERATED else f"at most {most:.3g}"
    doubt = f"noise_map: the data scatter by {found} times the standard deviation that it states."
    for kind in ("variance", "weight"):
        other = scatter_range(data, standard_deviations(noise_map, kind))
        if other is not None and _agrees(other):
            return (
                f'{doubt} Its values look like those of a {kind} map: read it with noise_map_kind="{kind}" '
                "(Imaging.from_fits), or convert it to standard deviations."
            )
    return f"{doubt} Check its units and its extension, and whether it holds variances or weights."


def scatter_range(data: np.ndarray, noise_map: np.ndarray) -> tuple[float, float] | None:
    """Between what the scatter of the data lies, in units of the noise map, in most of the image.

    The lower bound comes from second differences of neighbouring pixels, from which smooth light and the
    correlated part of the noise drop out; the upper one from all that varies within blocks of pixels, light
    and correlated noise included. Blocks that are constant, such as padding, have no say.
    """
    variance = noise_map**2
    differences = (data[:, :-2] - 2.0 * data[:, 1:-1] + data[:, 2:]) / np.sqrt(
        variance[:, :-2] + 4.0 * variance[:, 1:-1] + variance[:, 2:]
    )
    fine, coarse = _block_scatter(differences), _block_scatter(data / noise_map)
    if min(fine.size, coarse.size) < _ENOUGH_BLOCKS:
        return None
    return float(np.quantile(fine, 0.25)), float(np.median(coarse))


def _agrees(scatter: tuple[float, float]) -> bool:
    least, most = scatter
    return least <= _TOLERATED and most >= 1.0 / _TOLERATED


def _block_scatter(image: np.ndarray) -> np.ndarray:
    """Robust standard deviations (n_blocks,) within blocks of an image, the constant ones left out."""
    ny, nx = (n // _BLOCK for n in image.shape)
    tiles = image[: ny * _BLOCK, : nx * _BLOCK].reshape(ny, _BLOCK, nx, _BLOCK).swapaxes(1, 2)
    step = int(np.ceil(np.sqrt(max(ny * nx, 1) / _MOST_BLOCKS)))
    blocks = tiles[::step, ::step].reshape(-1, _BLOCK**2)
    blocks = blocks[np.isfinite(blocks).sum(axis=1) >= _ENOUGH_PIXELS]
    deviations = np.abs(blocks - np.nanmedian(blocks, axis=1, keepdims=True))
    scatter = _MAD_TO_SD * np.nanmedian(deviations, axis=1)
    return scatter[scatter > 0.0]
