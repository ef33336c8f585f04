"""What follows from a lens model: against lenstronomy, and where it is known."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from astropy.cosmology import Planck15
from lenstronomy.Cosmo.lens_cosmo import LensCosmo
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from problems import mass, simulated
from scipy.optimize import brentq

import pymc_lens as pl

EXTENT = (-3.0, 3.0, -3.0, 3.0)
CENTRE, ELL_COMPS, SHEAR = (0.02, -0.03), (0.1, -0.15), (0.03, -0.02)


def behind(lens: pl.mass.MassProfile) -> pl.Tracer:
    return pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.5)])


QUAD = behind(pl.mass.PowerLaw(CENTRE, ELL_COMPS, 1.2, 2.1) + pl.mass.ExternalShear(*SHEAR))


@pytest.mark.parametrize("ell_comps", [(0.0, 0.0), (0.1, -0.25), (0.4, 0.1)])
def test_einstein_radius_of_an_isothermal_ellipsoid(ell_comps: tuple[float, float]) -> None:
    tracer = behind(pl.mass.Isothermal(CENTRE, ell_comps, 1.3))
    expected = pl.convert.effective_einstein_radius(1.3, ell_comps)
    assert pl.quantities.einstein_radius(tracer, EXTENT) == pytest.approx(expected, rel=1e-7)


def test_einstein_radius_of_a_round_power_law() -> None:
    tracer = behind(pl.mass.PowerLaw(CENTRE, (0.0, 0.0), 1.3, 2.4))
    assert pl.quantities.einstein_radius(tracer, EXTENT) == pytest.approx(1.3, rel=1e-7)


def test_einstein_radius_wants_a_critical_curve() -> None:
    with pytest.raises(ValueError, match="extent: expected one that holds a closed critical curve"):
        pl.quantities.einstein_radius(QUAD, (0.0, 3.0, 0.0, 3.0))


def test_both_critical_curves_of_a_core_and_their_caustics() -> None:
    core, radius = 0.2, 1.2
    tracer = behind(pl.mass.IsothermalCore((0.0, 0.0), (0.0, 0.0), radius, core))

    def mean(r: float) -> float:
        return radius * (np.hypot(r, core) - core) / r**2

    def slope(r: float) -> float:
        h = 1e-6
        return ((r + h) * mean(r + h) - (r - h) * mean(r - h)) / (2.0 * h)

    tangential = brentq(lambda r: mean(r) - 1.0, 0.1, 3.0, xtol=1e-12)
    radial = brentq(lambda r: slope(r) - 1.0, 0.05, 1.0, xtol=1e-10)
    critical, caustics = pl.quantities.critical_curves(tracer, EXTENT)
    radii = sorted(np.linalg.norm(curve, axis=1).mean() for curve in critical)
    np.testing.assert_allclose(radii, [radial, tangential], rtol=1e-6)
    of_caustics = sorted(np.linalg.norm(curve, axis=1).mean() for curve in caustics)
    np.testing.assert_allclose(of_caustics, [0.0, radial * (mean(radial) - 1.0)], atol=1e-6)


def test_two_lenses_have_a_curve_each() -> None:
    two = pl.mass.Isothermal((0.0, -2.0), einstein_radius=0.5) + pl.mass.Isothermal(
        (0.0, 2.0), einstein_radius=0.3
    )
    assert len(pl.quantities.critical_curves(behind(two), EXTENT).critical) == 2


@pytest.mark.parametrize("source", [(0.05, 0.03), (0.3, -0.4), (1.5, 1.0)], ids=str)
def test_images_of_a_point_are_those_of_lenstronomy(source: tuple[float, float]) -> None:
    lens = LensModel(["EPL", "SHEAR"], z_lens=0.5, z_source=1.5, cosmo=Planck15)
    power_law = pl.convert.power_law_to_lenstronomy(1.2, 2.1, ELL_COMPS, CENTRE)
    kwargs = [power_law, {"gamma1": SHEAR[0], "gamma2": SHEAR[1]}]
    x, y = LensEquationSolver(lens).image_position_from_source(
        source[1], source[0], kwargs, precision_limit=1e-12, min_distance=0.02, search_window=6.0
    )
    times, magnifications = lens.arrival_time(x, y, kwargs), lens.magnification(x, y, kwargs)
    order = np.argsort(times)
    images = pl.quantities.image_positions(QUAD, source, EXTENT)
    np.testing.assert_allclose(images.positions, np.stack([y, x], axis=-1)[order], atol=1e-8)
    np.testing.assert_allclose(images.magnifications, magnifications[order], rtol=1e-6)
    np.testing.assert_allclose(images.arrival_times, (times - times.min())[order], rtol=1e-6, atol=1e-6)
    assert images.kinds[0] == "minimum"
    assert [kind == "saddle" for kind in images.kinds] == (images.magnifications < 0.0).tolist()


def test_the_image_at_a_core_is_a_maximum() -> None:
    tracer = behind(pl.mass.IsothermalCore((0.0, 0.0), (0.0, 0.1), 1.2, 0.3))
    images = pl.quantities.image_positions(tracer, (0.03, 0.02), EXTENT)
    assert images.kinds == ("minimum", "minimum", "saddle", "saddle", "maximum")


def test_mass_is_that_of_lenstronomy() -> None:
    tracer = behind(pl.mass.Isothermal(einstein_radius=1.3))
    expected = LensCosmo(0.5, 1.5, cosmo=Planck15).mass_in_theta_E(1.3)
    mass = pl.quantities.enclosed_mass(tracer, 1.3)
    assert mass.to_value("Msun") == pytest.approx(expected, rel=1e-3)  # of its constants
    assert pl.quantities.mean_convergence(tracer, 1.3) == pytest.approx(1.0, rel=1e-9)
    assert pl.quantities.mean_convergence(tracer, 2.6) == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize("steepness", [1.6, 2.0, 2.4])
def test_slope_of_a_power_law(steepness: float) -> None:
    tracer = behind(pl.mass.PowerLaw(CENTRE, ELL_COMPS, 1.2, steepness))
    assert pl.quantities.slope(tracer, 1.2, CENTRE) == pytest.approx(steepness, rel=1e-6)


def test_several_planes_have_images_without_arrival_times_and_no_one_mass() -> None:
    lens = pl.mass.Isothermal(einstein_radius=1.0)
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(0.8, mass=lens), pl.Galaxy(1.5)])
    images = pl.quantities.image_positions(tracer, (0.1, 0.05), EXTENT)
    traced = tracer.traced_grid(images.positions).eval()
    np.testing.assert_allclose(traced, np.tile((0.1, 0.05), (len(traced), 1)), atol=1e-7)
    assert len(traced) > 1
    assert images.arrival_times is None
    with pytest.raises(ValueError, match="tracer: expected mass in one plane"):
        pl.quantities.enclosed_mass(tracer, 1.0)


def test_variables_are_refused() -> None:
    with pm.Model():
        tracer = behind(pl.mass.Isothermal(einstein_radius=pm.LogNormal("radius")))
        with pytest.raises(TypeError, match="tracer: expected numbers, got the variable radius"):
            pl.quantities.einstein_radius(tracer, EXTENT)


def test_variables_that_only_distances_depend_on_are_refused() -> None:
    lens = pl.Galaxy(0.5, mass=pl.mass.Isothermal(einstein_radius=1.0))
    with pm.Model():
        cosmology = pl.FlatWCDM(pm.Uniform("H0", 50.0, 100.0))
        tracer = pl.Tracer([lens, pl.Galaxy(1.5)], cosmology)
        with pytest.raises(TypeError, match="tracer: expected numbers, got the variable H0"):
            pl.quantities.image_positions(tracer, (0.1, 0.05), EXTENT)
        with pytest.raises(TypeError, match="tracer: expected numbers, got the variable H0"):
            pl.quantities.enclosed_mass(tracer, 1.0)


def test_distribution_over_a_posterior() -> None:
    with pm.Model() as model:
        radius = pm.LogNormal("radius")
        lens = pl.Galaxy(0.5, mass=mass(radius))
        window = pl.mesh.RectangularWindow((6, 6), (-0.5, 0.5, -0.5, 0.5))
        source = pl.Galaxy(1.0, pixelization=pl.Pixelization(window, pl.regularization.Constant()))
        pl.LensedImage("image", pl.Tracer([lens, source]), observed=simulated())
    radii = np.array([[1.0, 1.1, 1.2], [1.3, 1.4, 1.5]])
    posterior = xr.Dataset(
        {"radius": (("chain", "draw"), radii)}, coords={"chain": [0, 1], "draw": [0, 1, 2]}
    )
    idata = xr.DataTree.from_dict({"posterior": posterior})
    drawn = pl.quantities.over_draws(
        lambda tracer: pl.quantities.einstein_radius(tracer, EXTENT), model, idata, n_draws=3
    )
    assert drawn.dims == ("sample",)
    taken = [
        radii[chain, draw] for chain, draw in zip(drawn["chain"].values, drawn["draw"].values, strict=True)
    ]
    ratio = drawn.values / taken
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert len(drawn) == 3
