"""The contract of a linear light profile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pytensor.tensor.variable import TensorVariable


class LightProfile(ABC):
    """Light whose amplitudes are solved for inside the inversion, as a PyTensor graph.

    Attributes
    ----------
    intensity_scale : float or None
        Prior standard deviation of each amplitude, in the units of the data; None: ten times the brightest
        fitted pixel.
    """

    intensity_scale: float | None = None

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of amplitudes."""

    @abstractmethod
    def images(self, grid: Any) -> TensorVariable:
        """Surface brightness (n_columns, n_points) of unit peak at positions (n_points, 2), arcsec."""
