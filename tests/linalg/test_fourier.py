"""Transforms against SciPy's, in an order of their own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from pymc_lens.linalg.fourier import fast_length, forward, inverse, plan


def test_lengths_are_products_of_twos_and_threes() -> None:
    assert [fast_length(n) for n in (1, 5, 13, 95, 97, 133)] == [1, 6, 16, 96, 108, 144]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 12, 27, 96, 144])
def test_transform_and_back(length: int, rng: np.random.Generator) -> None:
    columns = rng.standard_normal((2, length, 5))
    real, imaginary = columns.copy()
    forward(real, imaginary, plan(length))
    expected = fft.fft(columns[0] + 1j * columns[1], axis=0)
    # The order of frequencies is that of a column with one of them each.
    order = np.argmax(np.abs(_each_frequency(length)), axis=1)
    np.testing.assert_allclose(real + 1j * imaginary, expected[order], atol=1e-13 * np.abs(expected).max())
    inverse(real, imaginary, plan(length))
    np.testing.assert_allclose(np.array([real, imaginary]) / length, columns, atol=1e-14)


def _each_frequency(length: int) -> np.ndarray:
    waves = fft.ifft(np.eye(length), axis=0)
    real, imaginary = waves.real.copy(), waves.imag.copy()
    forward(real, imaginary, plan(length))
    return real + 1j * imaginary
