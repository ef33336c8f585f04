"""What lies beyond the outermost vertices of a triangulated mesh."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.validation import integer, number


class Border(ABC):
    """How a triangulated mesh ends."""

    has_ring: ClassVar[bool]

    @abstractmethod
    def ring(self, plane: ImagePlane) -> np.ndarray:
        """Lay out fixed source-plane vertices whose value is zero.

        Parameters
        ----------
        plane : ImagePlane
            Where the pixels of the image lie.

        Returns
        -------
        (n, 2) float64 array
            (y, x), arcsec.
        """


@dataclass(frozen=True)
class ZeroRing(Border):
    """A circle of fixed vertices around everything, on which the source is zero.

    Every ray lies inside the mesh whatever the mass, no vertex is ever on the hull, and the source fades out
    instead of being cut off, so that the evidence is smooth. Rays beyond the ring see nothing.

    Parameters
    ----------
    n_vertices : int
    radius_factor : float
        Radius in units of that of the mask.

    Raises
    ------
    TypeError
        If an argument is no number, or ``n_vertices`` no integer.
    ValueError
        If there are fewer than 8 vertices, or the factor is not above 1 or not finite.
    """

    has_ring: ClassVar[bool] = True

    n_vertices: int = 64
    radius_factor: float = 1.6

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_vertices", integer("n_vertices", self.n_vertices, minimum=8))
        if number("radius_factor", self.radius_factor) <= 1.0:
            raise ValueError(f"radius_factor: expected more than 1, got {self.radius_factor}.")

    def ring(self, plane: ImagePlane) -> np.ndarray:
        pixels = plane.centres
        centre = 0.5 * (pixels.min(axis=0) + pixels.max(axis=0))
        radius = self.radius_factor * np.sqrt(((pixels - centre) ** 2).sum(axis=1).max())
        angles = 2.0 * np.pi * np.arange(self.n_vertices) / self.n_vertices
        return plane.frame.to_sky(centre + radius * np.stack([np.sin(angles), np.cos(angles)], axis=1))


@dataclass(frozen=True)
class NearestVertex(Border):
    """Rays beyond the outermost vertices see the value of the nearest vertex, as in PyAutoLens."""

    has_ring: ClassVar[bool] = False

    def ring(self, plane: ImagePlane) -> np.ndarray:
        return np.empty((0, 2))


ZERO_RING = ZeroRing()
