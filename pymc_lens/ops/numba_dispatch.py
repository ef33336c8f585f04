"""PyTensor's numba backend runs the Ops whose numerics are elsewhere in object mode.

The numerics are numba kernels of their own, cached on disk by numba, that release the GIL; calling them from
compiled code would gain about ten microseconds an evaluation and lose their cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch import numba_funcify
from pytensor.link.numba.dispatch.basic import get_numba_type, numba_njit

from pymc_lens.ops.gaussian_columns import GaussianColumns, GaussianPullback
from pymc_lens.ops.log_evidence import LogEvidence, LogEvidenceValue


@numba_funcify.register(GaussianPullback)
@numba_funcify.register(LogEvidence)
def numba_several_outputs(op: Op, node: Apply, **kwargs: Any) -> Callable:
    """Call the numerics for several results from a compiled graph."""
    result_type = numba.types.Tuple([get_numba_type(output.type, layout="C") for output in node.outputs])
    return _in_object_mode(lambda inputs: _performed(op, node, inputs), result_type)


@numba_funcify.register(GaussianColumns)
@numba_funcify.register(LogEvidenceValue)
def numba_one_output(op: Op, node: Apply, **kwargs: Any) -> Callable:
    """Call the numerics for one result from a compiled graph."""
    result_type = get_numba_type(node.outputs[0].type, layout="C")
    return _in_object_mode(lambda inputs: _performed(op, node, inputs)[0], result_type)


def _performed(op: Op, node: Apply, inputs: tuple) -> tuple:
    storage: list[list[Any]] = [[None] for _ in node.outputs]
    op.perform(node, list(inputs), storage)
    return tuple(cell[0] for cell in storage)


def _in_object_mode(evaluate: Callable[[tuple], Any], result_type: numba.types.Type) -> Callable:
    @numba_njit
    def performed(*inputs):
        with numba.objmode(result=result_type):
            result = evaluate(inputs)
        return result

    return performed
