r"""The isothermal ellipsoid with a core.

In the notation of `pymc_lens.mass.isothermal`, with :math:`S = \sqrt{|N|^2 + c^2}` for a core c, the
convergence is :math:`k / 2S` and the deflection :math:`\alpha = k T G(T^2 \bar e)`, where
:math:`T = N / (S + c)` is E if there is no core: the logarithm of Kassiola & Kovner 1993 (ApJ 417, 450,
eq. 4.1.2) in a form that is analytic in e through zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.mass.isothermal import SOFTENING, Isothermal, arctan_ratio
from pymc_lens.ops.ray_op import RayOp, formula
from pymc_lens.symbolic import NOT_NEGATIVE, ellipticity, nan_unless

# arcsec: keeps the logarithm of a core of zero finite.
_TINY = 1e-300


@formula
def deflection(
    y: Any, x: Any, centre_y: Any, centre_x: Any, e_y: Any, e_x: Any, strength: Any, core: Any
) -> tuple[Any, Any]:
    """Deflection angles (alpha_y, alpha_x), arcsec."""
    y, x = y - centre_y, x - centre_x
    n_y, n_x = y + e_x * y - e_y * x, x - e_x * x - e_y * y
    over = 1.0 / ((n_y * n_y + n_x * n_x + core * core + SOFTENING) ** 0.5 + core)
    u_y, u_x = over * n_y, over * n_x
    uu_y, uu_x = 2.0 * u_x * u_y, u_x * u_x - u_y * u_y
    g_x, g_y, _, _ = arctan_ratio(uu_x * e_x + uu_y * e_y, uu_y * e_x - uu_x * e_y)
    return strength * (u_x * g_y + u_y * g_x), strength * (u_x * g_x - u_y * g_y)


@formula
def deflection_pullback(
    y: Any,
    x: Any,
    centre_y: Any,
    centre_x: Any,
    e_y: Any,
    e_x: Any,
    strength: Any,
    core: Any,
    alpha_y_bar: Any,
    alpha_x_bar: Any,
) -> tuple[Any, ...]:
    """Adjoint of `deflection`: cotangents of its eight inputs."""
    y, x = y - centre_y, x - centre_x
    n_y, n_x = y + e_x * y - e_y * x, x - e_x * x - e_y * y
    size = (n_y * n_y + n_x * n_x + core * core + SOFTENING) ** 0.5
    over = 1.0 / (size + core)
    u_y, u_x = over * n_y, over * n_x
    uu_y, uu_x = 2.0 * u_x * u_y, u_x * u_x - u_y * u_y
    w_x, w_y = uu_x * e_x + uu_y * e_y, uu_y * e_x - uu_x * e_y
    g_x, g_y, slope_x, slope_y = arctan_ratio(w_x, w_y)
    # conj(bar) T
    t_x, t_y = alpha_x_bar * u_x + alpha_y_bar * u_y, alpha_x_bar * u_y - alpha_y_bar * u_x
    strength_bar = t_x * g_x - t_y * g_y
    # conj(bar) dalpha/dT, which is k / (1 + w)
    inverse = strength / ((1.0 + w_x) * (1.0 + w_x) + w_y * w_y)
    p_x = inverse * (alpha_x_bar * (1.0 + w_x) - alpha_y_bar * w_y)
    p_y = -inverse * (alpha_x_bar * w_y + alpha_y_bar * (1.0 + w_x))
    # T falls with S and with c as 1 / (S + c).
    fall = over * (p_x * u_x - p_y * u_y)
    n_y_bar, n_x_bar = -over * p_y - fall * n_y / size, over * p_x - fall * n_x / size
    core_bar = -fall * (1.0 + core / size)
    # conj(bar) k T^3 G': the change of w by conj(e) itself
    p_x, p_y = t_x * uu_x - t_y * uu_y, t_x * uu_y + t_y * uu_x
    y_bar, x_bar = n_y_bar + e_x * n_y_bar - e_y * n_x_bar, n_x_bar - e_x * n_x_bar - e_y * n_y_bar
    e_y_bar = strength * (p_x * slope_y + p_y * slope_x) - n_y_bar * x - n_x_bar * y
    e_x_bar = strength * (p_x * slope_x - p_y * slope_y) + n_y_bar * y - n_x_bar * x
    return y_bar, x_bar, -y_bar, -x_bar, e_y_bar, e_x_bar, strength_bar, core_bar


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """A softened isothermal ellipsoid of admissible parameters, from which profiles are made.

    Parameters
    ----------
    centre_y, centre_x, e_y, e_x, strength, core : variable
        As in the formulas above.
    """

    centre_y: TensorVariable
    centre_x: TensorVariable
    e_y: TensorVariable
    e_x: TensorVariable
    strength: TensorVariable
    core: TensorVariable

    def deflections(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        """Deflection angles (alpha_y, alpha_x), each (...)."""
        parameters = (self.centre_y, self.centre_x, self.e_y, self.e_x, self.strength, self.core)
        return RayOp(deflection, deflection_pullback).deflections(y, x, *parameters)

    def potential(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        """Potential (...), up to a constant: by Euler's theorem, as it is homogeneous in radius and core."""
        alpha_y, alpha_x = self.deflections(y, x)
        y, x = y - self.centre_y, x - self.centre_x
        u_y, u_x, size = self._stretched(y, x)
        w_y, w_x = self._turned(u_y, u_x)
        of_core = pt.log(size + self.core + _TINY) + 0.5 * pt.log((1.0 + w_x) ** 2 + w_y**2)
        area = 1.0 - self.e_y * self.e_y - self.e_x * self.e_x
        return y * alpha_y + x * alpha_x - self.strength * self.core / area * of_core

    def hessian(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        """Second derivatives of the potential: d alpha / dT = k / (1 + T^2 conj(e))."""
        y, x = y - self.centre_y, x - self.centre_x
        u_y, u_x, size = self._stretched(y, x)
        w_y, w_x = self._turned(u_y, u_x)
        over = 1.0 / (size + self.core)
        inverse = self.strength * over / ((1.0 + w_x) ** 2 + w_y**2)

        def along(n_y: Any, n_x: Any) -> tuple[TensorVariable, TensorVariable]:
            """Change of the deflection by a step dN."""
            fall = (u_y * n_y + u_x * n_x) / (size * over)
            t_y, t_x = n_y - fall * u_y, n_x - fall * u_x
            return inverse * (t_y * (1.0 + w_x) - t_x * w_y), inverse * (t_x * (1.0 + w_x) + t_y * w_y)

        yy, _ = along(1.0 + self.e_x, -self.e_y)
        xy, xx = along(-self.e_y, 1.0 - self.e_x)
        return Hessian(yy, xy, xx)

    def _stretched(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, ...]:
        """T as (y, x), and S."""
        n_y, n_x = y + self.e_x * y - self.e_y * x, x - self.e_x * x - self.e_y * y
        size = pt.sqrt(n_y * n_y + n_x * n_x + self.core * self.core + SOFTENING)
        return n_y / (size + self.core), n_x / (size + self.core), size

    def _turned(self, u_y: TensorVariable, u_x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        """T^2 conj(e) as (y, x)."""
        uu_y, uu_x = 2.0 * u_x * u_y, u_x * u_x - u_y * u_y
        return uu_y * self.e_x - uu_x * self.e_y, uu_x * self.e_x + uu_y * self.e_y


@dataclass(frozen=True, eq=False)
class IsothermalCore(MassProfile):
    """Isothermal ellipsoid with a core.

    ``kappa = einstein_radius / ((1 + q) sqrt(core_radius^2 + x^2 + y^2 / q^2))`` in the major-axis frame: the
    convention of PyAutoLens, in which the core is counted along the major axis and the mass has a kink at
    q = 1. It is lenstronomy's ``NIE``, see `pymc_lens.convert.isothermal_core_to_lenstronomy`. Deflections:
    Kassiola & Kovner 1993 (ApJ 417, 450, eq. 4.1.2).

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        ``(1 - q) / (1 + q) * (sin 2 phi, cos 2 phi)``, axis ratio q, angle phi counter-clockwise from +x.
    einstein_radius : float
        Arcsec; that of the isothermal ellipsoid without a core.
    core_radius : float
        Arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite radius, ``|ell_comps| >= 1``, a centre that is not finite.
        Random variables outside these domains give NaN.
    """

    domains: ClassVar = {**Isothermal.domains, "core_radius": NOT_NEGATIVE}

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0
    core_radius: Any = 0.01

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        admissible, ellipsoid = self._ellipsoid()
        return nan_unless(admissible, ellipsoid.potential(y, x))

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, ellipsoid = self._ellipsoid()
        alpha_y, alpha_x = ellipsoid.deflections(y, x)
        return nan_unless(admissible, alpha_y), nan_unless(admissible, alpha_x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        admissible, ellipsoid = self._ellipsoid()
        return Hessian(*(nan_unless(admissible, element) for element in ellipsoid.hessian(y, x)))

    def _ellipsoid(self) -> tuple[TensorVariable, Ellipsoid]:
        """Whether the parameters are admissible, and the ellipsoid of parameters that are."""
        admissible, centre_y, centre_x, e_y, e_x, radius, core = self.inside_the_domain()
        strength, along_major = radius * (1.0 - e_y * e_y - e_x * e_x), 1.0 - ellipticity(e_y, e_x)
        return admissible, Ellipsoid(centre_y, centre_x, e_y, e_x, strength, core * along_major)
