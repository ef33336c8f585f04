"""Imaging data of a lens."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from pymc_lens._fits import pixel_scale_from, read_fits, write_fits
from pymc_lens.mask import Mask2D, checked_pixel_scales, pixel_centres
from pymc_lens.over_sampling import (
    LightGrid,
    OverSampleSize,
    RadialBins,
    checked_over_sample_size,
    checked_sub_size,
    light_grid,
    sub_pixel_positions,
)

_log = logging.getLogger(__name__)

# Noise maps mark contaminants by noise so large that they carry no weight (1e8 in the SLACS data).
_HUGE_NOISE = 1e5

# A PSF this close to unit sum is left as it is, so that normalising twice changes nothing.
_UNIT_SUM_TOLERANCE = 1e-12

# Relative: pixel scales from a header and from the user may differ by rounding.
_SAME_SCALE = 1e-6

_FILE_NAMES = ("data.fits", "psf.fits", "noise_map.fits")


@dataclass(frozen=True, eq=False)
class Imaging:
    """Image of a lens with its noise, PSF and mask. Immutable, compared and hashed by content.

    Pixel (i, j) of an image of shape (ny, nx) is centred at ``y = (i - (ny - 1) / 2) * pixel_scales``,
    ``x = (j - (nx - 1) / 2) * pixel_scales``: the image centre is the origin and y grows with the row. *Slim*
    arrays hold the unmasked pixels row-major, row 0 first.

    Unmasked pixels whose data or noise is not finite, or whose noise is zero, negative or more than 1e5 times
    the median, are *dropped*: source and lens light still cover them, since the PSF carries light into their
    neighbours, but they have no weight. One log line, when they are first left out of a fit, says how many of
    each there are.

    Parameters
    ----------
    data : (ny, nx) float
        Surface brightness.
    noise_map : (ny, nx) float
        Standard deviation of the noise, in the units of `data`.
    psf : (ky, kx) float
        Point spread function on the same pixels, odd or even, square or not. Its centre is element
        ``(ky // 2, kx // 2)``: the middle one when odd, the one after the middle when even, as in kernels
        from ``np.fft.fftshift`` or Tiny Tim. It is normalised to unit sum.
    pixel_scales : float
        Arcsec; an equal pair is accepted.
    mask : Mask2D, optional
        By default every pixel is kept.
    over_sample_size_pixelization : int
        Rays of the pixelized source along a pixel's side.
    over_sample_size_lp : int, (ny, nx) int or RadialBins, optional
        Sub-pixels of light profiles along a pixel's side; by default `RadialBins.for_lens_light`.
    unit : str, optional
        Of `data`, for labels.

    Raises
    ------
    TypeError
        If `mask` is no Mask2D or `pixel_scales` no number.
    ValueError
        If shapes do not fit, the PSF is larger than the image, not finite or of no positive sum, an
        over-sampling is no positive integer, or no unmasked pixel is left to fit.
    """

    data: np.ndarray
    noise_map: np.ndarray
    psf: np.ndarray
    pixel_scales: float
    mask: Mask2D = None  # type: ignore[assignment]
    over_sample_size_pixelization: int = 2
    over_sample_size_lp: OverSampleSize = None  # type: ignore[assignment]
    unit: str | None = None

    def __post_init__(self) -> None:
        data = _image("data", self.data)
        noise_map = _image("noise_map", self.noise_map)
        if noise_map.shape != data.shape:
            raise ValueError(f"noise_map: expected the shape of data, {data.shape}, got {noise_map.shape}.")
        pixel_scales = checked_pixel_scales(self.pixel_scales)
        unmasked = Mask2D.unmasked(data.shape, pixel_scales)
        light_default: OverSampleSize = RadialBins.for_lens_light(pixel_scales)
        light_size = _or_default(self.over_sample_size_lp, light_default)
        checked = {
            "data": data,
            "noise_map": noise_map,
            "psf": _normalised_psf(self.psf, data.shape),
            "pixel_scales": pixel_scales,
            "mask": _checked_mask(_or_default(self.mask, unmasked), unmasked),
            "over_sample_size_pixelization": checked_sub_size(
                "over_sample_size_pixelization", self.over_sample_size_pixelization
            ),
            "over_sample_size_lp": checked_over_sample_size("over_sample_size_lp", light_size, data.shape),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if not self._usable.any():
            raise ValueError(
                "noise_map: no unmasked pixel has finite data and finite positive noise, so there is nothing "
                "to fit. Check the noise map's sign and extension, and the mask."
            )

    @classmethod
    def from_fits(
        cls,
        data_path: str | Path,
        psf_path: str | Path,
        noise_map_path: str | Path,
        pixel_scales: float | None = None,
        data_hdu: int | str = 0,
        psf_hdu: int | str = 0,
        noise_map_hdu: int | str = 0,
    ) -> Imaging:
        """Read a dataset; the first row of each file is that of lowest y.

        Parameters
        ----------
        data_path, psf_path, noise_map_path : path
        pixel_scales : float, optional
            Arcsec; by default from the world coordinates in the header of the data.
        data_hdu, psf_hdu, noise_map_hdu : int or str
            Number or name of the extension.

        Raises
        ------
        FileNotFoundError
            If a file does not exist.
        ValueError
            If an extension does not exist or holds no two-dimensional image, or `pixel_scales` is neither
            given nor in the header.
        """
        data = read_fits(data_path, data_hdu, "data_path")
        psf = read_fits(psf_path, psf_hdu, "psf_path")
        noise_map = read_fits(noise_map_path, noise_map_hdu, "noise_map_path")
        if pixel_scales is None:
            pixel_scales = pixel_scale_from(data, data_path)
        return cls(data.array, noise_map.array, psf.array, pixel_scales, unit=data.unit)

    def apply_mask(self, mask: Mask2D) -> Imaging:
        """Return the dataset with another mask, which replaces the present one.

        Parameters
        ----------
        mask : Mask2D
            Of the same shape and pixel scale.
        """
        return replace(self, mask=mask)

    def apply_over_sampling(
        self,
        over_sample_size_pixelization: int | None = None,
        over_sample_size_lp: OverSampleSize | None = None,
    ) -> Imaging:
        """Return the dataset with other over-sampling; what is not given stays.

        Parameters
        ----------
        over_sample_size_pixelization, over_sample_size_lp
            See the class.
        """
        source_size, light_size = over_sample_size_pixelization, over_sample_size_lp
        return replace(
            self,
            over_sample_size_pixelization=_or_default(source_size, self.over_sample_size_pixelization),
            over_sample_size_lp=_or_default(light_size, self.over_sample_size_lp),
        )

    def to_fits(
        self,
        paths: str | Path | Sequence[str | Path],
        overwrite: bool = False,
        dtype: DTypeLike = np.float64,
    ) -> tuple[Path, Path, Path]:
        """Write data, PSF and noise map, but not the mask, each with world coordinates and unit.

        Parameters
        ----------
        paths : path or three paths
            A folder, where the files are ``data.fits``, ``psf.fits`` and ``noise_map.fits``; or the three
            files in this order. Missing folders are made.
        overwrite : bool
        dtype : dtype
            ``np.float32`` halves the files.

        Returns
        -------
        (Path, Path, Path)
            In the order `from_fits` takes them.

        Raises
        ------
        FileExistsError
            If a file exists and `overwrite` is False.
        """
        files = _output_paths(paths)
        images = ((self.data, self.unit), (self.psf, None), (self.noise_map, self.unit))
        for path, (array, unit) in zip(files, images, strict=True):
            write_fits(path, array.astype(dtype), self.pixel_scales, unit, overwrite)
        return files

    # --- geometry

    @property
    def shape_native(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.data.shape[0], self.data.shape[1]

    @property
    def psf_centre(self) -> tuple[int, int]:
        """Index of the PSF's centre: light of a pixel reaches ``row + k - centre`` with weight ``psf[k]``."""
        return self.psf.shape[0] // 2, self.psf.shape[1] // 2

    @property
    def n_pixels(self) -> int:
        """Number of unmasked pixels, dropped ones included."""
        return self.mask.n_pixels

    @cached_property
    def pixel_rows(self) -> np.ndarray:
        """(n_pixels,) int64 rows of the unmasked pixels, dropped ones included."""
        return _read_only(np.nonzero(~self.mask.array)[0])

    @cached_property
    def pixel_cols(self) -> np.ndarray:
        """(n_pixels,) int64 columns of the unmasked pixels, dropped ones included."""
        return _read_only(np.nonzero(~self.mask.array)[1])

    @cached_property
    def grid(self) -> np.ndarray:
        """(n_pixels, 2) (y, x) of the unmasked pixels, arcsec."""
        rows, cols = self.pixel_rows, self.pixel_cols
        return _read_only(pixel_centres(rows, cols, self.shape_native, self.pixel_scales))

    @cached_property
    def source_grid(self) -> np.ndarray:
        """(n_pixels * s**2, 2) (y, x) of the source's rays, arcsec; the s**2 of a pixel are consecutive."""
        sub_size = self.over_sample_size_pixelization
        return _read_only(sub_pixel_positions(self.grid, sub_size, self.pixel_scales))

    @cached_property
    def light_grid(self) -> LightGrid:
        """Where light profiles are evaluated."""
        return light_grid(self.mask, self.psf, self.psf_centre, self.over_sample_size_lp)

    # --- fitted pixels

    @cached_property
    def fitted(self) -> np.ndarray:
        """(n_fitted,) int64 slim indices of the pixels that carry weight."""
        self._log_dropped()
        return _read_only(np.nonzero(self._usable)[0])

    @cached_property
    def data_fitted(self) -> np.ndarray:
        """(n_fitted,) data of the pixels that carry weight."""
        return _read_only(self._slim(self.data)[self.fitted])

    @cached_property
    def noise_fitted(self) -> np.ndarray:
        """(n_fitted,) noise of the pixels that carry weight."""
        return _read_only(self._slim(self.noise_map)[self.fitted])

    def slim(self, name: str, image: np.ndarray) -> np.ndarray:
        """Values of an image (ny, nx) of this dataset's shape at the unmasked pixels, (n_pixels,).

        Raises
        ------
        ValueError
            If the shape is another; names the argument.
        """
        if image.shape != self.shape_native:
            raise ValueError(
                f"{name}: expected the shape of the dataset, {self.shape_native}, got {image.shape}."
            )
        return image[self.pixel_rows, self.pixel_cols]

    def native(self, values: np.ndarray, fill: float = np.nan) -> np.ndarray:
        """Put values of pixels into an image.

        Parameters
        ----------
        values : (n_pixels,) or (n_fitted,)
            Told apart by their length; when nothing is dropped the two are the same.
        fill : float
            Of all other pixels.

        Returns
        -------
        (ny, nx) float64

        Raises
        ------
        ValueError
            If `values` has another shape.
        """
        n_pixels, n_fitted = self.n_pixels, self.fitted.size
        if np.shape(values) not in ((n_pixels,), (n_fitted,)):
            raise ValueError(
                f"values: expected shape ({n_pixels},) (unmasked pixels) or ({n_fitted},) (fitted pixels), "
                f"got {np.shape(values)}."
            )
        members = self.fitted if len(values) == n_fitted else np.arange(n_pixels)
        image = np.full(self.shape_native, fill)
        image[self.pixel_rows[members], self.pixel_cols[members]] = values
        return image

    def _slim(self, image: np.ndarray) -> np.ndarray:
        return image[self.pixel_rows, self.pixel_cols]

    @cached_property
    def _noise_limit(self) -> float:
        noise = self._slim(self.noise_map)
        sound = noise[np.isfinite(noise) & (noise > 0.0)]
        return _HUGE_NOISE * float(np.median(sound)) if sound.size else 0.0

    @cached_property
    def _dropped(self) -> dict[str, np.ndarray]:
        # Each pixel counts once, under the first reason that applies.
        data, noise = self._slim(self.data), self._slim(self.noise_map)
        reasons = {
            "non-finite data": ~np.isfinite(data),
            "non-finite noise": ~np.isfinite(noise),
            "noise <= 0": noise <= 0.0,
            f"noise > {_HUGE_NOISE:g} x median": noise > self._noise_limit,
        }
        taken = np.zeros(data.size, dtype=bool)
        dropped = {}
        for reason, members in reasons.items():
            dropped[reason] = members & ~taken
            taken |= members
        return dropped

    @cached_property
    def _usable(self) -> np.ndarray:
        return ~np.logical_or.reduce(list(self._dropped.values()))

    def _log_dropped(self) -> None:
        counts = {reason: int(members.sum()) for reason, members in self._dropped.items() if members.any()}
        if counts:
            _log.info(
                "%d of %d unmasked pixels dropped: %s.",
                sum(counts.values()),
                self.n_pixels,
                ", ".join(f"{count} {reason}" for reason, count in counts.items()),
            )

    # --- identity

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        content = sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            array = value.array if isinstance(value, Mask2D) else value
            if isinstance(array, np.ndarray):
                content.update(f"{field.name}{array.shape}{array.dtype}".encode())
                content.update(np.ascontiguousarray(array).tobytes())
            else:
                content.update(f"{field.name}{value!r}".encode())
        return content.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Imaging) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        ny, nx = self.shape_native
        return f'Imaging({ny}x{nx}, {self.pixel_scales}"/pixel, {self.fitted.size} pixels fitted)'

    def __reduce__(self) -> tuple[type[Imaging], tuple[Any, ...]]:
        # NumPy does not pickle the read-only flag; the constructor sets it again.
        return type(self), tuple(getattr(self, field.name) for field in fields(self))


