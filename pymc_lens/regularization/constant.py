"""Constant regularization: neighbouring source pixels are pulled together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.linalg.precision import SparseCotangent
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.base import Prior, RegularizationScheme
from pymc_lens.regularization.graph import graph_precision, graph_pullback, require_positive_parameters
from pymc_lens.regularization.ridge import RIDGE, Ridge, RidgedRegularization


@dataclass(frozen=True)
class ConstantScheme(RegularizationScheme):
    """Numerics of `Constant`.

    Attributes
    ----------
    ridge : Ridge
    """

    counts_neighbors: ClassVar[bool] = True

    ridge: Ridge = RIDGE

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(("coefficient",), parameters)
        squared, degree = parameters[0] ** 2, geometry.boundary_degree
        edges = np.full(geometry.neighbors.rows.size, squared)

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            edges_bar, boundary_bar = graph_pullback(geometry, precision_bar, self.ridge)
            squared_bar = edges_bar.sum() + boundary_bar @ degree
            return 2.0 * parameters * squared_bar, GeometryCotangent()

        return Prior(graph_precision(geometry, edges, squared * degree, self.ridge), pullback)


@dataclass(frozen=True, eq=False)
class Constant(RidgedRegularization):
    """Gradient regularization with one coefficient everywhere (Warren & Dye 2003, ApJ 590, 673).

    ``-log prior = 1/2 coefficient^2 sum over neighbours (s_i - s_j)^2 + ridge``, PyAutoLens's ``Constant``;
    on a mesh with a zero-valued border the differences to the border count as well.

    Parameters
    ----------
    coefficient : float or random variable
        Strength, in units of 1 / surface brightness; positive.
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

    Examples
    --------
    >>> pl.regularization.Constant(2.0).with_parameters([3.0]).parameters
    (3.0,)
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("coefficient",)

    coefficient: Any = 1.0
    ridge: Ridge = RIDGE

    def scheme(self, plane: ImagePlane) -> ConstantScheme:
        return ConstantScheme(self.ridge)
