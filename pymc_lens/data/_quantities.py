"""Numbers and images that may carry units or masks, as plain floats, with errors that name the argument."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from astropy.units import Quantity, Unit, UnitBase, UnitConversionError, arcsec, pix


def real_number(name: str, value: Any) -> float:
    """Return a real number as a float.

    Raises
    ------
    TypeError
        If it is another thing, a boolean among them.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {value!r}.")
    return float(value)


def is_count(value: Any) -> bool:
    """Whether a value is an integer greater than zero."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value > 0)


def in_arcsec(name: str, value: Any) -> float:
    """Return an angle in arcsec, given as a number or as a Quantity (also one a pixel).

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If its unit is not that of an angle.
    """
    if not isinstance(value, Quantity):
        return real_number(name, value)
    for unit in (arcsec, arcsec / pix):
        if value.isscalar and value.unit.is_equivalent(unit):
            return float(value.to_value(unit))
    raise ValueError(f"{name}: expected an angle (arcsec), got {value!s}.")


def position(name: str, value: Any) -> tuple[float, float]:
    """Return a finite (y, x) in arcsec, given as a pair of what `in_arcsec` takes.

    Raises
    ------
    ValueError
        If it is not.
    """
    try:
        y, x = (in_arcsec(name, each) for each in value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a pair (y, x) in arcsec, got {value!r}.") from error
    if not np.isfinite((y, x)).all():
        raise ValueError(f"{name}: expected finite (y, x) in arcsec, got {value!r}.")
    return y, x


def image_array(name: str, array: Any) -> np.ndarray:
    """Return a two-dimensional image (ny, nx) as read-only float64, NaN where a masked array is masked.

    Raises
    ------
    TypeError
        If it holds other things than real numbers, such as complex numbers or booleans.
    ValueError
        If it is not two-dimensional, or empty.
    """
    try:
        kind = np.asarray(array).dtype
        image = np.array(array, dtype=np.float64, order="C") if kind.kind in "iufO" else None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected a two-dimensional array of numbers ({error}).") from error
    if image is None:
        raise TypeError(
            f"{name}: expected a two-dimensional array of real numbers, got {kind}. Convert it first, if "
            "numbers are what it holds."
        )
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"{name}: expected a two-dimensional array, got shape {image.shape}.")
    mask = getattr(array, "mask", None)  # of NumPy's and of astropy's masked arrays
    if isinstance(mask, (np.ndarray, np.bool_)):
        image[np.broadcast_to(mask, image.shape)] = np.nan
    return read_only(image)


def read_only(array: np.ndarray) -> np.ndarray:
    """Make an array read-only, in place, and return it."""
    array.flags.writeable = False
    return array


def in_one_unit(data: Any, noise_map: Any, unit: Any) -> tuple[Any, Any, str | None]:
    """Return data and noise without units, both in the same one.

    Parameters
    ----------
    data, noise_map : array or Quantity
        Both with a unit, or neither.
    unit : str or Unit, optional
        To convert them to, by default that of the data; of arrays without units just a name.

    Returns
    -------
    (data, noise_map, name of the unit)

    Raises
    ------
    TypeError
        If only one of them has a unit.
    ValueError
        If a unit cannot be converted.
    """
    if unit is not None and not isinstance(unit, (str, UnitBase)):
        raise TypeError(f"unit: expected a string, got {unit!r}.")
    given = {"data": data, "noise_map": noise_map}
    plain = [name for name, value in given.items() if not isinstance(getattr(value, "unit", None), UnitBase)]
    if len(plain) == 2:
        return data, noise_map, None if unit is None else str(unit)
    if plain:
        (other,) = given.keys() - plain
        raise TypeError(
            f"{plain[0]}: expected a unit, as {other} has one, got plain numbers. Give a unit to both, or "
            "pass the .value of both."
        )
    target = data.unit if unit is None else parsed_unit(str(unit))
    if target is None:
        raise ValueError(f"unit: expected a unit that astropy knows, to convert the data to, got {unit!r}.")
    values = (_to_value(name, value, target) for name, value in given.items())
    return *values, str(target if unit is None else unit)


def parsed_unit(text: str | None) -> UnitBase | None:
    """Return the unit of that name; None if astropy knows none."""
    try:
        return Unit(text) if text else None
    except ValueError:
        return None


def _to_value(name: str, value: Any, unit: UnitBase) -> Any:
    if not isinstance(value, Quantity):
        raise TypeError(
            f"{name}: expected an array or a Quantity, got {type(value).__name__}. Pass what it holds: the "
            "data times their unit, in a masked array where pixels are flagged."
        )
    try:
        return value.to_value(unit)
    except UnitConversionError:
        raise ValueError(f"{name}: expected a unit that converts to {unit!s}, got {value.unit!s}.") from None
