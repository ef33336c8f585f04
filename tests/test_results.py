"""Reconstruction groups, their file, and the figures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from problems import clumps, full_model, mass, model, simulated, tracer

import pymc_lens as pl


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


def test_bad_reconstruction(posterior):
    with pytest.raises(ValueError, match="posterior"):
        pl.reconstruct(xr.DataTree(), model=model(simulated()))
    with pytest.raises(ValueError, match="var_name"):
        pl.reconstruct(posterior, model=model(simulated()), var_name="picture")


def test_figures(posterior, tmp_path):
    light = pl.light.MultiGaussian.log_spaced((0.0, 0.0), [(0.0, 0.0)], 0.1, 0.8, 3)
    fit = pl.FitImaging(simulated(light=True), tracer(light=light))
    figures = {
        "fit": pl.plot.subplot_fit(fit),
        "posterior": pl.plot.subplot_posterior(posterior),
        "reconstruction": pl.plot.subplot_reconstruction(posterior),
    }
    panels = {"fit": 6, "posterior": 9, "reconstruction": 6}
    for name, figure in figures.items():
        axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
        assert len(axes) == panels[name]
        figure.savefig(tmp_path / f"{name}.png")
        plt.close(figure)
    with pytest.raises(ValueError, match="var_names"):
        pl.plot.subplot_posterior(posterior, ["radius"])


def test_fit_maps():
    dataset = simulated(light=True)
    # The shape of problems.lens_light: axis ratio 0.9 / 1.1 with the major axis along x.
    light = pl.light.MultiGaussian(
        (0.02, -0.01), [(0.0, 0.1)], [0.3 / np.sqrt(0.99) * np.array([0.5, 1.0, 2.0])]
    )
    fit = pl.FitImaging(dataset, tracer(light=light))
    np.testing.assert_allclose(fit.lens_light + fit.lensed_source, fit.model_image)
    np.testing.assert_allclose(np.nansum(fit.chi_squared_map), fit.chi_squared, rtol=1e-10)
    assert fit.intensities.shape == (3,)
    assert fit.reduced_chi_squared < 1.3
    np.testing.assert_allclose(fit.source_brightness(fit.mesh_vertices), fit.reconstruction, atol=1e-12)
    assert fit.source_brightness(np.array([[3.0, 3.0]])) == 0.0


def test_joint_light_and_mass_compile():
    built = full_model(simulated(light=True))
    assert np.isfinite(built.compile_logp()(built.initial_point()))
