"""Whole masses and lights as lenstronomy lists them: names of models and keyword arguments in step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from pymc_lens.convert import parameters as convert
from pymc_lens.convert.lists import Listed, amplitudes_of_parts, listed, masses_of, read_list
from pymc_lens.evaluate import evaluate_once
from pymc_lens.light.base import LightProfile
from pymc_lens.light.multi_gaussian import MultiGaussian as GaussianLight
from pymc_lens.light.sersic import DevVaucouleurs, Exponential, Sersic, SersicCore, half_light_coefficient
from pymc_lens.light.simple import Gaussian
from pymc_lens.mass import (
    NFW,
    ExternalPotential,
    ExternalShear,
    Isothermal,
    IsothermalCore,
    MassProfile,
    MassSheet,
    MultiGaussian,
    NFWSph,
    NFWTruncatedSph,
    PointMass,
    PowerLaw,
    PowerLawCore,
    PowerLawMultipole,
    cNFW,
    dPIEMass,
    gNFW,
)
from pymc_lens.mass import Sersic as SersicMass
from pymc_lens.symbolic import pair, scalar
from pymc_lens.validation import is_symbolic, require_instance


class LightAndAmplitudes(NamedTuple):
    """Light and what lenstronomy had for its amplitudes.

    Attributes
    ----------
    light : LightProfile
    amplitudes : (n_columns,) array or None
        Surface brightness per arcsec^2, as `LightProfile.images` counts it; None where an ``amp`` is missing.
    """

    light: LightProfile
    amplitudes: np.ndarray | None


def mass_to_lenstronomy(mass: MassProfile) -> tuple[list[str], list[dict[str, Any]]]:
    """Names and keyword arguments of lenstronomy's ``LensModel`` for a mass.

    Those of the functions of this module for one profile. `dPIEMass` is ``PJAFFE`` where it is round, else
    ``CHAMELEON``; `NFW` is ``NFW_ELLIPSE_CSE``, by which lenstronomy means the same and computes it to some
    1e-4; `Sersic` is ``SERSIC_ELLIPSE_KAPPA`` with the radius at which lenstronomy's b_n gives the same mass.

    Parameters
    ----------
    mass : MassProfile
        Numbers; variables and draws come back in the place of numbers.

    Returns
    -------
    lens_model_list : list of str
    kwargs_lens : list of dict

    Raises
    ------
    TypeError
        If it is no mass.
    ValueError
        If lenstronomy has no counterpart of a profile; names it.
    """
    parts = masses_of(mass)
    return listed([model for part in parts for model in _mass_models(part)])


def mass_from_lenstronomy(lens_model_list: Sequence[str], kwargs_lens: Sequence[dict]) -> MassProfile:
    """Mass for names and keyword arguments of lenstronomy's ``LensModel``.

    Parameters
    ----------
    lens_model_list : sequence of str
    kwargs_lens : sequence of dict

    Returns
    -------
    MassProfile
        The sum of all.

    Raises
    ------
    TypeError
        If the keyword arguments are not those of the model.
    ValueError
        If this package has no counterpart of a model, or the lists do not go together.
    """
    return reduce(add, read_list("lens_model_list", "lenstronomy", lens_model_list, kwargs_lens, _MASS_FROM))


def light_to_lenstronomy(
    light: LightProfile, amplitudes: Any = None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Names and keyword arguments of lenstronomy's ``LightModel`` for light.

    Sérsic profiles have the radius and the amplitude at which lenstronomy's b_n gives the same brightness.

    Parameters
    ----------
    light : LightProfile
    amplitudes : array (n_columns,), optional
        Surface brightness per arcsec^2: that of a fit is per pixel. By default there is no ``amp``.

    Returns
    -------
    light_model_list : list of str
    kwargs_light : list of dict

    Raises
    ------
    TypeError
        If it is no light.
    ValueError
        If lenstronomy has no counterpart of a profile; names it. If there are more or fewer amplitudes.
    """
    require_instance("light", light, LightProfile)
    each = zip(light.parts, amplitudes_of_parts(light, amplitudes), strict=True)
    return listed([model for part, values in each for model in _light_models(part, values)])


