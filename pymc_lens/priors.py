"""Priors that keep parameters inside their domain smoothly."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.symbolic import scalar
from pymc_lens.validation import is_numeric, require_positive

# Keeps the ratio below away from 0 / 0 at the mode, where it is stationary.
_OFFSET = 1e-8


def ell_comps(name: str, sigma: float = 0.3) -> TensorVariable:
    r"""Add elliptical components to the model on the context stack.

    Their density is that of an isotropic normal cut off at the unit circle,
    :math:`p(e) \propto \exp(-|e|^2 / 2 \sigma^2)` for :math:`|e| < 1`: for small sigma both components are
    normal of that width, for large sigma the pair is uniform. They are a smooth function of two standard
    normals z, the sampler's own coordinates, that keeps the direction and maps one radius to the other:
    :math:`1 - \exp(-|e|^2 / 2 \sigma^2) = (1 - \exp(-1 / 2 \sigma^2)) (1 - \exp(-|z|^2 / 2))`. So there is no
    boundary for a sampler to meet.

    Parameters
    ----------
    name : str
        Of the deterministic pair; z is ``"<name>_unbounded"``.
    sigma : float
        Width of each component, positive.

    Returns
    -------
    (2,) TensorVariable
        ``(e_y, e_x)``.

    Raises
    ------
    TypeError
        If ``sigma`` is not a number.
    ValueError
        If ``sigma`` is not positive.
    """
    if not is_numeric(sigma):
        raise TypeError(f"sigma: expected a number, got {sigma!r}.")
    require_positive("sigma", scalar("sigma", sigma))
    unbounded = pm.Normal(f"{name}_unbounded", 0.0, 1.0, shape=2)
    squared = (unbounded**2).sum() + _OFFSET
    inside = -np.expm1(-0.5 / sigma**2)
    radius_squared = -2.0 * sigma**2 * pt.log1p(inside * pt.expm1(-0.5 * squared))
    return pm.Deterministic(name, unbounded * pt.sqrt(radius_squared / squared))
