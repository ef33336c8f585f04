"""Issue 13, line 5: light narrower than the distance of its sub-pixels, and light that no pixel sees."""

from __future__ import annotations

import warnings

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from problems import clumps, gaussian_psf, mass, simulated, tracer
from pytensor.compile.mode import Mode

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.data.over_sampling import quadrature_positions
from pymc_lens.errors import InadmissibleError
from pymc_lens.simulate import simulate_imaging

ONCE = Mode("py", None)
SCALE = 0.1
PIXELS = SCALE * np.stack(np.meshgrid(np.arange(-4, 5), np.arange(-3, 4), indexing="ij"), -1).reshape(-1, 2)
CENTRE = (0.021, -0.013)


def averages(light, sub_size, pixels=PIXELS):
    points = quadrature_positions(pixels, sub_size, SCALE)
    return light.averages(points, sub_size, SCALE).eval(mode=ONCE)


def brute_force(light, pixels=PIXELS, n=60):
    """Mean over so many positions in each pixel that none is missed."""
    steps = SCALE * ((np.arange(n) + 0.5) / n - 0.5)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    images = light.images((pixels[:, None] + offsets).reshape(-1, 2)).eval(mode=ONCE)
    return images.reshape(light.n_columns, len(pixels), -1).mean(axis=-1)


@pytest.mark.parametrize("ell_comps", [(0.0, 0.0), (0.0, 0.3), (0.0, -0.5)])
@pytest.mark.parametrize("sigma", [0.006, 0.02, 0.034])
def test_issue13_5_a_narrow_gaussian_is_integrated(sigma, ell_comps):
    """Exactly, along the axes of the image."""
    light = pl.light.MultiGaussian(CENTRE, ell_comps, [sigma])
    expected = brute_force(light)
    np.testing.assert_allclose(averages(light, 1), expected, atol=3e-4 * expected.max())


def test_issue13_5_what_is_neglected_is_small_beside_a_pixel():
    """The tilt of an ellipse at 45 degrees, of axes in the ratio of two, at the widest that is integrated."""
    light = pl.light.MultiGaussian(CENTRE, (1.0 / 3.0, 0.0), [0.034])
    expected = brute_force(light)
    np.testing.assert_allclose(averages(light, 1), expected, atol=0.06 * expected.max())
    expected = brute_force(finest := pl.light.MultiGaussian(CENTRE, (1.0 / 3.0, 0.0), [0.034 / 8]), n=240)
    np.testing.assert_allclose(averages(finest, 8), expected, atol=0.01 * expected.max())


@pytest.mark.parametrize("sub_size", [1, 2, 3, 8])
@pytest.mark.parametrize("sigma", [1e-5, 1e-3, 1e-2])
def test_issue13_5_the_flux_is_the_same_everywhere(sigma, sub_size, rng):
    for centre in rng.uniform(-0.05, 0.05, (5, 2)):
        light = pl.light.MultiGaussian(centre, (0.2, -0.3), [sigma])
        flux = averages(light, sub_size).sum() * SCALE**2
        assert flux == pytest.approx(
            2.0 * np.pi * sigma**2, rel=0.1 if sigma == 1e-2 and sub_size == 8 else 1e-9
        )


def test_issue13_5_columns_keep_their_order():
    sigmas = [[0.3, 0.001], [0.02, 0.5, 0.002]]
    light = pl.light.MultiGaussian(CENTRE, [(0.1, 0.2), (0.0, 0.0)], sigmas)
    singles = [
        averages(pl.light.MultiGaussian(CENTRE, ell_comps, [sigma]), 2)[0]
        for ell_comps, group in zip([(0.1, 0.2), (0.0, 0.0)], sigmas, strict=True)
        for sigma in group
    ]
    np.testing.assert_allclose(averages(light, 2), singles, rtol=1e-14, atol=1e-300)


