"""The command ``pymc-lens``: a lens, or a folder of lenses."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; ends with 1 and one line where it cannot."""
    parsed = _parser().parse_args(arguments)
    os.environ.setdefault("MPLBACKEND", "Agg")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    try:
        parsed.run(parsed)
    except KeyboardInterrupt:
        print("Stopped. What is finished stays: the same command goes on from there.", file=sys.stderr)
        raise SystemExit(130) from None
    except (BrokenProcessPool, ImportError, OSError, TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), file=sys.stderr)
        raise SystemExit(1) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pymc-lens", description="Strong lenses, unattended.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit", help="fit one lens", description="Fit a folder of image.fits, noise.fits and psf.fits."
    )
    fit.set_defaults(run=_fit)
    fit.add_argument("--quiet", action="store_true", help="no progress bars")
    fit.add_argument("--cores", type=int, help="processes; by default one for each core")
    fit.add_argument("folder", type=Path, metavar="DIR")
    survey = commands.add_parser(
        "survey",
        help="fit a catalogue of lenses",
        description="Fit every lens of a folder of such folders, or of a table (Parquet, CSV, FITS).",
    )
    survey.set_defaults(run=_survey)
    survey.add_argument("catalogue", type=Path, metavar="CATALOGUE")
    survey.add_argument(
        "--workers", type=int, help="lenses at a time, which share the cores; by default one a core"
    )
    survey.add_argument("--memory-limit", default="auto", help='of a worker, as "4GB"; by default its share')
    survey.add_argument("--scheduler", metavar="ADDRESS", help="of a cluster of Dask that runs already")
    for command in (fit, survey):
        command.add_argument(
            "--out", type=Path, required=True, help="folder for the results; goes on from there"
        )
        command.add_argument("--pixel-scale", type=float, help="arcsec; by default that of the header")
        command.add_argument(
            "--mass", choices=("isothermal", "power_law"), default="isothermal", help="that of the lens"
        )
        command.add_argument("--draws", type=int, default=200, help="of each of two chains")
        command.add_argument("--seed", type=int, default=1)
    return parser


def _fit(arguments: argparse.Namespace) -> None:
    import pymc_lens as pl

    out, folder = pl.make_folder(arguments.out), arguments.folder
    dataset = pl.pipeline.read_folder(folder, arguments.pixel_scale)
    result = pl.fit_lens(
        dataset, out=out, draws=arguments.draws, cores=arguments.cores, random_seed=arguments.seed,
        mass_model=getattr(pl.pipeline, arguments.mass), progressbar=not arguments.quiet,
    )  # fmt: skip
    print(f"{folder.name}: {result}")
    print(f"Results: {out}")


def _survey(arguments: argparse.Namespace) -> None:
    import pymc_lens as pl

    # Dask tells what concerns it by a handler of its own.
    logging.getLogger("distributed").propagate = False
    with _client(arguments.scheduler) as client:
        pl.survey(
            arguments.catalogue, arguments.out, client=client, workers=arguments.workers,
            memory_limit=arguments.memory_limit, pixel_scale=arguments.pixel_scale, draws=arguments.draws,
            random_seed=arguments.seed, mass_model=getattr(pl.pipeline, arguments.mass),
            progressbar=sys.stdout.isatty(),
        )  # fmt: skip
    print(f"Table: {arguments.out / 'lenses.parquet'}; to look at: {arguments.out / 'report.html'}")


def _client(scheduler: str | None) -> AbstractContextManager[Any]:
    if scheduler is None:
        return nullcontext()
    from distributed import Client

    return Client(scheduler)
