"""Many lenses: catalogues that are fitted on one machine or a cluster, and surveys that are simulated."""

from pymc_lens.surveys.catalogue import Catalogue
from pymc_lens.surveys.run import survey
from pymc_lens.surveys.simulate import SimulatedLens, simulate_survey, write_survey

__all__ = ["Catalogue", "SimulatedLens", "simulate_survey", "survey", "write_survey"]
