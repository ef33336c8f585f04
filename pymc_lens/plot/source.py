"""The source plane: a mesh as cells with their values."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from scipy.spatial import Voronoi

from pymc_lens.lattice import bright_square
from pymc_lens.plot.images import INTENSITY_MAP, add_colour_bar, intensity_norm


def show_cells(ax: Axes, vertices: np.ndarray, values: np.ndarray, *, title: str, label: str) -> None:
    """Draw the Voronoi cell of each source pixel in the colour of its value, around the bright ones.

    Parameters
    ----------
    ax : Axes
    vertices : (n_source, 2) array
        (y, x), arcsec.
    values : (n_source,) array
    title, label : str
        Of the panel and of its colour bar.
    """
    norm = intensity_norm(values)
    cells = PolyCollection(
        _cells(vertices), array=values, cmap=INTENSITY_MAP, norm=norm, edgecolors="face", lw=0.2
    )
    ax.add_collection(cells)
    ax.set_aspect("equal")
    ax.set_facecolor(cells.cmap(norm(0.0)))
    (bottom, left), (top, right) = bright_square(vertices, values)
    ax.set(title=title, xlabel="x (arcsec)", ylabel="y (arcsec)", xlim=(left, right), ylim=(bottom, top))
    add_colour_bar(ax, cells, label)


def _cells(vertices: np.ndarray) -> list[np.ndarray]:
    """Corners (n, 2) of each cell as (x, y); far points around close those on the border."""
    centre, radius = vertices.mean(axis=0), 3.0 * np.ptp(vertices, axis=0).max()
    angles = np.linspace(0.0, 2.0 * np.pi, 32, endpoint=False)
    far = centre + radius * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    voronoi = Voronoi(np.concatenate([vertices, far]))
    regions = [voronoi.regions[voronoi.point_region[i]] for i in range(len(vertices))]
    return [voronoi.vertices[region][:, ::-1] for region in regions]
