"""Images on larger pixels, against sums and a finer simulation."""

from __future__ import annotations

import numpy as np
import pytest
from problems import mass, simulated

import pymc_lens as pl
from pymc_lens.data.binning import binned


@pytest.mark.parametrize("shape", [(40, 41), (43, 40)])
def test_positions_and_weights(shape, rng):
    """A plane has the same values at the same places, whatever is cut off and left out."""
    noise = rng.uniform(0.5, 0.6, shape)
    noise[10:12, 20] = 1e8
    y, x = 0.1 * (np.indices(shape) - (np.array(shape)[:, None, None] - 1) / 2)
    data = 1.0 + 0.3 * y - 0.2 * x
    dataset = pl.Imaging(np.where(noise > 1.0, 1e6, data), noise, np.ones((1, 1)), 0.1)
    coarse = binned(dataset, 3)
    centres = coarse.plane.frame.to_sky(coarse.plane.centres)
    expected = 1.0 + 0.3 * centres[:, 0] - 0.2 * centres[:, 1]
    np.testing.assert_allclose(coarse.plane.slim("data", coarse.data), expected, atol=0.03)
    equal = binned(pl.Imaging(data, np.full(shape, 0.5), np.ones((1, 1)), 0.1), 2)
    centres = equal.plane.frame.to_sky(equal.plane.centres)
    exact = 1.0 + 0.3 * centres[:, 0] - 0.2 * centres[:, 1]
    np.testing.assert_allclose(equal.plane.slim("data", equal.data), exact, atol=1e-12)
    np.testing.assert_allclose(equal.noise_map, 0.25)


@pytest.mark.parametrize("factor", [2, 3])
def test_psf_is_that_between_averages(factor, rng):
    """Of an image that is the same all over each block, blurred and averaged."""
    psf = rng.uniform(size=(9, 7))
    dataset = pl.Imaging(np.zeros((60, 60)), np.ones((60, 60)), psf, 0.1)
    coarse = binned(dataset, factor)
    blocks = np.zeros((60 // factor, 60 // factor))
    blocks[9:11, 8:10] = rng.uniform(size=(2, 2))
    fine = np.kron(blocks, np.ones((factor, factor)))
    from scipy.signal import convolve2d

    blurred = convolve2d(fine, dataset.psf, mode="same")
    averaged = blurred.reshape(len(blocks), factor, len(blocks), factor).mean(axis=(1, 3))
    np.testing.assert_allclose(convolve2d(blocks, coarse.psf, mode="same"), averaged, atol=1e-12)


def test_the_same_lens_has_the_highest_evidence():
    dataset = simulated()
    coarse = binned(dataset, 2)
    assert coarse.fitted.size == pytest.approx(dataset.fitted.size / 4, rel=0.1)

    def evidence(radius):
        prior = pl.regularization.Constant(5.0)
        pixelization = pl.Pixelization(pl.mesh.VoronoiNN(pl.image_mesh.Overlay((8, 8))), prior)
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass(radius)), pl.Galaxy(1.0, pixelization=pixelization)])
        return pl.FitImaging(coarse, tracer).log_evidence

    assert evidence(1.0) > max(evidence(0.94), evidence(1.06))


def test_bad_input():
    with pytest.raises(ValueError, match="factor: expected at least 1"):
        binned(simulated(), 0)
    with pytest.raises(TypeError, match="dataset: expected"):
        binned(np.zeros((3, 3)), 2)
