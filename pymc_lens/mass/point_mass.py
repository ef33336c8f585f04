"""Point mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import MassProfile
from pymc_lens.validation import require_finite, require_not_negative

_SOFTENING = 1e-10


@dataclass(frozen=True, eq=False)
class PointMass(MassProfile):
    """Point mass: ``alpha = einstein_radius^2 / r``.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    einstein_radius : float
        Arcsec.

    Raises
    ------
    ValueError
        For numbers: negative or non-finite.
    """

    centre: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0

    def __post_init__(self) -> None:
        require_finite("centre", self.centre)
        require_not_negative("einstein_radius", self.einstein_radius)

    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        y, x = y - self.centre[0], x - self.centre[1]
        over = self.einstein_radius**2 / (x**2 + y**2 + _SOFTENING**2)
        return y * over, x * over

    def potential(self, grid: Any) -> TensorVariable:
        """Lensing potential (...) in arcsec^2, ``einstein_radius^2 ln r``."""
        grid = pt.as_tensor_variable(grid)
        y, x = grid[..., 0] - self.centre[0], grid[..., 1] - self.centre[1]
        return 0.5 * self.einstein_radius**2 * pt.log(x**2 + y**2 + _SOFTENING**2)
