"""Both rings of J0946+1006: two pixelized sources, a power law, and the ratio of distances free.

    python benchmarks/double_plane.py ../shared/data/slacs/J0946+1006 OUT [--draws 0]

The lens at redshift 0.222 has a source at 0.609 (first ring, 1.4") and another at about 2.3 (second ring,
2.1"; Gavazzi et al. 2008, ApJ 677, 1046). The noise map of these data has no weight where the second ring
shines: such pixels are given the noise of those as bright. What is fitted: power law and shear, a dark
perturber on the first ring (Vegetti et al. 2010, MNRAS 408, 1969), an isothermal sphere about the near
source, light of the lens in three shapes, a plane of sky, and both sources, which adapt to their images. The
first ring is found by the stages of `fit_lens`; the second is what shines above the azimuthal median in the
pixels without weight. ``OUT`` gets the figure of the mode, whose slope, ratio of distances and masses are
printed with the errors that its curvature implies, the ratio beside that of Planck's cosmology. With
``--draws`` the posterior is drawn as well, by two chains of NUTS: its 31 parameters are too far from normal
for importance sampling, of whose batches of 465 draws one to seven are effective.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
from astropy.cosmology import Planck18
from astropy.io import fits
from pymc.blocking import DictToArrayBijection, RaveledVars
from scipy.ndimage import gaussian_filter

import pymc_lens as pl
from pymc_lens.inference.values import compiled
from pymc_lens.pipeline import read_folder, stages
from pymc_lens.pipeline.models import AdaptTo, Redshifts, adaptive_pixelization, lens_priors, power_law
from pymc_lens.pipeline.places import distances
from pymc_lens.storage import save

LENS, NEAR, FAR = 0.222, 0.609, 2.3
PIXEL_SCALE, MASK = 0.05, 2.75
NO_WEIGHT = 0.1
# Arcsec: where the perturber is, how well that is known, and half the window of the far source.
PERTURBER, PERTURBER_ERROR, FAR_WINDOW = (1.04, -0.65), 0.1, 0.3
NAMES = [
    "slope",
    "ratio",
    "einstein_radius",
    "perturber_centre",
    "perturber_radius",
    "near_centre",
    "near_radius",
]
# Of the normal around the mode; of each chain of NUTS before those that count.
DRAWS, TUNE = 2000, 300
WIDTHS = np.geomspace(0.02, 0.2, 6), np.geomspace(0.27, 0.8, 5), np.geomspace(1.0, 3.0, 5)


class Rings(NamedTuple):
    """What is known before both rings are fitted together."""

    dataset: pl.Imaging
    centre: tuple[float, float]
    lens: stages.Lens
    near: stages.FirstSource
    far_image: np.ndarray


def planck_ratio() -> float:
    """Distance ratio D_ls / D_s of the near source over that of the far one."""
    near, far = (
        Planck18.angular_diameter_distance(LENS, source) / Planck18.angular_diameter_distance(source)
        for source in (NEAR, FAR)
    )
    return float(near / far)


def with_both_rings(folder: Path) -> tuple[pl.Imaging, np.ndarray]:
    """Read the image with a noise for every pixel, and tell which had no weight."""
    image, noise, psf = (
        fits.getdata(folder / f"{name}.fits").astype(float) for name in ("image", "noise", "psf")
    )
    weighted = noise < NO_WEIGHT
    of_brightness = np.polyfit(image[weighted], noise[weighted] ** 2, 1)
    level = np.sqrt(np.polyval(of_brightness, np.maximum(image, 0.0)))
    mask = pl.Mask2D.circular(image.shape, PIXEL_SCALE, MASK)
    dataset = pl.Imaging(image, np.where(weighted, noise, level), psf, PIXEL_SCALE).apply_mask(mask)
    return dataset, ~weighted & ~mask.array


def second_ring(dataset: pl.Imaging, where: np.ndarray, centre: tuple[float, float]) -> np.ndarray:
    """Image of what is brighter there than other pixels as far from the centre."""
    ring = np.round(distances(dataset, centre) / PIXEL_SCALE).astype(int)
    medians = np.array([np.median(dataset.data[ring == k]) for k in range(ring.max() + 1)])
    return gaussian_filter(np.where(where, dataset.data - medians[ring], 0.0).clip(0.0), 1.5)


def rings(folder: Path) -> Rings:
    start = stages.field(read_folder(folder, PIXEL_SCALE))
    lens = stages.search(start, Redshifts(), None, True).lenses[0]
    _, near = stages.first_source(start.dataset, lens, Redshifts())
    image = np.nan_to_num(near.adapt_to.image)
    near = near._replace(adapt_to=near.adapt_to._replace(image=image))
    dataset, where = with_both_rings(folder)
    return Rings(dataset, start.centre, lens, near, second_ring(dataset, where, start.centre))


def deflectors(parameters: dict[str, Any], ratio: Any) -> pl.mass.MassProfile:
    """Mass of the lens: radii and shear are those that the near source sees, the profiles' the far one."""
    seen = power_law(parameters)
    radius = seen.einstein_radius * ratio ** (-1.0 / (seen.slope - 1.0))
    place = pl.priors.position("perturber_centre", PERTURBER_ERROR, mu=PERTURBER)
    return (
        replace(seen, einstein_radius=radius)
        + pl.mass.ExternalShear(parameters["gamma_1"] / ratio, parameters["gamma_2"] / ratio)
        + pl.mass.Isothermal(place, (0.0, 0.0), pm.HalfNormal("perturber_radius", 0.05) / ratio)
    )


