"""Images of several linear parts (issue 14): sources, parametric sources, a sky, exposures, bands."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from differences import assert_gradient_matches_differences
from problems import clumps, gaussian_psf, lens_light, mass, tracer
from scipy.stats import multivariate_normal

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.evaluate import evaluate_once
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.inversion.solvers import SOLVERS
from pymc_lens.linear.pixelized import PixelizedScheme
from pymc_lens.ops import LogEvidence
from pymc_lens.orthant.led_by_free import confine_after_free
from pymc_lens.orthant.partly_confined import confine_some
from pymc_lens.orthant.truncated_normal import draw_positive
from pymc_lens.response.imaging_blur import DenseBlur, TiledBlur
from pymc_lens.response.stacked import StackedResponse

SHAPE, SCALE = (41, 43), 0.1
FAR_RADIUS, SKY = 0.2, -0.3


def far_source(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 2.0 * np.exp(-((y + 0.12) ** 2 + (x - 0.06) ** 2) / (2 * 0.1**2))


def two_planes(
    radius=1.2, far_radius=FAR_RADIUS, coefficients=(5.0, 5.0), positivity=None, ell_comps=(0.1, -0.05)
):
    """A lens, a source at redshift 1 that is a lens itself, and another behind it."""
    lens = pl.mass.Isothermal((0.0, 0.0), ell_comps, radius)
    near, far = (
        pl.Pixelization(
            pl.mesh.RectangularWindow((9, 9), (-0.55, 0.55, -0.55, 0.55)),
            pl.regularization.Constant(coefficient),
            positivity,
        )
        for coefficient in coefficients
    )
    middle = pl.mass.Isothermal((0.05, 0.1), (0.0, 0.0), far_radius)
    return pl.Tracer(
        [
            pl.Galaxy(0.5, mass=lens),
            pl.Galaxy(1.0, mass=middle, pixelization=near),
            pl.Galaxy(2.0, pixelization=far),
        ]
    )


def observed(source_tracer, near=None, light=None, sky=0.0, seed=5) -> pl.Imaging:
    """The farthest source, one at redshift 1 and light in front, on a sky."""

    def in_front(y, x):
        image = np.zeros(y.shape)
        if near is not None:
            traced = source_tracer.traced_grid(np.stack([y, x], axis=-1), 1.0).eval()
            image = image + near(traced[..., 0], traced[..., 1])
        return image if light is None else image + light(y, x)

    dataset = pl.simulate_imaging(
        source_tracer, far_source if near else clumps, SHAPE, SCALE, gaussian_psf(), exposure_time=1000.0,
        background_noise=0.05, seed=seed, over_sample_size=4, lens_light=in_front,
    )  # fmt: skip
    dataset = dataset.with_data(dataset.data + sky, dataset.noise_map, dataset.unit)
    return dataset.apply_mask(pl.Mask2D.circular(SHAPE, SCALE, 1.9))


@pytest.fixture(scope="module", name="double")
def _double() -> pl.Imaging:
    return observed(two_planes(), near=clumps)


def marginal_normal(inversion: Inversion, arrays) -> float:
    """ln E as the density of the data, which are normal: noise, and all parts from their priors."""
    solution = inversion.invert(arrays)
    n = solution.coefficients.size
    design = np.stack([inversion.model_image(solution, unit) for unit in np.eye(n)], axis=1)
    precision = np.zeros((n, n))
    for place, prior in zip(
        [inversion.places[part.name] for part in inversion.mapped], solution.priors, strict=True
    ):
        block = np.zeros((place.stop - place.start,) * 2)
        prior.precision.add_to(block)
        precision[place, place] = block + np.triu(block, 1).T
    dense = np.arange(inversion.n_mapped, n)
    precision[dense, dense] = inversion.scales**-2.0
    covariance = design @ np.linalg.solve(precision, design.T) + np.diag(inversion.response.noise**2)
    return float(multivariate_normal(np.zeros(len(covariance)), covariance).logpdf(arrays[0]))


MGE = pl.light.MultiGaussian.log_spaced((0.02, -0.01), (0.05, 0.02), 0.06, 0.5, 4)
LENS_LIGHT = pl.light.MultiGaussian.log_spaced((0.0, 0.0), (0.0, 0.1), 0.1, 1.0, 4)
KINDS = {
    "two pixelized sources": (two_planes(), None),
    "a parametric source": (
        pl.Tracer([pl.Galaxy(0.5, mass=mass(), light=LENS_LIGHT), pl.Galaxy(1.0, light=MGE)]), None,
    ),
    "all at once": (
        pl.Tracer([*tracer(light=LENS_LIGHT).galaxies, pl.Galaxy(1.5, light=MGE)]), pl.Sky(order=1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_evidence_is_the_density_of_normal_data(kind, double):
    lens, sky = KINDS[kind]
    inversion, inputs = assemble(lens, double, sky)
    arrays = (double.data_fitted, *evaluate_once(list(inputs)))
    expected = marginal_normal(inversion, arrays)
    assert inversion.invert(arrays).terms.log_evidence == pytest.approx(expected, rel=1e-9)
    images = inversion.images(inversion.invert(arrays), (solution := inversion.invert(arrays)).coefficients)
    np.testing.assert_allclose(sum(images.values()), inversion.model_image(solution, solution.coefficients))


def test_issue14_line3_names_of_parts(double):
    inversion, _ = assemble(*KINDS["all at once"][:1], double, pl.Sky())
    assert set(inversion.places) == {"lens_light", "source_1", "source_2_light", "sky"}
    named = [pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0, light=MGE, name="ring"), pl.Galaxy(2.0, light=MGE)]
    assert set(assemble(pl.Tracer(named), double).inversion.places) == {"ring_light", "source_light"}


def test_parts_that_make_no_inversion(double):
    inversion, _ = assemble(KINDS["all at once"][0], double)
    with pytest.raises(ValueError, match="parts: expected names of their own, and the order"):
        Inversion(inversion.parts[::-1], inversion.response, inversion.solver)
    with pytest.raises(ValueError, match="DenseBlur observes no pixelized source"):
        Inversion(inversion.parts, DenseBlur(double), inversion.solver)


def double_plane(dataset: pl.Imaging, positivity: str | None) -> pm.Model:
    with pm.Model() as built:
        radius = pm.TruncatedNormal("einstein_radius", 1.2, 0.1, lower=0.0)
        far_radius = pm.TruncatedNormal("far_radius", 0.2, 0.1, lower=0.0)
        ell_comps = pl.priors.ell_comps("ell_comps", sigma=0.2)
        coefficients = [pm.LogNormal(f"coefficient_{k}", np.log(5.0), 1.0) for k in (1, 2)]
        pl.LensedImage(
            "image", two_planes(radius, far_radius, coefficients, positivity, ell_comps), observed=dataset
        )
    return built


@pytest.mark.parametrize("positivity", [None, "map"])
def test_issue14_two_sources_have_exact_gradients(double, positivity, rng):
    """Of every parameter of lens, second lens and priors."""
    assert_gradient_matches_differences(double_plane(double, positivity), 1e-6, rng)


@pytest.mark.parametrize("of_source", ["marginal", None])
def test_issue14_some_parts_positive_and_integrated_over(double, of_source, rng):
    """Light that is not negative beside a sky of any sign, and a source of either: exact gradients."""
    pixelization = pl.Pixelization(
        pl.mesh.RectangularWindow((6, 6), (-0.5, 0.5, -0.5, 0.5)), pl.regularization.Constant(3.0), of_source
    )
    light = replace(LENS_LIGHT, positivity="marginal")
    galaxies = [pl.Galaxy(0.5, mass=mass(), light=light), pl.Galaxy(1.0, pixelization=pixelization)]
    inversion, inputs = assemble(pl.Tracer(galaxies), double, pl.Sky(order=1))
    arrays = (double.data_fitted, *evaluate_once(list(inputs)))
    _, gradient = inversion.log_evidence_and_gradient(arrays)
    for k, step in enumerate((1e-2, 1e-4, 0.0, 1e-1, 1e-3)):
        if not arrays[k].size:
            continue
        direction = step * rng.standard_normal(arrays[k].shape)

        def value(t, k=k, direction=direction):
            moved = [array + t * direction if i == k else array for i, array in enumerate(arrays)]
            return inversion.log_evidence(tuple(moved))

        difference = (8 * (value(1e-1) - value(-1e-1)) - (value(2e-1) - value(-2e-1))) / 1.2
        assert (gradient[k] * direction).sum() == pytest.approx(difference, rel=1e-4, abs=1e-6), k


def test_some_elements_confined(rng):
    """Mass and moments against Genz's probabilities and a million draws."""
    root = rng.standard_normal((5, 5))
    matrix, shift = root @ root.T + np.eye(5), rng.standard_normal(5)
    confined = np.array([True, False, True, True, False])
    covariance, mean = np.linalg.inv(matrix), np.linalg.solve(matrix, shift)
    part = confine_some(matrix, shift, confined)
    inside = multivariate_normal(-mean[confined], covariance[np.ix_(confined, confined)]).cdf(np.zeros(3))
    expected = 0.5 * shift @ mean + 0.5 * np.linalg.slogdet(covariance)[1] + np.log(inside)
    assert part.log_mass == pytest.approx(expected, abs=0.02)
    draws = rng.multivariate_normal(mean, covariance, 1_000_000)
    kept = draws[(draws[:, confined] >= 0.0).all(axis=1)]
    first, second = part.moments()
    np.testing.assert_allclose(first, kept.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(second, kept.T @ kept / len(kept), atol=0.05)
    factor = np.linalg.cholesky(matrix).T
    bounced = np.array([draw_positive(mean, factor, np.abs(mean), confined, rng) for _ in range(4000)])
    chosen = np.array([part.draw(rng) for _ in range(4000)])
    scatter = kept.std(axis=0)
    for drawn in (bounced, chosen):
        assert (drawn[:, confined] >= 0.0).all()
        np.testing.assert_allclose(drawn.mean(axis=0) / scatter, kept.mean(axis=0) / scatter, atol=0.08)
        np.testing.assert_allclose(drawn.std(axis=0) / scatter, 1.0, atol=0.06)


@pytest.mark.parametrize("n_leading", [0, 3, 7])
def test_leading_free_elements_are_integrated_over(n_leading, rng):
    """Mass and moments are those of all elements at once, and draws given the others theirs."""
    n = 9
    root = rng.standard_normal((n, n))
    matrix, shift = root @ root.T + np.eye(n), rng.standard_normal(n)
    confined = np.arange(n) >= n_leading
    confined[n_leading + 1] = False
    expected = confine_some(matrix, shift, confined)
    factor = np.ascontiguousarray(np.linalg.cholesky(matrix).T)
    led = confine_after_free(factor, matrix[n_leading:, n_leading:], shift, confined)
    assert led.log_mass == pytest.approx(expected.log_mass, abs=1e-8)
    np.testing.assert_allclose(led.mean, expected.mean, atol=1e-8)
    drawn = np.array([(led.draw(rng), expected.draw(rng)) for _ in range(4000)])
    scatter = drawn.std(axis=0)
    np.testing.assert_allclose(*drawn.mean(axis=0) / scatter[1], atol=0.1)
    np.testing.assert_allclose(scatter[0] / scatter[1], 1.0, atol=0.08)
    mean, second = expected.moments()
    led_mean, covariance = led.moments()
    np.testing.assert_allclose(led_mean, mean, atol=1e-8)
    np.testing.assert_allclose(np.triu(covariance), np.triu(second - np.outer(mean, mean)), atol=1e-8)


def parametric(dataset: pl.Imaging, positivity: str | None) -> pm.Model:
    with pm.Model() as built:
        lens = pl.mass.Isothermal(
            (0.0, 0.0), pl.priors.ell_comps("ell_comps", sigma=0.2),
            pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0),
        )  # fmt: skip
        # Of the light that was simulated.
        widths = 0.3 / np.sqrt(0.99) * np.array([0.5, 1.0, 2.0])
        light = pl.light.MultiGaussian(
            (0.02, -0.01), pl.priors.ell_comps("light_ell_comps", sigma=0.2), widths, positivity=positivity
        )
        source = pl.light.MultiGaussian.log_spaced(
            pm.Normal("source_centre", 0.0, 0.1, shape=2), pl.priors.ell_comps("source_ell_comps", sigma=0.2),
            0.06, 0.5, 4, positivity=positivity,
        )  # fmt: skip
        galaxies = [pl.Galaxy(0.5, mass=lens, light=light), pl.Galaxy(1.0, light=source)]
        pl.LensedImage("image", pl.Tracer(galaxies), observed=dataset)
    return built


