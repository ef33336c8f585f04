"""Regularization that adapts to the brightness of the source, PyAutoLens's family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.base import Prior, Regularization, RegularizationScheme
from pymc_lens.regularization.graph import graph_precision, graph_pullback, require_positive_parameters
from pymc_lens.regularization.ridge import RIDGE, Ridge, RidgedRegularization
from pymc_lens.validation import validated_adapt_image

# From cotangents of weights (n_source,) to those of the parameters and of the interpolation's weights (nnz,).
WeightsPullback = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class AdaptScheme(RegularizationScheme):
    """Numerics of `Adapt` and `AdaptPower`.

    Attributes
    ----------
    image : (n_pixels,) float64
        Adapt image.
    power : float or None
        Of the interpolated coefficients; where None, the fourth parameter.
    factor : float
        Of the sum of the squared weights of a pair.
    ridge : Ridge
    """

    counts_neighbors: ClassVar[bool] = True
    # The signal of a source pixel is a mean over rays, whose number is whole.
    counts_rays: ClassVar[bool] = True

    image: np.ndarray
    power: float | None
    factor: float
    ridge: Ridge = RIDGE

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.image.tobytes()!r}, {self.power}, {self.factor}, {self.ridge})"

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(AdaptPower.parameter_names[: len(parameters)], parameters)
        weights, weights_pullback = self.weights(parameters, geometry)
        pairs, degree = geometry.neighbors, geometry.boundary_degree
        edges = self.factor * (weights[pairs.rows] ** 2 + weights[pairs.cols] ** 2)

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            edges_bar, boundary_bar = graph_pullback(geometry, precision_bar, self.ridge)
            parameters_bar, interpolation_bar = weights_pullback(
                2.0 * self.factor * weights * (pairs.sums(edges_bar) + 2.0 * boundary_bar * degree)
            )
            return parameters_bar, GeometryCotangent(weights=interpolation_bar)

        boundary = 2.0 * self.factor * weights**2 * degree
        return Prior(graph_precision(geometry, edges, boundary, self.ridge), pullback)

    def weights(self, parameters: np.ndarray, geometry: MeshGeometry) -> tuple[np.ndarray, WeightsPullback]:
        """Regularization weights (n_source,) on a mesh, and their adjoint."""
        inner, outer, signal_scale = parameters[:3]
        power = float(parameters[3]) if self.power is None else self.power
        brightness, slope = self._brightness(geometry)
        signals = (brightness / brightness.max()) ** signal_scale
        mean = inner * signals + outer * (1.0 - signals)
        weights = mean**power

        def pullback(weights_bar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean_bar = weights_bar * power * mean ** (power - 1.0)
            scale_bar, brightness_bar = _signals_pullback(
                brightness, signal_scale, mean_bar * (inner - outer)
            )
            parameters_bar = [mean_bar @ signals, mean_bar @ (1.0 - signals), scale_bar]
            if self.power is None:
                parameters_bar.append(weights_bar @ (weights * np.log(mean)))
            return np.array(parameters_bar), slope * np.append(brightness_bar, 0.0)[
                geometry.interpolation.indices
            ]

        return weights, pullback

    def _brightness(self, geometry: MeshGeometry) -> tuple[np.ndarray, np.ndarray]:
        """Mean over each source pixel's entries of weight times adapt image, and its derivative by entry."""
        per_entry = self._image_of_entries(geometry.interpolation)
        n = geometry.neighbors.size
        seen = geometry.interpolation.indices >= 0
        indices = geometry.interpolation.indices[seen]
        slope = np.zeros(seen.size)
        slope[seen] = per_entry[seen] / np.bincount(indices, minlength=n)[indices]
        return np.bincount(indices, (slope * geometry.interpolation.weights)[seen], n), slope

    def _image_of_entries(self, interpolation: Interpolation) -> np.ndarray:
        rays_per_pixel = (interpolation.indptr.size - 1) // self.image.size
        return np.repeat(np.repeat(self.image, rays_per_pixel), np.diff(interpolation.indptr))


def _signals_pullback(
    brightness: np.ndarray, signal_scale: float, signals_bar: np.ndarray
) -> tuple[float, np.ndarray]:
    """Cotangents of the signal scale and of the brightness (n_source,)."""
    brightest = int(brightness.argmax())
    lit = brightness > 0.0
    relative = np.where(lit, brightness / brightness[brightest], 1.0)
    logs_bar = np.where(lit, signals_bar * relative**signal_scale, 0.0)
    brightness_bar = signal_scale * logs_bar / np.where(lit, brightness, 1.0)
    brightness_bar[brightest] -= signal_scale * logs_bar.sum() / brightness[brightest]
    return float(logs_bar @ np.log(relative)), brightness_bar


