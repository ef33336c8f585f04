"""Between sparse matrices and the precisions that are stored on their pattern."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from pymc_lens.linalg.precision import SparseCotangent, SparsePrecision
from pymc_lens.linalg.sparsity import SparsityPattern


def as_precision(matrix: csr_array) -> SparsePrecision:
    """Return a symmetric sparse matrix (n, n) as a precision."""
    rows, cols, values = _lower_pairs(matrix)
    return SparsePrecision(SparsityPattern(matrix.shape[0], rows, cols), matrix.diagonal(), values)


def as_matrix(like: csr_array, bar: SparseCotangent) -> csr_array:
    """Return cotangents on the pattern of a matrix as one of each element, (n, n).

    A pair's cotangent is shared by its two elements.
    """
    rows, cols, _ = _lower_pairs(like)
    n, half = np.arange(bar.diagonal.size), 0.5 * bar.off_diagonal
    places = np.concatenate([n, rows, cols]), np.concatenate([n, cols, rows])
    return csr_array((np.concatenate([bar.diagonal, half, half]), places), like.shape)


def _lower_pairs(matrix: csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    coordinates = matrix.tocoo()
    lower = coordinates.row > coordinates.col
    return coordinates.row[lower], coordinates.col[lower], coordinates.data[lower]
