"""What image meshes that follow the brightness of an image have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.validation import integer, positive_number, validated_adapt_image


@dataclass(frozen=True, eq=False)
class AdaptiveImageMesh(ImageMesh):
    """A number of points, spread by weights that grow with an adapt image."""

    n_points: int
    adapt_image: np.ndarray
    weight_power: float = 0.5
    weight_floor: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_points", integer("n_points", self.n_points, minimum=4))
        object.__setattr__(self, "adapt_image", validated_adapt_image(self.adapt_image))
        for name in ("weight_power", "weight_floor"):
            positive_number(name, getattr(self, name))

    def weights(self, plane: ImagePlane) -> np.ndarray:
        """Return the weight of each unmasked pixel (n_pixels,).

        Raises
        ------
        ValueError
            If the image has another shape than the dataset, or the mask has fewer pixels than points.
        """
        image = plane.slim("adapt_image", self.adapt_image)
        if self.n_points > image.size:
            raise ValueError(
                f"n_points: expected at most the {image.size} unmasked pixels, got {self.n_points}."
            )
        if not image.any():
            raise ValueError("adapt_image: it is zero at every unmasked pixel.")
        return (image / image.max()) ** self.weight_power + self.weight_floor
