from __future__ import annotations

from dataclasses import fields
from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytensor
import pytest
from pytensor.compile.mode import Mode
from scipy import stats
from scipy.integrate import dblquad

from pymc_lens import convert, light, mass, priors
from pymc_lens.inference.starts import initial_point
from pymc_lens.inference.values import value_variables


def compiled(sigma: float) -> tuple[Any, Any]:
    """Map from z to e, and its Jacobian."""
    with pm.Model() as model:
        e = priors.ell_comps("e", sigma=sigma)
    z = model.rvs_to_values[e]
    (e,) = model.replace_rvs_by_values([e])
    jacobian = [pytensor.grad(e[i], z) for i in (0, 1)]
    return pytensor.function([z], e), pytensor.function([z], jacobian)


@pytest.fixture(scope="module")
def maps() -> dict[float, tuple[Any, Any]]:
    return {sigma: compiled(sigma) for sigma in (0.3, 2.0)}


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_density_is_a_normal_cut_off_at_the_unit_circle(
    sigma: float, maps: dict[float, tuple[Any, Any]], rng: np.random.Generator
) -> None:
    forward, jacobian = maps[sigma]

    def target(e_y: float, e_x: float) -> float:
        return np.exp(-(e_y**2 + e_x**2) / (2.0 * sigma**2))

    norm, _ = dblquad(target, -1.0, 1.0, lambda x: -np.sqrt(1.0 - x * x), lambda x: np.sqrt(1.0 - x * x))
    for z in [np.zeros(2), np.array([1e-7, 0.0]), np.array([3.0, -1.0]), *rng.normal(size=(10, 2))]:
        density = np.exp(-0.5 * z @ z) / (2.0 * np.pi) / abs(np.linalg.det(jacobian(z)))
        np.testing.assert_allclose(density, target(*forward(z)) / norm, rtol=1e-6)


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_direction_is_kept_and_size_grows_below_one(sigma: float, maps: dict[float, tuple[Any, Any]]) -> None:
    forward, _ = maps[sigma]
    direction = np.array([0.6, -0.8])
    mapped = np.array([forward(radius * direction) for radius in (0.1, 1.0, 3.0, 6.0)])
    sizes = np.linalg.norm(mapped, axis=1)
    np.testing.assert_allclose(mapped / sizes[:, None], np.tile(direction, (4, 1)), rtol=1e-12)
    assert (np.diff(sizes) > 0.0).all()
    assert sizes[-1] < 1.0


def test_gradient_is_that_of_the_value_near_the_mode(maps: dict[float, tuple[Any, Any]]) -> None:
    forward, jacobian = maps[0.3]
    for z in (np.array([0.0, 0.0]), np.array([1e-5, 2e-5]), np.array([0.01, -0.02])):
        numeric = [(forward(z + h) - forward(z - h)) / 2e-4 for h in 1e-4 * np.eye(2)]
        np.testing.assert_allclose(jacobian(z), np.transpose(numeric), rtol=1e-6, atol=1e-9)


def test_prior_draws() -> None:
    with pm.Model():
        priors.ell_comps("ell_comps")
        draws = pm.sample_prior_predictive(4000, random_seed=1).prior["ell_comps"].values[0]
    # The cut at 3.3 sigma takes 0.4 % of the mass: moments of the cut normal, by the closed form.
    cut = np.exp(-0.5 / 0.09)
    variance = 0.09 * (1.0 - cut / (1.0 - cut) * 0.5 / 0.09)
    assert draws.shape == (4000, 2)
    assert np.linalg.norm(draws, axis=1).max() < 1.0
    np.testing.assert_allclose(draws.mean(axis=0), 0.0, atol=4.0 * 0.3 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(draws.T), variance * np.eye(2), atol=4.0 * 0.09 * np.sqrt(2.0 / 4000))


def test_initial_point_is_circular() -> None:
    with pm.Model() as model:
        priors.ell_comps("ell_comps")
    point = model.initial_point()
    assert list(point) == ["ell_comps_normals__"]
    np.testing.assert_array_equal(point["ell_comps_normals__"], [0.0, 0.0])
    assert np.isfinite(model.compile_dlogp()(point)).all()


