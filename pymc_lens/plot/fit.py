"""The figure of one fit."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pymc_lens.fit import FitImaging
from pymc_lens.plot.caustics import critical_curves
from pymc_lens.plot.images import (
    RESIDUAL_MAP,
    fitted_region,
    image_extent,
    intensity_norm,
    show_image,
    show_residuals,
)
from pymc_lens.plot.source import show_cells


def subplot_fit(fit: FitImaging) -> Figure:
    """Draw data, model, residuals, lens-subtracted data and source plane in six panels.

    Parameters
    ----------
    fit : FitImaging

    Returns
    -------
    Figure
        All axes in arcsec; critical curves on the lens-subtracted image, caustics on the source plane.
    """
    figure, axes = plt.subplots(2, 3, figsize=(14.5, 8.6), layout="constrained")
    pixel_scales = fit.dataset.pixel_scales
    extent = image_extent(fit.data.shape, pixel_scales)
    region = fitted_region(fit.data, pixel_scales)
    unit = fit.dataset.unit or "data units"
    norm = intensity_norm(fit.data)
    critical, caustics = critical_curves(fit.tracer, region)
    show_image(axes[0, 0], fit.data, extent, title="Data", label=unit, norm=norm, region=region)
    show_image(axes[0, 1], fit.model_image, extent, title="Model", label=unit, norm=norm, region=region)
    show_residuals(axes[0, 2], fit.residual_map, extent, title="Residual", label=unit, region=region)
    show_residuals(
        axes[1, 0],
        fit.normalized_residual_map,
        extent,
        title=rf"Normalized residual ($\chi^2/N$ = {fit.reduced_chi_squared:.3f})",
        label=r"$\sigma$",
        region=region,
    )
    source = fit.lensed_source
    show_image(
        axes[1, 1],
        fit.lens_subtracted_image,
        extent,
        title="Lens-subtracted data, critical curves",
        label=unit,
        norm=intensity_norm(np.where(np.isfinite(source), source, 0.0)),
        region=region,
    )
    draw_curves(axes[1, 1], critical)
    brightness = fit.source_brightness(fit.mesh_vertices)
    show_cells(axes[1, 2], fit.mesh_vertices, brightness, title="Source plane, caustics", label=unit)
    draw_curves(axes[1, 2], caustics)
    figure.suptitle(f"Log evidence {fit.log_evidence:.2f}")
    return figure


def subplot_fits(fits: Mapping[str, FitImaging]) -> Figure:
    """Draw normalized residuals and source planes of several fits of one dataset side by side.

    Parameters
    ----------
    fits : mapping of str to FitImaging
        By the title of each fit's column.

    Returns
    -------
    Figure
        All axes in arcsec; all residuals on the same scale.
    """
    figure, axes = plt.subplots(
        2, len(fits), figsize=(4.9 * len(fits), 8.6), layout="constrained", squeeze=False
    )
    limit = max(float(np.nanpercentile(np.abs(fit.normalized_residual_map), 99.8)) for fit in fits.values())
    for (top, bottom), (name, fit) in zip(axes.T, fits.items(), strict=True):
        pixel_scales = fit.dataset.pixel_scales
        show_image(
            top,
            fit.normalized_residual_map,
            image_extent(fit.data.shape, pixel_scales),
            title=f"{name}\n" + rf"$\chi^2/N$ = {fit.reduced_chi_squared:.3f}",
            label=r"normalized residual ($\sigma$)",
            norm=Normalize(-limit, limit),
            cmap=RESIDUAL_MAP,
            region=fitted_region(fit.data, pixel_scales),
        )
        show_cells(
            bottom,
            fit.mesh_vertices,
            fit.source_brightness(fit.mesh_vertices),
            title=f"ln E = {fit.log_evidence:.1f}",
            label=fit.dataset.unit or "data units",
        )
    return figure


def draw_curves(ax: Axes, curves: list[np.ndarray]) -> None:
    """Draw lines of (y, x) positions without changing the view."""
    for curve in curves:
        ax.plot(curve[:, 1], curve[:, 0], color="white", linewidth=0.9, scalex=False, scaley=False)
