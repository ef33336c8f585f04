"""A window whose nodes are closest in its middle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import override

import numpy as np

from pymc_lens.mesh.rectangular import RectangularWindow
from pymc_lens.validation import positive_number


@dataclass(frozen=True)
class StretchedWindow(RectangularWindow):
    """A `RectangularWindow` that is fine in its middle and coarse where it ends.

    Along each axis nodes are equally far apart in ``core arcsinh(d / core)``, d the distance from the middle
    of the window: within ``core`` about as far, beyond it farther apart in proportion to d. So the same
    number of pixels resolves a source and holds its wings. The splines are those of `RectangularWindow` in
    these coordinates, as smooth in the rays; priors see cells and distances in arcsec.

    Parameters
    ----------
    shape, extent, degree
        See `RectangularBox`.
    core : float
        Arcsec, positive.

    Raises
    ------
    TypeError, ValueError
        As `RectangularBox`, or if the core is not a positive number.

    Examples
    --------
    >>> pl.mesh.StretchedWindow((30, 30), extent=(-1.0, 1.0, -1.0, 1.0), degree=3, core=0.3)
    StretchedWindow(shape=(30, 30), extent=(-1.0, 1.0, -1.0, 1.0), degree=3, core=0.3)
    """

    core: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "core", positive_number("core", self.core))

    @property
    def _middle(self) -> np.ndarray:
        return np.reshape(self.extent, (2, 2)).mean(axis=1)

    @property
    @override
    def _borders(self) -> np.ndarray:
        return self._even(np.reshape(self.extent, (2, 2)).T)

    def _even(self, points: np.ndarray) -> np.ndarray:
        return self.core * np.arcsinh((points - self._middle) / self.core)

    @override
    def _nodes_along(self, axis: int) -> np.ndarray:
        return self._middle[axis] + self.core * np.sinh(super()._nodes_along(axis) / self.core)

    @override
    def place(self, points: np.ndarray) -> np.ndarray:
        return super().place(self._even(points))

    @override
    def place_pullback(self, place: np.ndarray, place_bar: np.ndarray) -> np.ndarray:
        even = self._first + self.spacing * place
        return super().place_pullback(place, place_bar) / np.cosh(even / self.core)
