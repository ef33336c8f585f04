"""A rectangular mesh whose axes follow the density of the rays or of the source."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.errors import InadmissibleError
from pymc_lens.geometry.bilinear import bilinear, bilinear_pullback
from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.geometry.lattice import lattice, lattice_neighbors, lattice_volumes
from pymc_lens.geometry.smoothed_count import SmoothedCount
from pymc_lens.mesh.base import GeometryCotangent, Mesh, MeshGeometry, MeshScheme
from pymc_lens.mesh.rectangular import axes_pullback
from pymc_lens.validation import positive_number, validated_adapt_image, validated_shape
from pymc_lens.workspace import Workspace

_OUTSIDE = -1e6


@dataclass(frozen=True, eq=False)
class RectangularAdaptive(Mesh):
    """Rectangular pixels, small where many pixels of the image are traced to.

    Each axis is stretched so that equally many traced pixel centres, smoothed by a Gaussian, fall between
    neighbouring rows and columns of source pixels; interpolation is bilinear on the stretched axes. This is
    the kernel transform of Enzi et al. 2026 (arXiv:2606.30620), in PyAutoLens
    ``RectangularRTUAdaptDensity``. One row of source pixels lies beyond the outermost rays on every side.

    Parameters
    ----------
    shape : (int, int)
        Source pixels along y and x, each at least 5.
    adapt_image : (n_y, n_x) array, optional
        Image of the lensed source, not negative, of the shape of the dataset: pixels count by their
        brightness. By default all count the same.
    bandwidth : float
        Standard deviation of the Gaussian in units of a source pixel of the uniform mesh.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        If an argument is outside its domain.
    """

    shape: tuple[int, int]
    adapt_image: np.ndarray | None = None
    bandwidth: float = 1.0

    def __post_init__(self) -> None:
        shape = validated_shape(self.shape)
        if min(shape) < 5:
            raise ValueError(f"shape: expected at least 5 source pixels along each axis, got {shape}.")
        object.__setattr__(self, "shape", shape)
        if self.adapt_image is not None:
            object.__setattr__(self, "adapt_image", validated_adapt_image(self.adapt_image))
        positive_number("bandwidth", self.bandwidth)

    @override
    def scheme(self, plane: ImagePlane) -> RectangularAdaptiveScheme:
        weights = np.ones(len(plane.grid))
        if self.adapt_image is not None:
            weights = plane.slim("adapt_image", self.adapt_image)
        if not weights.any():
            raise ValueError("adapt_image: it is zero at every unmasked pixel.")
        return RectangularAdaptiveScheme(
            self.shape, float(self.bandwidth), plane.grid, weights / weights.sum()
        )


@dataclass(frozen=True, eq=False)
class StretchedAxis:
    """One axis of a `RectangularAdaptive` mesh, laid out for one set of traced points.

    Attributes
    ----------
    points, weights : (n_points,) float64
    nodes : (n,) float64
        Positions of the source pixels, arcsec.
    count : SmoothedCount
        Of the points.
    ends : (2,) float64
        Smoothed counts at the outermost points.
    """

    points: np.ndarray
    weights: np.ndarray
    nodes: np.ndarray
    count: SmoothedCount
    ends: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, weights: np.ndarray, n: int, bandwidth: float) -> StretchedAxis:
        """Stretch an axis of n source pixels.

        Raises
        ------
        InadmissibleError
            If all points coincide.
        """
        points = np.ascontiguousarray(points)
        low, high = points.min(), points.max()
        if not high > low:
            raise InadmissibleError("degenerate mesh", "vertices: all pixels are traced to one line.")
        count = SmoothedCount.of(points, weights, low, high, bandwidth * (high - low) / n)
        ends = count.at(np.array([low, high])).value
        inner = _positions_of(count, low, high, np.linspace(ends[0], ends[1], n - 2))
        nodes = np.concatenate([[2.0 * inner[0] - inner[1]], inner, [2.0 * inner[-1] - inner[-2]]])
        return cls(points, weights, nodes, count, ends)

    @property
    def _inner_fractions(self) -> np.ndarray:
        return np.linspace(0.0, 1.0, self.nodes.size - 2)

    def inside(self, positions: np.ndarray) -> np.ndarray:
        """Whether positions (n,) lie between the outermost points."""
        return (positions >= self.nodes[1]) & (positions <= self.nodes[-2])

    def place(self, positions: np.ndarray) -> np.ndarray:
        """Places (n,) of positions in units of source pixels; those outside go to the outermost points."""
        value = self.count.at(np.clip(positions, self.nodes[1], self.nodes[-2])).value
        fraction = np.clip((value - self.ends[0]) / (self.ends[1] - self.ends[0]), 0.0, 1.0)
        return (self.nodes.size - 3) * fraction + 1.0

    def pullback(
        self, positions: np.ndarray, place_bar: np.ndarray, nodes_bar: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of `place` and of the nodes, to the positions and to the points that the axis follows."""
        low, high = self.nodes[1], self.nodes[-2]
        range_ = self.ends[1] - self.ends[0]
        inside = self.inside(positions)
        within = np.clip(positions, low, high)
        at = self.count.at(within)
        value_bar = np.where(inside, (self.nodes.size - 3) * place_bar / range_, 0.0)
        fraction = (at.value - self.ends[0]) / range_
        inner_bar = nodes_bar[1:-1].copy()
        inner_bar[[0, -1]] += 2.0 * nodes_bar[[0, -1]]
        # One at a time: of three inner nodes both are the same.
        inner_bar[1] -= nodes_bar[0]
        inner_bar[-2] -= nodes_bar[-1]
        # A node stays where the count is a given fraction of the whole.
        at_nodes = self.count.at(self.nodes[1:-1])
        held_bar = inner_bar / at_nodes.slope
        ends_bar = np.array(
            [
                held_bar @ (1.0 - self._inner_fractions) - value_bar @ (1.0 - fraction),
                held_bar @ self._inner_fractions - value_bar @ fraction,
            ]
        )
        where = np.concatenate([within, self.nodes[1:-1], [low, high]])
        counts_bar = np.concatenate([value_bar, -held_bar, ends_bar])
        at_ends = self.count.at(np.array([low, high]))
        bandwidth = self.count.bandwidth
        curvature = np.concatenate([at.curvature, at_nodes.curvature, at_ends.curvature])
        # The normal distribution solves the heat equation: dF/dh = h d^2F/dq^2.
        bandwidth_bar = bandwidth * (counts_bar @ curvature) * bandwidth / (high - low)
        mirrored = SmoothedCount.of(where, counts_bar, low, high, bandwidth)
        points_bar = -self.weights * mirrored.at(self.points).slope
        points_bar[self.points.argmin()] += ends_bar[0] * at_ends.slope[0] - bandwidth_bar
        points_bar[self.points.argmax()] += ends_bar[1] * at_ends.slope[1] + bandwidth_bar
        return value_bar * at.slope, points_bar


