from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.Util.param_util import ellipticity2phi_q, phi_q2_ellipticity
from pytensor.compile.mode import Mode
from scipy.optimize import brentq

from pymc_lens import convert, priors
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


def posterior(n_chains: int = 2, n_draws: int = 60) -> xr.Dataset:
    rng = np.random.default_rng(1)
    components = np.array([0.05, 0.1]) + 0.01 * rng.standard_normal((n_chains, n_draws, 2))
    radii = 1.2 + 0.01 * rng.standard_normal((n_chains, n_draws))
    return xr.Dataset(
        {
            "ell_comps": (("chain", "draw", "ell_comps_dim_0"), components),
            "einstein_radius": (("chain", "draw"), radii),
        }
    )


def one_by_one(draws: xr.Dataset) -> np.ndarray:
    """Axis ratio, angle and effective radius of every draw, each taken for itself, (3, chain, draw)."""
    return np.array(
        [
            [
                (
                    *convert.axis_ratio_and_angle_from_ell_comps(tuple(pair.tolist())),
                    convert.effective_einstein_radius(float(radius), tuple(pair.tolist())),
                )
                for pair, radius in zip(pairs, radii, strict=True)
            ]
            for pairs, radii in zip(draws["ell_comps"].values, draws["einstein_radius"].values, strict=True)
        ]
    ).transpose(2, 0, 1)


@pytest.mark.parametrize(("n_chains", "n_draws"), [(2, 60), (4, 2), (2, 2)])
def test_issue13_line3_arrays_of_draws(n_chains: int, n_draws: int) -> None:
    """Components along the last axis, whatever the number of chains."""
    draws = posterior(n_chains, n_draws)
    components, radii = draws["ell_comps"].values, draws["einstein_radius"].values
    ratio, angle = convert.axis_ratio_and_angle_from_ell_comps(components)
    effective = convert.effective_einstein_radius(radii, components)
    np.testing.assert_allclose([ratio, angle, effective], one_by_one(draws), rtol=1e-13)
    np.testing.assert_allclose(convert.ell_comps_from(ratio, angle), components, atol=1e-15)


@pytest.mark.parametrize(("n_chains", "n_draws"), [(2, 60), (4, 2), (2, 2)])
def test_issue13_line3_data_arrays_of_draws(n_chains: int, n_draws: int) -> None:
    draws = posterior(n_chains, n_draws)
    ratio, angle = convert.axis_ratio_and_angle_from_ell_comps(draws["ell_comps"])
    effective = convert.effective_einstein_radius(draws["einstein_radius"], draws["ell_comps"])
    assert ratio.dims == angle.dims == effective.dims == ("chain", "draw")
    np.testing.assert_allclose([ratio, angle, effective], one_by_one(draws), rtol=1e-13)
    back = convert.ell_comps_from(ratio, angle)
    assert back.dims == ("chain", "draw", "e_yx")
    assert list(back["e_yx"].values) == ["e_y", "e_x"]
    np.testing.assert_allclose(back, draws["ell_comps"], atol=1e-15)


def test_issue13_line3_components_by_name() -> None:
    """Names go before places: e_x may come first, and other dimensions may have two members as well."""
    draws = posterior().rename(ell_comps_dim_0="e_yx").assign_coords(e_yx=["e_y", "e_x"])
    expected = one_by_one(draws)
    turned = draws["ell_comps"].sel(e_yx=["e_x", "e_y"]).expand_dims(lens=2)
    ratio, angle = convert.axis_ratio_and_angle_from_ell_comps(turned)
    np.testing.assert_allclose([ratio.isel(lens=1), angle.isel(lens=1)], expected[:2], rtol=1e-13)


def test_issue13_line3_random_variables() -> None:
    with pm.Model() as model:
        shape = priors.ell_comps("ell_comps", sigma=0.3)
        ratio, angle = convert.axis_ratio_and_angle_from_ell_comps(shape)
        effective = convert.effective_einstein_radius(pm.Normal("radius", 1.0, 0.1), shape)
        back = convert.ell_comps_from(ratio, angle)
        lenstronomy = convert.isothermal_to_lenstronomy(1.0, shape)
    values = pm.draw(
        [shape, model["radius"], ratio, angle, effective, back, lenstronomy["e1"]], random_seed=1
    )
    assert (values[2], values[3]) == pytest.approx(convert.axis_ratio_and_angle_from_ell_comps(values[0]))
    assert values[4] == pytest.approx(convert.effective_einstein_radius(values[1], values[0]))
    np.testing.assert_allclose(values[5], values[0], rtol=1e-12)
    assert values[6] == values[0][1]
    # As an argument of a profile, and at the circle, where roots have no derivative of their own.
    Isothermal(ell_comps=back)
    assert np.isfinite(pytensor.function([shape], pt.grad(ratio, shape))(np.zeros(2))).all()


