"""Source-plane meshes."""

from pymc_lens.mesh.base import Mesh
from pymc_lens.mesh.rectangular import Rectangular, RectangularBox, RectangularWindow

__all__ = ["Mesh", "Rectangular", "RectangularBox", "RectangularWindow"]
