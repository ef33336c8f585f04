"""The Hubble constant from a lensed quasar: four point images, their delays, and the galaxy around it.

    python examples/quasar.py [OUT]

The image is simulated, H0 = 70 km/s/Mpc. Three things are fitted together: the image (galaxy around the
quasar, quasar images, lens light), that the quasar images are those of one point, and the delays.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import arviz as az
import matplotlib as mpl
import numpy as np
import pymc as pm
from astropy.cosmology import FlatLambdaCDM
from scipy.stats import norm
from xarray import DataTree

import pymc_lens as pl

LENS_REDSHIFT, SOURCE_REDSHIFT, MATTER = 0.6, 1.7, 0.3
SHAPE, PIXEL_SCALE, MASK_RADIUS = (61, 61), 0.06, 1.7
EXPOSURE, BACKGROUND = 3000.0, 0.02
PSF_SIGMA, PSF_SHAPE = 1.3, (13, 13)  # pixels
QUASAR, FLUXES = (0.08, 0.05), (20.0, 15.0, 12.0, 6.0)
TRUTH: dict[str, Any] = {
    "H0": 70.0,
    "einstein_radius": 1.1,
    "slope": 2.05,
    "ell_comps": (0.12, -0.06),
    "gamma_1": 0.04,
    "gamma_2": -0.02,
}
# Arcsec: how well positions are read off the image, and how far a smooth lens is trusted to explain them.
READ_OFF, TRUSTED = 0.02, 0.004
# Of the delays, days.
DELAY_ERROR = 0.4


class Quasar(NamedTuple):
    """What is observed: an image, positions (n, 2) read off it, delays (n - 1) behind the first (days)."""

    dataset: pl.Imaging
    positions: np.ndarray
    delays: np.ndarray


def lens(parameters: dict[str, Any], **light: Any) -> pl.Galaxy:
    mass = pl.mass.PowerLaw(
        ell_comps=parameters["ell_comps"],
        einstein_radius=parameters["einstein_radius"],
        slope=parameters["slope"],
    ) + pl.mass.ExternalShear(parameters["gamma_1"], parameters["gamma_2"])
    return pl.Galaxy(LENS_REDSHIFT, mass=mass, **light)


def host(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The galaxy around the quasar: two Gaussians."""
    centre_y, centre_x = QUASAR
    bulge = 1.2 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * 0.1**2))
    return bulge + 0.7 * np.exp(-((y - centre_y - 0.12) ** 2 + (x - centre_x + 0.08) ** 2) / (2 * 0.08**2))


