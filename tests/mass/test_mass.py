from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from documented import extending
from hypothesis import given
from hypothesis import strategies as st
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Profiles.cnfw import CNFW
from lenstronomy.LensModel.Profiles.gnfw import GNFW
from pytensor.compile.mode import Mode
from scipy.integrate import quad

from pymc_lens.convert import (
    ell_comps_from,
    isothermal_core_to_lenstronomy,
    isothermal_to_lenstronomy,
    nfw_to_lenstronomy,
    power_law_to_lenstronomy,
)
from pymc_lens.galaxy import Galaxy
from pymc_lens.mass import (
    NFW,
    ExternalPotential,
    ExternalShear,
    FromDeflections,
    FromPotential,
    Isothermal,
    IsothermalCore,
    MassProfile,
    MassSheet,
    MassSum,
    MultiGaussian,
    NFWSph,
    NFWTruncatedSph,
    PointMass,
    PowerLaw,
    PowerLawCore,
    PowerLawMultipole,
    Sersic,
    cNFW,
    dPIEMass,
    gNFW,
)

ONCE = Mode("py", None)
CENTRE = (0.05, -0.1)
ELL_COMPS = (0.1, -0.25)
PARAMETERS = np.array([*CENTRE, *ELL_COMPS, 1.3])


def number(variable: Any) -> np.ndarray:
    return variable.eval(mode=ONCE)


def grid_from(rng: np.random.Generator, n: int = 30) -> np.ndarray:
    return rng.uniform(-2.5, 2.5, (n, 2))


def isothermal(parameters: Any) -> Isothermal:
    return Isothermal((parameters[0], parameters[1]), (parameters[2], parameters[3]), parameters[4])


def isothermal_kwargs(parameters: np.ndarray) -> dict[str, Any]:
    return isothermal_to_lenstronomy(parameters[4], parameters[2:4], parameters[:2])


MIDDLE = {"center_x": CENTRE[1], "center_y": CENTRE[0]}
SHIFT = {"ra_0": CENTRE[1], "dec_0": CENTRE[0]}


def flexion(tau_1: float, tau_2: float, delta_1: float, delta_2: float) -> dict[str, float]:
    """Coefficients of x^3 / 6, x^2 y / 2, x y^2 / 2 and y^3 / 6 in the potential."""
    return {
        "g1": 1.5 * tau_1 + delta_1,
        "g2": 0.5 * tau_2 + delta_2,
        "g3": 0.5 * tau_1 - delta_1,
        "g4": 1.5 * tau_2 - delta_2,
    }