def light_from_lenstronomy(
    light_model_list: Sequence[str], kwargs_light: Sequence[dict]
) -> LightAndAmplitudes:
    """Light for names and keyword arguments of lenstronomy's ``LightModel``.

    Parameters
    ----------
    light_model_list : sequence of str
    kwargs_light : sequence of dict

    Returns
    -------
    LightAndAmplitudes

    Raises
    ------
    TypeError
        If the keyword arguments are not those of the model.
    ValueError
        If this package has no counterpart of a model, or the lists do not go together.
    """
    read = read_list("light_model_list", "lenstronomy", light_model_list, kwargs_light, _LIGHT_FROM)
    light = reduce(add, (profile for profile, _ in read))
    if any(amplitude is None for _, amplitude in read):
        return LightAndAmplitudes(light, None)
    return LightAndAmplitudes(light, np.concatenate([np.atleast_1d(amplitude) for _, amplitude in read]))


def lenstronomy_sersic(index: Any) -> tuple[Any, Any]:
    """b_n of this package less lenstronomy's and COOLEST's, and their effective radius over ours.

    The brightness is the same with this ratio, and with the amplitude times exp of the difference.
    """
    ours, theirs = half_light_coefficient(index), 1.9992 * index - 0.3271
    return ours - theirs, (theirs / ours) ** index


# --- masses, to lenstronomy


def _mass_models(mass: MassProfile) -> list[Listed]:
    to = _MASS_TO.get(type(mass))
    if to is None:
        raise ValueError(
            f"mass: lenstronomy has no counterpart of {type(mass).__name__}. Give a mass without it."
        )
    return to(mass)


def _at(profile: Any) -> dict[str, Any]:
    y, x = pair("centre", profile.centre)
    return {"center_x": x, "center_y": y}


def _of_shape(profile: Any) -> dict[str, Any]:
    return convert.shape_to_lenstronomy(profile.ell_comps, profile.centre)


def _isothermal(mass: Isothermal) -> list[Listed]:
    return [("SIE", convert.isothermal_to_lenstronomy(mass.einstein_radius, mass.ell_comps, mass.centre))]


def _power_law(mass: PowerLaw | PowerLawCore) -> list[Listed]:
    arguments = (mass.einstein_radius, mass.slope, mass.ell_comps, mass.centre)
    return [("EPL", convert.power_law_to_lenstronomy(*arguments))]


def _isothermal_core(mass: IsothermalCore) -> list[Listed]:
    arguments = (mass.einstein_radius, mass.core_radius, mass.ell_comps, mass.centre)
    return [("NIE", convert.isothermal_core_to_lenstronomy(*arguments))]


def _power_law_core(mass: PowerLawCore) -> list[Listed]:
    ((_, kwargs),) = _power_law(mass)
    core = convert.isothermal_core_to_lenstronomy(1.0, mass.core_radius, mass.ell_comps)["s_scale"]
    return [("SPEMD", {**kwargs, "s_scale": core})]


def _dpie(mass: dPIEMass) -> list[Listed]:
    ra, rs, b0 = (scalar(name, getattr(mass, name)) for name in ("ra", "rs", "b0"))
    shape = _of_shape(mass)
    if not is_symbolic(ra) and ra > 0.0 and (shape["e1"], shape["e2"]) == (0.0, 0.0):
        return [("PJAFFE", {"sigma0": 0.5 * b0 / ra, "Ra": ra, "Rs": rs, **_at(mass)})]
    of_both = convert.effective_einstein_radius(b0, mass.ell_comps) * rs / (rs - ra)
    root = convert.root_of_axis_ratio(mass.ell_comps)
    core, cut = root * ra, root * rs
    return [("CHAMELEON", {"alpha_1": of_both * _at_one(core, cut), "w_c": core, "w_t": cut, **shape})]


