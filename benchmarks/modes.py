"""Competing modes of a real lens, with and without positive sources.

    python benchmarks/modes.py DIR [--radii R R ...] [--mask-radius R] [--coarse] [--json]

DIR holds image.fits, noise.fits and psf.fits. From each Einstein radius the model of lens_model.py
(mass, shear, light in two groups of Gaussians; everything free) climbs to a mode with three sources:

- overlay: a Matern field on 20 x 20 traced vertices, so that the source may be anywhere;
- window: the same on 20 x 20 splines where a lens of the starting radius has several images;
- adaptive: vertices and amplitude that follow the brightness of the window's source, from where that ended;
  this takes most of the time, and ``--coarse`` leaves it out.

Each source climbs without a constraint, from there with each kind of positivity, and without again: each kind
is a way out of the other's local maxima. The highest mode of each kind is reported. ``log_density`` is the
log evidence and the log prior.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lens_model
import numpy as np
import pymc as pm
from threadpoolctl import threadpool_limits

import pymc_lens as pl

KINDS = (None, "map", "marginal")
CLIMBS = (*KINDS, None, "map")


def competitors(folder: Path, mask_radius: float, radii: list[float], adaptive: bool) -> list[dict[str, Any]]:
    dataset = lens_model.load(folder, mask_radius)
    coarse_model = partial(lens_model.coarse_model, dataset)
    rows = []
    for radius in radii:
        start = start_at(radius, dataset)
        pixelizations = {
            "overlay": lens_model.coarse_pixelization,
            "window": partial(lens_model.window_pixelization, radius=radius),
        }
        for source, pixelize in pixelizations.items():
            highest = climb(coarse_model, pixelize, start)
            rows += labelled(folder, radius, source, highest)
        if adaptive:
            rows += labelled(folder, radius, "adaptive", climb_adapted(dataset, highest[None]))
    return rows


def start_at(einstein_radius: float, dataset: pl.Imaging) -> dict[str, Any]:
    """What is held while the light and the ellipticities settle.

    Free from the start, a source that is as wide as the image takes the part of the light's ellipticity, and
    the mass whatever place and shear suit that.
    """
    return {
        "einstein_radius": einstein_radius,
        "mass_centre": [0.0, 0.0],
        "gamma_1": 0.0,
        "gamma_2": 0.0,
        "scale": 0.1,
        "amplitude": 3.0 * np.median(dataset.noise_fitted),
    }


class Climbed(NamedTuple):
    """A mode, the values of the model's free variables there, and the fit."""

    mode: pl.Mode
    values: dict[str, Any]
    fit: pl.FitImaging


def climb_adapted(dataset: pl.Imaging, window: Climbed) -> dict[str | None, Climbed]:
    """Climb on from the window's mode, with a source that adapts to its image."""
    first = lens_model.FirstFit.of(window.fit)
    build = partial(lens_model.adaptive_model, dataset, first)
    pixelize = partial(lens_model.adaptive_pixelization, first=first)
    return climb(build, pixelize, window.values)


def climb(
    build: Callable[..., pm.Model], pixelize: Callable[..., pl.Pixelization], start: dict[str, Any]
) -> dict[str | None, Climbed]:
    """Return the highest mode of each kind of positivity."""
    highest: dict[str | None, Climbed] = {}
    for kind in CLIMBS:
        model = build(pixelize=partial(pixelize, positivity=kind))
        mode = pl.find_mode(model, starts=[start], progressbar=False)
        start = mode.initvals
        fit = pl.fit_at(model, mode)
        if kind not in highest or highest[kind].mode.log_density < mode.log_density:
            highest[kind] = Climbed(mode, start, fit)
    return highest


def labelled(
    folder: Path, radius: float, source: str, highest: dict[str | None, Climbed]
) -> list[dict[str, Any]]:
    """Rows to print, one a kind."""
    rows = [
        {
            "lens": folder.name,
            "start": radius,
            "source": source,
            "positivity": kind,
            "einstein_radius": float(found.mode.parameters["einstein_radius"]),
            "log_density": found.mode.log_density,
            "log_evidence": found.fit.log_evidence,
            "reduced_chi_squared": found.fit.reduced_chi_squared,
        }
        for kind, found in highest.items()
    ]
    for row in rows:
        print(row, file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--radii", type=float, nargs="+", default=[0.7, 1.0, 1.35, 1.6])
    parser.add_argument("--mask-radius", type=float, default=2.4)
    parser.add_argument("--coarse", action="store_true", help="leave out the adaptive source")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        rows = competitors(
            arguments.folder, arguments.mask_radius, arguments.radii, adaptive=not arguments.coarse
        )
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['source']:9s} positivity {row['positivity']!s:9s} einstein_radius "
            f"{row['einstein_radius']:.3f} log density {row['log_density']:.1f} log evidence "
            f"{row['log_evidence']:.1f} reduced chi-squared {row['reduced_chi_squared']:.3f}"
        )


if __name__ == "__main__":
    main()