# Every profile, and what lenstronomy calls the same.
PROFILES: dict[str, tuple[MassProfile, list[str], list[dict[str, Any]]]] = {
    "isothermal": (isothermal(PARAMETERS), ["SIE"], [isothermal_kwargs(PARAMETERS)]),
    "power_law": (
        PowerLaw(CENTRE, ELL_COMPS, 1.3, 2.2),
        ["EPL"],
        [power_law_to_lenstronomy(1.3, 2.2, ELL_COMPS, CENTRE)],
    ),
    "isothermal_core": (
        IsothermalCore(CENTRE, ELL_COMPS, 1.3, 0.2),
        ["NIE"],
        [isothermal_core_to_lenstronomy(1.3, 0.2, ELL_COMPS, CENTRE)],
    ),
    "dpie": (
        dPIEMass(CENTRE, (0.0, 0.0), 0.2, 1.5, 1.1),
        ["PJAFFE"],
        [{"sigma0": 0.55 / 0.2, "Ra": 0.2, "Rs": 1.5, "center_x": -0.1, "center_y": 0.05}],
    ),
    "nfw": (NFW(CENTRE, (0.0, 0.0), 0.3, 1.2), ["NFW"], [nfw_to_lenstronomy(0.3, 1.2, CENTRE)]),
    "nfw_sph": (NFWSph(CENTRE, 0.3, 1.2), ["NFW"], [nfw_to_lenstronomy(0.3, 1.2, CENTRE)]),
    "nfw_truncated": (
        NFWTruncatedSph(CENTRE, 0.3, 1.2, 1.9),
        ["TNFW"],
        [{**nfw_to_lenstronomy(0.3, 1.2, CENTRE), "r_trunc": 1.9}],
    ),
    "nfw_generalised": (
        gNFW(CENTRE, (0.0, 0.0), 0.3, 1.4, 3.0),
        ["GNFW"],
        [{"Rs": 3.0, "alpha_Rs": GNFW().kappa_s_to_alpha_Rs(0.3, 3.0, 1.4), "gamma_in": 1.4, **MIDDLE}],
    ),
    "nfw_core": (
        cNFW(CENTRE, (0.0, 0.0), 0.3, 3.0, 0.2),
        ["CNFW"],
        [{"Rs": 3.0, "alpha_Rs": CNFW()._rho2alpha(0.1, 3.0, 0.2), "r_core": 0.2, **MIDDLE}],
    ),
    "power_law_core": (
        PowerLawCore(CENTRE, ELL_COMPS, 1.3, 2.0, 0.2),
        ["NIE"],
        [isothermal_core_to_lenstronomy(1.3, 0.2, ELL_COMPS, CENTRE)],
    ),
    "multi_gaussian": (
        MultiGaussian(CENTRE, ELL_COMPS, [0.3], [1.5], 0.5),
        ["GAUSSIAN_ELLIPSE_KAPPA"],
        [{"amp": 0.75 * 2.0 * np.pi * 0.09, "sigma": 0.3, "e1": -0.25, "e2": 0.1, **MIDDLE}],
    ),
    "external_potential": (
        ExternalPotential(CENTRE, 0.03, -0.05, 0.02, 0.01, -0.03, 0.02),
        ["SHEAR", "FLEXION"],
        [{"gamma1": 0.03, "gamma2": -0.05, **SHIFT}, {**flexion(0.02, 0.01, -0.03, 0.02), **SHIFT}],
    ),
    "multipole": (
        PowerLawMultipole(4, CENTRE, 1.3, 2.0, (0.02 * np.sin(0.8), 0.02 * np.cos(0.8))),
        ["MULTIPOLE"],
        [{"m": 4, "a_m": 0.026, "phi_m": 0.2, "center_x": -0.1, "center_y": 0.05}],
    ),
    "circular": (
        Isothermal(CENTRE, (0.0, 0.0), 0.9),
        ["SIS"],
        [{"theta_E": 0.9, "center_x": -0.1, "center_y": 0.05}],
    ),
    "shear": (ExternalShear(0.03, -0.05), ["SHEAR"], [{"gamma1": 0.03, "gamma2": -0.05}]),
    "point_mass": (
        PointMass(CENTRE, 1.1),
        ["POINT_MASS"],
        [{"theta_E": 1.1, "center_x": -0.1, "center_y": 0.05}],
    ),
    "mass_sheet": (
        MassSheet(CENTRE, 0.1),
        ["CONVERGENCE"],
        [{"kappa": 0.1, "ra_0": -0.1, "dec_0": 0.05}],
    ),
    "documented": (
        extending().TruncatedHalo(CENTRE, 1.1, 0.2, 1.5),
        ["PJAFFE"],
        [
            {
                "sigma0": 0.55 * (1.5 - 0.2) / (1.5 * 0.2),
                "Ra": 0.2,
                "Rs": 1.5,
                "center_x": -0.1,
                "center_y": 0.05,
            }
        ],
    ),
    "sum": (
        isothermal(PARAMETERS) + ExternalShear(0.03, -0.05) + MassSheet(CENTRE, -0.1),
        ["SIE", "SHEAR", "CONVERGENCE"],
        [
            isothermal_kwargs(PARAMETERS),
            {"gamma1": 0.03, "gamma2": -0.05},
            {"kappa": -0.1, "ra_0": -0.1, "dec_0": 0.05},
        ],
    ),
}
profiles = pytest.mark.parametrize("name", PROFILES)


