"""Delaunay triangulation of a set of vertices, and the finite volumes of its Voronoi cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import Delaunay, QhullError

from pymc_lens.errors import InadmissibleError
from pymc_lens.geometry.flips import Flips, find_flips, flips_pullback
from pymc_lens.linalg.kernel import kernel


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Triangles of a set of points.

    Attributes
    ----------
    points : (n, 2) float64
    triangles : (n_triangles, 3) int32
        Vertices, counter-clockwise when the first coordinate points right and the second up.
    neighbors : (n_triangles, 3) int32
        The triangle opposite to each vertex; -1 beyond the hull.
    """

    points: np.ndarray
    triangles: np.ndarray
    neighbors: np.ndarray

    @cached_property
    def circumcircles(self) -> np.ndarray:
        """Centre and squared radius of each triangle's circumcircle, (n_triangles, 3)."""
        circles = np.empty((len(self.triangles), 3))
        _circumcircles(self.points, self.triangles, circles)
        return circles

    @cached_property
    def _numbered_edges(self) -> tuple[np.ndarray, np.ndarray]:
        edges = np.empty((3 * len(self.points), 2), np.int64)
        edge_of = np.empty((len(self.triangles), 3), np.int32)
        count = _number_edges(self.triangles, self.neighbors, edges, edge_of)
        return edges[:count], edge_of

    @property
    def edges(self) -> np.ndarray:
        """Pairs of neighbouring points (n_edges, 2), larger index first."""
        return self._numbered_edges[0]

    @cached_property
    def conductances(self) -> np.ndarray:
        """Length of the facet between two Voronoi cells over the distance of their points, (n_edges,).

        Half the cotangents of the angles opposite to the edge, which vanish together where a Delaunay edge
        flips, so the stiffness matrix of linear elements varies continuously (Pinkall & Polthier 1993,
        Exp. Math. 2, 15).
        """
        conductances = np.zeros(len(self.edges))
        _conductances(self.points, self.triangles, self._numbered_edges[1], conductances)
        return conductances

    @cached_property
    def _flips(self) -> Flips:
        edge_of = self._numbered_edges[1]
        return find_flips(self.points, self.triangles, self.neighbors, edge_of, self.conductances)

    @cached_property
    def couplings(self) -> np.ndarray:
        """Pairs of points (n_couplings, 2) that the prior couples, larger index first.

        The edges, then the pairs that an edge close to its flip would join.
        """
        return np.concatenate([self.edges, self._flips.extra_pairs])

    @cached_property
    def smooth_conductances(self) -> np.ndarray:
        """The conductances, of all couplings, with a slope that is continuous at flips; see `flips`."""
        return self._flips.average(self.conductances)

    @cached_property
    def areas(self) -> np.ndarray:
        """Areas of the Voronoi cells, (n,); those of points on the hull are cut off at the hull's edges."""
        i, j = self.edges.T
        quarters = 0.25 * self.conductances * ((self.points[i] - self.points[j]) ** 2).sum(axis=1)
        return np.bincount(i, quarters, len(self.points)) + np.bincount(j, quarters, len(self.points))

    @cached_property
    def thirds(self) -> np.ndarray:
        """A third of the areas of the triangles around each point, (n,)."""
        thirds = self._doubled_areas / 6.0
        return np.bincount(self.triangles.ravel(), np.repeat(thirds, 3), len(self.points))

    @property
    def _doubled_areas(self) -> np.ndarray:
        a, b, c = (self.points[self.triangles[:, k]] for k in range(3))
        return np.asarray((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])

    def thirds_pullback(self, thirds_bar: np.ndarray) -> np.ndarray:
        """Adjoint of `thirds` to the points (n, 2)."""
        doubled_bar = thirds_bar[self.triangles].sum(axis=1) / 6.0
        points_bar = np.zeros(self.points.shape)
        for k in range(3):
            after, before = (self.points[self.triangles[:, (k + step) % 3]] for step in (1, 2))
            corner = self.triangles[:, k]
            # Of (after - corner) x (before - corner).
            for axis, slope in ((0, after[:, 1] - before[:, 1]), (1, before[:, 0] - after[:, 0])):
                points_bar[:, axis] += np.bincount(corner, doubled_bar * slope, len(points_bar))
        return points_bar

    def volumes_pullback(self, conductances_bar: np.ndarray, areas_bar: np.ndarray) -> np.ndarray:
        """Adjoint of `smooth_conductances` and `areas` to the points (n, 2)."""
        i, j = self.edges.T
        separation = self.points[i] - self.points[j]
        edge_bar = 0.25 * (areas_bar[i] + areas_bar[j])
        conductances_bar, points_bar = flips_pullback(self.points, self._flips, conductances_bar)
        conductances_bar += edge_bar * (separation**2).sum(axis=1)
        _conductances_pullback(
            self.points, self.triangles, self._numbered_edges[1], conductances_bar, points_bar
        )
        separation_bar = 2.0 * (edge_bar * self.conductances)[:, None] * separation
        for axis in (0, 1):
            points_bar[:, axis] += np.bincount(i, separation_bar[:, axis], len(points_bar))
            points_bar[:, axis] -= np.bincount(j, separation_bar[:, axis], len(points_bar))
        return points_bar


