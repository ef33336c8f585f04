"""What comes back from sampling is ArviZ's: its functions, its files, named dimensions, told provenance."""

from __future__ import annotations

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from problems import full_model, mass, simulated, tracer

import pymc_lens as pl
from pymc_lens.provenance import model_digest


def built(sigma: float = 0.1, coefficient: float = 5.0) -> pm.Model:
    with pm.Model() as model:
        ell_comps = pl.priors.ell_comps("ell_comps", sigma)
        radius = pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0)
        pl.LensedImage("image", tracer(mass(radius, ell_comps), coefficient), observed=simulated())
    return model


@pytest.fixture(scope="module", name="idata")
def _idata() -> xr.DataTree:
    model = built()
    idata = pl.sample(
        100, starts={"einstein_radius": 1.0}, cores=1, random_seed=7, progressbar=False, model=model
    )
    pl.reconstruct(idata, model=model, num_draws=10, random_seed=1, progressbar=False)
    pl.sample_posterior_predictive(idata, model=model, num_draws=10, random_seed=1, progressbar=False)
    return pl.compute_log_likelihood(idata, model=model, cores=1, progressbar=False)


def test_dimensions_are_named(idata: xr.DataTree) -> None:
    assert list(idata["posterior"]["ell_comps"].coords["e_yx"].values) == ["e_y", "e_x"]
    assert set(idata["source_reconstruction"].sizes) == {
        "sample", "source_pixel", "grid_y", "grid_x", "quantile"
    }  # fmt: skip
    assert set(idata["image_reconstruction"].sizes) == {"y", "x"} | {"sample"}
    assert list(idata["weighted_points"]["coordinate"].values) == [
        "ell_comps_normals__[0]", "ell_comps_normals__[1]", "einstein_radius_interval__"
    ]  # fmt: skip
    for node in idata.subtree:
        for name, variable in node.data_vars.items():
            assert not [dim for dim in variable.dims if "_dim_" in str(dim)], f"{node.path}/{name}"


def test_provenance_is_told(idata: xr.DataTree) -> None:
    attrs = idata["posterior"].attrs
    assert attrs["pymc_lens_version"] == pl.__version__
    assert attrs["random_seed"] == 7
    assert attrs["model_digest"] == model_digest(built())
    digests = {model_digest(model) for model in (built(), built(0.2), built(coefficient=4.0))}
    assert len(digests) == 3


def test_functions_of_arviz(idata: xr.DataTree) -> None:
    summary = az.summary(idata)
    assert list(summary.index) == ["ell_comps[e_y]", "ell_comps[e_x]", "einstein_radius"]
    assert az.extract(idata, num_samples=5).sizes["sample"] == 5
    assert float(az.loo(idata, pointwise=True).pareto_k.max()) < 0.7
    assert list(az.compare({"one": idata, "other": idata})["elpd_diff"]) == [0.0, 0.0]


@pytest.mark.parametrize("plot", ["plot_trace_dist", "plot_pair", "plot_forest", "plot_ppc_dist"])
def test_figures_of_arviz(idata: xr.DataTree, plot: str) -> None:
    getattr(az, plot)(idata, backend="matplotlib")
    plt.close("all")


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_files(idata: xr.DataTree, kind: str, tmp_path) -> None:
    path = tmp_path / f"draws.{kind}"
    getattr(idata, f"to_{kind}")(path)
    with xr.open_datatree(path, engine="h5netcdf" if kind == "netcdf" else "zarr") as read:
        for node in idata.subtree:
            xr.testing.assert_equal(read[node.path].to_dataset(), node.to_dataset())
        assert read["posterior"].attrs["model_digest"] == idata["posterior"].attrs["model_digest"]
        image = pl.as_image(read["posterior_predictive"]["image"])
        assert image.dims == ("chain", "draw", "y", "x")
        # What is read is as good as what was sampled.
        pl.reconstruct(read.load(), model=built(), num_draws=2, progressbar=False)


def test_pixels_are_arranged_as_the_image(idata: xr.DataTree) -> None:
    dataset = simulated()
    image = pl.as_image(idata["observed_data"]["image"])
    np.testing.assert_array_equal(image.values, dataset.native(dataset.data_fitted))
    reconstructed = idata["image_reconstruction"]["data"]
    for axis in "yx":
        np.testing.assert_allclose(image[axis], reconstructed[axis], atol=1e-12)
    predicted = pl.as_image(idata["posterior_predictive"]["image"])
    residual = (predicted - image) / dataset.noise_map
    assert float(residual.std()) == pytest.approx(np.sqrt(2.0), rel=0.1)
    elpd = pl.as_image(az.loo(idata, pointwise=True).elpd_i)
    assert elpd.dims == ("y", "x")
    assert int(np.isfinite(elpd).sum()) == dataset.fitted.size
    with pytest.raises(ValueError, match="pixels: expected a dimension with coordinates"):
        pl.as_image(idata["posterior"]["einstein_radius"])
    with pytest.raises(TypeError, match="pixels: expected"):
        pl.as_image(np.zeros(3))


def test_prior_predictive_images() -> None:
    prior = pl.sample_prior_predictive(3, model=built(), random_seed=2)
    image = pl.as_image(prior["prior_predictive"]["image"])
    assert image.shape == (1, 3, *simulated().shape_native)
    assert np.nanstd(image.values) > simulated().noise_fitted.min()


def test_digests_do_not_hang_on_the_order_of_building() -> None:
    dataset = simulated(light=True)
    assert model_digest(full_model(dataset)) == model_digest(full_model(dataset))


def test_elpd_difference_is_drawn(idata: xr.DataTree) -> None:
    figure = pl.plot.subplot_elpd_difference({"one": idata, "other": idata})
    assert "elpd +0.0" in figure.axes[1].get_title()
    plt.close(figure)
    with pytest.raises(ValueError, match="models: expected two"):
        pl.plot.subplot_elpd_difference({"one": idata})
    lacking = xr.DataTree(children={"posterior": idata["posterior"].copy()})
    with pytest.raises(ValueError, match=r"models\['other'\]: has no group"):
        pl.plot.subplot_elpd_difference({"one": idata, "other": lacking})
    with pytest.raises(ValueError, match="var_name: expected one of"):
        pl.plot.subplot_elpd_difference({"one": idata, "other": idata}, "picture")
