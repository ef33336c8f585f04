"""Many lenses on one machine: a process a lens, one table, and what is finished stays finished."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from pymc_lens.pipeline.folders import lens_folders
from pymc_lens.storage import complete_or_not, make_folder
from pymc_lens.validation import integer

_log = logging.getLogger(__name__)

COLUMNS = (
    "name", "theta_e", "theta_e_low", "theta_e_high", "q", "pa", "shear", "chi2_reduced", "log_z",
    "diagnostic", "ess", "wall_s", "verdict", "reason",
)  # fmt: skip
# Of what a lens that failed said last.
_LINES = 3


def survey(
    folder: str | Path,
    out: str | Path,
    *,
    workers: int = 1,
    options: Sequence[str] = (),
    report: Callable[[str], None] = _log.info,
) -> list[dict[str, Any]]:
    """Fit every lens of a folder, each in a process of its own.

    Parameters
    ----------
    folder : path
        A folder a lens, with image.fits, noise.fits and psf.fits.
    out : path
        Receives a folder a lens, as of `fit_lens`, with ``log.txt`` of what was said, and ``lenses.csv``,
        which is written anew after each lens. Lenses that are finished there are not fitted again, one that
        was interrupted goes on from its last stage, and one that failed is tried again.
    workers : int
        Lenses at a time. With one, each is given all cores; with more, a core each.
    options : sequence of str
        Passed on to ``pymc-lens fit``.
    report : callable
        Told what is going on.

    Returns
    -------
    list of dict
        Rows of the table, by `COLUMNS`: medians, ``theta_e_low`` and ``theta_e_high`` at 16 and 84 per cent;
        ``diagnostic`` is Pareto's k of importance sampling, or R-hat of NUTS. A lens that failed has the
        verdict "fail", and the reason.

    Raises
    ------
    TypeError
        If the number of workers is no integer.
    ValueError
        If there is no lens in the folder, or less than one worker.
    OSError
        If ``out`` cannot be written to: before anything else is done.
    """
    integer("workers", workers, 1)
    lenses = lens_folders(folder)
    out = make_folder(out)
    rows = {lens.name: row for lens in lenses if (row := finished(out / lens.name)) is not None}
    left = [lens for lens in lenses if lens.name not in rows]
    report(f"{len(lenses)} lenses, {len(rows)} of them finished before.")
    processes: list[subprocess.Popen] = []
    pool = ThreadPoolExecutor(workers)
    try:
        futures = {
            pool.submit(_fit, lens, out / lens.name, workers > 1, options, processes): lens for lens in left
        }
        for future in as_completed(futures):
            row = future.result()
            rows[row["name"]] = row
            _write(out / "lenses.csv", _in_order(rows, lenses))
            report(f"{len(rows)} of {len(lenses)}: {row['name']} {row['verdict']} {row['reason']}")
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        raise
    _write(out / "lenses.csv", _in_order(rows, lenses))
    return _in_order(rows, lenses)


def finished(folder: Path) -> dict[str, Any] | None:
    """Return the row of a lens that has been fitted; None of others."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except (OSError, ValueError):
        return None
    row = {name: summary[name] for name in COLUMNS if name in summary and name != "theta_e"}
    row |= {name: summary[name]["median"] for name in ("theta_e", "q", "pa", "shear")}
    row |= {f"theta_e_{side}": summary["theta_e"][side] for side in ("low", "high")}
    return {"name": folder.name, **row}


def _fit(
    lens: Path, out: Path, one_core: bool, options: Sequence[str], processes: list[subprocess.Popen]
) -> dict[str, Any]:
    """Fit one lens in a process, so that nothing that happens to it touches the others."""
    command = [
        sys.executable,
        "-m",
        "pymc_lens",
        "fit",
        str(lens),
        "--out",
        str(out),
        "--quiet",
        "--ends-with-parent",
        *options,
    ]
    if one_core:
        command += ["--cores", "1"]
    make_folder(out)
    with (out / "log.txt").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        processes.append(process)
        code = process.wait()
    row = finished(out)
    if row is not None:
        return row
    said = [line for line in (out / "log.txt").read_text().splitlines() if line.strip()]
    reason = (
        said[-1]
        if code == 1 and said
        else f"ended by signal {-code}"
        if code < 0
        else " ".join(said[-_LINES:])
    )
    return {"name": lens.name, "verdict": "fail", "reason": f"error: {reason}"}


def _in_order(rows: dict[str, dict[str, Any]], lenses: Sequence[Path]) -> list[dict[str, Any]]:
    return [rows[lens.name] for lens in lenses if lens.name in rows]


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the table, complete or not at all."""
    with complete_or_not(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
