"""Leave-one-out against fits to data without the pixel, and against exact cross-validation."""

from __future__ import annotations

from typing import Any

import arviz as az
import numpy as np
import pymc as pm
import pytest
from problems import gaussian_psf, mass, model, simulated, tracer
from scipy import stats
from scipy.interpolate import CubicSpline

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.cross_validation import STREAMS
from pymc_lens.evaluate import evaluate_once
from pymc_lens.inference.values import points_of
from pymc_lens.inversion.leave_one_out import leave_out
from pymc_lens.loo_moment_match import PixelDensities

PIXELS = (0, 17, 101, 333, 600)


def light() -> pl.light.MultiGaussian:
    return pl.light.MultiGaussian.log_spaced((0.02, -0.01), [(0.1, 0.0)], 0.05, 1.0, 5)


def without(dataset: pl.Imaging, place: int) -> pl.Imaging:
    """The dataset with one fitted pixel whose datum is not known."""
    row, col = np.argwhere(~dataset.mask.array)[dataset.fitted[place]]
    unknown = np.zeros(dataset.shape_native, bool)
    unknown[row, col] = True
    data = np.ma.array(dataset.data, mask=unknown)
    return pl.Imaging(data, dataset.noise_map, dataset.psf, dataset.pixel_scales).apply_mask(dataset.mask)


def window(n: int, degree: int = 1) -> pl.mesh.Mesh:
    return pl.mesh.RectangularWindow((n, n), (-0.5, 0.5, -0.5, 0.5), degree=degree)


TRACERS = {
    "source, tiles": lambda: tracer(mesh=window(10)),
    "source, pairs": lambda: tracer(mesh=window(18, 3)),
    "natural neighbours": lambda: tracer(mesh=pl.mesh.VoronoiNN(pl.image_mesh.Overlay((10, 10)))),
    "source and light": lambda: tracer(mesh=window(10), light=light()),
    "source and light, pairs": lambda: tracer(mesh=window(18, 3), light=light()),
    "light alone": lambda: pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0, light=light())]),
}


@pytest.mark.parametrize("name", TRACERS)
def test_leaving_a_pixel_out_is_a_fit_without_it(name: str, rng: np.random.Generator) -> None:
    dataset, at = simulated(light="light" in name), TRACERS[name]()
    inversion, symbolic = assemble(at, dataset)
    found = leave_out(inversion, (dataset.data_fitted, *evaluate_once(list(symbolic))), rng).log_density
    whole = pl.FitImaging(dataset, at)
    for place in PIXELS:
        fit = pl.FitImaging(without(dataset, place), at)
        assert found[place] == pytest.approx(whole.log_evidence - fit.log_evidence, abs=1e-8)


class Exact:
    """A model of one parameter, on a grid of it: its posterior, and the exact density of a pixel left out."""

    coarse, grid = np.linspace(1.0, 10.0, 40), np.linspace(1.0, 10.0, 4000)

    def __init__(
        self,
        dataset: pl.Imaging | None = None,
        light: pl.light.LightProfile | None = None,
        positivity: str | None = None,
    ) -> None:
        self.dataset, self.light, self.positivity = dataset or simulated(), light, positivity
        with pm.Model() as self.model:
            coefficient = pm.Uniform("coefficient", 1.0, 10.0)
            pl.LensedImage("image", self.tracer(coefficient), observed=self.dataset)

    def tracer(self, coefficient: Any) -> pl.Tracer:
        return tracer(coefficient=coefficient, light=self.light, positivity=self.positivity)

    def log_evidences(self, dataset: pl.Imaging) -> np.ndarray:
        values = [pl.FitImaging(dataset, self.tracer(c)).log_evidence for c in self.coarse]
        return CubicSpline(self.coarse, values)(self.grid)

    def posterior(self, n_draws: int, rng: np.random.Generator):
        log_evidences = self.log_evidences(self.dataset)
        weights = np.exp(log_evidences - log_evidences.max())
        draws = rng.choice(self.grid, n_draws, p=weights / weights.sum())
        return az.from_dict({"posterior": {"coefficient": draws.reshape(2, -1)}})


