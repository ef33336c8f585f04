"""The code blocks of docs/extending.md, run as they are: what they add fits data, with exact gradients."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from documented import PAGE, extending
from problems import clumps, gaussian_psf, mass
from pytensor.compile.mode import Mode
from scipy.special import gammaincinv

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.ops import LogEvidence

ONCE = Mode("py", None)
WINDOW = pl.Pixelization(
    pl.mesh.RectangularWindow((12, 12), (-0.5, 0.5, -0.5, 0.5), degree=3), pl.regularization.Constant(5.0)
)
VORONOI = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((14, 14)))


def lensed(pixelization: pl.Pixelization = WINDOW, lens_mass: Any = None, light: Any = None) -> pl.Tracer:
    source = pl.Galaxy(1.0, pixelization=pixelization)
    return pl.Tracer([pl.Galaxy(0.5, mass=lens_mass or mass(), light=light), source])


class Case(NamedTuple):
    """A tracer that has what the page adds, as a function of numbers or variables, and where it is true."""

    tracer: Callable[[Any], pl.Tracer]
    truth: tuple[float, ...]
    lens_light: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    source: Callable[[np.ndarray, np.ndarray], np.ndarray] = clumps


def sersic(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """2.0 at its effective radius, 0.4; axis ratio 2/3, turned by 30 degrees."""
    y, x = y - 0.02, x + 0.01
    cosine, sine, ratio, index = np.cos(np.pi / 6), np.sin(np.pi / 6), 2 / 3, 1.5
    major, minor = cosine * x + sine * y, cosine * y - sine * x
    radius = np.sqrt(ratio * major**2 + minor**2 / ratio) / 0.4
    return 2.0 * np.exp(-gammaincinv(2.0 * index, 0.5) * (radius ** (1.0 / index) - 1.0))


SERSIC = (0.02, -0.01, 0.2 * np.sin(np.pi / 3), 0.2 * np.cos(np.pi / 3), 0.4, 1.5)


def sersic_profile(v: Any) -> Any:
    return extending().Sersic((v[0], v[1]), (v[2], v[3]), v[4], v[5])


def halo(kind: str) -> Case:
    def tracer(v: Any) -> pl.Tracer:
        return lensed(lens_mass=getattr(extending(), kind)((v[0], v[1]), v[2], v[3], v[4]))

    return Case(tracer, (0.02, -0.01, 1.3, 0.05, 4.0))


def with_mesh(v: Any) -> pl.Tracer:
    prior = pl.regularization.MaternSPDE(scale=v[1], amplitude=v[2])
    return lensed(pl.Pixelization(extending().RadialBasis((12, 12), 0.08), prior), mass(v[0]))


def with_prior(v: Any) -> pl.Tracer:
    prior = pl.regularization.Dirichlet(v[1]) + extending().FadingAmplitude(v[2], v[3])
    return lensed(pl.Pixelization(VORONOI, prior), mass(v[0]))


def behind(v: Any) -> pl.Tracer:
    return pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0, light=sersic_profile(v))])


CASES = {
    "TruncatedHalo": halo("TruncatedHalo"),
    "CompiledHalo": halo("CompiledHalo"),
    "Sersic": Case(lambda v: lensed(light=sersic_profile(v)), SERSIC, lens_light=sersic),
    "Sersic as the source": Case(behind, SERSIC, source=sersic),
    "RadialBasis": Case(with_mesh, (1.0, 0.15, 1.0)),
    "FadingAmplitude": Case(with_prior, (1.0, 1.0, 2.0, 0.15)),
}
cases = pytest.mark.parametrize("name", CASES)


@cache
def simulated(name: str, exposure_time: float = 1000.0, background_noise: float = 0.05) -> pl.Imaging:
    case = CASES[name]
    dataset = pl.simulate_imaging(
        lensed(lens_mass=case.tracer(case.truth).galaxies[0].mass), case.source, (37, 39), 0.1,
        gaussian_psf(), exposure_time, background_noise, seed=4, lens_light=case.lens_light,
    )  # fmt: skip
    return dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, 0.1, 1.7))


@cache
def evidence_and_gradient(name: str) -> Callable:
    case, dataset = CASES[name], simulated(name)
    values = pt.vector("values", shape=(len(case.truth),))
    inversion, inputs = assemble(case.tracer(values), dataset)
    value = LogEvidence(inversion)(dataset.data_fitted, *inputs)
    return pytensor.function([values], [value, pytensor.grad(value, values)], mode=ONCE)


@cases
def test_it_fits(name: str) -> None:
    case, dataset = CASES[name], simulated(name)
    fit = pl.FitImaging(dataset, case.tracer(case.truth))
    # Of a mean over 900 pixels: 0.05 is a standard deviation, and the source has taken up some of the noise.
    inside, clean = ~dataset.mask.array, simulated(name, exposure_time=1e12, background_noise=1e-9).data
    noise = np.square((dataset.data - clean) / dataset.noise_map)[inside].mean()
    error = np.square((fit.model_image - clean) / dataset.noise_map)[inside].mean()
    assert noise == pytest.approx(1.0, abs=0.2)
    assert error < 0.2
    assert fit.reduced_chi_squared == pytest.approx(noise - error, abs=0.1)
    if sersic in (case.lens_light, case.source):
        peak = sersic(np.array(0.02), np.array(-0.01))
        (light,) = (fit.coefficients[part] for part in fit.coefficients if part.endswith("light"))
        assert light == pytest.approx([peak], rel=0.05)
    doubted = pl.FitImaging(dataset, case.tracer(1.2 * np.array(case.truth)))
    assert doubted.log_evidence < fit.log_evidence - 2.0


@cases
def test_gradient_of_the_evidence(name: str, rng: np.random.Generator) -> None:
    both, at = evidence_and_gradient(name), np.array(CASES[name].truth) * 1.02
    for _ in range(3):
        direction = at * rng.standard_normal(at.size)
        exact = both(at)[1] @ direction

        def slope(h: float, direction: np.ndarray = direction) -> float:
            ahead, behind, twice, before = (both(at + k * h * direction)[0] for k in (1, -1, 2, -2))
            return (8.0 * (ahead - behind) - (twice - before)) / (12.0 * h)

        # A ray that enters a cell or a circle within the step spoils the difference, not the derivative.
        assert any(abs(slope(h) / exact - 1.0) < 1e-6 for h in (1e-4, 1e-5, 1e-3, 1e-6))


@cases
def test_no_point_is_an_error(name: str) -> None:
    truth = np.array(CASES[name].truth)
    for place in range(truth.size):
        at = np.where(np.arange(truth.size) == place, -1e40, truth)
        log_evidence, gradient = evidence_and_gradient(name)(at)
        assert log_evidence == -np.inf
        np.testing.assert_array_equal(gradient, 0.0)


def test_the_compiled_halo_is_the_symbolic_one(rng: np.random.Generator) -> None:
    parameters, grid = np.array([0.1, -0.2, 1.3, 0.05, 2.0]), rng.uniform(-3.0, 3.0, (40, 2))
    grid[0] = parameters[:2]
    values, bars = pt.vector("values", shape=(5,)), rng.standard_normal((40, 2))
    results = []
    for kind, mode in (("TruncatedHalo", ONCE), ("CompiledHalo", ONCE), ("CompiledHalo", "NUMBA")):
        alpha = getattr(extending(), kind)(values[:2], *(values[i] for i in (2, 3, 4))).deflections(grid)
        gradient = pytensor.grad((bars * alpha).sum(), values)
        results.append(pytensor.function([values], [alpha, gradient], mode=mode)(parameters))
    for alpha, gradient in results[1:]:
        np.testing.assert_allclose(alpha, results[0][0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(gradient, results[0][1], rtol=1e-10, atol=1e-12)


def test_the_recursion_is_the_function() -> None:
    z = np.linspace(-0.4, 0.4, 9)
    np.testing.assert_allclose(extending().inverse_root(z, 40.0), (1.0 - z) ** -0.5, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("TruncatedHalo", {"core": 2.0}, "core: expected less than cut"),
        ("TruncatedHalo", {"strength": -1.0}, "strength: expected"),
        ("TruncatedHalo", {"centre": (np.nan, 0.0)}, "centre: expected"),
        ("Sersic", {"index": 0.1}, "index: expected"),
        ("Sersic", {"ell_comps": (1.0, 0.2)}, "ell_comps: expected"),
        ("Sersic", {"positivity": "yes"}, "positivity: expected"),
        ("RadialBasis", {"shape": (1, 4), "spacing": 0.1}, "shape: expected"),
        ("RadialBasis", {"shape": (4, 4), "spacing": 0.0}, "spacing: expected"),
        ("FadingAmplitude", {"radius": -1.0}, "radius: expected"),
        ("FadingAmplitude", {"centre": (0.0,)}, "centre: expected"),
    ],
)
def test_wrong_arguments_are_errors_of_the_constructor(kind: str, arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        getattr(extending(), kind)(**arguments)


def test_every_file_that_the_page_names_exists() -> None:
    root, text = PAGE.parents[1], PAGE.read_text()
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", text))
    planned = {"mass/potential_lattice.py", "response/visibilities.py", "response/imaging_blur_jax.py"}
    assert planned <= named
    for path in named - planned:
        assert (root / path).is_file() or (root / "pymc_lens" / path).is_file(), path
