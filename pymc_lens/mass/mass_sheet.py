"""Uniform sheet of mass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.symbolic import moderate, nan_unless, pair, scalar, zero_unless


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
        admissible, kappa, y, x = self._inside_the_domain(y, x)
        return nan_unless(admissible, 0.5 * kappa * (y**2 + x**2))

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, kappa, y, x = self._inside_the_domain(y, x)
        return nan_unless(admissible, kappa * y), nan_unless(admissible, kappa * x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        kappa = scalar("kappa", self.kappa) * pt.ones_like(x)
        return Hessian(kappa, pt.zeros_like(x), kappa)

    def _inside_the_domain(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, kappa, and y, x from the centre; with zeros if not."""
        parts = (*pair("centre", self.centre), scalar("kappa", self.kappa))
        admissible = reduce(and_, moderate(*parts), pt.as_tensor_variable(np.array(True)))
        centre_y, centre_x, kappa = (zero_unless(admissible, part) for part in parts)
        return admissible, kappa, y - centre_y, x - centre_x
