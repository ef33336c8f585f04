"""Whether ranks of truths among posterior draws are uniform, as simulation-based calibration asks."""

from __future__ import annotations

from collections.abc import Mapping

import arviz as az
import numpy as np
from scipy.stats import chisquare
from xarray import Dataset, DataTree

LEVELS = (0.68, 0.95)
N_BINS = 8


def rank(draws: np.ndarray, truth: float, rng: np.random.Generator) -> float:
    """Place of a truth among draws, between 0 and 1: uniform if it is a draw like any other."""
    return float((np.sum(draws < truth) + rng.uniform()) / (draws.size + 1))


def uniformity(ranks: np.ndarray, n_bins: int = N_BINS) -> float:
    """Probability of a chi-squared as large as that of the ranks' histogram, were they uniform."""
    return float(chisquare(np.histogram(ranks, n_bins, (0.0, 1.0))[0]).pvalue)


def coverage(ranks: np.ndarray, level: float) -> float:
    """How often the truth lies within the central interval of that probability."""
    return float(np.mean(np.abs(ranks - 0.5) <= 0.5 * level))


def is_covered(ranks: np.ndarray, level: float) -> bool:
    """Whether that is within three standard deviations of the binomial distribution."""
    return abs(coverage(ranks, level) - level) < 3.0 * np.sqrt(level * (1.0 - level) / ranks.size)


def table(ranks: Mapping[str, np.ndarray]) -> str:
    """A row for each rank, as of a page of the documentation."""
    rows = [
        "| rank of | chi-squared p | mean | sd (uniform: 0.289) | 68 % covers | 95 % covers |",
        "|---" * 6 + "|",
    ]
    for name, values in ranks.items():
        covers = (
            f"{100 * coverage(values, level):.1f} %{'' if is_covered(values, level) else ' (!)'}"
            for level in LEVELS
        )
        figures = f"{uniformity(values):.3f} | {values.mean():.3f} | {values.std():.3f}"
        rows.append(f"| {name} | {figures} | {' | '.join(covers)} |")
    return "\n".join(rows)


def figure(ranks: Mapping[str, np.ndarray]):
    """Differences of the ranks' distributions from the uniform one, with a test of each (pot_c)."""
    dataset = Dataset({name: ("sample", values) for name, values in ranks.items()})
    plots = az.plot_ecdf_pit(
        DataTree(children={"prior_sbc": DataTree(dataset)}),
        sample_dims=["sample"],
        method="pot_c",
        envelope_prob=0.94,
        backend="matplotlib",
        col_wrap=6,
        figure_kwargs={"figsize": (15, 3.2 * -(-len(ranks) // 6))},
    )
    return plots.viz["figure"].item()
