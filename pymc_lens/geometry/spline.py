"""Tensor-product B-splines on a lattice, zero beyond it."""

from __future__ import annotations

import numpy as np

from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.linalg.kernel import kernel
from pymc_lens.workspace import Workspace

DEGREES = (1, 3)


def spline(place: np.ndarray, shape: tuple[int, int], degree: int, workspace: Workspace) -> Interpolation:
    """Values of the B-splines of the nodes (ny * nx) at lattice coordinates.

    Parameters
    ----------
    place : (n_points, 2) float64
        Of the points, in units of the spacing from the first node. Those out of every node's reach see
        nothing.
    shape : (int, int)
        ny and nx.
    degree : int
        1, hats; or 3, uniform cubic B-splines (de Boor 1978, A Practical Guide to Splines, ch. IX).
    workspace : Workspace
        Owns the result until the next call.
    """
    size = (degree + 1) ** 2 * len(place)
    indptr = workspace.array("ray_indptr", len(place) + 1, dtype=np.int64)
    indices = workspace.array("ray_indices", size, dtype=np.int32)
    weights = workspace.array("ray_weights", size)
    _spline(place, shape[0], shape[1], degree, indptr, indices, weights)
    return Interpolation(indptr, indices[: indptr[-1]], weights[: indptr[-1]])


def spline_pullback(
    place: np.ndarray, shape: tuple[int, int], degree: int, weights_bar: np.ndarray
) -> np.ndarray:
    """Adjoint of `spline` to the lattice coordinates (n_points, 2)."""
    place_bar = np.zeros(place.shape)
    _spline_pullback(place, shape[0], shape[1], degree, weights_bar, place_bar)
    return place_bar


@kernel(inline="always")
def _basis(t, degree, values):
    """Values of the splines that reach a point a fraction t beyond a node, in the order of their nodes."""
    if degree == 1:
        values[0], values[1] = 1.0 - t, t
    else:
        u = 1.0 - t
        values[0], values[3] = u * u * u / 6.0, t * t * t / 6.0
        values[1], values[2] = 2.0 / 3.0 - t * t * (1.0 - 0.5 * t), 2.0 / 3.0 - u * u * (1.0 - 0.5 * u)


@kernel(inline="always")
def _basis_slope(t, degree, slopes):
    if degree == 1:
        slopes[0], slopes[1] = -1.0, 1.0
    else:
        u = 1.0 - t
        slopes[0], slopes[3] = -0.5 * u * u, 0.5 * t * t
        slopes[1], slopes[2] = t * (1.5 * t - 2.0), u * (2.0 - 1.5 * u)


@kernel(inline="always")
def _in_reach(first, degree, n):
    return -degree <= first < n


@kernel()
def _spline(place, ny, nx, degree, indptr, indices, weights):
    along_y, along_x = np.empty(degree + 1), np.empty(degree + 1)
    n = 0
    indptr[0] = 0
    for point in range(place.shape[0]):
        i, j = np.floor(place[point, 0]), np.floor(place[point, 1])
        first_row, first_col = int(i) - degree // 2, int(j) - degree // 2
        if _in_reach(first_row, degree, ny) and _in_reach(first_col, degree, nx):
            _basis(place[point, 0] - i, degree, along_y)
            _basis(place[point, 1] - j, degree, along_x)
            for a in range(degree + 1):
                for b in range(degree + 1):
                    row, col = first_row + a, first_col + b
                    inside = 0 <= row < ny and 0 <= col < nx
                    indices[n] = row * nx + col if inside else -1
                    weights[n] = along_y[a] * along_x[b]
                    n += 1
        indptr[point + 1] = n


@kernel()
def _spline_pullback(place, ny, nx, degree, weights_bar, place_bar):
    along_y, along_x = np.empty(degree + 1), np.empty(degree + 1)
    slope_y, slope_x = np.empty(degree + 1), np.empty(degree + 1)
    n = 0
    for point in range(place.shape[0]):
        i, j = np.floor(place[point, 0]), np.floor(place[point, 1])
        if not _in_reach(int(i) - degree // 2, degree, ny) or not _in_reach(int(j) - degree // 2, degree, nx):
            continue
        _basis(place[point, 0] - i, degree, along_y)
        _basis(place[point, 1] - j, degree, along_x)
        _basis_slope(place[point, 0] - i, degree, slope_y)
        _basis_slope(place[point, 1] - j, degree, slope_x)
        for a in range(degree + 1):
            for b in range(degree + 1):
                place_bar[point, 0] += slope_y[a] * along_x[b] * weights_bar[n]
                place_bar[point, 1] += along_y[a] * slope_x[b] * weights_bar[n]
                n += 1
