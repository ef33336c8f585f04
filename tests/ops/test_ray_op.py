"""The contract of a compiled mass profile: its formulas in NumPy, numba and JAX, and their adjoint."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any, override

import jax
import jax.numpy as jnp
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from documented import extending
from pytensor.compile.mode import Mode
from pytensor.graph.replace import vectorize_graph

from pymc_lens.mass import MassProfile
from pymc_lens.mass import isothermal as isothermal_module
from pymc_lens.mass import isothermal_core as isothermal_core_module
from pymc_lens.mass import multi_gaussian as multi_gaussian_module
from pymc_lens.mass import multipole as multipole_module
from pymc_lens.mass import nfw as nfw_module
from pymc_lens.mass import power_law as power_law_module
from pymc_lens.ops.ray_numba import _cache_key
from pymc_lens.ops.ray_op import RayOp, formula

NUMPY = Mode("py", None)


@formula
def squared_radius(y: Any, x: Any, core: Any) -> Any:
    return y * y + x * x + core * core


@formula
def soft_point(y: Any, x: Any, strength: Any, core: Any) -> tuple[Any, Any]:
    over = strength / squared_radius(y, x, core)
    return over * y, over * x


@formula
def soft_point_pullback(
    y: Any, x: Any, strength: Any, core: Any, alpha_y_bar: Any, alpha_x_bar: Any
) -> tuple[Any, ...]:
    over = 1.0 / squared_radius(y, x, core)
    along = (alpha_y_bar * y + alpha_x_bar * x) * over
    turn = -2.0 * strength * along * over
    y_bar, x_bar = strength * over * alpha_y_bar + turn * y, strength * over * alpha_x_bar + turn * x
    return y_bar, x_bar, along, turn * core


@dataclass(frozen=True, eq=False)
class SoftPointMass(MassProfile):
    """A profile as a user writes it: this class and the two formulas."""

    strength: Any
    core: Any

    @override
    def deflections_yx(self, y: Any, x: Any) -> tuple[Any, Any]:
        return RayOp(soft_point, soft_point_pullback).deflections(y, x, self.strength, self.core)


ISOTHERMAL = (isothermal_module.deflection, isothermal_module.deflection_pullback)
POWER_LAW = (power_law_module.deflection, power_law_module.deflection_pullback)
CORE = (isothermal_core_module.deflection, isothermal_core_module.deflection_pullback)
NFW = (nfw_module.deflection, nfw_module.deflection_pullback)
NFW_SPH = (nfw_module.round_deflection, nfw_module.round_pullback)
GAUSSIAN = (multi_gaussian_module.deflection, multi_gaussian_module.deflection_pullback)
MULTIPOLE = (multipole_module.deflection, multipole_module.deflection_pullback)
SHAPE = (0.05, -0.1, 0.1, -0.25)
# Number of terms, order, power and shift of the tail: what nothing is differentiated in.
CONSTANTS = (25.0, 3.0, 2.0, 0.5)
COMPILED = {
    "isothermal": (ISOTHERMAL, np.array([0.05, -0.1, 0.1, -0.25, 1.3])),
    "circular": (ISOTHERMAL, np.array([0.05, -0.1, 0.0, 0.0, 1.3])),
    "isothermal_core": (CORE, np.array([0.05, -0.1, 0.1, -0.25, 1.3, 0.2])),
    "power_law": (POWER_LAW, np.array([0.05, -0.1, 0.1, -0.25, 1.3, 2.2, 21.0])),
    "nfw": (NFW, np.array([0.05, -0.1, 0.1, -0.25, 0.3, 1.2])),
    "nfw, round": (NFW_SPH, np.array([0.05, -0.1, 0.3, 1.2])),
    "gaussian": (GAUSSIAN, np.array([0.05, -0.1, 0.1, -0.25, 1.3, 0.4, 32.0])),
    "multipole": (
        MULTIPOLE, np.array([*SHAPE, 1.2, 2.2, 0.02, -0.01, 0.5, -0.9, 0.3, -0.7, 0.8, *CONSTANTS]),
    ),
    "multipole, isothermal": (
        MULTIPOLE, np.array([*SHAPE, 1.2, 2.0, 0.02, -0.01, 0.5, -0.9, 0.3, -0.7, 0.8, *CONSTANTS]),
    ),
    "soft_point": ((soft_point, soft_point_pullback), np.array([0.8, 0.3])),
    "documented": (
        (extending().deflection, extending().deflection_pullback), np.array([0.05, -0.1, 1.1, 0.2, 1.5]),
    ),
}  # fmt: skip


@pytest.fixture(params=COMPILED)
def compiled(request: pytest.FixtureRequest) -> tuple[RayOp, np.ndarray]:
    formulas, parameters = COMPILED[request.param]
    return RayOp(*formulas), parameters


@pytest.fixture
def rays(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-2.5, 2.5, (2, 33))


def n_constants(op: RayOp) -> int:
    return len(CONSTANTS) if op.deflection is multipole_module.deflection else 0


def deflections_and_gradient(op: RayOp, bars: np.ndarray, mode: Any) -> Any:
    inputs = [pt.dvector(name) for name in ("y", "x", "parameters")]
    alphas = op(*inputs)
    total = sum((bar * alpha).sum() for bar, alpha in zip(bars, alphas, strict=True))
    return pytensor.function(inputs, [*alphas, *pytensor.grad(total, inputs)], mode=mode)


@pytest.mark.parametrize("backend", ["NUMBA", "JAX"])
def test_backends_agree(
    compiled: tuple[RayOp, np.ndarray], rays: np.ndarray, backend: str, rng: np.random.Generator
) -> None:
    op, parameters = compiled
    bars = rng.normal(size=rays.shape)
    expected, got = (deflections_and_gradient(op, bars, mode)(*rays, parameters) for mode in (NUMPY, backend))
    for ours, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-12, atol=1e-13)


def test_pullback_agrees_with_central_differences(
    compiled: tuple[RayOp, np.ndarray], rays: np.ndarray, rng: np.random.Generator
) -> None:
    op, parameters = compiled
    bars, h = rng.normal(size=rays.shape), 1e-5

    def total(values: np.ndarray) -> float:
        y, x = values[: rays.size].reshape(rays.shape)
        return float(np.sum(bars * op.deflection(y, x, *values[rays.size :])))

    at = np.concatenate([rays.ravel(), parameters])
    steps = h * np.eye(at.size)[: at.size - n_constants(op)]
    differences = [(total(at + step) - total(at - step)) / (2.0 * h) for step in steps]
    gradient = deflections_and_gradient(op, bars, "NUMBA")(*rays, parameters)[2:]
    gradient = np.concatenate(gradient)[: len(differences)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6)


def test_pullback_is_what_jax_derives(
    compiled: tuple[RayOp, np.ndarray], rays: np.ndarray, rng: np.random.Generator
) -> None:
    op, parameters = compiled
    # The last ray goes through the centre itself.
    y, x = np.concatenate([rays, [[0.05], [-0.1]]], axis=1)
    bars = rng.normal(size=(2, y.size))
    bars_of_ours = op.deflection_pullback(y, x, *parameters, *bars)
    with jax.enable_x64(True):
        inputs = [jnp.asarray(part) for part in (y, x, *parameters)]
        for place, ours in enumerate(bars_of_ours[: len(bars_of_ours) - n_constants(op)]):
            tangents = [jnp.full_like(part, place == i) for i, part in enumerate(inputs)]
            # Forwards, as JAX goes through loops of any length.
            _, slopes = jax.jvp(op.deflection, inputs, tangents)
            theirs = sum(bar * np.asarray(slope) for bar, slope in zip(bars, slopes, strict=True))
            np.testing.assert_allclose(
                ours if place < 2 else ours.sum(),
                theirs if place < 2 else theirs.sum(),
                rtol=1e-10,
                atol=1e-12,
            )


@pytest.mark.parametrize("mode", ["NUMBA", NUMPY], ids=["numba", "numpy"])
def test_many_parameters_at_once(compiled: tuple[RayOp, np.ndarray], rays: np.ndarray, mode: Any) -> None:
    op, parameters = compiled
    many = parameters * np.array([[1.0], [1.1], [0.9]])
    vector, matrix = pt.vector("parameters", shape=parameters.shape), pt.matrix("many", shape=many.shape)
    batched = vectorize_graph(list(op(*rays, vector)), {vector: matrix})
    expected = np.stack([op.deflection(*rays, *each) for each in many], axis=1)
    np.testing.assert_allclose(pytensor.function([matrix], batched, mode=mode)(many), expected, rtol=1e-12)


def test_jax_maps_over_parameters(compiled: tuple[RayOp, np.ndarray], rays: np.ndarray) -> None:
    op, parameters = compiled
    many = parameters * np.array([[1.0], [1.1], [0.9]])
    function = deflections_and_gradient(op, np.ones_like(rays), "JAX")
    with jax.enable_x64(True):
        mapped = jax.vmap(function.vm.jit_fn, in_axes=(None, None, 0))(*rays, many)
    for i, each in enumerate(many):
        for ours, reference in zip(mapped, function(*rays, each), strict=True):
            np.testing.assert_allclose(ours[i], reference, rtol=1e-12, atol=1e-13)


def test_equal_by_its_formulas_also_after_pickling(compiled: tuple[RayOp, np.ndarray]) -> None:
    op, _ = compiled
    for other in (RayOp(op.deflection, op.deflection_pullback), pickle.loads(pickle.dumps(op))):
        assert other == op
        assert hash(other) == hash(op)
    assert op != RayOp(op.deflection_pullback, op.deflection)


def test_refuses_other_numbers_of_parameters_and_of_dimensions(compiled: tuple[RayOp, np.ndarray]) -> None:
    op, parameters = compiled
    with pytest.raises(TypeError, match="x: expected 1 dimension, got 2"):
        op(pt.dvector(), pt.dmatrix(), parameters)
    with pytest.raises(TypeError, match=f"parameters: expected {parameters.size}, got {parameters.size + 1}"):
        op(pt.dvector(), pt.dvector(), [*parameters, 1.0])


def test_a_profile_of_ones_own(rays: np.ndarray) -> None:
    core = pt.dscalar("core")
    alpha = SoftPointMass(0.8, core).deflections(rays.T.reshape(3, 11, 2))
    over = 0.8 / ((rays**2).sum(axis=0) + 0.09)
    np.testing.assert_allclose(alpha.eval({core: 0.3}), (over * rays).T.reshape(3, 11, 2), rtol=1e-13)


def test_a_changed_formula_is_not_read_from_the_cache(tmp_path: Any) -> None:
    text = "def rule(x):\n    return x\n\ndef formula(y):\n    return rule(y) * {}\n"
    keys = []
    for factor in (1.0, 2.0):
        file, space = tmp_path / "profile.py", {"__name__": "profile"}
        file.write_text(text.format(factor))
        exec(compile(file.read_text(), str(file), "exec"), space)
        keys.append(_cache_key(space["formula"]))
    assert keys[0] != keys[1]
    file.unlink()
    assert _cache_key(space["formula"]) is None
