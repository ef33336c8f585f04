"""The source prior's precision matrix H: sparse, banded after reordering; or dense."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, override

import numpy as np
from scipy.linalg import cho_solve_banded, solve_banded, solve_triangular

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.blas import (
    banded_cholesky_in_place,
    cholesky_in_place,
    cholesky_inverse_in_place,
    cholesky_solve_in_place,
    symmetric,
)
from pymc_lens.linalg.kernel import kernel
from pymc_lens.linalg.sparsity import SparsityPattern

_SINGULAR = (
    "The regularization matrix is not positive definite. Check that the regularization coefficients are "
    "positive and finite."
)
# Of an element on the diagonal of a Cholesky factor: the inverse of its square overflows a little below.
_SMALLEST_PIVOT = 1e-140


class Precision(ABC):
    """Symmetric positive definite H (n, n); -log prior is s'Hs / 2 up to its determinant."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Return n."""

    @abstractmethod
    def add_to(self, matrix: np.ndarray) -> None:
        """Add H to the upper triangle of the leading block of ``matrix`` (>= n, >= n)."""

    @abstractmethod
    def quadratic_form(self, source: np.ndarray) -> float:
        """Return s'Hs for s of shape (n,)."""

    @property
    @abstractmethod
    def log_determinant(self) -> float:
        """The logarithm of det H.

        Raises
        ------
        InadmissibleError
            If H is not positive definite.
        """

    @abstractmethod
    def free_moments(self) -> Any:
        """Return the second moments H^-1 of the prior, where H has elements."""

    @abstractmethod
    def known_moments(self, moments: np.ndarray) -> Any:
        """Return second moments, symmetric (n, n), as `free_moments` does."""

    @abstractmethod
    def evidence_cotangent(self, covariance: np.ndarray, source: np.ndarray, prior: Any) -> Any:
        """Return ``dlnE/dH = (E[ss'] - E[ss' | d]) / 2`` as the pullback of the prior's scheme reads it.

        Parameters
        ----------
        covariance : (>= n, >= n) float64
            Upper triangle of the posterior's, ``(F + H)^-1`` where nothing confines it.
        source : (n,) float64
            Mean of the posterior.
        prior : SparseMoments or ndarray
            Second moments of the source before the data, from `free_moments` or `known_moments`.
        """

    @abstractmethod
    def shifted(self, diagonal: np.ndarray) -> Precision:
        """Return H with ``diagonal`` (n,) added."""

    @abstractmethod
    def scaled(self, scale: np.ndarray) -> Precision:
        """Return ``diag(scale) H diag(scale)`` for a scale (n,)."""

    @abstractmethod
    def scaled_pullback(self, scale: np.ndarray, bar: Any) -> tuple[Any, np.ndarray]:
        """Adjoint of `scaled`: cotangents of H, of the kind that came in, and of the scale (n,)."""

    @abstractmethod
    def cholesky(self) -> np.ndarray:
        """Return U (n, n) in the upper triangle of an array, ``U'U = H``."""

    @abstractmethod
    def solve(self, vector: np.ndarray) -> np.ndarray:
        """Return ``H^-1 vector``, (n,)."""

    @abstractmethod
    def inverse_diagonal(self) -> np.ndarray:
        """Return the diagonal (n,) of H^-1."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Draw a source (n,) from the prior N(0, H^-1)."""


