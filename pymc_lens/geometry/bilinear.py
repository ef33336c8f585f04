"""Bilinear interpolation on a lattice."""

from __future__ import annotations

import numpy as np

from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.linalg.kernel import kernel
from pymc_lens.workspace import Workspace


def bilinear(place: np.ndarray, shape: tuple[int, int], margin: float, workspace: Workspace) -> Interpolation:
    """Bilinear weights at lattice coordinates, extrapolated up to ``margin`` beyond the outermost nodes.

    Points farther away see nothing.
    """
    indptr = workspace.array("ray_indptr", len(place) + 1, dtype=np.int64)
    indices = workspace.array("ray_indices", 4 * len(place), dtype=np.int32)
    weights = workspace.array("ray_weights", 4 * len(place))
    _bilinear_weights(place, shape[0], shape[1], margin, indptr, indices, weights)
    return Interpolation(indptr, indices, weights)


def bilinear_pullback(place: np.ndarray, shape: tuple[int, int], weights_bar: np.ndarray) -> np.ndarray:
    """Adjoint of `bilinear` to the lattice coordinates."""
    place_bar = np.empty_like(place)
    _bilinear_weights_pullback(place, shape[0], shape[1], weights_bar, place_bar)
    return place_bar


@kernel()
def _cell(place, n):
    return min(max(int(np.floor(place)), 0), n - 2)


@kernel()
def _bilinear_weights(place, ny, nx, margin, indptr, indices, weights):
    indptr[0] = 0
    for ray in range(place.shape[0]):
        y, x = place[ray]
        seen = -margin <= y <= ny - 1 + margin and -margin <= x <= nx - 1 + margin
        i, j = _cell(place[ray, 0], ny), _cell(place[ray, 1], nx)
        ty, tx = place[ray, 0] - i, place[ray, 1] - j
        for corner in range(4):
            a, b = corner // 2, corner % 2
            indices[4 * ray + corner] = (i + a) * nx + j + b if seen else -1
            weights[4 * ray + corner] = (ty if a else 1.0 - ty) * (tx if b else 1.0 - tx)
        indptr[ray + 1] = 4 * ray + 4


@kernel()
def _bilinear_weights_pullback(place, ny, nx, weights_bar, place_bar):
    for ray in range(place.shape[0]):
        i, j = _cell(place[ray, 0], ny), _cell(place[ray, 1], nx)
        ty, tx = place[ray, 0] - i, place[ray, 1] - j
        bar = weights_bar[4 * ray : 4 * ray + 4]
        place_bar[ray, 0] = (bar[2] - bar[0]) * (1.0 - tx) + (bar[3] - bar[1]) * tx
        place_bar[ray, 1] = (bar[1] - bar[0]) * (1.0 - ty) + (bar[3] - bar[2]) * ty
