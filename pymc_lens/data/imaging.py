"""Imaging data of a lens."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import DTypeLike

from pymc_lens.data._fits import (
    FitsImage,
    FitsOutput,
    celestial_copy,
    centred_wcs,
    pixel_scale_from,
    read_fits,
    wcs_pixel_scales,
    write_fits,
)
from pymc_lens.data._noise_check import NoiseMapKind, noise_map_doubt, standard_deviations
from pymc_lens.data._quantities import image_array, in_one_unit, parsed_unit, read_only
from pymc_lens.data.image_plane import Frame, ImagePlane
from pymc_lens.data.mask import Mask2D, checked_pixel_scales
from pymc_lens.data.over_sampling import (
    LightGrid,
    OverSampleSize,
    RadialBins,
    checked_over_sample_size,
    checked_sub_size,
)

_log = logging.getLogger(__name__)

# Noise maps mark contaminants by noise so large that they carry no weight (1e8 in the SLACS data).
_HUGE_NOISE = 1e5

# A PSF this close to unit sum is left as it is, so that normalising twice changes nothing.
_UNIT_SUM_TOLERANCE = 1e-12

# Relative: pixel scales from a header and from the user may differ by rounding.
_SAME_SCALE = 1e-6

# Relative: nominal and measured scales of a detector differ by more (0.13 and 0.1283 arcsec of WFC3/IR).
_HEADER_SCALE_TOLERANCE = 0.005

# Relative to the positive part of a PSF: resampling and noise leave some per cent in its wings.
_NEGATIVE_PSF_WARNING, _NEGATIVE_PSF_LIMIT = 0.1, 0.5

# Pixels along an axis: a kernel of even size that is symmetric about its middle is off by half a pixel.
_PSF_OFFSET_WARNING = 0.75

# Of the unmasked pixels: flags by negative noise are rare, and what is flagged by other values a minority.
_NEGATIVE_NOISE_WARNING, _DROPPED_WARNING = 0.1, 0.5

# Warnings show the line that called into this package. Constructors of dataclasses have no file: "<string>".
_NOT_THE_CALLER = (str(Path(__file__).parent), "<string")

_FILE_NAMES = ("data.fits", "psf.fits", "noise_map.fits")


@dataclass(frozen=True, eq=False)
class Imaging:
    """Image of a lens with its noise, PSF and mask. Immutable, compared and hashed by content.

    Pixel (i, j) of an image of shape (ny, nx) is centred at ``y = (i - (ny - 1) / 2) * pixel_scales``,
    ``x = (j - (nx - 1) / 2) * pixel_scales``: the image centre is the origin and y grows with the row. *Slim*
    arrays hold the unmasked pixels row-major, row 0 first.

    Unmasked pixels whose data or noise is masked (masked arrays) or not finite, or whose noise is zero,
    negative or more than 1e5 times the median, are *dropped*: source and lens light still cover them, since
    the PSF carries light into their neighbours, but they have no weight. One log line, when they are first
    left out of a fit, says how many of each there are. Pixels in holes of the mask, such as a masked
    neighbour or the centre of an annulus, are treated alike; beyond the mask's outer rim there is no source.

    A warning says so where the data scatter by more than three times the noise map or less than a third of
    it, as they do where it holds variances or weights; and where the PSF lies off its centre or has strong
    negative wings.

    Parameters
    ----------
    data : (ny, nx) float
        Surface brightness; also a masked array, or a Quantity.
    noise_map : (ny, nx) float
        Standard deviation of the noise, in the units of `data`; a Quantity is converted to them.
    psf : (ky, kx) float
        Point spread function on the same pixels, odd or even, square or not. Its centre is element
        ``(ky // 2, kx // 2)``: the middle one when odd, the one after the middle when even, as in kernels
        from ``np.fft.fftshift`` or Tiny Tim. It is normalised to unit sum.
    pixel_scales : float or Quantity
        Arcsec; an equal pair is accepted.
    mask : Mask2D, optional
        By default every pixel is kept.
    over_sample_size_pixelization : int
        Rays of the pixelized source along a pixel's side.
    over_sample_size_lp : int, (ny, nx) int or RadialBins, optional
        Sub-pixels of light profiles along a pixel's side; by default `RadialBins.for_lens_light`.
    unit : str, optional
        Of `data`, for labels; Quantities are converted to it.
    wcs : astropy.wcs.WCS, optional
        Celestial world coordinates of `data`, for what is written. They take no part in a fit, nor in
        comparisons.
    offset : (y, x)
        Where the image centre lies in the frame of the lens model, arcsec: that of a band or an exposure
        relative to others. Masks, over-sampling and figures stay in the image's own frame.
    rotation : float
        Of the image in that frame, degrees counter-clockwise.

    Raises
    ------
    TypeError
        If images hold other things than real numbers, only one of data and noise has a unit, `mask` is no
        Mask2D, `pixel_scales` no number or `wcs` no celestial WCS.
    ValueError
        If shapes or units do not fit, the PSF is larger than the image, not finite or of no positive sum, an
        over-sampling is no positive integer, `wcs` has another pixel scale, or no unmasked pixel is left to
        fit.
    """

    data: np.ndarray
    noise_map: np.ndarray
    psf: np.ndarray
    pixel_scales: float
    mask: Mask2D = None  # type: ignore[assignment]
    over_sample_size_pixelization: int = 2
    over_sample_size_lp: OverSampleSize = None  # type: ignore[assignment]
    unit: str | None = None
    wcs: WCS | None = None
    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0

    def __post_init__(self) -> None:
        data, noise_map, unit = in_one_unit(self.data, self.noise_map, self.unit)
        data, noise_map = image_array("data", data), image_array("noise_map", noise_map)
        if noise_map.shape != data.shape:
            raise ValueError(f"noise_map: expected the shape of data, {data.shape}, got {noise_map.shape}.")
        pixel_scales = checked_pixel_scales(self.pixel_scales)
        unmasked = Mask2D.unmasked(data.shape, pixel_scales)
        light_default: OverSampleSize = RadialBins.for_lens_light(pixel_scales)
        light_size = _or_default(self.over_sample_size_lp, light_default)
        is_masked = self.mask is not None
        frame = Frame(self.offset, self.rotation)
        self._set(
            data=data,
            noise_map=noise_map,
            psf=_normalised_psf(self.psf, data.shape),
            pixel_scales=pixel_scales,
            mask=_checked_mask(self.mask, unmasked) if is_masked else unmasked,
            over_sample_size_pixelization=checked_sub_size(
                "over_sample_size_pixelization", self.over_sample_size_pixelization
            ),
            over_sample_size_lp=checked_over_sample_size("over_sample_size_lp", light_size, data.shape),
            unit=unit,
            wcs=_checked_wcs(self.wcs, pixel_scales),
            offset=frame.offset,
            rotation=frame.rotation,
        )
        self._require_fitted_pixels()
        self._warn_of_noise()
        if is_masked:
            self._warn_of_many_dropped()

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
        noise_map_kind: NoiseMapKind = "sd",
        offset: tuple[float, float] = (0.0, 0.0),
        rotation: float = 0.0,
    ) -> Imaging:
        """Read a dataset; the first row of each file is that of lowest y.

        A noise map whose header has another unit than the data's is converted to it. The celestial world
        coordinates of the data are kept, for what is written.

        Parameters
        ----------
        data_path, psf_path, noise_map_path : path
        pixel_scales : float, optional
            Arcsec; by default from the world coordinates in the header of the data. A warning is given where
            that, or the PSF's, has another scale.
        data_hdu, psf_hdu, noise_map_hdu : int or str
            Number or name of the extension.
        noise_map_kind : {"sd", "variance", "weight"}
            What the noise map holds: standard deviations, variances, or inverse variances.
        offset, rotation
            See the class.

        Returns
        -------
        Imaging

        Raises
        ------
        FileNotFoundError
            If a file does not exist.
        TypeError
            If a path is none, or the pixel scale no number.
        ValueError
            If an extension does not exist or holds no two-dimensional image, `pixel_scales` is neither
            given nor in the header, the units of noise map and data do not fit, or the kind is unknown;
            and as of the class.
        """
        data = read_fits(data_path, data_hdu, "data_path")
        psf = read_fits(psf_path, psf_hdu, "psf_path")
        noise_map = read_fits(noise_map_path, noise_map_hdu, "noise_map_path")
        if pixel_scales is None:
            pixel_scales = pixel_scale_from(data, data_path)
        scale = checked_pixel_scales(pixel_scales)
        _warn_of_scale("psf_path", psf_path, psf, scale, "The PSF must be sampled like the data.")
        contradicts = _warn_of_scale(
            "pixel_scales",
            data_path,
            data,
            scale,
            "The value given is used, and no world coordinates are kept.",
        )
        return cls(
            data.array,
            _deviations_in(data.unit, noise_map, noise_map_kind),
            psf.array,
            scale,
            unit=data.unit,
            wcs=None if contradicts else data.wcs,
            offset=offset,
            rotation=rotation,
        )

    def apply_mask(self, mask: Mask2D) -> Imaging:
        """Return the dataset with another mask, which replaces the present one.

        Parameters
        ----------
        mask : Mask2D
            Of the same shape and pixel scale.

        Returns
        -------
        Imaging

        Raises
        ------
        TypeError, ValueError
            If it is no mask, or another in shape or scale.
        """
        masked = self._changed(mask=_checked_mask(mask, self.mask))
        masked._warn_of_many_dropped()
        return masked

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

        Returns
        -------
        Imaging

        Raises
        ------
        ValueError
            If a size is no integer >= 1, or an array has another shape than the image.
        """
        source_size = _or_default(over_sample_size_pixelization, self.over_sample_size_pixelization)
        light_size = _or_default(over_sample_size_lp, self.over_sample_size_lp)
        return self._changed(
            over_sample_size_pixelization=checked_sub_size("over_sample_size_pixelization", source_size),
            over_sample_size_lp=checked_over_sample_size(
                "over_sample_size_lp", light_size, self.shape_native
            ),
        )

    def with_data(self, data: np.ndarray, noise_map: np.ndarray, unit: str | None) -> Imaging:
        """Return the dataset with other images, whose noise is known and not doubted.

        Parameters
        ----------
        data, noise_map : (ny, nx) float
            Of the same shape.
        unit : str or None

        Returns
        -------
        Imaging

        Raises
        ------
        TypeError
            If an image holds other things than real numbers.
        ValueError
            If it is not two-dimensional, or has no pixel that can be fitted.
        """
        images = {"data": image_array("data", data), "noise_map": image_array("noise_map", noise_map)}
        return self._changed(**images, unit=unit)

    def to_fits(
        self,
        paths: str | Path | Sequence[str | Path],
        overwrite: bool = False,
        dtype: DTypeLike = np.float64,
    ) -> tuple[Path, Path, Path]:
        """Write data, PSF and noise map, but not the mask, each with world coordinates and unit.

        Those of data and noise are the ones that were read; without, the image centre is their origin.

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
        ValueError
            If there are more or fewer than three files.
        FileExistsError
            If a file exists and `overwrite` is False.
        """
        files = _output_paths(paths)
        images = (
            FitsOutput(self.data.astype(dtype), self.sky, self.unit),
            FitsOutput(self.psf.astype(dtype), centred_wcs(self.psf.shape, self.pixel_scales)),
            FitsOutput(self.noise_map.astype(dtype), self.sky, self.unit),
        )
        write_fits(dict(zip(files, images, strict=True)), overwrite)
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
    def sky(self) -> WCS:
        """World coordinates to write images with: `wcs`, or such that the image centre is their origin."""
        return _or_default(self.wcs, centred_wcs(self.shape_native, self.pixel_scales))

    @cached_property
    def plane(self) -> ImagePlane:
        """Where the pixels lie that the source covers: unmasked, dropped, and those in holes of the mask."""
        return ImagePlane(
            self.mask.without_holes,
            self.over_sample_size_pixelization,
            Frame(self.offset, self.rotation),
        )

    @cached_property
    def light_grid(self) -> LightGrid:
        """Where light profiles are evaluated."""
        return self.plane.light_grid(self.psf, self.psf_centre, self.over_sample_size_lp)

    # --- fitted pixels

    @cached_property
    def fitted(self) -> np.ndarray:
        """(n_fitted,) int64 slim indices of the pixels that carry weight."""
        self._log_dropped()
        return read_only(np.nonzero(self._usable)[0])

    @cached_property
    def data_fitted(self) -> np.ndarray:
        """(n_fitted,) data of the pixels that carry weight."""
        return read_only(self.plane.slim("data", self.data)[self.fitted])

    @cached_property
    def noise_fitted(self) -> np.ndarray:
        """(n_fitted,) noise of the pixels that carry weight."""
        return read_only(self.plane.slim("noise_map", self.noise_map)[self.fitted])

    def native(self, values: np.ndarray, fill: float = np.nan) -> np.ndarray:
        """Put values of the fitted pixels into an image (ny, nx).

        Parameters
        ----------
        values : (n_fitted,) float
        fill : float
            Of all other pixels.

        Returns
        -------
        (ny, nx) array

        Raises
        ------
        ValueError
            If `values` has another shape.
        """
        if np.shape(values) != self.fitted.shape:
            raise ValueError(
                f"values: expected one for each of the {self.fitted.size} fitted pixels, got shape "
                f"{np.shape(values)}."
            )
        covered = np.full(self.plane.n_pixels, fill)
        covered[self.fitted] = values
        return self.plane.native(covered, fill)

    @cached_property
    def _in_hole(self) -> np.ndarray:
        return self.plane.slim("mask", self.mask.array)

    @cached_property
    def _noise_limit(self) -> float:
        noise = self.plane.slim("noise_map", self.noise_map)
        sound = noise[np.isfinite(noise) & (noise > 0.0) & ~self._in_hole]
        return _HUGE_NOISE * float(np.median(sound)) if sound.size else 0.0

    @cached_property
    def _dropped(self) -> dict[str, np.ndarray]:
        # Each pixel counts once, under the first reason that applies.
        data, noise = self.plane.slim("data", self.data), self.plane.slim("noise_map", self.noise_map)
        reasons = {
            "non-finite or masked data": ~np.isfinite(data),
            "non-finite or masked noise": ~np.isfinite(noise),
            "noise <= 0": noise <= 0.0,
            f"noise > {_HUGE_NOISE:g} x median": noise > self._noise_limit,
        }
        taken = self._in_hole.copy()
        dropped = {}
        for reason, members in reasons.items():
            dropped[reason] = members & ~taken
            taken |= members
        return dropped

    @cached_property
    def _usable(self) -> np.ndarray:
        return ~np.logical_or.reduce([self._in_hole, *self._dropped.values()])

    def _log_dropped(self) -> None:
        counts = {reason: int(members.sum()) for reason, members in self._dropped.items() if members.any()}
        if counts:
            _log.info(
                "%d of %d unmasked pixels dropped: %s.",
                sum(counts.values()),
                self.mask.n_pixels,
                ", ".join(f"{count} {reason}" for reason, count in counts.items()),
            )

    def _require_fitted_pixels(self) -> None:
        if not self._usable.any():
            raise ValueError(
                "noise_map: no unmasked pixel has finite data and finite positive noise, so there is nothing "
                "to fit. Check the noise map's sign and extension, and the mask."
            )

    # --- doubts

    def _warn_of_noise(self) -> None:
        negative = (self.noise_map[~self.mask.array] < 0.0).mean()
        if negative > _NEGATIVE_NOISE_WARNING:
            _warn(
                f"noise_map: {100 * negative:.0f} % of the unmasked pixels have negative noise and are "
                "dropped. Is it a noise map?"
            )
        usable = self.plane.native(self._usable, fill=0.0) > 0.0
        doubt = noise_map_doubt(*(np.where(usable, image, np.nan) for image in (self.data, self.noise_map)))
        if doubt is not None:
            _warn(doubt)

    def _warn_of_many_dropped(self) -> None:
        dropped = 1.0 - self._usable.sum() / self.mask.n_pixels
        if dropped > _DROPPED_WARNING:
            reason = max(self._dropped, key=lambda each: self._dropped[each].sum())
            _warn(
                f"noise_map: {100 * dropped:.0f} % of the unmasked pixels are dropped, most of them for "
                f"{reason}. Check data, noise map and mask."
            )

    # --- identity

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        content = sha256()
        for field in fields(self):
            if field.name == "wcs":
                continue
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

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # NumPy does not pickle the read-only flag.
        self._set(**{key: read_only(v) if isinstance(v, np.ndarray) else v for key, v in state.items()})

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _changed(self, **values: Any) -> Imaging:
        """Return a copy with other, checked values; what stays is not checked, nor warned of, again."""
        changed = object.__new__(type(self))
        changed._set(**self.__getstate__() | values)
        changed._require_fitted_pixels()
        return changed


def _or_default[T](value: T | None, default: T) -> T:
    return default if value is None else value


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, skip_file_prefixes=_NOT_THE_CALLER)


