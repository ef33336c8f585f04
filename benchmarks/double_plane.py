"""J0946+1006 by the unattended path, as a power law, then with both of its sources.

    python benchmarks/double_plane.py ../shared/data/slacs/J0946+1006 OUT

A second, fainter ring of a galaxy far behind the first source is outside that source's (Gavazzi et al. 2008,
ApJ 677, 1046). Its pixels are in the image, but their noise is set so high that nobody sees them: here it is
taken from pixels as bright. The second model has two pixelized sources, a mass of the nearer one, and the
ratio of distances as a free parameter: deflection of the nearer source over that of the farther.
Printed is the posterior of both models, beside the ratio in Planck's cosmology; figures are in OUT.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pymc as pm
from astropy.cosmology import Planck15

import pymc_lens as pl

LENS, NEAR, FAR = 0.222, 0.609, 2.3
MASK = 2.8
NEAR_SPLINES, FAR_SPLINES, FAR_WINDOW, MARGIN = (30, 30), (24, 24), 0.8, 0.1
WIDTHS = [np.geomspace(0.02, 0.35, 9), np.geomspace(0.45, 3.0, 8)]
SHOWN = ["theta_near", "ell_comps", "slope", "gamma_1", "gamma_2", "near_radius", "ratio"]


def with_both_rings(dataset: pl.Imaging, centre: Any) -> pl.Imaging:
    """Give pixels whose noise was set high that of others as bright, and mask what is far out."""
    data, noise = dataset.data, dataset.noise_map
    seen = noise < 3.0 * np.median(noise)
    growth, variance = np.polyfit(data[seen].clip(0.0), noise[seen] ** 2, 1)
    found = np.where(seen, noise, np.sqrt(variance + growth * data.clip(0.0)))
    mask = pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, MASK, centre=centre)
    return dataset.with_data(data, found, dataset.unit).apply_mask(mask)


def planck_ratio() -> float:
    """Return the ratio of the two deflections in Planck's cosmology."""
    of = Planck15.angular_diameter_distance_z1z2
    return float(of(LENS, NEAR) / of(0.0, NEAR) / (of(LENS, FAR) / of(0.0, FAR)))


def tracer(values: Mapping[str, Any], near: pl.Pixelization, far: pl.Pixelization) -> pl.Tracer:
    """Return both planes; radius and shear of the lens are those that the nearer source sees."""
    ratio, slope = values["ratio"], values["slope"]
    mass = pl.mass.PowerLaw(
        values["mass_centre"],
        values["ell_comps"],
        values["theta_near"] * ratio ** (-1.0 / (slope - 1.0)),
        slope,
    ) + pl.mass.ExternalShear(values["gamma_1"] / ratio, values["gamma_2"] / ratio)
    light = pl.light.MultiGaussian(
        values["light_centre"],
        [values["inner_ell_comps"], values["outer_ell_comps"]],
        WIDTHS,
        positivity="marginal",
    )
    of_near = pl.mass.Isothermal(values["near_centre"], (0.0, 0.0), values["near_radius"])
    return pl.Tracer(
        [
            pl.Galaxy(LENS, mass=mass, light=light, name="lens"),
            pl.Galaxy(NEAR, mass=of_near, pixelization=near, name="near"),
            pl.Galaxy(FAR, pixelization=far, name="far"),
        ],
        pl.ScalingFactors({(LENS, NEAR): ratio, (LENS, FAR): 1.0, (NEAR, FAR): 1.0}),
    )


def window(rays: np.ndarray, splines: tuple[int, int]) -> pl.mesh.RectangularWindow:
    low, high = rays.min(axis=0), rays.max(axis=0)
    centre, half = 0.5 * (low + high), 0.5 * float(np.ptp(rays, axis=0).max()) + MARGIN
    y, x = centre.tolist()
    return pl.mesh.RectangularWindow(splines, (y - half, y + half, x - half, x + half), degree=3)


def start_of(first: pl.LensFit) -> dict[str, Any]:
    """Take the means of the first model's posterior as numbers."""
    means = first.idata["posterior"].to_dataset().mean(("chain", "draw"))
    values = {str(name): np.asarray(means[name]) for name in means.data_vars}
    slope, e = float(values["slope"]), float(np.hypot(*values["ell_comps"]))
    near = first.fit.source
    values["theta_near"] = values["einstein_radius"] * (1.0 + e) ** ((slope - 2.0) / (slope - 1.0))
    values["near_centre"] = near.vertices[near.reconstruction.argmax()]
    return {**values, "near_radius": 0.15, "ratio": planck_ratio()}


def adapted(name: str, image: np.ndarray, mesh: Any, peak: float) -> pl.Pixelization:
    prior = pl.regularization.AdaptAmplitude(
        pl.regularization.MaternSPDE(
            pm.LogNormal(f"{name}_scale", np.log(0.1), 0.5),
            pm.LogNormal(f"{name}_amplitude", np.log(peak), 1.0),
        ),
        image,
        faint_ratio=pm.LogNormal(f"{name}_faint_ratio", np.log(0.01), 1.0),
        signal_scale=pm.LogNormal(f"{name}_signal_scale", 0.0, 0.3),
    )
    return pl.Pixelization(mesh, prior)


