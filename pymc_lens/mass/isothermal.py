"""The singular isothermal ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.mass.isothermal_op import SOFTENING, IsothermalDeflections
from pymc_lens.symbolic import nan_unless, pair, scalar
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
        parameters = [*pair("centre", self.centre), *pair("ell_comps", self.ell_comps), self._strength]
        vector = pt.stack([pt.as_tensor_variable(part).astype("float64") for part in parameters])
        if y.type.ndim == 1:
            return IsothermalDeflections()(y, x, vector)
        alpha_y, alpha_x = IsothermalDeflections()(y.ravel(), x.ravel(), vector)
        return alpha_y.reshape(y.shape), alpha_x.reshape(x.shape)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        # For the same reason the only second derivative is tangential: twice the convergence.
        centre_y, centre_x = pair("centre", self.centre)
        e_y, e_x = pair("ell_comps", self.ell_comps)
        y, x = y - centre_y, x - centre_x
        stretched_squared = (y + e_x * y - e_y * x) ** 2 + (x - e_x * x - e_y * y) ** 2
        convergence = 0.5 * self._strength / pt.sqrt(stretched_squared + SOFTENING)
        tangential = 2.0 * convergence / (y * y + x * x + SOFTENING)
        # Halves of the softening keep the trace that of the convergence at the centre itself.
        yy, xx = tangential * (x * x + 0.5 * SOFTENING), tangential * (y * y + 0.5 * SOFTENING)
        return Hessian(yy, -tangential * x * y, xx)

    @property
    def _strength(self) -> Any:
        e_y, e_x = pair("ell_comps", self.ell_comps)
        radius, size = scalar("einstein_radius", self.einstein_radius), e_y * e_y + e_x * e_x
        return nan_unless(size < 1.0, nan_unless(radius >= 0.0, radius * (1.0 - size)))
