"""External shear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import MassProfile
from pymc_lens.validation import require_finite


@dataclass(frozen=True, eq=False)
class ExternalShear(MassProfile):
    """Tidal field of distant mass: ``alpha_x = gamma_1 x + gamma_2 y``, ``alpha_y = gamma_2 x - gamma_1 y``.

    Parameters
    ----------
    gamma_1, gamma_2 : float

    Raises
    ------
    ValueError
        For numbers that are not finite.
    """

    gamma_1: Any = 0.0
    gamma_2: Any = 0.0

    def __post_init__(self) -> None:
        require_finite("gamma_1", self.gamma_1)
        require_finite("gamma_2", self.gamma_2)

    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        return self.gamma_2 * x - self.gamma_1 * y, self.gamma_1 * x + self.gamma_2 * y

    def potential(self, grid: Any) -> TensorVariable:
        """Lensing potential (...) in arcsec^2."""
        grid = pt.as_tensor_variable(grid)
        y, x = grid[..., 0], grid[..., 1]
        return 0.5 * self.gamma_1 * (x**2 - y**2) + self.gamma_2 * x * y
