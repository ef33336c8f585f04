r"""Haloes with another inner slope or a core: sums of cored steep ellipsoids (Oguri 2021, PASP 133, 074504).

A density :math:`\rho(r)` that is analytic but for a cut where :math:`r^2` is negative, and falls there, is
by Stieltjes' inversion a sum of :math:`1 / (r^2 + s^2)`, each of which projects to an isothermal ellipsoid
with a core s. By parts these become ellipsoids that fall as the third power of the radius, whose weights are
known too and whose deflections are algebraic:

.. math:: \kappa(\xi) \propto \int_0^\infty \frac{G(s) \, s \, ds}{(\xi^2 + s^2)^{3/2}}, \quad
    G(s) = -\mathrm{Im} \int_0^s \rho(i u) \, u \, du .

In :math:`\ln s` the integrand is analytic within a distance of :math:`\pi / 2` from the real axis, so
trapezoids are exact to :math:`e^{-\pi^2 / h}` for a step h. In units of :math:`\rho_s` and of the scale
radius:

- generalised, :math:`\rho = x^{-\gamma} (1 + x)^{\gamma - 3}`, with p = 2 - gamma:
  :math:`p G = (s^2 / (1 + s^2))^{p / 2} \sin(\pi \gamma / 2 + p \arctan s)`;
- cored, :math:`\rho = (x + c)^{-1} (1 + x)^{-2}`, with a = c - 1:
  :math:`G = c / a^2 \arctan(a s / (c + s^2)) - s / (a (1 + s^2))`, or its series where a is small.

In the notation of `pymc_lens.mass.isothermal_core` an ellipsoid of convergence :math:`k / 2 S^3` deflects by
:math:`k N (S + c) / (c S D)` with :math:`D = (S + c)^2 + N^2 \bar e`, and its potential is
:math:`k \ln|D / (S + c)| / (c (1 - |e|^2))`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, override

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import MassProfile
from pymc_lens.mass.nfw import NFW
from pymc_lens.symbolic import POSITIVE, between, ellipticity, nan_unless

# Of ln s: the step, and where the sum begins and ends. Larger cores are sheets, and added to the last.
_STEP, _SMALLEST, _LARGEST = 0.35, -17.0, 10.0
_CORES = np.exp(np.arange(_SMALLEST, _LARGEST, _STEP))
_LAST = np.append(np.ones(_CORES.size - 1), 1.0 / -np.expm1(-2.0 * _STEP))
# arcsec^2: directions are finite at the centre.
_SOFTENING = 1e-40
# From c = 1 on either side: where the series of G is taken, and its terms.
_NEAR, _TERMS = 0.1, 14


class _Terms(NamedTuple):
    """What all terms of the sum are made of at rays, along a last axis.

    N as (y, x), c, S and S - c, and D over (2 c)^2, less one, as (y, x).
    """

    n_y: TensorVariable
    n_x: TensorVariable
    core: TensorVariable
    size: TensorVariable
    further: TensorVariable
    d_y: TensorVariable
    d_x: TensorVariable


class _SumOfEllipsoids(MassProfile):
    """A halo: the contract is `_parameters`."""

    @abstractmethod
    def _parameters(self) -> tuple[TensorVariable, ...]:
        """Whether parameters are admissible, then centre, e_y, e_x, kappa_s, scale radius, and G (n,)."""

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        admissible, terms, strengths, area = self._terms(y, x)
        logarithms = 0.5 * pt.log1p(terms.d_x * (2.0 + terms.d_x) + terms.d_y * terms.d_y)
        logarithms -= pt.log1p(0.5 * terms.further / terms.core)
        potential = (strengths / terms.core * logarithms).sum(axis=-1) / area
        return nan_unless(admissible, potential)

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, terms, strengths, _ = self._terms(y, x)
        d_y, d_x = terms.d_y, 1.0 + terms.d_x
        whole = 4.0 * terms.core**3 * terms.size * (d_x * d_x + d_y * d_y)
        weight = strengths * (terms.size + terms.core) / whole
        f_y, f_x = -(weight * d_y).sum(axis=-1), (weight * d_x).sum(axis=-1)
        n_y, n_x = terms.n_y[..., 0], terms.n_x[..., 0]
        alpha_y, alpha_x = n_y * f_x + n_x * f_y, n_x * f_x - n_y * f_y
        return nan_unless(admissible, alpha_y), nan_unless(admissible, alpha_x)

    def _terms(
        self, y: TensorVariable, x: TensorVariable
    ) -> tuple[TensorVariable, _Terms, TensorVariable, TensorVariable]:
        """Whether the parameters are admissible, the terms, their strengths k (n,) and 1 - |e|^2."""
        admissible, centre_y, centre_x, e_y, e_x, kappa_s, scale, weights = self._parameters()
        # |N| is along the major axis 1 - |e| times the elliptical radius.
        along_major = scale * (1.0 - ellipticity(e_y, e_x))
        strengths = 4.0 * _STEP * _CORES**2 * _LAST * kappa_s * along_major**3 * weights
        y, x = (y - centre_y)[..., None], (x - centre_x)[..., None]
        n_y, n_x = y + e_x * y - e_y * x, x - e_x * x - e_y * y
        squared, core = n_y * n_y + n_x * n_x + _SOFTENING, along_major * _CORES
        size = pt.sqrt(squared + core * core)
        further, over = squared / (size + core), 0.25 / (core * core)
        area = 1.0 - e_y * e_y - e_x * e_x
        turned_y, turned_x = 2.0 * n_x * n_y, n_x * n_x - n_y * n_y
        d_y = over * (turned_y * e_x - turned_x * e_y)
        d_x = over * (further * (4.0 * core + further) + turned_x * e_x + turned_y * e_y)
        return admissible, _Terms(n_y, n_x, core, size, further, d_y, d_x), strengths, area


@dataclass(frozen=True, eq=False)
class gNFW(_SumOfEllipsoids):
    """Elliptical generalised Navarro-Frenk-White halo, of any inner slope.

    The density is ``rho_s (r / scale_radius)^-inner_slope (1 + r / scale_radius)^(inner_slope - 3)``,
    projected and with r replaced by ``sqrt(x^2 + y^2 / q^2)`` in the major-axis frame: the convention of
    PyAutoLens, and that of lenstronomy's round ``GNFW``. An inner slope of 1 is `NFW`, which is faster:
    this is a sum of 78 cored steep ellipsoids. Wrong by less than 1e-9 of itself from 0.001 to 100 scale
    radii, and 1e-7 further in. As the scale radius is that of the major axis, the mass has a
    kink at q = 1.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    kappa_s : float
        ``rho_s scale_radius / Sigma_critical``.
    inner_slope : float
        Between 0 and 2.
    scale_radius : float
        Arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite ``kappa_s``, a scale radius that is not positive, a slope
        outside (0, 2), ``|ell_comps| >= 1``, a centre that is not finite. Random variables outside these
        domains give NaN.
    """

    domains: ClassVar = {**NFW.domains, "inner_slope": between(0.0, 2.0, instead=1.0)}

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    kappa_s: Any = 0.05
    inner_slope: Any = 1.0
    scale_radius: Any = 1.0

    @override
    def _parameters(self) -> tuple[TensorVariable, ...]:
        admissible, *shape, slope = self.inside_the_domain()
        steep = 2.0 - slope
        phase = 0.5 * np.pi * slope + steep * np.arctan(_CORES)
        weights = pt.exp(steep * (np.log(_CORES) - 0.5 * np.log1p(_CORES**2))) * pt.sin(phase) / steep
        # The mass of smaller cores, a geometric series, is added to the first.
        first = -1.0 / pt.expm1(-_STEP * (3.0 - slope))
        return admissible, *shape, pt.set_subtensor(weights[0], weights[0] * first)


@dataclass(frozen=True, eq=False)
class cNFW(_SumOfEllipsoids):
    """Elliptical Navarro-Frenk-White halo with a core.

    The density is ``rho_s scale_radius^3 / ((r + core_radius) (r + scale_radius)^2)`` (Peñarrubia et al.
    2012, ApJ 759, L42), projected and with r replaced by ``sqrt(x^2 + y^2 / q^2)`` in the major-axis frame:
    the convention of PyAutoLens, and that of lenstronomy's round ``CNFW``. A sum of 78 cored steep
    ellipsoids, wrong by less than 1e-9 of itself up to 100 scale radii. As both radii
    are those of the major axis, the mass has a kink at q = 1.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    kappa_s : float
        ``rho_s scale_radius / Sigma_critical``.
    scale_radius, core_radius : float
        Arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite ``kappa_s``, a radius that is not positive,
        ``|ell_comps| >= 1``, a centre that is not finite. Random variables outside these domains give NaN.
    """

    domains: ClassVar = {**NFW.domains, "core_radius": POSITIVE}

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    kappa_s: Any = 0.05
    scale_radius: Any = 1.0
    core_radius: Any = 0.01

    @override
    def _parameters(self) -> tuple[TensorVariable, ...]:
        admissible, *shape, core = self.inside_the_domain()
        return admissible, *shape, _cored_weights(core / shape[-1])


def _cored_weights(ratio: TensorVariable) -> TensorVariable:
    """G (n,) of a core over the scale radius."""
    less = ratio - 1.0
    is_near = abs(less) < _NEAR
    # No branch may divide by zero, whichever is taken.
    a, squared = pt.switch(is_near, 1.0, less), _CORES**2
    c = 1.0 + a
    far = c / a**2 * pt.arctan(a * _CORES / (c + squared)) - _CORES / (a * (1.0 + squared))
    a = pt.switch(is_near, less, 0.0)
    near = 0.0 * a
    for k in reversed(range(_TERMS)):
        near = (_INVERSE ** (k + 2)).imag / (k + 2.0) - a * near
    near = _INVERSE.imag - (1.0 + a) * near
    return pt.switch(is_near, near, far)


_INVERSE = 1.0 / (1.0 - 1j * _CORES)