def _at_one(core: Any, cut: Any) -> Any:
    """Deflection at one arcsec of the difference of two NIE of ``theta_E`` one."""
    return (1.0 + core**2) ** 0.5 - core - (1.0 + cut**2) ** 0.5 + cut


def _nfw(mass: NFW) -> list[Listed]:
    root = convert.root_of_axis_ratio(mass.ell_comps)
    halo = convert.nfw_to_lenstronomy(mass.kappa_s, mass.scale_radius * root, mass.centre)
    return [("NFW_ELLIPSE_CSE", {**halo, **_of_shape(mass)})]


def _nfw_sph(mass: NFWSph) -> list[Listed]:
    return [("NFW", convert.nfw_to_lenstronomy(mass.kappa_s, mass.scale_radius, mass.centre))]


def _nfw_truncated(mass: NFWTruncatedSph) -> list[Listed]:
    halo = convert.nfw_to_lenstronomy(mass.kappa_s, mass.scale_radius, mass.centre)
    return [("TNFW", {**halo, "r_trunc": mass.truncation_radius})]


def _round_halo(mass: gNFW | cNFW) -> list[Listed]:
    if pair("ell_comps", mass.ell_comps) != (0.0, 0.0):
        raise ValueError(
            f"mass: lenstronomy has no counterpart of a {type(mass).__name__} but round ones, got ell_comps "
            f"{mass.ell_comps}."
        )
    kwargs = {"Rs": mass.scale_radius, "alpha_Rs": mass.kappa_s * _at_scale_radius(mass), **_at(mass)}
    if isinstance(mass, gNFW):
        return [("GNFW", {**kwargs, "gamma_in": mass.inner_slope})]
    return [("CNFW", {**kwargs, "r_core": mass.core_radius})]


def _at_scale_radius(mass: gNFW | cNFW) -> float:
    """Deflection of a round halo at its scale radius, for a ``kappa_s`` of one."""
    unit = replace(mass, centre=(0.0, 0.0), kappa_s=1.0)
    (alpha,) = evaluate_once([unit.deflections([[0.0, mass.scale_radius]])])
    return float(alpha[0, 1])


def _sersic_mass(mass: SersicMass) -> list[Listed]:
    difference, ratio = lenstronomy_sersic(mass.sersic_index)
    kappa = mass.intensity * mass.mass_to_light_ratio * np.exp(difference)
    axis_ratio, _ = convert.axis_ratio_and_angle_from_ell_comps(mass.ell_comps)
    shape = _of_shape(mass)
    # This one of lenstronomy's counts radii along the major axis, and its |e| is 1 - q.
    radius, longer = mass.effective_radius * ratio / axis_ratio**0.5, 1.0 + axis_ratio
    shape |= {name: shape[name] * longer for name in ("e1", "e2")}
    kwargs = {"k_eff": kappa, "R_sersic": radius, "n_sersic": mass.sersic_index, **shape}
    return [("SERSIC_ELLIPSE_KAPPA", kwargs)]


def _gaussians(mass: MultiGaussian) -> list[Listed]:
    light = GaussianLight(mass.centre, mass.ell_comps, mass.sigmas)
    return [
        ("MULTI_GAUSSIAN_ELLIPSE_KAPPA", {**kwargs, "amp": kwargs["amp"] * mass.mass_to_light_ratio})
        for _, kwargs in _gaussian_groups(light, np.asarray(mass.intensities, dtype=float))
    ]