class TestGolden:
    @pytest.mark.parametrize("name", ["isothermal_q0.7", "isothermal_offset", "isothermal_sph"])
    def test_isothermal(self, golden: Any, name: str) -> None:
        parameters = golden.json("deflections_params.json")[name]
        mass = Isothermal(parameters["centre"], parameters["ell_comps"], parameters["einstein_radius"])
        self._compare(golden, mass, name, scale=parameters["einstein_radius"])

    @pytest.mark.parametrize("name", ["power_law_1.7", "power_law_2.3"])
    def test_power_law(self, golden: Any, name: str) -> None:
        parameters = golden.json("deflections_params.json")[name]
        names = ("centre", "ell_comps", "einstein_radius", "slope")
        self._compare(golden, PowerLaw(*(parameters[each] for each in names)), name)

    def test_isothermal_core(self, golden: Any) -> None:
        parameters = golden.json("deflections_params.json")["isothermal_core"]
        names = ("centre", "ell_comps", "einstein_radius", "core_radius")
        self._compare(golden, IsothermalCore(*(parameters[each] for each in names)), "isothermal_core")

    def test_nfw(self, golden: Any) -> None:
        parameters = golden.json("deflections_params.json")["nfw"]
        elliptical = NFW(*(parameters[each] for each in ("centre", "ell_comps", "kappa_s", "scale_radius")))
        self._compare(golden, elliptical, "nfw")
        self._compare(
            golden, NFWSph(elliptical.centre, elliptical.kappa_s, elliptical.scale_radius), "nfw_sph"
        )
        file = golden("deflections.npz")
        convergence = number(elliptical.convergence(file["points_yx"]))
        np.testing.assert_allclose(convergence, file["nfw_convergence"], rtol=1e-10)

    def test_multipole(self, golden: Any) -> None:
        parameters = golden.json("deflections_params.json")["power_law_multipole_m4"]
        names = ("m", "centre", "einstein_radius", "slope", "multipole_comps")
        self._compare(golden, PowerLawMultipole(*(parameters[n] for n in names)), "power_law_multipole_m4")

    def test_sersic(self, golden: Any) -> None:
        parameters = golden.json("deflections_params.json")["sersic_mass"]
        # PyAutoLens decomposes it; `test_profiles` compares with the integral, to 1e-8.
        self._compare(golden, Sersic(**parameters), "sersic_mass", tolerance=1e-6)

    def test_external_shear(self, golden: Any) -> None:
        parameters = golden.json("deflections_params.json")["external_shear"]
        self._compare(golden, ExternalShear(parameters["gamma_1"], parameters["gamma_2"]), "external_shear")

    @pytest.mark.parametrize("name", ["point_mass", "point_mass_2"])
    def test_point_mass(self, golden: Any, name: str) -> None:
        parameters = golden.json("deflections_params.json")[name]
        self._compare(golden, PointMass(parameters["centre"], parameters["einstein_radius"]), name)

    def test_mass_sheet(self, golden: Any) -> None:
        parameters = golden.json("deflections_params.json")["mass_sheet"]
        self._compare(golden, MassSheet(parameters["centre"], parameters["kappa"]), "mass_sheet")

    @pytest.mark.parametrize("name", ["isothermal_q0.7", "power_law_2.3"])
    def test_convergence(self, golden: Any, name: str) -> None:
        file = golden("deflections.npz")
        parameters = golden.json("deflections_params.json")[name]
        mass = PowerLaw(*(parameters[each] for each in ("centre", "ell_comps", "einstein_radius", "slope")))
        convergence = number(mass.convergence(file["points_yx"]))
        np.testing.assert_allclose(convergence, file[f"{name}_convergence"], rtol=1e-10)

    def _compare(
        self, golden: Any, mass: MassProfile, name: str, scale: float = 1.0, tolerance: float = 1e-10
    ) -> None:
        file = golden("deflections.npz")
        deflections = number(mass.deflections(file["points_yx"]))
        np.testing.assert_allclose(deflections / scale, file[name] / scale, rtol=0.0, atol=tolerance)


