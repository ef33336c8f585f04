"""Whole masses and lights as the COOLEST standard lists them (Galan et al. 2023, JOSS 8, 5567)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from pymc_lens.convert import parameters as convert
from pymc_lens.convert.lenstronomy import LightAndAmplitudes, lenstronomy_sersic
from pymc_lens.convert.lists import Listed, amplitudes_of_parts, listed, masses_of, read_list
from pymc_lens.light.base import LightProfile
from pymc_lens.light.sersic import DevVaucouleurs, Exponential, Sersic
from pymc_lens.mass import (
    ExternalShear,
    Isothermal,
    IsothermalCore,
    MassProfile,
    MassSheet,
    PowerLaw,
    PowerLawCore,
    dPIEMass,
)
from pymc_lens.symbolic import pair
from pymc_lens.validation import require_instance


def mass_to_coolest(mass: MassProfile) -> tuple[list[str], list[dict[str, Any]]]:
    """Types and parameters of COOLEST's profiles for a mass.

    Angles from +y, degrees; radii along the intermediate axis. ``theta_E`` of cored profiles is the b of
    COOLEST's formulas, the Einstein radius without the core.

    Parameters
    ----------
    mass : MassProfile
        Of numbers.

    Returns
    -------
    types : list of str
    parameters : list of dict of str to float

    Raises
    ------
    TypeError
        If it is no mass.
    ValueError
        If COOLEST has no counterpart of a profile; names it.
    """
    parts = masses_of(mass)
    for part in parts:
        if type(part) not in _MASS_TO:
            raise ValueError(f"mass: COOLEST has no counterpart of {type(part).__name__}. {_KNOWN}")
    return listed([_MASS_TO[type(part)](part) for part in parts])


def mass_from_coolest(types: Sequence[str], parameters: Sequence[dict[str, Any]]) -> MassProfile:
    """Mass for types and parameters of COOLEST's profiles.

    Parameters
    ----------
    types : sequence of str
    parameters : sequence of dict of str to float

    Returns
    -------
    MassProfile
        The sum of all.

    Raises
    ------
    TypeError
        If the parameters are not those of the type.
    ValueError
        If this package has no counterpart of a type, or the lists do not go together.
    """
    return reduce(add, read_list("mass", "COOLEST", types, parameters, _MASS_FROM))


def light_to_coolest(light: LightProfile, amplitudes: Any = None) -> tuple[list[str], list[dict[str, Any]]]:
    """Types and parameters of COOLEST's profiles for light.

    `Sersic` and its named cases, with the radius and amplitude at which COOLEST's b_n gives the same
    brightness.

    Parameters
    ----------
    light : LightProfile
        Of numbers.
    amplitudes : array (n_columns,), optional
        Surface brightness per arcsec^2; by default ``I_eff`` is None.

    Returns
    -------
    types : list of str
    parameters : list of dict of str to float

    Raises
    ------
    TypeError
        If it is no light.
    ValueError
        If COOLEST has no counterpart of a profile; names it. If there are more or fewer amplitudes.
    """
    require_instance("light", light, LightProfile)
    for part in light.parts:
        if type(part) not in SERSIC:
            raise ValueError(f"light: COOLEST has no counterpart of {type(part).__name__}. It knows Sersic.")
    each = zip(light.parts, amplitudes_of_parts(light, amplitudes), strict=True)
    return listed([_sersic(part, values) for part, values in each])


def light_from_coolest(types: Sequence[str], parameters: Sequence[dict[str, Any]]) -> LightAndAmplitudes:
    """Light for types and parameters of COOLEST's profiles.

    Parameters
    ----------
    types : sequence of str
    parameters : sequence of dict of str to float

    Returns
    -------
    LightAndAmplitudes

    Raises
    ------
    TypeError
        If the parameters are not those of the type.
    ValueError
        If this package has no counterpart of a type, or the lists do not go together.
    """
    read = read_list("light", "COOLEST", types, parameters, {"Sersic": _from_sersic})
    amplitudes = [amplitude for _, amplitude in read]
    known = None if None in amplitudes else np.array(amplitudes)
    return LightAndAmplitudes(reduce(add, (profile for profile, _ in read)), known)


def _shape(profile: Any) -> dict[str, Any]:
    values = convert.isothermal_to_coolest(1.0, profile.ell_comps, profile.centre)
    return {name: values[name] for name in ("q", "phi", "center_x", "center_y")}


def _isothermal(mass: Isothermal) -> Listed:
    return "SIE", convert.isothermal_to_coolest(mass.einstein_radius, mass.ell_comps, mass.centre)


def _power_law(mass: PowerLaw | PowerLawCore) -> Listed:
    theirs = convert.power_law_to_lenstronomy(mass.einstein_radius, mass.slope, mass.ell_comps)
    return "PEMD", {"gamma": theirs["gamma"], "theta_E": theirs["theta_E"], **_shape(mass)}


def _isothermal_core(mass: IsothermalCore) -> Listed:
    theirs = convert.isothermal_core_to_lenstronomy(mass.einstein_radius, mass.core_radius, mass.ell_comps)
    return "NIE", {"theta_E": theirs["theta_E"], "r_core": theirs["s_scale"], **_shape(mass)}


def _power_law_core(mass: PowerLawCore) -> Listed:
    _, values = _power_law(mass)
    return "SPEMD", {**values, "r_core": float(mass.core_radius * values["q"] ** 0.5)}


def _dpie(mass: dPIEMass) -> Listed:
    root = convert.effective_einstein_radius(1.0, mass.ell_comps)
    b = root * mass.b0 * mass.rs / (mass.rs - mass.ra)
    return "Chameleon", {"b": b, "s_c": root * mass.ra, "s_t": root * mass.rs, **_shape(mass)}


def _shear(mass: ExternalShear) -> Listed:
    angle = np.rad2deg(np.arctan2(mass.gamma_2, mass.gamma_1)) / 2.0
    size = float(np.hypot(mass.gamma_1, mass.gamma_2))
    return "ExternalShear", {"gamma_ext": size, "phi_ext": float(90.0 - (180.0 - angle) % 180.0)}


def _sheet(mass: MassSheet) -> Listed:
    if pair("centre", mass.centre) != (0.0, 0.0):
        raise ValueError(
            f"mass: COOLEST has no counterpart of a MassSheet but about (0, 0), got centre {mass.centre}. "
            "Another centre adds a uniform deflection, which no observation shows."
        )
    return "ConvergenceSheet", {"kappa_s": float(mass.kappa)}


_MASS_TO: dict[type, Callable[[Any], Listed]] = {
    Isothermal: _isothermal,
    PowerLaw: _power_law,
    IsothermalCore: _isothermal_core,
    PowerLawCore: _power_law_core,
    dPIEMass: _dpie,
    ExternalShear: _shear,
    MassSheet: _sheet,
}
_KNOWN = f"It knows {', '.join(kind.__name__ for kind in _MASS_TO)}."


def _from_sie(**values: float) -> Isothermal:
    return Isothermal(**convert.isothermal_from_coolest(**values))


def _power_law_arguments(gamma: float, theta_E: float, **shape: float) -> dict[str, Any]:
    at = convert.isothermal_from_coolest(1.0, **shape)
    (y, x), (e_y, e_x) = at["centre"], at["ell_comps"]
    return convert.power_law_from_lenstronomy(theta_E, gamma, e_x, e_y, x, y)


def _from_nie(theta_E: float, r_core: float, **shape: float) -> IsothermalCore:
    at = convert.isothermal_from_coolest(theta_E, **shape)
    return IsothermalCore(**at, core_radius=r_core / shape["q"] ** 0.5)


def _from_spemd(gamma: float, theta_E: float, r_core: float, **shape: float) -> PowerLawCore:
    return PowerLawCore(
        **_power_law_arguments(gamma, theta_E, **shape), core_radius=r_core / shape["q"] ** 0.5
    )


def _from_chameleon(b: float, s_c: float, s_t: float, **shape: float) -> dPIEMass:
    at = convert.isothermal_from_coolest(b, **shape)
    root = convert.effective_einstein_radius(1.0, at["ell_comps"])
    b0 = at["einstein_radius"] * (s_t - s_c) / s_t
    return dPIEMass(at["centre"], at["ell_comps"], s_c / root, s_t / root, b0)


def _from_shear(gamma_ext: float, phi_ext: float) -> ExternalShear:
    twice = 2.0 * np.deg2rad(phi_ext + 90.0)
    return ExternalShear(float(gamma_ext * np.cos(twice)), float(gamma_ext * np.sin(twice)))


_MASS_FROM: dict[str, Callable[..., MassProfile]] = {
    "SIE": _from_sie,
    "PEMD": lambda **values: PowerLaw(**_power_law_arguments(**values)),
    "NIE": _from_nie,
    "SPEMD": _from_spemd,
    "Chameleon": _from_chameleon,
    "ExternalShear": _from_shear,
    "ConvergenceSheet": lambda kappa_s: MassSheet((0.0, 0.0), kappa_s),
}

SERSIC = (Sersic, Exponential, DevVaucouleurs)


def _sersic(light: Any, amplitudes: np.ndarray | None) -> Listed:
    index = light.sersic_index if isinstance(light, Sersic) else light.index
    difference, ratio = lenstronomy_sersic(index)
    brightness = None if amplitudes is None else float(amplitudes[0] * np.exp(difference))
    radius = float(light.effective_radius * ratio)
    return "Sersic", {"I_eff": brightness, "theta_eff": radius, "n": float(index), **_shape(light)}


def _from_sersic(I_eff: float | None, theta_eff: float, n: float, **shape: float) -> tuple[Sersic, Any]:
    difference, ratio = lenstronomy_sersic(n)
    at = convert.isothermal_from_coolest(1.0, **shape)
    light = Sersic(at["centre"], at["ell_comps"], theta_eff / ratio, n)
    return light, None if I_eff is None else I_eff * float(np.exp(-difference))
