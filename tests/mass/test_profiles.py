"""Every profile that has a shape: against others at any axis ratio, and its gradient in every parameter.

What holds for the others too is in `test_mass`, for a single set of parameters each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from pytensor.compile.mode import Mode
from scipy.integrate import quad_vec

from pymc_lens import convert, mass
from pymc_lens.light.sersic import half_light_coefficient

ONCE = Mode("py", None)
N_RAYS = 12
CENTRE = (0.05, -0.1)


class Case(NamedTuple):
    """A profile as a function of its parameters, of which four are the centre and the shape."""

    build: Callable[[Any], mass.MassProfile]
    points: dict[str, tuple[float, ...]]
    expected: Callable[[np.ndarray, np.ndarray], np.ndarray]
    up_to_uniform: bool = False


def of_lenstronomy(kinds: list[str], kwargs: list[dict[str, Any]], grid: np.ndarray) -> np.ndarray:
    return np.stack(LensModel(kinds).alpha(grid[:, 1], grid[:, 0], kwargs)[::-1], axis=-1)


def epl(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return of_lenstronomy(["EPL"], [convert.power_law_to_lenstronomy(v[4], v[5], v[2:4], v[:2])], grid)


def nie(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return of_lenstronomy(["NIE"], [convert.isothermal_core_to_lenstronomy(v[4], v[5], v[2:4], v[:2])], grid)


def two_nie(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Their convergence is ``theta_E / 2 / sqrt(s_scale^2 + q x^2 + y^2 / q)``."""
    root = np.sqrt(1.0 - v[2] ** 2 - v[3] ** 2)
    inner, outer = (
        {"theta_E": sign * v[6] * root * v[5] / (v[5] - v[4]), "s_scale": root * core, "e1": v[3], "e2": v[2]}
        | {"center_x": v[1], "center_y": v[0]}
        for sign, core in ((1.0, v[4]), (-1.0, v[5]))
    )
    return of_lenstronomy(["NIE", "NIE"], [inner, outer], grid)