class TestLenstronomy:
    @pytest.mark.parametrize("axis_ratio", [0.2, 0.5, 0.8, 1.0])
    @pytest.mark.parametrize("m", [1, 3, 4])
    def test_elliptical_multipoles(self, m: int, axis_ratio: float, rng: np.random.Generator) -> None:
        """Along x, as lenstronomy has them; odd ones up to a uniform deflection."""
        grid, angle = grid_from(rng, 200), 0.4
        radius = 1.3 * 2.0 * np.sqrt(axis_ratio) / (1.0 + axis_ratio)
        kwargs = {"m": m, "a_m": 0.03 * radius, "phi_m": angle, "q": axis_ratio, "r_E": radius}
        kwargs |= {"center_x": CENTRE[1], "center_y": CENTRE[0]}
        alpha_x, alpha_y = LensModel(["MULTIPOLE_ELL"]).alpha(grid[:, 1], grid[:, 0], [kwargs])
        amplitude = (0.03 * np.sin(m * angle), 0.03 * np.cos(m * angle))
        ours = PowerLawMultipole(m, CENTRE, 1.3, 2.0, amplitude, ell_comps_from(axis_ratio, 0.0))
        difference = number(ours.deflections(grid)) - np.stack([alpha_y, alpha_x], axis=-1)
        np.testing.assert_allclose(difference - (m % 2) * difference.mean(axis=0), 0.0, atol=1e-10)

    @profiles
    def test_deflections(self, name: str, rng: np.random.Generator) -> None:
        mass, models, kwargs = PROFILES[name]
        grid = grid_from(rng)
        alpha_x, alpha_y = LensModel(models).alpha(grid[:, 1], grid[:, 0], kwargs)
        # lenstronomy softens its SIE by 1e-10 arcsec.
        np.testing.assert_allclose(
            number(mass.deflections(grid)), np.stack([alpha_y, alpha_x], axis=-1), atol=1e-8
        )

    @profiles
    def test_convergence_and_magnification(self, name: str, rng: np.random.Generator) -> None:
        mass, models, kwargs = PROFILES[name]
        grid = grid_from(rng)
        model = LensModel(models)
        # lenstronomy differentiates its SIE numerically.
        np.testing.assert_allclose(
            number(mass.convergence(grid)), model.kappa(grid[:, 1], grid[:, 0], kwargs), atol=1e-5
        )
        np.testing.assert_allclose(
            1.0 / number(mass.magnification(grid)),
            1.0 / model.magnification(grid[:, 1], grid[:, 0], kwargs),
            atol=1e-5,
        )

    @given(
        axis_ratio=st.floats(0.05, 1.0),
        angle=st.floats(-90.0, 90.0),
        radius=st.floats(1e-3, 10.0),
        direction=st.floats(0.0, 2.0 * np.pi),
    )
    def test_isothermal_of_any_shape(
        self, axis_ratio: float, angle: float, radius: float, direction: float
    ) -> None:
        ell_comps = ell_comps_from(axis_ratio, angle)
        y, x = radius * np.sin(direction), radius * np.cos(direction)
        expected = LensModel(["SIE"]).alpha(x, y, [isothermal_to_lenstronomy(1.3, ell_comps)])
        deflections = number(Isothermal((0.0, 0.0), ell_comps, 1.3).deflections([[y, x]]))
        np.testing.assert_allclose(deflections[0], expected[::-1], atol=3e-7)


