"""Any source prior with a standard deviation that follows the brightness of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.geometry.finite_volumes import FiniteVolumes
from pymc_lens.linalg.kernel import kernel
from pymc_lens.linalg.precision import SparsePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.adapt import AdaptedRegularization
from pymc_lens.regularization.base import Prior, Regularization, RegularizationScheme
from pymc_lens.regularization.graph import require_positive_parameters
from pymc_lens.validation import require_instance

# Added to the adapt image in units of its brightest pixel: powers of the signal below one stay smooth where
# the image is zero.
_FLOOR = 1e-3
# Weight, in image pixels, of the faintest brightness in every source pixel: defines it where no ray arrives.
_UNSEEN = 1e-6
# Conductance of which half counts in the smoothing of the brightness; of square cells it is one.
_FADED_TO_HALF = 0.1


@dataclass(frozen=True, eq=False)
class AdaptAmplitudeScheme(RegularizationScheme):
    """Numerics of `AdaptAmplitude`.

    The brightness b of the source pixels solves ``(diag(W'1) + K) b = W'I``, with the interpolation W over
    the number of rays of an image pixel, the adapt image I at the rays, and a stiffness K of the mesh with
    nothing beyond its border. With no off-diagonal element positive and none of W negative, b lies between
    the faintest and the brightest of I. So negative weights (where `Rectangular` extrapolates) are left out,
    and so are negative conductances: they are faded out smoothly towards zero.

    Attributes
    ----------
    other : RegularizationScheme
        The other prior; its parameters come first.
    image : (n_pixels,) float64
        Adapt image in units of its brightest pixel, positive.
    """

    other: RegularizationScheme
    image: np.ndarray

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.other!r}, {self.image.tobytes()!r})"

    @property
    def counts_neighbors(self) -> bool:
        return self.other.counts_neighbors

    @property
    def counts_rays(self) -> bool:
        return self.other.counts_rays

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(AdaptAmplitude.parameter_names, parameters[-2:])
        other = self.other.prior(parameters[:-2], geometry)
        equations, brightness = self._brightness(geometry)
        faint_ratio, signal_scale = parameters[-2:]
        signals = brightness**signal_scale
        amplitudes = faint_ratio + (1.0 - faint_ratio) * signals

        def pullback(precision_bar: Any) -> tuple[np.ndarray, GeometryCotangent]:
            other_bar, inverse_bar = other.precision.scaled_pullback(1.0 / amplitudes, precision_bar)
            of_other, geometry_bar = other.pullback(other_bar)
            amplitudes_bar = -inverse_bar / amplitudes**2
            logs_bar = (1.0 - faint_ratio) * amplitudes_bar * signals
            own = [amplitudes_bar @ (1.0 - signals), logs_bar @ np.log(brightness)]
            own_geometry_bar = self._brightness_pullback(
                geometry, equations, brightness, signal_scale * logs_bar / brightness
            )
            return np.append(of_other, own), own_geometry_bar.plus(geometry_bar)

        return Prior(other.precision.scaled(1.0 / amplitudes), pullback)

    def brightness(self, geometry: MeshGeometry) -> np.ndarray:
        """Return the brightness (n_source,) of the adapt image on the source plane."""
        return self._brightness(geometry)[1]

    def _brightness(self, geometry: MeshGeometry) -> tuple[SparsePrecision, np.ndarray]:
        """Matrix of the equations for the brightness, and the brightness (n_source,)."""
        pairs = geometry.couplings
        seen, known = np.full(pairs.size, _UNSEEN), np.full(pairs.size, _UNSEEN * self.image.min())
        _collect(*self._rays(geometry), seen, known)
        conductances = _faded(geometry.volumes.conductances)
        equations = SparsePrecision(pairs, seen + pairs.sums(conductances), -conductances)
        return equations, equations.solve(known)

    def _brightness_pullback(
        self,
        geometry: MeshGeometry,
        equations: SparsePrecision,
        brightness: np.ndarray,
        brightness_bar: np.ndarray,
    ) -> GeometryCotangent:
        """Adjoint of `_brightness`."""
        pairs, conductances = geometry.couplings, geometry.volumes.conductances
        known_bar = equations.solve(brightness_bar)
        weights_bar = np.zeros(geometry.interpolation.weights.size)
        _collect_pullback(*self._rays(geometry), brightness, known_bar, weights_bar)
        differences = brightness[pairs.rows] - brightness[pairs.cols]
        conductances_bar = (known_bar[pairs.cols] - known_bar[pairs.rows]) * differences
        zeros = np.zeros(pairs.size)
        volumes_bar = FiniteVolumes(_faded_slope(conductances) * conductances_bar, zeros, zeros)
        return GeometryCotangent(weights=weights_bar, volumes=volumes_bar)

    def _rays(self, geometry: MeshGeometry) -> tuple[np.ndarray, ...]:
        interpolation = geometry.interpolation
        return interpolation.indptr, interpolation.indices, interpolation.weights, self.image


def _faded(conductances: np.ndarray) -> np.ndarray:
    """``c^2 / (c + h)`` of what is positive: continuously differentiable where a conductance is zero."""
    positive = np.maximum(conductances, 0.0)
    return np.asarray(positive**2 / (positive + _FADED_TO_HALF))


def _faded_slope(conductances: np.ndarray) -> np.ndarray:
    positive = np.maximum(conductances, 0.0)
    return np.asarray(1.0 - (_FADED_TO_HALF / (positive + _FADED_TO_HALF)) ** 2)


@kernel()
def _collect(indptr, indices, weights, image, seen, known):
    """Add ``W'1`` and ``W'I``."""
    rays_per_pixel = (indptr.size - 1) // image.size
    for ray in range(indptr.size - 1):
        value = image[ray // rays_per_pixel]
        for entry in range(indptr[ray], indptr[ray + 1]):
            i = indices[entry]
            if i >= 0 and weights[entry] > 0.0:
                share = weights[entry] / rays_per_pixel
                seen[i] += share
                known[i] += share * value


@kernel()
def _collect_pullback(indptr, indices, weights, image, brightness, known_bar, weights_bar):
    """Adjoint of `_collect`, where the cotangent of ``W'1`` is that of ``W'I`` times minus the brightness."""
    rays_per_pixel = (indptr.size - 1) // image.size
    for ray in range(indptr.size - 1):
        value = image[ray // rays_per_pixel]
        for entry in range(indptr[ray], indptr[ray + 1]):
            i = indices[entry]
            if i >= 0 and weights[entry] >= 0.0:
                weights_bar[entry] = known_bar[i] * (value - brightness[i]) / rays_per_pixel


@dataclass(frozen=True, eq=False)
class AdaptAmplitude(AdaptedRegularization):
    """Another prior with a standard deviation that follows the brightness of an image.

    The source is ``s = a z``: z has the other prior, and ``a = faint_ratio + (1 - faint_ratio)
    g^signal_scale`` grows with the brightness g of the source there, in units of the adapt image's brightest
    pixel. So the parameters of the other prior are what they are where the source is brightest (the amplitude
    of `MaternSPDE` there, and the same correlation length everywhere; for `Dirichlet` the energy is the
    integral of ``|grad (s / a)|^2``), and the precision is ``H_ij / (a_i a_j)``.

    g is the adapt image taken to the source plane: each ray brings the brightness of its pixel, and what they
    bring is smoothed by the squared gradient, weighted by one image pixel: over about as far as the footprint
    of a pixel on the source plane. It means the same on every mesh, and varies as smoothly with rays and
    vertices as the interpolation and `Dirichlet` do. The signal of `Adapt` does neither: it is relative to
    the brightest source pixel, which depends on the mesh and changes abruptly. Nor does the adapt image at a
    vertex's own place in the image plane: vertices that meet on the source plane come from several images,
    blurred and magnified differently; and meshes that are not traced have none.

    Where the image is dark around the source, scale and amplitude of `MaternSPDE` matter less each than in
    their ratio: give both a prior that is not too wide.

    An adapt image made of the data that are fitted makes the prior empirical: the data count twice, so that
    an evidence higher than without it is no proof that the source is so.

    Parameters
    ----------
    regularization : Regularization
        The other prior; its parameters may be random variables too.
    adapt_image : (n_y, n_x) array
        Image of the lensed source, not negative, of the shape of the dataset. A thousandth of its brightest
        pixel is added to it.
    faint_ratio : float or random variable
        Standard deviation where the adapt image is dark over that where it is brightest; positive. At 1 the
        prior is the other one.
    signal_scale : float or random variable
        Positive; the larger, the more of the source counts as faint.

    Raises
    ------
    TypeError
        If ``regularization`` is something else.
    ValueError
        If a number is not positive and finite, or the image is not finite, negative somewhere or zero.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("faint_ratio", "signal_scale")

    regularization: Regularization
    adapt_image: np.ndarray
    faint_ratio: Any = 0.1
    signal_scale: Any = 1.0

    def __post_init__(self) -> None:
        require_instance("regularization", self.regularization, Regularization)
        super().__post_init__()

    @property
    def parameters(self) -> tuple[Any, ...]:
        """Those of the other prior, then its own."""
        return (*self.regularization.parameters, *super().parameters)

    @property
    @override
    def names(self) -> tuple[str, ...]:
        return (*self.regularization.names, *self.parameter_names)

    @override
    def with_parameters(self, values: Sequence[float]) -> Self:
        n_own = len(self.parameter_names)
        other = self.regularization.with_parameters(values[:-n_own])
        faint_ratio, signal_scale = values[-n_own:]
        return replace(self, regularization=other, faint_ratio=faint_ratio, signal_scale=signal_scale)

    @property
    @override
    def needs_crosses(self) -> bool:
        return self.regularization.needs_crosses

    @property
    @override
    def needs_areas(self) -> bool:
        return self.regularization.needs_areas

    def scheme(self, plane: ImagePlane) -> AdaptAmplitudeScheme:
        image = plane.slim("adapt_image", self.adapt_image)
        if not image.any():
            raise ValueError(
                "adapt_image: zero in all pixels of the mask. Give an image of the lensed source."
            )
        image = image + _FLOOR * image.max()
        return AdaptAmplitudeScheme(self.regularization.scheme(plane), image / image.max())
