"""The lenses of a survey, and where their images are: checked before anything is fitted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from astropy.table import Table

from pymc_lens.data.imaging import Imaging
from pymc_lens.pipeline.folders import lens_folders, read_folder
from pymc_lens.surveys.cutouts import Cutout
from pymc_lens.validation import integer, positive_number

_log = logging.getLogger(__name__)

_IMAGES = ("image", "noise", "psf")
# Columns that need not be there, and what they must hold. All but the first are arguments of the fit.
_OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    "pixel_scale": positive_number,
    "lens_redshift": positive_number,
    "source_redshift": positive_number,
    "draws": partial(integer, minimum=1),
    "chains": partial(integer, minimum=1),
    "random_seed": partial(integer, minimum=0),
}


class Entry(Protocol):
    """A lens of a catalogue: its name, what of the fit is its own, and how it is read."""

    @property
    def name(self) -> str: ...

    @property
    def options(self) -> Mapping[str, Any]: ...

    def read(self) -> Imaging: ...


@dataclass(frozen=True)
class _Folder:
    name: str
    folder: Path
    pixel_scale: float | None
    options: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> Imaging:
        return read_folder(self.folder, self.pixel_scale)


@dataclass(frozen=True)
class _Row:
    name: str
    image: Cutout
    noise: Cutout
    psf: Cutout
    pixel_scale: float | None
    options: Mapping[str, Any]

    def read(self) -> Imaging:
        image, noise, psf = self.image, self.noise, self.psf
        if not (image.stacked or noise.stacked or psf.stacked):
            return Imaging.from_fits(
                image.path, psf.path, noise.path, self.pixel_scale, image.part, psf.part, noise.part
            )
        assert self.pixel_scale is not None
        return Imaging(image.read(), noise.read(), psf.read(), self.pixel_scale)


@dataclass(frozen=True)
class Catalogue:
    """Lenses that are to be fitted.

    Attributes
    ----------
    entries : tuple
        A lens each: ``name``, ``options`` of the fit that are its own, and ``read()``, which returns its
        `Imaging`.

    Raises
    ------
    ValueError
        If there is no lens, two have one name, or a name cannot be that of a folder.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("catalogue: expected at least one lens, got none.")
        seen: dict[str, int] = {}
        for number, entry in enumerate(self.entries, start=1):
            _require_file_name(entry.name, number)
            if entry.name in seen:
                raise ValueError(
                    f"catalogue, row {number}, column name: {entry.name!r} is the name of row "
                    f"{seen[entry.name]} as well. Give each lens its own."
                )
            seen[entry.name] = number

    @classmethod
    def read(cls, path: str | Path, pixel_scale: float | None = None) -> Catalogue:
        """Read a folder of folders, or a table.

        Parameters
        ----------
        path : path
            A folder with a folder a lens, each with image.fits, noise.fits and psf.fits; or a table: Parquet
            (``.parquet``), CSV (``.csv``) or FITS (others), see `from_table`.
        pixel_scale : float, optional
            Arcsec; by default that of the images' headers.

        Returns
        -------
        Catalogue

        Raises
        ------
        ValueError
            If there is no lens, ``pixel_scale`` is not positive, or as `from_table`.
        OSError
            If there is no such table.
        """
        _require_scale(pixel_scale)
        path = Path(path)
        if path.is_dir() or not path.suffix:
            folders = lens_folders(path)
            return cls(tuple(_Folder(each.resolve().name, each.resolve(), pixel_scale) for each in folders))
        return cls.from_table(_table(path), path.resolve().parent, pixel_scale)

    @classmethod
    def from_table(
        cls, table: pd.DataFrame, folder: str | Path = ".", pixel_scale: float | None = None
    ) -> Catalogue:
        """Take lenses from the rows of a table.

        Parameters
        ----------
        table : DataFrame
            With the columns ``name``, and ``image``, ``noise`` and ``psf``: a FITS file each, ``file.fits``;
            an extension of one, by number or name, ``file.fits[2]``; or an image in a stack of them,
            ``file.fits[extension][index]`` or ``file.h5[dataset][index]``. Lenses may share files. The
            columns ``pixel_scale`` (arcsec; stacks need it), ``lens_redshift``, ``source_redshift``,
            ``draws``, ``chains`` and ``random_seed`` are for what a lens has of its own; a row in which one
            is empty takes what the survey is called with. Other columns are not read.
        folder : path
            What paths are relative to.
        pixel_scale : float, optional
            Arcsec, of the lenses that have none of their own.

        Returns
        -------
        Catalogue

        Raises
        ------
        ValueError
            If a column or a file is missing, a name is there twice or can be no name of a folder, or a number
            is none: names row (from 1) and column. Or if ``pixel_scale`` is not positive.
        """
        _require_scale(pixel_scale)
        missing = [name for name in ("name", *_IMAGES) if name not in table.columns]
        if missing:
            raise ValueError(
                f"catalogue: expected the columns name, image, noise and psf; missing are "
                f"{', '.join(missing)}, got {', '.join(map(str, table.columns))}."
            )
        others = [str(name) for name in table.columns if name not in ("name", *_IMAGES, *_OPTIONS)]
        if others:
            _log.info("Columns of the catalogue that are not read: %s.", ", ".join(others))
        rows = table.to_dict("records")
        return cls(
            tuple(_row(row, number, Path(folder), pixel_scale) for number, row in enumerate(rows, start=1))
        )


def _require_scale(pixel_scale: float | None) -> None:
    if pixel_scale is not None:
        positive_number("pixel_scale", pixel_scale)


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path, dtype={name: str for name in ("name", *_IMAGES)})
    table = Table.read(path)
    table.convert_bytestring_to_unicode()
    return table.to_pandas()


def _row(row: Mapping[Any, Any], number: int, folder: Path, pixel_scale: float | None) -> _Row:
    """Check a row of a table."""
    where = f"catalogue, row {number} ({row['name']}), column"

    def checked(column: str, check: Callable[[], Any]) -> Any:
        try:
            return check()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where} {column}: {str(error).removeprefix(f'{column}: ')}") from None

    images = {name: checked(name, partial(_cutout, row[name], folder)) for name in _IMAGES}
    options = {
        name: checked(name, partial(check, name, _whole(row[name])))
        for name, check in _OPTIONS.items()
        if name in row and not pd.isna(row[name])
    }
    scale = options.pop("pixel_scale", pixel_scale)
    if scale is None and any(image.stacked for image in images.values()):
        raise ValueError(f"{where} pixel_scale: stacks of images need one.")
    if options.get("lens_redshift", 0.0) >= options.get("source_redshift", float("inf")):
        raise ValueError(
            f"{where} source_redshift: expected more than lens_redshift, {options['lens_redshift']}, got "
            f"{options['source_redshift']}."
        )
    name = "" if pd.isna(row["name"]) else str(row["name"])
    return _Row(name, images["image"], images["noise"], images["psf"], scale, options)


def _cutout(text: Any, folder: Path) -> Cutout:
    if not isinstance(text, str):
        raise ValueError(f"expected a path, got {text!r}.")
    return Cutout.parse(text, folder)


def _whole(value: Any) -> Any:
    """Return the integer that a column with empty cells holds as a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _require_file_name(name: str, number: int) -> None:
    # Folders of lenses lie beside the survey's own files.
    if not name or name.startswith(".") or "/" in name or name.startswith("lenses."):
        raise ValueError(
            f"catalogue, row {number}, column name: expected what can be the name of a folder, got {name!r}."
        )
