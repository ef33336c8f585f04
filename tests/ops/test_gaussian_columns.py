"""Columns of many Gaussians: their numerics, their Op, and light behind a lens that reads them."""

from __future__ import annotations

import pickle

import jax
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from problems import mass, simulated, tracer
from pytensor.compile.mode import Mode
from pytensor.gradient import NullTypeGradError
from pytensor.graph.replace import vectorize_graph

import pymc_lens as pl
from pymc_lens.evaluate import evaluate_once
from pymc_lens.linalg.gaussians import gaussian_averages
from pymc_lens.ops.gaussian_columns import GaussianColumns
from pymc_lens.parts import LensedLight

SLOPES, GROUPS, PER_PIXEL = [-50.0, -0.4, -2.0], [1, 0, 1], 4
ROOTS = np.array([[1.2, 0.9, 0.3], [0.8, 1.3, -0.2]])
OP = GaussianColumns(SLOPES, GROUPS, PER_PIXEL)
NUMPY = Mode("py", None)


def positions(rng, n_pixels=300):
    """More pixels than go into the cache at a time."""
    return rng.uniform(-2.0, 2.0, (2, n_pixels * PER_PIXEL))


def formula(y, x, roots):
    p, q, r = roots[GROUPS].T[..., None]
    exponents = np.array(SLOPES)[:, None] * ((p * y + r * x) ** 2 + (r * y + q * x) ** 2)
    return np.exp(exponents).reshape(len(SLOPES), -1, PER_PIXEL).mean(axis=-1)


def compiled(mode, inputs, outputs):
    return pytensor.function(inputs, outputs, mode=mode)


def columns_and_gradient(weights):
    inputs = [pt.dvector("y"), pt.dvector("x"), pt.dmatrix("roots")]
    columns = OP(*inputs)
    return inputs, [columns, *pt.grad((weights * columns).sum(), inputs)]


def test_against_the_formula(rng):
    y, x = positions(rng)
    (columns,) = evaluate_once([OP(y, x, ROOTS)])
    np.testing.assert_allclose(columns, formula(y, x, ROOTS), rtol=1e-13, atol=1e-16)


def test_the_exponential_is_right_to_the_last_digits_and_vanishes_far_off(rng):
    y = np.concatenate([[0.0, 1e-200], rng.uniform(0.0, 26.5, 2000), [27.0, 1e3, 1e200, np.nan]])
    one = np.array([-1.0]), np.array([0]), 1
    values = gaussian_averages(y, np.zeros(y.size), np.array([[1.0, 1.0, 0.0]]), *one)[0]
    np.testing.assert_allclose(values[:-4], np.exp(-(y[:-4] ** 2)), rtol=5e-16)
    assert np.array_equal(values[-4:-1], np.zeros(3))
    assert np.isnan(values[-1])


@pytest.mark.parametrize("mode", ["NUMBA", "JAX", "FAST_COMPILE"])
def test_every_backend_agrees(mode, rng):
    (y, x), weights = positions(rng), rng.normal(size=(3, 300))
    inputs, outputs = columns_and_gradient(weights)
    expected = compiled(NUMPY, inputs, outputs)(y, x, ROOTS)
    for ours, reference in zip(compiled(mode, inputs, outputs)(y, x, ROOTS), expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-12, atol=1e-13)


