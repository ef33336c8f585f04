r"""The singular isothermal ellipsoid.

With :math:`Z = x + iy` relative to the centre, :math:`e = e_x + i e_y`, :math:`N = Z - e \bar Z` and
:math:`E = N / |N|` the deflection is :math:`\alpha = k E G(E^2 \bar e)`, where
:math:`G(w) = \arctan\sqrt w / \sqrt w` and the strength :math:`k = \theta_E (1 - |e|^2)` (Tessore & Metcalf
2015, A&A 580, A79, eq. 13, for slope one). It is analytic in e through zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.ops.ray_op import RayOp, formula
from pymc_lens.symbolic import NOT_NEGATIVE, PLANE, elliptical, nan_unless, pair

# arcsec^2: keeps the direction of a ray finite at the centre.
SOFTENING = 1e-20
_TAYLOR = tuple((-1.0) ** k / (2 * k + 1) for k in range(13))


@formula
def arctan_ratio(w_x: Any, w_y: Any) -> tuple[Any, Any, Any, Any]:
    """``G(w) = atan(sqrt w) / sqrt w`` and its derivative at complex w, analytic in |w| < 1.

    The half-angle rule ``G(w) = c G(v)`` with ``c = 2 / (1 + r)``, ``v = (r - 1) / (r + 1)`` and
    ``r = sqrt(1 + w)`` brings the argument so close to zero that a short Taylor series is exact to rounding.

    Returns
    -------
    g_x, g_y, slope_x, slope_y
        Real and imaginary parts.
    """
    # G(w) = s G(v) and G'(w) = a G'(v) + b G(v) for the argument v reached so far.
    s_x, s_y, a_x, a_y, b_x, b_y = 1.0, 0.0, 1.0, 0.0, 0.0, 0.0
    for _ in range(3):
        size = ((1.0 + w_x) * (1.0 + w_x) + w_y * w_y) ** 0.5
        r_x = (0.5 * (size + 1.0 + w_x)) ** 0.5
        twice_r_y = w_y / r_x
        inverse = 1.0 / (1.0 + 2.0 * r_x + size)
        c_x, c_y = 2.0 * (1.0 + r_x) * inverse, -twice_r_y * inverse
        # dv/dw = -dc/dw = c^2 / (4 r)
        root_x, root_y = 0.25 * r_x / size, -0.125 * twice_r_y / size
        cc_x, cc_y = c_x * c_x - c_y * c_y, 2.0 * c_x * c_y
        d_x, d_y = cc_x * root_x - cc_y * root_y, cc_x * root_y + cc_y * root_x
        ad_x, ad_y = a_x * d_x - a_y * d_y, a_x * d_y + a_y * d_x
        s_x, s_y = s_x * c_x - s_y * c_y, s_x * c_y + s_y * c_x
        a_x, a_y, b_x, b_y = (
            ad_x * c_x - ad_y * c_y,
            ad_x * c_y + ad_y * c_x,
            b_x * c_x - b_y * c_y - ad_x,
            b_x * c_y + b_y * c_x - ad_y,
        )
        w_x, w_y = (size - 1.0) * inverse, twice_r_y * inverse
    f_x, f_y, slope_x, slope_y = 0.0, 0.0, 0.0, 0.0
    for coefficient in _TAYLOR[::-1]:
        slope_x, slope_y = slope_x * w_x - slope_y * w_y + f_x, slope_x * w_y + slope_y * w_x + f_y
        f_x, f_y = f_x * w_x - f_y * w_y + coefficient, f_x * w_y + f_y * w_x
    return (
        s_x * f_x - s_y * f_y,
        s_x * f_y + s_y * f_x,
        a_x * slope_x - a_y * slope_y + b_x * f_x - b_y * f_y,
        a_x * slope_y + a_y * slope_x + b_x * f_y + b_y * f_x,
    )


@formula
def direction(y: Any, x: Any, e_y: Any, e_x: Any) -> tuple[Any, Any, Any]:
    """E of a ray relative to the centre as (y, x), zero with its derivatives at the centre, and 1 / |N|."""
    n_y, n_x = y + e_x * y - e_y * x, x - e_x * x - e_y * y
    squared = n_y * n_y + n_x * n_x
    inverse = (squared + SOFTENING) ** -0.5
    unit = squared * inverse * inverse * inverse
    return n_y * unit, n_x * unit, inverse


@formula
def deflection(
    y: Any, x: Any, centre_y: Any, centre_x: Any, e_y: Any, e_x: Any, strength: Any
) -> tuple[Any, Any]:
    """Deflection angles (alpha_y, alpha_x), arcsec."""
    y, x = y - centre_y, x - centre_x
    u_y, u_x, _ = direction(y, x, e_y, e_x)
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
    alpha_y_bar: Any,
    alpha_x_bar: Any,
) -> tuple[Any, ...]:
    """Adjoint of `deflection`: cotangents of its seven inputs."""
    y, x = y - centre_y, x - centre_x
    u_y, u_x, inverse = direction(y, x, e_y, e_x)
    uu_y, uu_x = 2.0 * u_x * u_y, u_x * u_x - u_y * u_y
    w_x, w_y = uu_x * e_x + uu_y * e_y, uu_y * e_x - uu_x * e_y
    g_x, g_y, slope_x, slope_y = arctan_ratio(w_x, w_y)
    # conj(bar) E, which every term below contains
    t_x, t_y = alpha_x_bar * u_x + alpha_y_bar * u_y, alpha_x_bar * u_y - alpha_y_bar * u_x
    strength_bar = t_x * g_x - t_y * g_y
    # E turns by the angle Im(conj(E) dN) / |N|, which turns alpha by that angle times G + 2 w G'.
    turn_x = g_x + 2.0 * (w_x * slope_x - w_y * slope_y)
    turn_y = g_y + 2.0 * (w_x * slope_y + w_y * slope_x)
    turn = -strength * (t_x * turn_y + t_y * turn_x) * inverse
    n_y_bar, n_x_bar = turn * u_x, -turn * u_y
    # conj(bar) k E^3 G': the change of w by conj(e) itself
    p_x, p_y = t_x * uu_x - t_y * uu_y, t_x * uu_y + t_y * uu_x
    direct_x, direct_y = p_x * slope_x - p_y * slope_y, p_x * slope_y + p_y * slope_x
    y_bar, x_bar = n_y_bar + e_x * n_y_bar - e_y * n_x_bar, n_x_bar - e_x * n_x_bar - e_y * n_y_bar
    e_y_bar = strength * direct_y - n_y_bar * x - n_x_bar * y
    e_x_bar = strength * direct_x + n_y_bar * y - n_x_bar * x
    return y_bar, x_bar, -y_bar, -x_bar, e_y_bar, e_x_bar, strength_bar


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

    Examples
    --------
    >>> mass = pl.mass.Isothermal(einstein_radius=1.6) + pl.mass.ExternalShear(0.03, 0.0)
    >>> mass.deflections([[0.0, 1.0]]).eval()
    array([[0.  , 1.63]])
    """

    domains: ClassVar = {"centre": PLANE, "ell_comps": elliptical(), "einstein_radius": NOT_NEGATIVE}

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        # Homogeneous of degree one: its own radial derivative times the radius (Euler).
        centre_y, centre_x = pair("centre", self.centre)
        alpha_y, alpha_x = self.deflections_yx(y, x)
        return (y - centre_y) * alpha_y + (x - centre_x) * alpha_x

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, *inside = self._parameters()
        alpha_y, alpha_x = RayOp(deflection, deflection_pullback).deflections(y, x, *inside)
        return nan_unless(admissible, alpha_y), nan_unless(admissible, alpha_x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        # Again by homogeneity the only second derivative is tangential: twice the convergence.
        admissible, centre_y, centre_x, e_y, e_x, strength = self._parameters()
        y, x = y - centre_y, x - centre_x
        stretched_squared = (y + e_x * y - e_y * x) ** 2 + (x - e_x * x - e_y * y) ** 2
        convergence = nan_unless(admissible, 0.5 * strength / pt.sqrt(stretched_squared + SOFTENING))
        tangential = 2.0 * convergence / (y * y + x * x + SOFTENING)
        # Halves of the softening keep the trace that of the convergence at the centre itself.
        yy, xx = tangential * (x * x + 0.5 * SOFTENING), tangential * (y * y + 0.5 * SOFTENING)
        return Hessian(yy, -tangential * x * y, xx)

    def _parameters(self) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, then centre, e_y, e_x and strength; zero if not."""
        admissible, centre_y, centre_x, e_y, e_x, radius = self.inside_the_domain()
        return admissible, centre_y, centre_x, e_y, e_x, radius * (1.0 - e_y * e_y - e_x * e_x)
