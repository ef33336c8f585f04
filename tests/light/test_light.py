from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode

from pymc_lens.convert import ell_comps_from
from pymc_lens.light import LightProfile, MultiGaussian

ONCE = Mode("py", None)
CENTRE = (0.05, -0.1)


def number(variable: Any) -> np.ndarray:
    return variable.eval(mode=ONCE)


def gaussian(grid: np.ndarray, centre: Any, axis_ratio: float, angle: float, sigma: float) -> np.ndarray:
    """Rotate into the major-axis frame."""
    y, x = (grid - centre).T
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    major, minor = cos * x + sin * y, cos * y - sin * x
    return np.exp(-(axis_ratio * major**2 + minor**2 / axis_ratio) / (2.0 * sigma**2))


def test_golden_gaussian(golden: Any) -> None:
    # Its parameters are not recorded: the logarithm of the golden values is a quadratic form to 2e-14, from
    # which they follow. PyAutoLens's sigma is the width along the minor axis.
    file = golden("light.npz")
    ell_comps = (0.1, 0.05)
    size = np.hypot(*ell_comps)
    sigma = 0.4 / np.sqrt((1.0 - size) / (1.0 + size))
    image = number(MultiGaussian((0.1, 0.05), ell_comps, [sigma]).images(file["points_yx"]))
    np.testing.assert_allclose(0.9 * image[0], file["gaussian"], rtol=1e-12)


@pytest.mark.parametrize(("axis_ratio", "angle"), [(0.4, 30.0), (0.8, -70.0), (1.0, 0.0)])
def test_against_the_rotated_frame(axis_ratio: float, angle: float, rng: np.random.Generator) -> None:
    grid = rng.uniform(-2.0, 2.0, (50, 2))
    images = number(MultiGaussian(CENTRE, ell_comps_from(axis_ratio, angle), [0.3, 1.1]).images(grid))
    expected = [gaussian(grid, CENTRE, axis_ratio, angle, sigma) for sigma in (0.3, 1.1)]
    np.testing.assert_allclose(images, expected, rtol=1e-12)


def test_groups_keep_their_order(rng: np.random.Generator) -> None:
    grid = rng.uniform(-2.0, 2.0, (50, 2))
    first, second = ell_comps_from(0.4, 30.0), ell_comps_from(0.9, 80.0)
    light = MultiGaussian(CENTRE, [first, second], [[0.1, 0.4, 1.0], [0.2, 2.0]])
    expected = [gaussian(grid, CENTRE, 0.4, 30.0, sigma) for sigma in (0.1, 0.4, 1.0)]
    expected += [gaussian(grid, CENTRE, 0.9, 80.0, sigma) for sigma in (0.2, 2.0)]
    assert light.n_columns == 5
    np.testing.assert_allclose(number(light.images(grid)), expected, rtol=1e-12, atol=1e-300)


