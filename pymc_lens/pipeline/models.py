"""The models that the stages fit: mass, shear, light and source of a single lens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from pymc_lens import image_mesh, light, mass, mesh, priors, regularization
from pymc_lens.data.imaging import Imaging
from pymc_lens.distributions import LensedImage
from pymc_lens.fit import FitImaging
from pymc_lens.galaxy import Galaxy, Pixelization
from pymc_lens.symbolic import ellipticity
from pymc_lens.tracer import Tracer
from pymc_lens.validation import require_instance

# The groups share no widths: Gaussians of equal width and nearly equal shape trade amplitude for shape, and
# the posterior of their difference is long, thin and bent. In pixels, the narrowest; arcsec, the others.
_NARROWEST, _INNER, _OUTER, _WIDEST = 0.4, 0.35, 0.45, 3.0
_N_INNER, _N_OUTER = 9, 8
# With amplitudes of any sign a second shape is so many more columns that explain something: the evidence has
# a logarithmic spike where both groups have the same shape, at which climbs end.
_POSITIVITY = "marginal"
# Vertices all over the image of the first source; then splines along a side of the window, and how many of
# them a pixel of the image is wide in its middle.
_VERTICES = (20, 20)
_FEWEST_SPLINES, _MOST_SPLINES, _SPLINES_A_PIXEL = 12, 30, 3.0
# The window is so many times as wide as what pixels brighter than this, relative to the brightest, are traced
# to, and has a margin (arcsec). Wings that it cuts off bend the mass: at a peak signal-to-noise ratio of 50
# pixels of 0.05 are 2.5 standard deviations bright. Splines are fine in its middle, as far as half of what
# the bright pixels are traced to.
_WINDOW_LEVEL, _WINDOW_GROWTH, _WINDOW_MARGIN = 0.05, 1.8, 0.08
_CORE = 0.28
# Priors: see `lens_priors`.
_ELLIPTICITY, _SHEAR = 0.2, 0.05
_OFF_CENTRE = 0.05
# Somewhat wider than the scatter of massive galaxies (0.16: Auger et al. 2010, ApJ 724, 511).
_SLOPE, _SLOPE_SCATTER = 2.0, 0.2

Parameters = Mapping[str, Any]
# What makes a mass of the parameters of `lens_priors`, and random variables of its own.
MassModel = Callable[[Parameters], mass.MassProfile]


class Redshifts(NamedTuple):
    """With a single source plane the posterior does not depend on them."""

    lens: float = 0.5
    source: float = 1.0


class AdaptTo(NamedTuple):
    """What a source adapts to: an image of the lensed source (n_y, n_x), and a window of the source plane."""

    image: np.ndarray
    window: tuple[float, float, float, float]

    @classmethod
    def fit(cls, fit: FitImaging, centre: np.ndarray, reach: float) -> AdaptTo:
        """Adapt to the source of a fit, as far as it is within reach (arcsec) of a centre (y, x)."""
        lensed = fit.dataset.plane.slim("adapt_image", fit.adapt_image)
        rays = fit.source.rays.reshape(lensed.size, -1, 2)
        # All rays of a pixel: those around the middle of the lens go everywhere.
        near = (np.hypot(*np.moveaxis(rays - centre, -1, 0)) < reach).all(axis=1)
        bright = near & (lensed > _WINDOW_LEVEL * lensed[near].max(initial=0.0))
        seen = rays[bright].reshape(-1, 2) if bright.any() else centre + reach * np.array([[-1, -1], [1, 1]])
        y, x = (0.5 * (seen.min(axis=0) + seen.max(axis=0))).tolist()
        half = float(0.5 * _WINDOW_GROWTH * np.ptp(seen, axis=0).max() + _WINDOW_MARGIN)
        return cls(fit.adapt_image, (y - half, y + half, x - half, x + half))


def isothermal(parameters: Parameters) -> mass.MassProfile:
    """Return an isothermal mass: what `fit_lens` fits unless told otherwise.

    Parameters
    ----------
    parameters : mapping of str to number or variable
        ``mass_centre`` (y, x) and ``einstein_radius``, arcsec, and ``ell_comps``.

    Returns
    -------
    MassProfile

    Examples
    --------
    >>> parameters = {"mass_centre": (0.0, 0.0), "ell_comps": (0.1, 0.0), "einstein_radius": 1.2}
    >>> pl.pipeline.isothermal(parameters)
    Isothermal(centre=(0.0, 0.0), ell_comps=(0.1, 0.0), einstein_radius=1.2)
    """
    return mass.Isothermal(parameters["mass_centre"], parameters["ell_comps"], parameters["einstein_radius"])


def power_law(parameters: Parameters) -> mass.MassProfile:
    """Return a power law whose ``slope`` is a random variable: normal with 2 and 0.2, within 1 to 3.

    The ellipse within which the mean convergence is 1 is that of the isothermal mass of the same parameters,
    so that its radius, which is what an image measures, has the same prior whatever the slope. Hence
    ``einstein_radius`` is not that of `PowerLaw`, which is in the convention of PyAutoLens, unless the slope
    is 2.

    Parameters
    ----------
    parameters : mapping of str to number or variable
        ``mass_centre`` (y, x) and ``einstein_radius``, arcsec, and ``ell_comps``.

    Returns
    -------
    MassProfile
        With ``slope`` in the model on the context stack.

    Raises
    ------
    TypeError
        Without a model on the context stack.

    Examples
    --------
    >>> dataset = pl.pipeline.read_folder("lens")  # doctest: +SKIP
    >>> pl.fit_lens(dataset, mass_model=pl.pipeline.power_law)  # doctest: +SKIP
    """
    slope = pm.TruncatedNormal("slope", _SLOPE, _SLOPE_SCATTER, lower=1.0, upper=3.0)
    ell_comps, radius = parameters["ell_comps"], parameters["einstein_radius"]
    # The mean convergence within sqrt(x^2 + y^2 / q^2) = r is 2 / (1 + q) (einstein_radius / r)^(slope - 1).
    rescaled = pt.exp((slope - 2.0) / (slope - 1.0) * pt.log1p(ellipticity(*ell_comps)))
    return mass.PowerLaw(parameters["mass_centre"], ell_comps, rescaled * radius, slope)


def require_mass_model(mass_model: Any) -> None:
    """Raise TypeError for what makes no mass, before a search is begun."""
    if not callable(mass_model) or isinstance(mass_model, type):
        raise TypeError(f"mass_model: expected a function such as pl.pipeline.power_law, got {mass_model!r}.")
    with pm.Model():
        made = mass_model(lens_priors((0.0, 0.0)))
    require_instance("mass_model", made, mass.MassProfile)


def tracer(
    parameters: Parameters,
    pixelization: Pixelization,
    pixel_scales: float,
    redshifts: Redshifts,
    mass_model: MassModel = isothermal,
) -> Tracer:
    """Return a lens with shear, its light in two groups of Gaussians, and a pixelized source.

    Parameters
    ----------
    parameters : mapping of str to number or variable
        Those of `lens_priors`.
    pixelization : Pixelization
    pixel_scales : float
        Of the image, arcsec.
    redshifts : Redshifts
    mass_model : callable
        `isothermal`, `power_law`, or another function of the parameters.
    """
    narrowest = min(_NARROWEST * pixel_scales, 0.5 * _INNER)
    widths = [np.geomspace(narrowest, _INNER, _N_INNER), np.geomspace(_OUTER, _WIDEST, _N_OUTER)]
    lens = Galaxy(
        redshifts.lens,
        mass=mass_model(parameters)
        + mass.ExternalShear(gamma_1=parameters["gamma_1"], gamma_2=parameters["gamma_2"]),
        light=light.MultiGaussian(
            parameters["light_centre"],
            [parameters["inner_ell_comps"], parameters["outer_ell_comps"]],
            widths,
            positivity=_POSITIVITY,
        ),
    )
    return Tracer([lens, Galaxy(redshifts.source, pixelization=pixelization)])


def lens_priors(centre: tuple[float, float]) -> dict[str, Any]:
    """Priors of everything but the source, in the model on the context stack.

    The effective Einstein radius is 1.1" within a factor of 1.6; ellipticities are normal with 0.2, shears
    with 0.05; mass and light lie within 0.05" of where the lens shines.
    """
    ell_comps = priors.ell_comps("ell_comps", sigma=_ELLIPTICITY)
    return {
        "einstein_radius": priors.einstein_radius("einstein_radius", ell_comps),
        "ell_comps": ell_comps,
        "mass_centre": priors.position("mass_centre", _OFF_CENTRE, mu=centre),
        "gamma_1": pm.Normal("gamma_1", 0.0, _SHEAR),
        "gamma_2": pm.Normal("gamma_2", 0.0, _SHEAR),
        "light_centre": priors.position("light_centre", _OFF_CENTRE, mu=centre),
        "inner_ell_comps": priors.ell_comps("inner_ell_comps", sigma=_ELLIPTICITY),
        "outer_ell_comps": priors.ell_comps("outer_ell_comps", sigma=_ELLIPTICITY),
    }


def first_pixelization(coefficient: float = 1.0) -> Pixelization:
    """Few vertices everywhere, and a prior that knows nothing of the source but that it is smooth."""
    prior = regularization.Dirichlet(coefficient)
    return Pixelization(mesh.VoronoiNN(image_mesh.Overlay(_VERTICES)), prior)


def search_model(dataset: Imaging, centre: tuple[float, float], redshifts: Redshifts) -> pm.Model:
    """Priors on mass and light. The source is there for the search to put a compact one in its place."""
    with pm.Model() as model:
        traced = tracer(lens_priors(centre), first_pixelization(), dataset.pixel_scales, redshifts)
        LensedImage("image", traced, observed=dataset)
    return model


def splines(window: tuple[float, float, float, float], pixel_scales: float) -> mesh.StretchedWindow:
    """Cubic splines in a square window (y_min, y_max, x_min, x_max), in its middle as fine as the pixels ask.

    Parameters
    ----------
    window : tuple of float
        Arcsec.
    pixel_scales : float
        Of the image, arcsec.
    """
    half = 0.5 * (window[1] - window[0])
    core = _CORE * half
    # As many as are equally far apart in the coordinates of the mesh.
    wanted = np.ceil(_SPLINES_A_PIXEL * 2.0 * core * np.arcsinh(half / core) / pixel_scales)
    n = int(np.clip(wanted, _FEWEST_SPLINES, _MOST_SPLINES))
    return mesh.StretchedWindow((n, n), window, degree=3, core=core)


def adaptive_pixelization(
    adapt_to: AdaptTo, peak: float, pixel_scales: float, prefix: str = ""
) -> Pixelization:
    """Splines whose prior follows the brightness of an earlier source, in the model on the context stack.

    Parameters
    ----------
    adapt_to : AdaptTo
    peak : float
        About how bright the source is where it is brightest.
    pixel_scales : float
        Of the image, arcsec.
    prefix : str
        Of the names of the prior's parameters.
    """
    prior = regularization.AdaptAmplitude(
        regularization.MaternSPDE(
            scale=pm.LogNormal(f"{prefix}scale", np.log(0.1), 0.5),
            amplitude=pm.LogNormal(f"{prefix}amplitude", np.log(peak), 1.0),
        ),
        adapt_to.image,
        faint_ratio=pm.LogNormal(f"{prefix}faint_ratio", np.log(0.01), 1.0),
        # Above 1: what a source adapts to is an image of it that is blurred, and smoothed by its prior.
        signal_scale=pm.LogNormal(f"{prefix}signal_scale", np.log(1.5), 0.5),
    )
    return Pixelization(splines(adapt_to.window, pixel_scales), prior)


def joint_model(
    dataset: Imaging,
    centre: tuple[float, float],
    adapt_to: AdaptTo,
    peak: float,
    redshifts: Redshifts,
    mass_model: MassModel = isothermal,
) -> pm.Model:
    """Everything at once: a source of cubic splines, whose prior follows the brightness of an earlier source.

    Parameters
    ----------
    dataset : Imaging
    centre : (y, x)
        Where the lens shines, arcsec.
    adapt_to : AdaptTo
    peak : float
        About how bright the source is where it is brightest.
    redshifts : Redshifts
    mass_model : callable
        As for `tracer`.
    """
    with pm.Model() as model:
        pixelization = adaptive_pixelization(adapt_to, peak, dataset.pixel_scales)
        traced = tracer(lens_priors(centre), pixelization, dataset.pixel_scales, redshifts, mass_model)
        LensedImage("image", traced, observed=dataset)
    return model
