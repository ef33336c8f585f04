"""Where PyTensor keeps what it compiles: without a folder that can be written to it compiles nothing."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path

from pytensor import config


def require_compile_folder() -> None:
    """Give PyTensor a folder for this process where its own, by default in the home folder, is of no use.

    It is made anew and no other user can read or write it: what lies in it is run.
    """
    folder = Path(config.base_compiledir)
    if _is_of_use(folder):
        return
    mine = Path(tempfile.mkdtemp(prefix="pymc_lens-"))
    atexit.register(_remove, mine, os.getpid())
    # PyTensor reads the setting when it is imported, which has happened; nothing has been compiled since.
    type(config).__dict__["base_compiledir"].val = mine
    warnings.warn(
        f"PyTensor cannot write to {folder}: what it compiles is kept in {mine}, for this process alone. Set "
        "the environment variable PYTENSOR_FLAGS to base_compiledir=/a/folder/of/your/own.",
        stacklevel=2,
    )


def _is_of_use(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _remove(folder: Path, process: int) -> None:
    # A forked process shares the folder.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


require_compile_folder()
