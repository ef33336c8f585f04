"""The table of a survey: a journal that grows by a line a lens, and what is made of it now and then."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as pa_csv
from pyarrow import json as pa_json
from pyarrow import parquet

from pymc_lens.storage import complete_or_not

_JOURNAL, _PARQUET, _CSV = "journal.jsonl", "lenses.parquet", "lenses.csv"
_NUMBERS = (
    "theta_e", "theta_e_low", "theta_e_high", "q", "q_low", "q_high", "pa", "shear", "shear_low",
    "shear_high", "chi2_reduced", "log_evidence", "log_z", "log_z_error", "diagnostic", "ess", "wall_s",
    "peak_memory_mb",
)  # fmt: skip
SCHEMA = pa.schema(
    [("name", pa.string()), ("verdict", pa.string()), ("fitted", pa.bool_())]
    + [(name, pa.float64()) for name in _NUMBERS]
    + [("sampler", pa.string()), ("n_pixels", pa.int64()), ("random_seed", pa.int64())]
    + [(name, pa.string()) for name in ("version", "dataset", "host", "finished", "reason")]
)


def row_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the table holds of a summary, as `LensFit` has it."""
    row = {name: summary.get(name) for name in SCHEMA.names}
    for name in ("theta_e", "q", "pa", "shear"):
        interval = summary.get(name) or {}
        row[name] = interval.get("median")
        row |= {f"{name}_{side}": interval[side] for side in ("low", "high") if side in interval}
    return row


class Journal:
    """What a survey has found, a line a lens, each on disk before the next: that is O(1) a lens.

    A lens that is there twice, as one that failed and was tried again, counts once: the last line holds.

    Parameters
    ----------
    folder : Path
        Holds journal.jsonl, if that has been begun, and the tables that are made of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / _JOURNAL
        if self._path.exists():
            self._drop_torn_line()
        else:
            self._path.touch()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a line, whole or not at all.

        Raises
        ------
        OSError
            If that cannot be, as on a full disk: the journal is as it was.
        """
        line = json.dumps({name: _finite(row.get(name)) for name in SCHEMA.names}) + "\n"
        with self._path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                if file.write(line.encode()) != len(line.encode()):
                    raise OSError(f"out: cannot write all of a line to {self._path}. Is the disk full?")
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(end)
                raise

    def table(self) -> pa.Table:
        """Return the last row of each lens, in the order of their names."""
        if not self._path.stat().st_size:
            return SCHEMA.empty_table()
        options = pa_json.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")
        table = pa_json.read_json(self._path, parse_options=options)
        numbered = table.append_column("line", pa.array(range(table.num_rows)))
        last = numbered.group_by("name").aggregate([("line", "max")]).sort_by("name")
        return table.take(last["line_max"])

    def fitted(self) -> set[str]:
        """Names of the lenses that need not be fitted again."""
        table = self.table()
        return set(table.filter(pc.fill_null(table["fitted"], False))["name"].to_pylist())

    def write_tables(self) -> pd.DataFrame:
        """Write ``lenses.parquet`` and ``lenses.csv``, and return what is in them."""
        table = self.table()
        with complete_or_not(self.folder / _PARQUET) as unfinished:
            parquet.write_table(table, unfinished)
        with complete_or_not(self.folder / _CSV) as unfinished:
            pa_csv.write_csv(table, unfinished)
        return table.to_pandas()

    def _drop_torn_line(self) -> None:
        """Cut off what a machine that went down left of a line."""
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self._path, whole)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
