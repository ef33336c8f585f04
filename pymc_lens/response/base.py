"""The contract of an instrument's response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from pymc_lens.linear.mapping import MappingMatrix
from pymc_lens.response.psf_blur import PlacedColumns
from pymc_lens.workspace import Workspace


class Response(ABC):
    """How the columns of an image become whitened data.

    An implementation is immutable, hashable by content and picklable.

    Attributes
    ----------
    noise : (n_data,) float64
        Standard deviations of the data.
    root_weights : (n_pixels,) float64
        Inverse standard deviation of each pixel of the model image, zero where it does not count.
    pixel_positions : (n_pixels,) int64
        Flat indices of the pixels in the frame of `blur`.
    frame_size : int
        Positions that there are in this frame.
    """

    # Whether it observes pixelized sources.
    maps_sources: bool = True

    noise: np.ndarray
    root_weights: np.ndarray
    pixel_positions: np.ndarray
    frame_size: int

    @property
    @abstractmethod
    def digest(self) -> str:
        """Identifies the content."""

    @abstractmethod
    def blur(self, groups: Sequence[PlacedColumns]) -> np.ndarray:
        """Take columns that are seen everywhere to the model image.

        Parameters
        ----------
        groups : sequence of (columns, positions)
            (n, n_positions) float64, and (n_positions,) int64 flat indices in the frame, of the instrument's
            own, around the model image; these arrays are the same at every call.

        Returns
        -------
        (n in all, n_pixels) float64
        """

    @abstractmethod
    def blur_pullback(self, blurred_bar: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Adjoint of `blur` for one group: (n, n_pixels) to (n, n_positions)."""

    @abstractmethod
    def observe(
        self, mapping: MappingMatrix, n_mapped: int, blurred: np.ndarray, workspace: Workspace
    ) -> Observed:
        """Whiten all columns.

        Parameters
        ----------
        mapping : MappingMatrix
            Of n_pixels and all pixelized sources, not blurred.
        n_mapped : int
            Pixels of these sources.
        blurred : (n_dense, n_pixels) float64
            What `blur` made of the others.
        workspace : Workspace
            Owns the result until the next call.
        """

    @abstractmethod
    def whiten(self, data: np.ndarray) -> np.ndarray:
        """Arrange data (n_data,) over their noise as the implementation has it."""

    @abstractmethod
    def unwhiten(self, whitened: np.ndarray) -> np.ndarray:
        """Return data (n_data,) from values that are arranged as by `whiten`."""

    @abstractmethod
    def spread(self, values: np.ndarray) -> np.ndarray:
        """Put values of the data (n_data,) into the model image, (n_pixels,), zero elsewhere."""

    @cached_property
    def noise_normalization(self) -> float:
        """``sum ln(2 pi sigma^2)``."""
        return float(np.log(2.0 * np.pi * self.noise**2).sum())


class Observed(ABC):
    """Whitened columns, ``sqrt(W) L``: sources' pixels, then those that are seen everywhere."""

    @abstractmethod
    def normal_equations(self, whitened: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
        """Write ``F = L' W L`` (n, n), upper triangle, and ``D = L' W d`` (n,) for whitened data d."""

    @abstractmethod
    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the whitened model of coefficients (n,), arranged as by `Response.whiten`."""

    @abstractmethod
    def variances(self, covariance: np.ndarray) -> np.ndarray:
        """Variances of the whitened model, the diagonal of ``sqrt(W) L C L' sqrt(W)``.

        Parameters
        ----------
        covariance : (n, n) float64
            C of the coefficients, in the upper triangle.

        Returns
        -------
        whitened
            Arranged as by `Response.whiten`.
        """

    @abstractmethod
    def pullback(
        self, residual: np.ndarray, mean: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of the mapping matrix (nnz,) and of the blurred columns (n_dense, n_pixels).

        Of the evidence, ``dlnE/dL = W (d - L s) s' - W L C``.

        Parameters
        ----------
        residual : whitened
            ``sqrt(W) (d - L s)``.
        mean : (n,) float64
            s.
        covariance : (n, n) float64
            C, in the upper triangle.
        """
