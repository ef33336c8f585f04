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


def lattice_volumes(y: np.ndarray, x: np.ndarray) -> FiniteVolumes:
    """Facets and cells of a lattice with these axes, around which there is nothing."""
    (dy, wy), (dx, wx) = _widths(y), _widths(x)
    return FiniteVolumes(
        np.concatenate([np.outer(1.0 / dy, wx).ravel(), np.outer(wy, 1.0 / dx).ravel()]),
        np.zeros(y.size * x.size),
        np.outer(wy, wx).ravel(),
    )


def lattice_volumes_pullback(
    y: np.ndarray, x: np.ndarray, bar: FiniteVolumes
) -> tuple[np.ndarray, np.ndarray]:
    """Adjoint of `lattice_volumes` to both axes."""
    (dy, wy), (dx, wx) = _widths(y), _widths(x)
    along_y, along_x = np.split(bar.conductances, [(y.size - 1) * x.size])
    along_y, along_x = along_y.reshape(y.size - 1, x.size), along_x.reshape(y.size, x.size - 1)
    areas = bar.areas.reshape(y.size, x.size)
    return (
        _widths_pullback(-(along_y @ wx) / dy**2, along_x @ (1.0 / dx) + areas @ wx),
        _widths_pullback(-(wy @ along_x) / dx**2, (1.0 / dy) @ along_y + wy @ areas),
    )


def _widths(nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n - 1,) of neighbouring nodes, and widths (n,) of the cells halfway between them."""
    distances = np.diff(nodes)
    padded = np.concatenate([distances[:1], distances, distances[-1:]])
    return distances, 0.5 * (padded[:-1] + padded[1:])


def _widths_pullback(distances_bar: np.ndarray, widths_bar: np.ndarray) -> np.ndarray:
    halves = 0.5 * widths_bar
    padded_bar = np.append(halves, 0.0)
    padded_bar[1:] += halves
    distances_bar = distances_bar + padded_bar[1:-1]
    distances_bar[0] += padded_bar[0]
    distances_bar[-1] += padded_bar[-1]
    return np.append(0.0, distances_bar) - np.append(distances_bar, 0.0)


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