def test_the_sampler_sees_standard_normals(rng: np.random.Generator) -> None:
    with pm.Model() as model:
        priors.ell_comps("e", sigma=0.2)
    density, gradient = model.compile_logp(), model.compile_dlogp()
    for z in [np.zeros(2), np.array([5.0, -4.0]), *rng.normal(size=(5, 2))]:
        point = {"e_normals__": z}
        assert density(point) == pytest.approx(-0.5 * z @ z - np.log(2.0 * np.pi), abs=1e-10)
        np.testing.assert_allclose(gradient(point), -z, atol=1e-9)


def test_issue13_line9_starts_and_values_are_components() -> None:
    with pm.Model() as model:
        e = priors.ell_comps("e", sigma=0.2)
        model.set_initval(e, [0.3, -0.1])
    (there,) = model.replace_rvs_by_values([e])
    back = there.eval({model.rvs_to_values[e]: model.initial_point()["e_normals__"]})
    np.testing.assert_allclose(back, [0.3, -0.1], rtol=1e-7)


def test_issue13_line12_components_have_names() -> None:
    """Summaries and figures show the components by name, and no coordinates of the sampler."""
    with pm.Model():
        priors.ell_comps("ell_comps", sigma=0.2)
        priors.ell_comps("light_ell_comps", sigma=0.2)
        priors.position("centre", 0.05, mu=(0.1, -0.2))
        prior = pm.sample_prior_predictive(500, random_seed=1)["prior"]
    assert set(az.summary(prior.to_dataset(), kind="stats").index) == {
        "ell_comps[e_y]",
        "ell_comps[e_x]",
        "light_ell_comps[e_y]",
        "light_ell_comps[e_x]",
        "centre[y]",
        "centre[x]",
    }
    mean, sd = prior["centre"].mean(("chain", "draw")), prior["centre"].std(("chain", "draw"))
    np.testing.assert_allclose(mean, [0.1, -0.2], atol=4 * 0.05 / np.sqrt(500))
    np.testing.assert_allclose(sd, 0.05, rtol=0.15)


def test_outside_the_circle_there_is_no_density() -> None:
    e = priors.EllComps.dist(0.3)
    assert pm.logp(e, np.array([0.8, 0.7])).eval() == -np.inf
    assert np.isfinite(pm.logp(e, np.array([0.7, 0.7])).eval())


def test_the_effective_radius_is_log_normal(rng: np.random.Generator) -> None:
    """Whatever the ellipticity is, and with a density that is that of the radius itself."""
    with pm.Model() as model:
        e = priors.ell_comps("e", sigma=0.4)
        radius = priors.einstein_radius("radius", e, median=1.3, factor=1.4)
    components, radii = pm.draw([e, radius], 4000, random_seed=1)
    effective = np.log(convert.effective_einstein_radius(radii, components))
    assert stats.kstest(effective, stats.norm(np.log(1.3), np.log(1.4)).cdf).pvalue > 0.01
    # Independent of the ellipticity, which the radius itself is not.
    size = np.hypot(*components.T)
    assert abs(stats.spearmanr(size, effective).statistic) < 0.06
    assert stats.spearmanr(size, radii).statistic > 0.1
    density = model.compile_logp([radius], jacobian=False)
    value_of = pytensor.function([e, radius], value_variables(model))
    for at, r in zip(components[:5], radii[:5], strict=True):
        of_e, of_radius = value_of(at, r)
        mu = np.log(1.3) - 0.5 * np.log(1.0 - at @ at)
        assert of_radius == pytest.approx((np.log(r) - mu) / np.log(1.4), abs=1e-12)
        expected = stats.lognorm(np.log(1.4), scale=np.exp(mu)).logpdf(r)
        point = {"e_normals__": of_e, "radius_standardized_log__": of_radius}
        assert density(point) == pytest.approx(expected, abs=1e-6)  # as well as components are found again
    samplers_density = model.compile_logp([radius])
    for z in rng.standard_normal((3, 3)):
        point = {"e_normals__": z[:2], "radius_standardized_log__": z[2]}
        assert samplers_density(point) == pytest.approx(stats.norm.logpdf(z[2]), abs=1e-10)


