"""Distant mass to third order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.symbolic import PLANE, REAL, nan_unless


@dataclass(frozen=True, eq=False)
class ExternalPotential(MassProfile):
    r"""Potential of distant mass to third order about a centre: shear, gradient of convergence, third order.

    .. math:: \psi = \tfrac12 r^2 (\gamma_1 \cos 2\phi + \gamma_2 \sin 2\phi)
        + \tfrac14 r^3 (\tau_1 \cos\phi + \tau_2 \sin\phi)
        + \tfrac16 r^3 (\delta_1 \cos 3\phi + \delta_2 \sin 3\phi)

    (Powell et al. 2022, MNRAS 516, 1808, eq. 4), with the convergence :math:`\tau_1 x + \tau_2 y`; as in
    PyAutoLens. `ExternalShear` is gamma alone.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    gamma_1, gamma_2 : float
        Shear.
    tau_1, tau_2 : float
        Gradient of the convergence, per arcsec.
    delta_1, delta_2 : float
        Third order without convergence, per arcsec.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers that are not finite.
    """

    domains: ClassVar = {
        "centre": PLANE,
        **dict.fromkeys(("gamma_1", "gamma_2", "tau_1", "tau_2", "delta_1", "delta_2"), REAL),
    }

    centre: Any = (0.0, 0.0)
    gamma_1: Any = 0.0
    gamma_2: Any = 0.0
    tau_1: Any = 0.0
    tau_2: Any = 0.0
    delta_1: Any = 0.0
    delta_2: Any = 0.0

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        admissible, y, x, gamma_1, gamma_2, tau_1, tau_2, delta_1, delta_2 = self._seen_from(y, x)
        second = 0.5 * gamma_1 * (x * x - y * y) + gamma_2 * x * y
        first = 0.25 * (x * x + y * y) * (tau_1 * x + tau_2 * y)
        third = (delta_1 * x * (x * x - 3.0 * y * y) + delta_2 * y * (3.0 * x * x - y * y)) / 6.0
        return nan_unless(admissible, second + first + third)

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, y, x, gamma_1, gamma_2, tau_1, tau_2, delta_1, delta_2 = self._seen_from(y, x)
        along, squared, difference = tau_1 * x + tau_2 * y, x * x + y * y, x * x - y * y
        alpha_y = gamma_2 * x - gamma_1 * y + 0.5 * along * y + 0.25 * squared * tau_2
        alpha_x = gamma_1 * x + gamma_2 * y + 0.5 * along * x + 0.25 * squared * tau_1
        alpha_y += 0.5 * delta_2 * difference - delta_1 * x * y
        alpha_x += 0.5 * delta_1 * difference + delta_2 * x * y
        return nan_unless(admissible, alpha_y), nan_unless(admissible, alpha_x)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        admissible, y, x, gamma_1, gamma_2, tau_1, tau_2, delta_1, delta_2 = self._seen_from(y, x)
        kappa = nan_unless(admissible, tau_1 * x + tau_2 * y)
        shear_1 = gamma_1 + 0.5 * (tau_1 * x - tau_2 * y) + delta_1 * x + delta_2 * y
        shear_2 = gamma_2 + 0.5 * (tau_1 * y + tau_2 * x) + delta_2 * x - delta_1 * y
        return Hessian(kappa - shear_1, nan_unless(admissible, shear_2), kappa + shear_1)

    def _seen_from(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, ...]:
        """Whether the parameters are admissible, y and x from the centre, and the other parameters."""
        admissible, centre_y, centre_x, *orders = self.inside_the_domain()
        return admissible, pt.sub(y, centre_y), pt.sub(x, centre_x), *orders
