"""Zeroth-order regularization: source pixels are pulled towards zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.base import Prior, Regularization, RegularizationScheme, SumScheme
from pymc_lens.regularization.constant import ConstantScheme
from pymc_lens.regularization.graph import require_positive_parameters
from pymc_lens.regularization.ridge import RIDGE, Ridge, RidgedRegularization


@dataclass(frozen=True, eq=False)
class ConstantZeroth(RidgedRegularization):
    """The sum of `Constant` and `Zeroth`, PyAutoLens's ``ConstantZeroth``.

    ``-log prior = 1/2 coefficient_neighbor^2 sum over neighbours (s_i - s_j)^2 + 1/2 coefficient_zeroth^2 sum
    s_i^2``.

    Parameters
    ----------
    coefficient_neighbor, coefficient_zeroth : float or random variable
        In units of 1 / surface brightness; positive.
    ridge : Ridge
        As of `Constant`.

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

    def scheme(self, plane: ImagePlane) -> SumScheme:
        return SumScheme((ConstantScheme(self.ridge), ZerothScheme()), (1, 1))


@dataclass(frozen=True)
class ZerothScheme(RegularizationScheme):
    """Numerics of `Zeroth`."""

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(Zeroth.parameter_names, parameters)
        pairs = geometry.neighbors

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            return 2.0 * parameters * precision_bar.diagonal.sum(), GeometryCotangent()

        squares = np.full(pairs.size, parameters[0] ** 2)
        return Prior(SparsePrecision(pairs, squares, np.zeros(pairs.rows.size)), pullback)


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

    def scheme(self, plane: ImagePlane) -> ZerothScheme:
        return ZerothScheme()
