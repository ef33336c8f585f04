"""Uniform sheet of mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.symbolic import pair, scalar


@dataclass(frozen=True, eq=False)
class MassSheet(MassProfile):
    """Uniform convergence: ``alpha = kappa (theta - centre)``.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    kappa : float
        Convergence; negative for a void.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers that are not finite.
    """

    centre: Any = (0.0, 0.0)
    kappa: Any = 0.0

    def __post_init__(self) -> None:
        pair("centre", self.centre)
        scalar("kappa", self.kappa)

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        centre_y, centre_x = pair("centre", self.centre)
        return 0.5 * scalar("kappa", self.kappa) * ((y - centre_y) ** 2 + (x - centre_x) ** 2)

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        centre_y, centre_x = pair("centre", self.centre)
        kappa = scalar("kappa", self.kappa)
        return kappa * (y - centre_y), kappa * (x - centre_x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        kappa = scalar("kappa", self.kappa) * pt.ones_like(x)
        return Hessian(kappa, pt.zeros_like(x), kappa)
