"""Simulation-based calibration of the whole pipeline.

    python benchmarks/calibration.py OUT.jsonl [--positivity off|light|marginal|map] [--lenses 300]

Lenses are drawn from the prior of their model (prior_lenses.py: mass, shear, lens light, and a pixelized
source whose prior's parameters are drawn too), fitted by the steps of ``pl.sample(method="importance")`` and
``pl.reconstruct``, and the truth is ranked among the draws: every parameter, and the source's flux,
magnification and some of its pixels. Were anything wrong with the evidence, a prior, a sampler or a
reconstruction, ranks would not be uniform (Talts et al. 2018, arXiv:1804.06788). ``light`` is what
``pl.fit_lens`` does: light that is not negative, integrated over, before a source of any sign. ``map``
is fitted to lenses of positive sources, those of ``marginal``.

The climb to the mode begins at the truth, of which importance sampling then knows nothing but the mode. A
line of JSON a lens is appended to OUT.jsonl, and lenses that are there are not fitted again. At the end the
table is printed and the figure written beside it, as .png.

PYTENSOR_FLAGS=linker=py,optimizer_excluding=fusion begins at once, where numba would compile for a minute.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from json_lines import append, read
from prior_lenses import Fitter, PriorLens, PriorLenses, by_name, numbers
from ranks import figure, rank, table
from threadpoolctl import threadpool_limits

import pymc_lens as pl

SEED = 18


def measured(fitter: Fitter, lens: PriorLens, number: int, positivity: str, draws: int) -> dict:
    begin, spent = time.perf_counter(), time.process_time()
    rng = np.random.default_rng(number)
    posterior = fitter.sample(lens.data, fitter.flat(lens.parameters), draws, rng)
    drawn = [
        numbers(fitter.parameters(point)) | fitter.reconstructed(point, lens.data, rng)
        for point in posterior.points
    ]
    truths, rng = numbers(lens.parameters) | lens.quantities, np.random.default_rng([SEED, number, 1])
    return {
        "lens": number,
        "positivity": positivity,
        "ranks": {name: round(rank(values, truths[name], rng), 5) for name, values in by_name(drawn).items()},
        "reliable": posterior.is_reliable,
        "pareto_k": posterior.weighted.pareto_k,
        "effective_draws": posterior.weighted.effective,
        "values": len(posterior.weighted.points),
        "gradients": posterior.n_gradients,
        "wall_s": round(time.perf_counter() - begin, 1),
        "cpu_s": round(time.process_time() - spent, 1),
    }


def run(path: Path, positivity: str, n_lenses: int, draws: int) -> None:
    """Fit the lenses that are missing."""
    done = {row["lens"] for row in read(path)}
    fitter = Fitter(None if positivity == "off" else positivity)
    simulator = Fitter("marginal") if positivity == "map" else fitter
    lenses = PriorLenses(simulator, SEED)
    for number, parameters in enumerate(lenses.parameters(n_lenses)):
        if number in done:
            continue
        try:
            row = measured(fitter, lenses.lens(number, parameters), number, positivity, draws)
        except pl.InadmissibleError as error:
            row = {"lens": number, "positivity": positivity, "failed": str(error)}
        append(path, row)


def ranks_in(rows: list[dict]) -> dict[str, np.ndarray]:
    """Ranks (n_lenses,) of each quantity."""
    ranks = [row["ranks"] for row in rows if "ranks" in row]
    return {name: np.array([of_lens[name] for of_lens in ranks]) for name in ranks[0]}


def report(path: Path) -> None:
    rows = read(path)
    fits, ranks = [row for row in rows if "ranks" in row], ranks_in(rows)
    unreliable = [row["lens"] for row in fits if not row["reliable"]]
    print(f"{len(fits)} lenses, {len(rows) - len(fits)} without a fit; not reliable: {unreliable}")
    for name in ("pareto_k", "effective_draws", "values", "gradients", "cpu_s"):
        print(f"  {name}: median {np.median([row[name] for row in fits]):.2f}")
    print(table(ranks))
    figure(ranks).savefig(path.with_suffix(".png"), dpi=80, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--positivity", choices=["off", "light", "marginal", "map"], default="off")
    parser.add_argument("--lenses", type=int, default=300)
    parser.add_argument("--draws", type=int, default=150)
    arguments = parser.parse_args()
    with threadpool_limits(1, user_api="blas"):
        run(arguments.out, arguments.positivity, arguments.lenses, arguments.draws)
    report(arguments.out)


if __name__ == "__main__":
    main()
