"""PyTensor Ops: they join the symbolic model to the numerics and compute nothing themselves."""

from importlib.util import find_spec

import pymc_lens.ops.isothermal_numba
import pymc_lens.ops.numba_dispatch
from pymc_lens.ops.log_evidence import LogEvidence, LogEvidenceValue

if find_spec("jax") is not None:
    import pymc_lens.ops.isothermal_jax
    import pymc_lens.ops.jax_dispatch  # noqa: F401

__all__ = ["LogEvidence", "LogEvidenceValue"]
