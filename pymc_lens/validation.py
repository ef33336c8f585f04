"""Checks of parameters that may be numbers or symbolic variables.

Numbers are checked when a profile or prior is built; symbolic values pass, since their domain is the business
of the model.
"""

from __future__ import annotations

import os
from numbers import Real
from operator import index
from typing import Any

import numpy as np
from astropy.units import UnitBase


def require_instance(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless a value is of a kind."""
    if not isinstance(value, kind):
        got = f"the class {value.__name__} itself" if isinstance(value, type) else type(value).__name__
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name}: expected {article} {kind.__name__}, got {got}.")


def is_symbolic(value: Any) -> bool:
    """Whether a value is a variable of PyTensor, which numerics do not import."""
    return hasattr(value, "owner") and hasattr(value, "type")


def is_numeric(value: Any) -> bool:
    """Whether a value consists of plain numbers (not of symbolic variables)."""
    if isinstance(value, (list, tuple)):
        return all(is_numeric(item) for item in value)
    return isinstance(value, (Real, np.ndarray, np.number))


def real_numbers(name: str, value: Any) -> np.ndarray:
    """Return real numbers, in any shape, as floats.

    Raises
    ------
    TypeError
        If it is another thing: a variable, booleans, complex numbers, text, numbers with a unit or a mask.
    """
    if is_symbolic(value):
        raise TypeError(f"{name}: expected plain numbers, got the variable {value}. It cannot be random.")
    if isinstance(getattr(value, "unit", None), UnitBase):
        raise TypeError(
            f"{name}: expected plain numbers, got a Quantity in {value.unit!s}. Give an angle as "
            "value.to_value('arcsec'), other things as their value."
        )
    if isinstance(getattr(value, "mask", None), (np.ndarray, np.bool_)):
        raise TypeError(f"{name}: expected plain numbers, got a masked array. Fill it: value.filled(0.0).")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected real numbers, got {value!r}.") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected real numbers, got {value!r}.")
    return array.astype(np.float64)


def number(name: str, value: Any) -> float:
    """Return one finite number as a float.

    Raises
    ------
    TypeError
        If it is no number, see `real_numbers`.
    ValueError
        If there are several, or it is not finite.
    """
    array = real_numbers(name, value)
    if array.ndim:
        raise ValueError(f"{name}: expected a single number, got shape {array.shape}.")
    if not np.isfinite(array):
        raise ValueError(f"{name}: expected a finite number, got {value!r}.")
    return float(array)


def positive_number(name: str, value: Any) -> float:
    """Return one finite number greater than zero as a float."""
    positive = number(name, value)
    if positive <= 0.0:
        raise ValueError(f"{name}: expected a positive number, got {value!r}.")
    return positive


def integer(name: str, value: Any, minimum: int) -> int:
    """Return a whole number of at least a minimum as an int.

    Raises
    ------
    TypeError
        If it is no integer; neither 2.0 nor True is one.
    ValueError
        If it is less.
    """
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected an integer, got {value!r}.")
    try:
        count = index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}.") from None
    if count < minimum:
        raise ValueError(f"{name}: expected at least {minimum}, got {count}.")
    return count


def require_real_variable(name: str, variable: Any) -> None:
    """Raise TypeError unless a symbolic variable holds real numbers."""
    if getattr(variable.type, "dtype", "object")[:3] not in ("flo", "int", "uin"):
        raise TypeError(f"{name}: expected real numbers, got a variable of type {variable.type}.")


def require_scalar_variable(name: str, variable: Any) -> None:
    """Raise unless a symbolic variable is a real scalar.

    Raises
    ------
    TypeError
        If it holds no real numbers.
    ValueError
        If it has axes.
    """
    require_real_variable(name, variable)
    if variable.type.ndim != 0:
        raise ValueError(
            f"{name}: expected a scalar, got a variable of shape {variable.type.shape}. Take one element."
        )


def require_not_negative(name: str, value: Any) -> None:
    """Raise ValueError where a number is negative; a symbolic variable passes."""
    if not is_symbolic(value) and value < 0.0:
        raise ValueError(f"{name}: expected a number >= 0, got {value!r}.")


def require_positive(name: str, value: Any) -> None:
    """Raise ValueError unless a number is greater than zero; a symbolic variable passes."""
    if not is_symbolic(value) and value <= 0.0:
        raise ValueError(f"{name}: expected a positive number, got {value!r}.")


def require_between(name: str, value: Any, low: float, high: float) -> None:
    """Raise ValueError unless a number lies between two others; a symbolic variable passes."""
    if not is_symbolic(value) and not low < value < high:
        raise ValueError(f"{name}: expected a number between {low:g} and {high:g}, got {value!r}.")


def require_ell_comps(name: str, components: tuple[Any, Any], below: float = 1.0) -> None:
    """Raise ValueError unless those of the components that are numbers lie inside a circle."""
    if sum(component**2 for component in components if not is_symbolic(component)) >= below**2:
        ratio = (1.0 - below) / (1.0 + below)
        raise ValueError(
            f"{name}: expected |{name}| < {below:g} (an axis ratio above {ratio:.2g}), got {components!r}."
        )


def validated_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of a mesh as two integers, each at least 2."""
    try:
        ny, nx = (integer("shape", n, minimum=-(10**9)) for n in shape)
    except (TypeError, ValueError):
        raise TypeError(f"shape: expected two integers, got {shape!r}.") from None
    if min(ny, nx) < 2:
        raise ValueError(f"shape: expected at least 2 pixels along each axis, got {shape!r}.")
    return ny, nx


def validated_adapt_image(image: Any) -> np.ndarray:
    """Return an adapt image as floats.

    Raises
    ------
    TypeError
        If it does not consist of plain numbers.
    ValueError
        If it is not a two-dimensional image of finite values that are not negative and not all zero.
    """
    image = real_numbers("adapt_image", image)
    if image.ndim != 2:
        raise ValueError(f"adapt_image: expected an image (n_y, n_x), got shape {image.shape}.")
    if not np.isfinite(image).all() or (image < 0.0).any() or not image.any():
        raise ValueError(
            "adapt_image: expected finite values, none negative and not all zero. Set what is noise to zero: "
            "np.clip(image, 0, None)."
        )
    return image


def require_memory(name: str, n_bytes: int, what: str, advice: str) -> None:
    """Raise ValueError if something takes more than this machine's memory."""
    if not hasattr(os, "sysconf"):
        return
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if n_bytes > have:
        raise ValueError(
            f"{name}: expected what fits into the {have / 2**30:.0f} GiB of memory, got {what}, which take "
            f"about {n_bytes / 2**30:.0f} GiB. {advice}"
        )
