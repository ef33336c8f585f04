"""Light of one amplitude: the formulas, gradients, and what pixels at a cusp hold."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from lenstronomy.LightModel.light_model import LightModel
from pytensor.compile.mode import Mode
from scipy.special import gammaincinv

from pymc_lens import convert, light
from pymc_lens.data.image_plane import Frame
from pymc_lens.light.sersic import half_light_coefficient

ONCE = Mode("py", None)
SHAPE = (0.05, -0.1, 0.1, -0.25)

# A profile of its parameters, of which four are the centre and the shape, and values of them.
PROFILES: dict[str, tuple[Callable[[Any], light.LightProfile], tuple[float, ...]]] = {
    "Sersic": (lambda v: light.Sersic(v[:2], v[2:4], v[4], v[5]), (0.7, 3.2)),
    "Exponential": (lambda v: light.Exponential(v[:2], v[2:4], v[4]), (0.7,)),
    "DevVaucouleurs": (lambda v: light.DevVaucouleurs(v[:2], v[2:4], v[4]), (0.7,)),
    "SersicCore": (
        lambda v: light.SersicCore(v[:2], v[2:4], *(v[i] for i in range(4, 9))), (0.7, 3.2, 0.1, 0.3, 2.0),
    ),
    "Gaussian": (lambda v: light.Gaussian(v[:2], v[2:4], v[4]), (0.4,)),
    "Moffat": (lambda v: light.Moffat(v[:2], v[2:4], v[4], v[5]), (0.4, 2.5)),
}  # fmt: skip
profiles = pytest.mark.parametrize("name", PROFILES)


def profile(name: str) -> light.LightProfile:
    build, values = PROFILES[name]
    return build(np.array([*SHAPE, *values]))


def radius(grid: np.ndarray) -> np.ndarray:
    """``sqrt(q x^2 + y^2 / q)`` in the major-axis frame."""
    z = grid[:, 1] - SHAPE[1] + 1j * (grid[:, 0] - SHAPE[0])
    e = SHAPE[3] + 1j * SHAPE[2]
    size, turned = abs(e), z * np.exp(-0.5j * np.angle(e))
    ratio = (1.0 - size) / (1.0 + size)
    return np.sqrt(ratio * turned.real**2 + turned.imag**2 / ratio)


def sersic(r: np.ndarray, effective_radius: float, index: float) -> np.ndarray:
    return np.exp(-half_light_coefficient(index) * ((r / effective_radius) ** (1.0 / index) - 1.0))


def sersic_core(
    r: np.ndarray, effective_radius: float, index: float, break_: float, gamma: float, alpha: float
) -> np.ndarray:
    def shape(r: Any) -> Any:
        outer = ((r**alpha + break_**alpha) / effective_radius**alpha) ** (1.0 / (index * alpha))
        inner = (1.0 + (break_ / r) ** alpha) ** (gamma / alpha)
        return inner * np.exp(-half_light_coefficient(index) * outer)

    return shape(r) / shape(break_)


FORMULAS = {
    "Sersic": sersic,
    "Exponential": lambda r, size: sersic(r, size, 1.0),
    "DevVaucouleurs": lambda r, size: sersic(r, size, 4.0),
    "SersicCore": sersic_core,
    "Gaussian": lambda r, sigma: np.exp(-0.5 * (r / sigma) ** 2),
    "Moffat": lambda r, alpha, beta: (1.0 + (r / alpha) ** 2) ** -beta,
}


@profiles
def test_formula(name: str, rng: np.random.Generator) -> None:
    grid = rng.uniform(-2.0, 2.0, (50, 2))
    expected = FORMULAS[name](radius(grid), *PROFILES[name][1])
    np.testing.assert_allclose(profile(name).images(grid).eval(mode=ONCE)[0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("index", "error"), [(0.3, 3e-3), (0.5, 5e-4), (1.0, 3e-5), (4.0, 1e-7), (10.0, 1e-8)]
)
def test_half_of_the_light_lies_within_the_effective_radius(index: float, error: float) -> None:
    assert half_light_coefficient(index) == pytest.approx(gammaincinv(2.0 * index, 0.5), rel=error)


def test_golden_sersic(golden: Any) -> None:
    # Its parameters are not recorded, but follow from the twenty values: seven numbers, to 1e-14.
    file = golden("light.npz")
    image = light.Sersic((0.1, 0.05), (0.1, 0.05), 0.25, 1.0).images(file["points_yx"])
    np.testing.assert_allclose(0.9 * image.eval(mode=ONCE)[0], file["sersic"], rtol=1e-12)
    exponential = light.Exponential((0.1, 0.05), (0.1, 0.05), 0.25).images(file["points_yx"])
    np.testing.assert_allclose(0.9 * exponential.eval(mode=ONCE)[0], file["sersic"], rtol=1e-12)


def test_lenstronomy(rng: np.random.Generator) -> None:
    grid = rng.uniform(-2.0, 2.0, (50, 2))
    kwargs = {"amp": 1.0, **convert.sersic_to_lenstronomy(0.7, 4.0, SHAPE[2:], SHAPE[:2])}
    theirs = LightModel(["SERSIC_ELLIPSE"]).surface_brightness(grid[:, 1], grid[:, 0], [kwargs])
    ours = light.Sersic(SHAPE[:2], SHAPE[2:], 0.7, 4.0).images(grid).eval(mode=ONCE)[0]
    # Its b_n is 1.9992 n - 0.3271.
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def points_of(middles: np.ndarray, side: float, sub_size: int) -> np.ndarray:
    offsets = side * ((np.arange(sub_size) + 0.5) / sub_size - 0.5)
    inside = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 2)
    return (middles[:, None] + inside).reshape(-1, 2)


def middles_about(place: Any, side: float, half: int) -> np.ndarray:
    steps = side * np.arange(-half, half + 1)
    return np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2) + np.array(place)


@pytest.mark.parametrize("index", [1.0, 4.0, 8.0])
@pytest.mark.parametrize("off", [(0.0, 0.0), (0.013, -0.02), (0.025, 0.0)], ids=str)
def test_pixels_at_a_cusp_hold_their_integral(index: float, off: tuple[float, float]) -> None:
    side, q = 0.05, 0.6
    cusp = light.Sersic(off, (0.0, (1.0 - q) / (1.0 + q)), 0.8, index)
    middles = middles_about((0.0, 0.0), side, 1)
    ours = cusp.averages(points_of(middles, side, 4), 4, side).eval(mode=ONCE)[0]
    # Rectangles from the cusp to a corner, cut into ever smaller ones towards it.
    nodes, weights = np.polynomial.legendre.leggauss(30)
    cuts = np.concatenate([[0.0], 0.5 ** np.arange(40, -1.0, -1.0)])
    t = np.concatenate([0.5 * (b - a) * (nodes + 1.0) + a for a, b in pairwise(cuts)])
    w = np.concatenate([0.5 * (b - a) * weights for a, b in pairwise(cuts)])

    def corner(y: float, x: float) -> float:
        squared = q * (x * t) ** 2 + (y * t[:, None]) ** 2 / q
        return (
            y * x * w @ np.exp(half_light_coefficient(index) * (1.0 - (squared / 0.64) ** (0.5 / index))) @ w
        )

    near = np.linalg.norm(middles - off, axis=1) < 1.5 * side
    for middle, value in zip(middles[near], ours[near], strict=True):
        (bottom, left), (top, right) = middle - off - 0.5 * side, middle - off + 0.5 * side
        expected = corner(top, right) - corner(top, left) - corner(bottom, right) + corner(bottom, left)
        assert value == pytest.approx(expected / side**2, rel=1e-5)


def test_nothing_jumps_as_the_centre_moves() -> None:
    centre, side = pt.vector("centre", shape=(2,)), 0.05
    cusp = light.Sersic(centre, (0.1, 0.05), 0.3, 4.0)
    averages = cusp.averages(points_of(middles_about((0.0, 0.0), side, 4), side, 4), 4, side)[0]
    function = pytensor.function([centre], [averages, pt.sum(averages**2)], mode=ONCE)
    path = np.linspace(0.0, 1.0, 401)[:, None] * np.array([side, 0.7 * side])
    totals = np.array([function(at)[1] for at in path])
    # A jump is as large however short the steps are.
    assert np.abs(np.diff(totals, 3)).max() < 1e-4 * np.ptp(totals)


def test_in_a_turned_frame() -> None:
    """What a rotated camera at another place sees of it is what it is."""
    frame, side = Frame((0.3, -0.2), 30.0), 0.05
    middles = middles_about((0.0, 0.0), side, 3)
    turn = np.exp(1j * np.deg2rad(30.0))
    sky = frame.to_sky(points_of(middles, side, 4))
    e, place = (0.1 + 0.2j) * turn**2, (0.01 + 0.02j) * turn
    turned = light.Sersic((0.3 + place.imag, -0.2 + place.real), (e.imag, e.real), 0.4, 3.0)
    straight = light.Sersic((0.02, 0.01), (0.2, 0.1), 0.4, 3.0)
    np.testing.assert_allclose(
        turned.averages(sky, 4, side, frame).eval(mode=ONCE),
        straight.averages(points_of(middles, side, 4), 4, side).eval(mode=ONCE),
        rtol=1e-9,
    )


@profiles
def test_gradient_against_differences(name: str, rng: np.random.Generator) -> None:
    build, parameters = PROFILES[name]
    values = pt.vector("values", shape=(4 + len(parameters),))
    points = points_of(middles_about((0.05, -0.1), 0.1, 3), 0.1, 2)
    averages = build(values).averages(points, 2, 0.1)[0]
    total = (rng.normal(size=49) * averages).sum()
    value, gradient = (
        pytensor.function([values], what, mode=ONCE) for what in (total, pytensor.grad(total, values))
    )
    for shape in (SHAPE, (0.06, -0.12, 0.0, 0.0)):
        at = np.array([*shape, *parameters])
        for direction in rng.normal(size=(3, at.size)) * np.array([0.1, 0.1, *[1.0] * (at.size - 2)]):
            ahead, behind, twice, before = (value(at + k * 1e-4 * direction) for k in (1, -1, 2, -2))
            slope = (8.0 * (ahead - behind) - (twice - before)) / 1.2e-3
            assert gradient(at) @ direction == pytest.approx(slope, rel=1e-6, abs=1e-7)


@profiles
def test_beyond_its_domain_it_is_nan_without_a_gradient(name: str) -> None:
    build, parameters = PROFILES[name]
    values = pt.vector("values", shape=(4 + len(parameters),))
    averages = build(values).averages(points_of(middles_about((0.05, -0.1), 0.1, 2), 0.1, 2), 2, 0.1)[0]
    both = pytensor.function([values], [averages, pytensor.grad(averages.sum(), values)], mode=ONCE)
    assert np.isfinite(both(np.array([*SHAPE, *parameters]))[1]).all()
    for place in range(4 + len(parameters)):
        at = np.array([*SHAPE, *parameters])
        at[place] = -1e40
        image, gradient = both(at)
        assert np.isnan(image).all()
        np.testing.assert_array_equal(gradient, 0.0)