def test_area_does_not_depend_on_the_ellipticity() -> None:
    # sigma is the geometric mean of both widths, so every image integrates to 2 pi sigma^2.
    axis = np.linspace(-6.0, 6.0, 241)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    light = MultiGaussian((0.0, 0.0), [(0.0, 0.0), (0.3, -0.2)], [[0.5], [0.5]])
    areas = number(light.images(grid)).sum(axis=1) * (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(areas, 2.0 * np.pi * 0.25, rtol=1e-10)


def test_log_spaced_widths() -> None:
    light = MultiGaussian.log_spaced((0.0, 0.0), [(0.0, 0.0), (0.1, 0.2)], 0.02, 2.0, 3, intensity_scale=4.0)
    # At a distance of sigma along any direction of the circular group the brightness is exp(-1/2).
    images = number(light.images([[0.02, 0.0], [0.0, 0.2], [0.0, -2.0]]))
    np.testing.assert_allclose(np.diag(images[:3]), np.exp(-0.5), rtol=1e-12)
    assert light.n_columns == 6
    assert light.intensity_scale == 4.0
    assert MultiGaussian.log_spaced((0.0, 0.0), (0.1, 0.2), 0.02, 2.0, 3).n_columns == 3


@pytest.mark.parametrize("mode", ["NUMBA", ONCE], ids=["numba", "python"])
@pytest.mark.parametrize("ell_comps", [(0.1, -0.3), (0.0, 0.0)])
def test_gradient_in_the_geometry(
    mode: Any, ell_comps: tuple[float, float], rng: np.random.Generator
) -> None:
    values = pt.dvector("values")
    grid, weights = rng.uniform(-1.0, 1.0, (20, 2)), rng.normal(size=(5, 20))
    light = MultiGaussian(values[:2], [values[2:4], values[4:6]], [[0.1, 0.5, 1.0], [0.3, 2.0]])
    total = (weights * light.images(grid)).sum()
    value = pytensor.function([values], total, mode=mode)
    gradient = pytensor.function([values], pytensor.grad(total, values), mode=mode)
    at = np.array([*CENTRE, *ell_comps, 0.0, 0.0])
    for direction in rng.normal(size=(3, at.size)):
        first, second = (
            (value(at + h * direction) - value(at - h * direction)) / (2.0 * h) for h in (1e-3, 5e-4)
        )
        np.testing.assert_allclose(gradient(at) @ direction, (4.0 * second - first) / 3.0, rtol=1e-7)


def test_inadmissible_random_variables_give_nan_and_no_gradient() -> None:
    values = pt.dvector("values")
    images = MultiGaussian(values[:2], [values[2:], (0.1, 0.2)], [[0.1], [0.1]]).images([[0.3, 0.4]])
    gradient = pytensor.grad(images[0].sum(), values)
    (bad, good), slope = pytensor.function([values], [images, gradient], mode=ONCE)([0.0, 0.0, 0.8, 0.7])
    assert np.isnan(bad).all()
    assert np.isfinite(good).all()
    assert np.array_equal(slope, np.zeros(4))


def test_a_matrix_variable_holds_a_pair_for_each_group(rng: np.random.Generator) -> None:
    matrix, grid = pt.tensor("matrix", shape=(2, 2)), rng.uniform(-1.0, 1.0, (9, 2))
    pairs = np.array([[0.1, 0.2], [-0.3, 0.0]])
    symbolic = MultiGaussian.log_spaced(CENTRE, matrix, 0.1, 1.0, 4).images(grid)
    fixed = number(MultiGaussian.log_spaced(CENTRE, pairs, 0.1, 1.0, 4).images(grid))
    np.testing.assert_allclose(symbolic.eval({matrix: pairs}, mode=ONCE), fixed, rtol=1e-14)


def test_sum_concatenates(rng: np.random.Generator) -> None:
    grid = rng.uniform(-1.0, 1.0, (9, 2))
    one = MultiGaussian(CENTRE, (0.1, 0.0), [0.1, 0.2], intensity_scale=3.0)
    two, three = MultiGaussian((0.0, 0.0), (0.0, 0.0), [0.5]), MultiGaussian((1.0, 0.0), (0.0, 0.0), [0.6])
    total = one + (two + three)
    assert total.parts == (one, two, three)
    assert total.n_columns == 4
    expected = np.concatenate([number(light.images(grid)) for light in (one, two, three)])
    assert np.array_equal(number(total.images(grid)), expected)
    with pytest.raises(TypeError):
        one + 1.0


def test_a_subclass_needs_both_methods() -> None:
    class Half(LightProfile):
        @property
        def n_columns(self) -> int:
            return 1

    with pytest.raises(TypeError, match="images"):
        Half()


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"centre": (np.nan, 0.0)}, "centre"),
        ({"ell_comps": (0.8, 0.7)}, "ell_comps"),
        ({"ell_comps": [(0.1, 0.0), (1.0, 0.0)], "sigmas": [[0.1], [0.2]]}, "ell_comps"),
        ({"ell_comps": [(0.1, 0.0), (0.2, 0.0)]}, "sigmas"),
        ({"ell_comps": pt.dmatrix()}, "ell_comps"),
        ({"sigmas": [0.1, -0.2]}, "sigmas"),
        ({"sigmas": [0.0]}, "sigmas"),
        ({"sigmas": []}, "sigmas"),
        ({"sigmas": [[]]}, "sigmas"),
        ({"sigmas": [[0.1], [0.2]]}, "sigmas"),
        ({"sigmas": [[[0.1]]]}, "sigmas"),
        ({"intensity_scale": 0.0}, "intensity_scale"),
    ],
)
def test_bad_arguments_are_named(kwargs: dict[str, Any], name: str) -> None:
    arguments: dict[str, Any] = {"centre": CENTRE, "ell_comps": (0.1, 0.2), "sigmas": [0.1, 0.2]}
    with pytest.raises(ValueError, match=f"{name}: expected"):
        MultiGaussian(**(arguments | kwargs))


@pytest.mark.parametrize(
    ("sigma_min", "sigma_max", "n_per_group", "name"),
    [(0.0, 1.0, 4, "sigma_min"), (1.0, 0.5, 4, "sigma_min"), (0.1, 1.0, 1, "n_per_group")],
)
def test_bad_spacing_is_named(sigma_min: float, sigma_max: float, n_per_group: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected"):
        MultiGaussian.log_spaced(CENTRE, (0.0, 0.0), sigma_min, sigma_max, n_per_group)
