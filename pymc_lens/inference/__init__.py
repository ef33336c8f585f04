"""Inference: preflight, mode, metric, sampling."""

from pymc_lens.inference.mode import Mode, find_mode, find_modes
from pymc_lens.inference.sample import sample

__all__ = ["Mode", "find_mode", "find_modes", "sample"]
