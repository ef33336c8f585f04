"""Where an image is: a file, an extension of one, or a place in a stack of cutouts."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from astropy.io import fits

from pymc_lens.data._fits import read_fits

_REFERENCE = re.compile(r"(?P<path>.+?)(\[(?P<part>[^][]+)\])?(\[(?P<index>\d+)\])?")
_HDF5 = (".h5", ".hdf5")


class Cutout(NamedTuple):
    """An image in a file.

    Attributes
    ----------
    path : Path
    part : int or str
        Number or name of the extension; name of the dataset in HDF5.
    place : int, optional
        Along the first axis of a stack of images.
    """

    path: Path
    part: int | str
    place: int | None

    @classmethod
    def parse(cls, text: str, folder: Path) -> Cutout:
        """Read ``file``, ``file[part]`` or ``file[part][index]``; a path is relative to a folder.

        Raises
        ------
        ValueError
            If it is written otherwise, or there is no such file, part or index.
        """
        match = _REFERENCE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"expected a path, path[extension] or path[extension][index], got {text!r}.")
        path, part = folder / match["path"], match["part"] or "0"
        if not path.is_file():
            raise ValueError(f"there is no file {path}.")
        if path.suffix in _HDF5 and match["part"] is None:
            raise ValueError(f"{path} is HDF5: name the dataset, {path.name}[dataset] or with an [index].")
        number = int(part) if part.isdigit() and path.suffix not in _HDF5 else part
        cutout = cls(path, number, None if match["index"] is None else int(match["index"]))
        if cutout.stacked:
            cutout.require_place()
        return cutout

    @property
    def stacked(self) -> bool:
        """Whether it is anything else than a FITS extension of its own."""
        return self.place is not None or self.path.suffix in _HDF5

    def require_place(self) -> None:
        """Raise ValueError unless the stack has this place."""
        shape = _shape(self.path, self.part)
        expected = 2 if self.place is None else 3
        if len(shape) != expected:
            raise ValueError(f"{self.path}[{self.part}]: expected {expected} axes, got shape {shape}.")
        if self.place is not None and self.place >= shape[0]:
            raise ValueError(f"{self.path}[{self.part}] holds {shape[0]} images, there is no {self.place}.")

    def read(self) -> np.ndarray:
        """Return the image (ny, nx)."""
        if self.path.suffix in _HDF5:
            with h5py.File(self.path) as file:
                array = file[self.part][() if self.place is None else self.place]
        elif self.place is None:
            array = read_fits(self.path, self.part, "path").array
        else:
            with fits.open(self.path) as hdus:
                array = hdus[self.part].section[self.place]
        return np.asarray(array, np.float64)


@lru_cache(maxsize=64)
def _shape(path: Path, part: int | str) -> tuple[int, ...]:
    try:
        if path.suffix in _HDF5:
            with h5py.File(path) as file:
                shape: Any = file[part].shape
        else:
            with fits.open(path) as hdus:
                shape = hdus[part].shape
    except (AttributeError, IndexError, KeyError, OSError) as error:
        raise ValueError(f"{path} has no images {part!r} ({error}).") from error
    return tuple(shape)