class SparseMoments(NamedTuple):
    """Second moments where a `SparsePrecision` has elements.

    Attributes
    ----------
    diagonal : (n,) float64
    off_diagonal : (n_pairs,) float64
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray


class SparseCotangent(NamedTuple):
    """Cotangents of what a `SparsePrecision` stores; a pair's value stands for both its elements.

    Attributes
    ----------
    diagonal : (n,) float64
    off_diagonal : (n_pairs,) float64
    """

    diagonal: np.ndarray
    off_diagonal: np.ndarray


@dataclass(frozen=True, eq=False)
class SparsePrecision(Precision):
    """H on a sparsity pattern.

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

    @property
    @override
    def size(self) -> int:
        return self.pattern.size

    @override
    def add_to(self, matrix: np.ndarray) -> None:
        n = np.arange(self.pattern.size)
        matrix[n, n] += self.diagonal
        matrix[self.pattern.cols, self.pattern.rows] += self.off_diagonal

    @override
    def quadratic_form(self, source: np.ndarray) -> float:
        pairs = source[self.pattern.rows] * source[self.pattern.cols]
        return float(self.diagonal @ source**2 + 2.0 * self.off_diagonal @ pairs)

    @cached_property
    def _factor(self) -> np.ndarray:
        band = np.zeros((self.pattern.size, self.pattern.bandwidth + 1))
        band[self.pattern.rank, 0] = self.diagonal
        band[self.pattern.band] = self.off_diagonal
        if not np.isfinite(self.diagonal).all() or banded_cholesky_in_place(band) != 0:
            raise InadmissibleError("singular prior", _SINGULAR)
        _require_invertible(band[:, 0])
        return band

    @property
    @override
    def log_determinant(self) -> float:
        return float(2.0 * np.log(self._factor[:, 0]).sum())

    @override
    def free_moments(self) -> SparseMoments:
        """By Takahashi's recurrence within the band (Erisman & Tinney 1975, Commun. ACM 18, 177)."""
        inverse = _selected_inverse(self._factor)
        return SparseMoments(inverse[self.pattern.rank, 0], inverse[self.pattern.band])

    @override
    def known_moments(self, moments: np.ndarray) -> SparseMoments:
        return SparseMoments(moments.diagonal(), moments[self.pattern.cols, self.pattern.rows])

    @override
    def evidence_cotangent(
        self, covariance: np.ndarray, source: np.ndarray, prior: SparseMoments
    ) -> SparseCotangent:
        pattern = self.pattern
        pairs = covariance[pattern.cols, pattern.rows] + source[pattern.rows] * source[pattern.cols]
        return SparseCotangent(
            -0.5 * (covariance.diagonal()[: pattern.size] + source**2 - prior.diagonal),
            prior.off_diagonal - pairs,
        )

    @override
    def shifted(self, diagonal: np.ndarray) -> SparsePrecision:
        return SparsePrecision(self.pattern, self.diagonal + diagonal, self.off_diagonal)

    @override
    def scaled(self, scale: np.ndarray) -> SparsePrecision:
        pairs = scale[self.pattern.rows] * scale[self.pattern.cols]
        return SparsePrecision(self.pattern, scale**2 * self.diagonal, pairs * self.off_diagonal)

    @override
    def scaled_pullback(self, scale: np.ndarray, bar: SparseCotangent) -> tuple[SparseCotangent, np.ndarray]:
        rows, cols, n = self.pattern.rows, self.pattern.cols, self.pattern.size
        of_pairs = bar.off_diagonal * self.off_diagonal
        scale_bar = 2.0 * bar.diagonal * self.diagonal * scale
        scale_bar += np.bincount(rows, of_pairs * scale[cols], n) + np.bincount(
            cols, of_pairs * scale[rows], n
        )
        own_bar = SparseCotangent(scale**2 * bar.diagonal, scale[rows] * scale[cols] * bar.off_diagonal)
        return own_bar, scale_bar

    @override
    def cholesky(self) -> np.ndarray:
        factor = np.zeros((self.size, self.size))
        self.add_to(factor)
        _require_factorised(factor)
        return factor

    @override
    def solve(self, vector: np.ndarray) -> np.ndarray:
        ordered = np.empty(vector.size)
        ordered[self.pattern.rank] = vector
        return np.asarray(cho_solve_banded((self._factor.T, True), ordered, check_finite=False))[
            self.pattern.rank
        ]

    @override
    def inverse_diagonal(self) -> np.ndarray:
        return self.free_moments().diagonal

    @override
    def draw(self, rng: np.random.Generator) -> np.ndarray:
        normal = rng.standard_normal(self.pattern.size)
        n, width = self._factor.shape
        upper = np.zeros((width, n))
        for offset in range(width):
            upper[width - 1 - offset, offset:] = self._factor[: n - offset, offset]
        return solve_banded((0, width - 1), upper, normal)[self.pattern.rank]


