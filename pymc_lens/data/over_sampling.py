"""Positions inside pixels where brightness is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_lens.data._quantities import in_arcsec, is_count, position, read_only
from pymc_lens.data.mask import Mask2D, pixel_centres
from pymc_lens.geometry.lattice import lattice
from pymc_lens.validation import require_memory

# Of Gauss-Legendre quadrature with two points, in a part of unit size about its middle.
_GAUSS_NODES = np.array([-0.5, 0.5]) / np.sqrt(3.0)


def sub_pixel_positions(centres: np.ndarray, sub_size: int, pixel_scales: float) -> np.ndarray:
    """Centres of the `sub_size` x `sub_size` equal parts of pixels.

    Parameters
    ----------
    centres : (n, 2) float64
        (y, x), arcsec.
    sub_size : int
    pixel_scales : float
        Arcsec.

    Returns
    -------
    (n * sub_size**2, 2) float64
        The parts of one pixel are consecutive, row-major with y and x growing.
    """
    return _positions(centres, (_midpoints(sub_size) - 0.5) * pixel_scales)


def quadrature_positions(centres: np.ndarray, sub_size: int, pixel_scales: float) -> np.ndarray:
    """Positions in pixels whose plain mean approximates a smooth function's mean over the pixel well.

    An even number of positions along a side makes pairs, each at the two Gauss-Legendre nodes of its part of
    the side. Their weights are equal and they integrate cubics exactly, so that errors fall with the fourth
    power of the part's size, those of midpoints with the second: for a Gaussian as wide as a pixel 2 x 2
    nodes do as well as 8 x 8 midpoints. An odd number are midpoints.

    Parameters
    ----------
    centres : (n, 2) float64
        (y, x), arcsec.
    sub_size : int
    pixel_scales : float
        Arcsec.

    Returns
    -------
    (n * sub_size**2, 2) float64
        Those of one pixel are consecutive, row-major with y and x growing.
    """
    steps = _midpoints(sub_size)
    if sub_size % 2 == 0:
        n_parts = sub_size // 2
        steps = (_midpoints(n_parts)[:, None] + _GAUSS_NODES / n_parts).ravel()
    return _positions(centres, (steps - 0.5) * pixel_scales)


def _midpoints(n_parts: int) -> np.ndarray:
    return (np.arange(n_parts) + 0.5) / n_parts


def _positions(centres: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return (centres[:, None] + lattice(steps, steps).reshape(-1, 2)).reshape(-1, 2)


# A position and where it is traced to, with some interpolation weights or brightnesses.
_BYTES_A_POSITION = 100

# Pixels from the image centre; sizes 8, 4, 2 within and 1 beyond.
_LIGHT_RADII = (3.0, 5.0, 12.0)


@dataclass(frozen=True)
class RadialBins:
    """Over-sampling that depends on the distance of a pixel from a centre.

    Parameters
    ----------
    sizes : sequence of int
        Positions along a pixel's side: one number a bin, from the centre outwards.
    radii : sequence of float
        Where each bin but the last ends, increasing, arcsec, inclusive.
    centre : (y, x)
        Arcsec, in the image's own frame; by default the image centre.

    Raises
    ------
    TypeError
        If sizes or radii are no sequences of numbers.
    ValueError
        If the lengths do not fit, sizes are not positive integers or radii do not increase.

    Examples
    --------
    >>> pl.RadialBins(sizes=(8, 4, 1), radii=(0.1, 0.3)).at(np.array([[0.0, 0.05], [0.0, 0.2], [1.0, 1.0]]))
    array([8, 4, 1])
    """

    sizes: tuple[int, ...]
    radii: tuple[float, ...]
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        sizes, radii = _sequence("sizes", self.sizes), _sequence("radii", self.radii)
        radii = tuple(in_arcsec("radii", radius) for radius in radii)
        if len(sizes) != len(radii) + 1:
            raise ValueError(
                f"sizes: expected one more than radii, as the last bin is open; got {sizes!r} for {radii!r}."
            )
        if not all(is_count(size) for size in sizes):
            raise ValueError(f"sizes: expected integers >= 1, got {sizes!r}.")
        if not np.isfinite(radii).all() or any(np.diff((0.0, *radii)) <= 0.0):
            raise ValueError(f"radii: expected increasing arcsec > 0, got {radii!r}.")
        object.__setattr__(self, "sizes", tuple(int(size) for size in sizes))
        object.__setattr__(self, "radii", radii)
        object.__setattr__(self, "centre", position("centre", self.centre))

    @classmethod
    def for_lens_light(cls, pixel_scales: float) -> RadialBins:
        """Return the default, for a lens near the image centre.

        A narrow Gaussian needs many positions in the few pixels it covers, a wide one few, so the radii are
        numbers of pixels. Blurred by an HST PSF, Gaussians of ``sigma >= 0.2`` pixels within two pixels of
        the image centre, or ``sigma >= 0.4`` within three, are right to 1e-3 of their peak. Give the centre
        of a lens that lies farther off. A de Vaucouleurs cusp, sharper than any of these, keeps errors of 2 %
        at its centre, and 0.5 % with 16 instead of 8 positions.

        Parameters
        ----------
        pixel_scales : float
            Arcsec.

        Returns
        -------
        RadialBins
        """
        return cls(sizes=(8, 4, 2, 1), radii=tuple(n * pixel_scales for n in _LIGHT_RADII))

    def at(self, points: np.ndarray) -> np.ndarray:
        """Sizes of pixels.

        Parameters
        ----------
        points : (n, 2) float64
            (y, x) of their centres, arcsec.

        Returns
        -------
        (n,) int64 array
        """
        distance = np.hypot(points[:, 0] - self.centre[0], points[:, 1] - self.centre[1])
        return np.array(self.sizes)[np.searchsorted(self.radii, distance, side="left")]


def _sequence(name: str, values: Any) -> tuple[Any, ...]:
    if not np.iterable(values) or isinstance(values, str):
        raise TypeError(f"{name}: expected a sequence of numbers, got {values!r}.")
    return tuple(values)


OverSampleSize = int | np.ndarray | RadialBins


def checked_sub_size(name: str, size: Any) -> int:
    """One number of sub-pixels along a pixel's side.

    Raises
    ------
    ValueError
        If it is not an integer >= 1.
    """
    if not is_count(size):
        raise ValueError(f"{name}: expected an integer >= 1, got {size!r}.")
    return int(size)


def require_memory_for(name: str, n_positions: int) -> None:
    """Raise ValueError if so many positions are more than this machine's memory holds."""
    advice = "Over-sample less, or mask more pixels."
    require_memory(name, _BYTES_A_POSITION * n_positions, f"{n_positions:.2g} positions", advice)


