"""Figures. Each function returns its figure, and draws on axes of yours if you give them."""

from pymc_lens.plot.comparison import subplot_elpd_difference
from pymc_lens.plot.dataset import subplot_dataset
from pymc_lens.plot.fit import subplot_fit, subplot_fits
from pymc_lens.plot.posterior import subplot_posterior, subplot_reconstruction

__all__ = [
    "subplot_dataset",
    "subplot_elpd_difference",
    "subplot_fit",
    "subplot_fits",
    "subplot_posterior",
    "subplot_reconstruction",
]
