"""From an image to a posterior without a human: stages, each of which can be called alone."""

from pymc_lens.pipeline.fit_lens import LensFit, fit_lens
from pymc_lens.pipeline.folders import read_folder
from pymc_lens.pipeline.verdict import Criterion, Verdict

__all__ = ["Criterion", "LensFit", "Verdict", "fit_lens", "read_folder"]
