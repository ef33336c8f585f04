"""Competing modes of a real lens, with and without positive sources.

    python benchmarks/modes.py DIR [--radii R R ...] [--mask-radius R] [--json]

DIR holds image.fits, noise.fits and psf.fits. From each Einstein radius the model of examples/lens_model.py
(mass, shear, light in two groups of Gaussians, a source on 20 x 20 vertices with a Matern prior; everything
free) climbs to a mode without a constraint, from there with each kind of positivity, and without again: each
kind is a way out of the other's local maxima. The highest of each kind is reported. A mode's ``log_density``
is its log evidence and log prior.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from threadpoolctl import threadpool_limits

import pymc_lens as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import lens_model

KINDS = (None, "map", "marginal")
CLIMBS = (*KINDS, None, "map")


def climb(folder: Path, mask_radius: float, radii: list[float]) -> list[dict]:
    dataset = lens_model.load(folder, mask_radius)
    models = {kind: lens_model.coarse_model(dataset, kind) for kind in KINDS}
    rows = []
    for radius in radii:
        start = {"einstein_radius": radius}
        highest: dict[str | None, dict] = {}
        for kind in CLIMBS:
            mode = pl.find_mode(models[kind], starts=[start], progressbar=False)
            free = {rv.name for rv in models[kind].free_RVs}
            start = {name: value for name, value in mode.parameters.items() if name in free}
            row = {
                "lens": folder.name,
                "start": radius,
                "positivity": kind,
                "einstein_radius": float(mode.parameters["einstein_radius"]),
                "log_density": mode.log_density,
            }
            print(row, file=sys.stderr, flush=True)
            if kind not in highest or highest[kind]["log_density"] < mode.log_density:
                highest[kind] = row
        rows += highest.values()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--radii", type=float, nargs="+", default=[0.7, 1.0, 1.35, 1.6])
    parser.add_argument("--mask-radius", type=float, default=2.4)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        rows = climb(arguments.folder, arguments.mask_radius, arguments.radii)
    if arguments.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
