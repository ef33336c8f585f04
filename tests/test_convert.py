from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.Util.param_util import ellipticity2phi_q, phi_q2_ellipticity
from pytensor.compile.mode import Mode
from scipy.optimize import brentq

from pymc_lens import convert
from pymc_lens.mass import Isothermal

axis_ratios = st.floats(0.05, 0.999)
angles = st.floats(-89.9, 90.0)


@given(axis_ratios, angles)
def test_ell_comps_against_lenstronomy(axis_ratio: float, angle: float) -> None:
    e1, e2 = phi_q2_ellipticity(np.radians(angle), axis_ratio)
    ell_comps = convert.ell_comps_from(axis_ratio, angle)
    np.testing.assert_allclose(ell_comps, (e2, e1), atol=1e-14)
    phi, ratio = ellipticity2phi_q(e1, e2)
    np.testing.assert_allclose(
        convert.axis_ratio_and_angle_from_ell_comps(ell_comps), (ratio, np.degrees(phi)), rtol=1e-7, atol=1e-9
    )


@given(axis_ratios, angles)
def test_there_and_back(axis_ratio: float, angle: float) -> None:
    back = convert.axis_ratio_and_angle_from_ell_comps(convert.ell_comps_from(axis_ratio, angle))
    np.testing.assert_allclose(back, (axis_ratio, angle), rtol=1e-9, atol=1e-9)


def test_arrays_of_draws() -> None:
    draws = np.array([[0.1, 0.2, 0.0], [0.0, -0.1, 0.0]])
    ratio, angle = convert.axis_ratio_and_angle_from_ell_comps(draws)
    one_by_one = [convert.axis_ratio_and_angle_from_ell_comps(draw) for draw in draws.T]
    np.testing.assert_allclose(np.transpose([ratio, angle]), one_by_one, rtol=1e-14)
    radii = convert.effective_einstein_radius(np.array([1.0, 1.1, 1.2]), draws)
    assert radii.shape == (3,)
    assert radii[2] == pytest.approx(1.2)
    np.testing.assert_allclose(convert.ell_comps_from(ratio, angle), draws, atol=1e-15)


@pytest.mark.parametrize("axis_ratio", [0.5, 0.8, 1.0])
def test_effective_radius_is_that_of_the_critical_ellipse(axis_ratio: float) -> None:
    # The critical curve of an isothermal lens is where kappa = 1/2: an ellipse; find its axes numerically.
    mass = Isothermal((0.0, 0.0), convert.ell_comps_from(axis_ratio, 0.0), 1.3)

    def excess(y: float, x: float) -> float:
        return float(mass.convergence([[y, x]]).eval(mode=Mode("py", None))[0]) - 0.5

    major = brentq(lambda x: excess(0.0, x), 0.01, 10.0, xtol=1e-12)
    minor = brentq(lambda y: excess(y, 0.0), 0.01, 10.0, xtol=1e-12)
    assert minor / major == pytest.approx(axis_ratio, rel=1e-9)
    effective = convert.effective_einstein_radius(1.3, convert.ell_comps_from(axis_ratio, 0.0))
    assert effective == pytest.approx(np.sqrt(major * minor), rel=1e-9)


def test_lenstronomy_deflections_from_its_own_parameters() -> None:
    kwargs = {"theta_E": 1.1, "e1": -0.2, "e2": 0.1, "center_x": 0.05, "center_y": -0.1}
    grid = np.array([[0.3, 0.8], [-1.2, 0.4]])
    alpha_x, alpha_y = LensModel(["SIE"]).alpha(grid[:, 1], grid[:, 0], [kwargs])
    mass = Isothermal(**convert.isothermal_from_lenstronomy(**kwargs))
    deflections = mass.deflections(grid).eval(mode=Mode("py", None))
    np.testing.assert_allclose(deflections, np.stack([alpha_y, alpha_x], axis=-1), atol=1e-8)


@given(st.floats(0.1, 3.0), axis_ratios, angles)
def test_lenstronomy_there_and_back(einstein_radius: float, axis_ratio: float, angle: float) -> None:
    ell_comps = convert.ell_comps_from(axis_ratio, angle)
    kwargs = convert.isothermal_to_lenstronomy(einstein_radius, ell_comps, (0.1, -0.2))
    back = convert.isothermal_from_lenstronomy(**kwargs)
    assert back["einstein_radius"] == pytest.approx(einstein_radius)
    assert back["ell_comps"] == pytest.approx(ell_comps)
    assert back["centre"] == (0.1, -0.2)


@given(st.floats(0.1, 3.0), axis_ratios, angles)
def test_coolest_there_and_back(einstein_radius: float, axis_ratio: float, angle: float) -> None:
    ell_comps = convert.ell_comps_from(axis_ratio, angle)
    parameters = convert.isothermal_to_coolest(einstein_radius, ell_comps, (0.1, -0.2))
    assert -90.0 < parameters["phi"] <= 90.0
    back = convert.isothermal_from_coolest(**parameters)
    assert back["einstein_radius"] == pytest.approx(einstein_radius)
    np.testing.assert_allclose(back["ell_comps"], ell_comps, atol=1e-12)
    assert back["centre"] == (0.1, -0.2)


@pytest.mark.parametrize(("angle", "phi"), [(90.0, 0.0), (0.0, 90.0), (45.0, -45.0), (-45.0, 45.0)])
def test_coolest_angles_run_from_north(angle: float, phi: float) -> None:
    parameters = convert.isothermal_to_coolest(1.0, convert.ell_comps_from(0.7, angle))
    assert parameters["phi"] == pytest.approx(phi, abs=1e-9)
    assert parameters["q"] == pytest.approx(0.7)


@pytest.mark.parametrize("axis_ratio", [0.0, -0.1, 1.1, np.nan])
def test_bad_axis_ratios_are_named(axis_ratio: float) -> None:
    with pytest.raises(ValueError, match="axis_ratio: expected"):
        convert.ell_comps_from(axis_ratio, 30.0)


@pytest.mark.parametrize("ell_comps", [(1.0, 0.0), (0.8, 0.8), (np.nan, 0.0)])
def test_bad_ell_comps_are_named(ell_comps: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="ell_comps: expected"):
        convert.effective_einstein_radius(1.0, ell_comps)
