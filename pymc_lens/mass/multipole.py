r"""Multipoles of a power law, about circles or about ellipses.

In the notation of `pymc_lens.mass.isothermal` and `pymc_lens.mass.power_law`, with :math:`\rho = k / |N|`
and a complex amplitude c, the convergence is :math:`\rho^t \mathrm{Re}(\bar c E^m) / 2`: two terms, of m and
of -m. That of m deflects by :math:`k \rho^{t - 1} \bar c E^{m + 1} F_m(z) / 4`, where :math:`z = -E^2 \bar e`
and the coefficients of

.. math:: F_m(z) = \frac{2}{2 + m - t} \left( 1 + \sum_{n > 0} z^n \prod_{j=1}^n
    \frac{2j + m - 2 + t}{2j + m + 2 - t} \right)

follow from :math:`\partial \alpha / \partial Z = \kappa` as those of the power law itself do (Tessore &
Metcalf 2015, A&A 580, A79). For an isothermal slope these are the elliptical multipoles of Paugnat &
Gilman 2025 (Elliptical multipoles for gravitational lenses). Of -m with an odd m, one coefficient has a pole
at t = 1: a uniform deflection, which no observation shows, is taken from it, and a logarithm is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.mass.isothermal import SOFTENING, direction
from pymc_lens.mass.power_law import (
    PowerLaw,
    number_of_terms,
    series,
    series_with_slope,
    slope_in_z,
    term,
    term_with_slope,
)
from pymc_lens.ops.formulas import choose, exp, log, repeat
from pymc_lens.ops.ray_op import RayOp, formula
from pymc_lens.symbolic import PLANE, nan_unless
from pymc_lens.validation import integer

_ORDERS = (1, 3, 4)
# Of the deflection, relative: that of a multipole is some percent of its lens's.
_PRECISION = 1e-10
# Keeps the logarithm of a radius of zero finite.
_TINY = 1e-300
# Of (e^x - 1) / x where x is small, and where that is.
_FACTORIALS = (1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0)
_SMALL = 0.03


@formula
def times(a: tuple, b: tuple) -> tuple:
    """Multiply complex numbers as (y, x)."""
    return a[0] * b[1] + a[1] * b[0], a[1] * b[1] - a[0] * b[0]


@formula
def once_more(m: Any, power: tuple, factor: tuple) -> tuple:
    """Multiply a power with its base."""
    return times(power, factor)


@formula
def small_growth(x: Any, power: Any) -> tuple:
    """``(e^x - 1) / x`` and its derivative for a small x."""
    value, slope = 0.0 * x, 0.0 * x
    for factorial in _FACTORIALS[::-1]:
        slope = slope * x + value
        value = value * x + 1.0 / factorial
    return value, slope


@formula
def large_growth(x: Any, power: Any) -> tuple:
    """``(e^x - 1) / x`` and its derivative for an x that is not small."""
    value = (power - 1.0) / x
    return value, (power - value) / x


@formula
def growth(x: Any, power: Any) -> tuple:
    """``(e^x - 1) / x`` and its derivative, of x and e^x."""
    return choose(abs(x) < _SMALL, small_growth, large_growth, x, power)


@formula
def shifted_term(m: Any, state: tuple, z_y: Any, z_x: Any, t: Any, shift: Any) -> tuple:
    """Add a term to a series whose indices do not begin at zero."""
    return term(m + shift, state, z_y, z_x, t)


@formula
def shifted_term_with_slope(m: Any, state: tuple, z_y: Any, z_x: Any, t: Any, shift: Any) -> tuple:
    """Add a term to such a series and to its derivative in t."""
    return term_with_slope(m + shift, state, z_y, z_x, t)


@formula
def directions(y: Any, x: Any, e_y: Any, e_x: Any, order: Any, tail_power: Any) -> tuple:
    """E, E^(order + 1), E^(1 - order), z and z^(tail_power - 1) as (y, x), and 1 / |N|."""
    u_y, u_x, inverse = direction(y, x, e_y, e_x)
    u, one = (u_y, u_x), (0.0 * u_x, 0.0 * u_x + 1.0)
    power = repeat(once_more, order - 1.0, u, u)
    z = times(times(u, u), (e_y, -e_x))
    return (
        u,
        times(power, u),
        times((-power[0], power[1]), u),
        z,
        repeat(once_more, tail_power - 1.0, one, z),
        inverse,
    )


@formula
def resonant(u: tuple, e_y: Any, e_x: Any, order: Any) -> tuple:
    """(-conj e)^((order - 1) / 2) as (y, x), and what it changes by for each conj e, a real number."""
    # At the centre itself, which has no direction, nothing is deflected.
    size = u[0] * u[0] + u[1] * u[1]
    first, third = 1.0 * (abs(order - 1.0) < 0.5), 1.0 * (abs(order - 3.0) < 0.5)
    return (size * third * e_y, size * (first - third * e_x)), -third * size


@formula
def deflection(
    y: Any,
    x: Any,
    centre_y: Any,
    centre_x: Any,
    e_y: Any,
    e_x: Any,
    strength: Any,
    slope: Any,
    c_y: Any,
    c_x: Any,
    ahead: Any,
    back: Any,
    next_back: Any,
    tail: Any,
    pole: Any,
    terms: Any,
    order: Any,
    tail_power: Any,
    tail_shift: Any,
) -> tuple[Any, Any]:
    """Deflection angles (alpha_y, alpha_x), arcsec."""
    u, up, down, z, lower, inverse = directions(y - centre_y, x - centre_x, e_y, e_x, order, tail_power)
    first = series(z[0], z[1], slope - 1.0, 0.5 * order, terms)
    # The tail of -m begins so many terms earlier, and goes on as the series of m does.
    steps = 0.5 * order - tail_shift
    rest = repeat(shifted_term, steps, first, z[0], z[1], slope - 1.0, tail_shift)
    tail_y, tail_x = times(times(lower, z), rest)
    forward = times(times((-c_y, c_x), up), first)
    backward = times(
        times((c_y, c_x), down), (next_back * z[0] + tail * tail_y, back + next_back * z[1] + tail * tail_x)
    )
    uniform, _ = resonant(u, e_y, e_x, order)
    uniform = times((pole * c_y, pole * c_x), uniform)
    logarithm = log(strength * inverse + _TINY)
    power = exp((slope - 2.0) * logarithm)
    grown, _ = growth((slope - 2.0) * logarithm, power)
    size, of_uniform = 0.25 * strength * power, -0.25 * strength * logarithm * grown
    return (
        size * (ahead * forward[0] + backward[0]) + of_uniform * uniform[0],
        size * (ahead * forward[1] + backward[1]) + of_uniform * uniform[1],
    )


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
    c_y: Any,
    c_x: Any,
    ahead: Any,
    back: Any,
    next_back: Any,
    tail: Any,
    pole: Any,
    terms: Any,
    order: Any,
    tail_power: Any,
    tail_shift: Any,
    alpha_y_bar: Any,
    alpha_x_bar: Any,
) -> tuple[Any, ...]:
    """Adjoint of `deflection`: cotangents of its inputs, of which the last four have none."""
    y, x = y - centre_y, x - centre_x
    u, up, down, z, lower, inverse = directions(y, x, e_y, e_x, order, tail_power)
    zero = 0.0 * inverse
    t, shift = slope - 1.0, 0.5 * order
    first = series_with_slope(z[0], z[1], t, shift, terms)
    rest = repeat(shifted_term_with_slope, shift - tail_shift, first, z[0], z[1], t, tail_shift)
    first_z, rest_z = slope_in_z(first, z[0], z[1], t, shift), slope_in_z(rest, z[0], z[1], t, tail_shift)
    upper = times(lower, z)
    shape, shape_t = times(upper, rest[:2]), times(upper, rest[4:])
    of_lower, of_rest = times(lower, rest[:2]), times(upper, rest_z)
    heads = (next_back * z[0] + tail * shape[0], back + next_back * z[1] + tail * shape[1])
    heads_z = (
        tail * (tail_power * of_lower[0] + of_rest[0]),
        next_back + tail * (tail_power * of_lower[1] + of_rest[1]),
    )
    uniform, uniform_slope = resonant(u, e_y, e_x, order)
    steep = slope - 2.0
    logarithm = log(strength * inverse + _TINY)
    power = exp(steep * logarithm)
    grown, grown_slope = growth(steep * logarithm, power)
    size, of_uniform = 0.25 * strength * power, -0.25 * strength * logarithm * grown
    # conj(bar) times the two parts and the uniform one, first without the amplitude
    bar = (-alpha_y_bar, alpha_x_bar)
    up, down, steady = times(bar, up), times(bar, down), times(bar, uniform)
    forward, backward = times(up, first[:2]), times(down, heads)
    c_y_bar = size * (ahead * forward[0] - backward[0]) - of_uniform * pole * steady[0]
    c_x_bar = size * (ahead * forward[1] + backward[1]) + of_uniform * pole * steady[1]
    c = (c_y, c_x)
    up, down, steady = times((-c_y, c_x), up), times(c, down), times(c, steady)
    forward, backward = times(up, first[:2]), times(down, heads)
    ahead_bar, back_bar, next_back_bar = size * forward[1], size * down[1], size * times(down, z)[1]
    tail_bar, pole_bar = size * times(down, shape)[1], of_uniform * steady[1]
    steady = (pole * steady[0], pole * steady[1])
    # and their derivatives in z and in t
    forward_z, backward_z = times(up, first_z), times(down, heads_z)
    forward_t, backward_t = times(up, first[4:]), times(down, shape_t)
    both = ahead * forward[1] + backward[1]
    strength_bar = 0.25 * power * (1.0 + steep) * both - 0.25 * (logarithm * grown + power) * steady[1]
    slope_bar = size * (logarithm * both + ahead * forward_t[1] + tail * backward_t[1])
    slope_bar = slope_bar - 0.25 * strength * logarithm * logarithm * grown_slope * steady[1]
    # E turns by an angle, and |N| grows.
    both_z = (ahead * forward_z[0] + backward_z[0], ahead * forward_z[1] + backward_z[1])
    turned = (order + 1.0) * ahead * forward[0] + (1.0 - order) * backward[0] + 2.0 * times(z, both_z)[0]
    turn, grow = -size * turned * inverse, size * (steady[1] - steep * both) * inverse
    n_y_bar, n_x_bar = turn * u[1] + grow * u[0], grow * u[1] - turn * u[0]
    # conj(e) itself changes z by -E^2, and the uniform deflection.
    direct, uniform_direct = times(times(u, u), both_z), times(bar, c)
    direct_y = of_uniform * pole * uniform_slope * uniform_direct[0] - size * direct[0]
    direct_x = of_uniform * pole * uniform_slope * uniform_direct[1] - size * direct[1]
    y_bar, x_bar = n_y_bar + e_x * n_y_bar - e_y * n_x_bar, n_x_bar - e_x * n_x_bar - e_y * n_y_bar
    e_y_bar = direct_y - n_y_bar * x - n_x_bar * y
    e_x_bar = direct_x + n_y_bar * y - n_x_bar * x
    of_shape = (y_bar, x_bar, -y_bar, -x_bar, e_y_bar, e_x_bar, strength_bar, slope_bar, c_y_bar, c_x_bar)
    return *of_shape, ahead_bar, back_bar, next_back_bar, tail_bar, pole_bar, zero, zero, zero, zero


@dataclass(frozen=True, eq=False)
class PowerLawMultipole(MassProfile):
    """Multipole of order 1, 3 or 4 of a `PowerLaw`, which it is added to.

    ``kappa = k_m / 2 (einstein_radius / r)^(slope - 1) cos m (phi - phi_m)`` about circles, as in PyAutoLens;
    with ``ell_comps`` about ellipses, r and phi being ``sqrt(q x^2 + y^2 / q) (1 + q) / (2 sqrt(q))`` and the
    angle of (q x, y) in the major-axis frame: Paugnat & Gilman 2025 and lenstronomy's
    ``EPL_MULTIPOLE_M1M3M4_ELL`` for a slope of 2, here for any. For an isothermal lens k_m is a_m / a of its
    isophotes. To 1e-10 of itself. A uniform deflection, which no observation shows, is taken from odd orders,
    which would have a pole at a slope of 2.

    Parameters
    ----------
    m : int
        1, 3 or 4.
    centre : (y, x)
        Arcsec.
    einstein_radius, slope : float
        Of the power law.
    multipole_comps : (y, x)
        ``k_m (sin m phi_m, cos m phi_m)``.
    ell_comps : (e_y, e_x), optional
        Of the power law; by default circles.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity; m cannot be random.
    ValueError
        For another order; for numbers: a negative or non-finite Einstein radius, a slope outside (1, 3),
        ``|ell_comps| >= 0.98``, other components or a centre that are not finite. Random variables outside
        these domains give NaN.
    """

    domains: ClassVar = {**PowerLaw.domains, "multipole_comps": PLANE}

    m: int = 4
    centre: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0
    slope: Any = 2.0
    multipole_comps: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)

    def __post_init__(self) -> None:
        if integer("m", self.m, minimum=1) not in _ORDERS:
            raise ValueError(f"m: expected one of {_ORDERS}, got {self.m}.")
        super().__post_init__()

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        # Euler's theorem, for what is homogeneous: without the uniform deflection.
        _, centre_y, centre_x, e_y, e_x, strength, slope, c_y, c_x = self._parameters()
        alpha_y, alpha_x = self.deflections_yx(y, x)
        uniform_y, uniform_x = self._uniform(e_y, e_x, strength, slope, c_y, c_x)
        return ((y - centre_y) * (alpha_y - uniform_y) + (x - centre_x) * (alpha_x - uniform_x)) / (
            3.0 - slope
        )

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, centre_y, centre_x, e_y, e_x, *rest = self._parameters()
        coefficients = _coefficients(self.m, rest[1] - 1.0)
        constants = (float(self.m), 1.0 if self.m == 1 else 2.0, 0.5 if self.m % 2 else 0.0)
        parameters = (
            centre_y,
            centre_x,
            e_y,
            e_x,
            *rest,
            *coefficients,
            number_of_terms(e_y, e_x, _PRECISION),
            *constants,
        )
        alpha_y, alpha_x = RayOp(deflection, deflection_pullback).deflections(y, x, *parameters)
        return nan_unless(admissible, alpha_y), nan_unless(admissible, alpha_x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        admissible, centre_y, centre_x, e_y, e_x, strength, slope, c_y, c_x = self._parameters()
        alpha_y, alpha_x = self.deflections_yx(y, x)
        uniform_y, uniform_x = self._uniform(e_y, e_x, strength, slope, c_y, c_x)
        y, x = y - centre_y, x - centre_x
        u_y, u_x, inverse = direction(y, x, e_y, e_x)
        power = (u_y, u_x)
        for _ in range(1, self.m):
            power = times(power, (u_y, u_x))
        size = nan_unless(admissible, 0.5 * pt.exp((slope - 1.0) * pt.log(strength * inverse + _TINY)))
        convergence = size * (c_y * power[0] + c_x * power[1])
        # As of the power law: of the deflection, by homogeneity, and of the convergence.
        t_y = (2.0 - slope) * alpha_y + uniform_y - convergence * y
        t_x = (2.0 - slope) * alpha_x + uniform_x - convergence * x
        squared = y * y + x * x + SOFTENING
        shear_1, shear_2 = (x * t_x - y * t_y) / squared, (x * t_y + y * t_x) / squared
        return Hessian(convergence - shear_1, shear_2, convergence + shear_1)

    def _uniform(
        self, e_y: Any, e_x: Any, strength: Any, slope: Any, c_y: Any, c_x: Any
    ) -> tuple[TensorVariable, TensorVariable]:
        """2 - slope times the uniform deflection that was taken away."""
        size = 0.25 * strength * _coefficients(self.m, slope - 1.0)[4]
        turned, _ = resonant((0.0, 1.0), e_y, e_x, float(self.m))
        uniform_y, uniform_x = times((c_y, c_x), turned)
        return size * uniform_y, size * uniform_x

    def _parameters(self) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, then centre, e_y, e_x, strength, slope and amplitude."""
        admissible, centre_y, centre_x, e_y, e_x, radius, slope, c_y, c_x = self.inside_the_domain()
        strength = radius * (1.0 - e_y * e_y - e_x * e_x)
        return admissible, centre_y, centre_x, e_y, e_x, strength, slope, c_y, c_x


def _coefficients(m: int, t: TensorVariable) -> tuple[Any, ...]:
    """First coefficient of F_m; of F_-m the first, the next, the tail's, and 1 - t times that with a pole."""
    ahead, none = 2.0 / (2.0 + m - t), 0.0 * t
    if m == 1:
        return ahead, none, none, -2.0 / (3.0 - t), none + 2.0
    if m == 3:
        return ahead, -2.0 / (1.0 + t), none, -2.0 / (1.0 + t), 2.0 * (3.0 - t) / (1.0 + t)
    following = -2.0 * (4.0 - t) / (t * (2.0 + t))
    return ahead, -2.0 / (2.0 + t), following, -following, none
