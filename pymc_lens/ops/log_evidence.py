"""Log evidence of an inversion as PyTensor Ops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.compile.mode import optdb
from pytensor.gradient import DisconnectedType, disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import in2out, node_rewriter
from pytensor.tensor.variable import TensorVariable

from pymc_lens.inversion.inversion import Inversion


class _EvidenceOp(Op):
    """What the fused Op and the value-only Op share: the inversion and the check of the inputs."""

    __props__ = ("inversion",)

    def __init__(self, inversion: Inversion) -> None:
        self.inversion = inversion

    def __str__(self) -> str:
        return type(self).__name__

    def _as_inputs(self, inputs: tuple[Any, ...]) -> list[TensorVariable]:
        variables = [pt.as_tensor_variable(part) for part in inputs]
        for (name, ndim, _), variable in zip(self.inversion.inputs, variables, strict=True):
            if variable.type.ndim != ndim:
                raise TypeError(f"{name}: expected {ndim} dimensions, got {variable.type.ndim}.")
            if variable.type.dtype != "float64":
                raise TypeError(f"{name}: expected float64, got {variable.type.dtype}.")
        return variables


class LogEvidence(_EvidenceOp):
    """Log evidence with its whole gradient, from one call of the numerics.

    Inputs are `Inversion.inputs`; output 0 is ln E, the others are the gradient in each input.
    ``op(...)`` returns output 0, and its pullback reads the others: value and gradient cost one evaluation.

    Parameters
    ----------
    inversion : Inversion
    """

    default_output = 0

    def make_node(self, *inputs: Any) -> Apply:
        variables = self._as_inputs(inputs)
        return Apply(self, variables, [pt.dscalar(), *(variable.type() for variable in variables)])

    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        value, gradient = self.inversion.log_evidence_and_gradient(tuple(inputs))
        for storage, result in zip(output_storage, (np.asarray(value), *gradient), strict=True):
            storage[0] = result

    def infer_shape(self, node: Apply, shapes: list[tuple]) -> list[tuple]:
        return [(), *shapes]

    def pullback(
        self, inputs: list[Variable], outputs: list[Variable], cotangents: list[Variable]
    ) -> list[Variable]:
        value_bar, *gradient_bars = cotangents
        if any(not isinstance(bar.type, DisconnectedType) for bar in gradient_bars):
            message = "second derivatives of the log evidence; use differences of its exact gradient"
            return [grad_not_implemented(self, i, part, message) for i, part in enumerate(inputs)]
        if isinstance(value_bar.type, DisconnectedType):
            return [disconnected_type() for _ in inputs]
        return [value_bar * gradient for gradient in outputs[1:]]


class LogEvidenceValue(_EvidenceOp):
    """Log evidence alone, at less than half the cost, for graphs that read no gradient.

    Takes the place of `LogEvidence` by a rewrite.

    Parameters
    ----------
    inversion : Inversion
    """

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, self._as_inputs(inputs), [pt.dscalar()])

    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        output_storage[0][0] = np.asarray(self.inversion.log_evidence(tuple(inputs)))

    def infer_shape(self, node: Apply, shapes: list[tuple]) -> list[tuple]:
        return [()]

    def pullback(
        self, inputs: list[Variable], outputs: list[Variable], cotangents: list[Variable]
    ) -> list[Variable]:
        fused = LogEvidence(self.inversion)
        gradient_bars = [disconnected_type() for _ in inputs]
        return fused.pullback(inputs, fused.make_node(*inputs).outputs, [*cotangents, *gradient_bars])


@node_rewriter([LogEvidence])
def drop_unread_gradient(fgraph: Any, node: Apply) -> list[Variable | None] | None:
    """Compute the value alone where nothing reads the gradient."""
    if any(fgraph.clients[output] for output in node.outputs[1:]):
        return None
    value = LogEvidenceValue(node.op.inversion)(*node.inputs)
    return [value, *(None for _ in node.outputs[1:])]


optdb.register(
    "pymc_lens_drop_unread_gradient",
    in2out(drop_unread_gradient),
    "fast_run",
    "fast_compile",
    position=2.5,
)
