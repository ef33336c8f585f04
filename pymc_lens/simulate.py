"""Simulated images of lenses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.ndimage import map_coordinates

from pymc_lens.data._quantities import image_array, position, real_number
from pymc_lens.data.imaging import Imaging
from pymc_lens.data.mask import checked_pixel_scales, checked_shape, pixel_centres
from pymc_lens.data.over_sampling import checked_sub_size, quadrature_positions, require_memory_for
from pymc_lens.evaluate import evaluate_once

Brightness = Callable[[np.ndarray, np.ndarray], np.ndarray]


class TracesRays(Protocol):
    """What the simulator asks of a lens; `pymc_lens.Tracer` has it."""

    def traced_grid(self, grid: Any) -> Any:
        """Source-plane positions (..., 2) of image-plane positions, as a PyTensor variable."""


@dataclass(frozen=True, eq=False)
class Image:
    """Brightness given as an image, interpolated bilinearly between pixel centres; zero beyond the outermost.

    Parameters
    ----------
    array : (ny, nx) float
        Surface brightness; row 0 is that of lowest y.
    pixel_scales : float
        Arcsec.
    centre : (y, x)
        Where the image's centre lies, arcsec.

    Raises
    ------
    TypeError
        If the array holds other things than real numbers.
    ValueError
        If the array is not two-dimensional and finite.
    """

    array: np.ndarray
    pixel_scales: float
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        array = image_array("array", self.array)
        if not np.isfinite(array).all():
            raise ValueError(
                f"array: expected finite values, got {np.sum(~np.isfinite(array))} that are not."
            )
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "pixel_scales", checked_pixel_scales(self.pixel_scales))
        object.__setattr__(self, "centre", position("centre", self.centre))

    def __call__(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Brightness at positions (arcsec) of any common shape."""
        rows = (y - self.centre[0]) / self.pixel_scales + (self.array.shape[0] - 1) / 2
        cols = (x - self.centre[1]) / self.pixel_scales + (self.array.shape[1] - 1) / 2
        return map_coordinates(self.array, [rows, cols], order=1, mode="constant", cval=0.0)


def simulate_imaging(
    tracer: TracesRays,
    source: Brightness,
    shape_native: tuple[int, int],
    pixel_scales: float,
    psf: np.ndarray,
    exposure_time: float,
    background_noise: float,
    seed: int | np.random.Generator,
    over_sample_size: int = 8,
    lens_light: Brightness | None = None,
    offset: tuple[float, float] = (0.0, 0.0),
    rotation: float = 0.0,
) -> Imaging:
    """Simulate the image of a lensed source.

    Source and lens light are averaged over each pixel and blurred by the PSF, light from outside the image
    included. The detected counts of a pixel are Poisson with mean ``exposure_time`` times its brightness; on
    top comes Gaussian noise, that of the subtracted sky and the read-out. The noise map is what an observer
    could know: ``sqrt(max(data, 0) / exposure_time + background_noise**2)``, with the *observed* data. Its
    noise is correlated with that of the data, a bias of the order of one over the counts of a pixel.

    Parameters
    ----------
    tracer : Tracer
        The lens; fixed numbers only.
    source : callable
        Surface brightness ``source(y, x)`` in the source plane, electrons per second and image pixel, for
        arrays of positions in arcsec; for instance an `Image`. Not negative.
    shape_native : (ny, nx)
    pixel_scales : float
        Arcsec.
    psf : (ky, kx) float
        See `Imaging`; without negative elements.
    exposure_time : float
        Seconds.
    background_noise : float
        Standard deviation, electrons per second.
    seed : int or numpy.random.Generator
        The same seed gives the same image.
    over_sample_size : int
        Rays along a pixel's side, placed by `quadrature_positions`.
    lens_light : callable, optional
        Like `source`, in the image plane.
    offset, rotation
        Of the image, see `Imaging`.

    Returns
    -------
    Imaging
        Unmasked; write it with `Imaging.to_fits`.

    Raises
    ------
    TypeError
        If the tracer traces no rays or holds random or symbolic variables, a brightness is not callable, a
        number is none, or there is no such seed.
    ValueError
        If the PSF or the brightness is negative or not finite, or a number is out of range.

    Examples
    --------
    >>> def source(y, x):
    ...     return np.exp(-(y**2 + x**2) / (2 * 0.1**2))
    >>> dataset = simulate_imaging(  # doctest: +SKIP
    ...     tracer, source, (100, 100), 0.05, psf, exposure_time=2000.0, background_noise=0.01, seed=1
    ... )
    """
    _require_positive("exposure_time", exposure_time)
    _require_positive("background_noise", background_noise)
    if not hasattr(tracer, "traced_grid"):
        raise TypeError(f"tracer: expected a Tracer, got {tracer!r}.")
    _require_brightness("source", source)
    if lens_light is not None:
        _require_brightness("lens_light", lens_light)
    rng = _generator(seed)
    if (image_array("psf", psf) < 0.0).any():
        raise ValueError("psf: expected no negative elements, as counts cannot be negative.")
    shape = checked_shape(shape_native)
    # Checks the PSF, and has its normalisation and centre.
    blank = Imaging(np.zeros(shape), np.ones(shape), psf, pixel_scales, offset=offset, rotation=rotation)
    sub_size = checked_sub_size("over_sample_size", over_sample_size)
    centres = _frame_centres(blank)
    require_memory_for("over_sample_size", len(centres) * sub_size**2)
    points = blank.plane.frame.to_sky(quadrature_positions(centres, sub_size, blank.pixel_scales))
    (traced,) = evaluate_once([tracer.traced_grid(points)])
    brightness = _evaluate("source", source, traced)
    if lens_light is not None:
        brightness = brightness + _evaluate("lens_light", lens_light, points)
    model = _blurred(blank, brightness.reshape(-1, sub_size**2).mean(axis=1))
    data = _observed(model, exposure_time, background_noise, rng)
    noise_map = np.sqrt(np.maximum(data, 0.0) / exposure_time + background_noise**2)
    return blank.with_data(data, noise_map, unit="electron / s")


