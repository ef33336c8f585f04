"""How much of the prior climbs to the best lens, where the source is compact: what a search reckons with.

    python benchmarks/starts.py LENS [LENS ...] [--starts 1000] [--iterations 60] [--pixel-scale 0.05]

``LENS`` are folders as of ``pymc-lens fit``. Each draw from the prior is climbed from, in mass, light and
source at once, with the sources of `compact_candidates` and none of its choices; two lenses are the same if
their mean deflections differ by no more than 2 %. The last columns are of the search itself, which looks at
400 draws.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits

from pymc_lens.distributions import lensed_images
from pymc_lens.inference import compact_search
from pymc_lens.inference.compact_density import CompactDensity
from pymc_lens.inference.compact_search import compact_candidates, prior_draws
from pymc_lens.inference.workers import shared_work
from pymc_lens.pipeline import stages
from pymc_lens.pipeline.folders import read_folder
from pymc_lens.pipeline.models import Redshifts

SAME = 0.02
SEARCHED = 400


def quiet(text: str) -> None:
    """Report nothing."""


def climbs(density: CompactDensity, draws: np.ndarray, iterations: int) -> list[tuple[float, float]]:
    """Climb from every draw; return the log density and the mean deflection of each end."""
    steps = compact_search._steps(density, draws)
    centre = np.concatenate([draws[0], np.zeros(4 * compact_search._COMPONENTS * density.n_sources)])
    centre = compact_search._fit_light(density, centre, steps, quiet)
    with patch.multiple(compact_search, _BINS=1, _OF_BIN=len(draws)):
        starts = compact_search._best_draws(density, centre, draws, quiet, None)
    of_lens = density.of_mass | density.of_light

    def climb(start: np.ndarray) -> tuple[float, float]:
        scales = compact_search._scales(density, start, steps, of_lens)
        end = compact_search._ascend(density, start, scales, iterations)
        return density.value(end), compact_search._mean_deflection(density, density.rays(end))

    return [end for _, end in shared_work(climb, starts)]


def row(folder: Path, n_starts: int, iterations: int, pixel_scale: float | None) -> str:
    model = stages.coarse_model(stages.field(read_folder(folder, pixel_scale)), Redshifts())
    images = list(lensed_images(model).values())
    begin = time.perf_counter()
    values, deflections = np.array(climbs(
        CompactDensity(model, images), prior_draws(model, n_starts, np.random.default_rng(1)), iterations
    )).T  # fmt: skip
    middle = time.perf_counter()
    found = compact_candidates(model, images, prior_draws(model, SEARCHED, np.random.default_rng(0)), quiet)
    end = time.perf_counter()
    best = deflections[values.argmax()]
    same = np.abs(deflections / best - 1.0) < SAME
    others = values[~same].max(initial=-np.inf)
    ratio = found.candidates[0].deflection / best
    return (
        f'| {folder.name} | {best:.3f}" | {same.mean():.1%} | {values.max() - others:.0f} '
        f"| {middle - begin:.0f} s | {ratio:.3f} | {end - middle:.0f} s |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lenses", type=Path, nargs="+")
    parser.add_argument("--starts", type=int, default=1000)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--pixel-scale", type=float)
    arguments = parser.parse_args()
    columns = (
        "lens",
        "best mean deflection",
        "climbs there",
        "next lens lower by",
        "wall",
        "search / best",
        "wall",
    )
    print("|", " | ".join(columns), "|")
    print("|---|---|---|---|---|---|---|", flush=True)
    with threadpool_limits(1):
        for folder in arguments.lenses:
            print(row(folder, arguments.starts, arguments.iterations, arguments.pixel_scale), flush=True)


if __name__ == "__main__":
    main()
