r"""The elliptical power law.

In the notation of `pymc_lens.mass.isothermal` and with :math:`t = \text{slope} - 1` the deflection is
:math:`\alpha = k (k / |N|)^{t - 1} E F(-E^2 \bar e)`, where :math:`F(z) = {}_2F_1(1, t/2; 2 - t/2; z)`
(Tessore & Metcalf 2015, A&A 580, A79, eq. 13). The coefficients of its series in z, of which there are as
many as |e| asks for, follow from one another by the factors :math:`(2m - 2 + t) / (2m + 2 - t)`, in [0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.gradient import zero_grad
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.mass.isothermal import SOFTENING, direction
from pymc_lens.ops.formulas import exp, log, repeat
from pymc_lens.ops.ray_op import RayOp, formula
from pymc_lens.symbolic import NOT_NEGATIVE, PLANE, between, elliptical, ellipticity, nan_unless

# Of the deflection, relative: where the series ends.
_PRECISION = 1e-12
# Of |ell_comps|, an axis ratio of 0.01: beyond it the series would take thousands of terms.
MOST_ELLIPTICAL = 0.98
# Keeps the logarithms of a radius and of an ellipticity of zero finite.
_TINY = 1e-300


@formula
def term(m: Any, state: tuple, z_y: Any, z_x: Any, t: Any) -> tuple:
    """Add a term to the series by Horner's rule."""
    f_y, f_x = state
    ratio = (2.0 * m - 2.0 + t) / (2.0 * m + 2.0 - t)
    # First what does not wait for the state.
    z_y, z_x = ratio * z_y, ratio * z_x
    return z_x * f_y + z_y * f_x, 1.0 + z_x * f_x - z_y * f_y


@formula
def term_with_slope(m: Any, state: tuple, z_y: Any, z_x: Any, t: Any) -> tuple:
    """Add a term to the series and to its derivative in t; between them is the series before."""
    f_y, f_x, _, _, dt_y, dt_x = state
    inverse = 1.0 / (2.0 * m + 2.0 - t)
    ratio, ratio_slope = (2.0 * m - 2.0 + t) * inverse, 4.0 * m * inverse * inverse
    s_y, s_x, z_y, z_x = ratio_slope * z_y, ratio_slope * z_x, ratio * z_y, ratio * z_x
    return (
        z_x * f_y + z_y * f_x,
        1.0 + z_x * f_x - z_y * f_y,
        f_y,
        f_x,
        z_x * dt_y + z_y * dt_x + s_x * f_y + s_y * f_x,
        z_x * dt_x - z_y * dt_y + s_x * f_x - s_y * f_y,
    )


@formula
def two_terms(m: Any, state: tuple, z_y: Any, z_x: Any, zz_y: Any, zz_x: Any, t: Any, shift: Any) -> tuple:
    """Add the terms 2 m + 1 and 2 m after a shift: half as many steps wait for one another."""
    f_y, f_x = state
    over, below = 4.0 * m + 2.0 * shift - 2.0 + t, 4.0 * m + 2.0 * shift + 2.0 - t
    first = over / (below * (below + 2.0))
    both, first = first * (over + 2.0), first * (below + 2.0)
    zz_y, zz_x = both * zz_y, both * zz_x
    return first * z_y + zz_x * f_y + zz_y * f_x, 1.0 + first * z_x + zz_x * f_x - zz_y * f_y