def test_loo_is_exact_cross_validation(rng: np.random.Generator) -> None:
    exact = Exact()
    idata = exact.posterior(400, rng)
    assert pl.compute_log_likelihood(idata, model=exact.model, cores=1, progressbar=False) is idata
    group = idata["log_likelihood"]
    n_pixels = exact.dataset.fitted.size
    assert group["image"].dims == ("chain", "draw", "image_pixel")
    assert group["image"].shape == (2, 200, n_pixels)
    np.testing.assert_array_equal(
        np.stack([group["image_pixel_y"], group["image_pixel_x"]], axis=1),
        exact.dataset.plane.grid[exact.dataset.fitted],
    )
    loo = az.loo(idata, pointwise=True)
    assert float(loo.pareto_k.max()) < 0.7
    whole = np.logaddexp.reduce(exact.log_evidences(exact.dataset))
    for place in PIXELS:
        fitted = np.logaddexp.reduce(exact.log_evidences(without(exact.dataset, place)))
        assert float(loo.elpd_i[place]) == pytest.approx(whole - fitted, abs=2e-3)


def test_pixels_are_ranked_among_draws_given_the_others(rng: np.random.Generator) -> None:
    exact = Exact()
    idata = exact.posterior(400, rng)
    drawn = pl.sample_loo_predictive(idata, model=exact.model, cores=1, random_seed=1, progressbar=False)
    data = exact.dataset.data_fitted
    np.testing.assert_array_equal(drawn["observed_data"]["image"], data)
    assert set(idata.children) == {"posterior"}
    ranks = az.loo_pit(drawn)["image"].values
    typical = float(idata["posterior"]["coefficient"].mean())
    inversion, symbolic = assemble(tracer(coefficient=typical), exact.dataset)
    normals = leave_out(inversion, (data, *evaluate_once(list(symbolic))), rng)
    expected = stats.norm.cdf(data, normals.mean, normals.deviation)
    # 400 draws of each pixel; the coefficient moves the expectation far less.
    z = (ranks - expected) / np.sqrt(np.maximum(expected * (1.0 - expected), 1e-3) / 400)
    assert z.std() == pytest.approx(1.0, abs=0.15)
    assert stats.kstest(ranks, "uniform").pvalue > 0.01


def with_outlier(dataset: pl.Imaging, place: int, deviations: float) -> pl.Imaging:
    """The dataset with one fitted pixel so many standard deviations higher."""
    row, col = np.argwhere(~dataset.mask.array)[dataset.fitted[place]]
    data = dataset.data.copy()
    data[row, col] += deviations * dataset.noise_map[row, col]
    return pl.Imaging(data, dataset.noise_map, dataset.psf, dataset.pixel_scales).apply_mask(dataset.mask)


BRIGHT = 274  # on the ring


def test_draws_are_moved_to_the_posterior_without_an_outlier(rng: np.random.Generator) -> None:
    exact = Exact(with_outlier(simulated(), BRIGHT, 60.0))
    idata = exact.posterior(400, rng)
    with pytest.raises(ValueError, match="idata: no log_likelihood of 'image'"):
        pl.loo_moment_match(idata, az.loo(with_densities(idata), pointwise=True), model=exact.model)
    pl.compute_log_likelihood(idata, model=exact.model, cores=1, progressbar=False)
    with pytest.warns(UserWarning, match="shape parameter of Pareto"):
        loo = az.loo(idata, pointwise=True)
    moved = pl.loo_moment_match(idata, loo, model=exact.model, cores=1, progressbar=False)
    known = np.logaddexp.reduce(exact.log_evidences(exact.dataset))
    known -= np.logaddexp.reduce(exact.log_evidences(without(exact.dataset, BRIGHT)))
    assert float(loo.pareto_k[BRIGHT]) > 0.7
    assert abs(float(loo.elpd_i[BRIGHT]) - known) > 0.7
    assert float(moved.pareto_k.max()) < 0.7
    assert float(moved.elpd_i[BRIGHT]) == pytest.approx(known, abs=0.35)
    others = np.arange(loo.elpd_i.size) != BRIGHT
    np.testing.assert_array_equal(moved.elpd_i[others], loo.elpd_i[others])


