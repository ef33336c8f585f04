"""How brightness is read off values at places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Weights that give the source brightness at rays from its values on a mesh, in compressed rows.

    Attributes
    ----------
    indptr : (n_rays + 1,) int64
    indices : (nnz,) int32
        Source pixel of each entry; -1 stands for a vertex whose value is zero by construction.
    weights : (nnz,) float64
    """

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray

    def apply(self, source: np.ndarray) -> np.ndarray:
        """Brightness (n_rays,) of a source given by its pixels (n_source,)."""
        values = np.append(source, 0.0)[self.indices] * self.weights
        return np.add.reduceat(np.append(values, 0.0), self.indptr[:-1]) * (np.diff(self.indptr) > 0)