def one_gaussian(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 3.0 * np.exp(-((y - 0.06) ** 2 + (x + 0.04) ** 2) / (2 * 0.12**2))


@pytest.fixture(scope="module", name="ring")
def _ring() -> pl.Imaging:
    lens = pl.Tracer([pl.Galaxy(0.5, mass=mass(gamma_1=0.0, gamma_2=0.0)), pl.Galaxy(1.0)])
    dataset = pl.simulate_imaging(
        lens, one_gaussian, SHAPE, SCALE, gaussian_psf(), exposure_time=1000.0, background_noise=0.05,
        seed=4, over_sample_size=6, lens_light=lens_light,
    )  # fmt: skip
    return dataset.apply_mask(pl.Mask2D.circular(SHAPE, SCALE, 1.9))


@pytest.mark.parametrize("positivity", [None, "nnls"])
def test_issue14_a_parametric_source_has_exact_gradients(ring, positivity, rng):
    assert_gradient_matches_differences(parametric(ring, positivity), 1e-6, rng)


def within(posterior, name: str, truth, n_sd: float = 3.0) -> None:
    draws = posterior[name]
    mean, sd = (getattr(draws, moment)(("chain", "draw")).values for moment in ("mean", "std"))
    assert (np.abs(mean - truth) < n_sd * sd).all(), (name, mean, sd, truth)


@pytest.mark.slow
def test_issue14_a_parametric_source_is_recovered(ring):
    """From where the search ends, nothing given; then what is told of it."""
    with parametric(ring, "nnls") as built:
        idata = pl.sample(random_seed=3, progressbar=False)
        pl.reconstruct(idata, num_draws=20, progressbar=False)
    within(idata.posterior, "einstein_radius", 1.0)
    within(idata.posterior, "ell_comps", (0.1, -0.05))
    within(idata.posterior, "source_centre", (0.06, -0.04))
    fit = pl.fit_at(built, idata)
    assert fit.reduced_chi_squared < 1.1
    source = fit.sources["source_light"]
    assert source.flux == pytest.approx(3.0 * 2.0 * np.pi * 0.12**2, rel=0.05)
    assert source.brightness(np.array([0.06, -0.04])) == pytest.approx(3.0, rel=0.05)
    group = idata["source_reconstruction"]
    assert float(group["flux"].mean()) == pytest.approx(source.flux, rel=0.02)
    assert "image_reconstruction" in idata.children


@pytest.mark.slow
def test_issue14_smc_samples_a_parametric_source(ring):
    """From the prior, against NUTS."""
    with parametric(ring, "nnls") as built:
        idata = pm.sample_smc(800, chains=2, cores=2, random_seed=1, progressbar=False)
    nuts = pl.sample(500, method="nuts", model=built, random_seed=3, progressbar=False)
    for name in ("einstein_radius", "source_centre"):
        ours, theirs = (data.posterior[name].mean(("chain", "draw")).values for data in (idata, nuts))
        sd = nuts.posterior[name].std(("chain", "draw")).values
        assert (np.abs(ours - theirs) < 0.3 * sd).all(), (name, ours, theirs, sd)


@pytest.mark.slow
def test_issue14_both_sources_of_two_planes_are_recovered(double):
    with double_plane(double, None) as built:
        idata = pl.sample(random_seed=2, progressbar=False)
        pl.reconstruct(idata, num_draws=30, progressbar=False)
    within(idata.posterior, "einstein_radius", 1.2)
    within(idata.posterior, "far_radius", FAR_RADIUS)
    within(idata.posterior, "ell_comps", (0.1, -0.05))
    fluxes = {"source_1": clumps, "source_2": far_source}
    y, x = np.meshgrid(*[np.linspace(-0.7, 0.7, 400)] * 2, indexing="ij")
    for name, brightness in fluxes.items():
        truth = brightness(y, x).sum() * (1.4 / 399) ** 2
        drawn = idata[f"{name}_reconstruction"]["flux"]
        assert abs(float(drawn.mean()) - truth) < 3.0 * float(drawn.std()), (name, drawn, truth)
    assert pl.fit_at(built, idata).reduced_chi_squared < 1.1
    # Nine panels, with a colour bar each.
    assert len(pl.plot.subplot_reconstruction(idata).axes) == 18
    assert len(pl.plot.subplot_fit(pl.fit_at(built, idata)).axes) == 18
    plt.close("all")


def test_issue14_a_sky_of_unknown_sign_beside_a_positive_source():
    dataset = observed(tracer(), sky=SKY)
    pixelization = pl.Pixelization(
        pl.mesh.RectangularWindow((10, 10), (-0.5, 0.5, -0.5, 0.5)), pl.regularization.Constant(5.0), "map"
    )
    lens = pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0, pixelization=pixelization)])
    fit = pl.FitImaging(dataset, lens, pl.Sky())
    n_sky = np.sqrt(dataset.noise_fitted.size)
    assert fit.coefficients["sky"] == pytest.approx(
        SKY, abs=4.0 * np.median(dataset.noise_fitted) / n_sky * 2.0
    )
    np.testing.assert_allclose(np.nanmax(np.abs(fit.sky - fit.coefficients["sky"])), 0.0, atol=1e-12)
    assert (fit.coefficients["source"] >= 0.0).all()
    assert fit.reduced_chi_squared < 1.1
    assert fit.log_evidence > pl.FitImaging(dataset, lens).log_evidence + 100.0
    level, slope_y, slope_x = pl.FitImaging(dataset, lens, pl.Sky(order=1)).coefficients["sky"]
    assert level == pytest.approx(SKY, abs=0.03)
    assert max(abs(slope_y), abs(slope_x)) < 0.03


