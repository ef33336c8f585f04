"""Reading and writing images as FITS, with errors that name the argument."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

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

    def wcs_pixel_scales(self) -> tuple[float, float] | None:
        """Pixel scales (arcsec) of the header's celestial world coordinates, None when there are none."""
        wcs = WCS(self.header)
        if not wcs.has_celestial:
            return None
        degrees = proj_plane_pixel_scales(wcs.celestial)
        return float(degrees[1]) * 3600.0, float(degrees[0]) * 3600.0


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
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name}: there is no file {path}.")
    try:
        opened = fits.open(path)
    except OSError as error:
        raise ValueError(f"{name}: {path} is not a FITS file ({error}).") from error
    with opened as hdus:
        try:
            selected = hdus[hdu]
        except (IndexError, KeyError) as error:
            known = ", ".join(f"{number} ({each.name or 'unnamed'})" for number, each in enumerate(hdus))
            raise ValueError(f"{name}: {path} has no extension {hdu!r}; it has {known}.") from error
        array, header = selected.data, selected.header.copy()
        if array is None or np.ndim(array) != 2:
            shape = "no data" if array is None else f"shape {np.shape(array)}"
            raise ValueError(
                f"{name}: expected a two-dimensional image in extension {hdu!r} of {path}, got {shape}. "
                "Choose another extension with the hdu argument."
            )
        return FitsImage(np.array(array, dtype=np.float64), header)


def pixel_scale_from(image: FitsImage, path: str | Path) -> float:
    """Pixel scale (arcsec) of an image's world coordinates.

    Raises
    ------
    ValueError
        If the header has none or the two axes differ.
    """
    scales = image.wcs_pixel_scales()
    if scales is None:
        raise ValueError(
            f"pixel_scales: the header of {path} holds no world coordinates. Give pixel_scales (arcsec)."
        )
    if abs(scales[0] / scales[1] - 1.0) > _SCALE_TOLERANCE:
        raise ValueError(f"pixel_scales: expected square pixels, the header of {path} has {scales} arcsec.")
    return round(float(np.sqrt(scales[0] * scales[1])), 10)


def write_fits(path: Path, array: np.ndarray, pixel_scales: float, unit: str | None, overwrite: bool) -> None:
    """Write an image whose centre is the origin of tangent-plane world coordinates.

    Raises
    ------
    FileExistsError
        If there is a file and `overwrite` is False.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f"overwrite: {path} exists. Pass overwrite=True to replace it.")
    ny, nx = array.shape
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [(nx + 1) / 2, (ny + 1) / 2]
    wcs.wcs.cdelt = [-pixel_scales / 3600.0, pixel_scales / 3600.0]
    wcs.wcs.crval = [0.0, 0.0]
    header = wcs.to_header()
    if unit is not None:
        header["BUNIT"] = unit
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(array, header).writeto(path, overwrite=overwrite)