def _multipole(mass: PowerLawMultipole) -> list[Listed]:
    slope, ell_comps = scalar("slope", mass.slope), pair("ell_comps", mass.ell_comps)
    if slope != 2.0 or ell_comps != (0.0, 0.0):
        raise ValueError(
            "mass: lenstronomy has no counterpart of a PowerLawMultipole but about circles and of slope 2 "
            f"(MULTIPOLE), got slope {mass.slope} and ell_comps {mass.ell_comps}."
        )
    sine, cosine = pair("multipole_comps", mass.multipole_comps)
    kwargs = {
        "a_m": mass.einstein_radius * np.hypot(sine, cosine),
        "phi_m": np.arctan2(sine, cosine) / mass.m,
    }
    return [("MULTIPOLE", {"m": mass.m, **kwargs, **_at(mass), "r_E": mass.einstein_radius})]


def _external_potential(mass: ExternalPotential) -> list[Listed]:
    y, x = pair("centre", mass.centre)
    shift = {"ra_0": x, "dec_0": y}
    third = {
        "g1": 1.5 * mass.tau_1 + mass.delta_1,
        "g2": 0.5 * mass.tau_2 + mass.delta_2,
        "g3": 0.5 * mass.tau_1 - mass.delta_1,
        "g4": 1.5 * mass.tau_2 - mass.delta_2,
    }
    shear = {"gamma1": mass.gamma_1, "gamma2": mass.gamma_2}
    return [("SHEAR", shear | shift), ("FLEXION", third | shift)]


def _shear(mass: ExternalShear) -> list[Listed]:
    return [("SHEAR", {"gamma1": mass.gamma_1, "gamma2": mass.gamma_2, "ra_0": 0.0, "dec_0": 0.0})]


def _sheet(mass: MassSheet) -> list[Listed]:
    y, x = pair("centre", mass.centre)
    return [("CONVERGENCE", {"kappa": mass.kappa, "ra_0": x, "dec_0": y})]


def _point(mass: PointMass) -> list[Listed]:
    return [("POINT_MASS", {"theta_E": mass.einstein_radius, **_at(mass)})]


_MASS_TO: dict[type, Callable[[Any], list[Listed]]] = {
    Isothermal: _isothermal,
    PowerLaw: _power_law,
    IsothermalCore: _isothermal_core,
    PowerLawCore: _power_law_core,
    dPIEMass: _dpie,
    NFW: _nfw,
    NFWSph: _nfw_sph,
    NFWTruncatedSph: _nfw_truncated,
    gNFW: _round_halo,
    cNFW: _round_halo,
    SersicMass: _sersic_mass,
    MultiGaussian: _gaussians,
    PowerLawMultipole: _multipole,
    ExternalPotential: _external_potential,
    ExternalShear: _shear,
    MassSheet: _sheet,
    PointMass: _point,
}


# --- masses, from lenstronomy


def _from_power_law_core(theta_E: float, gamma: float, s_scale: float, **shape: float) -> PowerLawCore:
    power_law = convert.power_law_from_lenstronomy(theta_E, gamma, **shape)
    core = convert.isothermal_core_from_lenstronomy(1.0, s_scale, **shape)["core_radius"]
    return PowerLawCore(**power_law, core_radius=core)


def _from_pjaffe(
    sigma0: float, Ra: float, Rs: float, center_x: float = 0.0, center_y: float = 0.0
) -> dPIEMass:
    core, cut = sorted((Ra, Rs))
    return dPIEMass((center_y, center_x), (0.0, 0.0), core, cut, 2.0 * sigma0 * core)


def _from_chameleon(alpha_1: float, w_c: float, w_t: float, **shape: float) -> dPIEMass:
    at = convert.isothermal_core_from_lenstronomy(alpha_1 / _at_one(w_c, w_t), w_c, **shape)
    root = convert.root_of_axis_ratio(at["ell_comps"])
    b0 = at["einstein_radius"] * (w_t - w_c) / w_t
    return dPIEMass(at["centre"], at["ell_comps"], w_c / root, w_t / root, b0)