def differences(function: Callable, at: np.ndarray, direction: np.ndarray, step: float) -> float:
    """Fourth-order central difference along a direction."""
    first, second = (
        (function(at + h * direction) - function(at - h * direction)) / (2.0 * h) for h in (step, 0.5 * step)
    )
    return (4.0 * second - first) / 3.0


N_RAYS = 12


@pytest.fixture(scope="module", params=["numba", "python"])
def projection(request: Any) -> tuple[Callable, Callable]:
    """A random projection of the deflections from seven parameters and the positions, and its gradient."""
    values = pt.dvector("values")
    grid = values[7:].reshape((N_RAYS, 2))
    mass = isothermal(values[:5]) + ExternalShear(values[5], values[6])
    weights = np.random.default_rng(3).normal(size=(N_RAYS, 2))
    total = (weights * mass.deflections(grid)).sum()
    mode = "NUMBA" if request.param == "numba" else ONCE
    return (
        pytensor.function([values], total, mode=mode),
        pytensor.function([values], pytensor.grad(total, values), mode=mode),
    )


class TestGradient:
    @pytest.mark.parametrize(
        "ell_comps", [(0.1, -0.25), (0.0, 0.0), (1e-9, -3e-9), (0.5, 0.6), (0.0, -0.3)], ids=str
    )
    def test_against_differences(
        self, projection: tuple[Callable, Callable], ell_comps: tuple[float, float], rng: np.random.Generator
    ) -> None:
        value, gradient = projection
        at = np.concatenate([CENTRE, ell_comps, [1.3, 0.03, -0.05], grid_from(rng, N_RAYS).ravel()])
        for direction in rng.normal(size=(4, at.size)):
            expected = differences(value, at, direction, 1e-3)
            np.testing.assert_allclose(gradient(at) @ direction, expected, rtol=1e-7, atol=1e-7)

    @pytest.mark.parametrize("distance", [1e-2, 1e-4])
    def test_near_the_centre(
        self, projection: tuple[Callable, Callable], distance: float, rng: np.random.Generator
    ) -> None:
        value, gradient = projection
        offsets = rng.normal(size=(N_RAYS, 2))
        offsets *= distance / np.linalg.norm(offsets, axis=1, keepdims=True)
        at = np.concatenate([PARAMETERS, [0.03, -0.05], (CENTRE + offsets).ravel()])
        direction = rng.normal(size=at.size)
        expected = differences(value, at, direction, 1e-3 * distance)
        np.testing.assert_allclose(gradient(at) @ direction, expected, rtol=1e-7)

    def test_a_ray_at_the_centre_adds_nothing(self, projection: tuple[Callable, Callable]) -> None:
        value, gradient = projection
        grid = np.tile(CENTRE, (N_RAYS, 1))
        at = np.concatenate([PARAMETERS, [0.0, 0.0], grid.ravel()])
        assert value(at) == 0.0
        assert np.array_equal(gradient(at)[:5], np.zeros(5))


def test_isothermal_is_smooth_through_the_circular_case(rng: np.random.Generator) -> None:
    e = pt.dscalar("e")
    mass = Isothermal(CENTRE, (0.6 * e, -0.8 * e), 1.3)
    weights = rng.normal(size=(30, 2))
    total = (weights * mass.deflections(grid_from(rng))).sum()
    slope = pytensor.function([e], pytensor.grad(total, e), mode=ONCE)
    slopes = [slope(value) for value in (-1e-5, -1e-12, 0.0, 1e-12, 1e-5)]
    assert max(abs(a - b) for a, b in pairwise(slopes)) < 1e-3 * abs(slopes[2])
    np.testing.assert_allclose(slopes[1:4], slopes[2], rtol=1e-9)