def checked_over_sample_size(
    name: str, size: int | Sequence[Sequence[int]] | np.ndarray | RadialBins, shape_native: tuple[int, int]
) -> OverSampleSize:
    """Over-sampling as an int, a read-only (ny, nx) int64 array or RadialBins.

    Raises
    ------
    ValueError
        If a size is not an integer >= 1, or an array has another shape than the image.
    """
    if isinstance(size, RadialBins):
        return size
    try:
        array = np.array(size)
    except ValueError as error:
        raise ValueError(
            f"{name}: expected integers of the image's shape {shape_native} ({error})."
        ) from error
    if array.ndim == 0:
        return checked_sub_size(name, size)
    if array.shape != shape_native:
        raise ValueError(f"{name}: expected the image's shape {shape_native}, got {array.shape}.")
    if not np.issubdtype(array.dtype, np.integer) or (array < 1).any():
        raise ValueError(f"{name}: expected integers >= 1, got {array.dtype} with minimum {array.min()}.")
    return read_only(array.astype(np.int64))


@dataclass(frozen=True, eq=False)
class LightGrid:
    """Where light profiles are evaluated: every pixel from which the PSF scatters light into the mask.

    Some of these pixels lie outside the mask, or even outside the image.

    Attributes
    ----------
    frame_shape : (hf, wf)
        The mask's bounding box, padded by the reach of the PSF: ``box + psf - 1``.
    groups : tuple of (int, (n_g * sub_size**2, 2) float64)
        Pixels of equal over-sampling: ``sub_size`` and the (y, x), arcsec, of positions whose mean is the
        pixel's average (`quadrature_positions`); those of one pixel consecutive.
    pixel_index : (sum of n_g,) int64
        Flat index in the frame of each pixel, groups concatenated.
    mask_index : (n_pixels,) int64
        Flat index in the frame of the mask's pixels, in slim order.
    """

    frame_shape: tuple[int, int]
    groups: tuple[tuple[int, np.ndarray], ...]
    pixel_index: np.ndarray
    mask_index: np.ndarray


