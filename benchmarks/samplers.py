"""Importance sampling against NUTS on the posteriors of unattended fits.

    python benchmarks/samplers.py OUT LENS [LENS ...] [--pixel-scale 0.05] [--effective 1500]

``LENS`` are folders as of ``pymc-lens fit``; their fits are in ``OUT`` or are made there. For each lens a
row of docs/benchmarks.md: the largest difference of means in units of the standard deviation of NUTS's draws,
and the smallest and largest ratio of standard deviations, over all coordinates of the sampled variables; what
each spent, values or gradients, for how many effective draws of the worst one.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
from xarray import DataTree

import pymc_lens as pl

# Of NUTS, which has no end of its own.
CHAINS, TUNE = 2, 200
# NUTS has about so many effective draws a draw with trajectories of three steps.
EFFICIENCY = 0.5


def moments(idata: DataTree, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    stats = az.summary(idata["posterior"].to_dataset()[names], kind="stats", round_to="none")
    return stats["mean"].to_numpy(float), stats["sd"].to_numpy(float)


def compare(folder: Path, out: Path, pixel_scale: float | None, effective: int) -> str:
    dataset = pl.pipeline.read_folder(folder, pixel_scale)
    fit = pl.fit_lens(dataset, out=out / folder.name, progressbar=False)
    common: dict[str, Any] = {"mode": fit.mode, "model": fit.model, "random_seed": 7, "progressbar": False}
    begin = time.perf_counter()
    by_weight = pl.sample(effective // CHAINS, chains=CHAINS, method="importance", **common)
    middle = time.perf_counter()
    by_nuts = pl.sample(
        int(effective / EFFICIENCY / CHAINS), chains=CHAINS, tune=TUNE, method="nuts", max_treedepth=2,
        discard_tuned_samples=False, **common,
    )  # fmt: skip
    end = time.perf_counter()
    names = [rv.name for rv in fit.model.free_RVs]
    mean, sd = moments(by_nuts, names)
    other_mean, other_sd = moments(by_weight, names)
    ratio = other_sd / sd
    attrs = by_weight["posterior"].attrs
    diagnostics = az.summary(by_nuts["posterior"].to_dataset()[names], kind="diagnostics", round_to="none")
    gradients = sum(int(by_nuts[group]["n_steps"].sum()) for group in ("warmup_sample_stats", "sample_stats"))
    return (
        f"| {folder.name} | {np.abs((other_mean - mean) / sd).max():.2f} "
        f"| {ratio.min():.2f} to {ratio.max():.2f} "
        f"| {attrs['n_values']} values, {middle - begin:.0f} s, {attrs['effective_draws']:.0f} draws, "
        f"k {attrs['pareto_k']:.2f} | {gradients} gradients, {end - middle:.0f} s, "
        f"{diagnostics['ess_bulk'].min():.0f} draws, R-hat {diagnostics['r_hat'].max():.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("lenses", type=Path, nargs="+")
    parser.add_argument("--pixel-scale", type=float)
    parser.add_argument("--effective", type=int, default=1500)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    print("| lens | means differ by (sd) | ratio of sds | importance sampling | NUTS |")
    print("|---|---|---|---|---|", flush=True)
    for folder in arguments.lenses:
        print(compare(folder, arguments.out, arguments.pixel_scale, arguments.effective), flush=True)


if __name__ == "__main__":
    main()
