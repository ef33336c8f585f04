"""Inversions of one pixelized source and light, from arrays, for tests of the numerics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.evaluate import evaluate_once
from pymc_lens.inversion.inversion import Arrays, Inversion
from pymc_lens.inversion.solvers import SOLVERS, Solver
from pymc_lens.linear.dense_columns import LightColumns
from pymc_lens.linear.pixelized import PixelizedScheme
from pymc_lens.mesh.base import MeshScheme
from pymc_lens.regularization.base import RegularizationScheme
from pymc_lens.response.imaging_blur import TiledBlur


class SourceAndLight(NamedTuple):
    """What the inversion of a source and light reads, and the shape of its gradient."""

    data: np.ndarray
    rays: np.ndarray
    vertices: np.ndarray
    regularization: np.ndarray
    light: np.ndarray


class SourceAlone(NamedTuple):
    """The same without light."""

    data: np.ndarray
    rays: np.ndarray
    vertices: np.ndarray
    regularization: np.ndarray


def named(arrays: Arrays) -> SourceAndLight | SourceAlone:
    """Give arrays of an inversion of one source, with or without light, their names."""
    return SourceAndLight(*arrays) if len(arrays) == len(SourceAndLight._fields) else SourceAlone(*arrays)


def source_inversion(
    imaging: pl.Imaging,
    mesh: MeshScheme,
    regularization: RegularizationScheme,
    light_scales: tuple[float, ...] = (),
    solver: Solver = SOLVERS[None],
) -> Inversion:
    """Return the inversion of a pixelized source, all of whose coefficients the solver confines if any."""
    confined = solver != SOLVERS[None]
    parts = [PixelizedScheme("source", mesh, regularization, imaging.plane.n_pixels, confined)]
    if light_scales:
        positions = imaging.light_grid.pixel_index
        parts.append(LightColumns("lens_light", np.array(light_scales), positions, confined))
    return Inversion(parts, TiledBlur(imaging), solver)


def assembled(tracer: pl.Tracer, dataset: pl.Imaging) -> tuple[Inversion, SourceAndLight | SourceAlone]:
    """Return the inversion of a tracer with numbers, and what it reads."""
    inversion, symbolic = assemble(tracer, dataset)
    return inversion, named((dataset.data_fitted, *evaluate_once(list(symbolic))))
