"""Products of symmetric sparse matrices, and their adjoint, on patterns that are worked out once.

A matrix is its values (n + n_pairs,): the diagonal, then one for each pair of its pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pymc_lens.linalg.kernel import kernel
from pymc_lens.linalg.sparsity import SparsityPattern


@dataclass(frozen=True, eq=False)
class SymmetricProduct:
    """``A diag(d) B`` for symmetric A and B whose product is symmetric.

    Attributes
    ----------
    pattern : SparsityPattern
        Of the product.
    terms : (n_terms, 4) int32
        Of the sum for each element: places in the product, in A, in d and in B.
    """

    pattern: SparsityPattern
    terms: np.ndarray

    def of(self, left: np.ndarray, middle: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Values of the product for those of A, d and B."""
        product = np.zeros(self.pattern.size + self.pattern.rows.size)
        _multiply(self.terms, left, middle, right, product)
        return product

    def pullback(
        self, left: np.ndarray, middle: np.ndarray, right: np.ndarray, bar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cotangents of the values of A, d and B from those of the product's."""
        bars = np.zeros(left.size), np.zeros(middle.size), np.zeros(right.size)
        _pull_back(self.terms, left, middle, right, bar, *bars)
        return bars


@lru_cache(maxsize=8)
def symmetric_product(left: SparsityPattern, right: SparsityPattern) -> SymmetricProduct:
    """Work out the product of matrices of two patterns; kept, as rectangular meshes have always the same."""
    rows, cols, terms = _terms(*_neighbors(left), *_neighbors(right))
    return SymmetricProduct(SparsityPattern(left.size, rows, cols), terms)


def _neighbors(pattern: SparsityPattern) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compressed rows of both triangles and the diagonal: starts, columns and places of the values."""
    n, pairs = np.arange(pattern.size), np.arange(pattern.size, pattern.size + pattern.rows.size)
    rows = np.concatenate([n, pattern.rows, pattern.cols])
    order = np.argsort(rows, kind="stable")
    starts = np.searchsorted(rows[order], np.arange(pattern.size + 1))
    cols, places = np.concatenate([n, pattern.cols, pattern.rows]), np.concatenate([n, pairs, pairs])
    return starts, cols[order], places[order]


@kernel()
def _terms(left_starts, left_cols, left_places, right_starts, right_cols, right_places):
    """Pairs of the product, and the terms of its lower triangle."""
    n = left_starts.size - 1
    n_terms = 0
    for i in range(n):
        for k in left_cols[left_starts[i] : left_starts[i + 1]]:
            n_terms += right_starts[k + 1] - right_starts[k]
    terms = np.empty((n_terms, 4), np.int32)
    rows, cols = np.empty(n_terms, np.int64), np.empty(n_terms, np.int64)
    row_of, place_of = np.full(n, -1), np.empty(n, np.int64)
    n_terms, n_pairs = 0, 0
    for i in range(n):
        row_of[i], place_of[i] = i, i
        for a in range(left_starts[i], left_starts[i + 1]):
            k = left_cols[a]
            for b in range(right_starts[k], right_starts[k + 1]):
                j = right_cols[b]
                if j > i:
                    continue
                if row_of[j] != i:
                    row_of[j], place_of[j] = i, n + n_pairs
                    rows[n_pairs], cols[n_pairs] = i, j
                    n_pairs += 1
                terms[n_terms, 0], terms[n_terms, 1] = place_of[j], left_places[a]
                terms[n_terms, 2], terms[n_terms, 3] = k, right_places[b]
                n_terms += 1
    return rows[:n_pairs].copy(), cols[:n_pairs].copy(), terms[:n_terms].copy()


@kernel()
def _multiply(terms, left, middle, right, product):
    for t in range(terms.shape[0]):
        target, a, k, b = terms[t, 0], terms[t, 1], terms[t, 2], terms[t, 3]
        product[target] += left[a] * middle[k] * right[b]


@kernel()
def _pull_back(terms, left, middle, right, bar, left_bar, middle_bar, right_bar):
    for t in range(terms.shape[0]):
        target, a, k, b = terms[t, 0], terms[t, 1], terms[t, 2], terms[t, 3]
        left_bar[a] += bar[target] * middle[k] * right[b]
        middle_bar[k] += bar[target] * left[a] * right[b]
        right_bar[b] += bar[target] * left[a] * middle[k]
