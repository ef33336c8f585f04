"""Tasks of a survey: handed to Dask, and written down as they are done."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any
from uuid import uuid4

import pandas as pd
from distributed import Client, Future, KilledWorker, as_completed

from pymc_lens.progress import shown
from pymc_lens.surveys.catalogue import Entry
from pymc_lens.surveys.report import write_report
from pymc_lens.surveys.table import Journal
from pymc_lens.surveys.task import failed

_log = logging.getLogger(__name__)

# Of a task that ends with an error that is not the lens's own.
_RETRIES = 1
# Lenses in a message to the scheduler.
_BATCH = 1000
# Tables and report are made anew when so many seconds have passed, and so many times what that took.
_SECONDS, _TIMES = 30.0, 50.0


def run(
    client: Client,
    task: Callable[[Entry], dict[str, Any]],
    entries: Sequence[Entry],
    journal: Journal,
    progressbar: bool,
) -> None:
    """Have lenses fitted by a cluster, and write down each as it is done.

    Parameters
    ----------
    client : Client
    task : callable
        Returns the row of a lens, as `FitTask`.
    entries : sequence of Entry
    journal : Journal
    progressbar : bool
        Otherwise a line a lens is logged.

    Raises
    ------
    OSError
        If the scheduler is lost, or the journal cannot be written.
    """
    _log.info("Dashboard of Dask: %s", client.dashboard_link)
    token = uuid4().hex
    futures: list[Future[dict[str, Any]]] = client.map(
        task,
        entries,
        key=[(f"fit-{token}", entry.name) for entry in entries],
        retries=_RETRIES,
        batch_size=_BATCH,
    )
    running = as_completed(futures)
    del futures  # the scheduler forgets a task once nobody holds it
    progress, outputs = _Progress(len(entries)), _Outputs(journal)
    try:
        with shown("Survey", progressbar) as report:
            for future in running:
                row = _row(future)
                journal.add(row)
                line = progress.line(row)
                report(progress.summary())
                if not progressbar:  # lines would run through it
                    _log.info(line)
                outputs.write_if_due()
    except BaseException:
        # A cluster that is not ours would go on with what nobody waits for.
        if client.status == "running":
            client.cancel(list(running.futures))
        raise


def write_outputs(journal: Journal) -> pd.DataFrame:
    """Write tables and report, and return the table."""
    table = journal.write_tables()
    write_report(table, journal.folder)
    return table


def _row(future: Future[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of a lens that is done, or that its processes have died of."""
    try:
        return future.result()
    except KilledWorker as error:
        row = failed(
            f"{error.allowed_failures + 1} processes died while they fitted it, as where memory runs out"
        )
        key: Any = future.key
        return row | {"name": key[1]}
    except CancelledError as error:
        raise OSError(
            "client: the scheduler is lost. What is finished stays: start the survey again to go on."
        ) from error


class _Progress:
    """Tells how far a survey is."""

    def __init__(self, total: int) -> None:
        self._total, self._begin = total, time.monotonic()
        self._verdicts: Counter[str] = Counter()

    def line(self, row: dict[str, Any]) -> str:
        """Count a lens, and say what became of it."""
        self._verdicts[row["verdict"]] += 1
        said = f"{row['name']} {row['verdict']} {row.get('reason') or ''}"
        return f"{self._verdicts.total()} of {self._total}: {said}"

    def summary(self) -> str:
        """Say how many there are of each verdict, and how long it will take."""
        done = self._verdicts.total()
        counts = ", ".join(f"{self._verdicts[verdict]} {verdict}" for verdict in ("keep", "review", "fail"))
        hours = (time.monotonic() - self._begin) / done * (self._total - done) / 3600.0
        return f"{done} of {self._total}: {counts}; {hours:.1f} h left"


class _Outputs:
    """Tables and report, which are written now and then."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._next = journal, 0.0

    def write_if_due(self) -> None:
        begin = time.monotonic()
        if begin < self._next:
            return
        write_outputs(self._journal)
        self._next = time.monotonic() + max(_SECONDS, _TIMES * (time.monotonic() - begin))
