"""What adjoints of Ops have in common."""

from __future__ import annotations

from typing import ClassVar, override

from pytensor.gradient import DisconnectedType, disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op


class AdjointOp(Op):
    """Cotangents of the three inputs of an Op from these and those of its outputs; not differentiated again.

    Attributes
    ----------
    refused : str
        Its derivatives, and what to use instead.
    """

    refused: ClassVar[str]

    @override
    def make_node(self, *inputs: Variable) -> Apply:
        return Apply(self, list(inputs), [variable.type() for variable in inputs[:3]])

    @override
    def infer_shape(self, node: Apply, shapes: list[tuple]) -> list[tuple]:
        return shapes[:3]

    @override
    def pullback(
        self, inputs: list[Variable], outputs: list[Variable], cotangents: list[Variable]
    ) -> list[Variable]:
        if all(isinstance(bar.type, DisconnectedType) for bar in cotangents):
            return [disconnected_type() for _ in inputs]
        return [grad_not_implemented(self, i, variable, self.refused) for i, variable in enumerate(inputs)]