def _or_default[T](value: T | None, default: T) -> T:
    return default if value is None else value


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _image(name: str, array: Any) -> np.ndarray:
    try:
        image = np.array(array, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a two-dimensional array of numbers ({error}).") from error
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"{name}: expected a two-dimensional array, got shape {image.shape}.")
    return _read_only(image)


def _normalised_psf(psf: Any, shape: tuple[int, ...]) -> np.ndarray:
    kernel = _image("psf", psf)
    if kernel.shape[0] > shape[0] or kernel.shape[1] > shape[1]:
        raise ValueError(
            f"psf: its shape {kernel.shape} is larger than the image's, {shape}. Crop it around its centre."
        )
    if not np.isfinite(kernel).all():
        raise ValueError("psf: expected finite numbers, got NaN or infinity. Set its bad pixels to zero.")
    total = float(kernel.sum())
    if not total > 0.0:
        raise ValueError(f"psf: expected a positive sum, got {total!r}.")
    if abs(total - 1.0) < _UNIT_SUM_TOLERANCE:
        return kernel
    return _read_only(kernel / total)


def _checked_mask(mask: object, unmasked: Mask2D) -> Mask2D:
    if not isinstance(mask, Mask2D):
        got = type(mask).__name__
        raise TypeError(f"mask: expected a Mask2D, got {got}. Wrap an array as Mask2D(array, pixel_scales).")
    if mask.shape_native != unmasked.shape_native:
        raise ValueError(
            f"mask: expected the shape of data, {unmasked.shape_native}, got {mask.shape_native}."
        )
    if not np.isclose(mask.pixel_scales, unmasked.pixel_scales, rtol=_SAME_SCALE, atol=0.0):
        raise ValueError(
            f"mask: expected the data's pixel_scales, {unmasked.pixel_scales!r} arcsec, got "
            f"{mask.pixel_scales!r}."
        )
    return Mask2D(mask.array, unmasked.pixel_scales)


def _output_paths(paths: str | Path | Sequence[str | Path]) -> tuple[Path, Path, Path]:
    if isinstance(paths, (str, Path)):
        paths = [Path(paths) / name for name in _FILE_NAMES]
    files = [Path(path) for path in paths]
    if len(files) != 3:
        raise ValueError(f"paths: expected a folder or three files (data, psf, noise_map), got {len(files)}.")
    return files[0], files[1], files[2]
