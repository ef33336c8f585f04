"""Blurring of columns that are dense in the image, such as lens light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import fft

from pymc_lens.linalg.kernel import kernel

# Columns (n, n_positions), and the flat frame indices (n_positions,) at which they are given.
PlacedColumns = tuple[np.ndarray, np.ndarray]


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
    _padded: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def blur(self, groups: Sequence[PlacedColumns]) -> np.ndarray:
        """Blur all columns of several groups, into (n, n_pixels)."""
        return self._convolve(groups, self.transfer, self.mask_index)

    def pullback(self, blurred_bar: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Adjoint of `blur` for one group: (n, n_pixels) to (n, n_positions)."""
        return self._convolve([(blurred_bar, self.mask_index)], self.transfer.conj(), positions)

    def _convolve(
        self, groups: Sequence[PlacedColumns], transfer: np.ndarray, target: np.ndarray
    ) -> np.ndarray:
        """Two real columns at a time, as the real and the imaginary part of one frame."""
        placed = [(column, self._in_padded(positions)) for columns, positions in groups for column in columns]
        target = self._in_padded(target)
        result = np.empty((len(placed), target.size))
        frame = np.empty(transfer.shape, np.complex128)
        parts = frame.reshape(-1).view(np.float64).reshape(-1, 2)
        for first in range(0, len(placed), 2):
            parts[:] = 0.0
            for which, (column, origin) in enumerate(placed[first : first + 2]):
                _scatter(column, origin, which, parts)
            spectrum = fft.fft2(frame, overwrite_x=True)
            spectrum *= transfer
            blurred = fft.ifft2(spectrum, overwrite_x=True)
            _gather(blurred.reshape(-1), target, result[first : first + 2])
        return result

    def _in_padded(self, positions: np.ndarray) -> np.ndarray:
        """Flat indices in the larger frame that is transformed; kept, since positions are always the same."""
        if id(positions) not in self._padded:
            rows, cols = np.divmod(positions, self.frame_shape[1])
            self._padded[id(positions)] = positions, rows * self.transfer.shape[1] + cols
        return self._padded[id(positions)][1]


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
def _scatter(column, positions, which, parts):
    for k in range(positions.size):
        parts[positions[k], which] = column[k]


@kernel()
def _gather(frame, positions, pair):
    for k in range(positions.size):
        value = frame[positions[k]]
        pair[0, k] = value.real
        if pair.shape[0] == 2:
            pair[1, k] = value.imag
