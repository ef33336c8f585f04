"""Points of a regular grid, and where to put one."""

from __future__ import annotations

import numpy as np

_MARGIN = 0.15


def lattice(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(y, x) of every point of the grid with these axes, (n_y, n_x, 2)."""
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)


def square_around(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (y, x) of a square that holds points (n, 2), with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.5 * (1.0 + _MARGIN) * max((high - low).max(), 1e-3)
    return 0.5 * (low + high) - half, 0.5 * (low + high) + half
