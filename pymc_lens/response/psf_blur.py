"""Blurring of columns that are dense in the image, such as lens light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft


@dataclass(frozen=True, eq=False)
class PsfBlur:
    """Convolution with the PSF of columns given on a frame around the mask, prepared once.

    Attributes
    ----------
    frame_shape : (int, int)
        The mask's bounding box, padded by the PSF's reach, so that periodic wrapping never enters the mask.
    mask_index : (n_pixels,) int64
        Flat frame index of the unmasked pixels.
    transfer : (fy, fx // 2 + 1) complex128
        Fourier transform of the PSF.
    """

    frame_shape: tuple[int, int]
    mask_index: np.ndarray
    transfer: np.ndarray
    _fft_shape: tuple[int, int]

    def blur(self, columns: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Blur columns (n_columns, n_positions), given at these frame indices, to (n_columns, n_pixels)."""
        return self._convolve(columns, positions, self.transfer, self.mask_index)

    def pullback(self, blurred_bar: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Adjoint of `blur`: (n_columns, n_pixels) to (n_columns, n_positions)."""
        return self._convolve(blurred_bar, self.mask_index, self.transfer.conj(), positions)

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


def prepare_psf_blur(
    frame_shape: tuple[int, int],
    mask_index: np.ndarray,
    psf: np.ndarray,
    psf_centre: tuple[int, int],
) -> PsfBlur:
    """Prepare the convolution of frames of this shape with a PSF.

    Parameters
    ----------
    frame_shape, mask_index
        See `PsfBlur`.
    psf : (ky, kx) float64
    psf_centre : (int, int)
        Index of the PSF's centre.
    """
    fft_shape = fft.next_fast_len(frame_shape[0], real=True), fft.next_fast_len(frame_shape[1], real=True)
    kernel = np.zeros(fft_shape)
    kernel[: psf.shape[0], : psf.shape[1]] = psf
    kernel = np.roll(kernel, (-psf_centre[0], -psf_centre[1]), axis=(0, 1))
    return PsfBlur(frame_shape, mask_index, fft.rfft2(kernel), fft_shape)
