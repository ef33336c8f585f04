"""What the pipeline's models say of a lens."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

import pymc_lens as pl
from pymc_lens.pipeline.models import Redshifts, isothermal, power_law, splines, tracer

SHAPE, SCALE, NOISE = (41, 41), 0.1, 0.02
SHAPE_OF_LIGHT = (0.1, -0.05)
LENS = {
    "einstein_radius": 0.8,
    "ell_comps": (0.1, -0.05),
    "mass_centre": (0.0, 0.0),
    "gamma_1": 0.0,
    "gamma_2": 0.0,
    "light_centre": (0.0, 0.0),
    "inner_ell_comps": SHAPE_OF_LIGHT,
}


def light(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A profile with wings, of one shape."""
    e_y, e_x = SHAPE_OF_LIGHT
    u, v = (1 + e_x) * y - e_y * x, (1 - e_x) * x - e_y * y
    squared = (u**2 + v**2) / (1 - e_y**2 - e_x**2)
    return sum(
        peak * np.exp(-squared / (2 * sigma**2)) for peak, sigma in ((5.0, 0.1), (2.0, 0.3), (0.3, 0.9))
    )


def test_a_second_shape_of_the_light_costs_nothing_by_itself():
    """ln E is as curved close to where both groups of Gaussians have the same shape as farther away."""
    offsets = np.arange(11) - 5
    psf = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 0.9**2))
    pixelization = pl.Pixelization(
        pl.mesh.RectangularWindow((16, 16), (-0.5, 0.5, -0.5, 0.5), degree=3),
        pl.regularization.MaternSPDE(scale=0.2, amplitude=0.5),
    )

    def lens(outer: np.ndarray) -> pl.Tracer:
        return tracer(LENS | {"outer_ell_comps": outer}, pixelization, SCALE, Redshifts())

    def source(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.exp(-((y - 0.05) ** 2 + x**2) / (2 * 0.1**2))

    shape = np.array(SHAPE_OF_LIGHT)
    dataset = pl.simulate_imaging(
        lens(shape), source, SHAPE, SCALE, psf / psf.sum(), 1e9, NOISE, seed=1, lens_light=light
    ).apply_mask(pl.Mask2D.circular(SHAPE, SCALE, 1.8))

    def log_evidence(step: float) -> float:
        return pl.FitImaging(dataset, lens(shape + np.array([0.0, step]))).log_evidence

    def curvature(step: float) -> float:
        return (log_evidence(step) + log_evidence(-step) - 2.0 * log_evidence(0.0)) / step**2

    near, far = curvature(1e-3), curvature(2e-2)
    assert far < 0.0
    assert 0.5 < near / far < 2.0


@pytest.mark.parametrize("slope", [1.5, 2.0, 2.5])
def test_the_radius_of_a_power_law_is_the_isothermals(slope: float) -> None:
    """Where the mean convergence within an ellipse is 1, that on it is (3 - slope) / 2."""
    with pm.Model() as model:
        of_model = power_law(LENS)
    radius = float(of_model.einstein_radius.eval({model["slope"]: slope}))
    mass = pl.mass.PowerLaw(LENS["mass_centre"], LENS["ell_comps"], radius, slope)
    angles = np.linspace(0.0, 2.0 * np.pi, 9)
    ray = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    # The convergence of the isothermal goes with 1 / r.
    on_ellipse = ray * (2.0 * convergence(isothermal(LENS), ray))[:, None]
    np.testing.assert_allclose(convergence(mass, on_ellipse), 0.5 * (3.0 - slope), rtol=1e-9)


def convergence(mass: pl.mass.MassProfile, grid: np.ndarray) -> np.ndarray:
    return np.asarray(mass.convergence(grid).eval())


@pytest.mark.parametrize(("half", "scale"), [(0.2, 0.05), (0.4, 0.05), (0.6, 0.1), (1.2, 0.05)])
def test_splines_are_as_fine_as_the_pixels_ask_in_the_middle_and_never_too_many(half: float, scale: float):
    window = (0.1 - half, 0.1 + half, -half, half)
    made, step = splines(window, scale), 1e-3
    assert made.extent == window
    near, far = (
        step / np.ptp(made.place(np.array([point, np.add(point, step)])), axis=0)
        for point in ((0.1, 0.0), (0.1 + 0.9 * half, 0.9 * half))
    )
    # Three a pixel, from twelve to thirty along a side, of which four are lost to the zero border.
    even = 2.0 * half / (30 + 3)
    assert np.all((near < scale / 3.0 * 1.01) | (near < 0.62 * even))
    assert np.all(far > 2.5 * near)
    assert 12 <= made.shape[0] == made.shape[1] <= 30
