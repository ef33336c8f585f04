"""Uniform sheet of mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.symbolic import PLANE, REAL, nan_unless, scalar


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

    domains: ClassVar = {"centre": PLANE, "kappa": REAL}

    centre: Any = (0.0, 0.0)
    kappa: Any = 0.0

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        admissible, kappa, y, x = self._seen_from(y, x)
        return nan_unless(admissible, 0.5 * kappa * (y**2 + x**2))

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, kappa, y, x = self._seen_from(y, x)
        return nan_unless(admissible, kappa * y), nan_unless(admissible, kappa * x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        kappa = scalar("kappa", self.kappa) * pt.ones_like(x)
        return Hessian(kappa, pt.zeros_like(x), kappa)

    def _seen_from(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, kappa, and y, x from the centre."""
        admissible, centre_y, centre_x, kappa = self.inside_the_domain()
        return admissible, kappa, y - centre_y, x - centre_x
