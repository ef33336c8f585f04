"""The command ``pymc-lens``: a lens, or a folder of lenses."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; ends with 1 and one line where it cannot."""
    parsed = _parser().parse_args(arguments)
    os.environ.setdefault("MPLBACKEND", "Agg")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    try:
        parsed.run(parsed)
    except (OSError, TypeError, ValueError) as error:
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
    fit.add_argument("--ends-with-parent", action="store_true", help=argparse.SUPPRESS)
    fit.add_argument("--cores", type=int, help="processes; by default one for each core")
    survey = commands.add_parser(
        "survey", help="fit a folder of lenses", description="Fit every lens of a folder of such folders."
    )
    survey.set_defaults(run=_survey)
    survey.add_argument(
        "--workers", type=int, default=1, help="lenses at a time; by default one, on all cores"
    )
    for command in (fit, survey):
        command.add_argument("folder", type=Path, metavar="DIR")
        command.add_argument(
            "--out", type=Path, required=True, help="folder for the results; goes on from there"
        )
        command.add_argument("--pixel-scale", type=float, help="arcsec; by default that of the header")
        command.add_argument("--draws", type=int, default=200, help="of each of two chains")
        command.add_argument("--seed", type=int, default=1)
    return parser


def _fit(arguments: argparse.Namespace) -> None:
    import pymc_lens as pl
    from pymc_lens.inference.workers import end_with_parent

    if arguments.ends_with_parent:
        end_with_parent()
    out, folder = pl.make_folder(arguments.out), arguments.folder
    dataset = pl.pipeline.read_folder(folder, arguments.pixel_scale)
    result = pl.fit_lens(
        dataset, out=out, draws=arguments.draws, cores=arguments.cores, random_seed=arguments.seed,
        progressbar=not arguments.quiet,
    )  # fmt: skip
    print(f"{folder.name}: {result}")
    print(f"Results: {out}")


def _survey(arguments: argparse.Namespace) -> None:
    from pymc_lens.pipeline.contact_sheet import save_contact_sheet
    from pymc_lens.pipeline.survey import survey

    options = ["--draws", str(arguments.draws), "--seed", str(arguments.seed)]
    if arguments.pixel_scale is not None:
        options += ["--pixel-scale", str(arguments.pixel_scale)]
    rows = survey(
        arguments.folder, arguments.out, workers=arguments.workers, options=options,
        report=lambda text: print(text, flush=True),
    )  # fmt: skip
    save_contact_sheet(arguments.out, rows)
    print(f"Table: {arguments.out / 'lenses.csv'}; figures: {arguments.out / 'lenses.png'}")
