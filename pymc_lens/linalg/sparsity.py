"""Which pairs of source pixels a sparse prior couples, and the ordering that makes it banded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee


@dataclass(frozen=True, eq=False)
class SparsityPattern:
    """Strictly lower triangle of a symmetric sparse matrix; the diagonal is always present.

    Attributes
    ----------
    size : int
    rows, cols : (n_pairs,) int64
        Every coupled pair once, ``rows > cols``.
    """

    size: int
    rows: np.ndarray
    cols: np.ndarray

    @property
    def keys(self) -> np.ndarray:
        """(n_pairs,) int64: a number for each pair, the same in every pattern of this size."""
        return self.rows.astype(np.int64) * self.size + self.cols

    @classmethod
    def united(cls, patterns: Sequence[SparsityPattern]) -> tuple[SparsityPattern, list[np.ndarray]]:
        """Union of patterns of one size, and where in it the pairs of each are."""
        first = patterns[0]
        if all(pattern is first for pattern in patterns):
            return first, [np.arange(first.rows.size)] * len(patterns)
        keys = [pattern.keys for pattern in patterns]
        union = np.unique(np.concatenate(keys))
        united = cls(first.size, *np.divmod(union, first.size))
        return united, [np.searchsorted(union, own) for own in keys]

    @cached_property
    def degree(self) -> np.ndarray:
        """(size,) float64: the number of pairs that each element is in."""
        return self.sums(np.ones(self.rows.size))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum (size,) of values (n_pairs,) over the pairs that each element is in."""
        return np.bincount(self.rows, values, self.size) + np.bincount(self.cols, values, self.size)

    @cached_property
    def rank(self) -> np.ndarray:
        """(size,) int64: place of each element in the reverse Cuthill-McKee order."""
        ones = np.ones(2 * self.rows.size, np.int8)
        both = np.concatenate([self.rows, self.cols]), np.concatenate([self.cols, self.rows])
        order = reverse_cuthill_mckee(
            coo_array((ones, both), shape=(self.size, self.size)).tocsr(), symmetric_mode=True
        )
        rank = np.empty(self.size, np.int64)
        rank[order] = np.arange(self.size)
        return rank

    @cached_property
    def band(self) -> tuple[np.ndarray, np.ndarray]:
        """Column and offset of each pair in lower band storage after reordering, (n_pairs,) int64 each."""
        first, second = self.rank[self.rows], self.rank[self.cols]
        return np.minimum(first, second), np.abs(first - second)

    @cached_property
    def bandwidth(self) -> int:
        """Largest distance from the diagonal after reordering."""
        return int(self.band[1].max(initial=0))
