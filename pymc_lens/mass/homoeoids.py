r"""Deflections of any elliptical mass, by quadrature over homoeoids.

In the notation of `pymc_lens.mass.nfw`, with u and with M the square of the elliptical radius (Bourassa &
Kantowski 1975, ApJ 195, 13)

.. math:: \alpha = N \int_0^1 \frac{\kappa(M \tau) \, d\tau}{\sqrt{(1 + u)^2 - 4 u \tau}} .
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

# arcsec^2: directions and logarithms are finite at the centre.
_SOFTENING = 1e-20


@dataclass(frozen=True, eq=False)
class Homoeoids:
    """Rays as the integral sees them.

    Parameters
    ----------
    n_y, n_x, u_y, u_x : (...) variables
        N and u.
    squared : (...) variable
        M, arcsec^2, never zero.
    """

    n_y: TensorVariable
    n_x: TensorVariable
    u_y: TensorVariable
    u_x: TensorVariable
    squared: TensorVariable

    @classmethod
    def around(
        cls, centre_y: Any, centre_x: Any, e_y: Any, e_x: Any, y: TensorVariable, x: TensorVariable
    ) -> Homoeoids:
        """Return rays y and x, each (...), of admissible parameters."""
        y, x = y - centre_y, x - centre_x
        n_y, n_x = y + e_x * y - e_y * x, x - e_x * x - e_y * y
        squared = n_y * n_y + n_x * n_x + _SOFTENING
        uu_y, uu_x = 2.0 * n_x * n_y / squared, (n_x * n_x - n_y * n_y) / squared
        area = 1.0 - e_y * e_y - e_x * e_x
        return cls(n_y, n_x, uu_y * e_x - uu_x * e_y, uu_x * e_x + uu_y * e_y, squared / area)

    def deflections(
        self, weighted: TensorVariable, turn: TensorVariable | np.ndarray
    ) -> tuple[TensorVariable, TensorVariable]:
        """Deflection angles (alpha_y, alpha_x), each (...), by a quadrature along a last axis.

        Parameters
        ----------
        weighted : (..., n_nodes) variable
            The convergence at ``M tau``, times the weight of tau.
        turn : (..., n_nodes) or (n_nodes,)
            ``1 - 2 tau``.
        """
        u_y, u_x = self.u_y[..., None], self.u_x[..., None]
        # 1 / sqrt((1 + u)^2 - 4 u tau), whose real part is positive
        s_y, s_x = 2.0 * u_y * (turn + u_x), 1.0 + 2.0 * u_x * turn + u_x * u_x - u_y * u_y
        size = pt.sqrt(s_y * s_y + s_x * s_x)
        root = pt.sqrt(0.5 * (size + s_x))
        f_x = (weighted * root / size).sum(axis=-1)
        f_y = (-0.5 * weighted * s_y / (root * size)).sum(axis=-1)
        return self.n_y * f_x + self.n_x * f_y, self.n_x * f_x - self.n_y * f_y
