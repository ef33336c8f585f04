"""Regularization by a covariance kernel between source pixels, PyAutoLens's family."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist
from scipy.special import gamma, kv

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.precision import DensePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.regularization.base import Prior, Regularization, RegularizationScheme
from pymc_lens.regularization.graph import require_positive_parameters
from pymc_lens.regularization.ridge import RIDGE, Ridge
from pymc_lens.validation import positive_number

# In units of the scale: no kernel reaches as far, and its square is a number.
_FAR = 1e150


class KernelScheme(RegularizationScheme):
    """``H = coefficient C^-1`` with the covariance ``C_ij = k(|x_i - x_j| / scale)`` and a ridge."""

    # Of a second ridge, on H, in units of its mean diagonal: PyAutoLens's Gaussian kernel alone has one.
    relative_ridge: ClassVar[float] = 0.0

    @abstractmethod
    def correlation(self, separation: np.ndarray) -> np.ndarray:
        """Return k (n, n) at separations in units of the scale."""

    @abstractmethod
    def slope(self, separation: np.ndarray) -> np.ndarray:
        """Return dk/dr over r (n, n), which is finite at zero for smooth kernels; there any finite value."""

    def correlations(self, scale: float, vertices: np.ndarray) -> np.ndarray:
        """Return k (n, n) between vertices (n, 2)."""
        return self.correlation(_separations(scale, vertices))

    def correlations_pullback(
        self, scale: float, vertices: np.ndarray, correlations_bar: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Adjoint of `correlations`, whose cotangents are symmetric: of the scale and the vertices."""
        separation = _separations(scale, vertices)
        # d separation / d vertex is the unit vector over the scale; the slope holds the length of the vector.
        pull = correlations_bar * self.slope(separation)
        np.fill_diagonal(pull, 0.0)
        scale_bar = -float((pull * separation**2).sum()) / scale
        # Not over the square of the scale, which may be none.
        vertices_bar = 2.0 * (pull.sum(axis=1)[:, None] * vertices - pull @ vertices) / scale / scale
        return scale_bar, vertices_bar

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        require_positive_parameters(_Kernel.parameter_names, parameters)
        coefficient, scale = parameters
        vertices = geometry.vertices
        inverse = inverse_covariance(self.correlations(scale, vertices), RIDGE)
        matrix, n = coefficient * inverse, len(inverse)
        matrix[np.diag_indices(n)] += self.relative_ridge * matrix.diagonal().mean()

        def pullback(precision_bar: np.ndarray) -> tuple[np.ndarray, GeometryCotangent]:
            bar = precision_bar + self.relative_ridge * np.trace(precision_bar) / n * np.eye(n)
            scale_bar, vertices_bar = self.correlations_pullback(
                scale, vertices, coefficient * inverse_covariance_pullback(inverse, bar)
            )
            coefficient_bar = float((bar * inverse).sum())
            return np.array([coefficient_bar, scale_bar]), GeometryCotangent(vertices=vertices_bar)

        return Prior(DensePrecision(matrix), pullback)


def _separations(scale: float, vertices: np.ndarray) -> np.ndarray:
    """Return separations (n, n) of vertices in units of the scale, as long as they have squares."""
    return np.minimum(cdist(vertices, vertices) / scale, _FAR)


def inverse_covariance(covariance: np.ndarray, ridge: Ridge) -> np.ndarray:
    """Invert a covariance (n, n) with a ridge.

    Raises
    ------
    InadmissibleError
        If it is not positive definite, or not finite.
    """
    if not np.isfinite(covariance).all():
        raise InadmissibleError(
            "prior overflows", "The kernel's covariance overflows: a parameter is extreme."
        )
    ridged = covariance.copy()
    np.fill_diagonal(ridged, ridge.added_to(covariance.diagonal()))
    try:
        factor = cho_factor(ridged, check_finite=False)
    except np.linalg.LinAlgError:
        raise InadmissibleError(
            "singular prior",
            "The kernel's covariance is not positive definite: its scale is much larger than the "
            "distances of the vertices.",
        ) from None
    inverse = cho_solve(factor, np.eye(len(covariance)), check_finite=False)
    return 0.5 * (inverse + inverse.T)


