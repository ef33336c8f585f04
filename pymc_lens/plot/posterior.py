"""Figures of a posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from arviz_base import xarray_sel_iter
from arviz_base.labels import BaseLabeller
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.stats import gaussian_kde
from xarray import DataTree

from pymc_lens.plot.images import (
    Extent,
    frame,
    intensity_norm,
    panels,
    show_image,
    show_residuals,
)
from pymc_lens.validation import require_instance

_SAMPLES = ("chain", "draw", "sample")
_LEVELS = (0.95, 0.68)
_IMAGES, _OF_SOURCES = "image_reconstruction", "_reconstruction"
# Inches: of a panel of the corner figure, and of what surrounds them.
_CORNER_PANEL, _CORNER_MARGIN = 1.75, 1.0
# Powers of ten beyond which numbers are written with an exponent.
_LARGE, _SMALL = 5, -3
_TRUTH = {"color": "C3", "linewidth": 1.2}


class _Column(NamedTuple):
    """Draws (n,) of one number, by the name of its variable and its own."""

    variable: str
    name: str
    draws: np.ndarray


def subplot_posterior(
    idata: DataTree,
    var_names: Sequence[str] | None = None,
    *,
    truths: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    axes: Any = None,
) -> Figure:
    """Corner figure: every parameter's distribution and every pair's 68 % and 95 % regions.

    Titles are means and standard deviations, with the digits that these warrant.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group.
    var_names : sequence of str, optional
        By default every variable of the posterior.
    truths : mapping of str to float or array, optional
        Values to mark, by variable.
    labels : mapping of str to str, optional
        What to write for a variable, or for one of its components (``"ell_comps[e_y]"``).
    axes : (n, n) array of Axes, optional
        Where to draw n numbers; by default in a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError
        If ``idata`` is something else.
    ValueError
        If it has no posterior or no draws, a name is not in it, a truth has another shape, or there are more
        or fewer axes.
    """
    columns = _columns(idata, var_names)
    marks, names = _truths(columns, truths or {}), _labels(columns, labels or {})
    n = len(columns)
    figure, axes = _corner_panels(axes, n)
    for row, column in np.ndindex(n, n):
        ax = axes[row, column]
        if column > row:
            ax.set_axis_off()
            continue
        x, y = columns[column].draws, columns[row].draws
        if row == column:
            ax.hist(x, bins=30, density=True, histtype="stepfilled", color="C0", alpha=0.5)
            ax.set_title(mean_and_deviation(x), fontsize=8)
            ax.set_yticks([])
        else:
            _pair(ax, x, y)
            _mark(ax.axhline, marks[row])
        _mark(ax.axvline, marks[column])
        _sparse_ticks(ax, is_diagonal=row == column)
        ax.tick_params(labelsize=7, labelbottom=row == n - 1, labelleft=column == 0 < row)
        ax.tick_params(axis="x", labelrotation=45)
        if row == n - 1:
            ax.set_xlabel(names[column], fontsize=8)
        if column == 0 < row:
            ax.set_ylabel(names[row], fontsize=8)
    figure.align_labels()
    return figure


def subplot_reconstruction(idata: DataTree, var_name: str | None = None, *, axes: Any = None) -> Figure:
    """Posterior mean of model, residuals, lens light and source, and the source's standard deviation.

    Where there are several sources, each has a row with its lensed image, mean and standard deviation.

    Parameters
    ----------
    idata : DataTree
        With the groups that `pymc_lens.reconstruct` adds.
    var_name : str, optional
        Name of the image, where the model has several.
    axes : (1 + n_sources, 3) array of Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Figure
        All axes in arcsec.

    Raises
    ------
    TypeError
        If ``idata`` is something else.
    ValueError
        If it has no such groups, or there are more or fewer axes.
    """
    images, sources = _reconstruction(idata, var_name)
    figure, axes = panels(axes, (1 + len(sources), 3))
    data, unit = images["data"].values, images["data"].attrs["units"]
    where = frame(data, float(images["x"][1] - images["x"][0]))
    norm = intensity_norm(data)
    show_image(axes[0, 0], data, title="Data", label=unit, norm=norm, **where)
    model, residual = images["model_image"].values, images["normalized_residual"].values
    show_image(axes[0, 1], model, title="Model, mean", label=unit, norm=norm, **where)
    show_residuals(axes[0, 2], residual, title="Normalized residual", label=r"$\sigma$", **where)
    for row, (source, reconstruction) in zip(axes[1:], sources.items(), strict=True):
        lensed, title = images["lensed_source"].values, "Lens-subtracted data"
        image = data - (images["model_image"] - images["lensed_source"]).values
        if len(sources) > 1:
            lensed = image = images[source].values
            title = f"Lensed image of {source}, mean"
        show_image(row[0], image, title=title, label=unit, norm=intensity_norm(lensed), **where)
        extent = _grid_extent(reconstruction)
        for ax, name, moment in ((row[1], "mean", "mean"), (row[2], "sd", "standard deviation")):
            values = reconstruction[name].values
            title = f"{source.capitalize()}, {moment}"
            show_image(ax, values, extent, title=title, label=unit, norm=intensity_norm(values))
    return figure


def mean_and_deviation(draws: np.ndarray) -> str:
    """Write a mean and its standard deviation with two digits of the latter."""
    mean, deviation = float(draws.mean()), float(draws.std())
    if not deviation > 0.0:
        return f"{mean:.6g}"
    exponent = _leading(max(abs(mean), deviation))
    if _SMALL <= exponent < _LARGE:
        decimals = max(0, 1 - _leading(deviation))
        return rf"{mean:.{decimals}f} $\pm$ {deviation:.{decimals}f}"
    decimals = max(0, exponent + 1 - _leading(deviation))
    scale = 10.0**exponent
    return rf"({mean / scale:.{decimals}f} $\pm$ {deviation / scale:.{decimals}f}) $10^{{{exponent}}}$"


def _leading(value: float) -> int:
    """Power of ten of the first digit, once rounded to two."""
    return int(f"{value:.1e}".split("e")[1])


def _columns(idata: DataTree, var_names: Sequence[str] | None) -> list[_Column]:
    require_instance("idata", idata, DataTree)
    if "posterior" not in idata.children:
        raise ValueError(f"idata: expected a posterior group, got the groups {sorted(idata.children)}.")
    posterior = idata["posterior"].to_dataset()
    names = [var_names] if isinstance(var_names, str) else list(var_names or posterior.data_vars)
    missing = [name for name in names if name not in posterior.data_vars]
    if missing:
        raise ValueError(
            f"var_names: {missing} are not in the posterior, which has {list(posterior.data_vars)}."
        )
    posterior = posterior[names].transpose(*_SAMPLES, ..., missing_dims="ignore")
    columns = [
        _Column(
            str(name), BaseLabeller().make_label_flat(name, at, place), posterior[name][place].values.ravel()
        )
        for name, at, place in xarray_sel_iter(posterior, skip_dims=set(_SAMPLES))
    ]
    if not columns or not columns[0].draws.size:
        raise ValueError("idata: there are no draws of any variable.")
    return columns


def _truths(columns: list[_Column], truths: Mapping[str, Any]) -> list[float | None]:
    marks: list[float | None] = [None] * len(columns)
    for name, value in truths.items():
        members = [k for k, column in enumerate(columns) if name in (column.variable, column.name)]
        values = np.ravel(np.asarray(value, dtype=np.float64))
        if not members:
            raise ValueError(f"truths: {name!r} is not shown; {_shown(columns)} are.")
        if values.size != len(members):
            raise ValueError(f"truths: expected {len(members)} numbers for {name!r}, got {value!r}.")
        for k, number in zip(members, values.tolist(), strict=True):
            marks[k] = number
    return marks


def _labels(columns: list[_Column], labels: Mapping[str, str]) -> list[str]:
    unknown = set(labels) - {column.name for column in columns} - {column.variable for column in columns}
    if unknown:
        raise ValueError(f"labels: {sorted(unknown)} are not shown; {_shown(columns)} are.")
    written = []
    for variable, name, _ in columns:
        component = name.removeprefix(variable)
        written.append(labels.get(name) or labels.get(variable, variable) + component)
    return written


def _shown(columns: list[_Column]) -> list[str]:
    return [column.name for column in columns]


def _corner_panels(axes: Any, n: int) -> tuple[Figure, np.ndarray]:
    if axes is not None:
        return panels(axes, (n, n), (_CORNER_PANEL, _CORNER_PANEL))
    size = _CORNER_PANEL * n + 1.5 * _CORNER_MARGIN
    figure, axes = plt.subplots(n, n, figsize=(size, size), squeeze=False)
    near, far = _CORNER_MARGIN / size, 1.0 - 0.5 * _CORNER_MARGIN / size
    figure.subplots_adjust(left=near, bottom=near, right=far, top=far, wspace=0.08, hspace=0.08)
    return figure, axes


def _sparse_ticks(ax: Axes, is_diagonal: bool) -> None:
    for axis in (ax.xaxis,) if is_diagonal else (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(3, prune="both"))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def _pair(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    ax.plot(x, y, ".", color="C0", markersize=1.0, alpha=0.3, rasterized=True)
    try:
        density = gaussian_kde(np.stack([x, y]))
    except (np.linalg.LinAlgError, ValueError):
        return  # draws along a line, or hardly any, have no regions
    at_draws = density(np.stack([x, y]))
    grid_x, grid_y = np.meshgrid(np.linspace(x.min(), x.max(), 60), np.linspace(y.min(), y.max(), 60))
    heights = density(np.stack([grid_x.ravel(), grid_y.ravel()])).reshape(grid_x.shape)
    ax.contour(
        grid_x, grid_y, heights, [np.quantile(at_draws, 1.0 - level) for level in _LEVELS], colors="C0"
    )


def _mark(line: Any, value: float | None) -> None:
    if value is not None:
        line(value, **_TRUTH)


def _reconstruction(idata: DataTree, var_name: str | None) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
    """Return the groups of images and of the source of an image that was reconstructed."""
    require_instance("idata", idata, DataTree)
    prefixes = {
        str(child.attrs["image"]): group.removesuffix(_IMAGES)
        for group, child in idata.children.items()
        if group.endswith(_IMAGES) and "image" in child.attrs
    }
    if not prefixes:
        raise ValueError("idata: expected the groups that pymc_lens.reconstruct adds, there are none.")
    if var_name not in prefixes and (var_name is not None or len(prefixes) > 1):
        raise ValueError(f"var_name: expected one of the images {sorted(prefixes)}, got {var_name!r}.")
    prefix = prefixes[var_name] if var_name is not None else next(iter(prefixes.values()))
    sources = {
        group.removeprefix(prefix).removesuffix(_OF_SOURCES): child.to_dataset()
        for group, child in idata.children.items()
        if group.startswith(prefix) and group.endswith(_OF_SOURCES) and not group.endswith(_IMAGES)
    }
    return idata[f"{prefix}{_IMAGES}"].to_dataset(), sources


def _grid_extent(sources: xr.Dataset) -> Extent:
    """Edges of the pixels of the source's grid."""
    (left, right, nx), (bottom, top, ny) = (
        (float(sources[axis][0]), float(sources[axis][-1]), sources.sizes[axis])
        for axis in ("grid_x", "grid_y")
    )
    half_x, half_y = 0.5 * (right - left) / (nx - 1), 0.5 * (top - bottom) / (ny - 1)
    return left - half_x, right + half_x, bottom - half_y, top + half_y
