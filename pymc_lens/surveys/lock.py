"""One survey at a time writes to a folder, and always the same one."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pymc_lens.storage import complete_or_not

_log = logging.getLogger(__name__)

_NAME, _OPTIONS = ".lock", "options.json"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder for this survey.

    The operating system lets go of the lock when its process ends, however that ends: none is ever stale. The
    file, which says who holds it, stays.

    Raises
    ------
    OSError
        If another survey holds it: says which.
    """
    with (folder / _NAME).open("a+") as file:
        _lock(file.fileno(), folder / _NAME)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(
            f"out: another survey writes to {path.parent}: {path.read_text() or 'unknown'}. Wait for it, or "
            "take another folder."
        ) from None
    except OSError as error:
        # As some parallel file systems are mounted.
        if error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            raise
        _log.warning("%s has no locks (%s): do not run a second survey there.", path.parent, error)


def require_same(folder: Path, fit: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise ValueError if a folder holds lenses that were fitted otherwise; note how they are.

    Parameters
    ----------
    folder : Path
    fit : callable
    options : mapping
        Of the fit.
    """
    path, said = folder / _OPTIONS, {"fit": fit, **options}
    said = {name: _told(value) for name, value in said.items()}
    if not path.exists():
        with complete_or_not(path) as unfinished:
            unfinished.write_text(json.dumps(said, indent=1))
        return
    former = json.loads(path.read_text())
    other = [name for name in {**former, **said} if former.get(name) != said.get(name)]
    if other:
        had, has = (", ".join(f"{name}={each.get(name)}" for name in other) for each in (former, said))
        raise ValueError(
            f"out: the lenses in {folder} were fitted with {had}, now it is {has}. Take another folder."
        )


def _told(value: Any) -> str:
    """Tell a value, a function by its name: the same in every process."""
    if isinstance(value, partial):
        given = [*map(_told, value.args), *(f"{name}={_told(each)}" for name, each in value.keywords.items())]
        return f"{_told(value.func)}({', '.join(given)})"
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    said = repr(value)
    return _told(type(value)) if " at 0x" in said else said
