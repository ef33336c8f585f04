"""Models of one simulated lens by their evidence: with and without a subhalo, of other slopes and sources.

    python benchmarks/subhalo.py OUT.jsonl [--models NAME ...] [--seeds 1 2 3] [--draws 800]

The lens: isothermal with shear, a subhalo of 10^10 solar masses on an arc, a clumpy source; 0.08" pixels.
ln Z of each model is that of ``pl.sample(method="importance")``. A line of JSON a model and seed is appended
to OUT.jsonl, what is there is not computed again, and at the end tables are printed.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.constants
import astropy.units as u
import numpy as np
import pymc as pm
from astropy.cosmology import FlatLambdaCDM
from json_lines import append, read
from search import CLUMPS, gaussians
from threadpoolctl import threadpool_limits

import pymc_lens as pl

LENS_REDSHIFT, SOURCE_REDSHIFT, COSMOLOGY = 0.5, 1.5, FlatLambdaCDM(70.0, 0.3)
PIXEL_SCALE, SHAPE, MASK_RADIUS = 0.08, (43, 43), 1.7
# Virial over scale radius, and radius of truncation over scale radius: denser than haloes in the field, and
# stripped, as subhaloes are.
CONCENTRATION, TRUNCATION = 15.0, 5.0
TRUTH: dict[str, Any] = {
    "einstein_radius": 1.1,
    "ell_comps": (0.1, -0.05),
    "gamma_1": 0.03,
    "gamma_2": -0.02,
    "log_mass": 10.0,
    "position": (0.75, -0.85),
}
START = {"scale": 0.1, "amplitude": 1.0}
WINDOW = (-0.6, 0.6, -0.6, 0.6)


def subhalo(log_mass: Any, position: Any) -> pl.mass.NFWTruncatedSph:
    """A truncated Navarro-Frenk-White halo of that log10 of its virial mass, in solar masses."""
    to_lens = COSMOLOGY.angular_diameter_distance(LENS_REDSHIFT)
    to_source = COSMOLOGY.angular_diameter_distance(SOURCE_REDSHIFT)
    between = COSMOLOGY.angular_diameter_distance(LENS_REDSHIFT, SOURCE_REDSHIFT)
    critical = astropy.constants.c**2 / (4 * np.pi * astropy.constants.G) * to_source / (to_lens * between)
    density = COSMOLOGY.critical_density(LENS_REDSHIFT)
    virial = (3.0 * 1e10 * u.Msun / (800.0 * np.pi * density)) ** (1 / 3)
    contrast = (
        200.0 / 3.0 * CONCENTRATION**3 / (np.log1p(CONCENTRATION) - CONCENTRATION / (1 + CONCENTRATION))
    )
    scale = virial / CONCENTRATION
    kappa_s = float((contrast * density * scale / critical).to_value(u.one))
    arcsec = float((scale / to_lens).to_value(u.one) * u.rad.to(u.arcsec))
    # Radii, and so convergences, go with the cube root of the mass.
    size = 10.0 ** ((log_mass - 10.0) / 3.0)
    return pl.mass.NFWTruncatedSph(position, kappa_s * size, arcsec * size, TRUNCATION * arcsec * size)


def macro(profile: Callable[..., pl.mass.MassProfile], values: dict[str, Any], **others: Any):
    mass = profile(ell_comps=values["ell_comps"], einstein_radius=values["einstein_radius"], **others)
    return mass + pl.mass.ExternalShear(values["gamma_1"], values["gamma_2"])


def simulated() -> pl.Imaging:
    offsets = np.arange(7) - 3
    psf = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 0.8**2))
    mass = macro(pl.mass.Isothermal, TRUTH) + subhalo(TRUTH["log_mass"], TRUTH["position"])
    tracer = pl.Tracer([pl.Galaxy(LENS_REDSHIFT, mass=mass), pl.Galaxy(SOURCE_REDSHIFT)])
    full = pl.simulate_imaging(
        tracer,
        gaussians(CLUMPS),
        SHAPE,
        PIXEL_SCALE,
        psf,
        exposure_time=4000.0,
        background_noise=0.01,
        seed=5,
    )
    return full.apply_mask(pl.Mask2D.circular(SHAPE, PIXEL_SCALE, MASK_RADIUS))


def lens_priors() -> dict[str, Any]:
    return {
        "einstein_radius": pm.LogNormal("einstein_radius", 0.0, 0.3),
        "ell_comps": pl.priors.ell_comps("ell_comps", 0.2),
        "gamma_1": pm.Normal("gamma_1", 0.0, 0.05),
        "gamma_2": pm.Normal("gamma_2", 0.0, 0.05),
    }


def isothermal():
    return macro(pl.mass.Isothermal, lens_priors())


def with_subhalo():
    """Its mass anywhere from 10^8 to 10^11 solar masses, its place known to half an arcsecond."""
    log_mass = pm.Uniform("log_mass", 8.0, 11.0)
    position = pl.priors.position("position", 0.25, mu=TRUTH["position"])
    return isothermal() + subhalo(log_mass, position)


def power_law():
    return macro(pl.mass.PowerLaw, lens_priors(), slope=pm.Normal("slope", 2.0, 0.2))


def matern():
    return pl.regularization.MaternSPDE(
        pm.LogNormal("scale", np.log(0.1), 0.7), pm.LogNormal("amplitude", 0.0, 1.0)
    )


def coefficient():
    return pm.LogNormal("coefficient", 1.0, 2.0)


def splines():
    return pl.mesh.RectangularWindow((20, 20), WINDOW, degree=3)


def vertices():
    return pl.mesh.VoronoiNN(pl.image_mesh.Overlay((20, 20)))


Part = Callable[[], Any]
MODELS: dict[str, tuple[Part, Part, Part]] = {
    "subhalo": (with_subhalo, splines, matern),
    "isothermal": (isothermal, splines, matern),
    "power law": (power_law, splines, matern),
    "splines, Dirichlet": (with_subhalo, splines, lambda: pl.regularization.Dirichlet(coefficient())),
    "splines, Constant": (with_subhalo, splines, lambda: pl.regularization.Constant(coefficient())),
    "natural neighbours, Matern": (with_subhalo, vertices, matern),
    "natural neighbours, Dirichlet": (
        with_subhalo, vertices, lambda: pl.regularization.Dirichlet(coefficient())
    ),
}  # fmt: skip
TABLES = {
    "Is there a subhalo?": ["subhalo", "isothermal"],
    "Without one, is the slope another?": ["isothermal", "power law"],
    "Which source?": ["subhalo", *list(MODELS)[3:]],
}


def build(name: str, dataset: pl.Imaging) -> pm.Model:
    mass, mesh, regularization = MODELS[name]
    with pm.Model() as model:
        source = pl.Galaxy(SOURCE_REDSHIFT, pixelization=pl.Pixelization(mesh(), regularization()))
        tracer = pl.Tracer([pl.Galaxy(LENS_REDSHIFT, mass=mass()), source])
        pl.LensedImage("image", tracer, observed=dataset)
    return model


def evidences(name: str, dataset: pl.Imaging, seeds: list[int], draws: int) -> list[dict]:
    """Of each seed; the mode is the same."""
    model, begin = build(name, dataset), time.process_time()
    known = {rv.name for rv in model.free_RVs}
    starts = {key: value for key, value in (TRUTH | START).items() if key in known}
    mode = pl.find_mode(model, starts=starts, cores=1, progressbar=False)
    seconds, rows = time.process_time() - begin, []
    for seed in seeds:
        begin = time.process_time()
        idata = pl.sample(
            draws, chains=1, method="importance", mode=mode, model=model, cores=1, random_seed=seed,
            progressbar=False,
        )  # fmt: skip
        attrs = idata["posterior"].attrs
        figures = ("log_z", "log_z_error", "pareto_k", "effective_draws", "n_values")
        rows.append(
            {
                "model": name,
                "seed": seed,
                **{figure: attrs.get(figure) for figure in figures},
                "mode": mode.log_density,
                "mode_s": round(seconds, 1),
                "sample_s": round(time.process_time() - begin, 1),
            }
        )
    return rows


def report(rows: list[dict]) -> None:
    """Compare models of each seed, and say how far apart seeds are."""
    by_seed: dict[int, dict[str, pl.LogMarginalLikelihood]] = {}
    for row in rows:
        z = pl.LogMarginalLikelihood(row["log_z"], row["log_z_error"], "importance", row["pareto_k"])
        by_seed.setdefault(row["seed"], {})[row["model"]] = z
    for title, names in TABLES.items():
        seeds = [seed for seed, found in sorted(by_seed.items()) if set(names) <= set(found)]
        if not seeds:
            continue
        print(f"\n{title}")
        print(pl.compare_evidence({name: by_seed[seeds[0]][name] for name in names}).round(2).to_string())
        for name in names[1:]:
            factors = [by_seed[seed][names[0]].log_z - by_seed[seed][name].log_z for seed in seeds]
            print(f"ln Bayes factor of {names[0]} against {name}: {np.round(factors, 2)}, "
                  f"apart by {np.ptp(factors):.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", choices=list(MODELS), nargs="+", default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--draws", type=int, default=800)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    dataset = simulated()
    for name in arguments.models:
        done = {row["seed"] for row in read(arguments.out) if row["model"] == name}
        missing = [seed for seed in arguments.seeds if seed not in done]
        if not missing:
            continue
        with threadpool_limits(1, user_api="blas"):
            rows = evidences(name, dataset, missing, arguments.draws)
        for row in rows:
            append(arguments.out, row)
    report(read(arguments.out))


if __name__ == "__main__":
    main()
