"""Where the pixels of an image lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from pymc_lens.mask import Mask2D, pixel_centres
from pymc_lens.over_sampling import (
    LightGrid,
    OverSampleSize,
    light_grid,
    require_memory_for,
    sub_pixel_positions,
)


@dataclass(frozen=True)
class ImagePlane:
    """The geometry of an image: which pixels a source covers, and where its rays start.

    *Slim* arrays hold these pixels row-major, row 0 first.

    Attributes
    ----------
    mask : Mask2D
        Without holes: of the pixels that the source does not cover.
    sub_size : int
        Rays of the source along a pixel's side.
    """

    mask: Mask2D
    sub_size: int

    @property
    def shape_native(self) -> tuple[int, int]:
        """(ny, nx)."""
        return self.mask.shape_native

    @property
    def pixel_scales(self) -> float:
        """Arcsec."""
        return self.mask.pixel_scales

    @property
    def n_pixels(self) -> int:
        """Number of pixels that the source covers."""
        return self.mask.n_pixels

    @cached_property
    def pixel_rows(self) -> np.ndarray:
        """(n_pixels,) int64 rows of the pixels that the source covers."""
        return _read_only(np.nonzero(~self.mask.array)[0])

    @cached_property
    def pixel_cols(self) -> np.ndarray:
        """(n_pixels,) int64 columns of the pixels that the source covers."""
        return _read_only(np.nonzero(~self.mask.array)[1])

    @cached_property
    def grid(self) -> np.ndarray:
        """(n_pixels, 2) (y, x) of the pixels that the source covers, arcsec."""
        return _read_only(
            pixel_centres(self.pixel_rows, self.pixel_cols, self.shape_native, self.pixel_scales)
        )

    @cached_property
    def source_grid(self) -> np.ndarray:
        """(n_pixels * sub_size**2, 2) (y, x) of the source's rays, arcsec; a pixel's are consecutive."""
        require_memory_for("over_sample_size_pixelization", self.n_pixels * self.sub_size**2)
        return _read_only(sub_pixel_positions(self.grid, self.sub_size, self.pixel_scales))

    def light_grid(self, psf: np.ndarray, psf_centre: tuple[int, int], size: OverSampleSize) -> LightGrid:
        """Lay out light whose PSF scatters it into these pixels; see `over_sampling.light_grid`."""
        return light_grid(self.mask, psf, psf_centre, size)

    def slim(self, name: str, image: np.ndarray) -> np.ndarray:
        """Values (n_pixels,) of an image (ny, nx), at the pixels that the source covers.

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
        """Put values (n_pixels,) of the pixels that the source covers into an image (ny, nx).

        Parameters
        ----------
        values : (n_pixels,) float
        fill : float
            Of all other pixels.
        """
        image = np.full(self.shape_native, fill)
        image[self.pixel_rows, self.pixel_cols] = values
        return image

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        numbers = (self.shape_native, self.pixel_scales, self.sub_size)
        return sha256(repr(numbers).encode() + self.mask.array.tobytes()).hexdigest()


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