def homoeoids(convergence: Callable, v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Deflections of a convergence as a function of ``sqrt(x^2 + y^2 / q^2)``: Keeton 2001, eq. 15."""
    ratio, angle = convert.axis_ratio_and_angle_from_ell_comps(v[2:4])
    turn = np.exp(1j * np.deg2rad(angle))
    z = (grid[:, 1] - v[1] + 1j * (grid[:, 0] - v[0])) / turn

    def integrand(root: float) -> np.ndarray:
        # root^2 is the variable of integration: the convergence may be infinite at zero.
        narrow = 1.0 - (1.0 - ratio**2) * root**2
        kappa = convergence(root * np.sqrt(z.real**2 + z.imag**2 / narrow))
        return 2.0 * root * kappa * np.stack([z.real / narrow**0.5, z.imag / narrow**1.5])

    x, y = ratio * quad_vec(integrand, 0.0, 1.0, epsabs=1e-12, epsrel=1e-12)[0]
    alpha = (x + 1j * y) * turn
    return np.stack([alpha.imag, alpha.real], axis=-1)


def nfw(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    def convergence(radius: np.ndarray) -> np.ndarray:
        s = radius / v[5] + 1e-100
        angle = np.where(s < 1.0, np.arccosh(np.maximum(1.0 / s, 1.0)), np.arccos(np.minimum(1.0 / s, 1.0)))
        w = s**2 - 1.0
        with np.errstate(all="ignore"):
            g = (1.0 - angle / np.sqrt(np.abs(w))) / w
        return 2.0 * v[4] * np.where(np.abs(w) < 2e-4, 1.0 / 3.0 - w / 5.0 + w**2 / 7.0, g)

    return homoeoids(convergence, v, grid)


def sersic(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    root = np.sqrt(convert.axis_ratio_and_angle_from_ell_comps(v[2:4])[0])

    def convergence(radius: np.ndarray) -> np.ndarray:
        b = half_light_coefficient(v[6])
        return v[7] * v[4] * np.exp(b * (1.0 - (root * radius / v[5]) ** (1.0 / v[6])))

    return homoeoids(convergence, v, grid)


def power_law_core(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    axis_ratio, _ = convert.axis_ratio_and_angle_from_ell_comps(v[2:4])

    def convergence(radius: np.ndarray) -> np.ndarray:
        central = (3.0 - v[5]) / (1.0 + axis_ratio)
        return central * (v[4] ** 2 / (v[6] ** 2 + radius**2)) ** (0.5 * (v[5] - 1.0))

    return homoeoids(convergence, v, grid)


def projected(density: Callable, v: np.ndarray, grid: np.ndarray, kappa_s: float, scale: float) -> np.ndarray:
    """Deflections of a density in units of its scale radius: projected, then as `homoeoids`."""
    # Trapezoids in arcsinh(z / r) are exact to rounding, and so are these nodes where kappa is a cusp.
    angles, nodes = np.arange(200) * 0.2, np.polynomial.legendre.leggauss(200)
    weights = np.where(angles == 0.0, 0.2, 0.4) * np.cosh(angles)
    roots, shares = 0.5 * (nodes[0] + 1.0), 0.5 * nodes[1]
    axis_ratio, angle = convert.axis_ratio_and_angle_from_ell_comps(v[2:4])
    turn = np.exp(1j * np.deg2rad(angle))
    z = ((grid[:, 1] - v[1] + 1j * (grid[:, 0] - v[0])) / turn)[:, None]
    narrow = 1.0 - (1.0 - axis_ratio**2) * roots**8
    radii = roots**4 * np.sqrt(z.real**2 + z.imag**2 / narrow) / scale
    kappa = np.stack([density(r[:, None] * np.cosh(angles)) @ weights for r in radii]) * radii
    kappa = 8.0 * kappa_s * axis_ratio * shares * roots**7 * kappa
    x, y = (kappa * z.real / narrow**0.5).sum(axis=1), (kappa * z.imag / narrow**1.5).sum(axis=1)
    alpha = (x + 1j * y) * turn
    return np.stack([alpha.imag, alpha.real], axis=-1)


def generalised_nfw(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return projected(lambda r: r ** -v[5] * (1.0 + r) ** (v[5] - 3.0), v, grid, v[4], v[6])


def cored_nfw(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    return projected(lambda r: 1.0 / ((r + v[6] / v[5]) * (1.0 + r) ** 2), v, grid, v[4], v[5])


WIDTHS = np.array([0.02, 0.3, 2.0])


def gaussians(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
    kwargs = [
        {"amp": 2.0 * np.pi * width**2 * v[7] * intensity, "sigma": width}
        | {"e1": v[3], "e2": v[2], "center_x": v[1], "center_y": v[0]}
        for width, intensity in zip(WIDTHS, v[4:7], strict=True)
    ]
    return of_lenstronomy(["GAUSSIAN_ELLIPSE_KAPPA"] * len(kwargs), kwargs, grid)


def multipole(order: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the deflections of each Fourier component of the convergence on a circle."""

    def expected(v: np.ndarray, grid: np.ndarray) -> np.ndarray:
        angles = 2.0 * np.pi * np.arange(4096) / 4096
        e, z, degree = v[3] + 1j * v[2], np.exp(1j * angles), 3.0 - v[5]
        n = z - e * z.conj()
        shape = (v[4] * (1.0 - abs(e) ** 2) / abs(n)) ** (v[5] - 1.0)
        kappa = 0.5 * shape * ((v[7] - 1j * v[6]) * (n / abs(n)) ** order).real
        modes, components = np.fft.fftfreq(4096, 1.0 / 4096), np.fft.fft(kappa) / 4096
        keep = np.abs(components) > 1e-14
        modes, components = modes[keep], components[keep]
        place = grid[:, 1] - v[1] + 1j * (grid[:, 0] - v[0])
        radius, phase = np.abs(place)[:, None], np.exp(1j * np.angle(place)[:, None] * modes)
        with np.errstate(divide="ignore"):
            size = np.where(degree**2 == modes**2, 0.0, 2.0 * components / (degree**2 - modes**2))
        resonant = np.where(degree**2 == modes**2, components, 0.0)
        radial = degree * size * radius ** (degree - 1.0) + resonant * (1.0 + np.log(radius))
        along = 1j * modes * (size * radius ** (degree - 1.0) + resonant * np.log(radius))
        alpha = (
            ((radial * phase).sum(axis=1).real + 1j * (along * phase).sum(axis=1).real)
            * place
            / np.abs(place)
        )
        return np.stack([alpha.imag, alpha.real], axis=-1)

    return expected


def multipole_case(order: int) -> Case:
    return Case(
        lambda v: mass.PowerLawMultipole(order, v[:2], v[4], v[5], v[6:8], v[2:4]),
        {
            "shallow": (0.1, -0.25, 1.3, 1.4, 0.02, -0.01),
            "steep": (0.1, -0.25, 1.3, 2.4, 0.02, -0.01),
            "isothermal": (0.1, -0.25, 1.3, 2.0, 0.02, -0.01),
            "round, isothermal": (0.0, 0.0, 1.3, 2.0, -0.01, 0.03),
            "nothing": (0.1, 0.0, 1.3, 2.1, 0.0, 0.0),
        },
        multipole(order),
        up_to_uniform=order % 2 == 1,
    )


CASES = {
    "PowerLaw": Case(
        lambda v: mass.PowerLaw(v[:2], v[2:4], v[4], v[5]),
        {
            "shallow": (0.1, -0.25, 1.3, 1.4),
            "steep": (0.1, -0.25, 1.3, 2.7),
            "isothermal": (0.1, -0.25, 1.3, 2.0),
            "nearly isothermal": (-0.3, 0.0, 0.9, 2.0 + 1e-9),
            "round, isothermal": (0.0, 0.0, 1.3, 2.0),
            "round": (0.0, 0.0, 1.3, 2.3),
            "flat": (0.5, 0.6, 1.3, 2.2),
        },
        epl,
    ),
    "IsothermalCore": Case(
        lambda v: mass.IsothermalCore(v[:2], v[2:4], v[4], v[5]),
        {
            "small core": (0.1, -0.25, 1.3, 0.01),
            "large core": (-0.3, 0.05, 1.3, 1.5),
            "round": (0.0, 0.0, 1.3, 0.2),
            "flat": (0.5, 0.6, 1.3, 0.1),
        },
        nie,
    ),
    "dPIEMass": Case(
        lambda v: mass.dPIEMass(v[:2], v[2:4], v[4], v[5], v[6]),
        {
            "galaxy": (0.1, -0.25, 0.05, 4.0, 1.3),
            "subhalo": (-0.1, 0.05, 1e-3, 0.1, 0.2),
            "round": (0.0, 0.0, 0.1, 1.0, 1.3),
        },
        two_nie,
    ),
    "NFW": Case(
        lambda v: mass.NFW(v[:2], v[2:4], v[4], v[5]),
        {
            "group": (0.1, -0.25, 0.1, 8.0),
            "subhalo": (-0.1, 0.05, 0.3, 0.1),
            "round": (0.0, 0.0, 0.2, 1.2),
            "flat": (0.5, 0.6, 0.2, 1.2),
        },
        nfw,
    ),
    "Sersic": Case(
        lambda v: mass.Sersic(v[:2], v[2:4], *(v[i] for i in range(4, 8))),
        {
            "elliptical galaxy": (0.1, -0.25, 0.3, 0.8, 4.0, 1.2),
            "disc": (0.4, 0.3, 0.5, 1.2, 1.0, 0.5),
            "round": (0.0, 0.0, 0.3, 0.6, 2.5, 1.0),
            "cusp": (0.1, 0.0, 0.1, 1.5, 8.0, 1.0),
        },
        sersic,
    ),
    "PowerLawCore": Case(
        lambda v: mass.PowerLawCore(v[:2], v[2:4], v[4], v[5], v[6]),
        {
            "shallow": (0.1, -0.25, 1.3, 1.4, 0.1),
            "steep": (0.1, -0.25, 1.3, 2.7, 0.1),
            "isothermal": (0.1, -0.25, 1.3, 2.0, 0.02),
            "round": (0.0, 0.0, 1.3, 2.3, 0.1),
            "large core": (0.4, 0.3, 1.3, 1.8, 3.0),
        },
        power_law_core,
    ),
    "gNFW": Case(
        lambda v: mass.gNFW(v[:2], v[2:4], v[4], v[5], v[6]),
        {
            "shallow": (0.1, -0.25, 0.1, 0.3, 8.0),
            "steep": (0.1, -0.25, 0.1, 1.7, 8.0),
            "subhalo": (-0.1, 0.05, 0.3, 1.9, 0.1),
            "round": (0.0, 0.0, 0.1, 1.0, 5.0),
        },
        generalised_nfw,
    ),
    "cNFW": Case(
        lambda v: mass.cNFW(v[:2], v[2:4], v[4], v[5], v[6]),
        {
            "group": (0.1, -0.25, 0.1, 8.0, 0.5),
            "as large a core": (0.1, -0.25, 0.1, 2.0, 2.0),
            "larger core": (0.1, -0.25, 0.1, 2.0, 2.5),
            "round": (0.0, 0.0, 0.1, 5.0, 0.05),
        },
        cored_nfw,
    ),
    "MultiGaussian": Case(
        lambda v: mass.MultiGaussian(v[:2], v[2:4], WIDTHS, v[4:7], v[7]),
        {
            "elliptical galaxy": (0.1, -0.25, 3.0, 1.0, 0.1, 0.7),
            "nearly round": (1e-9, 0.0, 3.0, 1.0, 0.1, 0.7),
            "circle": (0.0, 0.0, 3.0, 1.0, 0.1, 0.7),
            "flat": (0.5, 0.6, 0.0, 1.0, -0.1, 0.7),
        },
        gaussians,
    ),
    "multipole 1": multipole_case(1),
    "multipole 3": multipole_case(3),
    "multipole 4": multipole_case(4),
}
cases = pytest.mark.parametrize("name", CASES)
points = pytest.mark.parametrize(
    ("name", "point"), [(name, point) for name, case in CASES.items() for point in case.points]
)


@cache
def projection(name: str) -> tuple[Callable, Callable]:
    """A random projection of the deflections from the parameters and positions, and its gradient."""
    case = CASES[name]
    n = 2 + len(next(iter(case.points.values())))
    values = pt.vector("values", shape=(n + 2 * N_RAYS,))
    weights = np.random.default_rng(3).normal(size=(N_RAYS, 2))
    total = (weights * case.build(values[:n]).deflections(values[n:].reshape((N_RAYS, 2)))).sum()
    return (
        pytensor.function([values], total, mode=ONCE),
        pytensor.function([values], pytensor.grad(total, values), mode=ONCE),
    )


def difference(function: Callable, at: np.ndarray, direction: np.ndarray, step: float) -> float:
    """Central difference along a direction, without its errors of first order, of a kink, and second."""
    far, near, nearest = (
        (function(at + h * direction) - function(at - h * direction)) / (2.0 * h)
        for h in (step, 0.5 * step, 0.25 * step)
    )
    return (far - 6.0 * near + 8.0 * nearest) / 3.0


@points
def test_gradient_against_differences(name: str, point: str, rng: np.random.Generator) -> None:
    value, gradient = projection(name)
    parameters = np.array([*CENTRE, *CASES[name].points[point]])
    at = np.concatenate([parameters, rng.uniform(-2.5, 2.5, 2 * N_RAYS)])
    shape = np.isin(np.arange(at.size), (2, 3))
    # What is counted along the major axis has a kink at the circle, and that of a mean for its derivative.
    parts = (shape, ~shape) if point.startswith("round") else (1.0,)
    for direction in (part * rng.normal(size=at.size) for part in 2 * parts):
        slope, size = gradient(at) @ direction, np.linalg.norm(gradient(at) * direction)
        errors = [abs(difference(value, at, direction, h) - slope) / size for h in (1e-3, 1e-4, 1e-2)]
        assert np.nanmin(errors) < 1e-8, errors


@points
def test_gradient_is_finite_where_a_ray_hits_the_centre(name: str, point: str) -> None:
    value, gradient = projection(name)
    parameters = np.array([*CENTRE, *CASES[name].points[point]])
    at = np.concatenate([parameters, np.tile(CENTRE, N_RAYS)])
    assert value(at) == 0.0
    assert np.isfinite(gradient(at)).all()


@pytest.mark.parametrize("axis_ratio", [0.2, 0.4, 0.6, 0.8, 0.95, 1.0])
@points
def test_deflection_of_others(name: str, point: str, axis_ratio: float, rng: np.random.Generator) -> None:
    case, values = CASES[name], np.array([*CENTRE, *CASES[name].points[point]])
    values[2:4] = convert.ell_comps_from(axis_ratio, 37.0)
    grid = rng.uniform(-2.5, 2.5, (200, 2))
    grid[0] = CENTRE[0] + 0.5, CENTRE[1]
    grid[1] = CENTRE[0], CENTRE[1] + 0.5
    ours = case.build(values).deflections(grid).eval(mode=ONCE)
    difference = ours - case.expected(values, grid)
    if case.up_to_uniform:
        difference -= difference.mean(axis=0)
    np.testing.assert_allclose(difference, 0.0, atol=1e-8)


# Of parameters, x^2 + y^2 / q^2 in the major-axis frame, and q.
CONVERGENCES: dict[str, Callable] = {
    "PowerLaw": lambda v, u, q: (3.0 - v[5]) / (1.0 + q) * (v[4] ** 2 / u) ** (0.5 * (v[5] - 1.0)),
    "IsothermalCore": lambda v, u, q: v[4] / ((1.0 + q) * np.sqrt(v[5] ** 2 + u)),
    "dPIEMass": lambda v, u, q: (
        0.5 * v[6] * v[5] / (v[5] - v[4])
        * sum(sign / np.sqrt(core**2 + 0.25 * (1.0 + q) ** 2 * u) for sign, core in ((1, v[4]), (-1, v[5])))
    ),
}  # fmt: skip


@pytest.mark.parametrize("axis_ratio", [0.2, 0.6, 0.95, 1.0])
@pytest.mark.parametrize(
    ("name", "point"), [(name, point) for name in CONVERGENCES for point in CASES[name].points]
)
def test_potential_of_lenstronomy_and_convergence(
    name: str, point: str, axis_ratio: float, rng: np.random.Generator
) -> None:
    values = np.array([*CENTRE, *CASES[name].points[point]])
    values[2:4] = convert.ell_comps_from(axis_ratio, 37.0)
    profile = CASES[name].build(values)
    # Along both axes, along the coordinates, and anywhere.
    ways = np.deg2rad([37.0, 127.0, 217.0, 307.0, 0.0, 90.0, 180.0, 270.0])
    steps = np.array([1e-3, 0.1, 1.0, 2.5])[:, None, None]
    lines = (CENTRE + steps * np.stack([np.sin(ways), np.cos(ways)], axis=-1)).reshape(-1, 2)
    grid = np.concatenate([lines, rng.uniform(-2.5, 2.5, (200, 2))])
    kinds, kwargs = convert.mass_to_lenstronomy(profile)
    if name == "PowerLaw" or axis_ratio < 1.0:  # lenstronomy's NIE is 1e-8 off where it is round
        theirs = LensModel(kinds).potential(grid[:, 1], grid[:, 0], kwargs)
        potential = profile.potential(grid).eval(mode=ONCE) - theirs
        np.testing.assert_allclose(potential - potential.mean(), 0.0, atol=1e-8)
    # In closed form: lenstronomy differentiates its NIE numerically.
    along = (grid[:, 1] - CENTRE[1] + 1j * (grid[:, 0] - CENTRE[0])) / np.exp(1j * np.deg2rad(37.0))
    kappa = CONVERGENCES[name](values, along.real**2 + (along.imag / axis_ratio) ** 2, axis_ratio)
    np.testing.assert_allclose(profile.convergence(grid).eval(mode=ONCE), kappa, rtol=1e-8)


@points
def test_hessian_against_differences(name: str, point: str, rng: np.random.Generator) -> None:
    """All four derivatives of the deflection: it is a gradient."""
    profile = CASES[name].build(np.array([*CENTRE, *CASES[name].points[point]]))
    grid, at = pt.dmatrix("grid"), rng.uniform(-2.5, 2.5, (50, 2))
    deflections = pytensor.function([grid], profile.deflections(grid), mode=ONCE)
    hessian = pytensor.function([grid], list(profile.hessian_yx(grid[:, 0], grid[:, 1])), mode=ONCE)
    along_y, along_x = (
        difference(deflections, at, np.array(axis), 1e-2) for axis in ((1.0, 0.0), (0.0, 1.0))
    )
    yy, xy, xx = hessian(at)
    np.testing.assert_allclose(along_y, np.stack([yy, xy], axis=-1), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(along_x, np.stack([xy, xx], axis=-1), rtol=1e-6, atol=1e-7)
