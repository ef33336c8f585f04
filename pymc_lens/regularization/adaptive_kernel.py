"""Regularization by a covariance kernel whose amplitude adapts to the brightness of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.linalg.precision import DensePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.adapt import AdaptedRegularization, AdaptPower, AdaptScheme
from pymc_lens.regularization.base import Prior, RegularizationScheme
from pymc_lens.regularization.graph import require_positive_parameters
from pymc_lens.regularization.kernels import (
    KernelScheme,
    MaternKernelScheme,
    inverse_covariance,
    inverse_covariance_pullback,
)
from pymc_lens.regularization.ridge import RIDGE, Ridge, RidgedRegularization
from pymc_lens.validation import positive_number


@dataclass(frozen=True)
class AdaptiveKernelScheme(RegularizationScheme):
    """Numerics of `MaternAdaptPowerKernel`: ``H = C^-1`` with ``C_ij = k_ij / (l_i l_j)`` and a ridge.

    Attributes
    ----------
    kernel : KernelScheme
        Of the correlation k; the first parameter is its scale.
    adapt : AdaptScheme
        Of the weights l; the others are its parameters.
    ridge : Ridge
        On C.
    """

    counts_rays: ClassVar[bool] = True

    kernel: KernelScheme
    adapt: AdaptScheme
    ridge: Ridge = RIDGE

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(MaternAdaptPowerKernel.parameter_names, parameters)
        scale, vertices = parameters[0], geometry.vertices
        weights, weights_pullback = self.adapt.weights(parameters[1:], geometry)
        covariance = self.kernel.correlations(scale, vertices) / np.outer(weights, weights)
        inverse = inverse_covariance(covariance, self.ridge)

        def pullback(precision_bar: np.ndarray) -> tuple[np.ndarray, GeometryCotangent]:
            covariance_bar = inverse_covariance_pullback(inverse, precision_bar)
            np.fill_diagonal(covariance_bar, self.ridge.pullback(covariance_bar.diagonal()))
            scale_bar, vertices_bar = self.kernel.correlations_pullback(
                scale, vertices, covariance_bar / np.outer(weights, weights)
            )
            adapt_bar, interpolation_bar = weights_pullback(
                -2.0 * (covariance_bar * covariance).sum(axis=1) / weights
            )
            return (
                np.append(scale_bar, adapt_bar),
                GeometryCotangent(weights=interpolation_bar, vertices=vertices_bar),
            )

        return Prior(DensePrecision(inverse), pullback)


@dataclass(frozen=True, eq=False)
class MaternAdaptPowerKernel(AdaptedRegularization, RidgedRegularization):
    """A Matern covariance that lets the source vary more where it is bright.

    ``H = C^-1`` with ``C_ij = k(|x_i - x_j| / scale) / (l_i l_j)``, the correlation k of `MaternKernel` and
    the weights l of `AdaptPower`: PyAutoLens's ``MaternAdaptPowerKernel``, and with ``power=2`` its
    ``MaternAdaptKernel``.

    Parameters
    ----------
    adapt_image : (n_y, n_x) array
        As of `Adapt`.
    scale : float or random variable
        Arcsec; positive.
    inner_coefficient, outer_coefficient : float or random variable
        Inverse standard deviation of the surface brightness, to the power ``1 / power``, where the source is
        bright and where it is faint; positive.
    signal_scale, power : float or random variable
        As of `AdaptPower`.
    nu : float
        Smoothness; positive.
    ridge : Ridge
        On C: by default 1e-8 of each pixel's own variance; ``pl.regularization.PYAUTOLENS_RIDGE`` is 1e-8
        itself, for comparison with PyAutoLens.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        As `Adapt`.
    """

    parameter_names: ClassVar[tuple[str, ...]] = ("scale", *AdaptPower.parameter_names)

    adapt_image: np.ndarray
    scale: Any = 1.0
    inner_coefficient: Any = 1.0
    outer_coefficient: Any = 1.0
    signal_scale: Any = 1.0
    power: Any = 1.0
    nu: float = 0.5
    ridge: Ridge = RIDGE

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_number("nu", self.nu)

    @override
    def scheme(self, plane: ImagePlane) -> AdaptiveKernelScheme:
        image = plane.slim("adapt_image", self.adapt_image)
        # The factor of the pairs of neighbours goes unused: a kernel has none.
        return AdaptiveKernelScheme(
            MaternKernelScheme(float(self.nu)), AdaptScheme(image, None, 1.0), self.ridge
        )
