"""The source plane of a fit."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from pymc_lens.geometry.lattice import lattice, square_around
from pymc_lens.plot.images import intensity_norm, show_image
from pymc_lens.solved_image import Source

_POINTS = 300


def show_source(ax: Axes, source: Source, caustics: list[np.ndarray], title: str) -> None:
    """Draw the brightness of the source, as it would be seen without the lens, and caustics.

    What is shown is a square around the caustics and what is seen of the source.

    Parameters
    ----------
    ax : Axes
    source : Source
    caustics : list of (n, 2) arrays
        (y, x), arcsec.
    title : str
    """
    low, high = square_around(np.concatenate([source.detected_rays, *caustics]))
    edges = np.linspace(low, high, _POINTS + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    brightness = source.brightness(lattice(centres[:, 0], centres[:, 1]))
    show_image(
        ax,
        brightness,
        (low[1], high[1], low[0], high[0]),
        title=title,
        label=source.dataset.unit or "data units",
        norm=intensity_norm(brightness),
    )
    draw_curves(ax, caustics)


def draw_curves(ax: Axes, curves: list[np.ndarray]) -> None:
    """Draw lines of (y, x) positions without changing the view."""
    for curve in curves:
        ax.plot(curve[:, 1], curve[:, 0], color="white", linewidth=0.9, scalex=False, scaley=False)