def _from_nfw_ellipse(
    Rs: float, alpha_Rs: float, e1: float, e2: float, center_x: float = 0.0, center_y: float = 0.0
) -> NFW:
    halo = convert.nfw_from_lenstronomy(Rs, alpha_Rs, center_x, center_y)
    root = convert.root_of_axis_ratio((e2, e1))
    return NFW(halo["centre"], (e2, e1), halo["kappa_s"], halo["scale_radius"] / root)


def _from_tnfw(Rs: float, alpha_Rs: float, r_trunc: float, **centre: float) -> NFWTruncatedSph:
    return NFWTruncatedSph(**convert.nfw_from_lenstronomy(Rs, alpha_Rs, **centre), truncation_radius=r_trunc)


def _from_gnfw(
    Rs: float, alpha_Rs: float, gamma_in: float, center_x: float = 0.0, center_y: float = 0.0
) -> gNFW:
    unit = gNFW((center_y, center_x), (0.0, 0.0), 1.0, gamma_in, Rs)
    return replace(unit, kappa_s=alpha_Rs / _at_scale_radius(unit))


def _from_cnfw(
    Rs: float, alpha_Rs: float, r_core: float, center_x: float = 0.0, center_y: float = 0.0
) -> cNFW:
    unit = cNFW((center_y, center_x), (0.0, 0.0), 1.0, Rs, r_core)
    return replace(unit, kappa_s=alpha_Rs / _at_scale_radius(unit))


def _from_sersic_mass(
    k_eff: float, R_sersic: float, n_sersic: float, e1: float = 0.0, e2: float = 0.0, **centre: float
) -> SersicMass:
    difference, ratio = lenstronomy_sersic(n_sersic)
    axis_ratio = 1.0 - np.hypot(e1, e2)
    radius, longer = R_sersic / ratio * axis_ratio**0.5, 1.0 + axis_ratio
    shape = convert.sersic_from_lenstronomy(radius, n_sersic, e1 / longer, e2 / longer, **centre)
    return SersicMass(**shape, intensity=k_eff * np.exp(-difference))


def _from_gaussians(
    amp: Any,
    sigma: Any,
    e1: float,
    e2: float,
    center_x: float = 0.0,
    center_y: float = 0.0,
    scale_factor: float = 1.0,
) -> MultiGaussian:
    widths = np.atleast_1d(np.asarray(sigma, dtype=float))
    kappa = scale_factor * np.atleast_1d(amp) / (2.0 * np.pi * widths**2)
    return MultiGaussian((center_y, center_x), (e2, e1), widths, kappa)


def _from_multipole(
    m: int, a_m: float, phi_m: float, center_x: float = 0.0, center_y: float = 0.0, r_E: float = 1.0
) -> PowerLawMultipole:
    size = a_m / r_E
    comps = (size * np.sin(m * phi_m), size * np.cos(m * phi_m))
    return PowerLawMultipole(m, (center_y, center_x), r_E, 2.0, comps)


def _from_shear(gamma1: float, gamma2: float, ra_0: float = 0.0, dec_0: float = 0.0) -> MassProfile:
    if (ra_0, dec_0) == (0.0, 0.0):
        return ExternalShear(gamma1, gamma2)
    return ExternalPotential((dec_0, ra_0), gamma1, gamma2)


def _from_flexion(
    g1: float, g2: float, g3: float, g4: float, ra_0: float = 0.0, dec_0: float = 0.0
) -> ExternalPotential:
    tau, delta = (0.5 * (g1 + g3), 0.5 * (g2 + g4)), (0.25 * (g1 - 3.0 * g3), 0.25 * (3.0 * g2 - g4))
    return ExternalPotential((dec_0, ra_0), 0.0, 0.0, *tau, *delta)