def test_issue14_two_exposures_share_a_source(rng):
    """Against the density of both exposures' data, as one normal vector; and with an exact gradient."""
    exposures = [
        observed(tracer(), seed=seed).apply_mask(pl.Mask2D.circular(SHAPE, SCALE, r))
        for seed, r in ((1, 1.5), (2, 1.7))
    ]
    mesh = pl.mesh.RectangularWindow((7, 7), (-0.5, 0.5, -0.5, 0.5))
    response = StackedResponse([TiledBlur(exposure) for exposure in exposures])
    n_pixels = sum(exposure.plane.n_pixels for exposure in exposures)
    prior = pl.regularization.Constant().scheme(exposures[0].plane)
    inversion = Inversion([PixelizedScheme("source", mesh, prior, n_pixels)], response, SOLVERS[None])
    data = np.concatenate([exposure.data_fitted for exposure in exposures])
    grid = np.concatenate([exposure.plane.source_grid for exposure in exposures])
    radius = pt.dscalar("radius")
    rays = pl.Tracer([pl.Galaxy(0.5, mass=mass(radius)), pl.Galaxy(1.0)]).traced_grid(grid)
    log_evidence = LogEvidence(inversion)(data, rays, np.empty((0, 2)), np.array([5.0]))
    value = pytensor.function([radius], log_evidence)
    slope = pytensor.function([radius], pt.grad(log_evidence, radius))
    arrays = (
        data,
        evaluate_once(
            [pytensor.graph.replace.graph_replace(rays, {radius: pt.constant(1.0, dtype="float64")})]
        )[0],
        np.empty((0, 2)),
        np.array([5.0]),
    )
    assert value(1.0) == pytest.approx(marginal_normal(inversion, arrays), rel=1e-9)
    h = 1e-6
    difference = (8 * (value(1.01 + h) - value(1.01 - h)) - value(1.01 + 2 * h) + value(1.01 - 2 * h)) / (
        12 * h
    )
    assert slope(1.01) == pytest.approx(difference, rel=1e-6)


