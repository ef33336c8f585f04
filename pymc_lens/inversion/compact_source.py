"""A compact source in place of the pixelized one: what a search for the right lens looks at.

A source that may be anywhere can repeat the arcs behind a lens that bends nothing, and its evidence then
prefers that lens. A few concentric Gaussians cannot.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pymc_lens.errors import InadmissibleError
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.linalg.gaussians import gaussian_averages, gaussian_averages_pullback
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.linear.base import DenseScheme
from pymc_lens.workspace import Workspace

# Widths of the source's Gaussians, in pixels of the image.
_NARROWEST, _WIDEST, _N_WIDTHS = 0.2, 10.0, 9
# Keeps the curvature of columns of unit length, which are nearly dependent, positive definite.
_RIDGE = 1e-9


class CompactInputs(NamedTuple):
    """What the compact model of an image depends on; also the shape of its gradient.

    Attributes
    ----------
    columns : tuple of (n, n_positions) float64
        Of the parts that are seen everywhere, before the instrument, where they depend on the model.
    rays : tuple of (n_rays, 2) float64
        Of each pixelized source, the source-plane (y, x) of the sub-pixels, arcsec.
    sources : (n_sources, n_components, 4) float64
        Centre (y, x), arcsec, and elliptical components (e_y, e_x) of each component of what is in the place
        of each.
    """

    columns: tuple[np.ndarray, ...]
    rays: tuple[np.ndarray, ...]
    sources: np.ndarray


class CompactFit(NamedTuple):
    """The best image of a compact source and linear light.

    Attributes
    ----------
    log_likelihood : float
        Minus half the weighted chi-squared.
    amplitudes : list of (n,) float64
        Of each dense part, then of the Gaussians of each source's components; not negative but for the sky's.
    model : (n_fitted,) float64
    """

    log_likelihood: float
    amplitudes: list[np.ndarray]
    model: np.ndarray


class ComponentFluxes(NamedTuple):
    """Of each component of each source, surface brightness times arcsec^2: its flux, and its images'.

    Attributes
    ----------
    of_source, of_images : (n_sources, n_components) float64
    """

    of_source: np.ndarray
    of_images: np.ndarray


class CompactSource:
    """An image of which elliptical Gaussians are in the place of each pixelized source.

    A source has components, each of concentric Gaussians: one or a few.

    Parameters
    ----------
    inversion : Inversion
    data : (n_data,) float64
    pixel_scales : float
        Arcsec.
    lensed : set of str
        Names of the dense parts that are behind a lens.

    Attributes
    ----------
    weights : (n_data,) float64
        Of each pixel's chi-squared; may be set anew between calls.
    """

    def __init__(self, inversion: Inversion, data: np.ndarray, pixel_scales: float, lensed: set[str]) -> None:
        self.dense, self.response, self.data = inversion.dense, inversion.response, data
        self.lensed = lensed
        self.n_sources = len(inversion.mapped)
        self.widths = np.geomspace(_NARROWEST, _WIDEST, _N_WIDTHS) * pixel_scales
        self._pixel_area = pixel_scales**2
        self.weights = np.ones(data.size)
        self._workspace = Workspace()
        self._last: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def depending(self) -> list[DenseScheme]:
        """Dense parts whose columns the model computes."""
        return [part for part in self.dense if part.inputs]

    def fit(self, inputs: CompactInputs) -> CompactFit:
        """Solve for the amplitudes.

        Raises
        ------
        InadmissibleError
            If rays or columns are not finite, or a source's ellipticity is 1 or more.
        """
        _require_admissible(inputs)
        sources = [
            self._blurred_source(rays, component)
            for rays, components in zip(inputs.rays, inputs.sources, strict=True)
            for component in components
        ]
        return self._solve([*self._blurred_dense(inputs), *sources])

    def fit_light(self, inputs: CompactInputs) -> CompactFit:
        """Solve for the amplitudes of light in front of the lenses and sky alone; others are zero."""
        _require_admissible(inputs)
        dense = [
            0.0 * blurred if part.name in self.lensed else blurred
            for part, blurred in zip(self.dense, self._blurred_dense(inputs), strict=True)
        ]
        alone = self._solve(dense)
        n_components = self.n_sources * inputs.sources.shape[1]
        return alone._replace(amplitudes=[*alone.amplitudes, *np.zeros((n_components, _N_WIDTHS))])

    def gradient(self, inputs: CompactInputs, fit: CompactFit) -> CompactInputs:
        """Gradient of the log-likelihood; at the best amplitudes it is that at fixed ones."""
        response = self.response
        residual_bar = response.spread(self.weights * (self.data - fit.model) / response.noise**2)[None]
        columns_bars = [
            amplitudes[:, None] * response.blur_pullback(residual_bar, part.positions)
            for part, amplitudes in zip(self.dense, fit.amplitudes[: len(self.dense)], strict=True)
            if part.inputs
        ]
        rays_bars = [np.zeros(rays.shape) for rays in inputs.rays]
        sources_bar = np.zeros(inputs.sources.shape)
        if inputs.rays:
            pixel_bar = response.blur_pullback(residual_bar, response.pixel_positions)
            of_components = iter(fit.amplitudes[len(self.dense) :])
            for k, j in np.ndindex(inputs.sources.shape[:2]):
                averages_bar = next(of_components)[:, None] * pixel_bar
                rays_bar, sources_bar[k, j] = _averages_pullback(
                    inputs.rays[k], inputs.sources[k, j], self.widths, averages_bar
                )
                rays_bars[k] += rays_bar
        return CompactInputs(tuple(columns_bars), tuple(rays_bars), sources_bar)

    def component_fluxes(self, inputs: CompactInputs, fit: CompactFit) -> ComponentFluxes:
        """Measure how bright components are, and how bright their images within the mask."""
        fluxes = ComponentFluxes(*np.zeros((2, *inputs.sources.shape[:2])))
        of_components = iter(fit.amplitudes[len(self.dense) :])
        n_pixels = self.response.root_weights.size
        for k, j in np.ndindex(inputs.sources.shape[:2]):
            amplitudes = next(of_components)
            images = amplitudes @ _averages(inputs.rays[k], inputs.sources[k, j], self.widths, n_pixels)
            fluxes.of_source[k, j] = 2.0 * np.pi * amplitudes @ self.widths**2
            fluxes.of_images[k, j] = images.sum() * self._pixel_area
        return fluxes

    # --- helpers

    def _solve(self, groups: list[np.ndarray]) -> CompactFit:
        response = self.response
        seen = np.flatnonzero(response.root_weights)
        design = np.concatenate([np.empty((0, seen.size)), *(columns[:, seen] for columns in groups)])
        root_weights = np.sqrt(self.weights) / response.noise
        whitened, data = design * root_weights, self.data * root_weights
        length = np.sqrt((whitened**2).sum(axis=1))
        length[length < 1e-100] = np.inf  # shines on nothing: has no amplitude
        matrix = whitened @ whitened.T / np.outer(length, length)
        matrix.flat[:: len(matrix) + 1] = 1.0 + _RIDGE
        vector = whitened @ data / length
        # Only what depends on nothing, the sky, may be negative.
        kinds = [not part.inputs for part in self.dense] + [False] * (len(groups) - len(self.dense))
        free = np.repeat(np.array(kinds, bool), [len(columns) for columns in groups])
        solved = solve_positive(matrix, vector, vector > 0.0, self._workspace, free)
        amplitudes = solved.values / length
        model = amplitudes @ design
        chi_squared = float((self.weights * ((self.data - model) / response.noise) ** 2).sum())
        ends = np.cumsum([len(columns) for columns in groups])[:-1]
        return CompactFit(-0.5 * chi_squared, np.split(amplitudes, ends), model)

    def _blurred_dense(self, inputs: CompactInputs) -> list[np.ndarray]:
        """Blur columns; those of the last call are kept, since searches hold the light for long."""
        given = iter(inputs.columns)
        blurred = []
        for part in self.dense:
            columns = part.columns((next(given),) if part.inputs else ())
            if part.name not in self._last or not np.array_equal(self._last[part.name][0], columns):
                self._last[part.name] = columns.copy(), self.response.blur([(columns, part.positions)])
            blurred.append(self._last[part.name][1])
        return blurred

    def _blurred_source(self, rays: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Rays of the source start in the mask only."""
        columns = _averages(rays, source, self.widths, self.response.root_weights.size)
        return self.response.blur([(columns, self.response.pixel_positions)])