def _warn_of_scale(name: str, path: str | Path, image: FitsImage, pixel_scales: float, advice: str) -> bool:
    """Warn of a header with another pixel scale, and say whether it has one."""
    if image.wcs is None or _has_scale(image.wcs, pixel_scales):
        return False
    y, x = wcs_pixel_scales(image.wcs)
    header = f"{y:.5g}" if np.isclose(y, x, rtol=_HEADER_SCALE_TOLERANCE) else f"({y:.5g}, {x:.5g})"
    _warn(
        f"{name}: the header of {path} has pixels of {header} arcsec, the data have {pixel_scales:.5g}. "
        f"{advice}"
    )
    return True


def _has_scale(wcs: WCS, pixel_scales: float) -> bool:
    return np.allclose(wcs_pixel_scales(wcs), pixel_scales, rtol=_HEADER_SCALE_TOLERANCE, atol=0.0)


def _deviations_in(unit: str | None, noise_map: FitsImage, kind: NoiseMapKind) -> np.ndarray:
    """Return standard deviations, in the unit of the data where both headers have one that is known."""
    deviations = standard_deviations(noise_map.array, kind)
    target, given = parsed_unit(unit), parsed_unit(noise_map.unit)
    # Variances and weights have other units than the data, which few headers say.
    if kind != "sd" or target is None or given is None:
        return deviations
    if not given.is_equivalent(target):
        raise ValueError(
            f"noise_map_path: its header has the unit {given!s}, that of the data {target!s}. Convert it, "
            "or give noise_map_kind if it holds variances or weights."
        )
    return deviations * given.to(target)


