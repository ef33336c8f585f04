"""Dirichlet regularization: the squared gradient of the source, integrated over the source plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.geometry.finite_volumes import FiniteVolumes
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.base import Prior, Regularization, RegularizationScheme
from pymc_lens.regularization.graph import require_positive_parameters

# Relative to the mean conductance of a pixel: makes H positive definite on a mesh without a border.
_RIDGE = 1e-6


@dataclass(frozen=True)
class DirichletScheme(RegularizationScheme):
    """Numerics of `Dirichlet`."""

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(("coefficient",), parameters)
        squared, conductances = parameters[0] ** 2, geometry.volumes.conductances
        stiffness = stiffness_diagonal(geometry)
        ridge = 0.0 if geometry.volumes.boundary_conductances.any() else _RIDGE
        diagonal = stiffness + ridge * stiffness.mean()

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            diagonal_bar, off_diagonal_bar = precision_bar
            squared_bar = diagonal_bar @ diagonal - off_diagonal_bar @ conductances
            stiffness_bar = squared * (diagonal_bar + ridge * diagonal_bar.mean())
            bar = stiffness_pullback(geometry, stiffness_bar, -squared * off_diagonal_bar)
            return 2.0 * parameters * squared_bar, GeometryCotangent(volumes=bar)

        return Prior(
            SparsePrecision(geometry.couplings, squared * diagonal, -squared * conductances), pullback
        )


@dataclass(frozen=True, eq=False)
class Dirichlet(Regularization):
    """Gradient regularization that means the same on every mesh.

    ``-log prior = 1/2 coefficient^2 times the integral of |grad s|^2`` over the source plane, with the
    gradient of finite volumes: facet length over distance of the vertices. Unlike a count of neighbours it
    varies continuously where the triangulation flips.

    Parameters
    ----------
    coefficient : float or random variable
        Strength, in units of 1 / surface brightness; positive.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If ``coefficient`` is a number that is not positive and finite.

    Examples
    --------
    >>> (pl.regularization.Dirichlet(2.0) + pl.regularization.Zeroth(0.1)).parameters
    (2.0, 0.1)
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("coefficient",)

    coefficient: Any = 1.0

    def scheme(self, plane: ImagePlane) -> DirichletScheme:
        return DirichletScheme()


def stiffness_diagonal(geometry: MeshGeometry) -> np.ndarray:
    """Diagonal (n_source,) of the stiffness matrix K, whose other elements are the negative conductances."""
    volumes = geometry.volumes
    return geometry.couplings.sums(volumes.conductances) + volumes.boundary_conductances


def stiffness_pullback(
    geometry: MeshGeometry, diagonal_bar: np.ndarray, conductances_bar: np.ndarray
) -> FiniteVolumes:
    """Adjoint of `stiffness_diagonal`, added to the cotangents of the conductances (n_couplings,)."""
    pairs = geometry.couplings
    return FiniteVolumes(
        conductances_bar + diagonal_bar[pairs.rows] + diagonal_bar[pairs.cols],
        diagonal_bar,
        np.zeros(pairs.size),
    )
