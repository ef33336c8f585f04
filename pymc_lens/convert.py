"""Conversions between this package's conventions and those of others."""

from __future__ import annotations

from typing import Any

import numpy as np


def ell_comps_from(axis_ratio: float, angle: float) -> tuple[float, float]:
    """Elliptical components (e_y, e_x) of an axis ratio and an angle in degrees counter-clockwise from +x."""
    size, double = (1.0 - axis_ratio) / (1.0 + axis_ratio), np.radians(2.0 * angle)
    return size * np.sin(double), size * np.cos(double)


def axis_ratio_and_angle_from(ell_comps: Any) -> tuple[Any, Any]:
    """Axis ratio and angle, degrees counter-clockwise from +x in (-90, 90], of elliptical components (2, ...)."""
    size = np.hypot(ell_comps[0], ell_comps[1])
    return (1.0 - size) / (1.0 + size), 0.5 * np.degrees(np.arctan2(ell_comps[0], ell_comps[1]))


def effective_einstein_radius(einstein_radius: Any, ell_comps: Any) -> Any:
    """Radius of the circle that holds the same mass as the critical ellipse of an `Isothermal`.

    ``einstein_radius * 2 sqrt(q) / (1 + q)``: the convention of COOLEST, lenstronomy and Bolton et al. 2008.

    Parameters
    ----------
    einstein_radius : float or array
    ell_comps : (2, ...) floats
    """
    axis_ratio, _ = axis_ratio_and_angle_from(ell_comps)
    return einstein_radius * 2.0 * np.sqrt(axis_ratio) / (1.0 + axis_ratio)


def isothermal_to_lenstronomy(einstein_radius: float, ell_comps: Any, centre: Any = (0.0, 0.0)) -> dict[str, float]:
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


def isothermal_to_coolest(einstein_radius: float, ell_comps: Any, centre: Any = (0.0, 0.0)) -> dict[str, float]:
    """Parameters of COOLEST's ``SIE``, whose angle runs counter-clockwise from +y, in degrees."""
    axis_ratio, angle = axis_ratio_and_angle_from(ell_comps)
    return {
        "theta_E": float(effective_einstein_radius(einstein_radius, ell_comps)),
        "q": float(axis_ratio),
        "phi": float(_half_turn(angle - 90.0)),
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


def _half_turn(angle: float) -> float:
    return 90.0 - (90.0 - angle) % 180.0