@pytest.mark.slow
def test_issue14_two_bands_in_one_model(tmp_path):
    """Shared mass, frames that are offset; sampled, reconstructed, saved and read again."""
    import xarray as xr

    offset = (0.13, -0.06)
    lens = {"red": mass(), "blue": mass(centre=(-offset[0], -offset[1]))}

    def moved(y, x):
        return clumps(y + offset[0], x + offset[1])

    bands = {}
    for (name, band_mass), source, seed in zip(lens.items(), (clumps, moved), (1, 2), strict=True):
        dataset = pl.simulate_imaging(
            pl.Tracer([pl.Galaxy(0.5, mass=band_mass), pl.Galaxy(1.0)]), source, SHAPE, SCALE, gaussian_psf(),
            exposure_time=1000.0, background_noise=0.05, seed=seed, over_sample_size=4,
        )  # fmt: skip
        bands[name] = pl.Imaging(
            dataset.data, dataset.noise_map, dataset.psf, SCALE, pl.Mask2D.circular(SHAPE, SCALE, 1.7),
            offset=offset if name == "blue" else (0.0, 0.0),
        )  # fmt: skip
    mesh = pl.mesh.RectangularWindow((14, 14), (-0.5, 0.5, -0.5, 0.5), degree=3)
    with pm.Model() as built:
        radius = pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0)
        centre = pm.Normal("centre", 0.0, 0.05, shape=2)
        for name, dataset in bands.items():
            coefficient = pm.LogNormal(f"coefficient_{name}", np.log(5.0), 1.0)
            pl.LensedImage(
                name, tracer(mass(radius, centre=centre), coefficient, mesh=mesh), observed=dataset
            )
        idata = pl.sample(random_seed=1, progressbar=False)
        for name in bands:
            pl.reconstruct(idata, var_name=name, num_draws=10, progressbar=False)
    within(idata.posterior, "einstein_radius", 1.0)
    within(idata.posterior, "centre", (0.0, 0.0))
    path = tmp_path / "bands.nc"
    pl.save(idata, path)
    again = xr.open_datatree(path)
    groups = {
        f"{name}_{group}"
        for name in bands
        for group in ("source_reconstruction", "image_reconstruction", "evidence")
    }
    assert groups <= set(again.children)
    for name, dataset in bands.items():
        np.testing.assert_array_equal(
            again[f"{name}_image_reconstruction"]["data"].values, dataset.native(dataset.data_fitted)
        )
        assert pl.fit_at(built, again, var_name=name).reduced_chi_squared < 1.15
