"""The singular isothermal ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.mass.isothermal_formulas import SOFTENING
from pymc_lens.mass.isothermal_op import IsothermalDeflections
from pymc_lens.symbolic import moderate, nan_unless, pair, scalar, zero_unless
from pymc_lens.validation import require_ell_comps, require_not_negative


@dataclass(frozen=True, eq=False)
class Isothermal(MassProfile):
    """Singular isothermal ellipsoid, smooth through the circular case.

    ``kappa = einstein_radius / ((1 + q) sqrt(x^2 + y^2 / q^2))`` in the major-axis frame (the convention of
    PyAutoLens). Deflections: Kormann, Schneider & Bartelmann 1994 (A&A 284, 285), in the complex form of
    Tessore & Metcalf 2015 (A&A 580, A79, eq. 13) for slope one. At the centre itself, where the direction of
    the deflection jumps, the deflection and its derivatives are zero.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        ``(1 - q) / (1 + q) * (sin 2 phi, cos 2 phi)``, axis ratio q, angle phi counter-clockwise from +x.
    einstein_radius : float
        Arcsec; `pymc_lens.convert.effective_einstein_radius` gives that of other conventions.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite Einstein radius, ``|ell_comps| >= 1``, a centre that is not
        finite. Random variables outside these domains give NaN.
    """

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0

    def __post_init__(self) -> None:
        pair("centre", self.centre)
        require_ell_comps("ell_comps", pair("ell_comps", self.ell_comps))
        require_not_negative("einstein_radius", scalar("einstein_radius", self.einstein_radius))

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        # Homogeneous of degree one: its own radial derivative times the radius (Euler).
        centre_y, centre_x = pair("centre", self.centre)
        alpha_y, alpha_x = self.deflections_yx(y, x)
        return (y - centre_y) * alpha_y + (x - centre_x) * alpha_x

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, *inside = self._inside_the_domain()
        parameters = pt.stack([pt.as_tensor_variable(part) for part in inside])
        alpha_y, alpha_x = IsothermalDeflections()(y.ravel(), x.ravel(), parameters)
        return (
            nan_unless(admissible, alpha_y.reshape(y.shape)),
            nan_unless(admissible, alpha_x.reshape(x.shape)),
        )

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        # Again by homogeneity the only second derivative is tangential: twice the convergence.
        admissible, centre_y, centre_x, e_y, e_x, strength = self._inside_the_domain()
        y, x = y - centre_y, x - centre_x
        stretched_squared = (y + e_x * y - e_y * x) ** 2 + (x - e_x * x - e_y * y) ** 2
        convergence = nan_unless(admissible, 0.5 * strength / pt.sqrt(stretched_squared + SOFTENING))
        tangential = 2.0 * convergence / (y * y + x * x + SOFTENING)
        # Halves of the softening keep the trace that of the convergence at the centre itself.
        yy, xx = tangential * (x * x + 0.5 * SOFTENING), tangential * (y * y + 0.5 * SOFTENING)
        return Hessian(yy, -tangential * x * y, xx)

    def _inside_the_domain(self) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, then centre, e_y, e_x and strength; zero if not."""
        centre = pair("centre", self.centre)
        parts = (*pair("ell_comps", self.ell_comps), scalar("einstein_radius", self.einstein_radius))
        e_y, e_x, radius = (pt.as_tensor_variable(part) for part in parts)
        in_domain = (radius >= 0.0) & (e_y * e_y + e_x * e_x < 1.0)
        admissible = reduce(and_, moderate(*centre, radius), in_domain)
        centre_y, centre_x, e_y, e_x, radius = (
            zero_unless(admissible, part) for part in (*centre, e_y, e_x, radius)
        )
        return admissible, centre_y, centre_x, e_y, e_x, radius * (1.0 - e_y * e_y - e_x * e_x)
