"""Points of a regular grid, its neighbours and cells, and where to put one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pymc_lens.geometry.finite_volumes import FiniteVolumes
from pymc_lens.linalg.sparsity import SparsityPattern

_MARGIN = 0.15


def lattice(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(y, x) of every point of the grid with these axes, (n_y, n_x, 2)."""
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)


def square_around(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (y, x) of a square that holds points (n, 2), with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.5 * (1.0 + _MARGIN) * max((high - low).max(), 1e-3)
    return 0.5 * (low + high) - half, 0.5 * (low + high) + half


@lru_cache(maxsize=8)
def lattice_neighbors(shape: tuple[int, int]) -> SparsityPattern:
    """Neighbours along y, then along x, of source pixels ``i * nx + j``."""
    pixel = np.arange(shape[0] * shape[1]).reshape(shape)
    rows = np.concatenate([pixel[1:].ravel(), pixel[:, 1:].ravel()])
    cols = np.concatenate([pixel[:-1].ravel(), pixel[:, :-1].ravel()])
    return SparsityPattern(pixel.size, rows, cols)


def lattice_volumes(shape: tuple[int, int], spacing: np.ndarray) -> FiniteVolumes:
    """Facets and cells of an even lattice, around which there is nothing."""
    ny, nx = shape
    ratios = [spacing[1] / spacing[0], spacing[0] / spacing[1]]
    return FiniteVolumes(
        np.repeat(ratios, [(ny - 1) * nx, ny * (nx - 1)]),
        np.zeros(ny * nx),
        np.full(ny * nx, spacing[0] * spacing[1]),
    )


def ringed_lattice_volumes(y: np.ndarray, x: np.ndarray) -> FiniteVolumes:
    """Facets and cells of a lattice with these axes; the outermost nodes have the value zero, and no cell."""
    of_y, of_x = (0.5 * (axis[2:] - axis[:-2]) for axis in (y, x))
    along_y, along_x = of_x / np.diff(y)[:, None], of_y[:, None] / np.diff(x)
    boundary = np.zeros((of_y.size, of_x.size))
    boundary[0] += along_y[0]
    boundary[-1] += along_y[-1]
    boundary[:, 0] += along_x[:, 0]
    boundary[:, -1] += along_x[:, -1]
    return FiniteVolumes(
        np.concatenate([along_y[1:-1].ravel(), along_x[:, 1:-1].ravel()]),
        boundary.ravel(),
        np.outer(of_y, of_x).ravel(),
    )


def lattice_volumes_pullback(shape: tuple[int, int], spacing: np.ndarray, bar: FiniteVolumes) -> np.ndarray:
    """Adjoint of `lattice_volumes` to the spacing (2,)."""
    ny, nx = shape
    along_y_bar, along_x_bar = np.add.reduceat(bar.conductances, [0, (ny - 1) * nx])
    ratio_bar = along_x_bar - along_y_bar * (spacing[1] / spacing[0]) ** 2
    spacing_bar = ratio_bar * np.array([1.0, -spacing[0] / spacing[1]]) / spacing[1]
    return spacing_bar + bar.areas.sum() * spacing[::-1]
