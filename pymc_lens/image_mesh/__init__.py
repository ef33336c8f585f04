"""Image meshes: where in the image plane the vertices of a source mesh start from."""

from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.image_mesh.overlay import Overlay

__all__ = ["ImageMesh", "Overlay"]