def _checked_wcs(wcs: Any, pixel_scales: float) -> WCS | None:
    if wcs is None:
        return None
    if not isinstance(wcs, WCS) or not wcs.has_celestial:
        raise TypeError(f"wcs: expected a celestial astropy.wcs.WCS, got {type(wcs).__name__}.")
    celestial = celestial_copy(wcs)
    if not _has_scale(celestial, pixel_scales):
        raise ValueError(
            f"wcs: expected the data's pixel_scales, {pixel_scales!r} arcsec, got "
            f"{wcs_pixel_scales(celestial)!r}."
        )
    return celestial


def _normalised_psf(psf: Any, shape: tuple[int, ...]) -> np.ndarray:
    kernel = image_array("psf", psf)
    if kernel.shape[0] > shape[0] or kernel.shape[1] > shape[1]:
        raise ValueError(
            f"psf: its shape {kernel.shape} is larger than the image's, {shape}. Crop it around its centre."
        )
    if not np.isfinite(kernel).all():
        raise ValueError("psf: expected finite numbers, got NaN or infinity. Set its bad pixels to zero.")
    total, positive = float(kernel.sum()), float(np.maximum(kernel, 0.0).sum())
    if not total > 0.0:
        raise ValueError(f"psf: expected a positive sum, got {total!r}.")
    if positive - total > _NEGATIVE_PSF_LIMIT * positive:
        raise ValueError(
            f"psf: expected a kernel whose sum is well above zero, got {total:.3g}, of which {positive:.3g} "
            "is positive. Subtract its background and crop it."
        )
    if positive - total > _NEGATIVE_PSF_WARNING * positive:
        _warn(
            f"psf: its negative elements add up to {100 * (1 - total / positive):.0f} % of the positive "
            "ones. Is its background subtracted well?"
        )
    _warn_of_psf_offset(kernel)
    if abs(total - 1.0) < _UNIT_SUM_TOLERANCE:
        return kernel
    return read_only(kernel / total)


