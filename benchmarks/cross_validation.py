"""Time pixelwise leave-one-out on the lens of ``make demo``, and look at Pareto's k.

    python benchmarks/cross_validation.py [FOLDER] [--draws 500] [--cores N]

``FOLDER`` (by default demo/) holds what ``make demo`` left: the stages of the fit, and what importance
sampling had drawn, from where it goes on until there are so many effective draws. Timed is
``pl.compute_log_likelihood``, then ``az.loo``, and ``pl.loo_moment_match`` for pixels whose k is too high.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import arviz as az
import numpy as np

import pymc_lens as pl

DATA = Path(__file__).parents[1] / "examples" / "data" / "J0252+0039"


def fitted(folder: Path, draws: int, cores: int | None) -> pl.LensFit:
    """The fit of the demo with so many effective draws; the demo's own files stay as they are."""
    dataset = pl.pipeline.read_folder(DATA, 0.05)
    with tempfile.TemporaryDirectory() as scratch:
        out = shutil.copytree(folder, Path(scratch) / "demo")
        return pl.fit_lens(dataset, out=out, draws=draws // 2, cores=cores, progressbar=False, figures=())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo"))
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--cores", type=int)
    arguments = parser.parse_args()
    fit = fitted(arguments.folder, arguments.draws, arguments.cores)
    model, idata = fit.model, fit.idata
    begin = time.perf_counter()
    pl.compute_log_likelihood(idata, model=model, cores=arguments.cores, progressbar=False)
    wall = time.perf_counter() - begin
    begin = time.perf_counter()
    loo = az.loo(idata, pointwise=True)
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    moved = pl.loo_moment_match(idata, loo, model=model, cores=arguments.cores, progressbar=False)
    matching = time.perf_counter() - begin
    print(
        f"{idata['posterior'].sizes['draw'] * 2} draws, {loo.pareto_k.size} pixels; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"compute_log_likelihood: {wall:.1f} s; az.loo: {seconds:.1f} s")
    for name, each in ("weights", loo), ("moment matching", moved):
        k, elpd = each.pareto_k.values, f"elpd {each.elpd:.2f} +- {each.se:.2f}"
        high = f"{np.count_nonzero(k > loo.good_k)} above {loo.good_k:.2f}"
        print(
            f"{name}: {elpd}; Pareto k at most {k.max():.2f}, {high}, 99 % below {np.quantile(k, 0.99):.2f}"
        )
    print(f"loo_moment_match: {matching:.1f} s")
    print(loo)


if __name__ == "__main__":
    main()
