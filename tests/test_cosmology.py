from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from astropy.cosmology import FlatLambdaCDM, FlatwCDM
from pytensor.compile.mode import Mode

import pymc_lens as pl
from pymc_lens.point import tracer_at
from pymc_lens.quantities import image_positions

ONCE = Mode("py", None)
GRID = np.array([[0.3, 0.8], [-1.2, 0.4], [2.0, 1.0]])
REDSHIFTS = (0.222, 0.609, 2.4)


def galaxies() -> list[pl.Galaxy]:
    masses = pl.mass.Isothermal((0.0, 0.1), (0.1, 0.05), 1.4), pl.mass.Isothermal((0.1, 0.0), (0.0, 0.0), 0.2)
    near, middle, far = REDSHIFTS
    return [pl.Galaxy(near, mass=masses[0]), pl.Galaxy(middle, mass=masses[1]), pl.Galaxy(far)]


def traced(tracer: pl.Tracer, redshift: float | None = None) -> np.ndarray:
    return tracer.traced_grid(GRID, redshift).eval(mode=ONCE)


@pytest.mark.parametrize("w", [-1.0, -0.6, -1.7])
@pytest.mark.parametrize("matter", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize(("near", "far"), [(0.0, 0.3), (0.5, 2.0), (0.0, 10.0), (1.0, 1.0)])
def test_distances_are_those_of_astropy(matter: float, w: float, near: float, far: float) -> None:
    theirs = FlatwCDM(H0=70.0, Om0=matter, w0=w)
    ours = pl.FlatWCDM(70.0, matter, w)
    expected = (theirs.comoving_distance(far) - theirs.comoving_distance(near)) / theirs.hubble_distance
    assert ours.transverse_distance(near, far) == pytest.approx(float(expected), rel=1e-9, abs=1e-14)
    assert ours.hubble_distance == pytest.approx(theirs.hubble_distance.value, rel=1e-12)


@pytest.mark.parametrize("redshift", REDSHIFTS[1:])
def test_rays_are_those_of_a_cosmology_of_astropy(redshift: float) -> None:
    theirs = traced(pl.Tracer(galaxies(), FlatLambdaCDM(H0=70.0, Om0=0.3)), redshift)
    np.testing.assert_allclose(
        traced(pl.Tracer(galaxies(), pl.FlatWCDM(70.0, 0.3)), redshift), theirs, rtol=1e-10
    )


def test_delays_are_those_of_a_cosmology_of_astropy() -> None:
    lens = [pl.Galaxy(0.5, mass=pl.mass.Isothermal((0.0, 0.0), (0.1, 0.05), 1.2)), pl.Galaxy(2.0)]
    times = [
        image_positions(pl.Tracer(lens, cosmology), (0.05, 0.02), (-2.0, 2.0, -2.0, 2.0)).arrival_times
        for cosmology in (pl.FlatWCDM(70.0, 0.3), FlatLambdaCDM(H0=70.0, Om0=0.3))
    ]
    np.testing.assert_allclose(*times, rtol=1e-8, atol=1e-8)


def test_the_gradient_is_that_of_differences() -> None:
    values = pt.vector("values", shape=(3,))
    cosmology = pl.FlatWCDM(70.0, values[0], values[1])
    tracer = pl.Tracer(galaxies(), cosmology, {REDSHIFTS[1]: values[2]})
    total = (np.array([[1.0, -0.3], [0.2, 0.7], [-0.9, 0.4]]) * tracer.traced_grid(GRID)).sum()
    total = total + tracer.traced_grid(GRID, REDSHIFTS[1]).sum()
    value, gradient = (
        pytensor.function([values], output, mode=ONCE) for output in (total, pytensor.grad(total, values))
    )
    at, step = np.array([0.3, -0.9, 0.62]), 1e-4
    differences = [
        (8.0 * (value(at + d) - value(at - d)) - value(at + 2 * d) + value(at - 2 * d)) / (12.0 * step)
        for d in step * np.eye(3)
    ]
    np.testing.assert_allclose(gradient(at), differences, rtol=1e-9)
    assert np.isnan(value(np.array([1.1, -0.9, 0.62])))
    assert not gradient(np.array([1.1, -0.9, 0.62])).any()


def test_planes_that_a_random_redshift_puts_in_another_order_are_nan() -> None:
    redshift = pt.dscalar("redshift")
    tracer = pl.Tracer(galaxies(), pl.FlatWCDM(), {REDSHIFTS[1]: redshift})
    rays = pytensor.function([redshift], tracer.traced_grid(GRID, REDSHIFTS[1]), mode=ONCE)
    np.testing.assert_allclose(rays(0.609), traced(pl.Tracer(galaxies(), pl.FlatWCDM()), 0.609), rtol=1e-12)
    assert np.isnan(rays(0.2)).all()


def test_scaling_factors_are_what_deflections_are_scaled_by() -> None:
    alone = [pl.Galaxy(0.222, mass=pl.mass.Isothermal((0.0, 0.1), (0.1, 0.05), 1.4)), *galaxies()[1:]]
    alone[1] = pl.Galaxy(0.609)
    rays = traced(pl.Tracer(alone, pl.ScalingFactors({(0.222, 0.609): 0.71})), 0.609)
    np.testing.assert_allclose(GRID - rays, 0.71 * (GRID - traced(pl.Tracer(alone))), rtol=1e-12)
    with pytest.raises(ValueError, match=r"cosmology: expected a factor of the lens at redshift 0.222"):
        pl.Tracer(alone, pl.ScalingFactors({})).traced_grid(GRID, 0.609)
    with pytest.raises(TypeError, match="ScalingFactors have no distances"):
        image_positions(pl.Tracer(alone, pl.ScalingFactors({})), (0.0, 0.0), (-2.0, 2.0, -2.0, 2.0))


def test_numbers_take_the_place_of_random_variables() -> None:
    with pm.Model():
        cosmologies: dict[Any, Any] = {
            pl.FlatWCDM(70.0, pm.Uniform("Om0", 0.0, 1.0)): pl.FlatWCDM(70.0, 0.25),
            pl.ScalingFactors(
                {pair: pm.Uniform(name, 0.0, 1.0) for name, pair in (("ratio", REDSHIFTS[:2]),)}
            ): pl.ScalingFactors({REDSHIFTS[:2]: 0.7}),
        }
        redshift = pm.Normal("z", 0.6, 0.1)
    for random, fixed in cosmologies.items():
        tracer = tracer_at(pl.Tracer(galaxies(), random), {"Om0": np.array(0.25), "ratio": np.array(0.7)})
        np.testing.assert_allclose(traced(tracer), traced(pl.Tracer(galaxies(), fixed)), rtol=1e-13)
    tracer = tracer_at(pl.Tracer(galaxies(), pl.FlatWCDM(), {0.609: redshift}), {"z": np.array(0.7)})
    assert tracer.redshift_of(0.609) == 0.7
    assert not np.allclose(traced(tracer), traced(pl.Tracer(galaxies(), pl.FlatWCDM())))


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="redshifts: expected some of the galaxies'"):
        pl.Tracer(galaxies(), pl.FlatWCDM(), {0.3: 0.4})
    with pytest.raises(TypeError, match="cosmology: expected one that takes the variable"):
        pl.Tracer(galaxies(), redshifts={0.609: pt.dscalar("z")}).traced_grid(GRID)
