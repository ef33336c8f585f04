"""Columns that are dense in the image, such as lens light: their blurring, and a basis of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.linalg import qr, solve_triangular


@dataclass(frozen=True, eq=False)
class LightBlur:
    """Convolution with the PSF of columns given on a frame around the mask, prepared once.

    Attributes
    ----------
    frame_shape : (int, int)
        The mask's bounding box, padded by the PSF's reach, so that periodic wrapping never enters the mask.
    pixel_index : (n_light_pixels,) int64
        Flat frame index of the positions where columns are given.
    mask_index : (n_pixels,) int64
        Flat frame index of the unmasked pixels.
    transfer : (fy, fx // 2 + 1) complex128
        Fourier transform of the PSF.
    """

    frame_shape: tuple[int, int]
    pixel_index: np.ndarray
    mask_index: np.ndarray
    transfer: np.ndarray
    _fft_shape: tuple[int, int]

    def blur(self, columns: np.ndarray) -> np.ndarray:
        """Blur columns (n_columns, n_light_pixels); returns them in the mask, (n_columns, n_pixels)."""
        return self._convolve(columns, self.pixel_index, self.transfer, self.mask_index)

    def pullback(self, blurred_bar: np.ndarray) -> np.ndarray:
        """Adjoint of `blur`: (n_columns, n_pixels) to (n_columns, n_light_pixels)."""
        return self._convolve(blurred_bar, self.mask_index, self.transfer.conj(), self.pixel_index)

    def _convolve(
        self, columns: np.ndarray, origin: np.ndarray, transfer: np.ndarray, target: np.ndarray
    ) -> np.ndarray:
        result = np.empty((len(columns), target.size))
        frame = np.zeros(self.frame_shape)
        for column, out in zip(columns, result, strict=True):
            frame.flat[origin] = column
            spectrum = fft.rfft2(frame, self._fft_shape) * transfer
            blurred = fft.irfft2(spectrum, self._fft_shape)[: self.frame_shape[0], : self.frame_shape[1]]
            out[:] = blurred.ravel()[target]
        return result


def prepare_light_blur(
    frame_shape: tuple[int, int],
    pixel_index: np.ndarray,
    mask_index: np.ndarray,
    psf: np.ndarray,
    psf_centre: tuple[int, int],
) -> LightBlur:
    """Prepare the convolution of frames of this shape with a PSF.

    Parameters
    ----------
    frame_shape, pixel_index, mask_index
        See `LightBlur`.
    psf : (ky, kx) float64
    psf_centre : (int, int)
        Index of the PSF's centre.
    """
    fft_shape = fft.next_fast_len(frame_shape[0], real=True), fft.next_fast_len(frame_shape[1], real=True)
    kernel = np.zeros(fft_shape)
    kernel[: psf.shape[0], : psf.shape[1]] = psf
    kernel = np.roll(kernel, (-psf_centre[0], -psf_centre[1]), axis=(0, 1))
    return LightBlur(frame_shape, pixel_index, mask_index, fft.rfft2(kernel), fft_shape)


@dataclass(frozen=True, eq=False)
class LightBasis:
    """Columns that span the light, and how the amplitudes of the light profiles follow from theirs.

    Attributes
    ----------
    columns : (n_light, n_pixels) float64
    precision : (n_light, n_light) float64
        Of the prior on the coefficients of these columns.
    triangle : (n_light, n_light) float64
        R, upper triangular: a combination of profiles with amplitudes a has the coefficients R a.
    """

    columns: np.ndarray
    precision: np.ndarray
    triangle: np.ndarray

    @property
    def log_det_triangle(self) -> float:
        """The logarithm of |det R|."""
        return float(np.log(np.abs(self.triangle.diagonal())).sum())

    def amplitudes(self, coefficients: np.ndarray) -> np.ndarray:
        """Amplitudes (n_light,) of the profiles for coefficients (n_light,)."""
        return np.asarray(solve_triangular(self.triangle, coefficients, check_finite=False))

    def coefficients(self, amplitudes: np.ndarray) -> np.ndarray:
        """Coefficients (n_light,) for amplitudes (n_light,) of the profiles."""
        return self.triangle @ amplitudes

    def columns_pullback(self, columns_bar: np.ndarray) -> np.ndarray:
        """Cotangents of the profiles' columns (n_light, n_pixels) from those of the basis.

        The evidence is the same in every basis, so nothing is differentiated through the choice of it.
        """
        return np.asarray(solve_triangular(self.triangle, columns_bar, check_finite=False))


def profile_basis(columns: np.ndarray, precision: np.ndarray) -> LightBasis:
    """Take the profiles' own columns (n_light, n_pixels), with independent priors (n_light,)."""
    return LightBasis(columns, np.diag(precision), np.eye(len(columns)))


def orthonormal_basis(columns: np.ndarray, root_weights: np.ndarray, precision: np.ndarray) -> LightBasis:
    """Combine columns so that data and prior together know each coefficient independently, to one sigma.

    Many Gaussians are nearly dependent: their curvature has a condition number of 1e11 and more, and its
    determinant as few digits left. A QR decomposition of the whitened columns on top of the root of their
    prior needs only the root of it.

    Parameters
    ----------
    columns : (n_light, n_pixels) float64
        Blurred columns of the profiles.
    root_weights : (n_pixels,) float64
        1/sigma of each pixel, zero where it does not count; the columns of the basis are zero there.
    precision : (n_light,) float64
        Of the prior on the profiles' amplitudes.
    """
    n_light, n_pixels = columns.shape
    stacked = np.empty((n_pixels + n_light, n_light), order="F")
    np.multiply(columns, root_weights, out=stacked[:n_pixels].T)
    stacked[n_pixels:] = np.diag(np.sqrt(precision))
    orthonormal, triangle = qr(stacked, mode="economic", overwrite_a=True, check_finite=False)
    deviations = np.divide(1.0, root_weights, out=np.zeros(n_pixels), where=root_weights > 0.0)
    of_prior = orthonormal[n_pixels:]
    return LightBasis(orthonormal[:n_pixels].T * deviations, of_prior.T @ of_prior, triangle)
