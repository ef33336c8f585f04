"""Priors that keep parameters inside their domain smoothly."""

from __future__ import annotations

import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.validation import require_positive


def ell_comps(name: str, sigma: float = 0.3) -> TensorVariable:
    """Add elliptical components inside the unit circle to the model on the context stack.

    ``e = z / sqrt(1 + |z|^2)`` with ``z ~ Normal(0, sigma)`` in both components: isotropic, close to a normal of
    that width for small sigma, with no boundary that a sampler could meet.

    Parameters
    ----------
    name : str
        Of the deterministic pair; z is ``"<name>_unbounded"``.
    sigma : float
        Positive.

    Returns
    -------
    (2,) random variable
        ``(e_y, e_x)``.

    Raises
    ------
    ValueError
        If ``sigma`` is not positive.
    """
    require_positive("sigma", sigma)
    unbounded = pm.Normal(f"{name}_unbounded", 0.0, sigma, shape=2)
    return pm.Deterministic(name, unbounded / pt.sqrt(1.0 + (unbounded**2).sum()))
