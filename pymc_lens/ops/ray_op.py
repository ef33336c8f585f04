"""The Op that evaluates the deflections of a compiled mass profile ray by ray, and its adjoint.

As a PyTensor graph long formulas would be fused to loops too long for LLVM to vectorize: for the isothermal
ten times slower, and twenty seconds to compile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from numba.extending import register_jitable
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.tensor.variable import TensorVariable

from pymc_lens.ops.adjoint import AdjointOp

# Inlined whatever their length, or LLVM would not vectorize the loops around them; the rest as in PyTensor.
INLINED = {
    "forceinline": True,
    "error_model": "numpy",
    "fastmath": {"arcp", "contract", "afn", "reassoc", "nsz"},
}
# What a compiled profile decorates its formulas with, and the functions that these call.
formula = register_jitable(**INLINED)


class _RayOp(Op):
    """What the Op and its adjoint share: the formulas."""

    __props__ = ("deflection", "deflection_pullback")

    def __init__(self, deflection: Callable, deflection_pullback: Callable) -> None:
        self.deflection = deflection
        self.deflection_pullback = deflection_pullback

    def __str__(self) -> str:
        return type(self).__name__

    @property
    def n_parameters(self) -> int:
        """Number of parameters, which the formula itself tells."""
        return self.deflection.__code__.co_argcount - 2


class RayOp(_RayOp):
    """Deflection angles of rays y (n,), x (n,) for parameters (p,), from the formulas for one ray.

    The formulas are plain arithmetic on real numbers, module-level functions decorated with `formula`: they
    run on NumPy and JAX arrays and, compiled by numba, in one vectorized loop over rays.

    Parameters
    ----------
    deflection : callable
        ``deflection(y, x, *parameters)`` returns (alpha_y, alpha_x).
    deflection_pullback : callable
        Its adjoint: ``deflection_pullback(y, x, *parameters, alpha_y_bar, alpha_x_bar)`` returns the
        cotangents of y, x and every parameter, all floats. Those of the parameters are summed over rays.
    """

    def deflections(
        self, y: TensorVariable, x: TensorVariable, *parameters: Any
    ) -> tuple[TensorVariable, TensorVariable]:
        """Deflection angles (alpha_y, alpha_x), each (...), at y and x, each (...), for scalar parameters."""
        vector = pt.stack([pt.as_tensor_variable(part) for part in parameters])
        alpha_y, alpha_x = self(y.ravel(), x.ravel(), vector)
        return alpha_y.reshape(y.shape), alpha_x.reshape(x.shape)

    @override
    def make_node(self, y: Any, x: Any, parameters: Any) -> Apply:
        inputs = [pt.as_tensor_variable(part).astype("float64") for part in (y, x, parameters)]
        for name, variable in zip(("y", "x", "parameters"), inputs, strict=True):
            if variable.type.ndim != 1:
                raise TypeError(f"{name}: expected 1 dimension, got {variable.type.ndim}.")
        if inputs[2].type.shape[0] not in (self.n_parameters, None):
            raise TypeError(f"parameters: expected {self.n_parameters}, got {inputs[2].type.shape[0]}.")
        return Apply(self, inputs, [inputs[0].type(), inputs[1].type()])

    @override
    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        y, x, parameters = inputs
        with np.errstate(all="ignore"):
            output_storage[0][0], output_storage[1][0] = self.deflection(y, x, *parameters)

    @override
    def infer_shape(self, node: Apply, shapes: list[tuple]) -> list[tuple]:
        return shapes[:2]

    @override
    def pullback(
        self, inputs: list[Variable], outputs: list[Variable], cotangents: list[Variable]
    ) -> list[Variable]:
        bars = [
            pt.zeros_like(output) if isinstance(bar.type, DisconnectedType) else bar
            for bar, output in zip(cotangents, outputs, strict=True)
        ]
        return RayPullback(self.deflection, self.deflection_pullback)(*inputs, *bars)


class RayPullback(_RayOp, AdjointOp):
    """Cotangents of y (n,), x (n,) and the parameters (p,) of a `RayOp`."""

    refused = "derivatives of a derivative of deflections; a profile's hessian_yx has those in position"

    @override
    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        y, x, parameters, *bars = inputs
        with np.errstate(all="ignore"):
            y_bar, x_bar, *parameter_bars = self.deflection_pullback(y, x, *parameters, *bars)
        output_storage[0][0], output_storage[1][0] = y_bar, x_bar
        output_storage[2][0] = np.array([bar.sum() for bar in parameter_bars])
