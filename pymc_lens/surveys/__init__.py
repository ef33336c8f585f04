"""Many lenses: catalogues fitted on one machine or a cluster, simulated surveys, and populations."""

from pymc_lens.surveys.catalogue import Catalogue
from pymc_lens.surveys.population import PopulationLikelihood, Selection, check_population
from pymc_lens.surveys.run import survey
from pymc_lens.surveys.simulate import SimulatedLens, simulate_survey, write_survey

__all__ = [
    "Catalogue",
    "PopulationLikelihood",
    "Selection",
    "SimulatedLens",
    "check_population",
    "simulate_survey",
    "survey",
    "write_survey",
]
