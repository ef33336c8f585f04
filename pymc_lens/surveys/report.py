"""A survey as a page for a browser: one file beside the lenses' folders, without a network or a server."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from pymc_lens.storage import complete_or_not

_TEMPLATE = Path(__file__).with_name("report.html")
_COLUMNS = [
    "name", "verdict", "reason", "theta_e", "theta_e_low", "theta_e_high", "q", "pa", "shear", "chi2_reduced",
    "log_z", "diagnostic", "ess", "wall_s", "peak_memory_mb", "fitted",
]  # fmt: skip


def write_report(table: pd.DataFrame, out: Path) -> None:
    """Write ``report.html``: the table, to be sorted and searched, with a picture of each fit.

    Parameters
    ----------
    table : DataFrame
        That of `survey`.
    out : Path
        Its folder; pictures are the lenses' own ``page.png``.
    """
    shown = json.loads(table[_COLUMNS].to_json(orient="split", index=False, double_precision=8))
    # "</script>" in a reason would end the data.
    data = json.dumps({"columns": shown["columns"], "rows": shown["data"]}).replace("<", "\\u003c")
    with complete_or_not(out / "report.html") as unfinished:
        unfinished.write_text(_TEMPLATE.read_text("utf-8").replace("{{data}}", data), "utf-8")
