"""A compact source in place of the pixelized one: what a search for the right lens looks at.

A source that may be anywhere can repeat the arcs behind a lens that bends nothing, and its evidence then
prefers that lens. A few concentric Gaussians cannot.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pymc_lens.errors import InadmissibleError
from pymc_lens.imaging import Imaging
from pymc_lens.inversion.light import LightBlur, prepare_light_blur
from pymc_lens.linalg.kernel import kernel
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.workspace import Workspace

# Widths of the source's Gaussians, in pixels of the image.
_NARROWEST, _WIDEST, _N_WIDTHS = 0.2, 10.0, 9
# Keeps the curvature of columns of unit length, which are nearly dependent, positive definite.
_RIDGE = 1e-9


class CompactInputs(NamedTuple):
    """What the compact model of an image depends on; also the shape of its gradient.

    Attributes
    ----------
    rays : (n_rays, 2) float64
        Source-plane (y, x) of the sub-pixels, arcsec.
    light : (n_light, n_light_pixels) float64
        Unblurred pixel-averaged columns of the linear light profiles.
    source : (4,) float64
        Centre (y, x), arcsec, and elliptical components (e_y, e_x) of the source.
    """

    rays: np.ndarray
    light: np.ndarray
    source: np.ndarray


class CompactFit(NamedTuple):
    """The best image of a compact source and linear light.

    Attributes
    ----------
    log_likelihood : float
        Minus half the weighted chi-squared.
    amplitudes : (n_light + n_widths,) float64
        Not negative: of the light, then of the source's Gaussians.
    model : (n_fitted,) float64
    """

    log_likelihood: float
    amplitudes: np.ndarray
    model: np.ndarray


class CompactSource:
    """Image of concentric elliptical Gaussians behind a lens and of linear light, all amplitudes positive.

    Parameters
    ----------
    imaging : Imaging
    data : (n_fitted,) float64
        What is fitted, where it is not the imaging's own.

    Attributes
    ----------
    weights : (n_fitted,) float64
        Of each pixel's chi-squared; may be set anew between calls.
    """

    def __init__(self, imaging: Imaging, data: np.ndarray) -> None:
        self.imaging = imaging
        self.data = data
        self.widths = np.geomspace(_NARROWEST, _WIDEST, _N_WIDTHS) * imaging.pixel_scales
        self.weights = np.ones(imaging.fitted.size)
        self._workspace = Workspace()
        self._last_light: tuple[np.ndarray, np.ndarray] | None = None

    def fit(self, inputs: CompactInputs) -> CompactFit:
        """Solve for the amplitudes.

        Raises
        ------
        InadmissibleError
            If rays or light are not finite, or the source's ellipticity is 1 or more.
        """
        _require_admissible(inputs)
        return self._solve([*self._blurred_light(inputs.light), *self._blurred_source(inputs)])

    def fit_light(self, inputs: CompactInputs) -> CompactFit:
        """Solve for the amplitudes of the light alone; those of the source are zero."""
        _require_admissible(inputs)
        alone = self._solve(self._blurred_light(inputs.light))
        return alone._replace(amplitudes=np.concatenate([alone.amplitudes, np.zeros(_N_WIDTHS)]))

    def gradient(self, inputs: CompactInputs, fit: CompactFit) -> CompactInputs:
        """Gradient of the log-likelihood; at the best amplitudes it is that at fixed ones."""
        n_light = len(inputs.light)
        imaging = self.imaging
        residual_bar = np.zeros(imaging.plane.n_pixels)
        residual_bar[imaging.fitted] = self.weights * (self.data - fit.model) / imaging.noise_fitted**2
        light_bar = self._light_blur.pullback(residual_bar[None])[0]
        pixel_bar = self._source_blur.pullback(residual_bar[None])[0]
        rays_bar, source_bar = np.empty_like(inputs.rays), np.zeros(4)
        _pullback(
            inputs.rays, inputs.source, self.widths, fit.amplitudes[n_light:], pixel_bar, rays_bar, source_bar
        )
        return CompactInputs(rays_bar, fit.amplitudes[:n_light, None] * light_bar, source_bar)

    # --- helpers

    def _solve(self, columns: np.ndarray | list[np.ndarray]) -> CompactFit:
        imaging = self.imaging
        root_weights = np.sqrt(self.weights) / imaging.noise_fitted
        design = np.reshape(columns, (-1, imaging.plane.n_pixels))[:, imaging.fitted]
        whitened, data = design * root_weights, self.data * root_weights
        length = np.sqrt((whitened**2).sum(axis=1))
        length[length < 1e-100] = np.inf  # shines on nothing: has no amplitude
        matrix = whitened @ whitened.T / np.outer(length, length)
        matrix.flat[:: len(matrix) + 1] = 1.0 + _RIDGE
        vector = whitened @ data / length
        amplitudes = solve_positive(matrix, vector, vector > 0.0, self._workspace).values / length
        model = amplitudes @ design
        chi_squared = float((self.weights * ((self.data - model) / imaging.noise_fitted) ** 2).sum())
        return CompactFit(-0.5 * chi_squared, amplitudes, model)

    def _blurred_light(self, light: np.ndarray) -> np.ndarray:
        """Blur the light's columns; those of the last call are kept, since searches hold them for long."""
        if self._last_light is None or not np.array_equal(self._last_light[0], light):
            self._last_light = light.copy(), self._light_blur.blur(light)
        return self._last_light[1]

    def _blurred_source(self, inputs: CompactInputs) -> np.ndarray:
        columns = np.empty((_N_WIDTHS, self.imaging.plane.n_pixels))
        _gaussians(inputs.rays, inputs.source, self.widths, columns)
        return self._source_blur.blur(columns)

    @cached_property
    def _light_blur(self) -> LightBlur:
        grid, imaging = self.imaging.light_grid, self.imaging
        return prepare_light_blur(
            grid.frame_shape, grid.pixel_index, grid.mask_index, imaging.psf, imaging.psf_centre
        )

    @cached_property
    def _source_blur(self) -> LightBlur:
        """Rays of the source start in the mask only."""
        return replace(self._light_blur, pixel_index=self._light_blur.mask_index)


