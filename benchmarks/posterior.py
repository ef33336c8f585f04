"""A posterior at full resolution: wall time, gradients and effective draws.

    python benchmarks/posterior.py [--json] [--prior NAME] [--draws N] [--tune N]

The simulated HST lens of examples/data/source_complex (0.05" pixels in a mask of 3.6": 16,241 pixels), mass
with shear and centre, a source on VoronoiNN with a Matern prior (nine parameters) or a Dirichlet one (eight),
two chains, from the prior's starting point. ``gradients`` counts those of tuning and sampling,
``mode_gradients`` those of the search before.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path

import arviz as az
import pymc as pm

import pymc_lens as pl

DATA = Path(__file__).parents[1] / "examples" / "data" / "source_complex"
MASK_RADIUS, OVERLAY, ROTATION = 3.6, (40, 40), 17.0
# Held while the ellipticity settles.
START = {"einstein_radius": 1.6, "centre": [0.0, 0.0], "gamma_1": 0.0, "gamma_2": 0.0}
PRIOR_STARTS = {"MaternSPDE": {"scale": 0.15, "amplitude": 0.5}, "Dirichlet": {"coefficient": 2.0}}
NAMES = ["einstein_radius", "ell_comps", "centre", "gamma_1", "gamma_2"]


def regularization(name: str) -> pl.regularization.Regularization:
    if name == "Dirichlet":
        return pl.regularization.Dirichlet(coefficient=pm.LogNormal("coefficient", 0.0, 2.0))
    return pl.regularization.MaternSPDE(
        scale=pm.LogNormal("scale", -2.0, 1.0), amplitude=pm.LogNormal("amplitude", 0.0, 2.0)
    )


def dataset() -> pl.Imaging:
    full = pl.Imaging.from_fits(
        DATA / "data.fits", DATA / "psf.fits", DATA / "noise_map.fits", pixel_scales=0.05
    )
    return full.apply_mask(pl.Mask2D.circular(full.shape_native, full.pixel_scales, radius=MASK_RADIUS))


def build(prior: str) -> pm.Model:
    with pm.Model() as model:
        mass = pl.mass.Isothermal(
            centre=pm.Normal("centre", 0.0, 0.05, shape=2),
            ell_comps=pl.priors.ell_comps("ell_comps", sigma=0.3),
            einstein_radius=pm.TruncatedNormal("einstein_radius", 1.6, 0.2, lower=0.0),
        ) + pl.mass.ExternalShear(
            gamma_1=pm.Normal("gamma_1", 0.0, 0.05), gamma_2=pm.Normal("gamma_2", 0.0, 0.05)
        )
        mesh = pl.mesh.VoronoiNN(pl.image_mesh.Overlay(OVERLAY, rotation=ROTATION))
        pixelization = pl.Pixelization(mesh, regularization(prior))
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass), pl.Galaxy(1.0, pixelization=pixelization)])
        pl.LensedImage("image", tracer, observed=dataset())
    return model


def measure(prior: str, draws: int, tune: int) -> dict[str, str | float]:
    begin = time.perf_counter()
    model = build(prior)
    mode = pl.find_mode(model, starts=[START | PRIOR_STARTS[prior]])
    found = time.perf_counter()
    idata = pl.sample(
        draws,
        tune=tune,
        method="nuts",
        mode=mode,
        target_accept=0.6,
        max_treedepth=2,
        model=model,
        random_seed=1,
        discard_tuned_samples=False,
    )
    end = time.perf_counter()
    posterior = idata["posterior"].to_dataset()[[*NAMES, *PRIOR_STARTS[prior]]]
    diagnostics = az.summary(posterior, kind="diagnostics", round_to="none")
    print(az.summary(posterior, kind="all").to_string(), file=sys.stderr)
    stats = [idata[group].to_dataset() for group in ("warmup_sample_stats", "sample_stats")]
    gradients = sum(int(group["n_steps"].sum()) for group in stats)
    ess = float(diagnostics["ess_bulk"].min())
    return {
        "prior": prior,
        "log_density": mode.log_density,
        "wall_s": end - begin,
        "mode_s": found - begin,
        "mode_gradients": mode.evaluations,
        "gradients": gradients,
        "ess_bulk_min": ess,
        "ess_per_gradient": ess / gradients,
        "r_hat_max": float(diagnostics["r_hat"].max()),
        "divergences": int(stats[1]["diverging"].sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--prior", choices=sorted(PRIOR_STARTS), default="MaternSPDE")
    parser.add_argument("--draws", type=int, default=340)
    parser.add_argument("--tune", type=int, default=60)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    figures = measure(arguments.prior, arguments.draws, arguments.tune)
    if arguments.json:
        print(json.dumps([figures], indent=1))
        return
    for name, value in figures.items():
        print(f"{name:18s} {value}")


if __name__ == "__main__":
    main()
