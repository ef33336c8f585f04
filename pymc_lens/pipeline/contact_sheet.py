"""All lenses of a survey on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.colors import Normalize

from pymc_lens.plot.images import INTENSITY_MAP, RESIDUAL_MAP, intensity_norm

_GROUPS = ["image_reconstruction", "source_reconstruction"]
# A column each.
_TITLES = ("data", "lens-subtracted", "model", "residual (5 sigma)", "source")
_LIMIT = 5.0
# Inches.
_PANEL = 1.7


def save_contact_sheet(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw a row for each lens that has been fitted: data, lensed source, its model, residuals and source."""
    fitted = [row for row in rows if (out / row["name"] / "posterior.nc").exists()]
    if not fitted:
        return
    size = (_PANEL * (len(_TITLES) + 0.6), _PANEL * len(fitted) + 0.4)
    figure, axes = plt.subplots(len(fitted), len(_TITLES), figsize=size, squeeze=False, layout="constrained")
    for row, panels in zip(fitted, axes, strict=True):
        _draw(panels, out / row["name"] / "posterior.nc")
        label = f'{row["name"]}\n{row["theta_e"]:.3f}" {row["verdict"]}'
        panels[0].set_ylabel(label, fontsize=7)
    for ax, title in zip(axes[0], _TITLES, strict=True):
        ax.set_title(title, fontsize=8)
    figure.savefig(out / "lenses.png", dpi=150)
    plt.close(figure)


def _draw(panels: np.ndarray, path: Path) -> None:
    with xr.open_datatree(path, engine="h5netcdf") as idata:
        images, source = (idata[group].to_dataset().load() for group in _GROUPS)
    subtracted = images["data"] - images["lens_light"]
    arcs = intensity_norm(images["lensed_source"].values)
    shown = (
        (images["data"], intensity_norm(images["data"].values), INTENSITY_MAP),
        (subtracted, arcs, INTENSITY_MAP),
        (images["lensed_source"], arcs, INTENSITY_MAP),
        (images["normalized_residual"], Normalize(-_LIMIT, _LIMIT), RESIDUAL_MAP),
        (source["mean"], intensity_norm(source["mean"].values), INTENSITY_MAP),
    )
    for ax, (image, norm, colours) in zip(panels, shown, strict=True):
        fitted = image.dropna(image.dims[0], how="all").dropna(image.dims[1], how="all")
        ax.imshow(fitted.values, origin="lower", norm=norm, cmap=colours)
        ax.set(xticks=[], yticks=[])
