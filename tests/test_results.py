"""Reconstruction groups, their file, and the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from problems import clumps, full_model, mass, model, simulated, tracer

import pymc_lens as pl
from pymc_lens.provenance import stamp


@pytest.fixture(scope="module", name="posterior")
def _posterior():
    small = model(simulated())
    mode = pl.find_mode(small, progressbar=False)
    idata = pl.sample(
        40, tune=20, chains=2, cores=1, mode=mode, random_seed=1, progressbar=False, model=small,
        compute_convergence_checks=False,
    )  # fmt: skip
    return pl.reconstruct(idata, model=small, num_draws=30, random_seed=1, progressbar=False)


def test_groups(posterior):
    dataset = simulated()
    sources, images = posterior["source_reconstruction"], posterior["image_reconstruction"]
    assert sources["source"].shape == (30, 100)
    assert sources["source_on_grid"].shape[0] == 30
    np.testing.assert_allclose(sources["mean"], sources["source_on_grid"].mean("sample"))
    np.testing.assert_allclose(
        sources["quantiles"].sel(quantile=0.5), np.median(sources["source_on_grid"], axis=0)
    )
    model_image = images["model_image"].values
    residual = images["normalized_residual"].values
    np.testing.assert_array_equal(np.isfinite(model_image), ~dataset.mask.array)
    assert 0.6 < np.nanmean(residual**2) < 1.2
    np.testing.assert_allclose(residual, (images["data"] - images["model_image"]) / images["noise_map"])
    assert float(np.abs(images["lens_light"]).max()) == 0.0


def test_evidence_is_that_of_a_fit_at_the_draw(posterior):
    draw = posterior["posterior"].to_dataset().stack(sample=("chain", "draw")).isel(sample=0)
    at = tracer(
        mass(float(draw["einstein_radius"]), gamma_1=float(draw["gamma_1"])), float(draw["coefficient"])
    )
    fit = pl.FitImaging(simulated(), at)
    evidence = posterior["evidence"].isel(sample=0)
    assert float(evidence["log_evidence"]) == pytest.approx(fit.log_evidence, rel=1e-10)
    assert float(evidence["chi_squared"]) == pytest.approx(fit.chi_squared, rel=1e-8)


def test_issue13_line10_the_best_draw_of_a_sampler(posterior):
    """The draw whose log density the sampler recorded as the highest."""
    built = model(simulated())
    density = posterior["sample_stats"]["lp"]
    best = posterior["posterior"].to_dataset().isel(density.argmax(("chain", "draw")))
    at_values = pl.fit_at(built, {rv.name: float(best[rv.name]) for rv in built.free_RVs})
    assert pl.fit_at(built, posterior).log_evidence == at_values.log_evidence
    assert at_values.log_evidence > float(posterior["evidence"]["log_evidence"].mean())


def test_flux_and_magnification(posterior):
    """Against the truth: the clumps' analytic flux, and their image on a fine grid of the image plane."""
    sources = posterior["source_reconstruction"]
    true_flux = 2 * np.pi * (0.12**2 * 1.0 + 0.08**2 * 1.5 + 0.1**2 * 0.7)
    step = 0.01
    axis = np.arange(-1.7, 1.7, step) + 0.5 * step
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    grid = grid[np.hypot(*grid.T) < 1.7]
    y, x = tracer().traced_grid(grid).eval().T
    magnification = clumps(y, x).sum() * step**2 / true_flux
    for name, truth in (("flux", true_flux), ("magnification", magnification)):
        draws = sources[name].values
        assert draws.shape == (30,)
        assert abs(draws.mean() - truth) < 4 * draws.std() + 0.03 * truth, name
        assert 0.0 < draws.std() < 0.2 * truth


def test_netcdf(posterior, tmp_path):
    posterior.to_netcdf(tmp_path / "posterior.nc")
    again = xr.open_datatree(tmp_path / "posterior.nc")
    assert set(again.children) == set(posterior.children)
    xr.testing.assert_allclose(
        again["source_reconstruction"].to_dataset(), posterior["source_reconstruction"].to_dataset()
    )


