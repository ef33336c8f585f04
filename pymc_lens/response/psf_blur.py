"""Blurring of columns that are dense in the image, such as lens light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pymc_lens.linalg.fourier import Plan, fast_length, forward, inverse, plan, transpose
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
    plans : (Plan, Plan)
        Of the axes of a frame as large or larger that is quick to transform.
    transfer : (2, fx, fy) float64
        Real and imaginary part of the Fourier transform of the PSF on this frame, over its size, transposed
        and in the order of `pymc_lens.linalg.fourier`.
    """

    frame_shape: tuple[int, int]
    mask_index: np.ndarray
    plans: tuple[Plan, Plan]
    transfer: np.ndarray
    _padded: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def blur(self, groups: Sequence[PlacedColumns]) -> np.ndarray:
        """Blur all columns of several groups, into (n, n_pixels)."""
        blurred = np.empty((sum(len(columns) for columns, _ in groups), self.mask_index.size))
        first = 0
        for columns, positions in groups:
            last = first + len(columns)
            self._convolve(columns, positions, 1.0, self.mask_index, blurred[first:last])
            first = last
        return blurred

    def pullback(self, blurred_bar: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Adjoint of `blur` for one group: (n, n_pixels) to (n, n_positions)."""
        columns_bar = np.empty((len(blurred_bar), positions.size))
        self._convolve(blurred_bar, self.mask_index, -1.0, positions, columns_bar)
        return columns_bar

    def _convolve(
        self, columns: np.ndarray, positions: np.ndarray, sign: float, target: np.ndarray, result: np.ndarray
    ) -> None:
        """With the PSF; with a negative sign of its transform's imaginary part, with the PSF turned round."""
        _convolve(
            np.ascontiguousarray(columns), self._in_padded(positions), *self.plans, self.transfer, sign,
            self._in_padded(target), result,
        )  # fmt: skip

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
    frame = np.zeros((2, *(fast_length(n) for n in frame_shape)))
    frame[0, : psf.shape[0], : psf.shape[1]] = psf
    frame = np.roll(frame, (-psf_centre[0], -psf_centre[1]), axis=(1, 2))
    plans = plan(frame.shape[1]), plan(frame.shape[2])
    transfer = np.empty((2, frame.shape[2], frame.shape[1]))
    _transform(frame, transfer, *plans)
    return PsfBlur(frame_shape, mask_index, plans, transfer / frame[0].size)


@kernel()
def _transform(frame, turned, plan_y, plan_x):
    forward(frame[0], frame[1], plan_y)
    transpose(frame[0], turned[0])
    transpose(frame[1], turned[1])
    forward(turned[0], turned[1], plan_x)


@kernel(fastmath={"contract"})
def _convolve(columns, positions, plan_y, plan_x, transfer, sign, target, result):
    """Two real columns at a time, as the real and the imaginary part of one frame."""
    _, width, height = transfer.shape
    frame, turned = np.empty((2, height, width)), np.empty((2, width, height))
    flat = frame.reshape((2, height * width))
    for first in range(0, columns.shape[0], 2):
        last = min(first + 2, columns.shape[0])
        flat[:] = 0.0
        for column in range(first, last):
            source, part = columns[column], flat[column - first]
            for k in range(positions.size):
                part[positions[k]] = source[k]
        _transform(frame, turned, plan_y, plan_x)
        _multiply(turned, transfer, sign)
        inverse(turned[0], turned[1], plan_x)
        transpose(turned[0], frame[0])
        transpose(turned[1], frame[1])
        inverse(frame[0], frame[1], plan_y)
        for column in range(first, last):
            values, part = result[column], flat[column - first]
            for k in range(target.size):
                values[k] = part[target[k]]


@kernel(fastmath={"contract"})
def _multiply(turned, transfer, sign):
    for i in range(transfer.shape[1]):
        x, y, real, imaginary = turned[0, i], turned[1, i], transfer[0, i], transfer[1, i]
        for j in range(transfer.shape[2]):
            turned_sine = sign * imaginary[j]
            x[j], y[j] = x[j] * real[j] - y[j] * turned_sine, x[j] * turned_sine + y[j] * real[j]
