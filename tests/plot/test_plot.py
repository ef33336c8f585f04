"""Figures (issue 13, line 13)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from problems import mass, simulated, tracer

import pymc_lens as pl
from pymc_lens.plot.posterior import mean_and_deviation


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module", name="fit")
def _fit():
    return pl.FitImaging(simulated(), tracer())


@pytest.fixture(scope="module", name="rectangular")
def _rectangular():
    """Cells at the edge of this mesh lie where hardly any ray arrives, and are as bright as they like."""
    mesh = pl.mesh.Rectangular((20, 20))
    dataset = simulated().apply_mask(pl.Mask2D.circular((37, 39), 0.1, 1.8))
    return pl.FitImaging(dataset, tracer(mesh=mesh, coefficient=0.1))


def draws() -> xr.DataTree:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((2, 300, 5))
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {
                    "einstein_radius": (("chain", "draw"), 1.00031 + 3.7e-4 * noise[..., 0]),
                    "ell_comps": (("chain", "draw", "e_yx"), 0.05 + 2e-3 * noise[..., 1:3]),
                    "a_coefficient_with_a_long_name": (("chain", "draw"), 1e-7 * (1 + 0.1 * noise[..., 3])),
                    "amplitude": (("chain", "draw"), 1.2e6 + 1e3 * noise[..., 4]),
                },
                {"chain": [0, 1], "draw": np.arange(300), "e_yx": ["e_y", "e_x"]},
            )
        }
    )


def reconstructed(dataset: pl.Imaging, fit: pl.FitImaging) -> xr.DataTree:
    """The groups of `reconstruct`, by hand: what a figure reads."""
    names = ("data", "model_image", "lens_light", "lensed_source")
    images = {name: (("y", "x"), getattr(fit, name), {"units": "electron / s"}) for name in names}
    images["normalized_residual"] = (("y", "x"), fit.normalized_residual_map)
    ny, nx = dataset.shape_native
    axes = {"y": 0.1 * (np.arange(ny) - (ny - 1) / 2), "x": 0.1 * (np.arange(nx) - (nx - 1) / 2)}
    grid = np.linspace(-0.5, 0.5, 30)
    source = fit.source.brightness(np.stack(np.meshgrid(grid, grid, indexing="ij"), -1))
    on_grid = {"mean": (("grid_y", "grid_x"), source), "sd": (("grid_y", "grid_x"), 0.01 * np.abs(source))}
    return xr.DataTree.from_dict(
        {
            "image_reconstruction": xr.Dataset(images, axes, {"image": "image"}),
            "source_reconstruction": xr.Dataset(on_grid, {"grid_y": grid, "grid_x": grid}),
        }
    )


def figures(fit: pl.FitImaging, rectangular: pl.FitImaging) -> dict:
    dataset = fit.dataset
    return {
        "fit": lambda **axes: pl.plot.subplot_fit(fit, **axes),
        "fit on a rectangular mesh": lambda **axes: pl.plot.subplot_fit(rectangular, **axes),
        "fits": lambda **axes: pl.plot.subplot_fits({"one": fit, "two": rectangular}, **axes),
        "dataset": lambda **axes: pl.plot.subplot_dataset(dataset, **axes),
        "posterior": lambda **axes: pl.plot.subplot_posterior(draws(), **axes),
        "reconstruction": lambda **axes: pl.plot.subplot_reconstruction(reconstructed(dataset, fit), **axes),
    }


SHAPES = {
    "fit": (2, 3),
    "fit on a rectangular mesh": (2, 3),
    "fits": (2, 2),
    "dataset": (2, 2),
    "posterior": (5, 5),
    "reconstruction": (2, 3),
}


def is_colour_bar(ax) -> bool:
    return ax.get_label() == "<colorbar>"


@pytest.mark.parametrize("name", SHAPES)
def test_issue13_line13_nothing_leaves_the_canvas(name, fit, rectangular):
    figure = figures(fit, rectangular)[name]()
    figure.canvas.draw()
    inside = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert inside.x0 >= 0.0
    assert inside.y0 >= 0.0
    assert inside.x1 <= width
    assert inside.y1 <= height
    assert len([ax for ax in figure.axes if not is_colour_bar(ax)]) == np.prod(SHAPES[name])


@pytest.mark.parametrize("name", SHAPES)
def test_issue13_line13_axes_may_be_given(name, fit, rectangular):
    draw = figures(fit, rectangular)[name]
    figure, axes = plt.subplots(*SHAPES[name], figsize=(12, 9))
    assert draw(axes=axes) is figure
    assert all(ax.has_data() or not ax.axison for ax in axes.flat)
    with pytest.raises(ValueError, match=f"axes: expected {np.prod(SHAPES[name])} Axes"):
        draw(axes=axes[:1])


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "posterior"])
def test_issue13_line13_colour_bars_end_in_numbers(name, fit, rectangular):
    figure = figures(fit, rectangular)[name]()
    figure.canvas.draw()
    bars = [ax for ax in figure.axes if is_colour_bar(ax)]
    assert len(bars) == np.prod(SHAPES[name])
    for ax in bars:
        ticks = ax.get_yticks()
        labels = [label.get_text() for label in ax.get_yticklabels()]
        np.testing.assert_allclose([ticks.min(), ticks.max()], ax.get_ylim(), rtol=1e-9)
        np.testing.assert_allclose([float(label) for label in labels], ticks, rtol=0.01)
        assert len(labels) == len(set(labels)) >= 2


def test_issue13_line13_the_source_window_is_that_of_the_source(fit, rectangular):
    """Not that of edge pixels, which the data say nothing of: all clumps of the truth, and little more."""
    for each in (fit, rectangular):
        left, right, bottom, top = _source_window(each)
        assert max(left, bottom) < -0.3
        assert min(right, top) > 0.3
        assert max(right - left, top - bottom) < 1.4


def test_issue13_line13_the_source_window_holds_the_whole_caustic():
    """A caustic much larger than the source, which lies inside it."""
    wide = mass(ell_comps=(0.0, 0.4), gamma_1=0.1)
    dataset = pl.simulate_imaging(
        tracer(wide), lambda y, x: np.exp(-(y**2 + x**2) / (2 * 0.03**2)), (37, 39), 0.1,
        np.ones((1, 1)), exposure_time=1000.0, background_noise=0.05, seed=1,
    )  # fmt: skip
    fit = pl.FitImaging(dataset.apply_mask(pl.Mask2D.circular((37, 39), 0.1, 1.7)), tracer(wide))
    figure = pl.plot.subplot_fit(fit)
    panel = _source_panel(figure)
    caustic = np.concatenate([line.get_xydata() for line in panel.lines])
    assert np.abs(caustic).max() > 0.3
    (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
    assert left < caustic[:, 0].min()
    assert caustic[:, 0].max() < right
    assert bottom < caustic[:, 1].min()
    assert caustic[:, 1].max() < top


def _source_panel(figure):
    (panel,) = [ax for ax in figure.axes if ax.get_title() == "Source plane, caustics"]
    return panel


def _source_window(fit: pl.FitImaging) -> tuple[float, ...]:
    panel = _source_panel(pl.plot.subplot_fit(fit))
    return (*panel.get_xlim(), *panel.get_ylim())


@pytest.mark.parametrize(
    ("mean", "deviation", "written"),
    [
        (1.00031, 3.7e-4, r"1.00031 $\pm$ 0.00037"),
        (-0.1, 0.0104, r"-0.100 $\pm$ 0.010"),
        (1234.0, 56.0, r"1234 $\pm$ 56"),
        (0.0, 0.996, r"0.0 $\pm$ 1.0"),
        (2.5e-7, 1.3e-8, r"(2.50 $\pm$ 0.13) $10^{-7}$"),
        (1.2e6, 1e3, r"(1.2000 $\pm$ 0.0010) $10^{6}$"),
        (3.0, 0.0, "3"),
    ],
)
def test_issue13_line13_digits_of_the_error(mean, deviation, written):
    assert mean_and_deviation(np.array([mean - deviation, mean + deviation])) == written


def test_issue13_line13_truths_and_labels():
    truths = {"einstein_radius": 1.0, "ell_comps": (0.05, 0.06), "amplitude": 1.2e6}
    labels = {"einstein_radius": r"$\theta_E$", "ell_comps[e_x]": "$e_x$", "ell_comps": "e"}
    figure = pl.plot.subplot_posterior(draws(), truths=truths, labels=labels)
    panels = np.array(figure.axes).reshape(5, 5)
    names = [ax.get_xlabel() for ax in panels[-1]]
    assert names == [r"$\theta_E$", "e[e_y]", "$e_x$", "a_coefficient_with_a_long_name", "amplitude"]
    horizontal, vertical = (line for line in panels[2, 0].lines if len(line.get_xdata()) == 2)
    assert set(horizontal.get_ydata()) == {0.06}
    assert set(vertical.get_xdata()) == {1.0}
    assert not panels[3, 3].lines  # no truth was given
    with pytest.raises(ValueError, match=r"truths: expected 2 numbers for 'ell_comps'"):
        pl.plot.subplot_posterior(draws(), truths={"ell_comps": 0.1})
    with pytest.raises(ValueError, match=r"truths: 'radius' is not shown; \['einstein_radius'"):
        pl.plot.subplot_posterior(draws(), truths={"radius": 0.1})
    with pytest.raises(ValueError, match=r"labels: \['radius'\] are not shown"):
        pl.plot.subplot_posterior(draws(), labels={"radius": "R"})


def test_issue13_line13_a_parameter_that_stands_still():
    posterior = xr.Dataset({"a": (("chain", "draw"), np.ones((1, 50)))})
    posterior["b"] = ("chain", "draw"), np.random.default_rng(1).standard_normal((1, 50))
    figure = pl.plot.subplot_posterior(xr.DataTree.from_dict({"posterior": posterior}))
    figure.canvas.draw()
    assert figure.axes[0].get_title() == "1"


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda: pl.plot.subplot_fit(simulated()), TypeError, "fit: expected a FitImaging, got Imaging"),
        (lambda: pl.plot.subplot_fits([1]), TypeError, "fits: expected a Mapping, got list"),
        (lambda: pl.plot.subplot_fits({}), ValueError, "fits: expected at least one"),
        (lambda: pl.plot.subplot_fits({"a": 1}), TypeError, r"fits\['a'\]: expected a FitImaging, got int"),
        (lambda: pl.plot.subplot_dataset(tracer()), TypeError, "dataset: expected an Imaging, got Tracer"),
        (lambda: pl.plot.subplot_posterior({}), TypeError, "idata: expected a DataTree, got dict"),
        (lambda: pl.plot.subplot_posterior(xr.DataTree()), ValueError, "idata: expected a posterior group"),
        (lambda: pl.plot.subplot_posterior(draws(), ["radius"]), ValueError, r"\['radius'\] are not in"),
        (lambda: pl.plot.subplot_reconstruction(draws()), ValueError, r"pymc_lens\.reconstruct adds"),
        (lambda: pl.plot.subplot_reconstruction(None), TypeError, "idata: expected a DataTree"),
    ],
)
def test_issue13_line8_figures_of_other_things(draw, error, words):
    with pytest.raises(error, match=words):
        draw()


def test_issue13_line12_one_line_says_what_it_is(fit):
    for thing in (fit, fit.tracer, fit.dataset):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 200
    assert f"log_evidence={fit.log_evidence:.2f}" in repr(fit)
    assert repr(fit.tracer) == (
        "Tracer(redshift 0.5: Isothermal + ExternalShear; redshift 1: RectangularWindow with Constant)"
    )


@pytest.mark.parametrize("name", ["log_likelihood", "figure_of_merit"])
def test_issue13_line12_what_a_fit_is_judged_by(fit, name):
    with pytest.raises(AttributeError, match=f"has no {name}: .* log_evidence"):
        getattr(fit, name)
    assert not hasattr(fit, "something_else")