def _warn_of_psf_offset(kernel: np.ndarray) -> None:
    # Squared, the core outweighs wings and background.
    weights = kernel**2 / (kernel**2).sum()
    core = np.array(
        [weights.sum(axis=1) @ np.arange(kernel.shape[0]), weights.sum(axis=0) @ np.arange(kernel.shape[1])]
    )
    centre = (kernel.shape[0] // 2, kernel.shape[1] // 2)
    if np.abs(core - centre).max() > _PSF_OFFSET_WARNING:
        _warn(
            f"psf: its core lies at ({core[0]:.1f}, {core[1]:.1f}), its centre is element {centre} of shape "
            f"{kernel.shape}. Positions will be off by the difference: crop or shift it so that they agree."
        )


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
    return mask if mask.pixel_scales == unmasked.pixel_scales else Mask2D(mask.array, unmasked.pixel_scales)


def _output_paths(paths: str | Path | Sequence[str | Path]) -> tuple[Path, Path, Path]:
    if isinstance(paths, (str, Path)):
        paths = [Path(paths) / name for name in _FILE_NAMES]
    files = [Path(path) for path in paths]
    if len(files) != 3:
        raise ValueError(f"paths: expected a folder or three files (data, psf, noise_map), got {len(files)}.")
    return files[0], files[1], files[2]