_MASS_FROM: dict[str, Callable[..., MassProfile]] = {
    "SIE": lambda **kwargs: Isothermal(**convert.isothermal_from_lenstronomy(**kwargs)),
    "SIS": lambda theta_E, **centre: Isothermal(
        **convert.isothermal_from_lenstronomy(theta_E, 0.0, 0.0, **centre)
    ),
    "EPL": lambda **kwargs: PowerLaw(**convert.power_law_from_lenstronomy(**kwargs)),
    "EPL_NUMBA": lambda **kwargs: PowerLaw(**convert.power_law_from_lenstronomy(**kwargs)),
    "PEMD": lambda **kwargs: PowerLaw(**convert.power_law_from_lenstronomy(**kwargs)),
    "NIE": lambda **kwargs: IsothermalCore(**convert.isothermal_core_from_lenstronomy(**kwargs)),
    "SPEMD": _from_power_law_core,
    "PJAFFE": _from_pjaffe,
    "CHAMELEON": _from_chameleon,
    "NFW": lambda **kwargs: NFWSph(**convert.nfw_from_lenstronomy(**kwargs)),
    "NFW_ELLIPSE_CSE": _from_nfw_ellipse,
    "TNFW": _from_tnfw,
    "GNFW": _from_gnfw,
    "CNFW": _from_cnfw,
    "SERSIC": _from_sersic_mass,
    "SERSIC_ELLIPSE_KAPPA": _from_sersic_mass,
    "GAUSSIAN_ELLIPSE_KAPPA": _from_gaussians,
    "MULTI_GAUSSIAN_ELLIPSE_KAPPA": _from_gaussians,
    "MULTIPOLE": _from_multipole,
    "SHEAR": _from_shear,
    "FLEXION": _from_flexion,
    "CONVERGENCE": lambda kappa, ra_0=0.0, dec_0=0.0: MassSheet((dec_0, ra_0), kappa),
    "POINT_MASS": lambda theta_E, center_x=0.0, center_y=0.0: PointMass((center_y, center_x), theta_E),
}


# --- light


def _light_models(light: LightProfile, amplitudes: np.ndarray | None) -> list[Listed]:
    to = _LIGHT_TO.get(type(light))
    if to is None:
        raise ValueError(
            f"light: lenstronomy has no counterpart of {type(light).__name__}. Give light without it."
        )
    return to(light, amplitudes)


def _amp(amplitudes: np.ndarray | None, factor: Any) -> dict[str, Any]:
    return {} if amplitudes is None else {"amp": float(amplitudes[0] * factor)}


def _sersic(light: Any, amplitudes: np.ndarray | None) -> list[Listed]:
    index = light.sersic_index if isinstance(light, Sersic) else light.index
    difference, ratio = lenstronomy_sersic(index)
    shape = convert.sersic_to_lenstronomy(
        light.effective_radius * ratio, index, light.ell_comps, light.centre
    )
    return [("SERSIC_ELLIPSE", {**_amp(amplitudes, np.exp(difference)), **shape})]


def _sersic_core(light: SersicCore, amplitudes: np.ndarray | None) -> list[Listed]:
    _, ratio = lenstronomy_sersic(light.sersic_index)
    radius = light.effective_radius * ratio
    shape = convert.sersic_to_lenstronomy(radius, light.sersic_index, light.ell_comps, light.centre)
    inside = {"Rb": light.radius_break, "gamma": light.gamma, "alpha": light.alpha}
    factor = 1.0 if amplitudes is None else 1.0 / _at_break(radius, light.sersic_index, **inside)
    return [("CORE_SERSIC", {**_amp(amplitudes, factor), **shape, **inside})]


def _at_break(R_sersic: Any, n_sersic: Any, Rb: Any, gamma: Any, alpha: Any) -> Any:
    """Brightness of lenstronomy's ``CORE_SERSIC`` of amplitude one at its break."""
    power = 2.0 ** (1.0 / (alpha * n_sersic)) * (Rb / R_sersic) ** (1.0 / n_sersic)
    return 2.0 ** (gamma / alpha) * np.exp((1.9992 * n_sersic - 0.3271) * (1.0 - power))