@pytest.mark.parametrize("positivity", [None, "marginal"], ids=["light", "source"])
def test_coefficients_stay_what_they_were_drawn_from(
    positivity: str | None, rng: np.random.Generator
) -> None:
    """Where draws have not moved, densities are those of before, however coefficients have been drawn."""
    light = pl.light.MultiGaussian((0.02, -0.01), (0.1, 0.0), [0.1, 0.3], positivity="marginal")
    exact = Exact(light=light, positivity=positivity)
    coefficients = rng.uniform(2.0, 6.0, (2, 5))
    idata = az.from_dict({"posterior": {"coefficient": coefficients}})
    pl.compute_log_likelihood(idata, model=exact.model, cores=1, random_seed=4, progressbar=False)
    known = idata["log_likelihood"]["image"]
    points = points_of(exact.model, idata["posterior"].to_dataset().stack(sample=("chain", "draw")))
    for place in PIXELS:
        densities = PixelDensities(exact.model, exact.model["image"], known.attrs[STREAMS], 1)
        found = densities(points, place, lambda said: None)
        np.testing.assert_allclose(found, known[..., place].values.ravel(), atol=1e-9)


def with_densities(idata):
    """Draws with densities of an image of another name."""
    values = np.random.default_rng(0).standard_normal((2, 200, 5))
    return az.from_dict(
        {
            "posterior": {"coefficient": idata["posterior"]["coefficient"].values},
            "log_likelihood": {"other": values},
        }
    )


def test_moving_draws_needs_pixels_and_a_density_of_them() -> None:
    with pytest.raises(TypeError, match="loo: expected"):
        pl.loo_moment_match(
            az.from_dict({"posterior": {"a": np.zeros((1, 3))}}), {}, model=model(simulated())
        )
    idata = with_densities(Exact().posterior(400, np.random.default_rng(1)))
    with pytest.raises(ValueError, match=r"loo: expected az.loo\(idata, pointwise=True\)"):
        pl.loo_moment_match(idata, az.loo(idata, pointwise=False), model=model(simulated()))


def positive_light(positivity: str | None) -> pl.Tracer:
    light = pl.light.MultiGaussian(
        (0.0, 0.0), (0.0, 0.0), [0.1, 0.2, 0.4, 0.8], intensity_scale=10.0, positivity=positivity
    )
    return pl.Tracer([pl.Galaxy(0.5, light=light)])


def faint_light() -> pl.Imaging:
    """Light whose narrowest and widest Gaussians are not there: two amplitudes are near their wall."""
    y, x = np.mgrid[-8:9, -8:9] * 0.1
    image = clumps_of_light(y, x) + np.random.default_rng(5).normal(0.0, 0.3, y.shape)
    return pl.Imaging(image, np.full(y.shape, 0.3), gaussian_psf(), 0.1)


