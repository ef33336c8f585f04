"""What a solved image consists of: its parts, and its sources as they would be seen without the lens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import override

import numpy as np

from pymc_lens.data.imaging import Imaging
from pymc_lens.evaluate import evaluate_once
from pymc_lens.geometry.lattice import lattice, square_around
from pymc_lens.inversion.inversion import Inversion, Solution
from pymc_lens.light.base import images_of
from pymc_lens.linear.pixelized import PixelizedPart
from pymc_lens.parts import LensedLight, Light, LinearPart, PixelizedSource, Sky, parts_of
from pymc_lens.tracer import Tracer

# A source is seen in pixels where its image exceeds this many standard deviations of the noise, and this
# fraction of its brightest pixel.
_SIGNIFICANT, _FAINT = 3.0, 0.05
# Points along a side of the square in which the flux of a parametric source is added up.
_FLUX_POINTS = 300


class Source(ABC):
    """A source as it would be seen without the lens.

    Attributes
    ----------
    name : str
        Of its part of the image.
    redshift : float
    dataset : Imaging
    image : (n_fitted,) float64
        Its lensed and blurred image.
    rays : (n_pixels, n_rays, 2) float64
        Positions (y, x) of the sub-pixels in its plane, arcsec.
    """

    def __init__(
        self, name: str, redshift: float, dataset: Imaging, image: np.ndarray, rays: np.ndarray
    ) -> None:
        self.name, self.redshift, self.image = name, redshift, image
        self.rays = rays.reshape(dataset.plane.n_pixels, -1, 2)
        self.dataset = dataset

    @abstractmethod
    def brightness(self, points: np.ndarray) -> np.ndarray:
        """Surface brightness (...) at points (..., 2) of its plane, arcsec."""

    @property
    @abstractmethod
    def flux(self) -> float:
        """Its total, surface brightness times arcsec^2."""

    @property
    def magnification(self) -> float:
        """Flux of its image within the mask, before the blur, over its own."""
        seen = self.brightness(self.rays).mean(axis=1).sum()
        return float(seen) * self.dataset.pixel_scales**2 / self.flux

    @cached_property
    def detected_rays(self) -> np.ndarray:
        """(n, 2) positions in its plane, arcsec, of the rays in whose pixels it is seen.

        Those are the pixels where its image is neither fainter than the noise allows to see nor than a small
        part of the brightest; all, where there are none.
        """
        faintest = np.maximum(_SIGNIFICANT * self.dataset.noise_fitted, _FAINT * self.image.max())
        seen = self.dataset.fitted[self.image > faintest]
        return (self.rays[seen] if seen.size else self.rays).reshape(-1, 2)


class PixelizedSourceView(Source):
    """A pixelized source of a solved image.

    Attributes
    ----------
    reconstruction : (n_source,) float64
        Its pixels, in the units of the data: the brightness at the vertices, and on a mesh of cubic splines
        their coefficients.
    """

    def __init__(
        self, name: str, redshift: float, dataset: Imaging, image: np.ndarray, part: PixelizedPart,
        reconstruction: np.ndarray,
    ) -> None:  # fmt: skip
        super().__init__(name, redshift, dataset, image, part.rays.copy())
        self._geometry = part.geometry
        self.reconstruction = reconstruction
        # The mapping's arrays are of this evaluation alone, those of the interpolation of the workspace.
        self._seen = part.mapping.weights @ reconstruction[part.mapping.indices]

    @property
    def vertices(self) -> np.ndarray:
        """(n_source, 2) positions (y, x) of its pixels, arcsec."""
        return self._geometry.vertices

    @override
    def brightness(self, points: np.ndarray) -> np.ndarray:
        flat = self._geometry.interpolate(np.ascontiguousarray(points.reshape(-1, 2)))
        return flat.apply(self.reconstruction).reshape(points.shape[:-1])

    @property
    @override
    def flux(self) -> float:
        return float(self.reconstruction @ self._geometry.volumes.areas)

    @property
    @override
    def magnification(self) -> float:
        return float(self._seen) * self.dataset.pixel_scales**2 / self.flux


class LightSourceView(Source):
    """A source made of light profiles.

    Attributes
    ----------
    intensities : (n_columns,) float64
        Amplitudes of its profiles.
    """

    def __init__(
        self, dataset: Imaging, image: np.ndarray, part: LensedLight, intensities: np.ndarray
    ) -> None:
        (rays,) = evaluate_once([part.tracer.traced_grid(dataset.plane.source_grid, part.redshift)])
        super().__init__(part.name, part.redshift, dataset, image, rays)
        self._light, self.intensities = part.light, intensities

    @override
    def brightness(self, points: np.ndarray) -> np.ndarray:
        (images,) = evaluate_once([images_of(self._light, points.reshape(-1, 2))])
        return (self.intensities @ images).reshape(points.shape[:-1])

    @property
    @override
    def flux(self) -> float:
        """As far as it reaches in a square around what is seen of it."""
        low, high = square_around(self.detected_rays)
        y, x = (np.linspace(low[axis], high[axis], _FLUX_POINTS) for axis in (0, 1))
        return float(self.brightness(lattice(y, x)).sum() * (y[1] - y[0]) * (x[1] - x[0]))


class SolvedImage:
    """Coefficients of an image's parts, and what they look like.

    Attributes
    ----------
    terms : EvidenceTerms
    dense : list of str
        Names of the parts whose coefficients are amplitudes.
    model : (n_fitted,) float64
        Of everything.
    images : dict of str to (n_fitted,) float64
        Of each part alone, blurred.
    coefficients : dict of str to (n,) float64
        Of each part.

    Parameters
    ----------
    inversion : Inversion
    dataset : Imaging
    solution : Solution
    coefficients : (n,) float64
        The solution's or others, such as a draw.
    parts : list of LinearPart
        Those of the tracer; of no matter are its numbers.
    tracer : callable
        Returns the tracer with numbers, where a parametric source is looked at.
    """

    def __init__(
        self, inversion: Inversion, dataset: Imaging, solution: Solution, coefficients: np.ndarray,
        parts: list[LinearPart], tracer: Callable[[], Tracer],
    ) -> None:  # fmt: skip
        self.dataset, self._parts, self._tracer = dataset, parts, tracer
        self.terms = solution.terms
        self.dense = [part.name for part in inversion.dense]
        self.model = inversion.model_image(solution, coefficients)
        self.images = inversion.images(solution, coefficients)
        self.coefficients = {name: coefficients[place] for name, place in inversion.places.items()}
        # At once: what they are made of lives until the next inversion.
        laid_out = {
            part.scheme.name: part for part in solution.image.parts if isinstance(part, PixelizedPart)
        }
        self._pixelized = {
            part.name: PixelizedSourceView(
                part.name, part.redshift, dataset, self.images[part.name], laid_out[part.name],
                self.coefficients[part.name],
            )
            for part in parts
            if isinstance(part, PixelizedSource)
        }  # fmt: skip

    @property
    def lens_light(self) -> np.ndarray:
        """(n_fitted,) blurred image of all light in front of the lenses."""
        return self._sum([part.name for part in self._parts if type(part) is Light])

    @property
    def lensed_source(self) -> np.ndarray:
        """(n_fitted,) blurred image of all sources."""
        return self._sum([part.name for part in self._parts if type(part) is not Light])

    @property
    def sky(self) -> np.ndarray:
        """(n_fitted,) image of the sky."""
        return self._sum([Sky.name] if Sky.name in self.images else [])

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Sources by their names."""
        sources: dict[str, Source] = dict(self._pixelized)
        if any(isinstance(part, LensedLight) for part in self._parts):
            for part in parts_of(self._tracer()):
                if isinstance(part, LensedLight):
                    sources[part.name] = LightSourceView(
                        self.dataset, self.images[part.name], part, self.coefficients[part.name]
                    )
        return sources

    def _sum(self, names: list[str]) -> np.ndarray:
        return sum((self.images[name] for name in names), start=np.zeros(self.model.size))
