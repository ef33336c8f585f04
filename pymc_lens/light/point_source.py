"""Points: what is much smaller than the PSF, such as quasars and nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.image_plane import CENTRED, Frame
from pymc_lens.light.base import LightProfile, middles
from pymc_lens.symbolic import nan_unless, pairs, within

# Pixels: the Gaussian window of the interpolation.
_WINDOW = 2.5
# The peak of a PSF holds more of its flux than the inverse of this.
_FLUX_OVER_PEAK = 10.0
# Where the series of the sine stands for it.
_SMALL = 1e-2


@dataclass(frozen=True, eq=False)
class PointSource(LightProfile):
    """Points seen as the PSF; an amplitude is a flux: the sum over the pixels, in the units of the data.

    A nucleus in front of the lenses, or images of a quasar behind them: a lens does not move a point source.
    It shines where it is given, one amplitude for each position, so that microlensing and dust, which change
    fluxes, do no harm. `pymc_lens.ImagePositions` tells a model that images belong together.

    The PSF, known on whole pixels, is interpolated between them by ``sinc(t) exp(-t^2 / (2 * 2.5^2))`` along
    both axes, t in pixels: a Fourier shift whose ripples fade. The flux is kept to 1e-5, and a Gaussian PSF
    of 2 pixels (full width at half maximum, before it is averaged over pixels) is right to 2e-3 of its peak,
    one of 3 pixels to 4e-4. A PSF that is sampled too coarsely, as that of HST at 0.8 micrometres in pixels
    of 0.05 arcsec, keeps errors of 2e-2, which no interpolation mends. Smooth in the position.

    Parameters
    ----------
    centre : (y, x), or a sequence of them
        Positions in the image plane, arcsec. May be random variables, also one of shape (n, 2).
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a centre that is not finite. Of a variable of shape (n, 2), if n is not known.

    Examples
    --------
    >>> nucleus = pl.light.PointSource((0.0, 0.1), positivity="map")  # doctest: +SKIP
    >>> images = pl.ImagePositions("images", tracer, near=measured, sigma=0.005)  # doctest: +SKIP
    >>> quasar = pl.Galaxy(1.7, light=pl.light.PointSource(images))  # doctest: +SKIP
    """

    is_lensed: ClassVar[bool] = False

    centre: Any = (0.0, 0.0)
    intensity_scale: float | None = None
    positivity: str | None = None

    def __post_init__(self) -> None:
        self._centres()
        super().__post_init__()

    @property
    @override
    def n_columns(self) -> int:
        return len(self._centres())

    @override
    def images(self, grid: Any) -> TensorVariable:
        """See `LightProfile`: a point has a flux but no surface brightness, and this raises TypeError."""
        raise TypeError("light: a PointSource has no surface brightness, only averages over pixels.")

    @override
    def averages(
        self, points: np.ndarray, sub_size: int, pixel_scales: float, frame: Frame = CENTRED
    ) -> TensorVariable:
        """See `LightProfile`: what convolved with the PSF is the PSF at each position."""
        pixels = middles(points, sub_size, frame) / pixel_scales
        return pt.stack([_interpolation(centre, pixels, pixel_scales, frame) for centre in self._centres()])

    @override
    def relative_scales(self, pixel_scales: float) -> np.ndarray:
        """See `LightProfile`: of a flux."""
        return np.full(self.n_columns, _FLUX_OVER_PEAK)

    def _centres(self) -> list[tuple[Any, Any]]:
        return pairs("centre", self.centre)


def _interpolation(
    centre: tuple[Any, Any], pixels: np.ndarray, pixel_scales: float, frame: Frame
) -> TensorVariable:
    """Weights (n,) of pixels at (n, 2) in the image, in units of a pixel, for a position on the sky."""
    admissible, y, x = within(centre, (0.0, 0.0))
    turn, (y_0, x_0) = frame.from_sky(np.eye(2) + frame.offset) / pixel_scales, frame.offset
    weight = 1.0
    for axis in (0, 1):
        position = (y - y_0) * turn[0, axis] + (x - x_0) * turn[1, axis]
        places, which = np.unique(np.round(pixels[:, axis], 6), return_inverse=True)
        weight = weight * _kernel(places - position)[which]
    return nan_unless(admissible, weight)


def _kernel(t: TensorVariable) -> TensorVariable:
    """Windowed sinc, of pixels."""
    u = np.pi * t
    small = pt.abs(u) < _SMALL
    away, near = pt.switch(small, 1.0, u), pt.switch(small, u * u, 0.0)
    series = 1.0 - near / 6.0 * (1.0 - near / 20.0 * (1.0 - near / 42.0))
    return pt.switch(small, series, pt.sin(away) / away) * pt.exp(-0.5 * (t / _WINDOW) ** 2)
