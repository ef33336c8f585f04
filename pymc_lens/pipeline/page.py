"""A lens on one page: its fit, its numbers, and what its verdict rests on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from pymc_lens.fit import FitImaging
from pymc_lens.plot.fit import subplot_fit
from pymc_lens.storage import complete_or_not

# Inches: portrait, A4.
_PAGE = (8.27, 11.0)
_COLOURS = {"keep": "tab:green", "review": "tab:orange", "fail": "tab:red"}
_SIZE = 6.5


def save_page(title: str, fit: FitImaging, summary: Mapping[str, Any], path: Path) -> None:
    """Draw the page into a PNG file.

    Parameters
    ----------
    title : str
    fit : FitImaging
        Of one source.
    summary : mapping
        That of `LensFit`.
    path : Path
    """
    figure = plt.figure(figsize=_PAGE, layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.15, 1.0))
    above, below = halves
    radius = summary["theta_e"]
    above.suptitle(
        f"{title}: {summary['verdict']}    "
        rf"$\theta_\mathrm{{E}}$ = {radius['median']:.4f}$''$ "
        f"({radius['low']:.4f} to {radius['high']:.4f})",
        color=_COLOURS[summary["verdict"]],
    )
    axes = above.subplots(2, 3)
    subplot_fit(fit, axes=axes)
    for ax in [*axes.flat, *(other for other in above.axes if other not in axes)]:
        ax.tick_params(labelsize=_SIZE)
        ax.title.set_size(_SIZE + 1.0)
        for label in (ax.xaxis.label, ax.yaxis.label):
            label.set_size(_SIZE)
    left, right = below.subplots(1, 2, width_ratios=(1.0, 1.15))
    _table(left, "Posterior", ["", "mean", "sd"], _parameters(summary))
    _table(right, "Verdict", ["criterion", "value", "threshold", ""], _criteria(summary))
    with complete_or_not(path) as unfinished:
        figure.savefig(unfinished, dpi=150, format="png")
    plt.close(figure)


def _parameters(summary: Mapping[str, Any]) -> list[list[str]]:
    rows = [[name, f"{row['mean']:.4f}", f"{row['sd']:.4f}"] for name, row in summary["parameters"].items()]
    said = f"{summary['ess']:.0f} draws, {summary['sampler']}"
    log_z = "" if summary["log_z"] is None else f"{summary['log_z']:.2f}"
    return [*rows, ["$\\ln Z$", log_z, said], ["seconds", f"{summary['wall_s']:.0f}", ""]]


def _criteria(summary: Mapping[str, Any]) -> list[list[str]]:
    return [
        [each["name"], f"{each['value']:.3g}", f"{each['threshold']:.3g}", each["grade"]]
        for each in summary["criteria"]
    ]


def _table(ax: Axes, title: str, heads: list[str], rows: list[list[str]]) -> None:
    ax.set_axis_off()
    ax.set_title(title, fontsize=_SIZE + 2.0, loc="left")
    widths = [0.4, *[0.6 / (len(heads) - 1)] * (len(heads) - 1)]
    table = ax.table(
        rows, colLabels=heads, colWidths=widths, cellLoc="left", loc="upper center", edges="horizontal"
    )
    table.auto_set_font_size(False)
    table.set_fontsize(_SIZE)
    for (_, column), cell in table.get_celld().items():
        cell.set_linewidth(0.3)
        grade = cell.get_text().get_text()
        if column == len(heads) - 1 and grade in _COLOURS:
            cell.get_text().set_color(_COLOURS[grade])