@dataclass(frozen=True, eq=False)
class StretchedGeometry(MeshGeometry):
    """A `RectangularAdaptive` mesh laid out for one set of rays.

    Attributes
    ----------
    axes : (StretchedAxis, StretchedAxis)
        Along y and x.
    rays : (n_rays, 2) float64
    place : (n_rays, 2) float64
        Of the rays, in units of source pixels.
    """

    axes: tuple[StretchedAxis, StretchedAxis]
    rays: np.ndarray
    place: np.ndarray

    @property
    def _shape(self) -> tuple[int, int]:
        y, x = self.axes
        return y.nodes.size, x.nodes.size

    @override
    def interpolate(self, points: np.ndarray) -> Interpolation:
        place = np.stack(
            [
                np.where(axis.inside(along), axis.place(along), _OUTSIDE)
                for axis, along in zip(self.axes, points.T, strict=True)
            ],
            axis=1,
        )
        return bilinear(place, self._shape, 0.0, Workspace())

    @override
    def pullback(
        self, weights_bar: np.ndarray, geometry_bar: GeometryCotangent
    ) -> tuple[np.ndarray, np.ndarray]:
        place_bar = bilinear_pullback(self.place, self._shape, weights_bar)
        y, x = self.axes
        nodes_bar = axes_pullback(y.nodes, x.nodes, geometry_bar)
        pulled = [
            axis.pullback(self.rays[:, i], place_bar[:, i], nodes_bar[i]) for i, axis in enumerate(self.axes)
        ]
        rays_bar, vertices_bar = (np.stack(parts, axis=1) for parts in zip(*pulled, strict=True))
        return rays_bar, vertices_bar


@dataclass(frozen=True, eq=False)
class RectangularAdaptiveScheme(MeshScheme):
    """Numerics of `RectangularAdaptive`.

    Attributes
    ----------
    shape : (int, int)
    bandwidth : float
    centres : (n_pixels, 2) float64
        Image-plane (y, x) of the pixels that the axes follow.
    weights : (n_pixels,) float64
    """

    shape: tuple[int, int]
    bandwidth: float
    centres: np.ndarray
    weights: np.ndarray

    @property
    @override
    def digest(self) -> str:
        content = self.centres.tobytes() + b"|" + self.weights.tobytes()
        return f"RectangularAdaptive {self.shape} {self.bandwidth} {sha256(content).hexdigest()}"

    @property
    @override
    def image_plane_vertices(self) -> np.ndarray:
        return self.centres

    @property
    @override
    def n_source(self) -> int:
        return self.shape[0] * self.shape[1]

    @override
    def geometry(self, rays: np.ndarray, vertices: np.ndarray, workspace: Workspace) -> StretchedGeometry:
        y, x = (
            StretchedAxis.of(vertices[:, axis], self.weights, self.shape[axis], self.bandwidth)
            for axis in (0, 1)
        )
        place = np.stack([y.place(rays[:, 0]), x.place(rays[:, 1])], axis=1)
        return StretchedGeometry(
            vertices=lattice(y.nodes, x.nodes).reshape(-1, 2),
            interpolation=bilinear(place, self.shape, 0.0, workspace),
            neighbors=lattice_neighbors(self.shape),
            boundary_degree=np.zeros(self.n_source),
            volumes=lattice_volumes(y.nodes, x.nodes),
            axes=(y, x),
            rays=rays,
            place=place,
        )


def _positions_of(count: SmoothedCount, low: float, high: float, values: np.ndarray) -> np.ndarray:
    """Invert the count by bisection, to the last digit."""
    below, above = np.full(values.size, low), np.full(values.size, high)
    for _ in range(54):
        middle = 0.5 * (below + above)
        is_below = count.at(middle).value < values
        below, above = np.where(is_below, middle, below), np.where(is_below, above, middle)
    positions = 0.5 * (below + above)
    positions[[0, -1]] = low, high
    return positions
