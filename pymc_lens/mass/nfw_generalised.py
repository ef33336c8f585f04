r"""Haloes with another inner slope or a core: sums of isothermal ellipsoids with cores.

A density :math:`\rho(r)` that is analytic in :math:`r^2` but for a cut where that is negative, and falls
there, is by Stieltjes' inversion a sum of :math:`1 / (r^2 + s^2)`, each of which projects to an isothermal
ellipsoid with a core s:

.. math:: \rho(r) = \int_0^\infty \frac{w(s) \, 2 s \, ds}{r^2 + s^2}, \quad
    w(s) = -\frac{1}{\pi} \mathrm{Im} \, \rho(i s), \quad
    \kappa(\xi) \propto \int_0^\infty \frac{2 \pi s \, w(s) \, ds}{\sqrt{\xi^2 + s^2}} .

In :math:`\ln s` the integrand is analytic within a distance of :math:`\pi / 2` from the real axis, so the
trapezoidal rule is exact to :math:`e^{-\pi^2 / h}` for a step h. (Oguri 2021, PASP 133, 074504, fits such
sums of steeper ellipsoids.) In units of :math:`\rho_s` and of the scale radius:

- generalised: :math:`\rho = x^{-\gamma} (1 + x)^{\gamma - 3}`,
  :math:`\pi w = s^{-\gamma} (1 + s^2)^{(\gamma - 3) / 2} \sin(\pi \gamma / 2 + (3 - \gamma) \arctan s)`;
- cored: :math:`\rho = (x + c)^{-1} (1 + x)^{-2}`,
  :math:`\pi w = (s^2 + c^2)^{-1/2} (1 + s^2)^{-1} \sin(\arctan(s / c) + 2 \arctan s)`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.replace import vectorize_graph
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.mass.isothermal_core import Ellipsoid, deflection, deflection_pullback
from pymc_lens.ops.ray_op import RayOp
from pymc_lens.symbolic import ellipticity, nan_unless, pair, scalar, within
from pymc_lens.validation import require_between, require_ell_comps, require_not_negative, require_positive

# Of ln s: the step, and where the sum begins and ends. One term of their mean core stands for all smaller
# ones; larger ones are sheets, and what they add is added to the last.
_STEP, _SMALLEST, _LARGEST = 0.33, -14.0, 8.0
_CORES = np.exp(np.arange(_SMALLEST, _LARGEST, _STEP))
_BELOW, _BETWEEN = _CORES[0] * np.exp(-_STEP), _CORES[0] * np.exp(-0.5 * _STEP)


class _SumOfIsothermals(MassProfile):
    """A halo: the contract is `_weights`, and what is checked."""

    centre: Any
    ell_comps: Any
    kappa_s: Any
    scale_radius: Any

    @abstractmethod
    def _inside_the_domain(self) -> tuple[TensorVariable, ...]:
        """Whether parameters are admissible, then centre, e_y, e_x, kappa_s and scale, weights and cores."""

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        admissible, ellipsoids = self._ellipsoids(y.type.ndim)
        at_centre = ellipsoids.potential(ellipsoids.centre_y, ellipsoids.centre_x)
        potentials = ellipsoids.potential(y[..., None], x[..., None]) - at_centre
        return nan_unless(admissible, potentials.sum(axis=-1))

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, centre_y, centre_x, e_y, e_x, strengths, cores = self._parameters()
        rays = pt.dvector("y"), pt.dvector("x")
        one, same = pt.tensor("parameters", dtype="float64", shape=(6,)), pt.ones((_CORES.size + 1, 1))
        shape = same * pt.stack([centre_y, centre_x, e_y, e_x])
        many = pt.concatenate([shape, strengths[:, None], cores[:, None]], axis=1)
        alphas = RayOp(deflection, deflection_pullback)(*rays, one)
        alphas = vectorize_graph(list(alphas), {rays[0]: y.ravel(), rays[1]: x.ravel(), one: many})
        alpha_y, alpha_x = (nan_unless(admissible, alpha.sum(axis=0)) for alpha in alphas)
        return alpha_y.reshape(y.shape), alpha_x.reshape(x.shape)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        admissible, ellipsoids = self._ellipsoids(y.type.ndim)
        elements = ellipsoids.hessian(y[..., None], x[..., None])
        return Hessian(*(nan_unless(admissible, element.sum(axis=-1)) for element in elements))

    def _ellipsoids(self, n_axes: int) -> tuple[TensorVariable, Ellipsoid]:
        """Whether the parameters are admissible, and the sum's terms along a last axis."""
        admissible, centre_y, centre_x, e_y, e_x, strengths, cores = self._parameters()
        strengths, cores = (pt.shape_padleft(part, n_axes) for part in (strengths, cores))
        return admissible, Ellipsoid(centre_y, centre_x, e_y, e_x, strengths, cores)

    def _parameters(self) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, then centre, e_y and e_x, strengths and cores (n,)."""
        admissible, centre_y, centre_x, e_y, e_x, kappa_s, scale, weights, cores = self._inside_the_domain()
        # kappa of an ellipsoid is strength / 2 over the root of |N|^2 + core^2, and |N| is along the major
        # axis 1 - |e| times the elliptical radius.
        along_major = 1.0 - ellipticity(e_y, e_x)
        strengths = 2.0 * kappa_s * scale * along_major * weights
        return admissible, centre_y, centre_x, e_y, e_x, strengths, scale * along_major * cores


@dataclass(frozen=True, eq=False)
class gNFW(_SumOfIsothermals):
    """Elliptical generalised Navarro-Frenk-White halo, of any inner slope.

    The density is ``rho_s (r / scale_radius)^-inner_slope (1 + r / scale_radius)^(inner_slope - 3)``,
    projected and with r replaced by ``sqrt(x^2 + y^2 / q^2)`` in the major-axis frame: the convention of
    PyAutoLens, whose name it has, and that of lenstronomy's round ``GNFW``. An inner slope of 1 is `NFW`,
    which is faster. A sum of 68 isothermal ellipsoids, wrong by less than 1e-8 of itself between 0.001 and 10
    scale radii and 1e-6 up to 100. As the scale radius is that of the major axis, the mass has a kink at
    q = 1.

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

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    kappa_s: Any = 0.05
    inner_slope: Any = 1.0
    scale_radius: Any = 1.0

    def __post_init__(self) -> None:
        _require_halo(self)
        require_between("inner_slope", scalar("inner_slope", self.inner_slope), 0.0, 2.0)

    @override
    def _inside_the_domain(self) -> tuple[TensorVariable, ...]:
        slope = pt.as_tensor_variable(scalar("inner_slope", self.inner_slope))
        admissible, *shape, slope = _within(self, slope, 1.0, slope > 0.0, slope < 2.0)
        phase = 0.5 * np.pi * slope + (3.0 - slope) * np.arctan(_CORES)
        size = pt.exp(-slope * np.log(_CORES) + 0.5 * (slope - 3.0) * np.log1p(_CORES**2))
        # Of the smallest cores: sums of two geometric series
        parts = (pt.sin(0.5 * np.pi * slope), (3.0 - slope) * pt.cos(0.5 * np.pi * slope))
        below, times_core = (
            sum(part * _geometric(power + k - slope) for k, part in enumerate(parts)) for power in (2.0, 3.0)
        )
        return admissible, *shape, *_trapezoids(below, times_core / below, size * pt.sin(phase))


