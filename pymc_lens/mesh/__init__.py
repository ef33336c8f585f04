"""Source-plane meshes."""

from pymc_lens.mesh.base import Mesh
from pymc_lens.mesh.border import NearestVertex, ZeroRing
from pymc_lens.mesh.border_relocation import BorderRelocation
from pymc_lens.mesh.delaunay import Delaunay, DelaunayMagnification
from pymc_lens.mesh.rectangular import Rectangular, RectangularBox, RectangularWindow
from pymc_lens.mesh.rectangular_adaptive import RectangularAdaptive
from pymc_lens.mesh.stretched_window import StretchedWindow
from pymc_lens.mesh.voronoi_nn import VoronoiNN

__all__ = [
    "BorderRelocation",
    "Delaunay",
    "DelaunayMagnification",
    "Mesh",
    "NearestVertex",
    "Rectangular",
    "RectangularAdaptive",
    "RectangularBox",
    "RectangularWindow",
    "StretchedWindow",
    "VoronoiNN",
    "ZeroRing",
]
