"""Checks of parameters that may be numbers or symbolic variables.

Numbers are checked when a profile or prior is built; symbolic values pass, since their domain is the business
of the model.
"""

from __future__ import annotations

from numbers import Real
from operator import index
from typing import Any

import numpy as np


def require_instance(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless a value is of a kind."""
    if not isinstance(value, kind):
        got = f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__
        raise TypeError(f"{name}: expected a {kind.__name__}, got {got}.")


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


def require_not_negative(name: str, value: Any) -> None:
    """Raise ValueError unless a numeric value is finite and at least zero."""
    require_finite(name, value)
    if is_numeric(value) and np.any(np.asarray(value, dtype=float) < 0.0):
        raise ValueError(f"{name}: expected a number >= 0, got {value!r}.")


def require_ell_comps(name: str, value: Any) -> None:
    """Raise ValueError unless a numeric pair of elliptical components lies inside the unit circle."""
    require_finite(name, value)
    if not is_numeric(value):
        return
    if np.shape(value) != (2,):
        raise ValueError(f"{name}: expected a pair (e_y, e_x), got {value!r}.")
    if np.hypot(*np.asarray(value, dtype=float)) >= 1.0:
        raise ValueError(f"{name}: expected |{name}| < 1 (an axis ratio above 0), got {value!r}.")


def validated_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of a mesh as two integers, each at least 2."""
    try:
        ny, nx = (index(n) for n in shape)
    except (TypeError, ValueError):
        raise TypeError(f"shape: expected two integers, got {shape!r}.") from None
    if min(ny, nx) < 2:
        raise ValueError(f"shape: expected at least 2 pixels along each axis, got {shape!r}.")
    return ny, nx


def validated_adapt_image(image: Any) -> np.ndarray:
    """Return an adapt image as floats.

    Raises
    ------
    ValueError
        If it is not a two-dimensional image of finite values that are not negative and not all zero.
    """
    image = np.asarray(image, dtype=np.float64)
    if image.ndim != 2:
        raise ValueError(f"adapt_image: expected an image (n_y, n_x), got shape {image.shape}.")
    if not np.isfinite(image).all() or (image < 0.0).any() or not image.any():
        raise ValueError(
            "adapt_image: expected finite values, none negative and not all zero. Set what is noise to zero: "
            "np.clip(image, 0, None)."
        )
    return image
