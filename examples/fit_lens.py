"""Fit a lens from a folder: ``python examples/fit_lens.py DIR --out OUT``, as ``pymc-lens fit`` does.

DIR holds image.fits, noise.fits and psf.fits. OUT receives summary.json, posterior.nc, fit.png, source.png
and posterior.png.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import matplotlib as mpl

import pymc_lens as pl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--mask-radius", type=float, help="arcsec; by default found from the image")
    parser.add_argument("--pixel-scale", type=float, help="arcsec; by default that of the header")
    parser.add_argument("--draws", type=int, default=200, help="of each of two chains")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    mpl.use("Agg")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("pymc_lens").setLevel(logging.INFO)

    dataset = pl.pipeline.read_folder(arguments.folder, arguments.pixel_scale)
    if arguments.mask_radius is not None:
        circle = pl.Mask2D.circular(dataset.shape_native, dataset.pixel_scales, arguments.mask_radius)
        dataset = dataset.apply_mask(circle)
    result = pl.fit_lens(dataset, out=arguments.out, draws=arguments.draws, random_seed=arguments.seed)
    print(result)


if __name__ == "__main__":
    main()