def lens_light(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 6.0 * np.exp(-(y**2 + x**2) / (2 * 0.2**2))


def point(at: Sequence[float], shape: tuple[int, int]) -> np.ndarray:
    """Flux of a point that falls on each pixel of an image, (ny, nx), through the Gaussian PSF."""
    along = []
    for size, place in zip(shape, at, strict=True):
        edges = np.arange(size + 1) - size / 2
        along.append(np.diff(norm.cdf(edges, place / PIXEL_SCALE, PSF_SIGMA)))
    return np.outer(*along)


def simulated(seed: int = 1) -> Quasar:
    rng = np.random.default_rng(seed)
    truth = pl.Tracer([lens(TRUTH), pl.Galaxy(SOURCE_REDSHIFT)], cosmology=FlatLambdaCDM(TRUTH["H0"], MATTER))
    half = 0.5 * SHAPE[0] * PIXEL_SCALE
    images = pl.quantities.image_positions(truth, QUASAR, (-half, half, -half, half))
    psf = point((0.0, 0.0), PSF_SHAPE)
    dataset = pl.simulate_imaging(
        truth,
        host,
        SHAPE,
        PIXEL_SCALE,
        psf,
        EXPOSURE,
        BACKGROUND,
        rng,
        lens_light=lens_light,
    )
    quasar = sum(flux * point(at, SHAPE) for flux, at in zip(FLUXES, images.positions, strict=True))
    data = dataset.data + rng.poisson(EXPOSURE * quasar) / EXPOSURE
    noise_map = np.sqrt(np.maximum(data, 0.0) / EXPOSURE + BACKGROUND**2)
    dataset = dataset.with_data(data, noise_map, dataset.unit)
    delays = images.arrival_times[1:] - images.arrival_times[0]
    return Quasar(
        dataset.apply_mask(pl.Mask2D.circular(SHAPE, PIXEL_SCALE, MASK_RADIUS)),
        images.positions + READ_OFF * rng.standard_normal(images.positions.shape),
        delays + DELAY_ERROR * rng.standard_normal(delays.shape),
    )


def lens_model(observed: Quasar, adapt_image: np.ndarray | None = None) -> pm.Model:
    """Everything together; the prior of the host follows its image in an earlier fit, if there is one."""
    with pm.Model() as model:
        parameters = {
            "einstein_radius": pm.LogNormal("einstein_radius", 0.0, 0.4),
            "slope": pm.Normal("slope", 2.0, 0.2),
            "ell_comps": pl.priors.ell_comps("ell_comps", sigma=0.2),
            "gamma_1": pm.Normal("gamma_1", 0.0, 0.05),
            "gamma_2": pm.Normal("gamma_2", 0.0, 0.05),
        }
        cosmology = pl.FlatWCDM(pm.LogNormal("H0", np.log(70.0), 0.3), MATTER)
        prior = pl.regularization.MaternSPDE(
            pm.LogNormal("scale", np.log(0.2), 1.0), pm.LogNormal("amplitude", 0.0, 2.0)
        )
        if adapt_image is not None:
            prior = pl.regularization.AdaptAmplitude(
                prior,
                adapt_image,
                faint_ratio=pm.LogNormal("faint_ratio", np.log(0.01), 1.0),
                signal_scale=pm.LogNormal("signal_scale", 0.0, 0.3),
            )
        window = pl.mesh.RectangularWindow((28, 28), (-0.35, 0.6, -0.45, 0.55), degree=3)
        light = pl.light.MultiGaussian.log_spaced((0.0, 0.0), (0.0, 0.0), 0.05, 1.0, 10)
        galaxy = lens(parameters, light=light)
        around = pl.Galaxy(SOURCE_REDSHIFT, pixelization=pl.Pixelization(window, prior), name="host")
        mapping = pl.Tracer([galaxy, around], cosmology=cosmology)
        # Where the quasar is seen: where one point behind the lens has images, near to what was read off.
        images = pl.ImagePositions("images", mapping, near=observed.positions, sigma=TRUSTED)
        pm.Normal("read_off", images, READ_OFF, observed=observed.positions)
        quasar = pl.Galaxy(SOURCE_REDSHIFT, light=pl.light.PointSource(images), name="quasar")
        tracer = mapping.with_galaxies([galaxy, around, quasar])
        pl.LensedImage("image", tracer, observed=observed.dataset)
        source = mapping.traced_grid(images).mean(axis=0)
        times = mapping.arrival_times(images, (source[0], source[1]))
        pm.Normal("delays", times[1:] - times[0], DELAY_ERROR, observed=observed.delays)
        pm.Deterministic("time_delay_distance", mapping.time_delay_distance())
    return model


def fitted(observed: Quasar, **sampling: Any) -> tuple[pm.Model, DataTree]:
    """Find the lens, then sample with a prior that follows the host that this has found."""
    first = lens_model(observed)
    mode = pl.find_mode(first, progressbar=sampling.get("progressbar", True))
    model = lens_model(observed, pl.fit_at(first, mode).adapt_image)
    start = {**mode.initvals, "faint_ratio": 0.01, "signal_scale": 1.0}
    return model, pl.sample(model=model, starts=start, random_seed=1, **sampling)


def main(out: Path) -> None:
    pl.make_folder(out)
    observed = simulated()
    model, idata = fitted(observed)
    summary = az.summary(
        idata,
        var_names=[*TRUTH, "time_delay_distance"],
        kind="stats",
        ci_kind="eti",
        ci_prob=0.68,
        round_to="none",
    ).round(4)
    summary.to_csv(out / "summary.csv")
    print(summary)
    shown = {name: TRUTH[name] for name in ("H0", "slope", "einstein_radius")}
    figures = {
        "data": pl.plot.subplot_dataset(observed.dataset),
        "fit": pl.plot.subplot_fit(pl.fit_at(model, idata)),
        "posterior": pl.plot.subplot_posterior(
            idata,
            list(shown),
            truths=shown,
        ),
    }
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=80)


if __name__ == "__main__":
    mpl.use("Agg")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "quasar"))
