"""JAX runs the isothermal deflections' formulas on whole arrays and differentiates them itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from pytensor.link.jax.dispatch import jax_funcify

from pymc_lens.mass.isothermal_formulas import deflection, deflection_pullback
from pymc_lens.mass.isothermal_op import IsothermalDeflections, IsothermalPullback


@jax_funcify.register(IsothermalDeflections)
def jax_isothermal_deflections(op: IsothermalDeflections, **kwargs: Any) -> Callable:
    """Trace `deflection`."""
    return lambda y, x, parameters: deflection(y, x, *parameters)


@jax_funcify.register(IsothermalPullback)
def jax_isothermal_pullback(op: IsothermalPullback, **kwargs: Any) -> Callable:
    """Trace `deflection_pullback`."""

    def pullback(
        y: jax.Array, x: jax.Array, parameters: jax.Array, alpha_y_bar: jax.Array, alpha_x_bar: jax.Array
    ) -> tuple[jax.Array, ...]:
        centre_y, centre_x, e_y, e_x, strength = parameters
        y_bar, x_bar, *bars = deflection_pullback(
            y, x, centre_y, centre_x, e_y, e_x, strength, alpha_y_bar, alpha_x_bar
        )
        return y_bar, x_bar, jnp.stack([-y_bar.sum(), -x_bar.sum(), *(bar.sum() for bar in bars)])

    return pullback