def small_idata(**groups) -> xr.DataTree:
    """Draws of `problems.model` that no sampler had to make."""
    rng = np.random.default_rng(1)
    dims, coords = ("chain", "draw"), {"chain": [0, 1], "draw": np.arange(5)}
    places = {"einstein_radius": 1.0, "gamma_1": 0.03, "coefficient": 5.0}
    draws = {name: (dims, place + 1e-3 * rng.standard_normal((2, 5))) for name, place in places.items()}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(draws, coords), **groups})


def two_images(dataset: pl.Imaging, other: pl.Imaging) -> pm.Model:
    with pm.Model() as built:
        radius, gamma_1 = pm.Normal("einstein_radius", 1.0, 0.1), pm.Normal("gamma_1", 0.0, 0.1)
        coefficient = pm.LogNormal("coefficient")
        for name, data in (("red", dataset), ("blue", other)):
            pl.LensedImage(name, tracer(mass(radius, gamma_1=gamma_1), coefficient), observed=data)
    return built


def smaller(dataset: pl.Imaging) -> pl.Imaging:
    return dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, 0.1, 1.5))


def test_issue13_line6_groups_of_several_images():
    """The second image's groups stand beside the first one's."""
    dataset, idata = simulated(), small_idata()
    built = two_images(dataset, smaller(dataset))
    for name in ("red", "blue"):
        pl.reconstruct(idata, model=built, var_name=name, num_draws=3, progressbar=False)
    images = {name: idata[f"{name}_image_reconstruction"] for name in ("red", "blue")}
    for name, data in (("red", dataset), ("blue", smaller(dataset))):
        np.testing.assert_array_equal(np.isfinite(images[name]["model_image"]), ~data.mask.array)
    assert {"red_evidence", "blue_source_reconstruction"} <= set(idata.children)
    assert "evidence" not in idata.children
    assert len(pl.plot.subplot_reconstruction(idata, var_name="blue").axes) == 12
    with pytest.raises(ValueError, match=r"var_name: expected one of .*'blue', 'red'"):
        pl.plot.subplot_reconstruction(idata)


def test_issue13_line6_predictive_images_are_like_the_data(posterior):
    """Chi-squared of replicas about the mean model covers that of the data; from the prior it cannot."""
    dataset, built = simulated(), model(simulated())
    pl.sample_posterior_predictive(posterior, model=built, num_draws=60, random_seed=2, progressbar=False)
    replicas = posterior["posterior_predictive"]["image"]
    assert replicas.dims == ("chain", "draw", "image_pixel")
    assert replicas.shape == (1, 60, dataset.fitted.size)
    mean_model = posterior["image_reconstruction"]["model_image"].values[~dataset.mask.array]

    def chi_squared(images):
        return (((images - mean_model) / dataset.noise_fitted) ** 2).sum(-1)

    of_replicas, of_data = chi_squared(replicas.values[0]), chi_squared(dataset.data_fitted)
    assert abs(of_data - of_replicas.mean()) < 4 * np.sqrt(2 * dataset.fitted.size)
    with built:
        of_prior = pm.sample_posterior_predictive(
            posterior["posterior"].isel(draw=slice(5)).to_dataset(), random_seed=1, progressbar=False
        )["posterior_predictive"]["image"]
    assert (chi_squared(of_prior.values) > 2 * of_data).all()


def test_issue13_line6_predictive_noise_is_that_of_the_dataset():
    dataset, idata = simulated(), small_idata()
    built = two_images(dataset, smaller(dataset))
    pl.sample_posterior_predictive(idata, model=built, num_draws=10, random_seed=1, progressbar=False)
    predictive = idata["posterior_predictive"]
    assert predictive["red"].shape == (1, 10, dataset.fitted.size)
    assert predictive["blue"].shape == (1, 10, smaller(dataset).fitted.size)
    scatter = predictive["red"].std("draw").values[0] / dataset.noise_fitted
    assert np.median(scatter) == pytest.approx(1.0, abs=0.15)