@formula
def two_terms_with_slope(
    m: Any, state: tuple, z_y: Any, z_x: Any, zz_y: Any, zz_x: Any, t: Any, shift: Any
) -> tuple:
    """Add them to the series and to its derivative in t."""
    f_y, f_x, dt_y, dt_x = state
    over, below = 4.0 * m + 2.0 * shift - 2.0 + t, 4.0 * m + 2.0 * shift + 2.0 - t
    next_over, next_below = over + 2.0, below + 2.0
    inverse = 1.0 / (below * next_below)
    first, both = over * next_below * inverse, over * next_over * inverse
    inverse, total = inverse * inverse, over + below
    first_slope = total * next_below * next_below * inverse
    both_slope = (total * next_over * next_below + over * below * (total + 4.0)) * inverse
    b_y, b_x, s_y, s_x = both * zz_y, both * zz_x, both_slope * zz_y, both_slope * zz_x
    return (
        first * z_y + b_x * f_y + b_y * f_x,
        1.0 + first * z_x + b_x * f_x - b_y * f_y,
        first_slope * z_y + b_x * dt_y + b_y * dt_x + s_x * f_y + s_y * f_x,
        first_slope * z_x + b_x * dt_x - b_y * dt_y + s_x * f_x - s_y * f_y,
    )


@formula
def series(z_y: Any, z_x: Any, t: Any, shift: Any, terms: Any) -> tuple:
    """Sum a series whose indices begin after a shift, as (y, x)."""
    zero, zz_y, zz_x = 0.0 * z_x, 2.0 * z_x * z_y, z_x * z_x - z_y * z_y
    state = repeat(two_terms, 0.5 * terms, (zero, zero + 1.0), z_y, z_x, zz_y, zz_x, t, shift)
    return term(1.0 + shift, state, z_y, z_x, t)


@formula
def series_with_slope(z_y: Any, z_x: Any, t: Any, shift: Any, terms: Any) -> tuple:
    """Sum such a series, the same without its first term, over that, and its derivative in t."""
    zero, zz_y, zz_x = 0.0 * z_x, 2.0 * z_x * z_y, z_x * z_x - z_y * z_y
    start = (zero, zero + 1.0, zero, zero)
    state = repeat(two_terms_with_slope, 0.5 * terms, start, z_y, z_x, zz_y, zz_x, t, shift)
    f_y, f_x, dt_y, dt_x = state
    return term_with_slope(1.0 + shift, (f_y, f_x, f_y, f_x, dt_y, dt_x), z_y, z_x, t)


@formula
def slope_in_z(state: tuple, z_y: Any, z_x: Any, t: Any, shift: Any) -> tuple[Any, Any]:
    """Return the derivative in z of a series whose indices begin after a shift, as (y, x).

    With b = shift + t/2 and c = shift + 2 - t/2 the series is ``2F1(1, b; c; z)``, and its derivative
    ``b (F - (c - 1) / c F_1) / (1 - z)``, of which F_1 is the series without its first term, over that.
    """
    f_y, f_x, p_y, p_x, _, _ = state
    b, after = shift + 0.5 * t, (shift + 1.0 - 0.5 * t) / (shift + 2.0 - 0.5 * t)
    d_y, d_x = f_y - after * p_y, f_x - after * p_x
    size = b / ((1.0 - z_x) * (1.0 - z_x) + z_y * z_y)
    return size * (d_y * (1.0 - z_x) + d_x * z_y), size * (d_x * (1.0 - z_x) - d_y * z_y)


@formula
def deflection(
    y: Any, x: Any, centre_y: Any, centre_x: Any, e_y: Any, e_x: Any, strength: Any, slope: Any, terms: Any
) -> tuple[Any, Any]:
    """Deflection angles (alpha_y, alpha_x), arcsec."""
    y, x = y - centre_y, x - centre_x
    u_y, u_x, inverse = direction(y, x, e_y, e_x)
    uu_y, uu_x = 2.0 * u_x * u_y, u_x * u_x - u_y * u_y
    z_y, z_x = uu_x * e_y - uu_y * e_x, -uu_x * e_x - uu_y * e_y
    f_y, f_x = series(z_y, z_x, slope - 1.0, 0.0, terms)
    size = strength * exp((slope - 2.0) * log(strength * inverse + _TINY))
    return size * (u_x * f_y + u_y * f_x), size * (u_x * f_x - u_y * f_y)


