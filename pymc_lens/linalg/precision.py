"""The source prior's precision matrix H: sparse, banded after reordering."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_banded

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.blas import banded_cholesky_in_place
from pymc_lens.linalg.kernel import kernel
from pymc_lens.linalg.sparsity import SparsityPattern


@dataclass(frozen=True, eq=False)
class SparsePrecision:
    """Symmetric positive definite H on a sparsity pattern; -log prior is s'Hs / 2 up to its determinant.

    Attributes
    ----------
    pattern : SparsityPattern
    diagonal : (n,) float64
    off_diagonal : (n_pairs,) float64
        One value for each pair of the pattern.
    """

    pattern: SparsityPattern
    diagonal: np.ndarray
    off_diagonal: np.ndarray

    def add_to(self, matrix: np.ndarray) -> None:
        """Add H to the upper triangle of the leading block of ``matrix`` (>= n, >= n)."""
        n = np.arange(self.pattern.size)
        matrix[n, n] += self.diagonal
        matrix[self.pattern.cols, self.pattern.rows] += self.off_diagonal

    def quadratic_form(self, source: np.ndarray) -> float:
        """Return s'Hs for s of shape (n,)."""
        pairs = source[self.pattern.rows] * source[self.pattern.cols]
        return float(self.diagonal @ source**2 + 2.0 * self.off_diagonal @ pairs)

    @cached_property
    def _factor(self) -> np.ndarray:
        band = np.zeros((self.pattern.size, self.pattern.bandwidth + 1))
        band[self.pattern.rank, 0] = self.diagonal
        band[self.pattern.band] = self.off_diagonal
        if not np.isfinite(self.diagonal).all() or banded_cholesky_in_place(band) != 0:
            raise InadmissibleError(
                "singular prior",
                "The regularization matrix is not positive definite. Check that the regularization "
                "coefficients are positive and finite.",
            )
        return band

    @cached_property
    def log_determinant(self) -> float:
        """The logarithm of det H.

        Raises
        ------
        InadmissibleError
            If H is not positive definite.
        """
        return float(2.0 * np.log(self._factor[:, 0]).sum())

    def inverse_on_pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Elements of H^-1 on the diagonal (n,) and at the pairs (n_pairs,) of the pattern.

        Takahashi's recurrence within the band (Erisman & Tinney 1975, Commun. ACM 18, 177).
        """
        inverse = _selected_inverse(self._factor)
        return inverse[self.pattern.rank, 0], inverse[self.pattern.band]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a source (n,) from the prior N(0, H^-1)."""
        normal = rng.standard_normal(self.pattern.size)
        n, width = self._factor.shape
        upper = np.zeros((width, n))
        for offset in range(width):
            upper[width - 1 - offset, offset:] = self._factor[: n - offset, offset]
        return solve_banded((0, width - 1), upper, normal)[self.pattern.rank]


@kernel(fastmath={"contract", "reassoc"})
def _selected_inverse(factor):
    n, width = factor.shape
    inverse = np.zeros((n, width))
    column = np.zeros(width)
    for j in range(n - 1, -1, -1):
        reach = min(width - 1, n - 1 - j)
        column[: reach + 1] = 0.0
        # Z[j + 1:, j + 1:] is known within the band; only its lower triangle is stored.
        for k in range(1, reach + 1):
            value = factor[j, k]
            known = inverse[j + k]
            total = known[0] * value
            for i in range(k + 1, reach + 1):
                column[i] += known[i - k] * value
                total += known[i - k] * factor[j, i]
            column[k] += total
        pivot = factor[j, 0]
        total = 1.0 / pivot
        for i in range(1, reach + 1):
            inverse[j, i] = -column[i] / pivot
            total -= factor[j, i] * inverse[j, i]
        inverse[j, 0] = total / pivot
    return inverse