@pytest.mark.parametrize("mode", ["NUMBA", "JAX", ONCE], ids=["numba", "jax", "python"])
@pytest.mark.parametrize(("ell_comps", "radius"), [((1.0, 0.0), 1.0), ((0.9, 0.9), 1.0), ((0.1, 0.2), -1.0)])
def test_inadmissible_random_variables_give_nan_and_no_gradient(
    mode: Any, ell_comps: Any, radius: float
) -> None:
    values = pt.tensor("values", shape=(5,))
    mass = Isothermal(values[3:], values[:2], values[2])
    deflections = mass.deflections([[0.3, 0.4], [0.0, 1.0]])
    function = pytensor.function([values], [deflections, pytensor.grad(deflections.sum(), values)], mode=mode)
    alpha, gradient = function(np.array([*ell_comps, radius, 0.1, 0.2]))
    assert np.isnan(alpha).all()
    assert np.array_equal(gradient, np.zeros(5))


def test_a_negative_point_mass_gives_nan_and_no_gradient() -> None:
    values = pt.dvector("values")
    deflections = PointMass(values[1:], values[0]).deflections([[0.3, 0.4]])
    function = pytensor.function([values], [deflections, pytensor.grad(deflections.sum(), values)], mode=ONCE)
    alpha, gradient = function(np.array([-1.0, 0.1, 0.2]))
    assert np.isnan(alpha).all()
    assert np.array_equal(gradient, np.zeros(3))


@profiles
def test_the_gradient_of_the_potential_is_the_deflection(name: str, rng: np.random.Generator) -> None:
    mass, grid = PROFILES[name][0], pt.dmatrix("grid")
    at = grid_from(rng)
    potential = mass.potential(grid)
    gradient = pytensor.grad(potential.sum(), grid).eval({grid: at}, mode=ONCE)
    # Those of halos are integrals, to 1e-10 of them, or sums of terms that are larger than they.
    precision = (
        {"rtol": 1e-7, "atol": 1e-8}
        if "nfw" in name or name == "power_law_core"
        else {"rtol": 1e-10, "atol": 1e-12}
    )
    np.testing.assert_allclose(gradient, number(mass.deflections(at)), **precision)


@profiles
def test_convergence_is_half_the_divergence(name: str, rng: np.random.Generator) -> None:
    mass, h = PROFILES[name][0], 1e-4
    grid = grid_from(rng)
    steps = np.array([[h, 0.0], [0.0, h]])
    ahead, behind = (
        [number(mass.deflections(grid + sign * step))[:, axis] for axis, step in enumerate(steps)]
        for sign in (1.0, -1.0)
    )
    divergence = sum((a - b) / (2.0 * h) for a, b in zip(ahead, behind, strict=True))
    np.testing.assert_allclose(number(mass.convergence(grid)), 0.5 * divergence, rtol=1e-5, atol=1e-6)


def test_mass_within_the_circle_of_a_circular_isothermal() -> None:
    # Mean convergence inside the Einstein ring is one, by the integral of kappa itself.
    mass = Isothermal((0.0, 0.0), (0.0, 0.0), 1.2)
    enclosed, _ = quad(lambda r: 2.0 * np.pi * r * number(mass.convergence([[0.0, r]]))[0], 0.0, 1.2)
    assert enclosed == pytest.approx(np.pi * 1.2**2, rel=1e-8)


def test_convergence_at_the_centre_is_large_and_positive() -> None:
    kappa = number(isothermal(PARAMETERS).convergence([CENTRE]))
    assert np.isfinite(kappa).all()
    assert kappa[0] > 1e8