@formula
def deflection_pullback(
    y: Any,
    x: Any,
    centre_y: Any,
    centre_x: Any,
    e_y: Any,
    e_x: Any,
    strength: Any,
    slope: Any,
    terms: Any,
    alpha_y_bar: Any,
    alpha_x_bar: Any,
) -> tuple[Any, ...]:
    """Adjoint of `deflection`: cotangents of its nine inputs, of which ``terms`` has none."""
    y, x = y - centre_y, x - centre_x
    u_y, u_x, inverse = direction(y, x, e_y, e_x)
    uu_y, uu_x = 2.0 * u_x * u_y, u_x * u_x - u_y * u_y
    z_y, z_x = uu_x * e_y - uu_y * e_x, -uu_x * e_x - uu_y * e_y
    summed = series_with_slope(z_y, z_x, slope - 1.0, 0.0, terms)
    f_y, f_x, _, _, dt_y, dt_x = summed
    dz_y, dz_x = slope_in_z(summed, z_y, z_x, slope - 1.0, 0.0)
    steep = slope - 2.0
    logarithm = log(strength * inverse + _TINY)
    power = exp(steep * logarithm)
    size = strength * power
    # conj(bar) E, which every term below contains
    t_x, t_y = alpha_x_bar * u_x + alpha_y_bar * u_y, alpha_x_bar * u_y - alpha_y_bar * u_x
    along = t_x * f_x - t_y * f_y
    strength_bar = (1.0 + steep) * power * along
    slope_bar = size * (logarithm * along + t_x * dt_x - t_y * dt_y)
    # E turns by the angle Im(conj(E) dN) / |N|, which turns alpha by that angle times F + 2 z F'; |N| grows
    # by Re(conj(E) dN).
    turn_x, turn_y = f_x + 2.0 * (z_x * dz_x - z_y * dz_y), f_y + 2.0 * (z_x * dz_y + z_y * dz_x)
    turn = -size * (t_x * turn_y + t_y * turn_x) * inverse
    grow = -steep * size * along * inverse
    n_y_bar, n_x_bar = turn * u_x + grow * u_y, grow * u_x - turn * u_y
    # -conj(bar) E^3 F': the change of z by conj(e) itself
    p_x, p_y = t_y * uu_y - t_x * uu_x, -t_x * uu_y - t_y * uu_x
    y_bar, x_bar = n_y_bar + e_x * n_y_bar - e_y * n_x_bar, n_x_bar - e_x * n_x_bar - e_y * n_y_bar
    e_y_bar = size * (p_x * dz_y + p_y * dz_x) - n_y_bar * x - n_x_bar * y
    e_x_bar = size * (p_x * dz_x - p_y * dz_y) + n_y_bar * y - n_x_bar * x
    return y_bar, x_bar, -y_bar, -x_bar, e_y_bar, e_x_bar, strength_bar, slope_bar, 0.0 * u_x