def light_grid(mask: Mask2D, psf: np.ndarray, psf_centre: tuple[int, int], size: OverSampleSize) -> LightGrid:
    """Lay out the positions of lens light.

    Parameters
    ----------
    mask : Mask2D
    psf : (ky, kx) float64
        Light of a pixel reaches ``row + k - centre`` with weight ``psf[k]``.
    psf_centre : (int, int)
    size : int, (ny, nx) int or RadialBins
        Pixels outside the image take the value of the nearest pixel inside.
    """
    mask_rows, mask_cols = np.nonzero(~mask.array)
    # Light that reaches a row comes from as far as (ky - 1 - centre) rows below and (centre) rows above it.
    first_row = int(mask_rows.min()) - (psf.shape[0] - 1 - psf_centre[0])
    first_col = int(mask_cols.min()) - (psf.shape[1] - 1 - psf_centre[1])
    box = ~mask.array[mask_rows.min() : mask_rows.max() + 1, mask_cols.min() : mask_cols.max() + 1]
    contributes = _scatters_into(box, psf != 0.0)
    rows, cols = np.nonzero(contributes)
    frame_shape = (contributes.shape[0], contributes.shape[1])
    centres = pixel_centres(rows + first_row, cols + first_col, mask.shape_native, mask.pixel_scales)
    sizes = _sizes_at(size, rows + first_row, cols + first_col, centres)
    require_memory_for("over_sample_size_lp", int((sizes.astype(np.float64) ** 2).sum()))
    groups = [(int(sub_size), np.nonzero(sizes == sub_size)[0]) for sub_size in np.unique(sizes)[::-1]]
    order = np.concatenate([members for _, members in groups])
    scale = mask.pixel_scales
    return LightGrid(
        frame_shape,
        tuple(
            (sub, read_only(quadrature_positions(centres[members], sub, scale))) for sub, members in groups
        ),
        read_only(np.ravel_multi_index((rows[order], cols[order]), frame_shape)),
        read_only(np.ravel_multi_index((mask_rows - first_row, mask_cols - first_col), frame_shape)),
    )


def _scatters_into(box: np.ndarray, support: np.ndarray) -> np.ndarray:
    from scipy.signal import fftconvolve  # takes half a second, a third of importing pymc_lens

    counts = fftconvolve(box.astype(np.float64), support[::-1, ::-1].astype(np.float64), mode="full")
    return counts > 0.5


def _sizes_at(size: OverSampleSize, rows: np.ndarray, cols: np.ndarray, centres: np.ndarray) -> np.ndarray:
    if isinstance(size, RadialBins):
        return size.at(centres)
    if isinstance(size, int):
        return np.full(rows.size, size)
    ny, nx = size.shape
    return size[np.clip(rows, 0, ny - 1), np.clip(cols, 0, nx - 1)]
