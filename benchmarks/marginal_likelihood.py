"""ln Z of one lens three ways: importance sampling, a bridge from draws of NUTS, sequential Monte Carlo.

    python benchmarks/marginal_likelihood.py [--draws 500]

The model of docs/model_comparison.md, mass with shear and two parameters of the source's prior, on the lens
of examples/data/small_lens.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pymc as pm
from threadpoolctl import threadpool_limits

import pymc_lens as pl

DATA = Path(__file__).parents[1] / "examples" / "data" / "small_lens"


def build() -> pm.Model:
    dataset = pl.pipeline.read_folder(DATA)
    dataset = dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, radius=2.2))
    with pm.Model() as model:
        mass = pl.mass.Isothermal(
            einstein_radius=pm.LogNormal("einstein_radius", 0.0, 0.4),
            ell_comps=pl.priors.ell_comps("ell_comps", sigma=0.2),
        ) + pl.mass.ExternalShear(pm.Normal("gamma_1", 0.0, 0.05), pm.Normal("gamma_2", 0.0, 0.05))
        matern = pl.regularization.MaternSPDE(
            pm.LogNormal("scale", -2.0, 1.0), pm.LogNormal("amplitude", 0.0, 2.0)
        )
        mesh = pl.mesh.RectangularWindow((16, 16), (-0.7, 0.7, -0.7, 0.7), degree=3)
        source = pl.Galaxy(1.0, pixelization=pl.Pixelization(mesh, matern))
        pl.LensedImage("image", pl.Tracer([pl.Galaxy(0.5, mass=mass), source]), observed=dataset)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=500)
    draws = parser.parse_args().draws
    model = build()
    mode = pl.find_mode(model, starts={"einstein_radius": 1.2}, cores=1, progressbar=False)
    common = {"mode": mode, "model": model, "cores": 1, "random_seed": 1, "progressbar": False}
    ways = {
        "importance": lambda: pl.sample(draws, **common),
        "bridge": lambda: pl.sample(draws, method="nuts", **common),
        "smc": lambda: pm.sample_smc(
            draws, model=model, chains=4, cores=1, random_seed=1, progressbar=False
        ),
    }  # fmt: skip
    for sampled in ways.values():
        begin = time.process_time()
        with threadpool_limits(1, user_api="blas"):
            idata = sampled()
            found = pl.log_marginal_likelihood(idata, model=model, cores=1, random_seed=1, progressbar=False)
        print(f"{found}, {np.round(time.process_time() - begin):.0f} s of one processor", flush=True)


if __name__ == "__main__":
    main()
