"""A simulated lens from its image to its posterior, told nothing, and the command that does it."""

from __future__ import annotations

import json
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import arviz as az
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from astropy.io import fits
from xarray import DataTree

import pymc_lens as pl
from pymc_lens import cli
from pymc_lens.assembly import assemble
from pymc_lens.evaluate import evaluate_once
from pymc_lens.inversion.leave_one_out import leave_out
from pymc_lens.pipeline import stages
from pymc_lens.pipeline.models import Redshifts
from pymc_lens.pipeline.stages import (
    FirstSource,
    Joint,
    Lens,
    Search,
    around_the_arcs,
    contaminants,
    field,
    first_source,
    joint_mode,
    search,
    without,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import unattended

TRUTH = {
    "einstein_radius": 0.9,
    "ell_comps": [0.1, -0.05],
    "gamma": [0.03, -0.02],
    "clumps": [
        {"centre": [0.08, -0.05], "sigma": 0.07, "peak": 1.0},
        {"centre": [-0.03, 0.04], "sigma": 0.04, "peak": 0.6},
    ],
    "light": [0.08, -0.02],
    "light_peak": 8.0,
    "light_radius": 0.5,
    "signal_to_noise": 25.0,
    "neighbour": True,
    "neighbour_angle": 2.0,
}
THETA_E = float(pl.convert.effective_einstein_radius(0.9, (0.1, -0.05)))


@pytest.fixture(scope="module", name="image")
def _image():
    return unattended.simulated(TRUTH, seed=3, pixel_scale=0.08)


def written(dataset, folder: Path) -> Path:
    folder.mkdir(parents=True)
    dataset.to_fits(tuple(folder / name for name in ("image.fits", "psf.fits", "noise.fits")))
    return folder


@pytest.fixture(scope="module", name="fitted")
def _fitted(image, tmp_path_factory):
    out = tmp_path_factory.mktemp("lens") / "out"
    return pl.fit_lens(image, out=out, draws=40, progressbar=False), out


@pytest.mark.slow
def test_the_truth_is_found_and_kept(fitted):
    result, _ = fitted
    assert result.verdict.grade == "keep", result.verdict.reasons
    radius = result.idata["posterior"]["theta_e"]
    assert abs(float(radius.mean()) - THETA_E) < 4.0 * float(radius.std())
    assert float(radius.std()) < 0.01
    assert result.summary["theta_e"]["low"] < result.summary["theta_e"]["high"]
    assert residuals_left_out(result.fit).std() == pytest.approx(1.0, abs=0.1)
    assert "keep" in repr(result)


@pytest.mark.slow
def test_a_wrong_lens_that_compact_sources_prefer_is_left(fitted, image, monkeypatch):
    """The joint fits decide, and say how far behind it is."""
    found = fitted[0].search
    right = found.lenses[0]
    shrunk = {"einstein_radius": 0.75 * right.parameters["einstein_radius"]}
    wrong = right._replace(parameters=right.parameters | shrunk, log_density=right.log_density + 1.0)
    misled = Search([wrong, *found.lenses], found.gain)
    monkeypatch.setattr(sys.modules["pymc_lens.pipeline.fit_lens"], "search", lambda *_: misled)
    result = pl.fit_lens(image, draws=40, progressbar=False)
    radius = result.idata["posterior"]["theta_e"]
    assert abs(float(radius.mean()) - THETA_E) < 4.0 * float(radius.std())
    assert result.verdict.grade == "keep", result.verdict.reasons


def test_contenders_are_lenses_that_compact_sources_do_not_tell_apart():
    lenses = [Lens({}, log_density, np.zeros(2)) for log_density in (-1000.0, -1001.0, -1049.0, -1051.0)]
    assert Search(lenses, 500.0).contenders == lenses[:3]
    assert len(Search([lenses[0]] * 9, 500.0).contenders) == 4
    assert Search(lenses[3:], 500.0).contenders == lenses[3:]


@pytest.mark.slow
def test_the_slope_of_a_power_law():
    image = unattended.simulated(
        TRUTH | {"slope": 2.25, "neighbour": False, "signal_to_noise": 80.0}, seed=4, pixel_scale=0.08
    )
    result = pl.fit_lens(image, mass_model=pl.pipeline.power_law, draws=40, progressbar=False)
    slope = result.idata["posterior"]["slope"]
    assert abs(float(slope.mean()) - 2.25) < 3.0 * float(slope.std())
    # The prior alone says 2 +- 0.2.
    assert float(slope.std()) < 0.1
    assert float(slope.mean()) > 2.1


def residuals_left_out(fit: pl.FitImaging) -> np.ndarray:
    """Residuals of pixels left out, in standard deviations: however flexible a model, they are normal."""
    inversion, symbolic = assemble(fit.tracer, fit.dataset)
    data = fit.dataset.data_fitted
    arrays = (data, *evaluate_once(list(symbolic)))
    predicted = leave_out(inversion, arrays, np.random.default_rng(0))
    return (data - predicted.mean) / predicted.deviation


@pytest.mark.slow
def test_the_neighbour_is_left_out(fitted, image):
    result, _ = fitted
    away = 1.6 * 0.9 + 0.6
    place = away * np.array([np.sin(2.0), np.cos(2.0)])
    near = np.hypot(*(result.fit.dataset.plane.grid[result.fit.dataset.fitted] - place).T) < 0.1
    assert not near.any()


@pytest.mark.slow
def test_files_and_going_on(fitted, image, monkeypatch):
    result, out = fitted
    summary = json.loads((out / "summary.json").read_text())
    assert summary["verdict"] == result.verdict.grade
    assert {each["name"] for each in summary["criteria"]} >= {"magnification", "pareto_k", "source_gain"}
    with xr.open_datatree(out / "posterior.nc", engine="h5netcdf") as idata:
        assert idata["posterior"]["theta_e"].shape == (2, 40)
        assert "source_reconstruction" in idata.children
    assert all((out / f"{name}.png").exists() for name in ("fit", "source", "posterior"))

    def searched_again(*arguments):
        raise AssertionError("the search was finished before")

    # The package's attribute of that name is the function.
    monkeypatch.setattr(sys.modules["pymc_lens.pipeline.fit_lens"], "search", searched_again)
    again = pl.fit_lens(image, out=out, draws=40, progressbar=False)
    for name in ("einstein_radius", "theta_e"):
        np.testing.assert_array_equal(again.idata["posterior"][name], result.idata["posterior"][name])
    other = image.with_data(image.data + 1.0, image.noise_map, image.unit)
    with pytest.raises(ValueError, match=r"out: .* is of another dataset or model"):
        pl.fit_lens(other, out=out, progressbar=False)

    def isothermal(of):  # by name the one that was fitted
        return pl.mass.PowerLaw(of["mass_centre"], of["ell_comps"], of["einstein_radius"], 2.1)

    with pytest.raises(ValueError, match=r"out: .*stage_mode_0.pickle is of another dataset or model"):
        pl.fit_lens(image, mass_model=isothermal, out=out, progressbar=False)


@pytest.mark.parametrize(
    ("mass_model", "message"),
    [
        ("power_law", "mass_model: expected a function such as pl.pipeline.power_law, got 'power_law'"),
        (lambda parameters: parameters["einstein_radius"], "mass_model: expected a MassProfile"),
        (pl.mass.PowerLaw, "mass_model: expected a function"),
    ],
)
def test_what_makes_no_mass(image, mass_model, message):
    with pytest.raises(TypeError, match=message):
        pl.fit_lens(image, mass_model=mass_model)


def test_parameters_that_make_no_mass():
    parameters = {"mass_centre": (0.0, 0.0), "ell_comps": (0.1, 0.0), "einstein_radius": 1.2}
    with pytest.raises(ValueError, match="ell_comps"):
        pl.pipeline.isothermal(parameters | {"ell_comps": (1.0, 0.5)})
    with pytest.raises(ValueError, match="centre"), pm.Model():
        pl.pipeline.power_law(parameters | {"mass_centre": 1.0})
    with pytest.raises(TypeError, match="model"):  # none on the context stack
        pl.pipeline.power_law(parameters)


def test_nothing_shines():
    dark = pl.Imaging(-np.ones((40, 40)), np.ones((40, 40)), np.ones((1, 1)), 0.05)
    with pytest.raises(ValueError, match="nothing shines"):
        pl.fit_lens(dark, progressbar=False)
    with pytest.raises(ValueError, match=r"figures: expected some of .*, got \['pages'\]"):
        pl.fit_lens(dark, figures=["page", "pages"])
    with pytest.raises(TypeError, match="dataset: expected"):
        pl.fit_lens(np.ones((40, 40)))


@pytest.mark.parametrize("name", ["draws", "chains", "cores"])
def test_numbers_are_checked_before_a_search(image, name):
    with pytest.raises(ValueError, match=f"{name}: expected at least 1, got 0"):
        pl.fit_lens(image, **{name: 0})


def test_an_interrupted_climb_is_no_mode(monkeypatch):
    """Where it was would be kept, sampled around, and gone on from."""
    best_so_far = SimpleNamespace(converged=False)
    monkeypatch.setattr(stages, "find_mode", lambda *_, **__: best_so_far)
    lens = Lens({"einstein_radius": np.array(1.0)}, 0.0, np.zeros(2))
    with pytest.raises(KeyboardInterrupt):
        joint_mode(pm.Model(), FirstSource(None, 1.0), lens, None, False)


def some_draws(n: int, **attrs: float) -> DataTree:
    idata = az.from_dict({"posterior": {"einstein_radius": np.ones((2, n))}})
    idata["posterior"].attrs.update(attrs)
    return idata


@pytest.mark.parametrize(
    "idata",
    [
        some_draws(200, effective_draws=212.0, pareto_k=0.5),
        some_draws(230, effective_draws=390.0, r_hat=1.02),
        DataTree(children={"warmup_posterior": DataTree()}),
    ],
    ids=["importance", "NUTS", "tuning"],
)
def test_interrupted_draws_are_no_posterior(idata, monkeypatch, tmp_path):
    """A survey would take what is written of them for a fit that has ended."""
    module = sys.modules["pymc_lens.pipeline.fit_lens"]
    monkeypatch.setattr(module, "sample", lambda *_, **__: idata)
    joint = Joint(None, pm.Model(), None)
    with pytest.raises(KeyboardInterrupt, match="What was drawn is in"):
        module._drawn(module._Stages(tmp_path, SimpleNamespace(digest="")), joint, 200, 2, None, 1, False)


@pytest.mark.filterwarnings("ignore:noise_map. the data scatter")
def test_an_arc_that_outshines_the_lens_is_no_lens():
    """Of images without noise."""
    y, x = 0.05 * (np.indices((81, 81)) - 40.0)
    lens = 2.0 * np.exp(-0.5 * (y**2 + x**2) / 0.07**2)
    arc = 1.3 * np.exp(-0.5 * ((y - 0.5) ** 2 + (x + 0.5) ** 2) / 0.15**2)
    dataset = pl.Imaging(lens + arc, np.full(y.shape, 0.1), np.ones((1, 1)), 0.05)
    assert field(dataset).centre == pytest.approx((0.0, 0.0), abs=0.06)
    alone = pl.Imaging(arc, np.full(y.shape, 0.1), np.ones((1, 1)), 0.05)
    assert field(alone).centre == pytest.approx((0.45, -0.45), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clumps", "light"),
    [
        # Two images of each of two clumps, which a single compact source would have to lie between.
        ([([0.50, 0.05], 0.054, 0.6), ([0.30, -0.16], 0.049, 0.54)], 8.0),
        # A cusp that Gaussians do not describe, many times brighter than the arcs.
        ([([0.03, 0.07], 0.043, 0.44)], 26.0),
    ],
)
def test_the_search_finds_the_lens(clumps, light):
    source = [{"centre": centre, "sigma": sigma, "peak": peak} for centre, sigma, peak in clumps]
    truth = TRUTH | {"clumps": source, "light_peak": light, "light": [0.11, 0.36], "neighbour": False}
    start = field(unattended.simulated(truth | {"signal_to_noise": 35.0}, seed=4))
    found = search(start, Redshifts(), None, False).lenses[0].parameters
    radius = pl.convert.effective_einstein_radius(found["einstein_radius"], found["ell_comps"])
    assert radius == pytest.approx(THETA_E, rel=0.05)


def test_field_and_masks(image):
    start = field(image)
    assert start.centre == pytest.approx((0.0, 0.0), abs=0.09)
    masked = image.apply_mask(pl.Mask2D.circular(image.shape_native, 0.08, 1.5))
    assert field(masked).dataset == masked
    mass = pl.mass.Isothermal(ell_comps=(0.1, -0.05), einstein_radius=0.9) + pl.mass.ExternalShear(
        0.03, -0.02
    )
    light = pl.light.MultiGaussian((0.0, 0.0), (0.08, -0.02), np.geomspace(0.02, 2.0, 8))
    mesh = pl.mesh.RectangularWindow((20, 20), (-0.5, 0.5, -0.5, 0.5), degree=3)
    pixelization = pl.Pixelization(mesh, pl.regularization.MaternSPDE(0.1, 1.0))
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass, light=light), pl.Galaxy(1.0, pixelization=pixelization)])
    neighbours = contaminants(pl.FitImaging(start.dataset, tracer), start.centre)
    rows, cols = np.nonzero(neighbours)
    middle = (np.array(image.shape_native) - 1) / 2
    place = 0.08 * (np.array([rows.mean(), cols.mean()]) - middle)
    assert place == pytest.approx((1.6 * 0.9 + 0.6) * np.array([np.sin(2.0), np.cos(2.0)]), abs=0.1)
    clean = without(start, neighbours)
    fit = pl.FitImaging(clean.dataset, tracer)
    assert not contaminants(fit, start.centre).any()
    smaller = around_the_arcs(clean, fit).dataset
    assert 0.2 < smaller.fitted.size / clean.dataset.fitted.size < 0.95


