"""Image meshes: where in the image plane the vertices of a source mesh start from."""

from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.image_mesh.hilbert import Hilbert
from pymc_lens.image_mesh.kmeans import KMeans
from pymc_lens.image_mesh.overlay import Overlay

__all__ = ["Hilbert", "ImageMesh", "KMeans", "Overlay"]
