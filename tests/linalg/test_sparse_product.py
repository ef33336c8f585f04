"""Products of sparse matrices against dense ones."""

from __future__ import annotations

import numpy as np
import pytest

from pymc_lens.linalg.sparse_product import symmetric_product
from pymc_lens.linalg.sparsity import SparsityPattern

SIZE = 12


def matrix(pattern: SparsityPattern, values: np.ndarray) -> np.ndarray:
    dense = np.diag(values[:SIZE])
    dense[pattern.rows, pattern.cols] = dense[pattern.cols, pattern.rows] = values[SIZE:]
    return dense


def test_powers_and_their_cotangents(rng: np.random.Generator) -> None:
    rows, cols = np.nonzero(np.tril(rng.random((SIZE, SIZE)) < 0.15, -1))
    pattern = SparsityPattern(SIZE, rows, cols)
    values, middle = rng.standard_normal(SIZE + rows.size), rng.standard_normal(SIZE)
    square = symmetric_product(pattern, pattern)
    cube = symmetric_product(pattern, square.pattern)
    of_square = square.of(values, middle, values)
    of_cube = cube.of(values, middle, of_square)
    dense = matrix(pattern, values)
    np.testing.assert_allclose(matrix(square.pattern, of_square), dense * middle @ dense, atol=1e-13)
    np.testing.assert_allclose(
        matrix(cube.pattern, of_cube), dense * middle @ (dense * middle @ dense), atol=1e-12
    )
    bar = rng.standard_normal(of_cube.size)
    bars = cube.pullback(values, middle, of_square, bar)
    for place, own_bar in enumerate(bars):
        direction = rng.standard_normal(own_bar.size)

        def value(step: float, place: int = place, direction: np.ndarray = direction) -> float:
            inputs = [values, middle, of_square]
            inputs[place] = inputs[place] + step * direction
            return float(bar @ cube.of(*inputs))

        # Linear in each.
        assert own_bar @ direction == pytest.approx(value(0.5) - value(-0.5), rel=1e-11)


def test_a_pattern_is_worked_out_once() -> None:
    pattern = SparsityPattern(2, np.array([1]), np.array([0]))
    assert symmetric_product(pattern, pattern) is symmetric_product(pattern, pattern)