class AdaptedRegularization(Regularization):
    """A source prior that follows the brightness of an adapt image."""

    adapt_image: np.ndarray

    @override
    def __post_init__(self) -> None:
        object.__setattr__(self, "adapt_image", validated_adapt_image(self.adapt_image))
        super().__post_init__()


@dataclass(frozen=True, eq=False)
class Adapt(AdaptedRegularization, RidgedRegularization):
    """Neighbours are pulled together with a weight that depends on how bright the source is there.

    With the signal g of a source pixel, the mean of the adapt image over the rays it is interpolated to
    relative to the largest, to the power ``signal_scale``, its weight is ``l = (inner_coefficient g +
    outer_coefficient (1 - g))^2`` and a pair's ``l_i^2 + l_j^2``: PyAutoLens's adaptive brightness
    (Nightingale & Dye 2015, MNRAS 452, 2940).

    Parameters
    ----------
    adapt_image : (n_y, n_x) array
        Image of the lensed source, not negative, of the shape of the dataset.
    inner_coefficient, outer_coefficient : float or random variable
        Where the source is bright and where it is faint; positive.
    signal_scale : float or random variable
        Positive.
    ridge : Ridge
        Makes H positive definite on a mesh without a border. By default 1e-8 of each pixel's own diagonal;
        ``pl.regularization.PYAUTOLENS_RIDGE`` is 1e-8 itself, whatever the unit of the data, for comparison
        with PyAutoLens.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If a number is not positive and finite, or the image is not finite, negative somewhere or zero.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("inner_coefficient", "outer_coefficient", "signal_scale")

    adapt_image: np.ndarray
    inner_coefficient: Any = 1.0
    outer_coefficient: Any = 1.0
    signal_scale: Any = 1.0
    ridge: Ridge = RIDGE

    def scheme(self, plane: ImagePlane) -> AdaptScheme:
        return AdaptScheme(plane.slim("adapt_image", self.adapt_image), 2.0, 1.0, self.ridge)


@dataclass(frozen=True, eq=False)
class AdaptPower(AdaptedRegularization, RidgedRegularization):
    """`Adapt` with another power: ``l = (inner_coefficient g + outer_coefficient (1 - g))^power``.

    A pair's weight is ``(l_i^2 + l_j^2) / 2``.

    Parameters
    ----------
    adapt_image, inner_coefficient, outer_coefficient, signal_scale, ridge
        As of `Adapt`.
    power : float or random variable
        Positive.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        As `Adapt`.
    """

    parameter_names: ClassVar[tuple[str, ...]] = (*Adapt.parameter_names, "power")

    adapt_image: np.ndarray
    inner_coefficient: Any = 1.0
    outer_coefficient: Any = 1.0
    signal_scale: Any = 1.0
    power: Any = 1.0
    ridge: Ridge = RIDGE

    def scheme(self, plane: ImagePlane) -> AdaptScheme:
        return AdaptScheme(plane.slim("adapt_image", self.adapt_image), None, 0.5, self.ridge)


@dataclass(frozen=True, eq=False, repr=False)
class BrightnessZerothScheme(AdaptScheme):
    """Numerics of `BrightnessZeroth`: `AdaptScheme`'s weights on the diagonal, with no inner coefficient."""

    counts_neighbors: ClassVar[bool] = False

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(BrightnessZeroth.parameter_names, parameters)
        weights, weights_pullback = self.weights(np.append(0.0, parameters), geometry)
        pairs = geometry.neighbors

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            parameters_bar, interpolation_bar = weights_pullback(2.0 * weights * precision_bar.diagonal)
            return parameters_bar[1:], GeometryCotangent(weights=interpolation_bar)

        return Prior(SparsePrecision(pairs, weights**2, np.zeros(pairs.rows.size)), pullback)


@dataclass(frozen=True, eq=False)
class BrightnessZeroth(AdaptedRegularization):
    """A pull towards zero where the source is faint, PyAutoLens's ``BrightnessZeroth``.

    ``-log prior = 1/2 sum (coefficient (1 - g_i))^2 s_i^2`` with the signals g of `Adapt`. The brightest
    pixel has g = 1 and no prior at all, so that on its own this is not a distribution: an inversion with it
    is refused as singular, as PyAutoLens's is.

    Parameters
    ----------
    adapt_image : (n_y, n_x) array
        As of `Adapt`.
    coefficient, signal_scale : float or random variable
        Positive.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        As `Adapt`.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("coefficient", "signal_scale")

    adapt_image: np.ndarray
    coefficient: Any = 1.0
    signal_scale: Any = 1.0

    def scheme(self, plane: ImagePlane) -> BrightnessZerothScheme:
        return BrightnessZerothScheme(plane.slim("adapt_image", self.adapt_image), power=1.0, factor=1.0)
