"""A Matern random field as the source prior, by its stochastic partial differential equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.linalg.sparse_product import symmetric_product
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.base import Prior, Regularization, RegularizationScheme
from pymc_lens.regularization.dirichlet import stiffness_diagonal, stiffness_pullback
from pymc_lens.regularization.graph import require_positive_parameters
from pymc_lens.validation import integer


@dataclass(frozen=True)
class MaternSPDEScheme(RegularizationScheme):
    """Numerics of `MaternSPDE`.

    With the areas C of the cells, the stiffness matrix K of the mesh, ``kappa = sqrt(2 nu) / scale`` and
    ``M = kappa^2 C + K`` the precision is ``tau^2 M (C^-1 M)^nu`` (Lindgren, Rue & Lindstrom 2011, J. R.
    Stat. Soc. B 73, 423, eq. 10), and ``4 pi nu kappa^(2 nu) tau^2 amplitude^2 = 1`` (eq. 4).

    Attributes
    ----------
    nu : int
    """

    nu: int

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(MaternSPDE.parameter_names, parameters)
        if not (geometry.volumes.areas > 0.0).all():
            raise InadmissibleError(
                "cells without area",
                "MaternSPDE: some cells on the border of the mesh have no area. Use a mesh that ends in a "
                "ZeroRing.",
            )
        kappa_squared, tau_squared = self._spectrum(parameters)
        areas, couplings = geometry.volumes.areas, geometry.couplings
        operator = _operator(kappa_squared, geometry)
        # M, M C^-1 M, ... up to the power of the precision.
        products, plans, pattern = [operator], [], couplings
        for _ in range(self.nu):
            plans.append(symmetric_product(couplings, pattern))
            products.append(plans[-1].of(operator, 1.0 / areas, products[-1]))
            pattern = plans[-1].pattern

        def pullback(precision_bar: SparseCotangent) -> tuple[np.ndarray, GeometryCotangent]:
            bar = np.concatenate(precision_bar)
            tau_squared_bar = float(bar @ products[-1])
            bar = tau_squared * bar
            operator_bar, inverse_areas_bar = np.zeros(operator.size), np.zeros(areas.size)
            for plan, product in zip(plans[::-1], products[-2::-1], strict=True):
                left_bar, middle_bar, bar = plan.pullback(operator, 1.0 / areas, product, bar)
                operator_bar += left_bar
                inverse_areas_bar += middle_bar
            diagonal, off_diagonal = np.split(operator_bar + bar, [areas.size])
            volumes_bar = stiffness_pullback(geometry, diagonal, -off_diagonal)
            volumes_bar = volumes_bar._replace(areas=kappa_squared * diagonal - inverse_areas_bar / areas**2)
            return (
                self._spectrum_pullback(parameters, float(diagonal @ areas), tau_squared_bar),
                GeometryCotangent(volumes=volumes_bar),
            )

        diagonal, off_diagonal = np.split(tau_squared * products[-1], [areas.size])
        return Prior(SparsePrecision(pattern, diagonal, off_diagonal), pullback)

    def _spectrum(self, parameters: np.ndarray) -> tuple[float, float]:
        scale, amplitude = parameters
        kappa_squared = 2.0 * self.nu / scale**2
        return kappa_squared, 1.0 / (4.0 * np.pi * self.nu * kappa_squared**self.nu * amplitude**2)

    def _spectrum_pullback(
        self, parameters: np.ndarray, kappa_squared_bar: float, tau_squared_bar: float
    ) -> np.ndarray:
        scale, amplitude = parameters
        kappa_squared, tau_squared = self._spectrum(parameters)
        kappa_squared_bar -= tau_squared_bar * self.nu * tau_squared / kappa_squared
        return np.array(
            [
                -2.0 * kappa_squared_bar * kappa_squared / scale,
                -2.0 * tau_squared_bar * tau_squared / amplitude,
            ]
        )


@dataclass(frozen=True, eq=False)
class MaternSPDE(Regularization):
    """A Matern Gaussian random field: a source with a correlation length and an amplitude.

    In the interior of the mesh its covariance is ``amplitude^2 2^(1 - nu) / Gamma(nu) (kappa d)^nu
    K_nu(kappa d)`` with ``kappa = sqrt(2 nu) / scale``, in the limit of cells much smaller than the scale;
    both parameters mean the same on every mesh. Unlike pure gradient regularization it does not favour broad
    smooth sources that swallow the light of the lens.

    Parameters
    ----------
    scale : float or random variable
        Correlation length, arcsec; positive.
    amplitude : float or random variable
        Standard deviation of the surface brightness; positive.
    nu : int
        Smoothness, at least 1. Every unit more makes the precision matrix denser, and costs digits where
        cells are much smaller than the scale: on meshes of traced vertices use 1.

    Raises
    ------
    TypeError
        If ``nu`` is not an integer.
    ValueError
        If a number is outside its domain.

    Examples
    --------
    >>> pl.regularization.MaternSPDE(scale=0.15, amplitude=0.5).names
    ('scale', 'amplitude')
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("scale", "amplitude")
    needs_areas: ClassVar[bool] = True

    scale: Any = 0.1
    amplitude: Any = 1.0
    nu: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "nu", integer("nu", self.nu, minimum=1))

    def scheme(self, plane: ImagePlane) -> MaternSPDEScheme:
        return MaternSPDEScheme(self.nu)


def _operator(kappa_squared: float, geometry: MeshGeometry) -> np.ndarray:
    """``M = kappa^2 C + K``: its diagonal, then a value for each coupling."""
    diagonal = kappa_squared * geometry.volumes.areas + stiffness_diagonal(geometry)
    return np.concatenate([diagonal, -geometry.volumes.conductances])
