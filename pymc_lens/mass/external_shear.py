"""External shear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.symbolic import scalar


@dataclass(frozen=True, eq=False)
class ExternalShear(MassProfile):
    """Tidal field of distant mass: ``alpha_x = gamma_1 x + gamma_2 y``, ``alpha_y = gamma_2 x - gamma_1 y``.

    Parameters
    ----------
    gamma_1, gamma_2 : float

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers that are not finite.

    Examples
    --------
    >>> pl.mass.ExternalShear(0.03, -0.01).deflections([[0.0, 1.0]]).eval()
    array([[-0.01,  0.03]])
    """

    gamma_1: Any = 0.0
    gamma_2: Any = 0.0

    def __post_init__(self) -> None:
        scalar("gamma_1", self.gamma_1)
        scalar("gamma_2", self.gamma_2)

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        gamma_1, gamma_2 = self._gammas
        return 0.5 * gamma_1 * (x * x - y * y) + gamma_2 * x * y

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        gamma_1, gamma_2 = self._gammas
        return gamma_2 * x - gamma_1 * y, gamma_1 * x + gamma_2 * y

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        gamma_1, gamma_2 = (gamma * pt.ones_like(x) for gamma in self._gammas)
        return Hessian(-gamma_1, gamma_2, gamma_1)

    @property
    def _gammas(self) -> tuple[Any, Any]:
        return scalar("gamma_1", self.gamma_1), scalar("gamma_2", self.gamma_2)
