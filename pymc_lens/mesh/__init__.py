"""Source-plane meshes."""

from pymc_lens.mesh.rectangular import Rectangular, RectangularBox

__all__ = ["Rectangular", "RectangularBox"]