def _require_admissible(inputs: CompactInputs) -> None:
    for name, part in zip(inputs._fields, inputs, strict=True):
        if not np.isfinite(part).all():
            raise InadmissibleError(f"non-finite {name}", f"{name}: not finite.")
    if np.hypot(*inputs.source[2:]) >= 1.0:
        raise InadmissibleError("source ellipticity", "source: expected elliptical components below 1.")


# With Z = x + iy the squared elliptical radius is |Z - e conj(Z)|^2 / (1 - |e|^2), as of the lens light.


@kernel(fastmath={"contract", "reassoc"})
def _gaussians(rays, source, widths, columns):
    """Write pixel averages (n_widths, n_pixels) of Gaussians of unit peak."""
    n_pixels = columns.shape[1]
    n_sub = rays.shape[0] // n_pixels
    e_y, e_x = source[2], source[3]
    norm = 1.0 / (1.0 - e_y * e_y - e_x * e_x)
    slopes = -0.5 / widths**2
    for pixel in range(n_pixels):
        for k in range(widths.size):
            columns[k, pixel] = 0.0
        for ray in range(pixel * n_sub, (pixel + 1) * n_sub):
            y, x = rays[ray, 0] - source[0], rays[ray, 1] - source[1]
            a, b = y + e_x * y - e_y * x, x - e_x * x - e_y * y
            squared = (a * a + b * b) * norm
            for k in range(widths.size):
                exponent = slopes[k] * squared
                if exponent > -30.0:
                    columns[k, pixel] += np.exp(exponent) / n_sub


@kernel(fastmath={"contract", "reassoc"})
def _pullback(rays, source, widths, amplitudes, pixel_bar, rays_bar, source_bar):
    """Cotangents of rays and source from that of the pixel averages of the sum of Gaussians."""
    n_pixels = pixel_bar.size
    n_sub = rays.shape[0] // n_pixels
    e_y, e_x = source[2], source[3]
    norm = 1.0 / (1.0 - e_y * e_y - e_x * e_x)
    slopes = -0.5 / widths**2
    for pixel in range(n_pixels):
        for ray in range(pixel * n_sub, (pixel + 1) * n_sub):
            y, x = rays[ray, 0] - source[0], rays[ray, 1] - source[1]
            a, b = y + e_x * y - e_y * x, x - e_x * x - e_y * y
            squared = (a * a + b * b) * norm
            slope = 0.0
            for k in range(widths.size):
                exponent = slopes[k] * squared
                if exponent > -30.0:
                    slope += amplitudes[k] * slopes[k] * np.exp(exponent)
            squared_bar = slope * pixel_bar[pixel] / n_sub
            a_bar, b_bar = 2.0 * a * norm * squared_bar, 2.0 * b * norm * squared_bar
            y_bar = a_bar * (1.0 + e_x) - b_bar * e_y
            x_bar = b_bar * (1.0 - e_x) - a_bar * e_y
            rays_bar[ray, 0], rays_bar[ray, 1] = y_bar, x_bar
            source_bar[0] -= y_bar
            source_bar[1] -= x_bar
            norm_bar = 2.0 * norm * squared * squared_bar
            source_bar[2] += norm_bar * e_y - a_bar * x - b_bar * y
            source_bar[3] += norm_bar * e_x + a_bar * y - b_bar * x