def test_jax_differentiates_it_itself(rng):
    (y, x), weights = positions(rng), rng.normal(size=(3, 300))
    inputs, (columns, *gradient) = columns_and_gradient(weights)
    total = compiled("JAX", inputs, (weights * columns).sum()).vm.jit_fn
    with jax.enable_x64(True):
        theirs = jax.grad(lambda *at: total(*at)[0], argnums=(0, 1, 2))(y, x, ROOTS)
    for ours, reference in zip(theirs, compiled("NUMBA", inputs, gradient)(y, x, ROOTS), strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", ["NUMBA", "JAX"])
def test_an_ellipse_that_is_nan_has_no_gradient_and_spares_the_others(mode, rng):
    y, x = positions(rng, 5)
    broken = np.where([[True], [False]], np.nan, ROOTS)
    inputs, outputs = columns_and_gradient(np.ones((3, 5)))
    columns, y_bar, _, roots_bar = compiled(mode, inputs, outputs)(y, x, broken)
    assert np.isnan(columns).all(axis=1).tolist() == [False, True, False]
    assert np.isfinite(y_bar).all()
    assert y_bar.any()
    assert np.array_equal(roots_bar[0], np.zeros(3))
    assert np.isfinite(roots_bar[1]).all()


def test_many_ellipses_at_once(rng):
    y, x = positions(rng, 5)
    roots, many = pt.dmatrix("roots"), pt.dtensor3("many")
    batched = vectorize_graph(OP(y, x, roots), {roots: many})
    at = np.stack([ROOTS, 1.1 * ROOTS])
    expected = [formula(y, x, each) for each in at]
    np.testing.assert_allclose(compiled(NUMPY, [many], batched)(at), expected, rtol=1e-13, atol=1e-16)


def test_equal_by_content():
    for same in (GaussianColumns(np.array(SLOPES), np.array(GROUPS), 4), pickle.loads(pickle.dumps(OP))):
        assert same == OP
        assert hash(same) == hash(OP)
    assert GaussianColumns(SLOPES, GROUPS, 1) != OP


def test_second_derivatives_are_refused():
    _, (_, gradient, *_) = columns_and_gradient(np.ones((3, 5)))
    with pytest.raises(NullTypeGradError, match="second derivatives of Gaussian light"):
        pt.grad(gradient.sum(), gradient.owner.inputs[0])


def test_wrong_inputs(rng):
    y, x = positions(rng, 5)
    with pytest.raises(TypeError, match="y: expected 1 dimensions, got 2"):
        OP(y[None], x, ROOTS)
    for wrong in (ROOTS[:1], ROOTS[:, :2]):
        with pytest.raises(TypeError, match=r"roots: expected shape \(2, 3\)"):
            OP(y, x, pt.as_tensor_variable(wrong))


class Disc(pl.light.LightProfile):
    """A user's profile, which knows nothing of lenses."""

    n_columns = 1

    def images(self, grid):
        return (pt.as_tensor_variable(grid) ** 2).sum(axis=-1)[None]


def lensed(light, size):
    dataset = simulated().apply_over_sampling(over_sample_size_lp=size)
    return dataset, LensedLight("source_light", light, tracer(), 1.0).on(dataset)


@pytest.mark.parametrize("size", [2, None])
def test_light_behind_a_lens_is_that_of_the_points_its_pixels_are_traced_to(size):
    light = pl.light.MultiGaussian((0.03, -0.05), (0.1, 0.2), [0.05, 0.2])
    dataset, seen = lensed(both := light + Disc(), size)
    pixels = [np.flatnonzero(seen.scheme.positions == place)[0] for place in dataset.light_grid.mask_index]
    n = size or both.sub_size(dataset.pixel_scales)
    points = pl.data.over_sampling.quadrature_positions(dataset.plane.grid, n, dataset.pixel_scales)
    rays = tracer().traced_grid(points, 1.0)
    columns, images, radii = evaluate_once([seen.inputs[0], light.images(rays), (rays**2).sum(axis=-1)])
    expected = np.concatenate([images, radii[None]]).reshape(3, dataset.plane.n_pixels, -1).mean(axis=-1)
    np.testing.assert_allclose(columns[:, pixels], expected, rtol=1e-12)


def test_light_behind_a_lens_in_sub_pixels_of_several_sizes():
    sizes = np.ones(simulated().shape_native, int)
    sizes[:20] = 2
    light = pl.light.MultiGaussian((0.03, -0.05), (0.1, 0.2), [0.05, 0.2])
    (dataset, coarse), (_, fine), (_, both) = (lensed(light, size) for size in (1, 2, sizes))
    in_fine = dict(zip(fine.scheme.positions, evaluate_once(fine.inputs)[0].T, strict=True))
    in_coarse = dict(zip(coarse.scheme.positions, evaluate_once(coarse.inputs)[0].T, strict=True))
    rows = dict(zip(dataset.light_grid.mask_index, dataset.plane.pixel_rows, strict=True))
    for position, column in zip(both.scheme.positions, evaluate_once(both.inputs)[0].T, strict=True):
        if position not in rows:  # beyond the mask, from where the PSF scatters light into it
            continue
        expected = (in_fine if rows[position] < 20 else in_coarse)[position]
        np.testing.assert_allclose(column, expected, rtol=1e-13)


def test_gradient_through_a_lens(rng):
    values = pt.dvector("values")
    light = pl.light.MultiGaussian(values[:2], [values[2:4], values[4:6]], [[0.1, 0.5], [0.05, 0.3]])
    lens = pl.Tracer([pl.Galaxy(0.5, mass=mass(values[6])), pl.Galaxy(1.0, light=light)])
    rays = lens.traced_grid(rng.uniform(-1.5, 1.5, (40, 2)))
    total = (rng.normal(size=(4, 10)) * light.averages_at(rays, 4)).sum()
    value_and_gradient = compiled(NUMPY, [values], [total, pt.grad(total, values)])
    at = np.array([0.05, -0.1, 0.1, -0.3, 0.0, 0.0, 1.0])
    _, gradient = value_and_gradient(at)
    for direction in rng.normal(size=(3, at.size)):
        first, second = (
            (value_and_gradient(at + h * direction)[0] - value_and_gradient(at - h * direction)[0])
            / (2.0 * h)
            for h in (2e-4, 1e-4)
        )
        np.testing.assert_allclose(gradient @ direction, (4.0 * second - first) / 3.0, rtol=1e-6)
