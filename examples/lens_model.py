"""The model that `demo.py` and `fit_lens.py` fit to a real lens: mass, shear, light and source, jointly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pymc as pm

import pymc_lens as pl

PIXEL_SCALE = 0.05  # arcsec; HST/ACS and WFPC2 frames of the SLACS survey
# With a single source plane the posterior does not depend on them.
LENS_REDSHIFT, SOURCE_REDSHIFT = 0.5, 1.0
# The groups share no widths: Gaussians of equal width and nearly equal shape trade amplitude for shape, and
# the posterior of their difference is long, thin and bent.
LIGHT_SIGMAS = [np.geomspace(0.02, 0.35, 9), np.geomspace(0.45, 3.0, 8)]
COARSE_VERTICES = (20, 20)
PIXELS_PER_VERTEX = 12
EINSTEIN_RADIUS_STARTS = (0.80, 0.93, 1.08, 1.25, 1.45, 1.70)


def load(folder: Path, mask_radius: float) -> pl.Imaging:
    """Read image.fits, psf.fits and noise.fits and mask a circle."""
    dataset = pl.Imaging.from_fits(
        folder / "image.fits", folder / "psf.fits", folder / "noise.fits", pixel_scales=PIXEL_SCALE
    )
    return dataset.apply_mask(
        pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, radius=mask_radius)
    )


def tracer(
    einstein_radius, ell_comps, mass_centre, gamma_1, gamma_2, light_centre, inner_ell_comps, outer_ell_comps,
    scale, amplitude, image_mesh,
) -> pl.Tracer:  # fmt: skip
    """An isothermal lens with shear, its light in two groups of Gaussians, and a pixelized source."""
    lens = pl.Galaxy(
        redshift=LENS_REDSHIFT,
        mass=pl.mass.Isothermal(centre=mass_centre, ell_comps=ell_comps, einstein_radius=einstein_radius)
        + pl.mass.ExternalShear(gamma_1=gamma_1, gamma_2=gamma_2),
        light=pl.light.MultiGaussian(light_centre, [inner_ell_comps, outer_ell_comps], LIGHT_SIGMAS),
    )
    source = pl.Galaxy(
        redshift=SOURCE_REDSHIFT,
        pixelization=pl.Pixelization(
            mesh=pl.mesh.VoronoiNN(image_mesh),
            regularization=pl.regularization.MaternSPDE(scale=scale, amplitude=amplitude),
        ),
    )
    return pl.Tracer([lens, source])


def quick_fit(dataset: pl.Imaging) -> tuple[dict[str, np.ndarray], pl.image_mesh.ImageMesh]:
    """The mode on a coarse mesh of even vertices, and an image mesh with vertices where its arcs are.

    The coarse model is quick to climb from many starting points.
    """
    coarse = pl.image_mesh.Overlay(COARSE_VERTICES)
    model = build(dataset, coarse)
    starts = [{}, *({"einstein_radius": radius} for radius in EINSTEIN_RADIUS_STARTS)]
    at_mode = pl.find_mode(model, starts=starts).parameters
    fit = pl.FitImaging(dataset, tracer(**numbers(at_mode), image_mesh=coarse))
    image_mesh = pl.image_mesh.KMeans(dataset.n_pixels // PIXELS_PER_VERTEX, fit.adapt_image)
    return {rv.name: at_mode[rv.name] for rv in model.free_RVs}, image_mesh


def numbers(parameters: dict[str, np.ndarray]) -> dict[str, float | tuple[float, ...]]:
    """The arguments of `tracer` as plain numbers."""
    return {
        name: tuple(map(float, value)) if np.ndim(value) else float(value)
        for name, value in parameters.items()
        if not name.endswith("_unbounded")
    }


def build(dataset: pl.Imaging, image_mesh: pl.image_mesh.ImageMesh) -> pm.Model:
    """Put priors on everything that is not linear."""
    with pm.Model() as model:
        pl.PixelizedImage(
            "image",
            tracer(
                einstein_radius=pm.TruncatedNormal("einstein_radius", 1.2, 0.5, lower=0.0),
                ell_comps=pl.priors.ell_comps("ell_comps", sigma=0.2),
                mass_centre=pm.Normal("mass_centre", 0.0, 0.05, shape=2),
                gamma_1=pm.Normal("gamma_1", 0.0, 0.05),
                gamma_2=pm.Normal("gamma_2", 0.0, 0.05),
                light_centre=pm.Normal("light_centre", 0.0, 0.05, shape=2),
                inner_ell_comps=pl.priors.ell_comps("inner_ell_comps", sigma=0.2),
                outer_ell_comps=pl.priors.ell_comps("outer_ell_comps", sigma=0.2),
                scale=pm.LogNormal("scale", np.log(0.1), 0.5),
                amplitude=pm.LogNormal("amplitude", np.log(10.0 * np.median(dataset.noise_fitted)), 2.0),
                image_mesh=image_mesh,
            ),
            observed=dataset,
        )
    return model
