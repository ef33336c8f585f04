"""Results on disk: written so that neither a full disk nor a read-only folder costs what is there already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from xarray import DataTree

from pymc_lens.validation import require_instance


def make_folder(path: str | Path) -> Path:
    """Make a folder for results, and see whether files can be written there: before the work, not after.

    Parameters
    ----------
    path : path
        Missing parents are made as well.

    Returns
    -------
    Path

    Raises
    ------
    OSError
        If the folder cannot be made, or nothing written to it: names the folder.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
    except OSError as error:
        raise OSError(f"path: cannot write to the folder {folder} ({error}). Choose another.") from error
    return folder


def save(idata: DataTree, path: str | Path) -> Path:
    """Write draws to a netCDF file that is complete or not there: an earlier one stays until then.

    ``xarray.open_datatree(path)`` and ``arviz.from_netcdf(path)`` read it. The model is not in it, but is
    made again by the same code.

    Parameters
    ----------
    idata : DataTree
    path : path
        Replaced if it exists. Missing folders are made.

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        If ``idata`` is something else.
    OSError
        If the file cannot be written, as on a full disk; ``idata`` and an earlier file are as they were.
    """
    require_instance("idata", idata, DataTree)
    path = Path(path)
    make_folder(path.parent)
    with complete_or_not(path) as unfinished:
        idata.to_netcdf(unfinished, engine="h5netcdf")
    return path


@contextmanager
def complete_or_not(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of a file once that has gone well."""
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