class TestUserProfiles:
    """A user's function for a known profile, differentiated by PyTensor."""

    @staticmethod
    def potential(y: Any, x: Any) -> Any:
        return 0.45 * pt.log((y - 0.05) ** 2 + (x + 0.1) ** 2)

    @staticmethod
    def deflections(y: Any, x: Any) -> tuple[Any, Any]:
        squared = (y - 0.05) ** 2 + (x + 0.1) ** 2
        return 0.9 * (y - 0.05) / squared, 0.9 * (x + 0.1) / squared

    @pytest.mark.parametrize("kind", ["potential", "deflections"])
    @pytest.mark.parametrize("what", ["deflections", "convergence", "magnification"])
    def test_matches_the_point_mass(self, kind: str, what: str, rng: np.random.Generator) -> None:
        user = FromPotential(self.potential) if kind == "potential" else FromDeflections(self.deflections)
        grid = grid_from(rng)
        expected = number(getattr(PointMass(CENTRE, np.sqrt(0.9)), what)(grid))
        np.testing.assert_allclose(number(getattr(user, what)(grid)), expected, rtol=1e-9, atol=1e-12)

    def test_a_function_of_one_coordinate(self) -> None:
        wedge = FromPotential(lambda y, x: 0.5 * x**2)
        np.testing.assert_allclose(number(wedge.deflections([[1.0, 2.0]])), [[0.0, 2.0]])
        np.testing.assert_allclose(number(wedge.convergence([[1.0, 2.0]])), [0.5])

    def test_parameters_are_differentiated(self) -> None:
        kappa = pt.dscalar("kappa")
        sheet = FromPotential(lambda y, x: 0.5 * kappa * (y**2 + x**2))
        slope = pytensor.grad(sheet.deflections([[1.0, 2.0]]).sum(), kappa)
        assert slope.eval({kappa: 0.3}) == pytest.approx(3.0)

    def test_a_subclass_with_a_potential_only(self) -> None:
        class Cone(MassProfile):
            def potential_yx(self, y: Any, x: Any) -> Any:
                return 0.7 * pt.sqrt(y**2 + x**2)

        expected = number(Isothermal(einstein_radius=0.7).deflections([[0.3, -0.4]]))
        np.testing.assert_allclose(number(Cone().deflections([[0.3, -0.4]])), expected, rtol=1e-12)

    def test_a_subclass_with_neither_is_an_error(self) -> None:
        with pytest.raises(TypeError, match="Nothing: a mass profile defines deflections_yx or potential_yx"):

            class Nothing(MassProfile):
                pass

    def test_deflections_alone_have_no_potential(self) -> None:
        with pytest.raises(NotImplementedError, match="define potential_yx"):
            FromDeflections(self.deflections).potential([[0.0, 1.0]])

    @pytest.mark.parametrize("kind", [FromPotential, FromDeflections])
    def test_a_function_is_needed(self, kind: Any) -> None:
        with pytest.raises(TypeError, match="function"):
            kind(0.5)


@pytest.mark.parametrize("n_terms", [3, 10])
def test_a_recursion_in_a_loop_is_warned_of(n_terms: int) -> None:
    def recursion(y: Any, x: Any) -> tuple[Any, Any]:
        radius = pt.sqrt(x * x + y * y)
        u_y, u_x = y / radius, x / radius
        term_y, term_x, total_y, total_x = u_y, u_x, u_y, u_x
        for n in range(1, n_terms + 1):
            ratio = -0.2 * (2.0 * n - 0.8) / (2.0 * n + 0.8)
            term_y, term_x = (
                ratio * (term_y * (u_x * u_x - u_y * u_y) + term_x * 2.0 * u_x * u_y),
                ratio * (term_x * (u_x * u_x - u_y * u_y) - term_y * 2.0 * u_x * u_y),
            )
            total_y, total_x = total_y + term_y, total_x + term_x
        return total_y, total_x

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Galaxy(0.5, mass=FromDeflections(recursion))
    assert [("repeat" in str(each.message)) for each in caught] == [True] * (n_terms > 3)


def test_no_profile_of_the_package_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for profile, _, _ in PROFILES.values():
            Galaxy(0.5, mass=profile)


