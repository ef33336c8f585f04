r"""Navarro-Frenk-White haloes.

With :math:`X = (r / r_s)^2` and :math:`G(w) = \arctan\sqrt w / \sqrt w` the convergence of a round one is
:math:`2 \kappa_s g`, :math:`g = (1 - G(X - 1)) / (X - 1)`, and the deflection :math:`4 \kappa_s h / X` times
the position, :math:`h = \ln(X / 4) / 2 + G(X - 1)` (Wright & Brainerd 2000, ApJ 534, 34).

Of an elliptical one, in the notation of `pymc_lens.mass.isothermal`, the integral over homoeoids (Bourassa
& Kantowski 1975, ApJ 195, 13) is elementary, as Heyrovský & Karamazov 2024 (A&A 690, A19) have found: with
:math:`u = E^2 \bar e`, :math:`M = |N|^2 / (1 - |e|^2) r_s^2` and g, h at M

.. math:: \alpha = 4 \kappa_s N \frac{(1 - u) h + u \ln(M / 4) + (1 + u) \ln(1 + u)}{M (1 + u)^2 - 4 u} .

The denominator is zero, with the numerator, at two foci on the major axis; within 1e-5 scale radii of them
digits are lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import FromDeflections, Hessian, MassProfile, WithoutPotential
from pymc_lens.ops.formulas import arctan, choose, log, log1p, minimum
from pymc_lens.ops.ray_op import RayOp, formula
from pymc_lens.symbolic import NOT_NEGATIVE, PLANE, POSITIVE, elliptical, ellipticity, nan_unless

# Of squared radii, in scale radii and in arcsec: logarithms and directions are finite at the centre.
_SOFTENING = 1e-40
_CENTRE = 1e-20
# From X = 1 on either side: where the series of g is taken, and its coefficients.
_NEAR = 0.1
_SERIES = tuple((-1.0) ** k / (2 * k + 3) for k in range(15))


@formula
def inner(X: Any, logarithm: Any) -> tuple[Any, Any]:
    """Return h and g where X < 1, without cancellation as X goes to zero."""
    X = minimum(X, 1.0)
    root = (1.0 - X + _SOFTENING) ** 0.5
    half = log1p(-0.5 * X / (1.0 + root))
    ratio = (half - logarithm) / root
    return half + X * ratio / (1.0 + root), (ratio - 1.0) / (root * root)


@formula
def outer(X: Any, logarithm: Any) -> tuple[Any, Any]:
    """Return h and g where X > 1."""
    root = (abs(X - 1.0) + _SOFTENING) ** 0.5
    ratio = arctan(root) / root
    return logarithm + ratio, (1.0 - ratio) / (root * root)


@formula
def near(X: Any, logarithm: Any) -> tuple[Any, Any]:
    """Return h and g where X is about one."""
    w = X - 1.0
    g = 0.0 * w
    for coefficient in _SERIES[::-1]:
        g = g * w + coefficient
    return logarithm + 1.0 - w * g, g


@formula
def inner_or_outer(X: Any, logarithm: Any) -> tuple[Any, Any]:
    """Return h and g where X is not about one."""
    return choose(X < 1.0, inner, outer, X, logarithm)


@formula
def halo(X: Any, logarithm: Any) -> tuple[Any, Any]:
    """Return h and g of a squared radius X, of which the logarithm is ``log(X / 4) / 2``."""
    return choose(abs(X - 1.0) < _NEAR, near, inner_or_outer, X, logarithm)


# --- round


@formula
def round_deflection(
    y: Any, x: Any, centre_y: Any, centre_x: Any, kappa_s: Any, scale: Any
) -> tuple[Any, Any]:
    """Deflection angles (alpha_y, alpha_x), arcsec."""
    y, x = y - centre_y, x - centre_x
    X = (y * y + x * x) / (scale * scale) + _SOFTENING
    h, _ = halo(X, 0.5 * log(0.25 * X))
    over = 4.0 * kappa_s * h / X
    return over * y, over * x


@formula
def round_pullback(
    y: Any,
    x: Any,
    centre_y: Any,
    centre_x: Any,
    kappa_s: Any,
    scale: Any,
    alpha_y_bar: Any,
    alpha_x_bar: Any,
) -> tuple[Any, ...]:
    """Adjoint of `round_deflection`: cotangents of its six inputs."""
    y, x = y - centre_y, x - centre_x
    inverse = 1.0 / (scale * scale)
    X = (y * y + x * x) * inverse + _SOFTENING
    h, g = halo(X, 0.5 * log(0.25 * X))
    over, along = h / X, 4.0 * (alpha_y_bar * y + alpha_x_bar * x)
    # The mean convergence within X is proportional to h / X, and the convergence to g / 2.
    X_bar = kappa_s * along * (0.5 * g - over) / X
    y_bar = 4.0 * kappa_s * over * alpha_y_bar + 2.0 * X_bar * inverse * y
    x_bar = 4.0 * kappa_s * over * alpha_x_bar + 2.0 * X_bar * inverse * x
    return y_bar, x_bar, -y_bar, -x_bar, over * along, -2.0 * X * X_bar / scale


# --- elliptical


@formula
def shape(y: Any, x: Any, e_y: Any, e_x: Any, scale: Any) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any]:
    """Return N, E^2 and u as (y, x), M and 1 / |N|^2 of a ray relative to the centre."""
    n_y, n_x = y + e_x * y - e_y * x, x - e_x * x - e_y * y
    squared = n_y * n_y + n_x * n_x
    inverse = 1.0 / (squared + _CENTRE)
    uu_y, uu_x = 2.0 * n_x * n_y * inverse, (n_x * n_x - n_y * n_y) * inverse
    M = squared / ((1.0 - e_y * e_y - e_x * e_x) * scale * scale) + _SOFTENING
    return n_y, n_x, uu_y, uu_x, uu_y * e_x - uu_x * e_y, uu_x * e_x + uu_y * e_y, M, inverse


@formula
def fraction(u_y: Any, u_x: Any, M: Any, h: Any, logarithm: Any) -> tuple[Any, ...]:
    """Return the fraction above as (y, x), ln(1 + u) as (y, x), and 1 over the denominator as (y, x)."""
    l_y, l_x = arctan(u_y / (1.0 + u_x)), 0.5 * log1p(u_x * (2.0 + u_x) + u_y * u_y)
    change = 2.0 * logarithm - h
    top_y, top_x = u_y * (change + l_x) + (1.0 + u_x) * l_y, h + u_x * change + (1.0 + u_x) * l_x - u_y * l_y
    bottom_y = 2.0 * u_y * (M * (1.0 + u_x) - 2.0)
    bottom_x = M * ((1.0 + u_x) * (1.0 + u_x) - u_y * u_y) - 4.0 * u_x
    size = bottom_y * bottom_y + bottom_x * bottom_x + _SOFTENING * _SOFTENING
    i_y, i_x = -bottom_y / size, bottom_x / size
    return top_y * i_x + top_x * i_y, top_x * i_x - top_y * i_y, l_y, l_x, i_y, i_x


@formula
def deflection(
    y: Any, x: Any, centre_y: Any, centre_x: Any, e_y: Any, e_x: Any, kappa_s: Any, scale: Any
) -> tuple[Any, Any]:
    """Deflection angles (alpha_y, alpha_x), arcsec."""
    n_y, n_x, _, _, u_y, u_x, M, _ = shape(y - centre_y, x - centre_x, e_y, e_x, scale)
    logarithm = 0.5 * log(0.25 * M)
    h, _ = halo(M, logarithm)
    f_y, f_x, _, _, _, _ = fraction(u_y, u_x, M, h, logarithm)
    size = 4.0 * kappa_s
    return size * (n_y * f_x + n_x * f_y), size * (n_x * f_x - n_y * f_y)


@formula
def deflection_pullback(
    y: Any,
    x: Any,
    centre_y: Any,
    centre_x: Any,
    e_y: Any,
    e_x: Any,
    kappa_s: Any,
    scale: Any,
    alpha_y_bar: Any,
    alpha_x_bar: Any,
) -> tuple[Any, ...]:
    """Adjoint of `deflection`: cotangents of its eight inputs."""
    y, x = y - centre_y, x - centre_x
    n_y, n_x, uu_y, uu_x, u_y, u_x, M, inverse = shape(y, x, e_y, e_x, scale)
    logarithm = 0.5 * log(0.25 * M)
    h, g = halo(M, logarithm)
    f_y, f_x, l_y, l_x, i_y, i_x = fraction(u_y, u_x, M, h, logarithm)
    # Derivative of the fraction in u
    b_y, b_x = 2.0 * M * u_y, 2.0 * M * (1.0 + u_x) - 4.0
    d_y, d_x = l_y - f_y * b_x - f_x * b_y, 2.0 * logarithm - h + 1.0 + l_x - f_x * b_x + f_y * b_y
    du_y, du_x = d_y * i_x + d_x * i_y, d_x * i_x - d_y * i_y
    # and in M
    b_y, b_x = 2.0 * u_y * (1.0 + u_x), (1.0 + u_x) * (1.0 + u_x) - u_y * u_y
    change = 1.0 / M - 0.5 * g
    d_y, d_x = u_y * change - f_y * b_x - f_x * b_y, 0.5 * g + u_x * change - f_x * b_x + f_y * b_y
    dM_y, dM_x = d_y * i_x + d_x * i_y, d_x * i_x - d_y * i_y
    # conj(bar) N
    t_x, t_y = alpha_x_bar * n_x + alpha_y_bar * n_y, alpha_x_bar * n_y - alpha_y_bar * n_x
    size = 4.0 * kappa_s
    kappa_s_bar = 4.0 * (t_x * f_x - t_y * f_y)
    M_bar = size * (t_x * dM_x - t_y * dM_y)
    # of u: E^2 changes by 2i the angle by which N turns, and conj(e) itself
    p_y, p_x = size * (t_x * du_y + t_y * du_x), size * (t_x * du_x - t_y * du_y)
    turn = -2.0 * (p_x * u_y + p_y * u_x) * inverse
    grow = 2.0 * M_bar * M * inverse
    n_y_bar = size * (alpha_y_bar * f_x - alpha_x_bar * f_y) + turn * n_x + grow * n_y
    n_x_bar = size * (alpha_x_bar * f_x + alpha_y_bar * f_y) - turn * n_y + grow * n_x
    y_bar, x_bar = n_y_bar + e_x * n_y_bar - e_y * n_x_bar, n_x_bar - e_x * n_x_bar - e_y * n_y_bar
    of_area = 2.0 * M_bar * M / (1.0 - e_y * e_y - e_x * e_x)
    e_y_bar = p_x * uu_y + p_y * uu_x + of_area * e_y - n_y_bar * x - n_x_bar * y
    e_x_bar = p_x * uu_x - p_y * uu_y + of_area * e_x + n_y_bar * y - n_x_bar * x
    return y_bar, x_bar, -y_bar, -x_bar, e_y_bar, e_x_bar, kappa_s_bar, -2.0 * M_bar * M / scale


@dataclass(frozen=True, eq=False)
class NFW(WithoutPotential):
    """Elliptical Navarro-Frenk-White halo, exact.

    ``kappa = 2 kappa_s (1 - F(s)) / (s^2 - 1)`` with ``s = sqrt(x^2 + y^2 / q^2) / scale_radius`` in the
    major-axis frame, the convention of PyAutoLens, and F as of Wright & Brainerd 2000 (ApJ 534, 34). As the
    scale radius is that of the major axis, the mass has a kink at q = 1. Deflections: Heyrovský & Karamazov
    2024 (A&A 690, A19). The potential is integrated along rays from the centre, to 1e-9 of itself.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        ``(1 - q) / (1 + q) * (sin 2 phi, cos 2 phi)``, axis ratio q, angle phi counter-clockwise from +x.
    kappa_s : float
        ``rho_s scale_radius / Sigma_critical``.
    scale_radius : float
        Arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite ``kappa_s``, a scale radius that is not positive,
        ``|ell_comps| >= 1``, a centre that is not finite. Random variables outside these domains give NaN.

    Examples
    --------
    >>> pl.mass.NFW(kappa_s=0.1, scale_radius=10.0, ell_comps=(0.1, 0.0))
    NFW(centre=(0.0, 0.0), ell_comps=(0.1, 0.0), kappa_s=0.1, scale_radius=10.0)
    """

    domains: ClassVar = {
        "centre": PLANE,
        "ell_comps": elliptical(),
        "kappa_s": NOT_NEGATIVE,
        "scale_radius": POSITIVE,
    }

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    kappa_s: Any = 0.05
    scale_radius: Any = 1.0

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, *parameters = self._parameters()
        alpha_y, alpha_x = RayOp(deflection, deflection_pullback).deflections(y, x, *parameters)
        return nan_unless(admissible, alpha_y), nan_unless(admissible, alpha_x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        admissible, *parameters = self._parameters()
        elements = FromDeflections(lambda y, x: deflection(y, x, *parameters)).hessian_yx(y, x)
        return Hessian(*(nan_unless(admissible, element) for element in elements))

    def _parameters(self) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, then parameters of the formulas, which are."""
        admissible, centre_y, centre_x, e_y, e_x, kappa_s, scale = self.inside_the_domain()
        # Geometric mean of both axes: times sqrt(q).
        size = ellipticity(e_y, e_x)
        return admissible, centre_y, centre_x, e_y, e_x, kappa_s, scale * pt.sqrt((1.0 - size) / (1.0 + size))


