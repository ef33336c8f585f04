"""Pairs of pixels and tiles are two ways to the same curvature."""

from __future__ import annotations

import numpy as np
import pytest
from inversions import assembled
from problems import mass, simulated, tracer

import pymc_lens as pl
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.response.imaging_blur import PairedBlur, TiledBlur


def window(n: int) -> pl.mesh.Mesh:
    return pl.mesh.RectangularWindow((n, n), (-0.4, 0.4, -0.3, 0.4), degree=3)


@pytest.mark.parametrize("positivity", [None, "map"])
def test_pairs_give_what_tiles_give(positivity: str | None) -> None:
    dataset = simulated(light=True)
    light = pl.light.MultiGaussian.log_spaced((0.01, 0.02), [(0.1, 0.0)], 0.1, 0.6, 3)
    pixelization = pl.Pixelization(window(16), pl.regularization.MaternSPDE(0.2, 1.0), positivity)
    galaxies = [pl.Galaxy(0.5, mass=mass(), light=light), pl.Galaxy(1.0, pixelization=pixelization)]
    inversion, arrays = assembled(pl.Tracer(galaxies), dataset)
    pairs, tiles = (
        Inversion(inversion.parts, kind(dataset), inversion.solver).log_evidence_and_gradient(arrays)
        for kind in (PairedBlur, TiledBlur)
    )
    assert pairs[0] == pytest.approx(tiles[0], rel=1e-12)
    for bar, expected in zip(pairs[1], tiles[1], strict=True):
        np.testing.assert_allclose(bar, expected, atol=1e-9 * np.abs(expected).max(initial=0.0))


def test_pairs_are_for_sources_finer_than_the_image() -> None:
    for n, kind in ((9, TiledBlur), (16, PairedBlur)):
        assert isinstance(assembled(tracer(mesh=window(n)), simulated())[0].response, kind)