class TestShapes:
    @pytest.mark.parametrize("shape", [(2,), (7, 2), (3, 4, 2), (0, 2)])
    @profiles
    def test_leading_axes_are_kept(self, shape: tuple[int, ...], name: str, rng: np.random.Generator) -> None:
        mass, grid = PROFILES[name][0], rng.uniform(0.3, 2.0, shape)
        flat = number(mass.deflections(grid.reshape(-1, 2)))
        assert np.array_equal(number(mass.deflections(grid)), flat.reshape(shape))
        assert number(mass.convergence(grid)).shape == shape[:-1]

    @pytest.mark.parametrize("grid", [np.zeros((4, 3)), 1.0, pt.dscalar(), pt.tensor(shape=(4, 3))])
    def test_the_last_axis_holds_two(self, grid: Any) -> None:
        with pytest.raises(ValueError, match="grid: expected"):
            ExternalShear(0.1, 0.0).deflections(grid)


class TestArguments:
    @pytest.mark.parametrize(
        ("kind", "kwargs", "name"),
        [
            (Isothermal, {"einstein_radius": -1.0}, "einstein_radius"),
            (Isothermal, {"einstein_radius": np.nan}, "einstein_radius"),
            (Isothermal, {"einstein_radius": np.ones(2)}, "einstein_radius"),
            (Isothermal, {"einstein_radius": pt.dvector()}, "einstein_radius"),
            (Isothermal, {"ell_comps": (1.0, 0.0)}, "ell_comps"),
            (Isothermal, {"ell_comps": (0.8, 0.8)}, "ell_comps"),
            (Isothermal, {"ell_comps": (0.1, np.inf)}, "ell_comps"),
            (Isothermal, {"ell_comps": 0.1}, "ell_comps"),
            (Isothermal, {"ell_comps": (0.1, 0.1, 0.1)}, "ell_comps"),
            (Isothermal, {"ell_comps": pt.tensor(shape=(3,))}, "ell_comps"),
            (Isothermal, {"centre": (np.nan, 0.0)}, "centre"),
            (Isothermal, {"centre": pt.dmatrix()}, "centre"),
            (PointMass, {"einstein_radius": -0.1}, "einstein_radius"),
            (PointMass, {"centre": (0.0,)}, "centre"),
            (ExternalShear, {"gamma_1": np.inf}, "gamma_1"),
            (ExternalShear, {"gamma_2": np.nan}, "gamma_2"),
            (MassSheet, {"kappa": np.nan}, "kappa"),
            (MassSheet, {"centre": (0.0, np.inf)}, "centre"),
        ],
    )
    def test_bad_numbers_are_named(self, kind: Any, kwargs: dict[str, Any], name: str) -> None:
        with pytest.raises(ValueError, match=f"{name}: expected"):
            kind(**kwargs)

    @pytest.mark.parametrize("value", ["1.0", None])
    def test_other_kinds_are_type_errors(self, value: Any) -> None:
        with pytest.raises(TypeError, match="einstein_radius: expected real numbers, got"):
            Isothermal(einstein_radius=value)

    def test_numbers_and_variables_mix(self, rng: np.random.Generator) -> None:
        e_x, centre, radius = pt.dscalar("e_x"), pt.dvector("centre"), pt.dscalar("radius")
        grid = grid_from(rng)
        mixed = Isothermal(centre, (ELL_COMPS[0], e_x), radius).deflections(grid)
        fixed = number(isothermal(PARAMETERS).deflections(grid))
        values = {e_x: ELL_COMPS[1], centre: np.array(CENTRE), radius: 1.3}
        np.testing.assert_allclose(mixed.eval(values), fixed, rtol=1e-13)

    def test_sums_are_flat_and_only_of_masses(self) -> None:
        total = ExternalShear(0.1, 0.0) + (MassSheet((0.0, 0.0), 0.1) + PointMass((0.0, 0.0), 0.1))
        assert isinstance(total, MassSum)
        assert len(total.profiles) == 3
        with pytest.raises(TypeError):
            total + 1.0
