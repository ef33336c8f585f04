r"""Mass that is a sum of elliptical Gaussians, and the light that it shines with.

In the notation of `pymc_lens.mass.nfw`, with u, and with :math:`m = M / 2` for the width in the place of the
scale radius, the integral over homoeoids of `pymc_lens.mass.sersic` is one of Legendre polynomials:

.. math:: \alpha = \kappa_0 N F(m, u), \quad F = \int_0^1 \frac{e^{-m \tau} d\tau}
    {\sqrt{(1 + u)^2 - 4 u \tau}} = e^{-m / 2} \sum_k (-u)^k i_k(m / 2)

with modified spherical Bessel functions :math:`i_k`. It is what Shajib 2019 (MNRAS 488, 1387) writes with
the Faddeeva function, and is regular at the centre and in e through zero. Ratios :math:`i_k / i_{k - 1}` are
a continued fraction, so one recursion downwards gives both these and, by Horner's rule, the sum. As
:math:`\partial \alpha / \partial Z = \kappa`, the derivative in m follows from that in u:
:math:`F + m (1 - u) F_m + u (1 + u) F_u = e^{-m}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.replace import vectorize_graph
from pytensor.tensor.variable import TensorVariable

from pymc_lens.light.mixture import Mixture
from pymc_lens.light.multi_gaussian import MultiGaussian as LinearGaussians
from pymc_lens.mass.base import MassProfile
from pymc_lens.mass.nfw import shape
from pymc_lens.mass.power_law import MOST_ELLIPTICAL, number_of_terms
from pymc_lens.ops.formulas import exp, repeat
from pymc_lens.ops.ray_op import RayOp, formula
from pymc_lens.quadrature import gauss_legendre
from pymc_lens.symbolic import moderate, nan_unless, pair, scalar, vector, zero_unless
from pymc_lens.validation import require_ell_comps, require_not_negative

# Of the deflection, relative: where the series ends.
_PRECISION = 1e-11
# Terms that the continued fraction is taken from beyond those of the series, and the fewest of both.
_MORE, _FEWEST = 8.0, 26.0
# Nodes of the potential's integral along a ray.
_POTENTIAL_NODES = 32


@formula
def first_ratio(order: Any, x: Any) -> Any:
    """Return ``i_k(x) / i_(k - 1)(x)`` of an order k - 1/2 that is not small.

    ``x (I'/I + order / x)`` of the modified Bessel function, by Riccati's equation in powers of
    ``1 / sqrt(x^2 + order^2)``: wrong by 1e-8 of itself at an order of 20, of which the recursion
    keeps 1e-12.
    """
    squared = x * x + order * order
    s, p = squared**0.5, x * x / squared
    correction = p * (1.0 - 1.25 * p) / s - p * (1.0 - p * (4.5 - 3.75 * p)) / squared - p
    return x / (s + order + 0.5 * correction)


@formula
def term(k: Any, state: tuple, u_y: Any, u_x: Any, x: Any) -> tuple:
    """Go one order down: a ratio of Bessel functions, the sum from there on and its derivative in u."""
    ratio, f_y, f_x, d_y, d_x = state
    ratio = x / (2.0 * k + 1.0 + x * ratio)
    v_y, v_x = ratio * u_y, ratio * u_x
    return (
        ratio,
        -(v_x * f_y + v_y * f_x),
        1.0 - v_x * f_x + v_y * f_y,
        -(ratio * f_y + v_x * d_y + v_y * d_x),
        -(ratio * f_x + v_x * d_x - v_y * d_y),
    )


@formula
def summed(u_y: Any, u_x: Any, m: Any, terms: Any) -> tuple:
    """Return F, its derivative in u and m times that in m, as (y, x) each."""
    x, zero = 0.5 * m, 0.0 * m
    start = (first_ratio(terms + 1.5, x), zero, zero + 1.0, zero, zero)
    ratio, f_y, f_x, d_y, d_x = repeat(term, terms, start, u_y, u_x, x)
    kappa = exp(-m)
    size = 0.5 * (1.0 + kappa) / (1.0 + x * ratio)
    f_y, f_x, d_y, d_x = size * f_y, size * f_x, size * d_y, size * d_x
    v_y, v_x = u_y * (1.0 + 2.0 * u_x), u_x * (1.0 + u_x) - u_y * u_y
    g_y, g_x = -f_y - v_y * d_x - v_x * d_y, kappa - f_x - v_x * d_x + v_y * d_y
    over = 1.0 / ((1.0 - u_x) * (1.0 - u_x) + u_y * u_y)
    return f_y, f_x, d_y, d_x, over * (g_y * (1.0 - u_x) + g_x * u_y), over * (g_x * (1.0 - u_x) - g_y * u_y)


@formula
def deflection(
    y: Any, x: Any, centre_y: Any, centre_x: Any, e_y: Any, e_x: Any, kappa: Any, sigma: Any, terms: Any
) -> tuple[Any, Any]:
    """Deflection angles (alpha_y, alpha_x), arcsec, of a Gaussian of convergence ``kappa`` at its centre."""
    n_y, n_x, _, _, u_y, u_x, M, _ = shape(y - centre_y, x - centre_x, e_y, e_x, sigma)
    f_y, f_x, _, _, _, _ = summed(u_y, u_x, 0.5 * M, terms)
    return kappa * (n_y * f_x + n_x * f_y), kappa * (n_x * f_x - n_y * f_y)


@formula
def deflection_pullback(
    y: Any,
    x: Any,
    centre_y: Any,
    centre_x: Any,
    e_y: Any,
    e_x: Any,
    kappa: Any,
    sigma: Any,
    terms: Any,
    alpha_y_bar: Any,
    alpha_x_bar: Any,
) -> tuple[Any, ...]:
    """Adjoint of `deflection`: cotangents of its nine inputs, of which ``terms`` has none."""
    y, x = y - centre_y, x - centre_x
    n_y, n_x, uu_y, uu_x, u_y, u_x, M, inverse = shape(y, x, e_y, e_x, sigma)
    f_y, f_x, d_y, d_x, m_y, m_x = summed(u_y, u_x, 0.5 * M, terms)
    # conj(bar) N
    t_x, t_y = alpha_x_bar * n_x + alpha_y_bar * n_y, alpha_x_bar * n_y - alpha_y_bar * n_x
    kappa_bar = t_x * f_x - t_y * f_y
    # M times what is due to M
    along = kappa * (t_x * m_x - t_y * m_y)
    # of u: E^2 changes by 2i the angle by which N turns, and conj(e) itself
    p_y, p_x = kappa * (t_x * d_y + t_y * d_x), kappa * (t_x * d_x - t_y * d_y)
    turn = -2.0 * (p_x * u_y + p_y * u_x) * inverse
    grow = 2.0 * along * inverse
    n_y_bar = kappa * (alpha_y_bar * f_x - alpha_x_bar * f_y) + turn * n_x + grow * n_y
    n_x_bar = kappa * (alpha_x_bar * f_x + alpha_y_bar * f_y) - turn * n_y + grow * n_x
    y_bar, x_bar = n_y_bar + e_x * n_y_bar - e_y * n_x_bar, n_x_bar - e_x * n_x_bar - e_y * n_y_bar
    of_area = 2.0 * along / (1.0 - e_y * e_y - e_x * e_x)
    e_y_bar = p_x * uu_y + p_y * uu_x + of_area * e_y - n_y_bar * x - n_x_bar * y
    e_x_bar = p_x * uu_x - p_y * uu_y + of_area * e_x + n_y_bar * y - n_x_bar * x
    return y_bar, x_bar, -y_bar, -x_bar, e_y_bar, e_x_bar, kappa_bar, -2.0 * along / sigma, 0.0 * x


@dataclass(frozen=True, eq=False)
class MultiGaussian(MassProfile):
    """Stellar mass: the convergence of elliptical Gaussians of fixed widths, and their `light`.

    ``kappa = mass_to_light_ratio * sum_i intensities_i exp(-(q x^2 + y^2 / q) / (2 sigmas_i^2))`` in the
    major-axis frame of each group, the convention of `pymc_lens.light.MultiGaussian`: sigma is the geometric
    mean of the widths along both axes, as of lenstronomy's ``GAUSSIAN_ELLIPSE_KAPPA``, whose ``amp`` is
    ``2 pi sigma^2`` times the convergence at the centre. Deflections: Shajib 2019 (MNRAS 488, 1387), to 1e-10
    of themselves, smooth through q = 1.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x), or a sequence of them
        One pair for each group, see `pymc_lens.mass.Isothermal`; q above 0.01.
    sigmas : array, or a sequence of arrays
        Widths in arcsec, one array for each group; numbers.
    intensities : array or variable (n,)
        Surface brightness of each Gaussian at its centre, group after group.
    mass_to_light_ratio : float
        Convergence for a surface brightness of one.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity; widths cannot be random.
    ValueError
        If the numbers of groups, or of Gaussians and intensities, differ; for numbers: a width that is not
        positive, an intensity that is not finite, a negative ratio, ``|ell_comps| >= 0.98``, a centre that is
        not finite. Random variables outside these domains give NaN.

    Examples
    --------
    One object for both; see `light` for what the ratio is in units of the data:

    >>> stars = pl.mass.MultiGaussian(centre, ell_comps, sigmas, intensities, ratio)  # doctest: +SKIP
    >>> pl.Galaxy(0.5, mass=stars + halo, light=stars.light)  # doctest: +SKIP
    """

    centre: Any
    ell_comps: Any
    sigmas: Any
    intensities: Any
    mass_to_light_ratio: Any = 1.0

    def __post_init__(self) -> None:
        gaussians = self._gaussians
        for ellipticity in gaussians.ellipticities:
            require_ell_comps("ell_comps", ellipticity, below=MOST_ELLIPTICAL)
        vector("intensities", self.intensities, gaussians.n_columns)
        require_not_negative("mass_to_light_ratio", scalar("mass_to_light_ratio", self.mass_to_light_ratio))

    @property
    def light(self) -> Mixture:
        """Light of the same shape, of one amplitude: its surface brightness at the centre.

        The amplitude is solved for, whatever the sum of the intensities, and changes no mass. So in units of
        the data the mass-to-light ratio is ``mass_to_light_ratio * sum(intensities) / amplitude``.
        """
        return Mixture(self._gaussians, self.intensities)

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        # Along a ray in a variable that is linear within each Gaussian and logarithmic beyond.
        (centre_y, centre_x), widths = self._moderate_centre(), self._widths
        nodes, weights = gauss_legendre(_POTENTIAL_NODES)
        off_y, off_x = y - centre_y, x - centre_x
        wide = widths.reshape(-1, *(1,) * (y.type.ndim + 1))
        reach = pt.arcsinh(pt.sqrt(off_y * off_y + off_x * off_x + 1e-20)[..., None] / wide)
        step = pt.sinh(reach * nodes) / pt.sinh(reach)
        slope = reach * pt.cosh(reach * nodes) / pt.sinh(reach)
        off_y, off_x = off_y[..., None], off_x[..., None]
        alpha_y, alpha_x = self._each(centre_y + step * off_y, centre_x + step * off_x)
        return ((off_y * alpha_y + off_x * alpha_x) * slope * weights).sum(axis=(0, -1))

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        y, x = pt.as_tensor_variable(y), pt.as_tensor_variable(x)
        alpha_y, alpha_x = self._each(y[None], x[None])
        return alpha_y.sum(axis=0), alpha_x.sum(axis=0)

    def _each(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        """Deflections (n, ...) by each Gaussian, at positions of its own (n, ...) or at the same (1, ...)."""
        admissible, parameters = self._parameters()
        rays = pt.dvector("y"), pt.dvector("x")
        one = pt.tensor("parameters", dtype="float64", shape=parameters.type.shape[1:])
        many = {rays[0]: y.reshape((y.shape[0], -1)), rays[1]: x.reshape((x.shape[0], -1)), one: parameters}
        if y.type.shape[0] == 1:
            many[rays[0]], many[rays[1]] = y.ravel(), x.ravel()
        alphas = vectorize_graph(list(RayOp(deflection, deflection_pullback)(*rays, one)), many)
        shape = (parameters.type.shape[0], *(y.shape[axis] for axis in range(1, y.type.ndim)))
        alpha_y, alpha_x = (nan_unless(admissible, alpha).reshape(shape) for alpha in alphas)
        return alpha_y, alpha_x

    def _parameters(self) -> tuple[TensorVariable, TensorVariable]:
        """Whether the parameters are admissible, and those of each Gaussian's formula, (n, 7), which are."""
        ratio = pt.as_tensor_variable(scalar("mass_to_light_ratio", self.mass_to_light_ratio))
        intensities = vector("intensities", self.intensities, self._widths.size)
        shapes = [tuple(map(pt.as_tensor_variable, each)) for each in self._gaussians.ellipticities]
        conditions = [e_y * e_y + e_x * e_x < MOST_ELLIPTICAL**2 for e_y, e_x in shapes]
        conditions += [condition.all() for condition in moderate(intensities)]
        extreme = moderate(*pair("centre", self.centre), ratio)
        admissible = reduce(and_, [*extreme, *conditions], ratio >= 0.0)
        kappas = pt.switch(admissible, ratio * intensities, 0.0)
        shapes = [tuple(zero_unless(admissible, part) for part in each) for each in shapes]
        counts = [pt.maximum(number_of_terms(e_y, e_x, _PRECISION) + _MORE, _FEWEST) for e_y, e_x in shapes]
        groups = pt.stack([pt.stack([*each, count]) for each, count in zip(shapes, counts, strict=True)])
        rows = groups[self._gaussians.groups]
        centre = pt.stack(self._moderate_centre())
        same = pt.ones((self._widths.size, 1))
        columns = (same * centre, rows[:, :2], kappas[:, None], self._widths[:, None], rows[:, 2:])
        return admissible, pt.concatenate(columns, axis=1)

    def _moderate_centre(self) -> tuple[TensorVariable, TensorVariable]:
        centre_y, centre_x = pair("centre", self.centre)
        near = reduce(and_, moderate(centre_y, centre_x), pt.as_tensor_variable(np.array(True)))
        return zero_unless(near, centre_y), zero_unless(near, centre_x)

    @property
    def _gaussians(self) -> LinearGaussians:
        return LinearGaussians(self.centre, self.ell_comps, self.sigmas)

    @property
    def _widths(self) -> np.ndarray:
        return np.concatenate(self._gaussians.widths)