@dataclass(frozen=True, eq=False)
class DensePrecision(Precision):
    """H without a pattern.

    Attributes
    ----------
    matrix : (n, n) float64
    """

    matrix: np.ndarray

    @cached_property
    def _factor(self) -> np.ndarray:
        factor = self.matrix.copy()
        _require_factorised(factor)
        return factor

    @property
    @override
    def size(self) -> int:
        return len(self.matrix)

    @override
    def add_to(self, matrix: np.ndarray) -> None:
        n = len(self.matrix)
        matrix[:n, :n] += self.matrix

    @override
    def quadratic_form(self, source: np.ndarray) -> float:
        return float(source @ self.matrix @ source)

    @property
    @override
    def log_determinant(self) -> float:
        return float(2.0 * np.log(self._factor.diagonal()).sum())

    @override
    def free_moments(self) -> np.ndarray:
        """Upper triangle of (n, n)."""
        covariance = self._factor.copy()
        cholesky_inverse_in_place(covariance)
        return covariance

    @override
    def known_moments(self, moments: np.ndarray) -> np.ndarray:
        return moments

    @override
    def evidence_cotangent(self, covariance: np.ndarray, source: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Symmetric (n, n)."""
        n = len(self.matrix)
        return 0.5 * (symmetric(prior - covariance[:n, :n]) - np.outer(source, source))

    @override
    def shifted(self, diagonal: np.ndarray) -> DensePrecision:
        matrix = self.matrix.copy()
        matrix[np.diag_indices_from(matrix)] += diagonal
        return DensePrecision(matrix)

    @override
    def scaled(self, scale: np.ndarray) -> DensePrecision:
        return DensePrecision(scale[:, None] * self.matrix * scale)

    @override
    def scaled_pullback(self, scale: np.ndarray, bar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return scale[:, None] * bar * scale, 2.0 * (bar * self.matrix) @ scale

    @override
    def cholesky(self) -> np.ndarray:
        return self._factor

    @override
    def solve(self, vector: np.ndarray) -> np.ndarray:
        solution = vector.copy()
        cholesky_solve_in_place(self._factor, solution)
        return solution

    @override
    def inverse_diagonal(self) -> np.ndarray:
        return self.free_moments().diagonal().copy()

    @override
    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return solve_triangular(self._factor, rng.standard_normal(len(self.matrix)), check_finite=False)


def precision_sum(terms: Sequence[Precision]) -> tuple[Precision, Callable[[Any], list[Any]]]:
    """Sum of precisions of one size, and its adjoint: from cotangents of the sum to those of each term.

    It is sparse where all terms are.
    """
    sparse = [term for term in terms if isinstance(term, SparsePrecision)]
    if len(sparse) < len(terms):
        upper = np.zeros((terms[0].size, terms[0].size))
        for term in terms:
            term.add_to(upper)
        return DensePrecision(symmetric(upper)), lambda bar: [_within(term, bar) for term in terms]
    pattern, places = SparsityPattern.united([term.pattern for term in sparse])
    diagonal, off_diagonal = np.zeros(pattern.size), np.zeros(pattern.rows.size)
    for term, at in zip(sparse, places, strict=True):
        diagonal += term.diagonal
        off_diagonal[at] += term.off_diagonal
    return SparsePrecision(pattern, diagonal, off_diagonal), lambda bar: [
        SparseCotangent(bar.diagonal, bar.off_diagonal[at]) for at in places
    ]


def _within(term: Precision, bar: np.ndarray) -> Any:
    """Cotangents of a term of a dense sum from those of the sum, symmetric (n, n)."""
    if isinstance(term, SparsePrecision):
        return SparseCotangent(bar.diagonal(), 2.0 * bar[term.pattern.rows, term.pattern.cols])
    return bar


def _require_factorised(matrix: np.ndarray) -> None:
    """Factorise the upper triangle (n, n) in place."""
    if not np.isfinite(matrix).all() or cholesky_in_place(matrix) != 0:
        raise InadmissibleError("singular prior", _SINGULAR)
    _require_invertible(matrix.diagonal())


def _require_invertible(pivots: np.ndarray) -> None:
    if not (pivots > _SMALLEST_PIVOT).all():
        raise InadmissibleError("singular prior", _SINGULAR)


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
