"""Sérsic profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.light.elliptical import EllipticalLight
from pymc_lens.symbolic import POSITIVE, between

# Of 1 / n, from that of n itself on: Ciotti & Bertin 1999 (A&A 352, 447), eq. 18.
_B = (-1.0 / 3.0, 4.0 / 405.0, 46.0 / 25515.0, 131.0 / 1148175.0, -2194697.0 / 30690717750.0)


def half_light_coefficient(index: Any) -> Any:
    """Return b_n, with which half of the light lies within the effective radius.

    The expansion of Ciotti & Bertin 1999 (A&A 352, 447, eq. 18), as in PyAutoLens: wrong by 1e-7 of itself at
    an index of 4, 2e-5 at 1, 4e-4 at 0.5 and 2e-3 at 0.3.
    """
    return 2.0 * index + sum(coefficient / index**power for power, coefficient in enumerate(_B))


def _brightness(squared: TensorVariable, radius: TensorVariable, index: Any) -> TensorVariable:
    power = pt.exp(0.5 / index * pt.log(squared / radius**2))
    return pt.exp(half_light_coefficient(index) * (1.0 - power))


@dataclass(frozen=True, eq=False)
class Sersic(EllipticalLight):
    """Sérsic profile ``exp(-b_n ((r / effective_radius)^(1 / n) - 1))``: one at the effective radius.

    So its amplitude is PyAutoLens's ``intensity`` and lenstronomy's ``amp``, and the elliptical radius r that
    of both, ``sqrt(q x^2 + y^2 / q)`` in the major-axis frame. Pixels at its cusp are integrated over.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    effective_radius : float
        Arcsec.
    sersic_index : float
        n, from 0.3 to 12.
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a radius that is not positive, an index outside 0.3 to 12, ``|ell_comps| >= 1``, a centre
        that is not finite. Random variables outside these domains give NaN.

    Examples
    --------
    >>> pl.light.Sersic(centre=(0.0, 0.0), effective_radius=0.8, sersic_index=4.0).n_columns
    1
    """

    domains: ClassVar = {
        **EllipticalLight.domains,
        "effective_radius": POSITIVE,
        "sersic_index": between(0.3, 12.0, instead=4.0),
    }

    effective_radius: Any = 0.6
    sersic_index: Any = 4.0

    @override
    def brightness(self, squared: TensorVariable, *parameters: TensorVariable) -> TensorVariable:
        radius, index = parameters
        return _brightness(squared, radius, index)


@dataclass(frozen=True, eq=False)
class _NamedSersic(EllipticalLight):
    """A Sérsic profile of fixed index."""

    index: ClassVar[float]
    domains: ClassVar = {**EllipticalLight.domains, "effective_radius": POSITIVE}

    effective_radius: Any = 0.6

    @override
    def brightness(self, squared: TensorVariable, *parameters: TensorVariable) -> TensorVariable:
        (radius,) = parameters
        return _brightness(squared, radius, self.index)


class Exponential(_NamedSersic):
    """`Sersic` of index 1, a disc.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    effective_radius : float
        Arcsec.
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError, ValueError
        As `Sersic`.
    """

    index = 1.0


class DevVaucouleurs(_NamedSersic):
    """`Sersic` of index 4, as PyAutoLens spells it.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    effective_radius : float
        Arcsec.
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError, ValueError
        As `Sersic`.
    """

    index = 4.0


@dataclass(frozen=True, eq=False)
class SersicCore(EllipticalLight):
    """Sérsic profile with a power law inside, one at the break.

    ``(1 + (r_b / r)^a)^(g / a) exp(-b_n ((r^a + r_b^a) / effective_radius^a)^(1 / (n a)))``, over its value
    at ``r = r_b``: Graham et al. 2003 (AJ 125, 2951, eq. 5); r, b_n and the amplitude as in PyAutoLens.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    effective_radius : float
        Arcsec.
    sersic_index : float
        n, from 0.3 to 12.
    radius_break : float
        r_b, arcsec.
    gamma : float
        g, the slope inside, below 2.
    alpha : float
        a, the sharpness of the transition.
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a radius or ``alpha`` that is not positive, an index outside 0.3 to 12, ``gamma`` outside
        -2 to 2, ``|ell_comps| >= 1``, a centre that is not finite. Random variables outside these domains
        give NaN.
    """

    domains: ClassVar = {
        **Sersic.domains,
        "radius_break": POSITIVE,
        "gamma": between(-2.0, 2.0, instead=0.0),
        "alpha": POSITIVE,
    }

    effective_radius: Any = 0.6
    sersic_index: Any = 4.0
    radius_break: Any = 0.025
    gamma: Any = 0.25
    alpha: Any = 3.0

    @override
    def brightness(self, squared: TensorVariable, *parameters: TensorVariable) -> TensorVariable:
        radius, index, radius_break, gamma, alpha = parameters
        # (r / r_b)^a and (r_b / R)^(1 / n)
        ratio = pt.exp(0.5 * alpha * pt.log(squared / radius_break**2))
        at_break = pt.exp(pt.log(radius_break / radius) / index)
        grow = pt.exp(pt.log(0.5 * (1.0 + ratio)) / (index * alpha)) - 1.0
        inside = gamma / alpha * (pt.log1p(1.0 / ratio) - np.log(2.0))
        steep = half_light_coefficient(index) * at_break * pt.exp(np.log(2.0) / (index * alpha))
        return pt.exp(inside - steep * grow)
