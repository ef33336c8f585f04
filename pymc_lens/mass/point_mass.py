"""Point mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.symbolic import NOT_NEGATIVE, PLANE, nan_unless

# arcsec^2: a ray through the mass itself is not deflected, and no derivative is infinite there.
_SOFTENING = 1e-20


@dataclass(frozen=True, eq=False)
class PointMass(MassProfile):
    """Point mass: ``alpha = einstein_radius^2 / r`` (Schneider, Ehlers & Falco 1992, eq. 2.17).

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    einstein_radius : float
        Arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite Einstein radius, a centre that is not finite. A random variable
        that is negative gives NaN.
    """

    domains: ClassVar = {"centre": PLANE, "einstein_radius": NOT_NEGATIVE}

    centre: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        admissible, strength, y, x = self._seen_from(y, x)
        return nan_unless(admissible, 0.5 * strength * pt.log(y * y + x * x + _SOFTENING))

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, strength, y, x = self._seen_from(y, x)
        squared = y * y + x * x
        over = strength * squared / (squared + _SOFTENING) ** 2
        return nan_unless(admissible, y * over), nan_unless(admissible, x * over)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        # No convergence away from the mass itself.
        admissible, strength, y, x = self._seen_from(y, x)
        over = nan_unless(admissible, strength / (y * y + x * x + _SOFTENING) ** 2)
        xx, xy = over * (y * y - x * x), -2.0 * over * x * y
        return Hessian(-xx, xy, xx)

    def _seen_from(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, the square of the radius, and y, x from the centre."""
        admissible, centre_y, centre_x, radius = self.inside_the_domain()
        return admissible, radius**2, y - centre_y, x - centre_x
