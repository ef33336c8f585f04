"""What a worker does: one lens, from its images to its row."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from distributed import get_worker

import pymc_lens
from pymc_lens.pipeline.fit_lens import LEFT_OVERS
from pymc_lens.storage import complete_or_not, make_folder
from pymc_lens.surveys.catalogue import Entry
from pymc_lens.surveys.table import row_of

_log = logging.getLogger("pymc_lens")

_SUMMARY = "summary.json"
_SECONDS_BETWEEN_LOOKS = 1.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class FitTask:
    """Fits lenses, in whatever process it is called.

    Attributes
    ----------
    out : Path
        Folder of the survey.
    fit : callable
        As `fit_lens`.
    cores : int
    options : mapping
        Of the fit, for lenses that have none of their own.
    """

    out: Path
    fit: Callable[..., Any]
    cores: int
    options: Mapping[str, Any]

    def __call__(self, entry: Entry) -> dict[str, Any]:
        """Fit a lens that has not been, and return its row.

        Raises
        ------
        OSError
            If there is no room for results: that would be so of the next lens as well.
        """
        _require_one_thread()
        folder = make_folder(self.out / entry.name)
        options = {**self.options, **entry.options}
        row = {"name": entry.name, "random_seed": options["random_seed"]}
        try:
            with _logged(folder / "log.txt"):
                summary = _read(folder) or self._fit(entry, folder, options)
        except Exception as error:
            if _is_for_want_of_room(error):
                raise
            return row | failed(f"{type(error).__name__}: {error}")
        for pattern in LEFT_OVERS:
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
        # A summary that a process left which died right after is one as well.
        return row_of(about_this_process() | {"fitted": True} | summary) | row

    def _fit(self, entry: Entry, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        try:
            with PeakMemory() as memory:
                self.fit(entry.read(), out=folder, cores=self.cores, progressbar=False, **options)
        except Exception:
            _log.exception("%s was not fitted.", entry.name)
            raise
        summary = _read(folder)
        if summary is None:
            raise RuntimeError(f"fit: expected it to leave {_SUMMARY} in {folder}, there is none.")
        summary |= about_this_process() | {"fitted": True, "peak_memory_mb": memory.megabytes}
        with complete_or_not(folder / _SUMMARY) as unfinished:
            unfinished.write_text(json.dumps(summary, indent=1))
        return summary


def failed(reason: str) -> dict[str, Any]:
    """Return what the table says of a lens that was not fitted."""
    said = " ".join(reason.split())
    return about_this_process() | {"verdict": "fail", "fitted": False, "reason": f"error: {said}"}


def about_this_process() -> dict[str, str]:
    """Return version, host and time (UTC)."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"version": pymc_lens.__version__, "host": socket.gethostname(), "finished": now}


class PeakMemory:
    """Watches the memory of this process and its children from another thread.

    Attributes
    ----------
    megabytes : float
        The most that was seen (10^6 bytes): what children share with this process counts for each.
    """

    def __init__(self) -> None:
        self._done, self._process = Event(), psutil.Process()
        self._thread = Thread(target=self._watch, daemon=True, name="pymc_lens: peak memory")
        self.megabytes = 0.0

    def __enter__(self) -> PeakMemory:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(_SECONDS_BETWEEN_LOOKS):
            self._look()

    def _look(self) -> None:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:  # it ended meanwhile
                continue
        self.megabytes = max(self.megabytes, total / 1e6)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Append to a file what is said meanwhile."""
    handler = logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.captureWarnings(True)
    loggers = _log, logging.getLogger("py.warnings")
    for logger in loggers:
        logger.addHandler(handler)
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / _SUMMARY).read_text())
    except (OSError, ValueError):
        return None


def _require_one_thread() -> None:
    """Raise ValueError in a worker that runs several lenses at once: figures and kernels share state."""
    try:
        threads = get_worker().state.nthreads
    except ValueError:  # this is no worker
        return
    if threads != 1:
        raise ValueError(
            f"client: expected workers of one thread each, one has {threads}. Start them with --nthreads 1."
        )


def _is_for_want_of_room(error: BaseException | None) -> bool:
    """Whether the disk is full, or can no more be written to; HDF5 says so in words alone."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        if os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