def test_issue13_5_gradient(rng):
    values = pt.dvector("values")
    light = pl.light.MultiGaussian(values[:2], [values[2:4], values[4:]], [[0.01, 0.02], [0.015, 0.5]])
    points = quadrature_positions(PIXELS, 2, SCALE)
    total = (rng.normal(size=(4, len(PIXELS))) * light.averages(points, 2, SCALE)).sum()
    value = pytensor.function([values], total)
    gradient = pytensor.function([values], pytensor.grad(total, values))
    at = np.array([0.045, -0.052, 0.1, -0.3, 0.0, 0.0])
    for direction in rng.normal(size=(3, at.size)):
        first, second = (
            (value(at + h * direction) - value(at - h * direction)) / (2.0 * h) for h in (2e-4, 1e-4)
        )
        np.testing.assert_allclose(gradient(at) @ direction, (4.0 * second - first) / 3.0, rtol=1e-6)
    for extreme in (1e300, np.inf, np.nan):
        assert np.array_equal(gradient(np.where(np.arange(6) == 0, extreme, at)), np.zeros(6))
        slopes = gradient(np.where(np.arange(6) == 3, extreme, at))
        assert np.isfinite(slopes).all()
        assert not slopes[2:4].any()


@pytest.mark.parametrize("sub_size", [1, 2, None])
def test_issue13_5_a_point_has_its_flux(sub_size):
    """Far off the centre, where sub-pixels are as large as pixels by default, and between four of those."""
    centre, flux = np.array([1.2, -0.6]), 8.0 * SCALE**2

    def point(y, x):
        return flux / SCALE**2 * ((np.abs(y - centre[0]) < SCALE / 2) & (np.abs(x - centre[1]) < SCALE / 2))

    dataset = simulate_imaging(
        tracer(), clumps, (37, 39), SCALE, gaussian_psf(), exposure_time=1000.0, background_noise=0.05,
        seed=3, over_sample_size=4, lens_light=point,
    )  # fmt: skip
    dataset = dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, SCALE, 1.7))
    dataset = dataset.apply_over_sampling(over_sample_size_lp=sub_size)
    evidences = []
    for sigma in (1e-5, 1e-3, 4e-3):
        light = pl.light.MultiGaussian(centre + 0.03, (0.1, 0.2), [sigma])
        fit = pl.FitImaging(dataset, tracer(light=light))
        assert fit.coefficients["lens_light"][0] * 2.0 * np.pi * sigma**2 == pytest.approx(flux, rel=0.05)
        evidences.append(fit.log_evidence)
    np.testing.assert_allclose(evidences, evidences[0], atol=1e-3)  # nor does a prior on it depend on sigma


def test_issue13_5_a_prior_of_ones_own_stays():
    def light(scale):
        return pl.light.MultiGaussian(CENTRE, (0.0, 0.0), [0.01, 0.02, 0.3], scale)

    dataset = simulated(light=True)
    brightest = np.abs(dataset.data_fitted).max()
    problem, _ = assemble(tracer(light=light(None)), dataset)
    np.testing.assert_allclose(problem.scales, 10.0 * brightest * np.array([4.0, 1.0, 1.0]))
    problem, _ = assemble(tracer(light=light(3.0)), dataset)
    assert problem.scales.tolist() == [3.0, 3.0, 3.0]


def test_issue13_5_no_width_is_too_small_to_be_told():
    light = pl.light.MultiGaussian(CENTRE, (0.0, 0.0), [1e-9, 0.3])
    with pytest.raises(ValueError, match="sigmas: expected at least"):
        pl.FitImaging(simulated(), tracer(light=light))


def test_issue13_5_light_that_no_pixel_sees():
    far = pl.light.MultiGaussian((5.0, 0.0), (0.0, 0.0), [0.1, 2.0])
    with pytest.raises(InadmissibleError, match=r"light: columns \[0\] of 2 shine on no"):
        pl.FitImaging(simulated(), tracer(light=far))
    with pm.Model() as model:
        radius = pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0)
        centre = pm.Normal("centre", 0.0, 1.0, shape=2)
        light = pl.light.MultiGaussian(centre, (0.0, 0.0), [0.1, 2.0])
        image = pl.LensedImage("image", tracer(mass(radius), light=light), observed=simulated())
    logp = model.logp(vars=[image])
    function = model.compile_fn([logp, *pt.grad(logp, model.value_vars)], inputs=model.value_vars)
    point = model.initial_point()
    near, *slopes = function(point)
    assert np.isfinite(near)
    assert all(np.abs(slope).any() for slope in slopes)
    unseen, *slopes = function(point | {"centre": np.array([5.0, 0.0])})
    assert unseen == -np.inf
    assert not any(np.abs(slope).any() for slope in slopes)
    assert image.owner.op.inversion.evaluations["light without light"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(point | {"centre": np.array([1e200, 0.0])})
