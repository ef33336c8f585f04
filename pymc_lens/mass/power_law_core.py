"""The elliptical power law with a core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import WithoutPotential
from pymc_lens.mass.homoeoids import Homoeoids
from pymc_lens.mass.power_law import PowerLaw
from pymc_lens.quadrature import gauss_legendre
from pymc_lens.symbolic import POSITIVE, elliptical, ellipticity, nan_unless

# Of the integral, in the logarithm of core^2 + radius^2, nodes close to where the root's own zero may be.
_NODES, _WEIGHTS = gauss_legendre(64)
_ROOTS, _WEIGHTS = _NODES * (2.0 - _NODES), 2.0 * (1.0 - _NODES) * _WEIGHTS


@dataclass(frozen=True, eq=False)
class PowerLawCore(WithoutPotential):
    """Elliptical power law with a core.

    ``kappa = (3 - slope) / (1 + q) * (einstein_radius^2 / R^2)^((slope - 1) / 2)`` with
    ``R^2 = core_radius^2 + x^2 + y^2 / q^2`` in the major-axis frame: the convention of PyAutoLens, in which
    the core is counted along the major axis and the mass has a kink at q = 1. A slope of 2 is
    `IsothermalCore` and a core of zero `PowerLaw`, both faster. By quadrature over homoeoids (Bourassa &
    Kantowski 1975, ApJ 195, 13): wrong by less than 1e-8 of themselves for axis ratios from 0.2 on and cores
    from 1e-4 of the radius on; as slow as `Sersic`.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    einstein_radius : float
        Arcsec; that of the power law without a core.
    slope : float
        Of the density in three dimensions, between 1 and 3; 2 is isothermal.
    core_radius : float
        Arcsec, above zero.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: a negative or non-finite Einstein radius, a core radius that is not positive, a slope
        outside (1, 3), ``|ell_comps| >= 1``, a centre that is not finite. Random variables outside these
        domains give NaN.
    """

    domains: ClassVar = {**PowerLaw.domains, "ell_comps": elliptical(), "core_radius": POSITIVE}

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    einstein_radius: Any = 1.0
    slope: Any = 2.0
    core_radius: Any = 0.01

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, centre_y, centre_x, e_y, e_x, central, core_squared, steep = self._parameters()
        rays = Homoeoids.around(centre_y, centre_x, e_y, e_x, y, x)
        ratio = rays.squared / core_squared
        length = pt.log1p(ratio)[..., None]
        # tau = expm1(length * root) / ratio
        grown = pt.expm1(length * _ROOTS)
        kappa = pt.exp((1.0 - 0.5 * steep) * length * _ROOTS)
        over = length / ratio[..., None]
        weighted = nan_unless(admissible, central) * _WEIGHTS * kappa * over
        return rays.deflections(weighted, 1.0 - 2.0 * grown / ratio[..., None])

    def _parameters(self) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, then centre, e_y, e_x, kappa there, the core's and t."""
        admissible, centre_y, centre_x, e_y, e_x, radius, slope, core = self.inside_the_domain()
        # The axis ratio, by which the square of a radius along the major axis is that of `Homoeoids`
        size = ellipticity(e_y, e_x)
        squeezed, steep = (1.0 - size) / (1.0 + size), slope - 1.0
        # No logarithm of zero, and no change of what is not.
        ratio = pt.switch(radius > 0.0, radius / core, 1.0)
        central = 0.5 * (3.0 - slope) * (1.0 + size) * pt.exp(steep * pt.log(ratio))
        central = pt.switch(radius > 0.0, central, 0.0)
        return admissible, centre_y, centre_x, e_y, e_x, central, squeezed * core * core, steep