def test_the_window_holds_the_wings_of_the_source():
    """What it cuts off is a tenth of the noise of a pixel at most, where arcs are bright as well."""
    clump = {"centre": [0.08, -0.05], "sigma": 0.15, "peak": 1.0}
    truth = TRUTH | {"clumps": [clump], "signal_to_noise": 50.0, "neighbour": False}
    shape = {name: np.array(TRUTH["light"]) for name in ("inner_ell_comps", "outer_ell_comps")}
    mass = {name: np.array(TRUTH[name]) for name in ("einstein_radius", "ell_comps")}
    shear = dict(zip(("gamma_1", "gamma_2"), map(np.array, TRUTH["gamma"]), strict=True))
    centres = {"mass_centre": np.zeros(2), "light_centre": np.zeros(2)}
    lens = Lens(mass | shear | centres | shape, 0.0, np.array(clump["centre"]))
    start = field(unattended.simulated(truth, seed=4, pixel_scale=0.08))
    _, first = first_source(start.dataset, lens, Redshifts())
    y_min, y_max, x_min, x_max = first.adapt_to.window
    y, x = clump["centre"]
    nearest = min(y - y_min, y_max - y, x - x_min, x_max - x)
    on_border = np.exp(-0.5 * (nearest / clump["sigma"]) ** 2)
    assert 50.0 * on_border < 0.1
    assert max(y_max - y_min, x_max - x_min) < 12.0 * clump["sigma"]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code, capsys.readouterr().err


