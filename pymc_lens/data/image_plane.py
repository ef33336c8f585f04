"""Where the pixels of an image lie, in the image and on the sky."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np

from pymc_lens.data._quantities import position, read_only
from pymc_lens.data.mask import Mask2D, pixel_centres
from pymc_lens.data.over_sampling import (
    LightGrid,
    OverSampleSize,
    light_grid,
    require_memory_for,
    sub_pixel_positions,
)
from pymc_lens.validation import number


@dataclass(frozen=True)
class Frame:
    """Where an image lies on the sky: in the frame that the lens model lives in.

    A position in the image is turned about the image centre, then moved.

    Parameters
    ----------
    offset : (y, x)
        Of the image centre on the sky, arcsec.
    rotation : float
        Degrees, counter-clockwise.

    Raises
    ------
    TypeError, ValueError
        If an argument is something else.
    """

    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", position("offset", self.offset))
        object.__setattr__(self, "rotation", number("rotation", self.rotation))

    @property
    def _turn(self) -> np.ndarray:
        cosine, sine = np.cos(np.deg2rad(self.rotation)), np.sin(np.deg2rad(self.rotation))
        return np.array([[cosine, -sine], [sine, cosine]])

    def to_sky(self, points: np.ndarray) -> np.ndarray:
        """Positions (..., 2) on the sky of positions in the image, (y, x), arcsec."""
        return points @ self._turn + self.offset

    def from_sky(self, points: np.ndarray) -> np.ndarray:
        """Positions (..., 2) in the image of positions on the sky, (y, x), arcsec."""
        return (points - self.offset) @ self._turn.T


# That of an image whose centre is the origin of the sky.
CENTRED = Frame()


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
    frame : Frame
        Grids are on the sky.
    """

    mask: Mask2D
    sub_size: int
    frame: Frame = CENTRED

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
        return read_only(np.nonzero(~self.mask.array)[0])

    @cached_property
    def pixel_cols(self) -> np.ndarray:
        """(n_pixels,) int64 columns of the pixels that the source covers."""
        return read_only(np.nonzero(~self.mask.array)[1])

    @cached_property
    def centres(self) -> np.ndarray:
        """(n_pixels, 2) (y, x) in the image of the pixels that the source covers, arcsec."""
        return read_only(
            pixel_centres(self.pixel_rows, self.pixel_cols, self.shape_native, self.pixel_scales)
        )

    @cached_property
    def grid(self) -> np.ndarray:
        """(n_pixels, 2) (y, x) on the sky of the pixels that the source covers, arcsec."""
        return read_only(self.frame.to_sky(self.centres))

    @cached_property
    def source_grid(self) -> np.ndarray:
        """(n_pixels * sub_size**2, 2) (y, x) on the sky of the rays, arcsec; a pixel's are consecutive."""
        require_memory_for("over_sample_size_pixelization", self.n_pixels * self.sub_size**2)
        return read_only(
            self.frame.to_sky(sub_pixel_positions(self.centres, self.sub_size, self.pixel_scales))
        )

    def light_grid(self, psf: np.ndarray, psf_centre: tuple[int, int], size: OverSampleSize) -> LightGrid:
        """Lay out the light that a PSF scatters into these pixels; see `over_sampling.light_grid`."""
        grid = light_grid(self.mask, psf, psf_centre, size)
        on_sky = ((sub_size, read_only(self.frame.to_sky(points))) for sub_size, points in grid.groups)
        return replace(grid, groups=tuple(on_sky))

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
        numbers = (self.shape_native, self.pixel_scales, self.sub_size, self.frame)
        return sha256(repr(numbers).encode() + self.mask.array.tobytes()).hexdigest()
