"""Fit a lens from a folder: ``python examples/fit_lens.py DIR --out OUT``.

DIR holds image.fits, noise.fits and psf.fits. OUT receives summary.json, posterior.nc, fit.png, source.png
and posterior.png.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

import arviz as az
import lens_model
import matplotlib as mpl
import pymc as pm
from xarray import DataTree

import pymc_lens as pl


def fit(
    folder: Path, out: Path, mask_radius: float, draws: int, tune: int, chains: int, seed: int,
    pixel_scale: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Find the mode from several Einstein radii, sample, reconstruct, draw and summarize."""
    begin = time.perf_counter()
    pl.make_folder(out)  # before the work: a folder that cannot be written to
    dataset = lens_model.load(folder, mask_radius, pixel_scale)
    print(f"{folder.name}: {dataset}", flush=True)
    print("Compiling the model (the first run on a machine compiles for about a minute) ...", flush=True)
    start, first = lens_model.first_fit(dataset)
    print(f"Source window {', '.join(f'{edge:.2f}' for edge in first.window)} arcsec.", flush=True)
    model = lens_model.adaptive_model(dataset, first, lens_model.fine_pixelization)
    mode = pl.find_mode(model, starts=start)
    print(f"Mode at log-probability {mode.log_density:.1f} after {mode.evaluations} gradients.", flush=True)
    idata = pl.sample(
        draws, tune=tune, chains=chains, mode=mode, random_seed=seed, model=model, discard_tuned_samples=False
    )
    pl.save(idata, out / "posterior.nc")  # the draws are safe before anything else is done with them
    add_effective_einstein_radius(idata)
    pl.reconstruct(idata, model=model, random_seed=seed)
    pl.save(idata, out / "posterior.nc")
    best = pl.fit_at(model, idata)
    save_figures(idata, best, out)
    summary = summarize(idata, best, time.perf_counter() - begin)
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    return summary


def add_effective_einstein_radius(idata: DataTree) -> None:
    """The radius that Bolton et al. 2008 call bSIE."""
    posterior = idata["posterior"].to_dataset()
    radius = pl.convert.effective_einstein_radius(posterior["einstein_radius"], posterior["ell_comps"])
    idata["posterior"] = DataTree(posterior.assign(theta_e=radius), children=idata["posterior"].children)


def save_figures(idata: DataTree, best: pl.FitImaging, out: Path) -> None:
    pl.plot.subplot_fit(best).savefig(out / "fit.png", dpi=130)
    pl.plot.subplot_reconstruction(idata).savefig(out / "source.png", dpi=130)
    pl.plot.subplot_posterior(idata).savefig(out / "posterior.png", dpi=110)


def summarize(idata: DataTree, best: pl.FitImaging, wall_s: float) -> dict[str, Any]:
    posterior = idata["posterior"].to_dataset()
    table = az.summary(posterior, kind="all", round_to="none")
    print(table[["mean", "sd", "r_hat", "ess_bulk"]].to_string(float_format="%.5g"))
    parameters = {
        str(name): {key: float(row[key]) for key in ("mean", "sd", "r_hat", "ess_bulk")}
        for name, row in table.iterrows()
    }
    stats = [idata[group].to_dataset() for group in ("sample_stats", "warmup_sample_stats")]
    return {
        "parameters": {name: values for name, values in parameters.items() if name != "theta_e"},
        "theta_e": {key: parameters["theta_e"][key] for key in ("mean", "sd")},
        "log_evidence": best.log_evidence,
        "chi2_reduced": best.reduced_chi_squared,
        "divergences": int(stats[0]["diverging"].sum()),
        "wall_s": wall_s,
        "gradient_evaluations": int(sum(int(group["n_steps"].sum()) for group in stats))
        + int(posterior.attrs.get("mode_gradient_evaluations", 0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--mask-radius", type=float, default=3.0, help="arcsec, around the image centre")
    parser.add_argument(
        "--pixel-scale", type=float,
        help=f"arcsec; by default the header's, and {lens_model.PIXEL_SCALE} where image.fits has none",
    )  # fmt: skip
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=100)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    mpl.use("Agg")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    summary = fit(
        arguments.folder, arguments.out, arguments.mask_radius, arguments.draws, arguments.tune,
        arguments.chains, arguments.seed, arguments.pixel_scale,
    )  # fmt: skip
    print(f"PyMC {pm.__version__}; results in {arguments.out}")
    print(json.dumps({key: value for key, value in summary.items() if key != "parameters"}, indent=1))


if __name__ == "__main__":
    main()
