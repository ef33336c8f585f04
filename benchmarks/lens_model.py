"""A model of a real lens for the benchmarks: mass, shear, light and several kinds of source, jointly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pymc as pm

import pymc_lens as pl

# With a single source plane the posterior does not depend on them.
LENS_REDSHIFT, SOURCE_REDSHIFT = 0.5, 1.0
# The groups share no widths: Gaussians of equal width and nearly equal shape trade amplitude for shape, and
# the posterior of their difference is long, thin and bent.
LIGHT_SIGMAS = [np.geomspace(0.02, 0.35, 9), np.geomspace(0.45, 3.0, 8)]
COARSE_VERTICES = (20, 20)
ADAPTIVE_VERTICES = 700
# Half of a side of the window over the Einstein radius: an isothermal lens has several images within that.
MULTIPLY_IMAGED = 0.75
# The window holds what pixels brighter than this, relative to the brightest, are traced to, and a margin
# (arcsec).
WINDOW_LEVEL, WINDOW_MARGIN = 0.05, 0.08


def load(folder: Path, mask_radius: float) -> pl.Imaging:
    """Read image.fits, psf.fits and noise.fits and mask a circle."""
    dataset = pl.pipeline.read_folder(folder)
    return dataset.apply_mask(
        pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, radius=mask_radius)
    )


def tracer(
    einstein_radius, ell_comps, mass_centre, gamma_1, gamma_2, light_centre, inner_ell_comps, outer_ell_comps,
    pixelization,
) -> pl.Tracer:  # fmt: skip
    """An isothermal lens with shear, its light in two groups of Gaussians, and a pixelized source."""
    lens = pl.Galaxy(
        redshift=LENS_REDSHIFT,
        mass=pl.mass.Isothermal(centre=mass_centre, ell_comps=ell_comps, einstein_radius=einstein_radius)
        + pl.mass.ExternalShear(gamma_1=gamma_1, gamma_2=gamma_2),
        light=pl.light.MultiGaussian(light_centre, [inner_ell_comps, outer_ell_comps], LIGHT_SIGMAS),
    )
    return pl.Tracer([lens, pl.Galaxy(redshift=SOURCE_REDSHIFT, pixelization=pixelization)])


def coarse_pixelization(scale, amplitude, positivity: str | None = None) -> pl.Pixelization:
    """Few vertices everywhere: quick to climb on, and no choice of where the source may be."""
    mesh = pl.mesh.VoronoiNN(pl.image_mesh.Overlay(COARSE_VERTICES))
    prior = pl.regularization.MaternSPDE(scale=scale, amplitude=amplitude)
    return pl.Pixelization(mesh, prior, positivity)


class FirstFit(NamedTuple):
    """What a model adapts to: an image of the lensed source (n_y, n_x), and a window of the source plane."""

    adapt_image: np.ndarray
    window: tuple[float, float, float, float]

    @classmethod
    def of(cls, fit: pl.FitImaging) -> FirstFit:
        lensed = fit.dataset.plane.slim("adapt_image", fit.adapt_image)
        bright = fit.source.rays[lensed > WINDOW_LEVEL * lensed.max()].reshape(-1, 2)
        y, x = (0.5 * (bright.min(axis=0) + bright.max(axis=0))).tolist()
        half = float(0.5 * np.ptp(bright, axis=0).max() + WINDOW_MARGIN)
        return cls(fit.adapt_image, (y - half, y + half, x - half, x + half))


def window_pixelization(scale, amplitude, radius: float, positivity: str | None = None) -> pl.Pixelization:
    """Splines where a lens of that Einstein radius has several images of a source, and nothing elsewhere."""
    half = MULTIPLY_IMAGED * radius
    mesh = pl.mesh.RectangularWindow(COARSE_VERTICES, (-half, half, -half, half), degree=3)
    prior = pl.regularization.MaternSPDE(scale=scale, amplitude=amplitude)
    return pl.Pixelization(mesh, prior, positivity)


def adaptive_pixelization(
    scale, amplitude, faint_ratio, signal_scale, first: FirstFit, positivity: str | None = None
) -> pl.Pixelization:
    """Vertices and a prior that follow the brightness of the source, wherever it is."""
    mesh = pl.mesh.VoronoiNN(pl.image_mesh.KMeans(ADAPTIVE_VERTICES, first.adapt_image))
    matern = pl.regularization.MaternSPDE(scale=scale, amplitude=amplitude)
    prior = pl.regularization.AdaptAmplitude(matern, first.adapt_image, faint_ratio, signal_scale)
    return pl.Pixelization(mesh, prior, positivity)


def lens_priors() -> dict[str, Any]:
    """Priors of everything but the source."""
    return {
        "einstein_radius": pm.TruncatedNormal("einstein_radius", 1.2, 0.5, lower=0.0),
        "ell_comps": pl.priors.ell_comps("ell_comps", sigma=0.2),
        "mass_centre": pl.priors.position("mass_centre", 0.05),
        "gamma_1": pm.Normal("gamma_1", 0.0, 0.05),
        "gamma_2": pm.Normal("gamma_2", 0.0, 0.05),
        "light_centre": pl.priors.position("light_centre", 0.05),
        "inner_ell_comps": pl.priors.ell_comps("inner_ell_comps", sigma=0.2),
        "outer_ell_comps": pl.priors.ell_comps("outer_ell_comps", sigma=0.2),
    }


def coarse_priors(dataset: pl.Imaging) -> dict[str, Any]:
    """Priors of a Matern field's parameters."""
    return {
        "scale": pm.LogNormal("scale", np.log(0.1), 0.5),
        "amplitude": pm.LogNormal("amplitude", np.log(10.0 * np.median(dataset.noise_fitted)), 2.0),
    }


def coarse_model(
    dataset: pl.Imaging, pixelize: Callable[..., pl.Pixelization] = coarse_pixelization
) -> pm.Model:
    """Put priors on everything that is not linear; a Matern field as the source's."""
    with pm.Model() as model:
        pixelization = pixelize(**coarse_priors(dataset))
        pl.LensedImage("image", tracer(**lens_priors(), pixelization=pixelization), observed=dataset)
    return model


def adaptive_model(
    dataset: pl.Imaging, first: FirstFit, pixelize: Callable[..., pl.Pixelization]
) -> pm.Model:
    """The same with a source that adapts to an earlier fit."""
    with pm.Model() as model:
        pixelization = pixelize(
            **coarse_priors(dataset),
            faint_ratio=pm.LogNormal("faint_ratio", np.log(0.01), 1.0),
            signal_scale=pm.LogNormal("signal_scale", 0.0, 0.3),
            first=first,
        )
        pl.LensedImage("image", tracer(**lens_priors(), pixelization=pixelization), observed=dataset)
    return model
