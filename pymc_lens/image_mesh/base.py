"""The contract of an image mesh."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from pymc_lens.data.image_plane import ImagePlane


class ImageMesh(ABC):
    """Points of the image plane that are traced to the source plane, where they are a mesh's vertices.

    An implementation is immutable and deterministic.
    """

    @abstractmethod
    def vertices(self, plane: ImagePlane) -> np.ndarray:
        """Points for an image.

        Parameters
        ----------
        plane : ImagePlane
            Where the pixels of the image lie.

        Returns
        -------
        (n, 2) float64 array
            (y, x), arcsec.

        Raises
        ------
        ValueError
            If there are too few.
        """
