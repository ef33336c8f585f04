"""Parts of an image with few coefficients: light profiles, and the sky."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import override

import numpy as np

from pymc_lens.linear.base import DenseScheme, Input


@dataclass(frozen=True, eq=False)
class LightColumns(DenseScheme):
    """Light whose columns the model computes: those of light profiles, in front of a lens or behind it.

    Parameters
    ----------
    name, scales, positions, confined
        See `LinearScheme` and `DenseScheme`.
    """

    name: str
    scales: np.ndarray
    positions: np.ndarray
    confined: bool = False
    inputs = (Input("columns", 2),)

    @property
    @override
    def digest(self) -> str:
        places = sha256(self.positions.tobytes()).hexdigest()
        return f"LightColumns {self.name} {self.scales.tolist()} {self.confined} {places}"

    @override
    def columns(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        return arrays[0]

    @override
    def pullback(self, columns_bar: np.ndarray) -> list[np.ndarray]:
        return [columns_bar]


@dataclass(frozen=True, eq=False)
class FixedColumns(DenseScheme):
    """Columns that depend on nothing, such as those of the sky.

    Parameters
    ----------
    name, scales, positions, confined
        See `LinearScheme` and `DenseScheme`.
    values : (size, n_positions) float64
    """

    name: str
    scales: np.ndarray
    positions: np.ndarray
    values: np.ndarray
    confined: bool = False
    inputs = ()

    @property
    @override
    def digest(self) -> str:
        content = sha256(self.values.tobytes() + self.positions.tobytes()).hexdigest()
        return f"FixedColumns {self.name} {self.scales.tolist()} {self.confined} {content}"

    @override
    def columns(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        return self.values

    @override
    def pullback(self, columns_bar: np.ndarray) -> list[np.ndarray]:
        return []