def first_sight(
    dataset: pl.Imaging, first: pl.LensFit, start: Mapping[str, Any]
) -> tuple[pl.FitImaging, pl.mesh.RectangularWindow]:
    """Reconstruct the far source behind the lens of the first model, by evidence."""
    near_mesh = window(first.fit.source.detected_rays, NEAR_SPLINES)
    near = pl.Pixelization(
        near_mesh,
        pl.regularization.AdaptAmplitude(
            pl.regularization.MaternSPDE(float(start["scale"]), float(start["amplitude"])),
            first.fit.adapt_image,
            float(start["faint_ratio"]),
            float(start["signal_scale"]),
        ),
    )
    half = FAR_WINDOW
    everywhere = pl.mesh.RectangularWindow(FAR_SPLINES, (-half, half, -half, half), degree=3)
    far = pl.Pixelization(everywhere, pl.regularization.MaternSPDE(0.1, 0.1))
    return pl.FitImaging(dataset, tracer(start, near, far)), near_mesh


def both_sources(
    dataset: pl.Imaging, first: pl.LensFit, start: dict[str, Any]
) -> tuple[pm.Model, dict[str, Any]]:
    """Return the model, and where to begin."""
    sight, near_mesh = first_sight(dataset, first, start)
    far = sight.sources["far"]
    images = {name: np.nan_to_num(sight.images[name]).clip(0.0) for name in ("near", "far")}
    peak = float(far.reconstruction.max())
    print(f"First sight of the far source: peak {peak:.3f}, chi2/N {sight.reduced_chi_squared:.3f}")
    with pm.Model() as model:
        ell_comps = pl.priors.ell_comps("ell_comps", 0.2)
        values = {
            "theta_near": pm.LogNormal("theta_near", np.log(1.4), 0.2),
            "ell_comps": ell_comps,
            "slope": pm.TruncatedNormal("slope", 2.0, 0.2, lower=1.0, upper=3.0),
            "mass_centre": pl.priors.position("mass_centre", 0.05, mu=tuple(start["light_centre"])),
            "gamma_1": pm.Normal("gamma_1", 0.0, 0.05),
            "gamma_2": pm.Normal("gamma_2", 0.0, 0.05),
            "light_centre": pl.priors.position("light_centre", 0.05, mu=tuple(start["light_centre"])),
            "inner_ell_comps": pl.priors.ell_comps("inner_ell_comps", 0.2),
            "outer_ell_comps": pl.priors.ell_comps("outer_ell_comps", 0.2),
            "near_centre": pl.priors.position("near_centre", 0.05, mu=tuple(start["near_centre"])),
            "near_radius": pm.LogNormal("near_radius", np.log(0.15), 0.5),
            "ratio": pm.Uniform("ratio", 0.3, 1.0),
        }
        near = adapted("near", images["near"], near_mesh, float(start["amplitude"]))
        far_mesh = window(far.detected_rays, FAR_SPLINES)
        lensed = tracer(values, near, adapted("far", images["far"], far_mesh, peak))
        pl.LensedImage("image", lensed, observed=dataset)
    of_sources = {
        f"near_{name}": start[name] for name in ("scale", "amplitude", "faint_ratio", "signal_scale")
    } | {"far_scale": 0.1, "far_amplitude": peak, "far_faint_ratio": 0.01, "far_signal_scale": 1.0}
    return model, {name: start[name] for name in values} | of_sources


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    dataset = pl.pipeline.read_folder(arguments.folder, 0.05)
    first = pl.fit_lens(dataset, mass_model=pl.pipeline.power_law, out=arguments.out / "power_law")
    print(first)
    print(az.summary(first.idata, var_names=["theta_e", "slope", "gamma_1", "gamma_2"], kind="stats"))
    start = start_of(first)
    both = with_both_rings(dataset, tuple(start["light_centre"]))
    model, starts = both_sources(both, first, start)
    mode = pl.find_mode(model, starts=starts)
    print(mode)
    figure = pl.plot.subplot_fit(pl.fit_at(model, mode))
    figure.savefig(arguments.out / "both_sources.png", dpi=90)
    plt.close(figure)
    idata = pl.sample(200, mode=mode, model=model, random_seed=1, checkpoint=arguments.out / "draws.npz")
    print(az.summary(idata, var_names=SHOWN, kind="stats", round_to=4))
    print({key: value for key, value in idata.posterior.attrs.items() if isinstance(value, (int, float))})
    print(f"Ratio in Planck's cosmology, for a far source at redshift {FAR}: {planck_ratio():.4f}")


if __name__ == "__main__":
    main()
