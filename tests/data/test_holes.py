"""Issue 13, line 14: a neighbour is masked in one way, whether by a hole, a masked array or a huge noise."""

from __future__ import annotations

import numpy as np
import pytest
from problems import mass, simulated, tracer
from scipy.signal import convolve2d

import pymc_lens as pl

SHAPE, SCALE = (37, 39), 0.1
# On the ring, wider than the PSF.
NEIGHBOUR = ~pl.Mask2D.circular(SHAPE, SCALE, radius=0.35, centre=(0.8, 0.5)).array


def masked_three_ways(lens: pl.Imaging, pixels: np.ndarray) -> dict[str, pl.Imaging]:
    data = np.where(pixels, lens.data + 1e6, lens.data)
    others = (lens.psf, SCALE)
    array = np.ma.array(data, mask=pixels)
    noise = np.where(pixels, 1e8, lens.noise_map)
    return {
        "hole": pl.Imaging(data, lens.noise_map, *others, mask=pl.Mask2D(lens.mask.array | pixels, SCALE)),
        "masked array": pl.Imaging(array, lens.noise_map, *others, mask=lens.mask),
        "noise": pl.Imaging(data, noise, *others, mask=lens.mask),
    }


MESHES = {
    "window": (pl.mesh.RectangularWindow((12, 12), (-0.6, 0.6, -0.6, 0.6)), pl.regularization.Constant(5.0)),
    "VoronoiNN": (
        pl.mesh.VoronoiNN(pl.image_mesh.Overlay((16, 16))),
        pl.regularization.MaternSPDE(scale=0.1, amplitude=1.0),
    ),
}


@pytest.mark.parametrize("mesh", MESHES)
def test_issue13_line14_three_ways_to_mask_a_neighbour_give_one_fit(mesh: str) -> None:
    source = pl.Galaxy(redshift=1.0, pixelization=pl.Pixelization(*MESHES[mesh]))
    light = pl.light.MultiGaussian.log_spaced(
        (0.0, 0.0), [(0.0, 0.0)], sigma_min=0.1, sigma_max=0.6, n_per_group=3
    )
    lens = pl.Galaxy(redshift=0.5, mass=mass(), light=light)
    fits = {
        name: pl.FitImaging(dataset, pl.Tracer([lens, source]))
        for name, dataset in masked_three_ways(simulated(light=True), NEIGHBOUR).items()
    }
    reference = fits.pop("noise")
    for fit in fits.values():
        assert fit.log_evidence == pytest.approx(reference.log_evidence, rel=1e-12)
        assert fit.chi_squared == pytest.approx(reference.chi_squared, rel=1e-12)
        np.testing.assert_allclose(fit.model_image, reference.model_image, rtol=1e-9)


def test_issue13_line14_light_is_blurred_out_of_a_hole() -> None:
    lens = simulated()
    dataset = masked_three_ways(lens, NEIGHBOUR)["hole"]
    fit = pl.FitImaging(dataset, tracer())
    unmasked = pl.FitImaging(lens, tracer())
    # The source of the fit, on a canvas that knows no mask but the outer rim, blurred.
    assert dataset.plane.n_pixels == lens.plane.n_pixels
    rays = fit.source.brightness(fit.source.rays).reshape(dataset.plane.n_pixels, -1).mean(axis=1)
    expected = convolve2d(dataset.plane.native(rays, fill=0.0), dataset.psf, mode="same")
    fitted = np.isfinite(fit.model_image)
    assert not fitted[NEIGHBOUR].any()
    np.testing.assert_allclose(fit.model_image[fitted], expected[fitted], atol=1e-9)
    rim = fitted & (convolve2d(NEIGHBOUR, np.ones((3, 3)), mode="same") > 0)
    chi_squared = np.mean(fit.chi_squared_map[rim])
    assert chi_squared == pytest.approx(np.mean(unmasked.chi_squared_map[rim]), rel=0.3)


def test_issue13_line14_holes_are_enclosed() -> None:
    circle = pl.Mask2D.circular(SHAPE, SCALE, radius=1.5)
    assert circle.without_holes == circle
    annulus = pl.Mask2D.annular(SHAPE, SCALE, 0.5, 1.5)
    assert annulus.without_holes == circle
    assert annulus.n_pixels < circle.n_pixels
    # A bite out of the rim is no hole.
    bite = circle.array | ~pl.Mask2D.circular(SHAPE, SCALE, radius=0.4, centre=(1.4, 0.0)).array
    np.testing.assert_array_equal(pl.Mask2D(bite, SCALE).without_holes.array, bite)
    dataset = simulated().apply_mask(annulus)
    assert dataset.plane.n_pixels == circle.n_pixels
    assert dataset.fitted.size == annulus.n_pixels
    assert np.isnan(dataset.native(dataset.data_fitted)[SHAPE[0] // 2, SHAPE[1] // 2])
