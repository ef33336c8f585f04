"""What tuned, fixed and sampled regularization do to the errors of the mass.

    python benchmarks/regularization.py OUT.jsonl [--lenses 40]

Lenses drawn from the prior (prior_lenses.py), where the parameters of the source's prior are drawn too. Each
is fitted with these *sampled* along with mass and light; *tuned*, by ``pl.tune_regularization`` at the mode
of the former, and held; and *fixed*: at their medians over lenses, or at a correlation length half or twice
as long. Printed for each: how far means of the mass parameters are from the truth, in units of the standard
deviations that the posterior claims (1 where errors are honest) and of those of *sampled*, and how often
intervals cover the truth. A line of JSON a lens is appended to OUT.jsonl; those that are there are not fitted
again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from json_lines import append, read
from prior_lenses import Fitter, PriorLens, PriorLenses, by_name, numbers, tracer
from ranks import LEVELS, coverage, rank
from threadpoolctl import threadpool_limits

import pymc_lens as pl

SEED, DRAWS = 81, 150
FIXED = {
    "fixed at the median": {"scale": 0.15, "amplitude": 1.0},
    "fixed, half the length": {"scale": 0.075, "amplitude": 1.0},
    "fixed, twice the length": {"scale": 0.3, "amplitude": 1.0},
}
MASS = ("einstein_radius", "ell_comps[0]", "ell_comps[1]", "gamma_1", "gamma_2")


def tuned(fitter: Fitter, lens: PriorLens, mode: np.ndarray) -> dict[str, float]:
    """Parameters of the source's prior by the evidence at the mass and light of a mode."""
    image = fitter.dataset.native(lens.data, 0.0)
    dataset = fitter.dataset.with_data(image, fitter.dataset.noise_map, None)
    found = pl.tune_regularization(dataset, tracer(_plain(fitter.parameters(mode)), None)).parameters
    return {name.rsplit(".")[-1]: value for name, value in found.items()}


def _plain(parameters: dict[str, np.ndarray]) -> dict:
    return {name: value.tolist() for name, value in parameters.items()}


def figures(
    fitter: Fitter, lens: PriorLens, number: int, source: dict[str, float]
) -> tuple[np.ndarray, dict[str, list[float]]]:
    """Mode, and of each number of the mass its error, standard deviation and the truth's rank.

    With parameters of the source's prior held where they are given.
    """
    start = fitter.flat(lens.parameters | {name: np.array(value) for name, value in source.items()})
    posterior = fitter.sample(lens.data, start, DRAWS, np.random.default_rng(number), tuple(source))
    draws = by_name([numbers(fitter.parameters(point)) for point in posterior.points])
    truths, rng = numbers(lens.parameters), np.random.default_rng([SEED, number, 1])
    of_mass = {
        name: [
            float(draws[name].mean() - truths[name]),
            float(draws[name].std()),
            rank(draws[name], truths[name], rng),
        ]
        for name in MASS
    }
    return posterior.mode, of_mass


def measured(fitter: Fitter, lens: PriorLens, number: int) -> dict[str, dict]:
    mode, sampled = figures(fitter, lens, number, {})
    held = {"tuned": tuned(fitter, lens, mode), **FIXED}
    others = {name: figures(fitter, lens, number, source)[1] for name, source in held.items()}
    return {"sampled": sampled, **others}


def fitted(rows: list[dict]) -> list[dict]:
    """Leave out lenses whose evidence has no maximum in the parameters of the source's prior."""
    return [row for row in rows if "fits" in row]


def run(path: Path, n_lenses: int) -> None:
    done = {row["lens"] for row in read(path)}
    fitter = Fitter(None)
    lenses = PriorLenses(fitter, SEED)
    for number, parameters in enumerate(lenses.parameters(n_lenses)):
        if number in done:
            continue
        begin = time.process_time()
        try:
            found = measured(fitter, lenses.lens(number, parameters), number)
            row = {"lens": number, "fits": found, "cpu_s": round(time.process_time() - begin, 1)}
        except ValueError as error:  # the evidence has no maximum
            row = {"lens": number, "failed": str(error)}
        append(path, row)


def table(rows: list[dict]) -> str:
    """A row for each choice, as of a page of the documentation."""
    heads = ("regularization", "error / its sd", "error / that of sampled", "sd / that of sampled",
             "68 % covers", "95 % covers")  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    choices = list(rows[0]["fits"])
    of_choices = {name: np.array([list(row["fits"][name].values()) for row in rows]) for name in choices}
    error, sd, _ = np.moveaxis(of_choices["sampled"], -1, 0)
    for name, of_fits in of_choices.items():
        errors, sds, ranks = np.moveaxis(of_fits, -1, 0)
        ratio = np.sqrt(np.mean(errors**2, axis=0) / np.mean(error**2, axis=0)).mean()
        covers = " | ".join(f"{100 * coverage(ranks.ravel(), level):.0f} %" for level in LEVELS)
        honest = np.sqrt(np.mean((errors / sds) ** 2))
        lines.append(f"| {name} | {honest:.2f} | {ratio:.2f} | {np.median(sds / sd):.2f} | {covers} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--lenses", type=int, default=40)
    arguments = parser.parse_args()
    with threadpool_limits(1, user_api="blas"):
        run(arguments.out, arguments.lenses)
    rows = read(arguments.out)
    print(f"{len(fitted(rows))} of {len(rows)} lenses, five numbers of the mass each")
    print(table(fitted(rows)))


if __name__ == "__main__":
    main()
