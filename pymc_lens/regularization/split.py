"""Regularization across each source pixel: PyAutoLens's split family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
from scipy.sparse import csr_array, diags_array

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.adapt import Adapt, AdaptPower, AdaptScheme
from pymc_lens.regularization.base import Prior, RegularizationScheme
from pymc_lens.regularization.graph import require_positive_parameters
from pymc_lens.regularization.ridge import RIDGE, Ridge, RidgedRegularization
from pymc_lens.regularization.sparse import as_matrix, as_precision


def _differences(geometry: MeshGeometry) -> csr_array:
    """Rows ``e_i - w(end)`` (4 n_source, n_source): a pixel less the source at each end of its cross."""
    crosses, n = geometry.crosses, len(geometry.vertices)
    rows = np.repeat(np.arange(4 * n), np.diff(crosses.indptr))
    inside = crosses.indices >= 0
    weights = csr_array((crosses.weights[inside], (rows[inside], crosses.indices[inside])), (4 * n, n))
    own = csr_array((np.ones(4 * n), (np.arange(4 * n), np.repeat(np.arange(n), 4))), (4 * n, n))
    return (own - weights).tocsr()


def _split_precision(
    geometry: MeshGeometry, weights: np.ndarray, ridge: Ridge
) -> tuple[SparsePrecision, Callable[[SparseCotangent], tuple[np.ndarray, np.ndarray]]]:
    """``H = sum_i weights_i sum over the cross r r'``, and the ridge; and its adjoint.

    That is from cotangents of H to those of the weights (n_source,) and of the crosses' interpolation (nnz,).
    """
    differences, crosses = _differences(geometry), geometry.crosses
    across = (differences.T @ diags_array(np.repeat(weights, 4)) @ differences).tocsr()
    across.setdiag(ridge.added_to(across.diagonal()))

    def pullback(bar: SparseCotangent) -> tuple[np.ndarray, np.ndarray]:
        bar = SparseCotangent(ridge.pullback(bar.diagonal), bar.off_diagonal)
        product = (differences @ as_matrix(across, bar)).tocsr()
        per_row = np.asarray((product * differences).sum(axis=1)).ravel()
        rows = np.repeat(np.arange(crosses.indptr.size - 1), np.diff(crosses.indptr))
        inside = crosses.indices >= 0
        cross_weights_bar = np.zeros(crosses.weights.size)
        at = np.asarray(product[rows[inside], crosses.indices[inside]]).ravel()
        cross_weights_bar[inside] = -2.0 * weights[rows[inside] // 4] * at
        return per_row.reshape(-1, 4).sum(axis=1), cross_weights_bar

    return as_precision(across), pullback


@dataclass(frozen=True)
class ConstantSplitScheme(RegularizationScheme):
    """Numerics of `ConstantSplit`.

    Attributes
    ----------
    ridge : Ridge
    """

    ridge: Ridge = RIDGE

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(("coefficient",), parameters)
        weights = np.full(len(geometry.vertices), parameters[0] ** 2)
        precision, split_pullback = _split_precision(geometry, weights, self.ridge)

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            weights_bar, cross_weights_bar = split_pullback(precision_bar)
            return 2.0 * parameters * weights_bar.sum(), GeometryCotangent(cross_weights=cross_weights_bar)

        return Prior(precision, pullback)


@dataclass(frozen=True, eq=False, repr=False)
class AdaptSplitScheme(AdaptScheme):
    """Numerics of `AdaptSplit` and `AdaptSplitPower`: `AdaptScheme`'s weights on crosses, not on pairs."""

    counts_neighbors: ClassVar[bool] = False

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(AdaptPower.parameter_names[: len(parameters)], parameters)
        weights, weights_pullback = self.weights(parameters, geometry)
        precision, split_pullback = _split_precision(geometry, weights**2, self.ridge)

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            squared_bar, cross_weights_bar = split_pullback(precision_bar)
            parameters_bar, interpolation_bar = weights_pullback(2.0 * weights * squared_bar)
            return parameters_bar, GeometryCotangent(
                weights=interpolation_bar, cross_weights=cross_weights_bar
            )

        return Prior(precision, pullback)


@dataclass(frozen=True, eq=False)
class ConstantSplit(RidgedRegularization):
    """Each source pixel is pulled to the source around it, PyAutoLens's ``ConstantSplit``.

    ``-log prior = 1/2 coefficient^2 sum (s_i - s(x))^2`` over four points x around each pixel i, where the
    source is interpolated. On `VoronoiNN` it varies continuously; its derivative does not where a point
    crosses into another triangle.

    Parameters
    ----------
    coefficient : float or random variable
        In units of 1 / surface brightness; positive.
    ridge : Ridge
        Makes H positive definite on a mesh without a border. By default 1e-8 of each pixel's own diagonal;
        ``pl.regularization.PYAUTOLENS_RIDGE`` is 1e-8 itself, whatever the unit of the data, for comparison
        with PyAutoLens.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If ``coefficient`` is a number that is not positive and finite.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("coefficient",)
    needs_crosses: ClassVar[bool] = True

    coefficient: Any = 1.0
    ridge: Ridge = RIDGE

    def scheme(self, plane: ImagePlane) -> ConstantSplitScheme:
        return ConstantSplitScheme(self.ridge)


@dataclass(frozen=True, eq=False)
class AdaptSplit(Adapt):
    """`Adapt` across each source pixel instead of between neighbours.

    A pixel's weight is ``l_i^2`` on each of four differences, as in `ConstantSplit`.

    Parameters
    ----------
    adapt_image, inner_coefficient, outer_coefficient, signal_scale, ridge
        As of `Adapt`.

    Raises
    ------
    TypeError, ValueError
        As `Adapt`.
    """

    needs_crosses: ClassVar[bool] = True

    @override
    def scheme(self, plane: ImagePlane) -> AdaptSplitScheme:
        return AdaptSplitScheme(plane.slim("adapt_image", self.adapt_image), 2.0, 1.0, self.ridge)


@dataclass(frozen=True, eq=False)
class AdaptSplitPower(AdaptPower):
    """`AdaptPower` across each source pixel instead of between neighbours.

    Parameters
    ----------
    adapt_image, inner_coefficient, outer_coefficient, signal_scale, ridge, power
        As of `AdaptPower`.

    Raises
    ------
    TypeError, ValueError
        As `AdaptPower`.
    """

    needs_crosses: ClassVar[bool] = True

    @override
    def scheme(self, plane: ImagePlane) -> AdaptSplitScheme:
        return AdaptSplitScheme(plane.slim("adapt_image", self.adapt_image), None, 1.0, self.ridge)
