"""One survey at a time writes to a folder."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)

_NAME = ".lock"


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