def triangulate(points: np.ndarray) -> Triangulation:
    """Triangulate points (n, 2).

    Raises
    ------
    InadmissibleError
        If points coincide, or all lie on a line.
    """
    try:
        delaunay = Delaunay(points)
    except QhullError:
        raise InadmissibleError(
            "degenerate mesh", "vertices: they lie on one line, which spans no triangles."
        ) from None
    if len(delaunay.coplanar):
        raise InadmissibleError(
            "degenerate mesh",
            f"vertices: {len(delaunay.coplanar)} coincide with others and would have no cell of their own.",
        )
    return Triangulation(np.ascontiguousarray(points), delaunay.simplices, delaunay.neighbors)


@kernel()
def _circumcircles(points, triangles, circles):
    for t in range(triangles.shape[0]):
        origin = points[triangles[t, 0]]
        a0, a1 = points[triangles[t, 1], 0] - origin[0], points[triangles[t, 1], 1] - origin[1]
        b0, b1 = points[triangles[t, 2], 0] - origin[0], points[triangles[t, 2], 1] - origin[1]
        scale = 0.5 / (a0 * b1 - a1 * b0)
        aa, bb = a0 * a0 + a1 * a1, b0 * b0 + b1 * b1
        c0, c1 = scale * (aa * b1 - bb * a1), scale * (bb * a0 - aa * b0)
        circles[t, 0], circles[t, 1] = origin[0] + c0, origin[1] + c1
        circles[t, 2] = c0 * c0 + c1 * c1


@kernel()
def _number_edges(triangles, neighbors, edges, edge_of):
    count = 0
    for t in range(triangles.shape[0]):
        for k in range(3):
            other = neighbors[t, k]
            if 0 <= other < t:
                for m in range(3):
                    if neighbors[other, m] == t:
                        edge_of[t, k] = edge_of[other, m]
            else:
                a, b = triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
                edges[count, 0], edges[count, 1] = max(a, b), min(a, b)
                edge_of[t, k] = count
                count += 1
    return count


@kernel()
def _conductances(points, triangles, edge_of, conductances):
    for t in range(triangles.shape[0]):
        for k in range(3):
            apex, a, b = triangles[t, k], triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
            u0, u1 = points[a, 0] - points[apex, 0], points[a, 1] - points[apex, 1]
            v0, v1 = points[b, 0] - points[apex, 0], points[b, 1] - points[apex, 1]
            conductances[edge_of[t, k]] += 0.5 * (u0 * v0 + u1 * v1) / (u0 * v1 - u1 * v0)


@kernel()
def _conductances_pullback(points, triangles, edge_of, conductances_bar, points_bar):
    for t in range(triangles.shape[0]):
        for k in range(3):
            apex, a, b = triangles[t, k], triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
            u0, u1 = points[a, 0] - points[apex, 0], points[a, 1] - points[apex, 1]
            v0, v1 = points[b, 0] - points[apex, 0], points[b, 1] - points[apex, 1]
            cross = u0 * v1 - u1 * v0
            dot_bar = 0.5 * conductances_bar[edge_of[t, k]] / cross
            cross_bar = -dot_bar * (u0 * v0 + u1 * v1) / cross
            u0_bar, u1_bar = dot_bar * v0 + cross_bar * v1, dot_bar * v1 - cross_bar * v0
            v0_bar, v1_bar = dot_bar * u0 - cross_bar * u1, dot_bar * u1 + cross_bar * u0
            points_bar[a, 0] += u0_bar
            points_bar[a, 1] += u1_bar
            points_bar[b, 0] += v0_bar
            points_bar[b, 1] += v1_bar
            points_bar[apex, 0] -= u0_bar + v0_bar
            points_bar[apex, 1] -= u1_bar + v1_bar