@dataclass(frozen=True, eq=False)
class PowerLaw(MassProfile):
    """Elliptical power law, smooth through the isothermal one.

    ``kappa = (3 - slope) / (1 + q) * (einstein_radius / sqrt(x^2 + y^2 / q^2))^(slope - 1)`` in the
    major-axis frame: the convention of PyAutoLens, in which the mass has a kink at q = 1 unless the slope
    is 2. Lenstronomy's ``EPL`` has another radius, see `pymc_lens.convert.power_law_to_lenstronomy`.
    Deflections: Tessore & Metcalf 2015 (A&A 580, A79, eq. 13), to 1e-12 of themselves. At the centre itself,
    where their direction jumps, they and their derivatives are zero.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        ``(1 - q) / (1 + q) * (sin 2 phi, cos 2 phi)``, axis ratio q, angle phi counter-clockwise from +x; q
        above 0.01.
    einstein_radius : float
        Arcsec.
    slope : float
        Of the density in three dimensions, between 1 and 3; 2 is isothermal.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite Einstein radius, ``|ell_comps| >= 0.98``, a slope outside
        (1, 3), a centre that is not finite. Random variables outside these domains give NaN.

    Examples
    --------
    >>> pl.mass.PowerLaw(einstein_radius=1.6, ell_comps=(0.1, 0.0), slope=2.1)
    PowerLaw(centre=(0.0, 0.0), ell_comps=(0.1, 0.0), einstein_radius=1.6, slope=2.1)
    """

    domains: ClassVar = {
        "centre": PLANE,
        "ell_comps": elliptical(MOST_ELLIPTICAL),
        "einstein_radius": NOT_NEGATIVE,
        "slope": between(1.0, 3.0, instead=2.0),
    }

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0
    slope: Any = 2.0

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        # Homogeneous of degree 3 - slope: Euler's theorem.
        _, centre_y, centre_x, _, _, _, slope = self._parameters()
        alpha_y, alpha_x = self.deflections_yx(y, x)
        return ((y - centre_y) * alpha_y + (x - centre_x) * alpha_x) / (3.0 - slope)

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, centre_y, centre_x, e_y, e_x, strength, slope = self._parameters()
        parameters = (centre_y, centre_x, e_y, e_x, strength, slope, number_of_terms(e_y, e_x, _PRECISION))
        alpha_y, alpha_x = RayOp(deflection, deflection_pullback).deflections(y, x, *parameters)
        size = nan_unless(admissible, _normalisation(e_y, e_x, slope))
        return size * alpha_y, size * alpha_x

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        # Tessore & Metcalf 2015, eq. 15 to 17: of the deflection, by homogeneity, and of the convergence.
        admissible, centre_y, centre_x, e_y, e_x, strength, slope = self._parameters()
        alpha_y, alpha_x = self.deflections_yx(y, x)
        y, x = y - centre_y, x - centre_x
        stretched_squared = (y + e_x * y - e_y * x) ** 2 + (x - e_x * x - e_y * y) ** 2
        ratio = strength / pt.sqrt(stretched_squared + SOFTENING) + _TINY
        central = nan_unless(admissible, 0.5 * (3.0 - slope) * _normalisation(e_y, e_x, slope))
        convergence = central * pt.exp((slope - 1.0) * pt.log(ratio))
        # (2 - slope) alpha - kappa Z, over conj(Z)
        t_y, t_x = (2.0 - slope) * alpha_y - convergence * y, (2.0 - slope) * alpha_x - convergence * x
        squared = y * y + x * x + SOFTENING
        shear_1, shear_2 = (x * t_x - y * t_y) / squared, (x * t_y + y * t_x) / squared
        return Hessian(convergence - shear_1, shear_2, convergence + shear_1)

    def _parameters(self) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, then centre, e_y, e_x, strength and slope, which are."""
        admissible, centre_y, centre_x, e_y, e_x, radius, slope = self.inside_the_domain()
        return admissible, centre_y, centre_x, e_y, e_x, radius * (1.0 - e_y * e_y - e_x * e_x), slope


def _normalisation(e_y: TensorVariable, e_x: TensorVariable, slope: TensorVariable) -> TensorVariable:
    """PyAutoLens's deflection over that of the strength above: ((1 + q) / 2)^(slope - 2)."""
    return pt.exp((2.0 - slope) * pt.log1p(ellipticity(e_y, e_x)))


def number_of_terms(e_y: TensorVariable, e_x: TensorVariable, precision: float) -> TensorVariable:
    """Beyond which those of a series, at most ``|e|^n``, add up to less than its precision."""
    squared = zero_grad(e_y * e_y + e_x * e_x)
    # |e|^n / (1 - |e|), and 1 - |e| is more than (1 - |e|^2) / 2.
    return pt.ceil(2.0 * pt.log(0.5 * precision * (1.0 - squared)) / pt.log(squared + _TINY))
