"""PyTensor Ops: they join the symbolic model to the numerics and compute nothing themselves."""

from importlib import import_module
from typing import Any

from pytensor.compile.mode import optdb
from pytensor.graph.basic import Apply
from pytensor.graph.rewriting.basic import in2out, node_rewriter

import pymc_lens._compile_folder  # before what looks for the folder
import pymc_lens.ops.numba_dispatch
import pymc_lens.ops.ray_numba  # noqa: F401
from pymc_lens.ops.gaussian_columns import GaussianColumns, GaussianPullback
from pymc_lens.ops.log_evidence import LogEvidence, LogEvidenceValue
from pymc_lens.ops.ray_op import RayOp, RayPullback


@node_rewriter([GaussianColumns, GaussianPullback, LogEvidence, LogEvidenceValue, RayOp, RayPullback])
def register_with_jax(fgraph: Any, node: Apply) -> None:
    """Change nothing, but teach JAX these Ops once a graph is compiled for it.

    Importing JAX along with this package would cost time, and make every fork of a process warn.
    """
    import_module("pymc_lens.ops.gaussian_jax")
    import_module("pymc_lens.ops.jax_dispatch")
    import_module("pymc_lens.ops.ray_jax")


optdb.register("pymc_lens_register_with_jax", in2out(register_with_jax), "jax", position=0.1)

__all__ = ["LogEvidence", "LogEvidenceValue"]
