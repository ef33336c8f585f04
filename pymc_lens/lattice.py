"""Points of a regular grid, and where to put one."""

from __future__ import annotations

import numpy as np

# Relative to the brightest.
_FAINT = 0.05
_MARGIN = 0.15


def lattice(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(y, x) of every point of the grid with these axes, (n_y, n_x, 2)."""
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)


def bright_square(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (y, x) of a square around the points (n, 2) that are not faint."""
    bright = points[values > _FAINT * values.max()] if values.max() > 0.0 else points
    low, high = bright.min(axis=0), bright.max(axis=0)
    half = 0.5 * (1.0 + _MARGIN) * max((high - low).max(), 1e-3)
    return 0.5 * (low + high) - half, 0.5 * (low + high) + half