def inverse_covariance_pullback(inverse: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """Adjoint of `inverse_covariance` at its result, (n, n): the cotangent of what was inverted."""
    return -inverse @ bar @ inverse


@dataclass(frozen=True)
class GaussianKernelScheme(KernelScheme):
    """Numerics of `GaussianKernel`."""

    relative_ridge: ClassVar[float] = 1e-8

    def correlation(self, separation: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * separation**2)

    def slope(self, separation: np.ndarray) -> np.ndarray:
        return -self.correlation(separation)


@dataclass(frozen=True)
class MaternKernelScheme(KernelScheme):
    """Numerics of `MaternKernel`.

    Attributes
    ----------
    nu : float
    """

    nu: float

    def correlation(self, separation: np.ndarray) -> np.ndarray:
        argument = np.sqrt(2.0 * self.nu) * separation
        bessel = kv(self.nu, argument)
        # Where a factor of the product overflows or underflows, the limit: at no distance, and far away.
        near, far = np.isinf(bessel), bessel == 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            values = 2.0 ** (1.0 - self.nu) / gamma(self.nu) * argument**self.nu * bessel
        return np.where(near, 1.0, np.where(far, 0.0, values))

    def slope(self, separation: np.ndarray) -> np.ndarray:
        # d/dx [x^nu K_nu(x)] = -x^nu K_(nu - 1)(x)
        argument = np.sqrt(2.0 * self.nu) * np.where(separation == 0.0, 1.0, separation)
        with np.errstate(over="ignore", invalid="ignore"):
            values = argument ** (self.nu - 1.0) * kv(self.nu - 1.0, argument)
        # Where it overflows or underflows in between, the square of the separation makes nothing of it.
        values = np.where(np.isfinite(values), values, 0.0)
        return -(2.0 ** (1.0 - self.nu)) / gamma(self.nu) * 2.0 * self.nu * values


@dataclass(frozen=True, eq=False)
class _Kernel(Regularization):
    """What all of them have."""

    parameter_names: ClassVar[tuple[str, ...]] = ("coefficient", "scale")

    coefficient: Any = 1.0
    scale: Any = 1.0


class GaussianKernel(_Kernel):
    """``H = coefficient C^-1`` with ``C = exp(-d^2 / (2 scale^2))``, PyAutoLens's ``GaussianKernel``.

    Parameters
    ----------
    coefficient : float or random variable
        Inverse variance of the surface brightness; positive.
    scale : float or random variable
        Arcsec; positive.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If a number is not positive and finite.
    """

    def scheme(self, plane: ImagePlane) -> GaussianKernelScheme:
        return GaussianKernelScheme()


class ExponentialKernel(_Kernel):
    """``H = coefficient C^-1`` with ``C = exp(-d / scale)``, PyAutoLens's ``ExponentialKernel``.

    Parameters
    ----------
    coefficient, scale : float or random variable
        As of `GaussianKernel`.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If a number is not positive and finite.
    """

    def scheme(self, plane: ImagePlane) -> MaternKernelScheme:
        return MaternKernelScheme(0.5)


@dataclass(frozen=True, eq=False)
class MaternKernel(_Kernel):
    """``H = coefficient C^-1`` with a Matern covariance, PyAutoLens's ``MaternKernel``.

    `MaternSPDE` is the same field with a sparse precision.

    Parameters
    ----------
    coefficient, scale : float or random variable
        As of `GaussianKernel`.
    nu : float
        Smoothness; positive.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If a number is not positive and finite.
    """

    nu: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_number("nu", self.nu)

    def scheme(self, plane: ImagePlane) -> MaternKernelScheme:
        return MaternKernelScheme(float(self.nu))