def model_of(known: Rings) -> pm.Model:
    far_window = (-FAR_WINDOW, FAR_WINDOW, -FAR_WINDOW, FAR_WINDOW)
    with pm.Model() as model:
        parameters = lens_priors(known.centre)
        ratio = pm.Uniform("ratio", 0.4, 1.0)
        shapes = [
            parameters["inner_ell_comps"],
            pl.priors.ell_comps("middle_ell_comps", sigma=0.2),
            parameters["outer_ell_comps"],
        ]
        light = pl.light.MultiGaussian(
            parameters["light_centre"], shapes, list(WIDTHS), positivity="marginal"
        )
        near = pl.Galaxy(
            NEAR,
            mass=pl.mass.Isothermal(
                pl.priors.position("near_centre", 0.05, mu=tuple(known.lens.source_centre)), (0.0, 0.0),
                pm.HalfNormal("near_radius", 0.3),
            ),
            pixelization=adaptive_pixelization(known.near.adapt_to, known.near.peak, PIXEL_SCALE, "near_"),
            name="near",
        )  # fmt: skip
        of_far = AdaptTo(known.far_image, far_window)
        far = pl.Galaxy(
            FAR,
            pixelization=adaptive_pixelization(of_far, known.far_image.max(), PIXEL_SCALE, "far_"),
            name="far",
        )
        factors = pl.ScalingFactors({(LENS, NEAR): ratio, (LENS, FAR): 1.0, (NEAR, FAR): 1.0})
        lens = pl.Galaxy(LENS, mass=deflectors(parameters, ratio), light=light)
        pl.LensedImage(
            "image", pl.Tracer([lens, near, far], factors), observed=known.dataset, sky=pl.Sky(order=1)
        )
    return model


def starts_of(known: Rings) -> dict[str, Any]:
    """Where to climb from: the first ring's lens, isothermal, in Planck's cosmology."""
    return known.lens.parameters | {
        "middle_ell_comps": known.lens.parameters["inner_ell_comps"], "slope": 2.0, "ratio": planck_ratio(),
        "perturber_centre": np.array(PERTURBER), "perturber_radius": 0.02,
        "near_centre": known.lens.source_centre, "near_radius": 0.15,
        "near_scale": 0.1, "near_amplitude": known.near.peak, "near_signal_scale": 1.5,
        "near_faint_ratio": 0.01,
        "far_scale": 0.08, "far_amplitude": known.far_image.max(), "far_signal_scale": 1.0,
        "far_faint_ratio": 0.05,
    }  # fmt: skip


def around(model: pm.Model, mode: pl.Mode) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means and deviations of draws of the normal that the mode's curvature implies."""
    flat = DictToArrayBijection.map(mode.point)
    values = compiled(model, [model[name] for name in NAMES])
    draws = np.random.default_rng(1).multivariate_normal(flat.data, mode.covariance, DRAWS)
    of_draws = [values(DictToArrayBijection.rmap(RaveledVars(draw, flat.point_map_info))) for draw in draws]
    stacked = {name: np.stack([each[name] for each in of_draws]) for name in NAMES}
    return {name: (each.mean(axis=0), each.std(axis=0)) for name, each in stacked.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--cores", type=int)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    arguments.out.mkdir(parents=True, exist_ok=True)
    known = rings(arguments.folder)
    model = model_of(known)
    mode = pl.find_mode(model, starts=starts_of(known), cores=arguments.cores)
    fit = pl.fit_at(model, mode)
    pl.plot.subplot_fit(fit).savefig(arguments.out / "fit.png")
    plt.close("all")
    print(f"ln E {fit.log_evidence:.1f}, chi2/N {fit.reduced_chi_squared:.3f}, {mode.evaluations} gradients")
    for name, (mean, deviation) in around(model, mode).items():
        print(name, mean.round(4), "+-", deviation.round(4))
    print(f"Planck's ratio: {planck_ratio():.3f}", flush=True)
    if arguments.draws:
        idata = pl.sample(
            arguments.draws, mode=mode, model=model, cores=arguments.cores, random_seed=1,
            method="nuts", tune=TUNE, max_treedepth=3,
        )  # fmt: skip
        save(idata, arguments.out / "posterior.nc")
        print(az.summary(idata, var_names=NAMES))


if __name__ == "__main__":
    main()