def test_starts_of_a_radius_and_of_ellipticities_are_kept() -> None:
    with pm.Model() as model:
        e = priors.ell_comps("e", sigma=0.4)
        priors.einstein_radius("radius", e)
    point = initial_point(model, {"e": np.array([0.3, -0.2]), "radius": np.array(0.9)})
    values = model.compile_fn(model.replace_rvs_by_values([model["radius"], e]))(point)
    np.testing.assert_allclose(values[0], 0.9, rtol=1e-12)
    np.testing.assert_allclose(values[1], [0.3, -0.2], rtol=1e-7)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("median", 0.0, ValueError), ("median", "one", TypeError), ("factor", 1.0, ValueError),
        ("factor", -2.0, ValueError), ("ell_comps", (0.1,), ValueError), ("ell_comps", 0.1, ValueError),
    ],
)  # fmt: skip
def test_bad_radii_are_named(argument: str, value: Any, error: type[Exception]) -> None:
    arguments = {"ell_comps": (0.1, 0.0)} | {argument: value}
    with pm.Model(), pytest.raises(error, match=f"{argument}: expected"):
        priors.einstein_radius("radius", **arguments)


def test_bad_positions_are_named() -> None:
    with pm.Model():
        with pytest.raises(ValueError, match="mu: expected a pair"):
            priors.position("centre", 0.05, mu=0.0)
        with pytest.raises(ValueError, match="sigma: expected a positive"):
            priors.position("centre", -0.05)


@pytest.mark.parametrize("sigma", [0.0, -0.3, np.nan, np.array([0.3, 0.3])])
def test_bad_widths_are_named(sigma: Any) -> None:
    with pm.Model(), pytest.raises(ValueError, match="sigma: expected"):
        priors.ell_comps("e", sigma=sigma)


def test_a_random_width_is_refused() -> None:
    with pm.Model(), pytest.raises(TypeError, match="sigma: expected plain numbers, got the variable"):
        priors.ell_comps("e", sigma=pm.HalfNormal("sigma"))


# What is given of profiles that have parameters without a prior.
GIVEN = {mass.Sersic: {"intensity": 0.3}, mass.PowerLawMultipole: {"m": 3}}
KINDS = [
    kind
    for kind in (getattr(mass, name) for name in mass.__all__)
    if issubclass(kind, mass.MassProfile)
    and kind not in (mass.MassProfile, mass.MassSum, mass.FromPotential, mass.FromDeflections)
    and kind is not mass.MultiGaussian  # whose widths are no random variables
]


@pytest.mark.parametrize("kind", KINDS)
def test_profile_with_starting_priors(kind: Any) -> None:
    with pm.Model() as model:
        profile = priors.profile(kind, "lens", **GIVEN.get(kind, {}))
    assert isinstance(profile, kind)
    assert {rv.name.removeprefix("lens_") for rv in model.free_RVs} == {
        field.name for field in fields(kind) if field.name not in GIVEN.get(kind, {})
    }
    alphas = pm.draw(profile.deflections([[0.7, -0.9]]), 50, random_seed=1, mode=Mode("py", None))
    assert np.isfinite(alphas).all()
    assert np.abs(alphas).max() < 100.0


def test_what_is_given_stays_and_the_rest_has_its_medians() -> None:
    with pm.Model() as model:
        profile = priors.profile(mass.PowerLaw, "lens", slope=2.1, centre=(0.1, 0.2))
        priors.profile(light.Sersic, "bulge")
    assert (profile.slope, profile.centre) == (2.1, (0.1, 0.2))
    assert {rv.name for rv in model.free_RVs} == {
        "lens_einstein_radius", "lens_ell_comps", "bulge_centre", "bulge_ell_comps",
        "bulge_effective_radius", "bulge_sersic_index",
    }  # fmt: skip
    radii = pm.draw(profile.einstein_radius, 4000, random_seed=2, mode=Mode("py", None))
    np.testing.assert_allclose(np.median(radii), 1.1, rtol=0.03)
    np.testing.assert_allclose(np.log(radii).std(), np.log(1.6), rtol=0.05)


def test_bad_starting_priors_are_named() -> None:
    with pm.Model():
        with pytest.raises(TypeError, match="kind: expected a profile"):
            priors.profile("PowerLaw", "lens")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"known: expected \['intensity'\] of Sersic"):
            priors.profile(mass.Sersic, "stars")
        with pytest.raises(TypeError, match="radius"):
            priors.profile(mass.Isothermal, "lens", radius=1.0)
