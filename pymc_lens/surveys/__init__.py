"""Many lenses: surveys that are simulated, and the populations behind them."""

from pymc_lens.surveys.simulate import SimulatedLens, simulate_survey, write_survey

__all__ = ["SimulatedLens", "simulate_survey", "write_survey"]