def _require_positive(name: str, value: float) -> None:
    if not (np.isfinite(real_number(name, value)) and value > 0.0):
        raise ValueError(f"{name}: expected a positive number, got {value!r}.")


def _require_brightness(name: str, value: object) -> None:
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name}: expected a function of y and x (arcsec), or an Image, got {value!r}.")


def _generator(seed: int | np.random.Generator) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise TypeError(f"seed: expected an integer >= 0 or a Generator, got {seed!r}.") from error


def _frame_centres(imaging: Imaging) -> np.ndarray:
    """(n, 2) centres, row-major, of the image and of the pixels around it whose light the PSF scatters in."""
    (ny, nx), (ky, kx), (cy, cx) = imaging.shape_native, imaging.psf.shape, imaging.psf_centre
    rows = np.arange(-(ky - 1 - cy), ny + cy)[:, None]
    cols = np.arange(-(kx - 1 - cx), nx + cx)[None, :]
    return pixel_centres(rows, cols, imaging.shape_native, imaging.pixel_scales).reshape(-1, 2)


def _evaluate(name: str, brightness: Brightness, points: np.ndarray) -> np.ndarray:
    returned = brightness(points[..., 0], points[..., 1])
    try:
        values = np.asarray(returned, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a brightness for each position, got {returned!r}.") from error
    if values.shape != points.shape[:-1]:
        raise ValueError(f"{name}: expected a brightness for each position, got shape {values.shape}.")
    if not np.isfinite(values).all() or (values < 0.0).any():
        raise ValueError(f"{name}: expected finite brightness >= 0, the lowest is {values.min()!r}.")
    return values


def _blurred(imaging: Imaging, frame: np.ndarray) -> np.ndarray:
    from scipy.signal import fftconvolve  # takes half a second, a third of importing pymc_lens

    ny, nx = imaging.shape_native
    ky, kx = imaging.psf.shape
    blurred = fftconvolve(frame.reshape(ny + ky - 1, nx + kx - 1), imaging.psf, mode="valid")
    # Light and PSF are not negative: anything below zero is rounding.
    return np.maximum(blurred, 0.0)


def _observed(
    model: np.ndarray, exposure_time: float, background_noise: float, rng: np.random.Generator
) -> np.ndarray:
    counts = rng.poisson(model * exposure_time)
    return counts / exposure_time + background_noise * rng.standard_normal(model.shape)
