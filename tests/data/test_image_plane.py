"""Where an image lies on the sky: what is moved and turned along with the lens is seen the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from problems import clumps, gaussian_psf, simulated, tracer

import pymc_lens as pl
from pymc_lens.data.image_plane import CENTRED, Frame, ImagePlane
from pymc_lens.quantities import critical_curves
from pymc_lens.simulate import simulate_imaging

FRAME = Frame((0.31, -0.17), 33.0)
CENTRE = (0.021, -0.013)
SIGMAS = [0.003, 0.02, 0.15, 0.4]  # arcsec; the first is integrated over pixels of 0.1
DATASET = simulated(light=True)
IMAGE = np.clip(DATASET.native(DATASET.data_fitted, fill=0.0), 0.0, None)


def lens(mesh: pl.mesh.Mesh, frame: Frame = CENTRED) -> pl.Tracer:
    """A lens that is moved and turned with an image, without a shear, whose centre is that of the sky."""

    def turned(e_y, e_x):
        return tuple(Frame(rotation=2.0 * frame.rotation).to_sky(np.array([e_y, e_x])))

    centre = tuple(frame.to_sky(np.array(CENTRE)))
    isothermal = pl.mass.Isothermal(centre=centre, ell_comps=turned(0.1, -0.05), einstein_radius=1.0)
    light = pl.light.MultiGaussian(centre, [turned(0.2, 0.1), turned(-0.1, 0.3)], [SIGMAS, SIGMAS])
    source = pl.Pixelization(mesh, pl.regularization.MaternSPDE(0.3, 0.8))
    return pl.Tracer([pl.Galaxy(0.5, mass=isothermal, light=light), pl.Galaxy(1.0, pixelization=source)])


def moved(dataset: pl.Imaging, frame: Frame = FRAME) -> pl.Imaging:
    return replace(dataset, offset=frame.offset, rotation=frame.rotation)


def test_a_frame_turns_counter_clockwise_then_moves():
    frame = Frame((1.0, 2.0), 90.0)
    np.testing.assert_allclose(frame.to_sky(np.array([[0.0, 1.0], [1.0, 0.0]])), [[2, 2], [1, 1]], atol=1e-15)
    points = np.array([[[0.3, -0.7]]])
    np.testing.assert_allclose(FRAME.from_sky(FRAME.to_sky(points)), points, atol=1e-15)


@pytest.mark.parametrize(
    "mesh",
    [
        pl.mesh.VoronoiNN(pl.image_mesh.Overlay((12, 12), rotation=20.0)),
        pl.mesh.VoronoiNN(pl.image_mesh.Hilbert(120, IMAGE)),
        pl.mesh.Delaunay(pl.image_mesh.KMeans(120, IMAGE)),
        pl.mesh.BorderRelocation(pl.mesh.VoronoiNN((12, 12))),
    ],
    ids=["Overlay", "Hilbert", "KMeans", "BorderRelocation"],
)
def test_a_lens_moved_with_its_image_has_the_same_evidence(mesh):
    expected = pl.FitImaging(DATASET, lens(mesh))
    ours = pl.FitImaging(moved(DATASET), lens(mesh, FRAME))
    assert ours.log_evidence == pytest.approx(expected.log_evidence, rel=1e-8)
    np.testing.assert_allclose(
        ours.coefficients["lens_light"], expected.coefficients["lens_light"], rtol=1e-5
    )
    np.testing.assert_allclose(ours.source.rays, FRAME.to_sky(expected.source.rays), atol=1e-12)
    np.testing.assert_allclose(ours.source.vertices, FRAME.to_sky(expected.source.vertices), atol=1e-12)


def quarter_turn(dataset: pl.Imaging) -> pl.Imaging:
    """The image that a camera turned by a right angle takes of the same sky."""
    data, noise_map, psf, mask = (
        array.T[::-1] for array in (dataset.data, dataset.noise_map, dataset.psf, dataset.mask.array)
    )
    return pl.Imaging(data, noise_map, psf, 0.1, mask=pl.Mask2D(mask, 0.1), rotation=90.0)


def shifted(dataset: pl.Imaging) -> pl.Imaging:
    """The image without its lowest rows and columns."""
    data, noise_map, mask = (array[4:, 2:] for array in (dataset.data, dataset.noise_map, dataset.mask.array))
    return pl.Imaging(data, noise_map, dataset.psf, 0.1, mask=pl.Mask2D(mask, 0.1), offset=(0.2, 0.1))


@pytest.mark.parametrize("seen", [quarter_turn, shifted])
def test_the_same_sky_in_another_image_has_the_same_evidence(seen):
    """Nothing of the model changes: a sheared lens, light and a mesh that is fixed on the sky."""
    psf = gaussian_psf((5, 7)) * np.linspace(0.8, 1.2, 7)
    dataset = simulated(light=True, psf=psf).apply_mask(pl.Mask2D.circular((37, 39), 0.1, 1.3, (0.1, 0.05)))
    light = pl.light.MultiGaussian(CENTRE, [(0.2, 0.1)], [SIGMAS])
    fits_of = [
        pl.FitImaging(each.apply_over_sampling(over_sample_size_lp=4), tracer(light=light))
        for each in (dataset, seen(dataset))
    ]
    assert fits_of[1].log_evidence == pytest.approx(fits_of[0].log_evidence, rel=1e-10)


def test_simulations_figures_and_files_are_those_of_the_image(tmp_path):
    isothermal = pl.mass.Isothermal(centre=tuple(FRAME.offset), ell_comps=(0.0, 0.0), einstein_radius=1.0)
    tracers = [pl.Tracer([pl.Galaxy(0.5, mass=pl.mass.Isothermal()), pl.Galaxy(1.0)])]
    tracers.append(pl.Tracer([pl.Galaxy(0.5, mass=isothermal), pl.Galaxy(1.0)]))

    def source(y, x):
        return clumps(*FRAME.from_sky(np.stack([y, x], axis=-1)).T)

    settings = {"exposure_time": 1e14, "background_noise": 1e-7, "seed": 3, "over_sample_size": 2}
    expected = simulate_imaging(tracers[0], clumps, (37, 39), 0.1, gaussian_psf(), **settings)
    ours = simulate_imaging(
        tracers[1], source, (37, 39), 0.1, gaussian_psf(), **settings, offset=FRAME.offset, rotation=33.0
    )
    np.testing.assert_allclose(ours.data, expected.data, atol=3e-6)

    region = (-1.7, 1.7, -1.7, 1.7)
    (curve,), _ = critical_curves(tracers[1], region, FRAME)
    np.testing.assert_allclose(np.hypot(*curve.T), 1.0, atol=1e-3)

    mesh = pl.mesh.VoronoiNN((12, 12))
    for name, fit in (
        ("expected", pl.FitImaging(DATASET, lens(mesh))),
        ("ours", pl.FitImaging(moved(DATASET), lens(mesh, FRAME))),
    ):
        fit.to_fits(tmp_path / name)
    images = [fits.getdata(tmp_path / name / "source.fits") for name in ("expected", "ours")]
    assert images[0].shape == images[1].shape
    np.testing.assert_allclose(*images, atol=1e-8)


def test_identity():
    dataset = moved(DATASET)
    assert dataset != DATASET
    assert dataset.plane.digest != DATASET.plane.digest
    assert dataset.apply_over_sampling(2) == dataset == moved(DATASET)
    assert dataset.plane == ImagePlane(DATASET.mask, 2, FRAME)
    assert hash(dataset.plane) == hash(moved(DATASET).plane)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"offset": 0.1}, ValueError, "offset: expected a pair"),
        ({"offset": (0.1, np.nan)}, ValueError, "offset: expected finite"),
        ({"rotation": np.inf}, ValueError, "rotation: expected a finite number"),
        ({"rotation": "north"}, TypeError, "rotation: expected"),
    ],
)
def test_bad_frames(arguments, error, words):
    with pytest.raises(error, match=words):
        replace(DATASET, **arguments)
