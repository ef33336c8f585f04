"""A variable confined to one side, against SciPy's functions, one call a number."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy.special import log_ndtr, ndtri_exp

from pymc_lens.orthant.half_normal import BLOCK, POINT, TAIL, beyond_zero, hazard

# Where formulas change (0, the root of 2 ln 2), the places between, and as far as one may get.
RATIOS = np.concatenate(
    [
        np.linspace(-9.0, 9.0, 1801),
        [-1.1774, -0.0, 1.1774],
        -np.geomspace(9.0, 1e4, 300),
        np.geomspace(9.0, 1e4, 30),
    ]
)


@njit
def in_blocks(ratios, log_uniforms, tail, point):
    log_masses, values = np.empty(ratios.size), np.empty(ratios.size)
    scratch = np.empty((3, BLOCK))
    for start in range(0, ratios.size, BLOCK):
        stop = min(start + BLOCK, ratios.size)
        beyond_zero(
            ratios[start:stop], log_uniforms[start:stop], stop - start, tail, point, log_masses[start:stop],
            values[start:stop], scratch,
        )  # fmt: skip
    return log_masses, values


@pytest.mark.parametrize("probability", [1e-12, 1e-3, 0.3, 0.5, 0.7, 1.0 - 1e-6])
def test_draws_are_where_the_tail_has_the_probability(probability: float) -> None:
    log_uniforms = np.full(RATIOS.size, np.log(probability))
    log_masses, values = in_blocks(RATIOS, log_uniforms, TAIL, POINT)
    np.testing.assert_allclose(log_masses, log_ndtr(RATIOS), rtol=1e-15, atol=4e-15)
    log_tails = log_uniforms + log_masses
    points = -ndtri_exp(log_tails)
    # Where SciPy's has lost digits, a step of Newton's method: the tail's logarithm falls by z.
    far = log_tails < -1000.0
    points[far] += (log_ndtr(-points[far]) - log_tails[far]) / points[far]
    expected = np.maximum(RATIOS + points, 0.0)
    # Digits that the difference of two large numbers has left, and those of a probability near 1.
    tolerance = 1e-13 * (10.0 + np.abs(RATIOS)) + 1e-15 / (1.0 - probability)
    assert (np.abs(values - expected) < tolerance).all()
    assert (values >= 0.0).all()


def test_rates() -> None:
    density = np.exp(-0.5 * RATIOS**2 - log_ndtr(RATIOS)) / np.sqrt(2.0 * np.pi)
    near = np.abs(RATIOS) < 9.0
    np.testing.assert_allclose(hazard(RATIOS)[near], density[near], rtol=1e-13)
    # Far below, -x + 1 / x to third order (Mills' ratio).
    far = RATIOS < -1e3
    np.testing.assert_allclose(hazard(RATIOS)[far], -RATIOS[far] - 1.0 / RATIOS[far], rtol=1e-11)
    table = RATIOS[:1800].reshape(30, 60)
    np.testing.assert_array_equal(hazard(table).ravel(), hazard(table.ravel()))


def test_nothing_hides_what_is_no_number() -> None:
    ratios = np.array([0.0, np.nan, 1.0])
    log_masses, values = in_blocks(ratios, np.log([0.5, 0.5, 0.5]), TAIL, POINT)
    for results in (log_masses, values, hazard(ratios)):
        np.testing.assert_array_equal(np.isnan(results), [False, True, False])