def test_issue13_line7_what_loo_of_one_image_means_is_said():
    assert "arviz.loo" in pl.LensedImage.__doc__
    assert "pymc_lens.sample_posterior_predictive" in pl.LensedImage.__doc__


def test_issue13_line8_draws_know_their_dataset(posterior):
    """Another dataset of the same names: other data by what PyMC stores, other noise by the stamp."""
    dataset = simulated()
    other_data = dataset.with_data(1.01 * dataset.data, dataset.noise_map, None)
    other_noise = dataset.with_data(dataset.data, 1.01 * dataset.noise_map, None)
    observed = xr.Dataset({"image": ("image_pixel", dataset.data_fitted)})
    idata = small_idata(observed_data=observed)
    stamp(idata, model(dataset))
    pl.reconstruct(idata, model=model(dataset), num_draws=2, progressbar=False)
    for call in (pl.reconstruct, pl.sample_posterior_predictive):
        with pytest.raises(ValueError, match="idata: its data of 'image' are not those of the model"):
            call(idata, model=model(other_data), progressbar=False)
        with pytest.raises(ValueError, match="idata: sampled with another dataset"):
            call(idata, model=model(other_noise), progressbar=False)


@pytest.mark.parametrize(
    ("idata", "arguments", "error", "words"),
    [
        (xr.DataTree(), {}, ValueError, r"idata: .* posterior group, .* got the groups \[\]"),
        ({}, {}, TypeError, "idata: expected a DataTree, got dict"),
        (small_idata(), {"var_name": "picture"}, ValueError, "var_name: 'picture' is not"),
        (small_idata(), {"num_draws": 1e9}, TypeError, "num_draws: expected an integer, got 1000000000"),
        (small_idata(), {"num_draws": 0}, ValueError, "num_draws: expected at least 1"),
        (small_idata().sel(chain=0), {}, ValueError, r"no dimension \['chain'\]"),
        (small_idata(posterior=xr.Dataset({"a": (("chain", "draw"), np.ones((1, 2)))})), {}, ValueError,
         r"lacks \['coefficient', 'einstein_radius', 'gamma_1'\]"),
    ],
)  # fmt: skip
def test_issue13_line8_bad_draws(idata, arguments, error, words):
    with pytest.raises(error, match=words):
        pl.reconstruct(idata, model=model(simulated()), progressbar=False, **arguments)


def test_issue13_line8_bad_models():
    with pytest.raises(TypeError, match="model: expected a Model, got Imaging"):
        pl.reconstruct(small_idata(), model=simulated())
    with pytest.raises(ValueError, match="model: expected one with a LensedImage"):
        pl.sample_posterior_predictive(small_idata(), model=pm.Model())
    other = small_idata()
    other["posterior"] = other["posterior"].to_dataset().assign(
        gamma_1=(("chain", "draw", "axis"), np.zeros((2, 5, 2)))
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"gamma_1: expected a value of shape \(\), got shape \(2,\)"):
        pl.reconstruct(other, model=model(simulated()))


def test_issue13_line8_more_draws_than_there_are():
    idata = small_idata()
    pl.reconstruct(idata, model=model(simulated()), num_draws=10**9, progressbar=False)
    assert idata["evidence"].sizes["sample"] == 10


