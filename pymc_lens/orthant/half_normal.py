"""A standard normal variable confined to one side of a point."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx

_ROOT_HALF, _ROOT_TWO_OVER_PI = np.sqrt(0.5), np.sqrt(2.0 / np.pi)


def hazard(ratio: np.ndarray) -> np.ndarray:
    """Density over distribution function of the standard normal, without cancellation in the tails.

    It is the derivative of the distribution function's logarithm.
    """
    return np.asarray(_ROOT_TWO_OVER_PI / erfcx(-_ROOT_HALF * ratio))
