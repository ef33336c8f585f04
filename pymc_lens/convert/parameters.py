"""Conversions of single parameters; what they take and return is said in `pymc_lens.convert`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
import xarray as xr
from pytensor.graph.basic import Variable

from pymc_lens.priors import ELL_COMPS, POSITION, Components

_SAMPLES = frozenset({"chain", "draw", "sample"})
# Squared ellipticity far below any rounding: symbolic roots have a gradient at the circle with it.
_TINY = 1e-30
# Deflection of an NFW halo at its scale radius, in units of kappa_s times that radius.
_NFW_DEFLECTION = 4.0 * (1.0 - np.log(2.0))


def ell_comps_from(axis_ratio: Any, angle: Any) -> Any:
    """Elliptical components of an axis ratio and an angle.

    Parameters
    ----------
    axis_ratio : float, array, DataArray or variable (...)
        Minor over major axis, in (0, 1].
    angle : float, array, DataArray or variable (...)
        Of the major axis, degrees counter-clockwise from +x.

    Returns
    -------
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)
        ``(e_y, e_x) = (1 - q) / (1 + q) * (sin 2 phi, cos 2 phi)``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If an axis ratio is outside (0, 1].

    Examples
    --------
    >>> pl.convert.ell_comps_from(axis_ratio=0.6, angle=0.0)
    (0.0, 0.25)
    """
    ratio, degrees = _values("axis_ratio", axis_ratio), _values("angle", angle)
    if not _known_to(ratio, lambda values: (values > 0.0) & (values <= 1.0)):
        raise ValueError(f"axis_ratio: expected minor over major axis, in (0, 1], got {axis_ratio!r}.")
    functions = _functions(ratio, degrees)
    size, double = (1.0 - ratio) / (1.0 + ratio), degrees * (np.pi / 90.0)
    return _joined(size * functions.sin(double), size * functions.cos(double), ELL_COMPS)


def axis_ratio_and_angle_from_ell_comps(ell_comps: Any) -> tuple[Any, Any]:
    """Axis ratio and angle of elliptical components.

    Parameters
    ----------
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)
        ``(e_y, e_x)``.

    Returns
    -------
    axis_ratio : float, array, DataArray or variable (...)
        Minor over major axis.
    angle : float, array, DataArray or variable (...)
        Of the major axis, degrees counter-clockwise from +x, in (-90, 90]. That of a circle is zero; as a
        variable it has no gradient there.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If ``|ell_comps| >= 1``, or there are not two components.

    Examples
    --------
    >>> pl.convert.axis_ratio_and_angle_from_ell_comps((0.25, 0.0))
    (0.6, 45.0)
    """
    e_y, e_x = _ellipticity(ell_comps)
    functions, size = _functions(e_y, e_x), _size(ell_comps)
    # Adding zero takes its sign away, which would turn 90 degrees into -90.
    angle = functions.arctan2(e_y + 0.0, e_x) * (90.0 / np.pi)
    return _plain((1.0 - size) / (1.0 + size)), _plain(angle)


def effective_einstein_radius(einstein_radius: Any, ell_comps: Any) -> Any:
    """Radius of the circle with the area of the critical curve of an `Isothermal`.

    ``einstein_radius * 2 sqrt(q) / (1 + q)``: the convention of COOLEST, lenstronomy and Bolton et al. 2008
    (ApJ 682, 964). Of other masses, `PowerLaw` among them, this is not the radius: take
    `pymc_lens.quantities.einstein_radius`.

    Parameters
    ----------
    einstein_radius : float, array, DataArray or variable (...)
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)

    Returns
    -------
    float, array, DataArray or variable (...)

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If ``|ell_comps| >= 1``, there are not two components, or the shapes do not fit.

    Examples
    --------
    >>> posterior = idata.posterior.to_dataset()  # doctest: +SKIP
    >>> effective_einstein_radius(posterior["einstein_radius"], posterior["ell_comps"])  # doctest: +SKIP
    """
    radius = _values("einstein_radius", einstein_radius)
    return _plain(_product("einstein_radius", radius, _effective_over_isothermal(ell_comps)))


def isothermal_to_lenstronomy(
    einstein_radius: Any, ell_comps: Any, centre: Any = (0.0, 0.0)
) -> dict[str, Any]:
    """Keyword arguments of lenstronomy's ``SIE`` for an `Isothermal`: numbers, or arrays (...) of draws.

    Parameters
    ----------
    einstein_radius : float, array, DataArray or variable (...)
        Of an `Isothermal`, arcsec.
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)
        ``(e_y, e_x)``.
    centre : pair of floats, or array, DataArray or variable (..., 2)
        (y, x), arcsec.

    Returns
    -------
    dict
        ``theta_E``, ``e1``, ``e2``, ``center_x``, ``center_y``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If ``|ell_comps| >= 1``, there are not two components, or the shapes do not fit.

    Examples
    --------
    >>> pl.convert.isothermal_to_lenstronomy(1.2, (0.0, 0.2), centre=(0.05, 0.0))
    {'theta_E': 1.1757550765359255, 'e1': 0.2, 'e2': 0.0, 'center_x': 0.0, 'center_y': 0.05}
    """
    radius = effective_einstein_radius(einstein_radius, ell_comps)
    return {"theta_E": radius, **shape_to_lenstronomy(ell_comps, centre)}


def isothermal_from_lenstronomy(
    theta_E: Any, e1: Any, e2: Any, center_x: Any = 0.0, center_y: Any = 0.0
) -> dict[str, Any]:
    """Keyword arguments of `Isothermal` for lenstronomy's ``SIE``.

    Parameters
    ----------
    theta_E : float, array, DataArray or variable (...)
        Arcsec.
    e1, e2 : float, array, DataArray or variable (...)
        Ellipticity, along x and along the diagonal.
    center_x, center_y : float, array, DataArray or variable (...)
        Arcsec.

    Returns
    -------
    dict
        ``centre``, ``ell_comps``, ``einstein_radius``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If the components are not below one, or the shapes do not fit.

    Examples
    --------
    >>> pl.convert.isothermal_from_lenstronomy(theta_E=1.2, e1=0.2, e2=0.0)
    {'centre': (0.0, 0.0), 'ell_comps': (0.0, 0.2), 'einstein_radius': 1.2247448713915892}
    """
    ell_comps = _joined(_values("e2", e2), _values("e1", e1), ELL_COMPS)
    return _isothermal(theta_E, ell_comps, center_x, center_y)


def power_law_to_lenstronomy(
    einstein_radius: Any, slope: Any, ell_comps: Any, centre: Any = (0.0, 0.0)
) -> dict[str, Any]:
    """Keyword arguments of lenstronomy's ``EPL`` for a `PowerLaw`: numbers, or arrays (...) of draws.

    ``theta_E = einstein_radius * 2 sqrt(q) / (1 + q) * ((1 + q) / 2)^((slope - 2) / (slope - 1))``.

    Parameters
    ----------
    einstein_radius : float, array, DataArray or variable (...)
        Of a `PowerLaw`, arcsec.
    slope : float, array, DataArray or variable (...)
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)
        ``(e_y, e_x)``.
    centre : pair of floats, or array, DataArray or variable (..., 2)
        (y, x), arcsec.

    Returns
    -------
    dict
        ``theta_E``, ``gamma``, ``e1``, ``e2``, ``center_x``, ``center_y``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If ``|ell_comps| >= 1``, there are not two components, or the shapes do not fit.
    """
    kwargs = isothermal_to_lenstronomy(einstein_radius, ell_comps, centre)
    steep = _values("slope", slope)
    ratio = _power_law_over_isothermal(steep, ell_comps)
    return {"theta_E": _plain(kwargs.pop("theta_E") * ratio), "gamma": _plain(steep), **kwargs}


def power_law_from_lenstronomy(
    theta_E: Any, gamma: Any, e1: Any, e2: Any, center_x: Any = 0.0, center_y: Any = 0.0
) -> dict[str, Any]:
    """Keyword arguments of `PowerLaw` for lenstronomy's ``EPL``.

    Parameters
    ----------
    theta_E : float, array, DataArray or variable (...)
        Arcsec.
    gamma : float, array, DataArray or variable (...)
        The slope.
    e1, e2 : float, array, DataArray or variable (...)
        Ellipticity, along x and along the diagonal.
    center_x, center_y : float, array, DataArray or variable (...)
        Arcsec.

    Returns
    -------
    dict
        ``centre``, ``ell_comps``, ``einstein_radius``, ``slope``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If the components are not below one, or the shapes do not fit.
    """
    kwargs, slope = isothermal_from_lenstronomy(theta_E, e1, e2, center_x, center_y), _values("gamma", gamma)
    ratio = _power_law_over_isothermal(slope, kwargs["ell_comps"])
    return {**kwargs, "einstein_radius": _plain(kwargs["einstein_radius"] / ratio), "slope": _plain(slope)}


def isothermal_core_to_lenstronomy(
    einstein_radius: Any, core_radius: Any, ell_comps: Any, centre: Any = (0.0, 0.0)
) -> dict[str, Any]:
    """Keyword arguments of lenstronomy's ``NIE`` for an `IsothermalCore`: numbers, or arrays of draws.

    Parameters
    ----------
    einstein_radius, core_radius : float, array, DataArray or variable (...)
        Of an `IsothermalCore`, arcsec.
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)
        ``(e_y, e_x)``.
    centre : pair of floats, or array, DataArray or variable (..., 2)
        (y, x), arcsec.

    Returns
    -------
    dict
        ``theta_E``, ``e1``, ``e2``, ``center_x``, ``center_y``, ``s_scale``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If ``|ell_comps| >= 1``, there are not two components, or the shapes do not fit.
    """
    kwargs = isothermal_to_lenstronomy(einstein_radius, ell_comps, centre)
    core = _product("core_radius", _values("core_radius", core_radius), root_of_axis_ratio(ell_comps))
    return {**kwargs, "s_scale": _plain(core)}


def isothermal_core_from_lenstronomy(
    theta_E: Any, s_scale: Any, e1: Any, e2: Any, center_x: Any = 0.0, center_y: Any = 0.0
) -> dict[str, Any]:
    """Keyword arguments of `IsothermalCore` for lenstronomy's ``NIE``.

    Parameters
    ----------
    theta_E, s_scale : float, array, DataArray or variable (...)
        Arcsec.
    e1, e2 : float, array, DataArray or variable (...)
        Ellipticity, along x and along the diagonal.
    center_x, center_y : float, array, DataArray or variable (...)
        Arcsec.

    Returns
    -------
    dict
        ``centre``, ``ell_comps``, ``einstein_radius``, ``core_radius``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If the components are not below one, or the shapes do not fit.
    """
    kwargs = isothermal_from_lenstronomy(theta_E, e1, e2, center_x, center_y)
    root = root_of_axis_ratio(kwargs["ell_comps"])
    return {**kwargs, "core_radius": _plain(_product("s_scale", _values("s_scale", s_scale), 1.0 / root))}


def nfw_to_lenstronomy(kappa_s: Any, scale_radius: Any, centre: Any = (0.0, 0.0)) -> dict[str, Any]:
    """Keyword arguments of lenstronomy's ``NFW`` for an `NFWSph`: numbers, or arrays (...) of draws.

    ``alpha_Rs = 4 kappa_s scale_radius (1 - log 2)`` is the deflection at the scale radius.

    Parameters
    ----------
    kappa_s : float, array, DataArray or variable (...)
    scale_radius : float, array, DataArray or variable (...)
        Arcsec.
    centre : pair of floats, or array, DataArray or variable (..., 2)
        (y, x), arcsec.

    Returns
    -------
    dict
        ``Rs``, ``alpha_Rs``, ``center_x``, ``center_y``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If there are not two components of the centre, or the shapes do not fit.
    """
    kappa, radius = _values("kappa_s", kappa_s), _values("scale_radius", scale_radius)
    y, x = _components("centre", centre, POSITION)
    alpha = _product("kappa_s", kappa, radius) * _NFW_DEFLECTION
    return {"Rs": _plain(radius), "alpha_Rs": _plain(alpha), "center_x": _plain(x), "center_y": _plain(y)}


def nfw_from_lenstronomy(Rs: Any, alpha_Rs: Any, center_x: Any = 0.0, center_y: Any = 0.0) -> dict[str, Any]:
    """Keyword arguments of `NFWSph` for lenstronomy's ``NFW``.

    Parameters
    ----------
    Rs, alpha_Rs : float, array, DataArray or variable (...)
        Arcsec.
    center_x, center_y : float, array, DataArray or variable (...)
        Arcsec.

    Returns
    -------
    dict
        ``centre``, ``kappa_s``, ``scale_radius``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If the shapes do not fit.
    """
    radius, alpha = _values("Rs", Rs), _values("alpha_Rs", alpha_Rs)
    return {
        "centre": _joined(_values("center_y", center_y), _values("center_x", center_x), POSITION),
        "kappa_s": _plain(_product("alpha_Rs", alpha, 1.0 / radius) / _NFW_DEFLECTION),
        "scale_radius": _plain(radius),
    }


def sersic_to_lenstronomy(
    effective_radius: Any, sersic_index: Any, ell_comps: Any, centre: Any = (0.0, 0.0)
) -> dict[str, Any]:
    """Keyword arguments of lenstronomy's ``SERSIC_ELLIPSE`` for a `pymc_lens.light.Sersic`, but ``amp``.

    That is the amplitude; lenstronomy's b_n is 1.9992 n - 0.3271, by which images differ by up to 1e-3.

    Parameters
    ----------
    effective_radius : float, array, DataArray or variable (...)
        Arcsec.
    sersic_index : float, array, DataArray or variable (...)
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)
        ``(e_y, e_x)``.
    centre : pair of floats, or array, DataArray or variable (..., 2)
        (y, x), arcsec.

    Returns
    -------
    dict
        ``R_sersic``, ``n_sersic``, ``e1``, ``e2``, ``center_x``, ``center_y``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If ``|ell_comps| >= 1``, there are not two components, or the shapes do not fit.
    """
    return {
        "R_sersic": _plain(_values("effective_radius", effective_radius)),
        "n_sersic": _plain(_values("sersic_index", sersic_index)),
        **shape_to_lenstronomy(ell_comps, centre),
    }


def sersic_from_lenstronomy(
    R_sersic: Any, n_sersic: Any, e1: Any, e2: Any, center_x: Any = 0.0, center_y: Any = 0.0
) -> dict[str, Any]:
    """Keyword arguments of `pymc_lens.light.Sersic` for lenstronomy's ``SERSIC_ELLIPSE``.

    Parameters
    ----------
    R_sersic : float, array, DataArray or variable (...)
        Arcsec.
    n_sersic : float, array, DataArray or variable (...)
    e1, e2 : float, array, DataArray or variable (...)
        Ellipticity, along x and along the diagonal.
    center_x, center_y : float, array, DataArray or variable (...)
        Arcsec.

    Returns
    -------
    dict
        ``centre``, ``ell_comps``, ``effective_radius``, ``sersic_index``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If the shapes do not fit.
    """
    return {
        "centre": _joined(_values("center_y", center_y), _values("center_x", center_x), POSITION),
        "ell_comps": _joined(_values("e2", e2), _values("e1", e1), ELL_COMPS),
        "effective_radius": _plain(_values("R_sersic", R_sersic)),
        "sersic_index": _plain(_values("n_sersic", n_sersic)),
    }


def isothermal_to_coolest(einstein_radius: Any, ell_comps: Any, centre: Any = (0.0, 0.0)) -> dict[str, Any]:
    """Parameters of COOLEST's ``SIE`` for an `Isothermal`: numbers, or arrays (...) of draws.

    The angle runs from +y, degrees in (-90, 90].

    Parameters
    ----------
    einstein_radius : float, array, DataArray or variable (...)
        Of an `Isothermal`, arcsec.
    ell_comps : pair of floats, or array, DataArray or variable (..., 2)
        ``(e_y, e_x)``.
    centre : pair of floats, or array, DataArray or variable (..., 2)
        (y, x), arcsec.

    Returns
    -------
    dict
        ``theta_E``, ``q``, ``phi``, ``center_x``, ``center_y``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If ``|ell_comps| >= 1``, there are not two components, or the shapes do not fit.

    Examples
    --------
    >>> pl.convert.isothermal_to_coolest(1.2, (0.0, 0.2))
    {'theta_E': 1.1757550765359255, 'q': 0.6666666666666667, 'phi': 90.0, 'center_x': 0.0, 'center_y': 0.0}
    """
    axis_ratio, angle = axis_ratio_and_angle_from_ell_comps(ell_comps)
    y, x = _components("centre", centre, POSITION)
    return {
        "theta_E": effective_einstein_radius(einstein_radius, ell_comps),
        "q": axis_ratio,
        "phi": 90.0 - (180.0 - angle) % 180.0,
        "center_x": _plain(x),
        "center_y": _plain(y),
    }


def isothermal_from_coolest(
    theta_E: Any, q: Any, phi: Any, center_x: Any = 0.0, center_y: Any = 0.0
) -> dict[str, Any]:
    """Keyword arguments of `Isothermal` for COOLEST's ``SIE``.

    Parameters
    ----------
    theta_E : float, array, DataArray or variable (...)
        Arcsec.
    q : float, array, DataArray or variable (...)
        Minor over major axis, in (0, 1].
    phi : float, array, DataArray or variable (...)
        Of the major axis, degrees from +y.
    center_x, center_y : float, array, DataArray or variable (...)
        Arcsec.

    Returns
    -------
    dict
        ``centre``, ``ell_comps``, ``einstein_radius``.

    Raises
    ------
    TypeError
        If an argument holds no numbers.
    ValueError
        If an axis ratio is outside (0, 1], or the shapes do not fit.
    """
    return _isothermal(theta_E, ell_comps_from(q, _values("phi", phi) + 90.0), center_x, center_y)


def shape_to_lenstronomy(ell_comps: Any, centre: Any) -> dict[str, Any]:
    """Return ``e1``, ``e2``, ``center_x`` and ``center_y``."""
    e_y, e_x = _ellipticity(ell_comps)
    y, x = _components("centre", centre, POSITION)
    return {"e1": _plain(e_x), "e2": _plain(e_y), "center_x": _plain(x), "center_y": _plain(y)}


def root_of_axis_ratio(ell_comps: Any) -> Any:
    """Return sqrt(q) in terms of the components."""
    size = _size(ell_comps)
    return _plain(_functions(size).sqrt((1.0 - size) / (1.0 + size)))


def _isothermal(effective_radius: Any, ell_comps: Any, x: Any, y: Any) -> dict[str, Any]:
    radius = _values("theta_E", effective_radius)
    ratio = _effective_over_isothermal(ell_comps)
    return {
        "centre": _joined(_values("center_y", y), _values("center_x", x), POSITION),
        "ell_comps": ell_comps,
        "einstein_radius": _plain(_product("theta_E", radius, 1.0 / ratio)),
    }


def _effective_over_isothermal(ell_comps: Any) -> Any:
    """2 sqrt(q) / (1 + q) in terms of the components."""
    e_y, e_x = _ellipticity(ell_comps)
    return _functions(e_y, e_x).sqrt(1.0 - e_y**2 - e_x**2)


def _power_law_over_isothermal(slope: Any, ell_comps: Any) -> Any:
    """((1 + q) / 2)^((slope - 2) / (slope - 1)) in terms of the components."""
    return (1.0 + _size(ell_comps)) ** ((2.0 - slope) / (slope - 1.0))


def _size(ell_comps: Any) -> Any:
    """(1 - q) / (1 + q) in terms of the components; as a variable it has a gradient at the circle."""
    e_y, e_x = _ellipticity(ell_comps)
    functions = _functions(e_y, e_x)
    return functions.sqrt(e_y**2 + e_x**2 + (_TINY if functions is pt else 0.0))


def _ellipticity(ell_comps: Any) -> tuple[Any, Any]:
    e_y, e_x = _components("ell_comps", ell_comps, ELL_COMPS)
    if not _known_to(e_y**2 + e_x**2, lambda squared: squared < 1.0):
        raise ValueError(f"ell_comps: expected |ell_comps| < 1, got {ell_comps!r}.")
    return e_y, e_x


# --- two components


def _components(name: str, value: Any, components: Components) -> tuple[Any, Any]:
    """Take two components apart; each has the shape of what is left."""
    if isinstance(value, xr.DataArray):
        return _components_by_name(name, value, components)
    if isinstance(value, (list, tuple)) and len(value) == 2:
        first, second = (_values(name, part) for part in value)
        if _last_length(first) == 2 == _last_length(second):
            raise ValueError(
                f"{name}: two members of length two may be {components.labels} of two draws or the other way "
                f"round. Give one array with {components.labels} along its last axis."
            )
        return first, second
    array = _values(name, value)
    if _last_length(array) != 2:
        got = "a number" if _last_length(array) is None else f"shape {_shape(array)}"
        raise ValueError(
            f"{name}: expected {components.labels} as a pair or along the last axis, (..., 2), got {got}. "
            "np.moveaxis(array, 0, -1) takes a first axis there."
        )
    return array[..., 0], array[..., 1]


def _components_by_name(name: str, value: xr.DataArray, components: Components) -> tuple[Any, Any]:
    labelled = [
        dim
        for dim in value.dims
        if dim in value.coords and sorted(map(str, value[dim].values)) == sorted(components.labels)
    ]
    of_length_two = [dim for dim in value.dims if dim not in _SAMPLES and value.sizes[dim] == 2]
    if len(labelled) == 1:
        dim = labelled[0]
        first, second = (value.sel({dim: label}) for label in components.labels)
    elif len(of_length_two) == 1:
        dim = of_length_two[0]
        first, second = value.isel({dim: 0}), value.isel({dim: 1})
    else:
        raise ValueError(
            f"{name}: expected one dimension with {components.labels}, got {dict(value.sizes)}. Select what "
            "belongs together, or name the components: .assign_coords(dim=[...])."
        )
    return first.drop_vars([dim], errors="ignore"), second.drop_vars([dim], errors="ignore")


def _joined(first: Any, second: Any, components: Components) -> Any:
    """Put two components together, the way `_components` takes them apart."""
    if isinstance(first, Variable) or isinstance(second, Variable):
        return pt.stack(pt.broadcast_arrays(first, second), axis=-1)
    if isinstance(first, xr.DataArray) or isinstance(second, xr.DataArray):
        labels = xr.DataArray(list(components.labels), dims=components.dim, name=components.dim)
        parts = xr.broadcast(xr.DataArray(first), xr.DataArray(second))
        joined = xr.concat(parts, dim=labels)
        return joined.transpose(..., components.dim)
    if np.ndim(first) == np.ndim(second) == 0:
        return float(first), float(second)
    return np.stack(np.broadcast_arrays(first, second), axis=-1)


# --- numbers, arrays, DataArrays and variables


def _values(name: str, value: Any) -> Any:
    if isinstance(value, (Variable, xr.DataArray)):
        return value
    if isinstance(value, (xr.Dataset, xr.DataTree)):
        raise TypeError(
            f"{name}: expected one variable, got a {type(value).__name__}. Select it by its name."
        )
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected numbers, a DataArray or a variable, got {value!r}.") from None


def _functions(*values: Any) -> Any:
    return pt if any(isinstance(value, Variable) for value in values) else np


def _known_to(values: Any, hold: Any) -> bool:
    """Whether a condition holds of numbers; of variables nothing is known."""
    return isinstance(values, Variable) or bool(np.all(hold(values)))


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(value.type.shape if isinstance(value, Variable) else np.shape(value))


def _last_length(value: Any) -> int | None:
    """Length of the last axis; 2 where a variable leaves it open, None where there is no axis."""
    shape = _shape(value)
    return None if not shape else 2 if shape[-1] is None else shape[-1]


def _product(name: str, value: Any, factor: Any) -> Any:
    """Multiply what has the same shape, or none."""
    if isinstance(value, np.ndarray) and value.ndim and np.ndim(factor) and value.shape != np.shape(factor):
        raise ValueError(
            f"{name}: expected the shape of ell_comps without its components, {np.shape(factor)}, got "
            f"{value.shape}."
        )
    return value * factor


def _plain(value: Any) -> Any:
    return float(value) if not isinstance(value, (Variable, xr.DataArray)) and np.ndim(value) == 0 else value
