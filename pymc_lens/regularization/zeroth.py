"""Zeroth-order regularization: source pixels are pulled towards zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pymc_lens.imaging import Imaging
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.base import Regularization, RegularizationScheme
from pymc_lens.regularization.graph import graph_precision, graph_pullback, require_positive_parameters
from pymc_lens.regularization.ridge import RIDGE, Ridge, RidgedRegularization


@dataclass(frozen=True)
class ConstantZerothScheme(RegularizationScheme):
    """Numerics of `ConstantZeroth`.

    Attributes
    ----------
    ridge : Ridge
    """

    counts_neighbors: ClassVar[bool] = True

    ridge: Ridge = RIDGE

    def precision(self, parameters: np.ndarray, geometry: MeshGeometry) -> SparsePrecision:
        require_positive_parameters(ConstantZeroth.parameter_names, parameters)
        neighbor, zeroth = parameters**2
        edges = np.full(geometry.neighbors.rows.size, neighbor)
        return graph_precision(geometry, edges, neighbor * geometry.boundary_degree + zeroth, self.ridge)

    def pullback(
        self, parameters: np.ndarray, geometry: MeshGeometry, precision_bar: SparseCotangent
    ) -> tuple[np.ndarray, GeometryCotangent]:
        edges_bar, boundary_bar = graph_pullback(geometry, precision_bar, self.ridge)
        squares_bar = [edges_bar.sum() + boundary_bar @ geometry.boundary_degree, boundary_bar.sum()]
        return 2.0 * parameters * np.array(squares_bar), GeometryCotangent()


@dataclass(frozen=True, eq=False)
class ConstantZeroth(RidgedRegularization):
    """`Constant` and a pull towards zero, PyAutoLens's ``ConstantZeroth``.

    ``-log prior = 1/2 coefficient_neighbor^2 sum over neighbours (s_i - s_j)^2 + 1/2 coefficient_zeroth^2 sum
    s_i^2``.

    Parameters
    ----------
    coefficient_neighbor, coefficient_zeroth : float or random variable
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
        If a number is not positive and finite.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("coefficient_neighbor", "coefficient_zeroth")

    coefficient_neighbor: Any = 1.0
    coefficient_zeroth: Any = 1.0
    ridge: Ridge = RIDGE

    def scheme(self, imaging: Imaging) -> ConstantZerothScheme:
        return ConstantZerothScheme(self.ridge)


@dataclass(frozen=True)
class ZerothScheme(RegularizationScheme):
    """Numerics of `Zeroth`."""

    def precision(self, parameters: np.ndarray, geometry: MeshGeometry) -> SparsePrecision:
        require_positive_parameters(Zeroth.parameter_names, parameters)
        pairs = geometry.neighbors
        squared = parameters[0] ** 2
        return SparsePrecision(pairs, np.full(pairs.size, squared), np.zeros(pairs.rows.size))

    def pullback(
        self, parameters: np.ndarray, geometry: MeshGeometry, precision_bar: SparseCotangent
    ) -> tuple[np.ndarray, GeometryCotangent]:
        return np.array([2.0 * parameters[0] * precision_bar.diagonal.sum()]), GeometryCotangent()


@dataclass(frozen=True, eq=False)
class Zeroth(Regularization):
    """A pull towards zero alone, PyAutoLens's ``Zeroth``: ``-log prior = 1/2 coefficient^2 sum s_i^2``.

    Parameters
    ----------
    coefficient : float or random variable
        In units of 1 / surface brightness; positive.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If ``coefficient`` is a number that is not positive and finite.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("coefficient",)

    coefficient: Any = 1.0

    def scheme(self, imaging: Imaging) -> ZerothScheme:
        return ZerothScheme()
