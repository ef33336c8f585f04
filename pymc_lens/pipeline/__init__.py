"""From an image to a posterior without a human: stages, each of which can be called alone."""

from pymc_lens.pipeline.fit_lens import LensFit, fit_lens
from pymc_lens.pipeline.folders import read_folder
from pymc_lens.pipeline.models import isothermal, power_law
from pymc_lens.pipeline.verdict import Criterion, Verdict

__all__ = ["Criterion", "LensFit", "Verdict", "fit_lens", "isothermal", "power_law", "read_folder"]
