"""Conversions between this package's conventions and those of others.

Everything here works on numbers and NumPy arrays, such as posterior draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def ell_comps_from(axis_ratio: Any, angle: Any) -> tuple[Any, Any]:
    """Elliptical components of an axis ratio and an angle.

    Parameters
    ----------
    axis_ratio : float or array
        Minor over major axis, in (0, 1].
    angle : float or array
        Of the major axis, degrees counter-clockwise from +x.

    Returns
    -------
    e_y, e_x : floats or arrays
        ``(1 - q) / (1 + q) * (sin 2 phi, cos 2 phi)``.

    Raises
    ------
    ValueError
        If an axis ratio is outside (0, 1].
    """
    ratio = np.asarray(axis_ratio, dtype=np.float64)
    if not np.all((ratio > 0.0) & (ratio <= 1.0)):
        raise ValueError(f"axis_ratio: expected minor over major axis, in (0, 1], got {axis_ratio!r}.")
    size, double = (1.0 - ratio) / (1.0 + ratio), np.radians(2.0 * np.asarray(angle))
    return size * np.sin(double), size * np.cos(double)


def axis_ratio_and_angle_from_ell_comps(ell_comps: Any) -> tuple[Any, Any]:
    """Axis ratio and angle of elliptical components.

    Parameters
    ----------
    ell_comps : (2, ...) floats
        ``(e_y, e_x)``.

    Returns
    -------
    axis_ratio : float or array (...)
    angle : float or array (...)
        Of the major axis, degrees counter-clockwise from +x, in (-90, 90].

    Raises
    ------
    ValueError
        If ``|ell_comps| >= 1``.
    """
    e_y, e_x = ell_comps
    size = np.hypot(e_y, e_x)
    if not np.all(size < 1.0):
        raise ValueError(f"ell_comps: expected |ell_comps| < 1, got {ell_comps!r}.")
    return (1.0 - size) / (1.0 + size), 0.5 * np.degrees(np.arctan2(e_y, e_x))


def effective_einstein_radius(einstein_radius: Any, ell_comps: Any) -> Any:
    """Radius of the circle with the area of the critical curve of an `Isothermal`.

    ``einstein_radius * 2 sqrt(q) / (1 + q)``: the convention of COOLEST, lenstronomy and Bolton et al. 2008
    (ApJ 682, 964).

    Parameters
    ----------
    einstein_radius : float or array (...)
    ell_comps : (2, ...) floats
    """
    axis_ratio, _ = axis_ratio_and_angle_from_ell_comps(ell_comps)
    return einstein_radius * 2.0 * np.sqrt(axis_ratio) / (1.0 + axis_ratio)


def isothermal_to_lenstronomy(
    einstein_radius: float, ell_comps: Any, centre: Any = (0.0, 0.0)
) -> dict[str, float]:
    """Keyword arguments of lenstronomy's ``SIE`` for an `Isothermal`."""
    return {
        "theta_E": float(effective_einstein_radius(einstein_radius, ell_comps)),
        "e1": float(ell_comps[1]),
        "e2": float(ell_comps[0]),
        "center_x": float(centre[1]),
        "center_y": float(centre[0]),
    }


def isothermal_from_lenstronomy(
    theta_E: float, e1: float, e2: float, center_x: float = 0.0, center_y: float = 0.0
) -> dict[str, Any]:
    """Keyword arguments of `Isothermal` for lenstronomy's ``SIE``."""
    return {
        "centre": (center_y, center_x),
        "ell_comps": (e2, e1),
        "einstein_radius": theta_E / float(effective_einstein_radius(1.0, (e2, e1))),
    }


def isothermal_to_coolest(
    einstein_radius: float, ell_comps: Any, centre: Any = (0.0, 0.0)
) -> dict[str, float]:
    """Parameters of COOLEST's ``SIE`` for an `Isothermal`; the angle runs from +y, degrees in (-90, 90]."""
    axis_ratio, angle = axis_ratio_and_angle_from_ell_comps(ell_comps)
    return {
        "theta_E": float(effective_einstein_radius(einstein_radius, ell_comps)),
        "q": float(axis_ratio),
        "phi": float(90.0 - (180.0 - angle) % 180.0),
        "center_x": float(centre[1]),
        "center_y": float(centre[0]),
    }


def isothermal_from_coolest(
    theta_E: float, q: float, phi: float, center_x: float = 0.0, center_y: float = 0.0
) -> dict[str, Any]:
    """Keyword arguments of `Isothermal` for COOLEST's ``SIE``."""
    ell_comps = ell_comps_from(q, phi + 90.0)
    return {
        "centre": (center_y, center_x),
        "ell_comps": ell_comps,
        "einstein_radius": theta_E / float(effective_einstein_radius(1.0, ell_comps)),
    }
