"""Precisions on the graph of neighbouring source pixels."""

from __future__ import annotations

import numpy as np

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.mesh.base import MeshGeometry
from pymc_lens.regularization.ridge import Ridge


def graph_precision(
    geometry: MeshGeometry, edges: np.ndarray, boundary: np.ndarray, ridge: Ridge
) -> SparsePrecision:
    """``sum over neighbours edges (s_i - s_j)^2 + sum boundary s_i^2``, and the ridge.

    Parameters
    ----------
    geometry : MeshGeometry
    edges : (n_pairs,) float64
        Weight of each pair of neighbours.
    boundary : (n_source,) float64
        Weight of each pixel's own square.
    ridge : Ridge
    """
    pairs = geometry.neighbors
    return SparsePrecision(pairs, ridge.added_to(pairs.sums(edges) + boundary), -edges)


def graph_pullback(
    geometry: MeshGeometry, bar: SparseCotangent, ridge: Ridge
) -> tuple[np.ndarray, np.ndarray]:
    """Adjoint of `graph_precision`: cotangents of the edges and of the boundary."""
    pairs, diagonal_bar = geometry.neighbors, ridge.pullback(bar.diagonal)
    return diagonal_bar[pairs.rows] + diagonal_bar[pairs.cols] - bar.off_diagonal, diagonal_bar


def require_positive_parameters(names: tuple[str, ...], parameters: np.ndarray) -> None:
    """Raise where a parameter is not positive.

    Raises
    ------
    InadmissibleError
    """
    if not (parameters > 0.0).all():
        raise InadmissibleError(
            "regularization outside its domain",
            f"{', '.join(names)}: expected positive numbers, got {', '.join(f'{p:g}' for p in parameters)}.",
        )
