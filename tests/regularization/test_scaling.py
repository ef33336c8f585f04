"""Issue 13, F4: the evidence knows no unit. Data f times as bright are as probable, per f-fold interval."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from inversions import SourceAndLight, named, source_inversion
from problems import mass, simulated
from test_regularization import ADAPT_IMAGE, MESHES, PRIORS

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.inversion.solvers import SOLVERS

OVERLAY = pl.image_mesh.Overlay((12, 12))
ALL_MESHES = MESHES | {
    "VoronoiNN to the nearest": pl.mesh.VoronoiNN(OVERLAY, pl.mesh.NearestVertex()),
    "Delaunay to the nearest": pl.mesh.Delaunay(OVERLAY, pl.mesh.NearestVertex()),
    "Rectangular, relocated": pl.mesh.BorderRelocation(pl.mesh.Rectangular((9, 8))),
    "RectangularBox": pl.mesh.RectangularBox((9, 8), (-3.0, 3.0, -3.0, 3.0)),
}
# By how much each parameter of a prior has to grow for a source f times as bright, as a power of f.
POWERS = {
    "Adapt": [-0.5, -0.5, 0],
    "AdaptPower": [-1 / 1.3, -1 / 1.3, 0, 0],
    "AdaptSplit": [-0.5, -0.5, 0],
    "AdaptSplitPower": [-1 / 1.3, -1 / 1.3, 0, 0],
    "Constant": [-1],
    "ConstantSplit": [-1],
    "Dirichlet": [-1],
    "MaternSPDE": [0, 1],
    "MaternSPDE nu 2": [0, 1],
    "Zeroth": [-1],
    "ConstantZeroth": [-1, -1],
    "GaussianKernel": [-2, 0],
    "ExponentialKernel": [-2, 0],
    "MaternKernel": [-2, 0],
    "MaternAdaptPowerKernel": [0, -1 / 1.3, -1 / 1.3, 0, 0],
    "Dirichlet, adapted amplitude": [-1, 0, 0],
    "MaternSPDE, adapted amplitude": [0, 1, 0, 0],
    "MaternKernel, adapted amplitude": [-2, 0, 0, 0],
}
FACTORS = (1e-4, 10.0)


@cache
def bright(factor: float) -> pl.Imaging:
    dataset = simulated(light=True)
    full = pl.Imaging(dataset.data * factor, dataset.noise_map * factor, dataset.psf, dataset.pixel_scales)
    return full.apply_mask(dataset.mask)


@cache
def laid_out(mesh: str) -> tuple[tuple[float, ...], SourceAndLight]:
    """Scales of the light's amplitudes, and what an inversion reads of the lens."""
    light = pl.light.MultiGaussian.log_spaced((0.02, -0.01), (0.1, 0.05), 0.05, 1.0, 6)
    pixelization = pl.Pixelization(ALL_MESHES[mesh], PRIORS["Zeroth"])
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass(), light=light), pl.Galaxy(1.0, pixelization=pixelization)])
    problem, inputs = assemble(tracer, bright(1.0))
    return problem.scales, named((bright(1.0).data_fitted, *(part.eval() for part in inputs)))


def log_evidence(
    mesh: str,
    prior: pl.regularization.Regularization,
    powers: list[float],
    positivity: str | None,
    factor: float,
) -> float:
    """Of data so many times as bright, per interval as many times as wide."""
    dataset, (scales, inputs) = bright(factor), laid_out(mesh)
    problem = source_inversion(
        dataset,
        ALL_MESHES[mesh].scheme(dataset.plane),
        prior.scheme(dataset.plane),
        tuple(factor * np.array(scales)),
        SOLVERS[positivity],
    )
    parameters = np.array(prior.parameters) * factor ** np.array(powers, float)
    inputs = inputs._replace(data=dataset.data_fitted, regularization=parameters)
    return problem.invert(inputs).terms.log_evidence + inputs.data.size * np.log(factor)


def difference(
    mesh: str, prior: pl.regularization.Regularization, powers: list[float], positivity: str | None
) -> float:
    """By how much ln E(f d) + n ln f differs from ln E(d), in units of ln E(d), at most."""
    known, *others = (log_evidence(mesh, prior, powers, positivity, factor) for factor in (1.0, *FACTORS))
    return max(abs(other / known - 1.0) for other in others)


def go_together(mesh: str, prior: str) -> bool:
    if "Split" in prior:
        return not mesh.startswith(("Rectangular", "Stretched"))
    return not (prior.startswith("MaternSPDE") and mesh.endswith("to the nearest"))


@pytest.mark.parametrize("mesh", ALL_MESHES)
def test_issue13_F4_the_evidence_knows_no_unit(mesh):
    """With every prior and with lens light, with and without negative amplitudes and pixels."""
    found = {
        (prior, positivity): difference(mesh, PRIORS[prior], POWERS[prior], positivity)
        for prior in PRIORS
        if go_together(mesh, prior)
        for positivity in (None, "map")
    }
    assert not {case: error for case, error in found.items() if error > 1e-9}


def test_issue13_F4_negative_sources_integrated_out():
    assert difference("Rectangular", PRIORS["MaternKernel"], POWERS["MaternKernel"], "marginal") < 1e-9


def test_issue13_F4_the_ridge_of_pyautolens():
    """It is there on request, and it is what depends on the unit."""
    ridge = pl.regularization.PYAUTOLENS_RIDGE
    prior = pl.regularization.Constant(0.02, ridge=ridge)
    assert difference("Rectangular", prior, POWERS["Constant"], None) > 1e-5
    with pytest.raises(TypeError, match="ridge: expected a Ridge, got float"):
        pl.regularization.Adapt(ADAPT_IMAGE, ridge=1e-8)
    with pytest.raises(ValueError, match="relative"):
        pl.regularization.Ridge(relative=-1.0)