def test_the_command_says_what_is_wrong_at_once(image, tmp_path, capsys):
    lens = written(image, tmp_path / "lens")
    (tmp_path / "file").write_text("")
    assert run(capsys, "fit", lens, "--out", tmp_path / "file" / "out")[0] == 1
    code, said = run(capsys, "fit", tmp_path, "--out", tmp_path / "out")
    assert code == 1
    assert "image.fits" in said


def test_the_command_says_in_a_line_that_memory_ran_out(image, tmp_path, capsys, monkeypatch):
    def died(*_, **__):
        raise BrokenProcessPool("A process ended before its work was done.")

    monkeypatch.setattr(pl, "fit_lens", died)
    lens = written(image, tmp_path / "lens")
    code, said = run(capsys, "fit", lens, "--out", tmp_path / "out")
    assert code == 1
    assert said == "BrokenProcessPool: A process ended before its work was done.\n"


def test_fits_of_the_simulator_are_read(image, tmp_path):
    lens = written(image, tmp_path / "lens")
    read = pl.pipeline.read_folder(lens)
    assert read.pixel_scales == pytest.approx(0.08)
    assert fits.getdata(lens / "psf.fits").shape == (21, 21)


def test_the_only_image_of_a_file_is_read_whatever_its_extension(image, tmp_path):
    lens = written(image, tmp_path / "lens")
    for name in ("image", "noise", "psf"):
        path = lens / f"{name}.fits"
        array, header = fits.getdata(path, header=True)
        moved = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(array, header, name="SCI")])
        moved.writeto(path, overwrite=True)
    read = pl.pipeline.read_folder(lens)
    assert read.pixel_scales == pytest.approx(0.08)
    np.testing.assert_array_equal(read.data, image.data)
    # Of two, nobody knows which: the message says where they are, and how to choose.
    moved.append(fits.ImageHDU(np.ones((5, 5))))
    moved.writeto(lens / "psf.fits", overwrite=True)
    with pytest.raises(ValueError, match=r"psf_path.*Extensions with one: 1, 2. Choose with psf_hdu"):
        pl.pipeline.read_folder(lens)
