"""Folders that hold a lens each."""

from __future__ import annotations

import warnings
from pathlib import Path

from astropy.io import fits
from astropy.wcs import WCS

from pymc_lens.data._fits import images_in
from pymc_lens.data.imaging import Imaging

IMAGE, NOISE, PSF = "image.fits", "noise.fits", "psf.fits"
# Arcsec, where the header says nothing: drizzled frames of HST/ACS.
PIXEL_SCALE = 0.05


def read_folder(folder: str | Path, pixel_scale: float | None = None) -> Imaging:
    """Read image.fits, noise.fits and psf.fits: of each the only image, whichever extension it is in.

    Parameters
    ----------
    folder : path
    pixel_scale : float, optional
        Arcsec; by default that of the image's header. Where that has none 0.05" are taken, with a warning.

    Returns
    -------
    Imaging
        Unmasked.

    Raises
    ------
    OSError
        If a file is missing or no FITS file.
    TypeError, ValueError
        As `Imaging.from_fits`.
    """
    image, psf, noise = (Path(folder) / name for name in (IMAGE, PSF, NOISE))
    data_hdu, psf_hdu, noise_map_hdu = map(_extension, (image, psf, noise))
    if pixel_scale is None and not WCS(fits.getheader(image, data_hdu)).has_celestial:
        pixel_scale = PIXEL_SCALE
        warnings.warn(
            f"{image} does not say its pixel scale: {PIXEL_SCALE} arcsec are taken. All angles "
            "depend on it: give pixel_scale (--pixel-scale).",
            stacklevel=2,
        )
    return Imaging.from_fits(
        image, psf, noise, pixel_scale, data_hdu=data_hdu, psf_hdu=psf_hdu, noise_map_hdu=noise_map_hdu
    )


def _extension(path: Path) -> int:
    """Find the only extension that holds an image; or the first, where there is no such."""
    try:
        with fits.open(path) as hdus:
            images = images_in(hdus)
    except OSError:
        return 0
    return images[0] if len(images) == 1 else 0


def lens_folders(folder: str | Path) -> list[Path]:
    """Return the folders of lenses within a folder, or itself if it is one.

    Raises
    ------
    ValueError
        If there is none.
    """
    folder = Path(folder)
    found = [path for path in [folder, *sorted(folder.glob("*/"))] if (path / IMAGE).exists()]
    if not found:
        raise ValueError(f"folder: no folder with {IMAGE}, {NOISE} and {PSF} in {folder}.")
    return found