def test_issue13_line12_names_and_units(posterior):
    dataset = simulated()
    observed = xr.Dataset({"image": ("image_pixel", dataset.data_fitted)})
    idata = small_idata(observed_data=observed)
    stamp(idata, model(dataset))
    y, x = (idata["observed_data"][f"image_pixel_{axis}"] for axis in "yx")
    np.testing.assert_array_equal(np.stack([y, x], -1), dataset.plane.grid[dataset.fitted])
    assert y.attrs["units"] == "arcsec"
    assert "image_pixel_y" in posterior["observed_data"].coords  # of pl.sample
    in_counts = replace(dataset, unit="electron / s")
    pl.reconstruct(idata, model=model(in_counts), num_draws=2, progressbar=False)
    units = {
        f"{group}/{name}": variable.attrs.get("units")
        for group in ("source_reconstruction", "image_reconstruction")
        for name, variable in idata[group].variables.items()
        if name not in ("chain", "draw", "sample", "quantile")
    }
    assert None not in units.values()
    assert units["source_reconstruction/flux"] == "electron / s arcsec2"
    assert units["image_reconstruction/model_image"] == "electron / s"
    assert units["image_reconstruction/y"] == units["source_reconstruction/source_x"] == "arcsec"


def test_issue13_F2_images_of_one_dimension_are_refused():
    dataset = simulated()
    with pm.Model(coords={"mine": range(7)}):
        pl.LensedImage("red", tracer(), observed=dataset, dims="pixel")
        pl.LensedImage("green", tracer(), observed=dataset, dims="pixel")  # of the same length: may be
        with pytest.raises(ValueError, match="dims: 'pixel' has length 897 in this model already"):
            pl.LensedImage("blue", tracer(), observed=smaller(dataset), dims="pixel")
        with pytest.raises(ValueError, match="dims: 'mine' has length 7"):
            pl.LensedImage("blue", tracer(), observed=dataset, dims="mine")
        with pytest.raises(ValueError, match="dims: expected another name"):
            pl.LensedImage("blue", tracer(), observed=dataset, dims="blue")
        with pytest.raises(TypeError, match="dims: expected the name"):
            pl.LensedImage("blue", tracer(), observed=dataset, dims=("y", "x"))


def test_issue13_F2_a_full_disk_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = pl.save(small_idata(), tmp_path / "new" / "posterior.nc")

    def fills_up(self, filepath, **kwargs):
        Path(filepath).write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(xr.DataTree, "to_netcdf", fills_up)
        with pytest.raises(OSError, match="No space left"):
            pl.save(small_idata(), path)
    assert [file.name for file in path.parent.iterdir()] == ["posterior.nc"]
    with xr.open_datatree(path) as again:
        xr.testing.assert_identical(again["posterior"].to_dataset(), small_idata()["posterior"].to_dataset())
        pl.save(again, path)  # what is read from a file can be written over it
    with pytest.raises(TypeError, match="idata: expected a DataTree"):
        pl.save({}, path)


def test_issue13_F2_folders_are_tried_before_the_work(tmp_path):
    assert pl.make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"path: cannot write to the folder .*file"):
        pl.make_folder(tmp_path / "file" / "out")


def test_figure_of_a_reconstruction(posterior):
    assert len(pl.plot.subplot_reconstruction(posterior).axes) == 12
    plt.close("all")


def test_fit_maps():
    dataset = simulated(light=True)
    # The shape of problems.lens_light: axis ratio 0.9 / 1.1 with the major axis along x.
    light = pl.light.MultiGaussian(
        (0.02, -0.01), [(0.0, 0.1)], [0.3 / np.sqrt(0.99) * np.array([0.5, 1.0, 2.0])]
    )
    fit = pl.FitImaging(dataset, tracer(light=light))
    np.testing.assert_allclose(fit.lens_light + fit.lensed_source, fit.model_image)
    np.testing.assert_allclose(np.nansum(fit.chi_squared_map), fit.chi_squared, rtol=1e-10)
    assert fit.coefficients["lens_light"].shape == (3,)
    assert fit.reduced_chi_squared < 1.3
    np.testing.assert_allclose(
        fit.source.brightness(fit.source.vertices), fit.source.reconstruction, atol=1e-12
    )
    assert fit.source.brightness(np.array([[3.0, 3.0]])) == 0.0


def test_joint_light_and_mass_compile():
    built = full_model(simulated(light=True))
    assert np.isfinite(built.compile_logp()(built.initial_point()))
