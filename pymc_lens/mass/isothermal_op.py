"""The Op that evaluates the deflections of the singular isothermal ellipsoid, and its adjoint.

As a PyTensor graph the formulas would be fused to loops too long for LLVM to vectorize: ten times slower, and
twenty seconds to compile.
"""

from __future__ import annotations

from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op

from pymc_lens.mass.isothermal_formulas import deflection, deflection_pullback


class IsothermalDeflections(Op):
    """Deflection angles from y (n,), x (n,) and (centre_y, centre_x, e_y, e_x, strength)."""

    __props__ = ()

    @override
    def make_node(self, y: Any, x: Any, parameters: Any) -> Apply:
        inputs = [pt.as_tensor_variable(part).astype("float64") for part in (y, x, parameters)]
        for name, variable in zip(("y", "x", "parameters"), inputs, strict=True):
            if variable.type.ndim != 1:
                raise TypeError(f"{name}: expected 1 dimension, got {variable.type.ndim}.")
        return Apply(self, inputs, [inputs[0].type(), inputs[1].type()])

    @override
    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        y, x, parameters = inputs
        with np.errstate(all="ignore"):
            output_storage[0][0], output_storage[1][0] = deflection(y, x, *parameters)

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
        return IsothermalPullback()(*inputs, *bars)


class IsothermalPullback(Op):
    """Cotangents of y (n,), x (n,) and the parameters (5,) of `IsothermalDeflections`."""

    __props__ = ()

    @override
    def make_node(self, *inputs: Variable) -> Apply:
        return Apply(self, list(inputs), [variable.type() for variable in inputs[:3]])

    @override
    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        y, x, parameters, *bars = inputs
        with np.errstate(all="ignore"):
            y_bar, x_bar, *shape_bars = deflection_pullback(y, x, *parameters, *bars)
        output_storage[0][0], output_storage[1][0] = y_bar, x_bar
        output_storage[2][0] = np.array([-y_bar.sum(), -x_bar.sum(), *(bar.sum() for bar in shape_bars)])

    @override
    def infer_shape(self, node: Apply, shapes: list[tuple]) -> list[tuple]:
        return shapes[:3]

    @override
    def pullback(
        self, inputs: list[Variable], outputs: list[Variable], cotangents: list[Variable]
    ) -> list[Variable]:
        if all(isinstance(bar.type, DisconnectedType) for bar in cotangents):
            return [disconnected_type() for _ in inputs]
        message = "derivatives of a derivative of isothermal deflections; hessian_yx has those in position"
        return [grad_not_implemented(self, i, variable, message) for i, variable in enumerate(inputs)]
