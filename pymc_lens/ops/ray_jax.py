"""JAX runs the formulas of compiled mass profiles and their adjoints on whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch import jax_funcify

from pymc_lens.ops.ray_op import RayOp, RayPullback


@jax_funcify.register(RayOp)
def jax_deflections(op: RayOp, **kwargs: Any) -> Callable:
    """Trace the formula; JAX, which cannot go back through loops, takes the adjoint for its derivative."""

    @jax.custom_vjp
    def deflections(y: jax.Array, x: jax.Array, parameters: jax.Array) -> tuple:
        return op.deflection(y, x, *parameters)

    def forward(*inputs: jax.Array) -> tuple:
        return deflections(*inputs), inputs

    def backward(inputs: tuple, bars: tuple) -> tuple:
        return _pulled_back(op, *inputs, *bars)

    deflections.defvjp(forward, backward)
    return deflections


@jax_funcify.register(RayPullback)
def jax_pullback(op: RayPullback, **kwargs: Any) -> Callable:
    """Trace its adjoint."""
    return partial(_pulled_back, op)


def _pulled_back(op: RayOp | RayPullback, y: Any, x: Any, parameters: Any, *bars: Any) -> tuple:
    y_bar, x_bar, *parameter_bars = op.deflection_pullback(y, x, *parameters, *bars)
    return y_bar, x_bar, jnp.stack([bar.sum() for bar in parameter_bars])
