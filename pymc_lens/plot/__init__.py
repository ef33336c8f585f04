"""Figures."""

from pymc_lens.plot.fit import subplot_fit, subplot_fits
from pymc_lens.plot.posterior import subplot_posterior, subplot_reconstruction

__all__ = ["subplot_fit", "subplot_fits", "subplot_posterior", "subplot_reconstruction"]