def _require_admissible(inputs: CompactInputs) -> None:
    for name, array in (*(("rays", a) for a in inputs.rays), *(("light", a) for a in inputs.columns)):
        if not np.isfinite(array).all():
            raise InadmissibleError(f"non-finite {name}", f"{name}: not finite.")
    if (np.hypot(inputs.sources[..., 2], inputs.sources[..., 3]) >= 1.0).any():
        raise InadmissibleError("source ellipticity", "source: expected elliptical components below 1.")


def _averages(rays: np.ndarray, source: np.ndarray, widths: np.ndarray, n_pixels: int) -> np.ndarray:
    """Pixel averages (n_widths, n_pixels) of Gaussians of unit peak."""
    return gaussian_averages(*_ellipse(rays, source), *_gaussians(widths), len(rays) // n_pixels)


def _averages_pullback(
    rays: np.ndarray, source: np.ndarray, widths: np.ndarray, averages_bar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cotangents of rays (n_rays, 2) and source (4,) from that of the averages (n_widths, n_pixels)."""
    per_pixel = len(rays) // averages_bar.shape[1]
    y_bar, x_bar, roots_bar = gaussian_averages_pullback(
        *_ellipse(rays, source), averages_bar, *_gaussians(widths), per_pixel
    )
    _, _, e_y, e_x = source
    norm = (1.0 - e_y**2 - e_x**2) ** -0.5
    p_bar, q_bar, r_bar = roots_bar[0]
    norm_bar = (1.0 + e_x) * p_bar + (1.0 - e_x) * q_bar - e_y * r_bar
    e_y_bar = norm**3 * e_y * norm_bar - norm * r_bar
    e_x_bar = norm**3 * e_x * norm_bar + norm * (p_bar - q_bar)
    return np.stack([y_bar, x_bar], axis=1), np.array([-y_bar.sum(), -x_bar.sum(), e_y_bar, e_x_bar])


def _ellipse(rays: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions from the centre, and the matrix root of the squared elliptical radius: see the lens light."""
    centre_y, centre_x, e_y, e_x = source
    root = np.array([[1.0 + e_x, 1.0 - e_x, -e_y]]) / np.sqrt(1.0 - e_y**2 - e_x**2)
    return rays[:, 0] - centre_y, rays[:, 1] - centre_x, root


def _gaussians(widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return -0.5 / widths**2, np.zeros(widths.size, np.int64)
