"""Gaussian and Moffat profiles of free width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.light.elliptical import EllipticalLight
from pymc_lens.symbolic import POSITIVE


@dataclass(frozen=True, eq=False)
class Gaussian(EllipticalLight):
    """Gaussian ``exp(-r^2 / (2 sigma^2))`` of a width that may be random; of fixed ones, see `MultiGaussian`.

    The elliptical radius r is ``sqrt(q x^2 + y^2 / q)`` in the major-axis frame: sigma is the geometric mean
    of the widths along both axes. That of PyAutoLens, along the minor axis, is sqrt(q) times as large.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    sigma : float
        Arcsec.
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a width that is not positive, ``|ell_comps| >= 1``, a centre that is not finite. Random
        variables outside these domains give NaN.
    """

    domains: ClassVar = {**EllipticalLight.domains, "sigma": POSITIVE}

    sigma: Any = 1.0

    @override
    def brightness(self, squared: TensorVariable, *parameters: TensorVariable) -> TensorVariable:
        (sigma,) = parameters
        return pt.exp(-0.5 * squared / sigma**2)


@dataclass(frozen=True, eq=False)
class Moffat(EllipticalLight):
    """Moffat profile ``(1 + (r / alpha)^2)^-beta`` (Moffat 1969, A&A 3, 455), one at its peak.

    The elliptical radius r is ``sqrt(q x^2 + y^2 / q)`` in the major-axis frame.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    alpha : float
        Arcsec.
    beta : float
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: ``alpha`` or ``beta`` not positive, ``|ell_comps| >= 1``, a centre that is not finite.
        Random variables outside these domains give NaN.
    """

    domains: ClassVar = {**EllipticalLight.domains, "alpha": POSITIVE, "beta": POSITIVE}

    alpha: Any = 0.5
    beta: Any = 2.0

    @override
    def brightness(self, squared: TensorVariable, *parameters: TensorVariable) -> TensorVariable:
        alpha, beta = parameters
        return pt.exp(-beta * pt.log1p(squared / alpha**2))