@dataclass(frozen=True, eq=False)
class cNFW(_SumOfIsothermals):
    """Elliptical Navarro-Frenk-White halo with a core.

    The density is ``rho_s scale_radius^3 / ((r + core_radius) (r + scale_radius)^2)`` (Peñarrubia et al.
    2012, ApJ 759, L42), projected and with r replaced by ``sqrt(x^2 + y^2 / q^2)`` in the major-axis frame:
    the convention of PyAutoLens, whose name it has, and that of lenstronomy's round ``CNFW``. A sum of 68
    isothermal ellipsoids, as exact as `gNFW` for cores from 0.0001 scale radii on. As both radii are those of
    the major axis, the mass has a kink at q = 1.

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

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    kappa_s: Any = 0.05
    scale_radius: Any = 1.0
    core_radius: Any = 0.01

    def __post_init__(self) -> None:
        _require_halo(self)
        require_positive("core_radius", scalar("core_radius", self.core_radius))

    @override
    def _inside_the_domain(self) -> tuple[TensorVariable, ...]:
        core = pt.as_tensor_variable(scalar("core_radius", self.core_radius))
        admissible, *shape, core = _within(self, core, 0.5, core > 0.0)
        ratio = core / shape[-1]
        phase = pt.arctan(_CORES / ratio) + 2.0 * np.arctan(_CORES)
        weights = pt.sin(phase) / (pt.sqrt(_CORES**2 + ratio**2) * (1.0 + _CORES**2))
        # Of the smallest cores: the integral of 2 s^2 / (s^2 + c^2); it shows where c is smaller still.
        below = 2.0 * (_BETWEEN - ratio * pt.arctan(_BETWEEN / ratio))
        return admissible, *shape, *_trapezoids(below, pt.as_tensor_variable(0.5 * _BETWEEN), weights)


def _geometric(power: TensorVariable) -> TensorVariable:
    """Sum of a power of all cores below the first, in the trapezoidal rule."""
    return 2.0 * _STEP * pt.exp(power * np.log(_BELOW)) / -pt.expm1(-_STEP * power)


def _trapezoids(
    below: TensorVariable, core: TensorVariable, values: TensorVariable
) -> tuple[TensorVariable, TensorVariable]:
    """Weights and cores (n,): of what is below the first core, and from values of pi w at the others."""
    # Beyond the last one terms fall as the square of the core.
    last = np.where(np.arange(_CORES.size) < _CORES.size - 1, 1.0, 1.0 / -np.expm1(-2.0 * _STEP))
    weights = 2.0 * _STEP * _CORES**2 * last * values
    return pt.concatenate([below[None], weights]), pt.concatenate([core[None], _CORES])


def _require_halo(profile: gNFW | cNFW) -> None:
    """Raise unless what both have is admissible or a variable."""
    pair("centre", profile.centre)
    require_ell_comps("ell_comps", pair("ell_comps", profile.ell_comps))
    require_not_negative("kappa_s", scalar("kappa_s", profile.kappa_s))
    require_positive("scale_radius", scalar("scale_radius", profile.scale_radius))


def _within(
    profile: gNFW | cNFW, last: TensorVariable, instead: float, *conditions: TensorVariable
) -> tuple[TensorVariable, ...]:
    """Whether all parameters are admissible, then those that both have, and one more."""
    e_y, e_x = map(pt.as_tensor_variable, pair("ell_comps", profile.ell_comps))
    kappa_s, scale = scalar("kappa_s", profile.kappa_s), scalar("scale_radius", profile.scale_radius)
    return within(
        (*pair("centre", profile.centre), e_y, e_x, kappa_s, scale, last),
        (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, instead),
        *(e_y * e_y + e_x * e_x < 1.0, kappa_s >= 0.0, scale > 0.0, *conditions),
    )
