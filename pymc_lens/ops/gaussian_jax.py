"""JAX computes the averages of Gaussians on whole arrays and differentiates them itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch import jax_funcify

from pymc_lens.ops.gaussian_columns import GaussianColumns, GaussianPullback


@jax_funcify.register(GaussianColumns)
def jax_columns(op: GaussianColumns | GaussianPullback, **kwargs: Any) -> Callable:
    """Trace the formula."""
    slopes, groups = jnp.array(op.slopes)[:, None], jnp.array(op.groups)

    def columns(y: jax.Array, x: jax.Array, roots: jax.Array) -> jax.Array:
        admissible = ~jnp.isnan(roots).any(axis=1, keepdims=True)
        p, q, r = jnp.where(admissible, roots, 0.0).T[..., None]
        squared = (p * y + r * x) ** 2 + (r * y + q * x) ** 2
        values = jnp.exp(slopes * squared[groups]).reshape(len(groups), -1, op.per_pixel)
        return jnp.where(admissible[groups], values.mean(axis=-1), jnp.nan)

    return columns


@jax_funcify.register(GaussianPullback)
def jax_pullback(op: GaussianPullback, **kwargs: Any) -> Callable:
    """Differentiate the formula."""
    columns = jax_columns(op)
    return lambda y, x, roots, columns_bar: jax.vjp(columns, y, x, roots)[1](columns_bar)