@dataclass(frozen=True, eq=False)
class NFWSph(MassProfile):
    """Round Navarro-Frenk-White halo: `NFW` without ell_comps, and faster.

    See `pymc_lens.convert.nfw_to_lenstronomy` for lenstronomy's parameters.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    kappa_s : float
        ``rho_s scale_radius / Sigma_critical``.
    scale_radius : float
        Arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite ``kappa_s``, a scale radius that is not positive, a centre that
        is not finite. Random variables outside these domains give NaN.
    """

    domains: ClassVar = {"centre": PLANE, "kappa_s": NOT_NEGATIVE, "scale_radius": POSITIVE}

    centre: Any = (0.0, 0.0)
    kappa_s: Any = 0.05
    scale_radius: Any = 1.0

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        # Meneghetti et al. 2003 (MNRAS 340, 105): log(s / 2)^2 - arctanh(sqrt(1 - s^2))^2, of which the
        # latter is (1 - s^2) G^2.
        admissible, centre_y, centre_x, kappa_s, scale = self.inside_the_domain()
        X = ((y - centre_y) ** 2 + (x - centre_x) ** 2) / scale**2 + _SOFTENING
        logarithm = 0.5 * pt.log(0.25 * X)
        h, _ = halo(X, logarithm)
        return nan_unless(
            admissible, 2.0 * kappa_s * scale**2 * (h * (2.0 * logarithm - h) + X * (h - logarithm) ** 2)
        )

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, *parameters = self.inside_the_domain()
        alpha_y, alpha_x = RayOp(round_deflection, round_pullback).deflections(y, x, *parameters)
        return nan_unless(admissible, alpha_y), nan_unless(admissible, alpha_x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        admissible, centre_y, centre_x, kappa_s, scale = self.inside_the_domain()
        y, x = y - centre_y, x - centre_x
        X = (y * y + x * x) / scale**2 + _SOFTENING
        h, g = halo(X, 0.5 * pt.log(0.25 * X))
        size = nan_unless(admissible, 4.0 * kappa_s)
        # The mean convergence within a radius, and what its slope adds.
        mean, fall = size * h / X, size * (g - 2.0 * h / X) / (y * y + x * x + _CENTRE)
        return Hessian(mean + fall * y * y, fall * y * x, mean + fall * x * x)
