"""A basis of columns that are nearly dependent, such as those of many Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, qr, solve_triangular


@dataclass(frozen=True, eq=False)
class ColumnBasis:
    """Columns that span an image's dense parts, and how the amplitudes of the parts follow from theirs.

    Attributes
    ----------
    columns : (n, n_pixels) float64
    precision : (n, n) float64
        Of the prior on the coefficients of these columns.
    triangle : (n, n) float64
        R, upper triangular: a combination of the parts' columns with amplitudes a has the coefficients R a.
    """

    columns: np.ndarray
    precision: np.ndarray
    triangle: np.ndarray

    @property
    def log_det_triangle(self) -> float:
        """The logarithm of |det R|."""
        return float(np.log(np.abs(self.triangle.diagonal())).sum())

    def amplitudes(self, coefficients: np.ndarray) -> np.ndarray:
        """Amplitudes (n,) of the parts for coefficients (n,)."""
        return np.asarray(solve_triangular(self.triangle, coefficients, check_finite=False))

    def coefficients(self, amplitudes: np.ndarray) -> np.ndarray:
        """Coefficients (n,) for amplitudes (n,) of the parts."""
        return self.triangle @ amplitudes

    def columns_pullback(self, columns_bar: np.ndarray) -> np.ndarray:
        """Cotangents of the parts' columns (n, n_pixels) from those of the basis.

        The evidence is the same in every basis, so nothing is differentiated through the choice of it.
        """
        return np.asarray(solve_triangular(self.triangle, columns_bar, check_finite=False))


def own_basis(columns: np.ndarray, precision: np.ndarray) -> ColumnBasis:
    """Take the parts' own columns (n, n_pixels), with independent priors (n,)."""
    return ColumnBasis(columns, np.diag(precision), np.eye(len(columns)))


def orthonormal_basis(columns: np.ndarray, root_weights: np.ndarray, precision: np.ndarray) -> ColumnBasis:
    """Combine columns so that data and prior together know each coefficient independently, to one sigma.

    Many Gaussians are nearly dependent: their curvature has a condition number of 1e11 and more, and its
    determinant as few digits left. A QR decomposition of the whitened columns on top of the root of their
    prior needs only the root of it.

    Parameters
    ----------
    columns : (n, n_pixels) float64
        Blurred columns of the parts.
    root_weights : (n_pixels,) float64
        1/sigma of each pixel, zero where it does not count; the columns of the basis are zero there.
    precision : (n,) float64
        Of the prior on the parts' amplitudes.
    """
    n, n_pixels = columns.shape
    stacked = np.empty((n_pixels + n, n), order="F")
    np.multiply(columns, root_weights, out=stacked[:n_pixels].T)
    stacked[n_pixels:] = np.diag(np.sqrt(precision))
    orthonormal, triangle = qr(stacked, mode="economic", overwrite_a=True, check_finite=False)
    deviations = np.divide(1.0, root_weights, out=np.zeros(n_pixels), where=root_weights > 0.0)
    of_prior = orthonormal[n_pixels:]
    return ColumnBasis(orthonormal[:n_pixels].T * deviations, of_prior.T @ of_prior, triangle)


def partly_orthonormal_basis(
    columns: np.ndarray, n_confined: int, root_weights: np.ndarray, precision: np.ndarray
) -> ColumnBasis:
    """Combine all columns but the first: those whose amplitudes themselves are confined stay as they are.

    Parameters
    ----------
    columns, root_weights, precision
        As of `orthonormal_basis`.
    n_confined : int
    """
    free = orthonormal_basis(columns[n_confined:], root_weights, precision[n_confined:])
    if not n_confined:
        return free
    own = own_basis(columns[:n_confined], precision[:n_confined])
    return ColumnBasis(
        np.concatenate([own.columns, free.columns]),
        block_diag(own.precision, free.precision),
        block_diag(own.triangle, free.triangle),
    )
