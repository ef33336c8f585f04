"""Issue 13, F8: where the log evidence jumps, a user is told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from inversions import named
from problems import mass, simulated

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.evaluate import evaluate_once

IMAGE = np.clip(simulated().native(simulated().data_fitted, fill=0.0), 0.0, None)
OF = pl.regularization
WINDOW = pl.mesh.RectangularWindow((9, 8), (-0.6, 0.6, -0.5, 0.6))
VORONOI = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((8, 8)))
COUNT_RAYS = {
    "Adapt": OF.Adapt(IMAGE, 2.0, 3.0, 0.7),
    "AdaptPower": OF.AdaptPower(IMAGE, 2.0, 8.0, 0.7, 1.3),
    "MaternAdaptPowerKernel": OF.MaternAdaptPowerKernel(IMAGE, 0.2, 2.0, 8.0, 0.7, 1.3),
    "AdaptAmplitude of Adapt": OF.AdaptAmplitude(OF.Adapt(IMAGE, 2.0, 3.0, 0.7), IMAGE),
}
CONTINUOUS = {
    "Constant": OF.Constant(5.0),
    "AdaptAmplitude": OF.AdaptAmplitude(OF.MaternSPDE(0.3, 0.8), IMAGE, 0.2, 0.7),
    "MaternKernel": OF.MaternKernel(2.0, 0.2),
}


def tracer(mesh: pl.mesh.Mesh, prior: OF.Regularization) -> pl.Tracer:
    source = pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, prior))
    return pl.Tracer([pl.Galaxy(0.5, mass=mass()), source])


@pytest.mark.parametrize("name", [*COUNT_RAYS, *CONTINUOUS])
def test_issue13_F8_jumps_where_a_ray_passes_from_pixel_to_pixel(name):
    """On a fixed grid, of one ray that moves by 1e-9 across a line of the grid."""
    problem, symbolic = assemble(tracer(WINDOW, (COUNT_RAYS | CONTINUOUS)[name]), simulated())
    inputs = named((problem.response.imaging.data_fitted, *evaluate_once(list(symbolic))))
    vertices = problem.invert(inputs).image.parts[0].geometry.vertices
    inside = np.argmin((inputs.rays**2).sum(axis=1))
    columns = np.unique(vertices[:, 1])
    line = columns[np.abs(columns - inputs.rays[inside, 1]).argmin()]
    values = []
    for side in (-1.0, 1.0):
        rays = inputs.rays.copy()
        rays[inside, 1] = line + 5e-10 * side
        values.append(problem.log_evidence(inputs._replace(rays=rays)))
    (part,) = problem.mapped
    assert part.regularization.counts_rays == (name in COUNT_RAYS)
    assert (abs(values[1] - values[0]) > 1e-5) == (name in COUNT_RAYS)


@pytest.mark.parametrize(
    ("mesh", "prior", "words"),
    [
        (WINDOW, COUNT_RAYS["Adapt"], ["a ray passes"]),
        (WINDOW, OF.AdaptAmplitude(OF.Adapt(IMAGE), IMAGE), ["a ray passes"]),
        (WINDOW, COUNT_RAYS["MaternAdaptPowerKernel"], ["a ray passes"]),
        (VORONOI, OF.AdaptSplit(IMAGE), ["a ray passes"]),
        (VORONOI, COUNT_RAYS["Adapt"], ["an edge", "a ray passes"]),
        (VORONOI, OF.Constant(), ["an edge"]),
        (VORONOI, CONTINUOUS["AdaptAmplitude"], []),
        (WINDOW, OF.Constant(), []),
    ],
)
def test_issue13_F8_warns_of_what_jumps(mesh, prior, words):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pl.LensedImage.dist(tracer(mesh, prior), simulated())
    said = [str(warning.message) for warning in caught if "log evidence jumps" in str(warning.message)]
    assert len(said) == len(words)
    assert all(word in text for word, text in zip(words, said, strict=True))
