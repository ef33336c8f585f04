"""Reading and writing images as FITS, with errors that name the argument."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy.wcs.utils import proj_plane_pixel_scales

_log = logging.getLogger(__name__)

# Headers round their matrices: scales of the two axes that agree this well (relative) are the same.
_SCALE_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class FitsImage:
    """A two-dimensional image of a FITS file.

    Attributes
    ----------
    array : (ny, nx) float64
        Row 0 is the first row of the file.
    header : astropy.io.fits.Header
    """

    array: np.ndarray
    header: Any

    @property
    def unit(self) -> str | None:
        """The header's BUNIT."""
        unit = str(self.header.get("BUNIT", "")).strip()
        return unit or None

    @cached_property
    def wcs(self) -> WCS | None:
        """Celestial world coordinates of the header, None when there are none that can be read."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FITSFixedWarning)
                wcs = WCS(self.header)
                return celestial_copy(wcs) if wcs.has_celestial else None
        except Exception as error:  # astropy and wcslib raise many kinds
            _log.info("The header's world coordinates cannot be read: %s.", error)
            return None


def celestial_copy(wcs: WCS) -> WCS:
    """Copy the two celestial axes of world coordinates, in the order of the pixels."""
    return wcs.deepcopy() if wcs.naxis == 2 else wcs.celestial


def wcs_pixel_scales(wcs: WCS) -> tuple[float, float]:
    """Pixel scales (arcsec) along y and x of celestial world coordinates."""
    degrees = proj_plane_pixel_scales(wcs)
    return float(degrees[1]) * 3600.0, float(degrees[0]) * 3600.0


def checked_path(name: str, path: object) -> Path:
    """Return a path.

    Raises
    ------
    TypeError
        If it is none; names the argument.
    """
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"{name}: expected a path, got {path!r}.")
    return Path(path)


def read_fits(path: str | Path, hdu: int | str, name: str) -> FitsImage:
    """Read an image.

    Parameters
    ----------
    path : path
    hdu : int or str
        Number or name of the extension.
    name : str
        The argument that errors name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no FITS file, has no such extension or the extension holds no two-dimensional image.
    """
    if not checked_path(name, path).is_file():
        raise FileNotFoundError(f"{name}: there is no file {path}.")
    try:
        opened = fits.open(path)
    except OSError as error:
        raise ValueError(f"{name}: {path} is not a FITS file ({error}).") from error
    with opened as hdus:
        try:
            selected = hdus[hdu]
        except (IndexError, KeyError, TypeError) as error:
            known = ", ".join(f"{number} ({each.name or 'unnamed'})" for number, each in enumerate(hdus))
            raise ValueError(f"{name}: {path} has no extension {hdu!r}; it has {known}.") from error
        try:
            array, header = selected.data, selected.header.copy()
        except (TypeError, ValueError, OSError, EOFError) as error:
            raise ValueError(
                f"{name}: extension {hdu!r} of {path} cannot be read ({error}). Is the file truncated?"
            ) from error
        if array is None or np.ndim(array) != 2:
            shape = "no data" if array is None else f"shape {np.shape(array)}"
            argument = name.removesuffix("path") + "hdu"
            images = ", ".join(map(str, images_in(hdus))) or "none"
            raise ValueError(
                f"{name}: expected a two-dimensional image in extension {hdu!r} of {path}, got {shape}. "
                f"Extensions with one: {images}. Choose with {argument}, or write a file of that image alone."
            )
        return FitsImage(np.array(array, dtype=np.float64), header)


def images_in(hdus: fits.HDUList) -> list[int]:
    """Extensions that hold a two-dimensional image."""
    return [k for k, each in enumerate(hdus) if each.is_image and each.header.get("NAXIS") == 2]


def pixel_scale_from(image: FitsImage, path: str | Path) -> float:
    """Pixel scale (arcsec) of an image's world coordinates.

    Raises
    ------
    ValueError
        If the header has none or the two axes differ.
    """
    if image.wcs is None:
        raise ValueError(
            f"pixel_scales: the header of {path} holds no world coordinates. Give pixel_scales (arcsec)."
        )
    scales = wcs_pixel_scales(image.wcs)
    if abs(scales[0] / scales[1] - 1.0) > _SCALE_TOLERANCE:
        raise ValueError(f"pixel_scales: expected square pixels, the header of {path} has {scales} arcsec.")
    return round(float(np.sqrt(scales[0] * scales[1])), 10)


def centred_wcs(shape: tuple[int, ...], pixel_scales: float) -> WCS:
    """Tangent-plane world coordinates whose origin is the centre of an image (ny, nx)."""
    ny, nx = shape
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [(nx + 1) / 2, (ny + 1) / 2]
    wcs.wcs.cdelt = [-pixel_scales / 3600.0, pixel_scales / 3600.0]
    wcs.wcs.crval = [0.0, 0.0]
    return wcs


def resampled_wcs(wcs: WCS, first: tuple[float, float], step: float) -> WCS:
    """World coordinates of other pixels of the same sky, without terms of distortion.

    Parameters
    ----------
    wcs : WCS
        Celestial.
    first : (row, column)
        Where the centre of the first new pixel lies, in old pixels from zero.
    step : float
        Side of a new pixel, in old ones.
    """
    resampled = WCS(naxis=2)
    resampled.wcs.ctype = [name.removesuffix("-SIP") for name in wcs.wcs.ctype]
    resampled.wcs.crval, resampled.wcs.cunit = wcs.wcs.crval, wcs.wcs.cunit
    resampled.wcs.lonpole, resampled.wcs.latpole = wcs.wcs.lonpole, wcs.wcs.latpole
    resampled.wcs.radesys, resampled.wcs.equinox = wcs.wcs.radesys, wcs.wcs.equinox
    resampled.wcs.set_pv(wcs.wcs.get_pv())
    resampled.wcs.crpix = 1.0 + (wcs.wcs.crpix - 1.0 - np.array(first[::-1])) / step
    resampled.wcs.cd = wcs.pixel_scale_matrix * step
    return resampled


@dataclass(frozen=True, eq=False)
class FitsOutput:
    """An image to be written.

    Attributes
    ----------
    array : (ny, nx)
    wcs : WCS
        Celestial.
    unit : str, optional
        Becomes BUNIT.
    """

    array: np.ndarray
    wcs: WCS
    unit: str | None = None


def write_fits(images: Mapping[Path, FitsOutput], overwrite: bool) -> None:
    """Write images; missing folders are made, and nothing is written if a file is in the way.

    Raises
    ------
    FileExistsError
        If there is a file and `overwrite` is False.
    """
    require_free(images, overwrite)
    for path, image in images.items():
        header = image.wcs.to_header(relax=True)
        if image.unit is not None:
            header["BUNIT"] = image.unit
        path.parent.mkdir(parents=True, exist_ok=True)
        fits.PrimaryHDU(image.array, header).writeto(path, overwrite=overwrite)


def require_free(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise FileExistsError if a file is in the way and may not be replaced."""
    for path in paths:
        if path.exists() and not overwrite:
            raise FileExistsError(f"overwrite: {path} exists. Pass overwrite=True to replace it.")