def test_issue13_line3_variables_as_axis_ratio_and_angle() -> None:
    with pm.Model():
        shape = convert.ell_comps_from(pm.Uniform("q", 0.5, 1.0), pm.Uniform("phi", -90.0, 90.0))
        Isothermal(ell_comps=shape)
    assert pm.draw(shape).shape == (2,)


@pytest.mark.parametrize(
    ("ell_comps", "words"),
    [
        (np.zeros((2, 60)), r"last axis, .*got shape \(2, 60\).*moveaxis"),
        (0.1, "got a number"),
        (((0.1, 0.2), (0.3, 0.4)), "two members of length two"),
        ([np.zeros(2), np.zeros(2)], "two members of length two"),
        (xr.DataArray(np.zeros((2, 60)), dims=("chain", "draw")), "one dimension with"),
        (xr.DataArray(np.zeros((2, 2)), dims=("lens", "axis")), "one dimension with.*Select"),
    ],
)
def test_issue13_line3_what_is_ambiguous_is_refused(ell_comps: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convert.axis_ratio_and_angle_from_ell_comps(ell_comps)
    with pytest.raises(ValueError, match=words):
        convert.effective_einstein_radius(1.0, ell_comps)


def test_issue13_line3_other_mistakes_are_named() -> None:
    with pytest.raises(TypeError, match=r"ell_comps: expected one variable, got a Dataset"):
        convert.axis_ratio_and_angle_from_ell_comps(posterior())
    with pytest.raises(TypeError, match="axis_ratio: expected numbers"):
        convert.ell_comps_from("round", 0.0)
    with pytest.raises(ValueError, match=r"einstein_radius: expected the shape of ell_comps"):
        convert.effective_einstein_radius(np.ones(3), np.zeros((4, 2)))


def test_issue13_line3_conventions_of_draws() -> None:
    draws = posterior()
    centre = xr.DataArray(np.full((2, 60, 2), [0.1, -0.2]), dims=("chain", "draw", "centre_dim_0"))
    theirs = convert.isothermal_to_lenstronomy(draws["einstein_radius"], draws["ell_comps"], centre)
    assert all(value.dims == ("chain", "draw") for value in theirs.values())
    back = convert.isothermal_from_lenstronomy(**{name: value.values for name, value in theirs.items()})
    np.testing.assert_allclose(back["ell_comps"], draws["ell_comps"])
    np.testing.assert_allclose(back["centre"], centre)
    np.testing.assert_allclose(back["einstein_radius"], draws["einstein_radius"])
    coolest = convert.isothermal_to_coolest(draws["einstein_radius"], draws["ell_comps"], centre)
    again = convert.isothermal_from_coolest(**coolest)
    np.testing.assert_allclose(again["ell_comps"], draws["ell_comps"])


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


@given(st.floats(0.1, 3.0), axis_ratios, angles, st.floats(1.2, 2.8))
@pytest.mark.parametrize("kind", ["power_law", "isothermal_core", "sersic"])
def test_third_parameter_there_and_back(
    kind: str, radius: float, axis_ratio: float, angle: float, third: float
) -> None:
    ell_comps = convert.ell_comps_from(axis_ratio, angle)
    there, back = (getattr(convert, f"{kind}_{way}_lenstronomy") for way in ("to", "from"))
    again = back(**there(radius, third, ell_comps, (0.1, -0.2)))
    np.testing.assert_allclose(again.pop("ell_comps"), ell_comps, rtol=1e-12)
    assert again.pop("centre") == (0.1, -0.2)
    assert list(again.values()) == pytest.approx([radius, third], rel=1e-12)


def test_nfw_there_and_back() -> None:
    back = convert.nfw_from_lenstronomy(**convert.nfw_to_lenstronomy(0.3, 1.2, (0.1, -0.2)))
    assert back == {"centre": (0.1, -0.2), "kappa_s": pytest.approx(0.3), "scale_radius": 1.2}


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
