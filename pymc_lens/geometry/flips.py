"""Conductances of a triangulation that are differentiable where an edge flips.

Linear elements on the two triangulations of a convex quadrilateral have stiffness matrices that differ by
``delta v v'``, with v the affine dependency of its four vertices; the Delaunay triangulation is the one with
the smaller energy (Rippa 1990, Comput. Aided Geom. Design 7, 489). So the stiffness is continuous at a flip,
where delta changes its sign, but its slope is not. Here both triangulations are averaged, with weights that
are equal at the flip and leave the Delaunay triangulation alone at a distance from it. Every average is as
good a stiffness matrix as the two: linear functions keep their exact energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pymc_lens.linalg.kernel import kernel

# Of delta, from which on the Delaunay triangulation stands alone. An edge between two squares has 4.
_REACH = 0.3


@dataclass(frozen=True, eq=False)
class Flips:
    """The quadrilateral around each inner edge, with what it takes to flip the edge.

    Attributes
    ----------
    corners : (n_edges, 4) int32
        Ends of the edge, then the apexes of its two triangles.
    sides : (n_edges, 4) int32
        Edges from the first end to either apex, then from the second end.
    crossings : (n_edges, 2) float64
        Where the edge and the line through the apexes cross, as fractions of the two.
    distances : (n_edges,) float64
        delta over `_REACH`; 1 from there on, and where the edge cannot flip.
    """

    corners: np.ndarray
    sides: np.ndarray
    crossings: np.ndarray
    distances: np.ndarray

    @cached_property
    def extra(self) -> np.ndarray:
        """Edges (n_extra,) that are averaged: each adds its pair of apexes to the pairs that are coupled."""
        return np.flatnonzero(self.distances < 1.0)

    @property
    def extra_pairs(self) -> np.ndarray:
        """Pairs of apexes (n_extra, 2), larger index first."""
        return -np.sort(-self.corners[self.extra, 2:].astype(np.int64), axis=1)

    def average(self, conductances: np.ndarray) -> np.ndarray:
        """Averaged conductances of all edges, then of the extra pairs, (n_edges + n_extra,)."""
        averaged = np.append(conductances, np.zeros(self.extra.size))
        _average(self.sides, self.crossings, self.distances, self.extra, averaged)
        return averaged


def find_flips(
    points: np.ndarray,
    triangles: np.ndarray,
    neighbors: np.ndarray,
    edge_of: np.ndarray,
    conductances: np.ndarray,
) -> Flips:
    """Find the edges of a Delaunay triangulation that are close to a flip.

    Parameters
    ----------
    points : (n, 2) float64
    triangles, neighbors : (n_triangles, 3) int32
        See `Triangulation`.
    edge_of : (n_triangles, 3) int32
        The edge opposite to each vertex.
    conductances : (n_edges,) float64
    """
    return Flips(*_measure(points, triangles, neighbors, edge_of, conductances))


def flips_pullback(
    points: np.ndarray, flips: Flips, averaged_bar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Adjoint of `find_flips` and `Flips.average`.

    Returns
    -------
    conductances_bar : (n_edges,) float64
    points_bar : (n, 2) float64
        Without what goes through the conductances.
    """
    return _pull_back(
        points, flips.corners, flips.sides, flips.crossings, flips.distances, flips.extra, averaged_bar
    )


@kernel(inline="always")
def _share(x):
    """Of delta by which the other triangulation counts, in units of the reach, and its derivative."""
    return 0.5 * x * (1.0 - x) ** 3, 0.5 * (1.0 - x) ** 2 * (1.0 - 4.0 * x)


@kernel(inline="always")
def _guard(x):
    """Fades an average out before a side of its quadrilateral flips, which replaces the quadrilateral."""
    if x >= 1.0:
        return 1.0, 0.0
    return x**3 * (10.0 - 15.0 * x + 6.0 * x * x), 30.0 * x * x * (1.0 - x) ** 2


@kernel()
def _measure(points, triangles, neighbors, edge_of, conductances):
    n_edges = conductances.size
    corners, sides = np.zeros((n_edges, 4), np.int32), np.zeros((n_edges, 4), np.int32)
    crossings, distances = np.zeros((n_edges, 2)), np.ones(n_edges)
    for t in range(triangles.shape[0]):
        for i in range(3):
            other = neighbors[t, i]
            if other < t:
                continue
            m = 0
            while neighbors[other, m] != t:
                m += 1
            edge = edge_of[t, i]
            a, b = triangles[t, (i + 1) % 3], triangles[t, (i + 2) % 3]
            near, far = triangles[t, i], triangles[other, m]
            corners[edge, 0], corners[edge, 1], corners[edge, 2], corners[edge, 3] = a, b, near, far
            sides[edge, 0], sides[edge, 2] = edge_of[t, (i + 2) % 3], edge_of[t, (i + 1) % 3]
            sides[edge, 1], sides[edge, 3] = edge_of[other, (m + 1) % 3], edge_of[other, (m + 2) % 3]
            d0, d1 = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
            e0, e1 = points[far, 0] - points[near, 0], points[far, 1] - points[near, 1]
            r0, r1 = points[near, 0] - points[a, 0], points[near, 1] - points[a, 1]
            cross = d0 * e1 - d1 * e0
            along = (r0 * e1 - r1 * e0) / cross
            crossings[edge, 0], crossings[edge, 1] = along, (r0 * d1 - r1 * d0) / cross
            if 0.0 < along < 1.0:
                # Rounding may leave a conductance of -1e-16 at a flip.
                delta = max(conductances[edge], 0.0) / (along * (1.0 - along))
                distances[edge] = min(delta / _REACH, 1.0)
    return corners, sides, crossings, distances