def _gaussian(light: Gaussian, amplitudes: np.ndarray | None) -> list[Listed]:
    amp = _amp(amplitudes, 2.0 * np.pi * light.sigma**2)
    return [("GAUSSIAN_ELLIPSE", {**amp, "sigma": light.sigma, **_of_shape(light)})]


def _gaussian_groups(light: GaussianLight, amplitudes: np.ndarray | None) -> list[Listed]:
    y, x = pair("centre", light.centre)
    counts = [widths.size for widths in light.widths]
    each = [None] * len(counts) if amplitudes is None else np.split(amplitudes, np.cumsum(counts)[:-1])
    models = []
    for (e_y, e_x), widths, values in zip(light.ellipticities, light.widths, each, strict=True):
        amp = {} if values is None else {"amp": 2.0 * np.pi * widths**2 * values}
        kwargs = {**amp, "sigma": widths, "e1": e_x, "e2": e_y, "center_x": x, "center_y": y}
        models.append(("MULTI_GAUSSIAN_ELLIPSE", kwargs))
    return models


_LIGHT_TO: dict[type, Callable[[Any, np.ndarray | None], list[Listed]]] = {
    Sersic: _sersic,
    Exponential: _sersic,
    DevVaucouleurs: _sersic,
    SersicCore: _sersic_core,
    Gaussian: _gaussian,
    GaussianLight: _gaussian_groups,
}


def _scaled(amp: Any, factor: Any) -> Any:
    return None if amp is None else np.asarray(amp, dtype=float) * factor


def _from_sersic(
    R_sersic: float, n_sersic: float, e1: float = 0.0, e2: float = 0.0, amp: Any = None, **centre: float
) -> tuple[LightProfile, Any]:
    difference, ratio = lenstronomy_sersic(n_sersic)
    shape = convert.sersic_from_lenstronomy(R_sersic / ratio, n_sersic, e1, e2, **centre)
    return Sersic(**shape), _scaled(amp, np.exp(-difference))


def _from_sersic_core(
    R_sersic: float, Rb: float, n_sersic: float, gamma: float, e1: float = 0.0, e2: float = 0.0,
    amp: Any = None, alpha: float = 3.0, **centre: float,
) -> tuple[LightProfile, Any]:  # fmt: skip
    _, ratio = lenstronomy_sersic(n_sersic)
    shape = convert.sersic_from_lenstronomy(R_sersic / ratio, n_sersic, e1, e2, **centre)
    light = SersicCore(**shape, radius_break=Rb, gamma=gamma, alpha=alpha)
    return light, _scaled(amp, _at_break(R_sersic, n_sersic, Rb, gamma, alpha))


def _from_gaussian(
    sigma: float,
    e1: float = 0.0,
    e2: float = 0.0,
    amp: Any = None,
    center_x: float = 0.0,
    center_y: float = 0.0,
) -> tuple[LightProfile, Any]:
    return Gaussian((center_y, center_x), (e2, e1), sigma), _scaled(amp, 1.0 / (2.0 * np.pi * sigma**2))


def _from_gaussian_group(
    sigma: Any,
    e1: float = 0.0,
    e2: float = 0.0,
    amp: Any = None,
    center_x: float = 0.0,
    center_y: float = 0.0,
) -> tuple[LightProfile, Any]:
    widths = np.atleast_1d(np.asarray(sigma, dtype=float))
    light = GaussianLight((center_y, center_x), (e2, e1), widths)
    return light, _scaled(amp, 1.0 / (2.0 * np.pi * widths**2))


_LIGHT_FROM: dict[str, Callable[..., tuple[LightProfile, Any]]] = {
    "SERSIC": _from_sersic,
    "SERSIC_ELLIPSE": _from_sersic,
    "CORE_SERSIC": _from_sersic_core,
    "GAUSSIAN": _from_gaussian,
    "GAUSSIAN_ELLIPSE": _from_gaussian,
    "MULTI_GAUSSIAN": _from_gaussian_group,
    "MULTI_GAUSSIAN_ELLIPSE": _from_gaussian_group,
}
