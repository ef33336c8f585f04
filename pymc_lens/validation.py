"""Checks of parameters that may be numbers or symbolic variables.

Numbers are checked when a profile or prior is built; symbolic values pass, since their domain is the business
of the model.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np


def is_numeric(value: Any) -> bool:
    """Whether a value consists of plain numbers (not of symbolic variables)."""
    if isinstance(value, (list, tuple)):
        return all(is_numeric(item) for item in value)
    return isinstance(value, (Real, np.ndarray, np.number))


def require_finite(name: str, value: Any) -> None:
    """Raise ValueError unless a numeric value is finite."""
    if is_numeric(value) and not np.isfinite(np.asarray(value, dtype=float)).all():
        raise ValueError(f"{name}: expected finite numbers, got {value!r}.")


def require_positive(name: str, value: Any) -> None:
    """Raise ValueError unless a numeric value is finite and greater than zero."""
    require_finite(name, value)
    if is_numeric(value) and not np.all(np.asarray(value, dtype=float) > 0.0):
        raise ValueError(f"{name}: expected a positive number, got {value!r}.")