def clumps_of_light(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return np.exp(-(y**2 + x**2) / (2 * 0.25**2))


def before_a_source() -> pl.Tracer:
    """The same in front of a source of any sign, which is integrated over."""
    pixelization = pl.Pixelization(window(8), pl.regularization.Constant(2.0))
    return pl.Tracer([*positive_light("marginal").galaxies, pl.Galaxy(1.0, pixelization=pixelization)])


CONFINED = {
    "light": (positive_light("marginal"), None),
    "light and source": (before_a_source(), None),
    "light and sky": (positive_light("marginal"), pl.Sky(order=1, scale=10.0)),
}
CENTRE = 144  # the narrowest Gaussian is that pixel's


def left_out(dataset: pl.Imaging, traced: pl.Tracer, sky: pl.Sky | None, rng: np.random.Generator):
    inversion, symbolic = assemble(traced, dataset, sky)
    return leave_out(inversion, (dataset.data_fitted, *evaluate_once(list(symbolic))), rng)


@pytest.mark.parametrize("deviations", [0.0, 8.0])
@pytest.mark.parametrize("name", CONFINED)
def test_leaving_a_pixel_out_confines_amplitudes_anew(
    name: str, deviations: float, rng: np.random.Generator
) -> None:
    dataset, (traced, sky) = with_outlier(faint_light(), CENTRE, deviations), CONFINED[name]
    found = left_out(dataset, traced, sky, rng).log_density
    whole = pl.FitImaging(dataset, traced, sky).log_evidence
    for place in (40, 76, 126, 127, 143, CENTRE, 200):
        fit = pl.FitImaging(without(dataset, place), traced, sky)
        # Either evidence is known to 0.01 from 64 draws of four amplitudes.
        assert found[place] == pytest.approx(whole - fit.log_evidence, abs=0.02)


@pytest.mark.parametrize("place", [76, CENTRE])
def test_what_amplitudes_that_are_not_negative_predict(place: int, rng: np.random.Generator) -> None:
    """Mean and deviation are those of the evidence as a function of the datum, and so are draws'."""
    dataset, (traced, sky) = faint_light(), CONFINED["light and source"]
    predicted = left_out(dataset, traced, sky, rng)
    mean, deviation = predicted.mean[place], predicted.deviation[place]
    offsets = np.linspace(-6.0, 6.0, 49)
    sigma = dataset.noise_fitted[place]
    steps = (mean + offsets * deviation - dataset.data_fitted[place]) / sigma
    log_evidences = [
        pl.FitImaging(with_outlier(dataset, place, step), traced, sky).log_evidence for step in steps
    ]
    weights = np.exp(log_evidences - np.max(log_evidences))
    weights /= weights.sum()
    assert weights @ offsets == pytest.approx(0.0, abs=0.01)
    assert weights @ offsets**2 == pytest.approx(1.0, abs=0.02)
    draws = np.array([predicted.draw(rng)[place] for _ in range(4000)])
    assert draws.mean() == pytest.approx(mean, abs=4.0 * deviation / np.sqrt(4000))
    assert draws.std() == pytest.approx(deviation, rel=0.05)


@pytest.mark.slow
def test_a_positive_source_is_drawn() -> None:
    """The mean inverse density over draws of the source is that of the pixel left out."""
    dataset, traced = simulated(), tracer(positivity="marginal")
    with pm.Model() as model_of_source:
        pm.Normal("nothing")
        pl.LensedImage("image", traced, observed=dataset)
    idata = az.from_dict({"posterior": {"nothing": np.zeros((2, 1000))}})
    pl.compute_log_likelihood(idata, model=model_of_source, random_seed=1, progressbar=False)
    loo = az.loo(idata, pointwise=True)
    whole = pl.FitImaging(dataset, traced).log_evidence
    for place in PIXELS:
        fit = pl.FitImaging(without(dataset, place), traced)
        assert float(loo.elpd_i[place]) == pytest.approx(whole - fit.log_evidence, abs=0.03)


@pytest.mark.parametrize("positivity", ["map", "nnls"])
def test_what_is_no_probability_of_the_data_is_refused(positivity: str) -> None:
    with pm.Model() as model_of_light:
        pm.Normal("nothing")
        pl.LensedImage("image", positive_light(positivity), observed=faint_light())
    idata = az.from_dict({"posterior": {"nothing": np.zeros((1, 3))}})
    with pytest.raises(ValueError, match=r"positivity: .* no probability of the data"):
        pl.compute_log_likelihood(idata, model=model_of_light)


def test_densities_of_another_origin_cannot_be_moved() -> None:
    with pm.Model() as model_of_light:
        pm.Normal("nothing")
        pl.LensedImage("image", positive_light("marginal"), observed=faint_light())
    rng = np.random.default_rng(0)
    idata = az.from_dict(
        {
            "posterior": {"nothing": rng.standard_normal((2, 50))},
            "log_likelihood": {"image": rng.standard_normal((2, 50, 7))},
        }
    )
    with pytest.raises(ValueError, match=r"idata: its log_likelihood of 'image' is not of pl\.compute"):
        pl.loo_moment_match(idata, az.loo(idata, pointwise=True), model=model_of_light)


def test_images_without_data_are_refused() -> None:
    with pm.Model() as unobserved:
        pl.LensedImage("image", tracer(), dataset=simulated())
    idata = az.from_dict({"posterior": {"image": np.zeros((1, 3, simulated().fitted.size))}})
    with pytest.raises(ValueError, match=r"none of its images \['image'\] is observed"):
        pl.compute_log_likelihood(idata, model=unobserved)
    with pytest.raises(TypeError, match="idata: expected"):
        pl.compute_log_likelihood({}, model=model(simulated()))
