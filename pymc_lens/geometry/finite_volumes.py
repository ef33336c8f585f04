"""Cells with facets between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class FiniteVolumes(NamedTuple):
    """The mesh as cells with facets between them; also the shape of its cotangents.

    ``sum_couplings conductances (s_i - s_j)^2 + boundary_conductances s_i^2`` approximates the integral of
    the squared gradient of the source, whatever the mesh.

    Attributes
    ----------
    conductances : (n_couplings,) float64
        Length of the facet between two neighbouring cells over the distance of their vertices.
    boundary_conductances : (n_source,) float64
        The same, summed over the neighbours whose value is zero by construction.
    areas : (n_source,) float64
        Areas of the cells, arcsec^2.
    """

    conductances: np.ndarray
    boundary_conductances: np.ndarray
    areas: np.ndarray
