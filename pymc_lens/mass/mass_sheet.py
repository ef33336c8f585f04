"""Uniform sheet of mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import MassProfile
from pymc_lens.validation import require_finite


@dataclass(frozen=True, eq=False)
class MassSheet(MassProfile):
    """Uniform convergence: ``alpha = kappa (theta - centre)``.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    kappa : float
        Convergence.

    Raises
    ------
    ValueError
        For numbers that are not finite.
    """

    centre: Any = (0.0, 0.0)
    kappa: Any = 0.0

    def __post_init__(self) -> None:
        require_finite("centre", self.centre)
        require_finite("kappa", self.kappa)

    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        return self.kappa * (y - self.centre[0]), self.kappa * (x - self.centre[1])

    def potential(self, grid: Any) -> TensorVariable:
        """Lensing potential (...) in arcsec^2."""
        grid = pt.as_tensor_variable(grid)
        y, x = grid[..., 0] - self.centre[0], grid[..., 1] - self.centre[1]
        return 0.5 * self.kappa * (x**2 + y**2)
