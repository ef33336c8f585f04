"""``make demo``: the posterior of a real Hubble lens, SLACS J0252+0039, into demo/."""

from __future__ import annotations

import logging
from pathlib import Path

import matplotlib as mpl

import pymc_lens as pl

HERE = Path(__file__).parent


def main() -> None:
    mpl.use("Agg")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)
    print(
        "Two to four minutes on two idle cores; two more where kernels have to be compiled first.", flush=True
    )
    result = pl.fit_lens(pl.pipeline.read_folder(HERE / "data" / "J0252+0039", 0.05), out="demo")
    print(result)
    print("(Bolton et al. 2008: 1.04 arcsec)")
    print("Figures and draws: demo/")


if __name__ == "__main__":
    main()
