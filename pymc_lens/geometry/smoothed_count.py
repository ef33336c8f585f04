"""How many of a set of points lie below a position, each smoothed by a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermeval
from scipy.special import ndtr

from pymc_lens.linalg.kernel import kernel

# Taylor series about the middles of cells an eighth of a bandwidth wide: exact to rounding at this order.
_CELLS_PER_BANDWIDTH = 8
_ORDER = 8
# Bandwidths beyond which the Gaussian is zero to rounding.
_REACH = 9


class CountAt(NamedTuple):
    """The smoothed count and its first two derivatives at positions (n,)."""

    value: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray


@dataclass(frozen=True, eq=False)
class SmoothedCount:
    """``F(q) = sum_i w_i Phi((q - p_i) / h)``, with the normal distribution function Phi, on an interval.

    The sum over points is done once for each of the cells that the interval is cut into (a fast Gauss
    transform: Greengard & Strain 1991, SIAM J. Sci. Stat. Comput. 12, 79), so that a position costs one
    polynomial instead of a sum over all points.

    Attributes
    ----------
    low, bandwidth : float
    series : (n_cells, order + 1) float64
        Taylor coefficients about the middle of each cell, in units of the bandwidth.
    """

    low: float
    bandwidth: float
    series: np.ndarray

    @classmethod
    def of(
        cls, points: np.ndarray, weights: np.ndarray, low: float, high: float, bandwidth: float
    ) -> SmoothedCount:
        """Prepare the count of points (n,) with weights (n,) between ``low`` and ``high``."""
        n_cells = int(np.ceil((high - low) / bandwidth * _CELLS_PER_BANDWIDTH)) + 1
        moments = np.zeros((_ORDER + 1, n_cells))
        _moments(points, weights, low, bandwidth, moments)
        # phi^(n-1), of which Phi^(n) is made, within reach; Phi itself does not vanish to the right.
        near = _REACH * _CELLS_PER_BANDWIDTH
        t = np.arange(-near, near + 1) / _CELLS_PER_BANDWIDTH
        derivatives = [_normal_derivative(n, t) for n in range(2 * _ORDER + 1)]
        everywhere = ndtr(np.arange(1 - n_cells, n_cells) / _CELLS_PER_BANDWIDTH)
        series = np.zeros((n_cells, _ORDER + 1))
        for m in range(_ORDER + 1):
            for k in range(_ORDER + 1):
                if k + m == 0:
                    total = np.convolve(moments[0], everywhere)[n_cells - 1 : 2 * n_cells - 1]
                else:
                    total = np.convolve(moments[k], derivatives[k + m])[near : near + n_cells]
                series[:, m] += total / factorial(m)
        return cls(low, bandwidth, series)

    def at(self, positions: np.ndarray) -> CountAt:
        """Evaluate at positions (n,) in the interval."""
        result = np.empty((3, len(positions)))
        _evaluate(self.series, self.low, self.bandwidth, positions, result)
        return CountAt(*result)


def _normal_derivative(n: int, t: np.ndarray) -> np.ndarray:
    if n == 0:
        return np.asarray(ndtr(t))
    density = np.exp(-0.5 * t**2) / np.sqrt(2.0 * np.pi)
    return np.asarray((-1.0) ** (n - 1) * hermeval(t, [0.0] * (n - 1) + [1.0]) * density)


@kernel()
def _cell_of(position, low, bandwidth, n_cells):
    scaled = (position - low) / bandwidth
    cell = min(max(int(scaled * _CELLS_PER_BANDWIDTH), 0), n_cells - 1)
    return cell, scaled - (cell + 0.5) / _CELLS_PER_BANDWIDTH


@kernel()
def _moments(points, weights, low, bandwidth, moments):
    for i in range(points.size):
        cell, offset = _cell_of(points[i], low, bandwidth, moments.shape[1])
        term = weights[i]
        for k in range(moments.shape[0]):
            moments[k, cell] += term
            term *= -offset / (k + 1)


@kernel()
def _evaluate(series, low, bandwidth, positions, result):
    order = series.shape[1] - 1
    for i in range(positions.size):
        cell, offset = _cell_of(positions[i], low, bandwidth, series.shape[0])
        value, slope, half_curvature = 0.0, 0.0, 0.0
        for m in range(order, -1, -1):
            half_curvature = half_curvature * offset + slope
            slope = slope * offset + value
            value = value * offset + series[cell, m]
        result[0, i] = value
        result[1, i] = slope / bandwidth
        result[2, i] = 2.0 * half_curvature / bandwidth**2
