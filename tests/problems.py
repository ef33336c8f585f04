"""Small problems that several tests share."""

from __future__ import annotations

import numpy as np
import pymc as pm

import pymc_lens as pl
from pymc_lens.simulate import simulate_imaging

TRUTH = {"einstein_radius": 1.0, "ell_comps": (0.1, -0.05), "gamma_1": 0.03, "gamma_2": -0.02}


def gaussian_psf(shape: tuple[int, int] = (5, 5), sigma: float = 0.9) -> np.ndarray:
    y, x = (np.arange(n) - n // 2 for n in shape)
    return np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * sigma**2))


def clumps(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    places = ((0.05, 0.1, 0.12, 1.0), (-0.12, -0.05, 0.08, 1.5), (0.15, -0.15, 0.1, 0.7))
    return sum(peak * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s**2)) for cy, cx, s, peak in places)


def lens_light(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 4.0 * np.exp(-((1.1 * (y - 0.02)) ** 2 + (0.9 * (x + 0.01)) ** 2) / (2 * 0.3**2))


def mass(
    einstein_radius=TRUTH["einstein_radius"], ell_comps=TRUTH["ell_comps"], centre=(0.0, 0.0),
    gamma_1=TRUTH["gamma_1"], gamma_2=TRUTH["gamma_2"],
) -> pl.mass.MassProfile:  # fmt: skip
    isothermal = pl.mass.Isothermal(centre=centre, ell_comps=ell_comps, einstein_radius=einstein_radius)
    return isothermal + pl.mass.ExternalShear(gamma_1=gamma_1, gamma_2=gamma_2)


def tracer(lens_mass=None, coefficient=5.0, light=None, mesh=None, positivity=None) -> pl.Tracer:
    mesh = mesh or pl.mesh.RectangularWindow((10, 10), (-0.5, 0.5, -0.5, 0.5))
    pixelization = pl.Pixelization(mesh, pl.regularization.Constant(coefficient=coefficient), positivity)
    return pl.Tracer(
        [
            pl.Galaxy(redshift=0.5, mass=lens_mass or mass(), light=light),
            pl.Galaxy(redshift=1.0, pixelization=pixelization),
        ]
    )


def simulated(light: bool = False, psf: np.ndarray | None = None) -> pl.Imaging:
    dataset = simulate_imaging(
        tracer(), clumps, (37, 39), 0.1, gaussian_psf() if psf is None else psf, exposure_time=1000.0,
        background_noise=0.05, seed=3, over_sample_size=4, lens_light=lens_light if light else None,
    )  # fmt: skip
    return dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, 0.1, 1.7))


def model(dataset: pl.Imaging) -> pm.Model:
    """Three parameters: quick enough for every sampler."""
    with pm.Model() as built:
        radius = pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0)
        gamma_1 = pm.Normal("gamma_1", 0.03, 0.02)
        coefficient = pm.LogNormal("coefficient", np.log(5.0), 1.0)
        pl.LensedImage("image", tracer(mass(radius, gamma_1=gamma_1), coefficient), observed=dataset)
    return built


def full_model(dataset: pl.Imaging, mesh: pl.mesh.Mesh | None = None) -> pm.Model:
    """Everything that can be random: mass, shear, light geometry and the coefficient."""
    with pm.Model() as built:
        light = pl.light.MultiGaussian.log_spaced(
            pm.Normal("light_centre", 0.0, 0.05, shape=2),
            [pl.priors.ell_comps("inner", sigma=0.2), pl.priors.ell_comps("outer", sigma=0.2)],
            sigma_min=0.05, sigma_max=1.0, n_per_group=4,
        )  # fmt: skip
        lens_mass = mass(
            pm.TruncatedNormal("einstein_radius", 1.0, 0.1, lower=0.0),
            pl.priors.ell_comps("ell_comps", sigma=0.2),
            pm.Normal("mass_centre", 0.0, 0.05, shape=2),
            pm.Normal("gamma_1", 0.0, 0.05),
            pm.Normal("gamma_2", 0.0, 0.05),
        )
        coefficient = pm.LogNormal("coefficient", 1.0, 1.0)
        pl.LensedImage("image", tracer(lens_mass, coefficient, light, mesh), observed=dataset)
    return built
