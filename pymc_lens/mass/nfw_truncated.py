r"""Truncated Navarro-Frenk-White halo.

In the notation of `pymc_lens.mass.nfw`, with :math:`\tau = r_t / r_s` and :math:`S = \sqrt{\tau^2 + X}`, the
deflection is :math:`4 \kappa_s p` times the position, where

.. math:: p = \frac{\tau^2}{(1 + \tau^2)^2} \left\{ (\tau^2 - 1) \left[ \frac hX
    + \frac{\ln(X / 4 \tau^2) / 2}{\tau (S + \tau)} - \frac{S \ln(1 + \delta)}{\tau X} \right]
    + 2 G(X - 1) - \frac{\pi}{S + \tau} \right\}, \quad \delta = \frac{X}{2 \tau (S + \tau)} :

Baltz, Marshall & Oguri 2009 (JCAP 01, 015, eq. A.18 for n = 1) with its terms put together such that none of
them cancels towards the centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import WithoutPotential
from pymc_lens.mass.nfw import NFWSph, halo
from pymc_lens.symbolic import POSITIVE, nan_unless

# Of a squared radius in scale radii: the logarithm is finite at the centre.
_SOFTENING = 1e-40


@dataclass(frozen=True, eq=False)
class NFWTruncatedSph(WithoutPotential):
    """Round Navarro-Frenk-White halo with a smooth end, as of subhaloes.

    ``rho = rho_s / (s (1 + s)^2) * tau^2 / (tau^2 + s^2)`` at s scale radii, tau of them being the truncation
    radius (Baltz, Marshall & Oguri 2009, JCAP 01, 015, eq. 3 for n = 1): that of PyAutoLens, and also of
    lenstronomy's ``TNFW`` with the parameters of `pymc_lens.convert.nfw_to_lenstronomy` and ``r_trunc``. The
    potential is integrated along rays from the centre, to 1e-9 of itself.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    kappa_s : float
        ``rho_s scale_radius / Sigma_critical``.
    scale_radius, truncation_radius : float
        Arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite ``kappa_s``, a radius that is not positive, a centre that is not
        finite. Random variables outside these domains give NaN.
    """

    domains: ClassVar = {**NFWSph.domains, "truncation_radius": POSITIVE}

    centre: Any = (0.0, 0.0)
    kappa_s: Any = 0.05
    scale_radius: Any = 1.0
    truncation_radius: Any = 2.0

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, centre_y, centre_x, kappa_s, scale, truncation = self.inside_the_domain()
        y, x, tau = y - centre_y, x - centre_x, truncation / scale
        X = (y * y + x * x) / scale**2 + _SOFTENING
        over = nan_unless(admissible, 4.0 * kappa_s) * _mean_convergence(X, tau)
        return over * y, over * x


def _mean_convergence(X: TensorVariable, tau: TensorVariable) -> TensorVariable:
    """Return p, the mean convergence within a radius over ``4 kappa_s``."""
    logarithm = 0.5 * pt.log(0.25 * X)
    h, _ = halo(X, logarithm)
    size = pt.sqrt(tau * tau + X)
    inverse = 1.0 / (size + tau)
    logarithms = (logarithm - pt.log(tau)) * inverse / tau - size * pt.log1p(0.5 * X * inverse / tau) / (
        tau * X
    )
    total = (tau * tau - 1.0) * (h / X + logarithms) + 2.0 * (h - logarithm) - np.pi * inverse
    return (tau / (1.0 + tau * tau)) ** 2 * total