@kernel()
def _average(sides, crossings, distances, extra, averaged):
    n_edges = distances.size
    for n in range(extra.size):
        edge = extra[n]
        weight = _REACH * _share(distances[edge])[0]
        for side in range(4):
            weight *= _guard(distances[sides[edge, side]])[0]
        along, across = crossings[edge, 0], crossings[edge, 1]
        averaged[edge] -= weight * along * (1.0 - along)
        averaged[n_edges + n] = -weight * across * (1.0 - across)
        averaged[sides[edge, 0]] += weight * (1.0 - along) * (1.0 - across)
        averaged[sides[edge, 1]] += weight * (1.0 - along) * across
        averaged[sides[edge, 2]] += weight * along * (1.0 - across)
        averaged[sides[edge, 3]] += weight * along * across


@kernel()
def _pull_back(points, corners, sides, crossings, distances, extra, averaged_bar):
    n_edges = distances.size
    conductances_bar, points_bar = averaged_bar[:n_edges].copy(), np.zeros(points.shape)
    distances_bar = np.zeros(n_edges)
    crossings_bar = np.zeros((extra.size, 2))
    for n in range(extra.size):
        edge = extra[n]
        along, across = crossings[edge, 0], crossings[edge, 1]
        edge_bar, extra_bar = averaged_bar[edge], averaged_bar[n_edges + n]
        bar_0, bar_1 = averaged_bar[sides[edge, 0]], averaged_bar[sides[edge, 1]]
        bar_2, bar_3 = averaged_bar[sides[edge, 2]], averaged_bar[sides[edge, 3]]
        first = (1.0 - across) * bar_0 + across * bar_1
        second = (1.0 - across) * bar_2 + across * bar_3
        weight_bar = (
            (1.0 - along) * first + along * second
            - along * (1.0 - along) * edge_bar - across * (1.0 - across) * extra_bar
        )  # fmt: skip
        share, slope = _share(distances[edge])
        guards = 1.0
        for side in range(4):
            guards *= _guard(distances[sides[edge, side]])[0]
        weight = _REACH * share * guards
        distances_bar[edge] += weight_bar * _REACH * slope * guards
        for side in range(4):
            others = weight_bar * _REACH * share * _guard(distances[sides[edge, side]])[1]
            for at in range(4):
                if at != side:
                    others *= _guard(distances[sides[edge, at]])[0]
            distances_bar[sides[edge, side]] += others
        crossings_bar[n, 0] = weight * (second - first - (1.0 - 2.0 * along) * edge_bar)
        crossings_bar[n, 1] = weight * (
            (1.0 - along) * (bar_1 - bar_0) + along * (bar_3 - bar_2) - (1.0 - 2.0 * across) * extra_bar
        )
    for n in range(extra.size):
        edge = extra[n]
        along, across = crossings[edge, 0], crossings[edge, 1]
        product = along * (1.0 - along)
        conductances_bar[edge] += distances_bar[edge] / (_REACH * product)
        along_bar = crossings_bar[n, 0]
        along_bar -= distances_bar[edge] * distances[edge] * (1.0 - 2.0 * along) / product
        a, b, near, far = corners[edge, 0], corners[edge, 1], corners[edge, 2], corners[edge, 3]
        d0, d1 = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        e0, e1 = points[far, 0] - points[near, 0], points[far, 1] - points[near, 1]
        r0, r1 = points[near, 0] - points[a, 0], points[near, 1] - points[a, 1]
        cross = d0 * e1 - d1 * e0
        along_bar, across_bar = along_bar / cross, crossings_bar[n, 1] / cross
        cross_bar = -(along_bar * along + across_bar * across)
        d0_bar, d1_bar = cross_bar * e1 - across_bar * r1, across_bar * r0 - cross_bar * e0
        e0_bar, e1_bar = -along_bar * r1 - cross_bar * d1, along_bar * r0 + cross_bar * d0
        r0_bar, r1_bar = along_bar * e1 + across_bar * d1, -along_bar * e0 - across_bar * d0
        points_bar[a, 0] -= d0_bar + r0_bar
        points_bar[a, 1] -= d1_bar + r1_bar
        points_bar[b, 0] += d0_bar
        points_bar[b, 1] += d1_bar
        points_bar[near, 0] += r0_bar - e0_bar
        points_bar[near, 1] += r1_bar - e1_bar
        points_bar[far, 0] += e0_bar
        points_bar[far, 1] += e1_bar
    return conductances_bar, points_bar
