"""``make demo``: the posterior of a real Hubble lens, SLACS J0252+0039, into demo/."""

from __future__ import annotations

import logging
from pathlib import Path

import fit_lens
import matplotlib as mpl

HERE = Path(__file__).parent


def main() -> None:
    mpl.use("Agg")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    out = Path("demo")
    summary = fit_lens.fit(
        HERE / "data" / "J0252+0039", out, mask_radius=2.0, draws=500, tune=80, chains=2, seed=1
    )
    theta_e = summary["theta_e"]
    print(f"Effective Einstein radius {theta_e['mean']:.4f} +- {theta_e['sd']:.4f} arcsec")
    print("(Bolton et al. 2008: 1.04 arcsec)")
    print(f"{summary['wall_s'] / 60:.1f} minutes, {summary['gradient_evaluations']} gradients.")
    print(f"Figures and draws: {out}/")


if __name__ == "__main__":
    main()
