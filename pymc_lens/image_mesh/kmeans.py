"""Centres of a weighted clustering of the pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.image_mesh.adaptive import AdaptiveImageMesh
from pymc_lens.image_mesh.hilbert import Hilbert

_ITERATIONS = 30


@dataclass(frozen=True, eq=False)
class KMeans(AdaptiveImageMesh):
    """Centres of a weighted k-means clustering of the rays in the image plane, which starts from `Hilbert`.

    Lloyd's algorithm (1982, IEEE Trans. Inf. Theory 28, 129) a fixed number of times, so that the result is
    deterministic; the points are spread more evenly than those on a curve.

    Parameters
    ----------
    n_points, adapt_image, weight_power, weight_floor
        As of `Hilbert`.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        As `Hilbert`.
    """

    def vertices(self, plane: ImagePlane) -> np.ndarray:
        centres = Hilbert(self.n_points, self.adapt_image, self.weight_power, self.weight_floor).vertices(
            plane
        )
        points = plane.source_grid
        weights = np.repeat(self.weights(plane), len(points) // plane.pixel_rows.size)
        for _ in range(_ITERATIONS):
            nearest = KDTree(centres).query(points)[1]
            mass = np.bincount(nearest, weights, len(centres))
            occupied = mass > 0.0
            for axis in (0, 1):
                sums = np.bincount(nearest, weights * points[:, axis], len(centres))
                centres[occupied, axis] = sums[occupied] / mass[occupied]
        return centres
