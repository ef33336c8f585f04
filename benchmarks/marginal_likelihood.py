"""ln Z of one lens three ways: importance sampling, a bridge from draws of NUTS, sequential Monte Carlo.

    python benchmarks/marginal_likelihood.py [--source splines|gaussians] [--draws 500] [--seed 1]
        [--ways importance bridge smc]

Mass with shear before a source, on the lens of examples/data/small_lens: ``splines`` is the model of
docs/model_comparison.md, ``gaussians`` has a source without pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymc as pm
from threadpoolctl import threadpool_limits

import pymc_lens as pl

DATA = Path(__file__).parents[1] / "examples" / "data" / "small_lens"


def splines() -> pl.Galaxy:
    """A pixelized source of 256 splines, with two parameters of its prior."""
    matern = pl.regularization.MaternSPDE(
        pm.LogNormal("scale", -2.0, 1.0), pm.LogNormal("amplitude", 0.0, 2.0)
    )
    mesh = pl.mesh.RectangularWindow((16, 16), (-0.7, 0.7, -0.7, 0.7), degree=3)
    return pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, matern))


def gaussians() -> pl.Galaxy:
    """A parametric source: nine Gaussians about a centre, of one ellipticity and of any sign."""
    light = pl.light.MultiGaussian(
        pl.priors.position("source_centre", 0.2), pl.priors.ell_comps("source_ell_comps", sigma=0.3),
        np.geomspace(0.02, 0.5, 9), positivity=None,
    )  # fmt: skip
    return pl.Galaxy(1.0, light=light)


SOURCES = {"splines": splines, "gaussians": gaussians}
WAYS = ["importance", "bridge", "smc"]


def build(source: Callable[[], pl.Galaxy]) -> pm.Model:
    dataset = pl.pipeline.read_folder(DATA)
    dataset = dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, radius=2.2))
    with pm.Model() as model:
        mass = pl.mass.Isothermal(
            einstein_radius=pm.LogNormal("einstein_radius", 0.0, 0.4),
            ell_comps=pl.priors.ell_comps("ell_comps", sigma=0.2),
        ) + pl.mass.ExternalShear(pm.Normal("gamma_1", 0.0, 0.05), pm.Normal("gamma_2", 0.0, 0.05))
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass), source()])
        pl.LensedImage("image", tracer, observed=dataset)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", choices=SOURCES, default="splines")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    arguments = parser.parse_args()
    draws, seed, model = arguments.draws, arguments.seed, build(SOURCES[arguments.source])
    mode = pl.find_mode(model, starts={"einstein_radius": 1.2}, cores=1, progressbar=False)
    common = {"mode": mode, "model": model, "cores": 1, "random_seed": seed, "progressbar": False}
    ways = {
        "importance": lambda: pl.sample(draws, **common),
        "bridge": lambda: pl.sample(draws, method="nuts", **common),
        "smc": lambda: pm.sample_smc(
            draws, model=model, chains=4, cores=1, random_seed=seed, progressbar=False
        ),
    }  # fmt: skip
    for way in arguments.ways:
        begin = time.process_time()
        with threadpool_limits(1, user_api="blas"):
            idata = ways[way]()
            found = pl.log_marginal_likelihood(
                idata, model=model, cores=1, random_seed=seed, progressbar=False
            )
        print(f"{found}, {np.round(time.process_time() - begin):.0f} s of one processor", flush=True)


if __name__ == "__main__":
    main()
