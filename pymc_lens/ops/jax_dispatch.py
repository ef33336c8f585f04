"""JAX calls the numerics back; its own differentiation (numpyro, blackjax) reads their exact gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from pytensor.link.jax.dispatch import jax_funcify

from pymc_lens.inversion.inversion import Arrays, Inversion
from pymc_lens.ops.log_evidence import LogEvidence, LogEvidenceValue


def _arrays(parts: tuple) -> Arrays:
    return tuple(np.ascontiguousarray(part, dtype=np.float64) for part in parts)


def _value(inversion: Inversion, *inputs: Any) -> jax.Array:
    def call(*parts: Any) -> np.ndarray:
        return np.asarray(inversion.log_evidence(_arrays(parts)))

    return jax.pure_callback(call, jax.ShapeDtypeStruct((), jnp.float64), *inputs, vmap_method="sequential")


def _value_and_gradient(inversion: Inversion, *inputs: Any) -> tuple[jax.Array, ...]:
    def call(*parts: Any) -> tuple[np.ndarray, ...]:
        value, gradient = inversion.log_evidence_and_gradient(_arrays(parts))
        return np.asarray(value), *gradient

    shapes = (
        jax.ShapeDtypeStruct((), jnp.float64),
        *(jax.ShapeDtypeStruct(jnp.shape(part), jnp.float64) for part in inputs),
    )
    return jax.pure_callback(call, shapes, *inputs, vmap_method="sequential")


def _differentiable(inversion: Inversion) -> Callable:
    @jax.custom_vjp
    def log_evidence(*inputs: Any) -> jax.Array:
        return _value(inversion, *inputs)

    def forward(*inputs: Any) -> tuple[jax.Array, tuple]:
        value, *gradient = _value_and_gradient(inversion, *inputs)
        return value, tuple(gradient)

    def backward(gradient: tuple, value_bar: jax.Array) -> tuple:
        return tuple(value_bar * part for part in gradient)

    log_evidence.defvjp(forward, backward)
    return log_evidence


@jax_funcify.register(LogEvidence)
def jax_log_evidence(op: LogEvidence, **kwargs: Any) -> Callable:
    """Value and gradient as a callback; JAX sees one opaque call."""
    return lambda *inputs: _value_and_gradient(op.inversion, *inputs)


@jax_funcify.register(LogEvidenceValue)
def jax_log_evidence_value(op: LogEvidenceValue, **kwargs: Any) -> Callable:
    """Value as a callback that JAX can differentiate."""
    return _differentiable(op.inversion)
