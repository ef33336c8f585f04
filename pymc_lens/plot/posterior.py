"""Figures of a posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde
from xarray import DataTree

from pymc_lens.plot.images import fitted_region, image_extent, intensity_norm, show_image, show_residuals
from pymc_lens.validation import require_instance

_LEVELS = (0.95, 0.68)
_IMAGES, _SOURCE = "image_reconstruction", "source_reconstruction"


def subplot_posterior(idata: DataTree, var_names: Sequence[str] | None = None) -> Figure:
    """Corner figure: every parameter's distribution and every pair's 68 % and 95 % regions.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group.
    var_names : sequence of str, optional
        By default every variable of the posterior.

    Raises
    ------
    ValueError
        If a name is not in the posterior.
    """
    columns = _flat_parameters(idata, var_names)
    names, n = list(columns), len(columns)
    figure, axes = plt.subplots(n, n, figsize=(1.75 * n + 1.0, 1.75 * n + 0.6), squeeze=False)
    for row, column in np.ndindex(n, n):
        ax = cast(Axes, axes[row, column])
        if column > row:
            ax.set_axis_off()
            continue
        x, y = columns[names[column]], columns[names[row]]
        if row == column:
            ax.hist(x, bins=30, density=True, histtype="stepfilled", color="C0", alpha=0.5)
            ax.set_title(f"{x.mean():.4g} $\\pm$ {x.std():.2g}", fontsize=8)
            ax.set_yticks([])
        else:
            _pair(ax, x, y)
        ax.locator_params(nbins=3)
        ax.tick_params(labelsize=7, labelrotation=35, labelbottom=row == n - 1, labelleft=column == 0 < row)
        if row == n - 1:
            ax.set_xlabel(names[column], fontsize=8)
        if column == 0 and row > 0:
            ax.set_ylabel(names[row], fontsize=8)
    figure.align_labels()
    figure.subplots_adjust(left=0.1, bottom=0.1, right=0.98, top=0.95, wspace=0.08, hspace=0.08)
    return figure


def subplot_reconstruction(idata: DataTree, var_name: str | None = None) -> Figure:
    """Posterior mean of model, residuals, lens light and source, and the source's standard deviation.

    Parameters
    ----------
    idata : DataTree
        With the groups that `pymc_lens.reconstruct` adds.
    var_name : str, optional
        Name of the image, where the model has several.

    Raises
    ------
    TypeError
        If ``idata`` is something else.
    ValueError
        If it has no such groups.
    """
    images, sources = _reconstruction(idata, var_name)
    pixel_scales = float(images["x"][1] - images["x"][0])
    extent = image_extent(images["data"].shape, pixel_scales)  # type: ignore[arg-type]
    grid_extent = tuple(
        float(sources[axis][end])
        for axis, end in (("grid_x", 0), ("grid_x", -1), ("grid_y", 0), ("grid_y", -1))
    )
    figure, axes = plt.subplots(2, 3, figsize=(14.5, 8.6), layout="constrained")
    norm = intensity_norm(images["data"].values)
    source_norm = intensity_norm(images["lensed_source"].values)
    region = fitted_region(images["data"].values, pixel_scales)
    subtracted = (images["data"] - images["lens_light"]).values
    show_image(
        axes[0, 0], images["data"].values, extent, title="Data", label="data units", norm=norm, region=region
    )
    show_image(
        axes[0, 1],
        images["model_image"].values,
        extent,
        title="Mean model",
        label="data units",
        norm=norm,
        region=region,
    )
    show_residuals(
        axes[0, 2],
        images["normalized_residual"].values,
        extent,
        title="Normalized residual",
        label=r"$\sigma$",
        region=region,
    )
    show_image(
        axes[1, 0],
        subtracted,
        extent,
        title="Lens-subtracted data",
        label="data units",
        norm=source_norm,
        region=region,
    )
    for ax, name, title in (
        (axes[1, 1], "mean", "Source, mean"),
        (axes[1, 2], "sd", "Source, standard deviation"),
    ):
        values = sources[name].values
        show_image(
            ax, values, grid_extent, title=title, label="data units", norm=intensity_norm(values)  # type: ignore[arg-type]
        )  # fmt: skip
    return figure


def _reconstruction(idata: DataTree, var_name: str | None) -> tuple[xr.Dataset, xr.Dataset]:
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
    return idata[f"{prefix}{_IMAGES}"].to_dataset(), idata[f"{prefix}{_SOURCE}"].to_dataset()


def _flat_parameters(idata: DataTree, var_names: Sequence[str] | None) -> dict[str, np.ndarray]:
    posterior = idata["posterior"].to_dataset()
    missing = set(var_names or ()) - set(posterior.data_vars)
    if missing:
        raise ValueError(f"var_names: {sorted(missing)} are not in the posterior.")
    columns = {}
    for name in var_names or posterior.data_vars:
        values = posterior[name].values.reshape(posterior.sizes["chain"] * posterior.sizes["draw"], -1)
        for k in range(values.shape[1]):
            columns[str(name) if values.shape[1] == 1 else f"{name}[{k}]"] = values[:, k]
    return columns


def _pair(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    ax.plot(x, y, ".", color="C0", markersize=1.0, alpha=0.3, rasterized=True)
    density = gaussian_kde(np.stack([x, y]))
    at_draws = density(np.stack([x, y]))
    grid_x, grid_y = np.meshgrid(np.linspace(x.min(), x.max(), 60), np.linspace(y.min(), y.max(), 60))
    heights = density(np.stack([grid_x.ravel(), grid_y.ravel()])).reshape(grid_x.shape)
    ax.contour(
        grid_x, grid_y, heights, [np.quantile(at_draws, 1.0 - level) for level in _LEVELS], colors="C0"
    )
