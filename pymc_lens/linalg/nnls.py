"""The minimiser of a quadratic form among vectors without negative elements."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pymc_lens.errors import InadmissibleError
from pymc_lens.linalg.blas import cholesky_in_place, cholesky_solve_in_place
from pymc_lens.linalg.kernel import kernel
from pymc_lens.workspace import Workspace

# Largest Karush-Kuhn-Tucker residual that is accepted, relative to the terms it is the sum of.
_CERTIFIED = 1e-8
# A multiplier counts as negative below this much of its terms.
_TOLERANCE = 1e-12
# Times that an exchange of blocks may leave more to exchange than before.
_PATIENCE = 5
_MAX_SYSTEMS = 10_000
_NONE = np.False_


class PositiveSolution(NamedTuple):
    """A certified solution.

    Attributes
    ----------
    values : (n,) float64
        Not negative.
    residual : float
        Largest violation of the Karush-Kuhn-Tucker conditions, row by row relative to the size of the terms.
    """

    values: np.ndarray
    residual: float


def solve_positive(
    matrix: np.ndarray, vector: np.ndarray, passive: np.ndarray, workspace: Workspace,
    free: np.ndarray | np.bool_ = _NONE,
) -> PositiveSolution:  # fmt: skip
    """Minimise ``x'Ax / 2 - b'x`` among ``x >= 0``, but for some elements of any sign.

    Block principal pivoting: all elements with the wrong sign, and all zeros that want to grow, change sides
    at once (Portugal, Judice & Vicente 1994, Math. Comp. 63, 625; Kim & Park 2011, SIAM J. Sci. Comput. 33,
    3261). Where that stops to help, the active set goes on from there one element at a time, always downhill
    (Lawson & Hanson 1974, ch. 23). The minimiser is unique, and the numbers depend on the final set of
    positive elements alone, not on the guess. ``scipy.optimize.nnls`` takes Lawson and Hanson's way from
    zero: hundreds of systems where this takes a handful.

    Parameters
    ----------
    matrix : (n, n) float64
        Positive definite; the upper triangle is read.
    vector : (n,) float64
    passive : (n,) bool
        Guess of the elements that are positive.
    workspace : Workspace
    free : (n,) bool, optional
        Elements that may be negative.

    Raises
    ------
    InadmissibleError
        If the conditions cannot be met to 1e-8: the matrix is singular to working precision.
    """
    values, settled = _exchange_blocks(matrix, vector, passive | free, free, workspace)
    if not settled:
        start = np.where(free, values, np.maximum(values, 0.0))
        values = _descend(matrix, vector, start, free, workspace)
    residual = kkt_residual(matrix, vector, values, free)
    if not residual <= _CERTIFIED:
        raise InadmissibleError(
            "positive solver",
            f"The positive source could not be found to working precision (KKT residual {residual:.1e}): "
            "F + H is too close to singular. A larger regularization coefficient helps.",
        )
    return PositiveSolution(values, residual)


def kkt_residual(
    matrix: np.ndarray, vector: np.ndarray, values: np.ndarray, free: np.ndarray | np.bool_ = _NONE
) -> float:
    """Largest violation of ``Ax - b >= 0``, and of ``Ax = b`` where x > 0 or is free, relative to each row's.

    Parameters
    ----------
    matrix : (n, n) float64
        Symmetric; the upper triangle is read.
    vector, values : (n,) float64
    free : (n,) bool, optional
    """
    growth = _growth(matrix, vector, values, Workspace())
    return float(np.where((values > 0.0) | free, np.abs(growth), growth).max(initial=0.0))


def _exchange_blocks(
    matrix: np.ndarray, vector: np.ndarray, passive: np.ndarray, free: np.ndarray | np.bool_,
    workspace: Workspace,
) -> tuple[np.ndarray, bool]:  # fmt: skip
    """Exchange until it stops to help, and whether nothing is left to exchange."""
    passive = passive.copy()
    fewest, patience = vector.size + 1, _PATIENCE
    while True:
        values = _solve_passive(matrix, vector, passive, workspace)
        growing = _growth(matrix, vector, values, workspace) > _TOLERANCE
        wrong = np.where(passive, (values < 0.0) & ~free, growing)
        count = int(wrong.sum())
        if count < fewest:
            fewest, patience = count, _PATIENCE
        else:
            patience -= 1
        if count == 0 or patience < 0:
            return values, count == 0
        passive ^= wrong


def _descend(
    matrix: np.ndarray, vector: np.ndarray, values: np.ndarray, free: np.ndarray | np.bool_,
    workspace: Workspace,
) -> np.ndarray:  # fmt: skip
    """Active set from a vector without negative elements but free ones; every step lowers the form."""
    passive = (values > 0.0) | free
    newest, barred = -1, np.zeros(vector.size, bool)
    for _ in range(_MAX_SYSTEMS):
        target = _solve_passive(matrix, vector, passive, workspace)
        falling = passive & (target <= 0.0) & ~free
        if falling.any():
            steps = values[falling] / (values[falling] - target[falling])
            step = steps.min()
            values = np.where(passive, values + step * (target - values), 0.0)
            values[np.flatnonzero(falling)[steps <= step]] = 0.0
            passive &= (values > 0.0) | free
            # An element that falls from zero right away grew by rounding alone.
            barred[newest] |= step == 0.0 and not passive[newest]
            continue
        values = target
        growth = np.where(passive | barred, -np.inf, _growth(matrix, vector, values, workspace))
        largest = int(growth.argmax())
        if not growth[largest] > _TOLERANCE:
            return values
        newest = largest
        passive[newest] = True
    return values


def _growth(matrix: np.ndarray, vector: np.ndarray, values: np.ndarray, workspace: Workspace) -> np.ndarray:
    """How much each element wants to grow: ``b - Ax`` relative to the terms of each row, (n,)."""
    multipliers, size = (workspace.array(name, vector.size) for name in ("multipliers", "multiplier_sizes"))
    _multipliers(matrix, vector, values, multipliers, size)
    return -multipliers / np.where(size > 0.0, size, 1.0)


def _solve_passive(
    matrix: np.ndarray, vector: np.ndarray, passive: np.ndarray, workspace: Workspace
) -> np.ndarray:
    values = np.zeros(vector.size)
    members = np.flatnonzero(passive)
    if not members.size:
        return values
    store = workspace.array("passive_block", vector.size**2)
    block = store[: members.size**2].reshape(members.size, members.size)
    _gather(matrix, members, block)
    if cholesky_in_place(block) != 0:
        raise InadmissibleError(
            "singular curvature", "The matrix F + H is not positive definite to working precision."
        )
    solution = vector[members]
    cholesky_solve_in_place(block, solution)
    values[members] = solution
    return values


@kernel()
def _gather(matrix, members, block):
    for a in range(members.size):
        row = matrix[members[a]]
        for b in range(a, members.size):
            block[a, b] = row[members[b]]


@kernel(fastmath={"contract", "reassoc"})
def _multipliers(matrix, vector, values, multipliers, size):
    """Write ``Ax - b`` and the sum of the magnitudes of its terms, from the upper triangle of A."""
    n = vector.size
    for i in range(n):
        multipliers[i], size[i] = -vector[i], abs(vector[i])
    for i in range(n):
        row, x = matrix[i], values[i]
        total, total_size = row[i] * x, abs(row[i] * x)
        for j in range(i + 1, n):
            total += row[j] * values[j]
            total_size += abs(row[j] * values[j])
            multipliers[j] += row[j] * x
            size[j] += abs(row[j] * x)
        multipliers[i] += total
        size[i] += total_size
