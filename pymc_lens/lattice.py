"""Points of a regular grid."""

from __future__ import annotations

import numpy as np


def lattice(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(y, x) of every point of the grid with these axes, (n_y, n_x, 2)."""
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
