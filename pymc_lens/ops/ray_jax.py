"""JAX runs the formulas of compiled mass profiles on whole arrays and differentiates them itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch import jax_funcify

from pymc_lens.ops.ray_op import RayOp, RayPullback


@jax_funcify.register(RayOp)
def jax_deflections(op: RayOp, **kwargs: Any) -> Callable:
    """Trace the formula."""
    return lambda y, x, parameters: op.deflection(y, x, *parameters)


@jax_funcify.register(RayPullback)
def jax_pullback(op: RayPullback, **kwargs: Any) -> Callable:
    """Trace its adjoint."""

    def pullback(y: jax.Array, x: jax.Array, parameters: jax.Array, *bars: jax.Array) -> tuple:
        y_bar, x_bar, *parameter_bars = op.deflection_pullback(y, x, *parameters, *bars)
        return y_bar, x_bar, jnp.stack([bar.sum() for bar in parameter_bars])

    return pullback
