"""Blurring of columns that are dense in the image, such as lens light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from pymc_lens.linalg.kernel import kernel


@dataclass(frozen=True, eq=False)
class PsfBlur:
    """Convolution with the PSF of columns given on a frame around the mask, prepared once.

    Attributes
    ----------
    frame_shape : (int, int)
        The mask's bounding box, padded by the PSF's reach, so that periodic wrapping never enters the mask.
    mask_index : (n_pixels,) int64
        Flat frame index of the unmasked pixels.
    transfer : (fy, fx) complex128
        Fourier transform of the PSF, on a frame as large or larger that is quick to transform.
    """

    frame_shape: tuple[int, int]
    mask_index: np.ndarray
    transfer: np.ndarray

    def blur(self, columns: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Blur columns (n_columns, n_positions), given at these frame indices, to (n_columns, n_pixels)."""
        return self._convolve(columns, positions, self.transfer, self.mask_index)

    def pullback(self, blurred_bar: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Adjoint of `blur`: (n_columns, n_pixels) to (n_columns, n_positions)."""
        return self._convolve(blurred_bar, self.mask_index, self.transfer.conj(), positions)

    def _convolve(
        self, columns: np.ndarray, origin: np.ndarray, transfer: np.ndarray, target: np.ndarray
    ) -> np.ndarray:
        """Two real columns at a time, as the real and the imaginary part of one frame."""
        origin, target = self._in_padded(origin), self._in_padded(target)
        columns, result = np.ascontiguousarray(columns), np.empty((len(columns), target.size))
        frame = np.empty(transfer.shape, np.complex128)
        for first in range(0, len(columns), 2):
            _scatter(columns[first : first + 2], origin, frame.ravel())
            spectrum = fft.fft2(frame, overwrite_x=True)
            spectrum *= transfer
            blurred = fft.ifft2(spectrum, overwrite_x=True)
            _gather(blurred.ravel(), target, result[first : first + 2])
        return result

    def _in_padded(self, positions: np.ndarray) -> np.ndarray:
        """Flat indices in the larger frame that is transformed."""
        rows, cols = np.divmod(positions, self.frame_shape[1])
        return np.asarray(rows * self.transfer.shape[1] + cols)


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
    padded = np.zeros([fft.next_fast_len(n) for n in frame_shape])
    padded[: psf.shape[0], : psf.shape[1]] = psf
    padded = np.roll(padded, (-psf_centre[0], -psf_centre[1]), axis=(0, 1))
    return PsfBlur(frame_shape, mask_index, fft.fft2(padded))


@kernel()
def _scatter(pair, positions, frame):
    frame[:] = 0.0
    if pair.shape[0] == 1:
        for k in range(positions.size):
            frame[positions[k]] = pair[0, k]
        return
    for k in range(positions.size):
        frame[positions[k]] = complex(pair[0, k], pair[1, k])


@kernel()
def _gather(frame, positions, pair):
    for k in range(positions.size):
        value = frame[positions[k]]
        pair[0, k] = value.real
        if pair.shape[0] == 2:
            pair[1, k] = value.imag
