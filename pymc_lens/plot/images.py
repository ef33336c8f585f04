"""One image in one panel, the way all figures here show it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.ticker import AsinhLocator, FuncFormatter

INTENSITY_MAP = "inferno"
RESIDUAL_MAP = "RdBu_r"


def image_extent(shape: tuple[int, int], pixel_scales: float) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) in arcsec of an image centred on the origin."""
    half_y, half_x = 0.5 * shape[0] * pixel_scales, 0.5 * shape[1] * pixel_scales
    return -half_x, half_x, -half_y, half_y


def intensity_norm(image: np.ndarray) -> Normalize:
    """Stretch that shows faint arcs and bright cores alike: asinh, linear below a few times the median."""
    finite = image[np.isfinite(image)]
    top = max(float(finite.max(initial=0.0)), np.finfo(float).tiny)
    low = min(float(np.percentile(finite, 0.5)) if finite.size else 0.0, 0.0)
    linear = max(2.0 * float(np.median(np.abs(finite))) if finite.size else 0.0, 0.02 * top)
    return AsinhNorm(linear_width=linear, vmin=low, vmax=top)


def show_image(
    ax: Axes,
    image: np.ndarray,
    extent: tuple[float, float, float, float],
    *,
    title: str,
    label: str,
    norm: Normalize,
    cmap: str = INTENSITY_MAP,
    region: tuple[float, float, float, float] | None = None,
) -> None:
    """Draw an image with axes in arcsec, equal aspect and a colour bar.

    Parameters
    ----------
    ax : Axes
    image : (ny, nx) float, NaN where there is nothing
    extent : (left, right, bottom, top), arcsec
    title, label : str
        Of the panel and of its colour bar.
    norm : Normalize
    cmap : str
    region : (left, right, bottom, top), optional
        The part to show, arcsec.
    """
    shown = ax.imshow(
        image, origin="lower", extent=extent, cmap=cmap, norm=norm, interpolation="nearest", aspect="equal"
    )
    ax.set_title(title)
    ax.set_xlabel("x (arcsec)")
    ax.set_ylabel("y (arcsec)")
    if region is not None:
        ax.set_xlim(region[:2])
        ax.set_ylim(region[2:])
    add_colour_bar(ax, shown, label)


def add_colour_bar(ax: Axes, shown: ScalarMappable, label: str) -> None:
    """Draw the colour bar of what a panel shows."""
    bar = ax.figure.colorbar(shown, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label(label)
    if isinstance(shown.norm, AsinhNorm):
        bar.locator = AsinhLocator(shown.norm.linear_width, numticks=5, base=0)
        bar.minorticks_off()
        bar.formatter = FuncFormatter(lambda value, _: f"{value:.2g}")
        bar.update_ticks()


def show_residuals(
    ax: Axes, image: np.ndarray, extent: tuple[float, float, float, float], **labels: Any
) -> None:
    """Draw residuals on a diverging map symmetric about zero; see `show_image`."""
    limit = max(float(np.nanpercentile(np.abs(image), 99.8)), np.finfo(float).tiny)
    show_image(ax, image, extent, norm=Normalize(-limit, limit), cmap=RESIDUAL_MAP, **labels)


def fitted_region(image: np.ndarray, pixel_scales: float) -> tuple[float, float, float, float]:
    """(left, right, bottom, top) in arcsec around the finite pixels of an image."""
    rows, cols = np.nonzero(np.isfinite(image))
    left, _, bottom, _ = image_extent(image.shape, pixel_scales)
    edges = [
        left + cols.min() * pixel_scales,
        left + (cols.max() + 1) * pixel_scales,
        bottom + rows.min() * pixel_scales,
        bottom + (rows.max() + 1) * pixel_scales,
    ]
    margin = 2 * pixel_scales
    return edges[0] - margin, edges[1] + margin, edges[2] - margin, edges[3] + margin
