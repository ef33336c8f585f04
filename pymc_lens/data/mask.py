"""Which pixels of an image are fitted, and where pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pymc_lens.data._fits import pixel_scale_from, read_fits
from pymc_lens.data._quantities import in_arcsec, is_count, position, read_only, real_number


def checked_pixel_scales(pixel_scales: float | Sequence[float]) -> float:
    """Pixel scale (arcsec) as one positive number.

    Parameters
    ----------
    pixel_scales : float or Quantity, or a pair of equal ones

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If it is not finite and positive, or the pair is unequal.
    """
    scales: Any = pixel_scales
    several = isinstance(scales, (list, tuple)) or np.ndim(scales) > 0
    given = [in_arcsec("pixel_scales", each) for each in (scales if several else (scales,))]
    if len(given) not in (1, 2):
        raise TypeError(f"pixel_scales: expected a number (arcsec), got {pixel_scales!r}.")
    scale = given[0]
    if not (np.isfinite(scale) and scale > 0.0):
        raise ValueError(f"pixel_scales: expected a positive number (arcsec), got {pixel_scales!r}.")
    if given[-1] != scale:
        raise ValueError(
            f"pixel_scales: expected square pixels, got {pixel_scales!r}. Resample the image first."
        )
    return scale


def checked_shape(shape_native: Sequence[int]) -> tuple[int, int]:
    """Shape of an image as a pair of positive ints.

    Raises
    ------
    ValueError
        If it is not.
    """
    shape = tuple(shape_native) if np.iterable(shape_native) else ()
    if len(shape) != 2 or not all(is_count(n) for n in shape):
        raise ValueError(f"shape_native: expected two positive integers (ny, nx), got {shape_native!r}.")
    return int(shape[0]), int(shape[1])


def pixel_centres(
    rows: np.ndarray, cols: np.ndarray, shape_native: tuple[int, int], pixel_scales: float
) -> np.ndarray:
    """Positions of pixels; the image centre is the origin and y grows with the row.

    Parameters
    ----------
    rows, cols : (...) int
        Broadcast together. Indices outside the image are positions outside it.
    shape_native : (ny, nx)
    pixel_scales : float
        Arcsec.

    Returns
    -------
    (..., 2) float64
        (y, x), arcsec.
    """
    y = (rows - (shape_native[0] - 1) / 2) * pixel_scales
    x = (cols - (shape_native[1] - 1) / 2) * pixel_scales
    return np.stack(np.broadcast_arrays(y, x), axis=-1)


@dataclass(frozen=True, eq=False)
class Mask2D:
    """Which pixels of an image take part in a fit.

    A neighbour is masked as a *hole*: masked pixels with unmasked ones all around. Its light is not fitted,
    but the source may shine there, since the PSF carries light out of it; the same goes for the hole of an
    annulus. A hole, pixels masked in the data (a masked array) and a huge noise give the same fit. Beyond the
    outer rim of a mask there is no source: a neighbour at the rim that an arc reaches is best masked in the
    data.

    Parameters
    ----------
    array : (ny, nx) bool
        True where a pixel is masked *out*, as in PyAutoLens. Copied and made read-only.
    pixel_scales : float
        Arcsec; an equal pair is accepted.

    Raises
    ------
    TypeError
        If `array` is not boolean.
    ValueError
        If `array` is not two-dimensional or leaves no pixel, or `pixel_scales` is not positive.

    Examples
    --------
    >>> lens = Mask2D.circular((200, 200), 0.05, radius=3.0)
    >>> neighbour = Mask2D.circular((200, 200), 0.05, radius=0.3, centre=(1.2, -1.5))
    >>> Mask2D(lens.array | ~neighbour.array, 0.05)
    Mask2D(11192 of 200x200 pixels, 0.05"/pixel)
    """

    array: np.ndarray
    pixel_scales: float

    def __post_init__(self) -> None:
        try:
            array = np.array(self.array, order="C")
        except ValueError as error:
            raise ValueError(f"array: expected booleans of shape (ny, nx) ({error}).") from error
        if array.dtype != np.bool_:
            raise TypeError(
                f"array: expected booleans (True where a pixel is masked out), got {array.dtype}. "
                "Convert it, for instance with array != 0."
            )
        if array.ndim != 2:
            raise ValueError(f"array: expected shape (ny, nx), got {array.shape}.")
        if array.all():
            raise ValueError(
                f"array: the mask leaves none of the {array.size} pixels. True means masked out: is it "
                "inverted, or its radius smaller than a pixel?"
            )
        object.__setattr__(self, "array", read_only(array))
        object.__setattr__(self, "pixel_scales", checked_pixel_scales(self.pixel_scales))

    @classmethod
    def unmasked(cls, shape_native: tuple[int, int], pixel_scales: float) -> Mask2D:
        """Mask that keeps every pixel.

        Parameters
        ----------
        shape_native : (ny, nx)
        pixel_scales : float
            Arcsec.

        Returns
        -------
        Mask2D

        Raises
        ------
        TypeError
            If a number is of another kind.
        ValueError
            If the shape is no pair of positive integers, or the pixel scale is not positive.
        """
        return cls(np.zeros(checked_shape(shape_native), dtype=bool), pixel_scales)

    @classmethod
    def circular(
        cls,
        shape_native: tuple[int, int],
        pixel_scales: float,
        radius: float,
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> Mask2D:
        """Keep the pixels whose centre lies within a circle.

        Parameters
        ----------
        shape_native : (ny, nx)
        pixel_scales : float
            Arcsec.
        radius : float
            Arcsec, inclusive.
        centre : (y, x)
            Arcsec.

        Returns
        -------
        Mask2D

        Raises
        ------
        TypeError
            If a number is of another kind.
        ValueError
            If the shape is no pair of positive integers, the pixel scale is not positive, the radius is
            negative, or no pixel is left.
        """
        radius = _checked_radius("radius", radius)
        y, x = _offsets(shape_native, pixel_scales, centre)
        return cls(np.hypot(y, x) > radius, pixel_scales)

    @classmethod
    def annular(
        cls,
        shape_native: tuple[int, int],
        pixel_scales: float,
        inner_radius: float,
        outer_radius: float,
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> Mask2D:
        """Keep the pixels whose centre lies between two circles.

        Parameters
        ----------
        shape_native : (ny, nx)
        pixel_scales : float
            Arcsec.
        inner_radius, outer_radius : float
            Arcsec, inclusive.
        centre : (y, x)
            Arcsec.

        Returns
        -------
        Mask2D

        Raises
        ------
        TypeError
            If a number is of another kind.
        ValueError
            If the shape is no pair of positive integers, the pixel scale is not positive, a radius is
            negative, the inner one is not the smaller, or no pixel is left.
        """
        inner = _checked_radius("inner_radius", inner_radius)
        outer = _checked_radius("outer_radius", outer_radius)
        if not inner < outer:
            raise ValueError(f"inner_radius: expected less than outer_radius {outer!r}, got {inner!r}.")
        distance = np.hypot(*_offsets(shape_native, pixel_scales, centre))
        return cls((distance < inner) | (distance > outer), pixel_scales)

    @classmethod
    def elliptical(
        cls,
        shape_native: tuple[int, int],
        pixel_scales: float,
        major_axis_radius: float,
        axis_ratio: float,
        angle: float,
        centre: tuple[float, float] = (0.0, 0.0),
    ) -> Mask2D:
        """Keep the pixels whose centre lies within an ellipse.

        Parameters
        ----------
        shape_native : (ny, nx)
        pixel_scales : float
            Arcsec.
        major_axis_radius : float
            Semi-major axis, arcsec, inclusive.
        axis_ratio : float
            Minor over major axis, in (0, 1].
        angle : float
            Of the major axis, degrees counter-clockwise from +x.
        centre : (y, x)
            Arcsec.

        Returns
        -------
        Mask2D

        Raises
        ------
        TypeError
            If a number is of another kind.
        ValueError
            If the shape is no pair of positive integers, the pixel scale is not positive, the radius is
            negative, the axis ratio is outside (0, 1], the angle is not finite, or no pixel is left.
        """
        radius = _checked_radius("major_axis_radius", major_axis_radius)
        if not 0.0 < real_number("axis_ratio", axis_ratio) <= 1.0:
            raise ValueError(f"axis_ratio: expected minor over major axis in (0, 1], got {axis_ratio!r}.")
        if not np.isfinite(real_number("angle", angle)):
            raise ValueError(f"angle: expected finite degrees, got {angle!r}.")
        y, x = _offsets(shape_native, pixel_scales, centre)
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        return cls(np.hypot(cos * x + sin * y, (cos * y - sin * x) / axis_ratio) > radius, pixel_scales)

    @classmethod
    def from_fits(cls, path: str | Path, pixel_scales: float | None = None, hdu: int | str = 0) -> Mask2D:
        """Read a mask; pixels that are not zero are masked out.

        Parameters
        ----------
        path : path
        pixel_scales : float, optional
            Arcsec; by default from the header's world coordinates.
        hdu : int or str
            Number or name of the extension.

        Returns
        -------
        Mask2D

        Raises
        ------
        TypeError
            If the path is none, or the pixel scale no number.
        FileNotFoundError
            If there is no such file.
        ValueError
            If there is no such extension, two-dimensional image or world coordinates; if NaN is in it, or no
            pixel is left.
        """
        image = read_fits(path, hdu, "path")
        if np.isnan(image.array).any():
            raise ValueError(f"path: the mask {path} holds NaN; expected 0 (kept) and 1 (masked out).")
        if pixel_scales is None:
            pixel_scales = pixel_scale_from(image, path)
        return cls(image.array != 0.0, pixel_scales)

    @property
    def shape_native(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.array.shape[0], self.array.shape[1]

    @cached_property
    def without_holes(self) -> Mask2D:
        """The mask without masked pixels that no path of such pixels joins to the edge of the image."""
        from scipy.ndimage import binary_fill_holes  # only needed where there is a mask

        return Mask2D(~binary_fill_holes(~self.array), self.pixel_scales)

    @cached_property
    def n_pixels(self) -> int:
        """Number of pixels that are kept."""
        return int(np.count_nonzero(~self.array))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Mask2D)
            and self.pixel_scales == other.pixel_scales
            and np.array_equal(self.array, other.array)
        )

    def __hash__(self) -> int:
        return hash((self.pixel_scales, self.array.shape, self.array.tobytes()))

    def __repr__(self) -> str:
        shape, scale = self.shape_native, self.pixel_scales
        return f'Mask2D({self.n_pixels} of {shape[0]}x{shape[1]} pixels, {scale}"/pixel)'

    def __reduce__(self) -> tuple[type[Mask2D], tuple[np.ndarray, float]]:
        # NumPy does not pickle the read-only flag; the constructor sets it again.
        return type(self), (self.array, self.pixel_scales)


def _checked_radius(name: str, radius: float) -> float:
    arcsec = in_arcsec(name, radius)
    if not (np.isfinite(arcsec) and arcsec >= 0.0):
        raise ValueError(f"{name}: expected arcsec >= 0, got {radius!r}.")
    return arcsec


def _offsets(
    shape_native: tuple[int, int], pixel_scales: float, centre: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    y, x = position("centre", centre)
    shape = checked_shape(shape_native)
    grid = pixel_centres(*np.indices(shape, sparse=True), shape, checked_pixel_scales(pixel_scales))
    return grid[..., 0] - y, grid[..., 1] - x
