"""Does a search that is told nothing end where one ends that is told the truth?

    python benchmarks/search.py [--lenses N N ...] [--pairs NAME ...] [--json]
    python benchmarks/search.py --real ../shared/data/slacs/* [--json]

Six simulated lenses: 0.05" and 0.1" pixels, with and without lens light, Einstein radii of 0.6" to 1.6". Each
is searched with every recommended pair of mesh and prior, by default and from the truth. Those that adapt to
an image of the source take that of the first pair's own default search. ``behind`` is how much lower in
log-probability the default search ends; ``theta_e`` where.

With ``--real``: the coarse model of lens_model.py on real lenses, folders with image.fits,
noise.fits and psf.fits, in a mask of 3"; their effective Einstein radius. A folder's parent may hold
table.csv with the columns ``lens_name`` and ``bSIE`` to compare with.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lens_model
import numpy as np
import pymc as pm
from threadpoolctl import threadpool_limits

import pymc_lens as pl


class Lens(NamedTuple):
    """What is simulated; arcsec."""

    einstein_radius: float
    ell_comps: tuple[float, float]
    gamma: tuple[float, float]
    pixel_scales: float
    light: bool
    source: tuple[tuple[float, float, float, float], ...]  # y, x, sigma, peak


COMPACT = ((0.06, 0.09, 0.07, 1.0),)
DOUBLE = ((0.10, -0.04, 0.08, 0.7), (-0.04, 0.10, 0.05, 1.0))
CLUMPS = ((0.05, 0.1, 0.12, 1.0), (-0.12, -0.05, 0.08, 1.5), (0.15, -0.15, 0.1, 0.7))
LENSES = (
    Lens(1.0, (0.10, 0.05), (0.0, 0.0), 0.1, False, CLUMPS),
    Lens(1.3, (-0.15, 0.1), (0.04, -0.02), 0.1, True, DOUBLE),
    Lens(0.6, (0.1, -0.05), (0.0, 0.0), 0.05, True, COMPACT),
    Lens(0.93, (0.0, 0.12), (0.0, 0.0), 0.05, True, COMPACT),
    Lens(1.15, (-0.1, -0.1), (0.0, 0.0), 0.05, True, DOUBLE),
    Lens(1.6, (0.15, 0.0), (-0.03, 0.03), 0.05, False, CLUMPS),
)


def gaussians(components: tuple[tuple[float, float, float, float], ...]) -> Callable:
    """Surface brightness of round Gaussians."""

    def brightness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return sum(
            peak * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))
            for cy, cx, sigma, peak in components
        )

    return brightness


def de_vaucouleurs(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A galaxy of axis ratio 0.8, softened at its centre."""
    radius = np.sqrt(0.8 * (x - 0.01) ** 2 + (y + 0.01) ** 2 / 0.8 + 0.03**2)
    return 0.6 * np.exp(-7.67 * ((radius / 1.0) ** 0.25 - 1.0))


def simulate(lens: Lens, shape: tuple[int, int] | None = None) -> pl.Imaging:
    """By default the image reaches 0.9" beyond the Einstein radius; the mask is the circle within it."""
    scale = lens.pixel_scales
    half = shape[0] // 2 if shape else round((lens.einstein_radius + 0.9) / scale)
    offset = np.arange(-7, 8)
    psf = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * (0.05 / scale) ** 2))
    mass = pl.mass.Isothermal(
        einstein_radius=lens.einstein_radius, ell_comps=lens.ell_comps
    ) + pl.mass.ExternalShear(gamma_1=lens.gamma[0], gamma_2=lens.gamma[1])
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass), pl.Galaxy(1.0)])
    dataset = pl.simulate_imaging(
        tracer, gaussians(lens.source), (2 * half + 1, 2 * half + 1), scale, psf, exposure_time=2000.0,
        background_noise=0.03, seed=7, over_sample_size=4, lens_light=de_vaucouleurs if lens.light else None,
    )  # fmt: skip
    return dataset.apply_mask(pl.Mask2D.circular(dataset.shape_native, scale, radius=half * scale))


def matern(dataset: pl.Imaging) -> pl.regularization.MaternSPDE:
    noise = np.median(dataset.noise_fitted)
    return pl.regularization.MaternSPDE(
        scale=pm.LogNormal("scale", np.log(0.1), 0.7),
        amplitude=pm.LogNormal("amplitude", np.log(10 * noise), 2.0),
    )


def adaptive(dataset: pl.Imaging, image: np.ndarray) -> pl.regularization.AdaptAmplitude:
    return pl.regularization.AdaptAmplitude(
        matern(dataset),
        image,
        faint_ratio=pm.LogNormal("faint_ratio", np.log(0.01), 1.0),
        signal_scale=pm.LogNormal("signal_scale", 0.0, 0.3),
    )


def overlay(dataset: pl.Imaging, fit: pl.FitImaging | None) -> pl.Pixelization:
    return pl.Pixelization(pl.mesh.VoronoiNN(pl.image_mesh.Overlay((24, 24))), matern(dataset))


def kmeans(dataset: pl.Imaging, fit: pl.FitImaging) -> pl.Pixelization:
    mesh = pl.mesh.VoronoiNN(pl.image_mesh.KMeans(400, fit.adapt_image))
    return pl.Pixelization(mesh, adaptive(dataset, fit.adapt_image))


def window(dataset: pl.Imaging, fit: pl.FitImaging) -> pl.Pixelization:
    """Cubic splines where the first pair's source is brighter than a twentieth of its peak."""
    bright = fit.source.vertices[fit.source.reconstruction > 0.05 * fit.source.reconstruction.max()]
    (y, x), half = bright.mean(axis=0), 0.5 * np.ptp(bright, axis=0).max() + 0.1
    mesh = pl.mesh.RectangularWindow((24, 24), (y - half, y + half, x - half, x + half), degree=3)
    return pl.Pixelization(mesh, adaptive(dataset, fit.adapt_image))


PAIRS = {
    "VoronoiNN + MaternSPDE": overlay,
    "KMeans + AdaptAmplitude": kmeans,
    "cubic + AdaptAmplitude": window,
}


def build(dataset: pl.Imaging, lens: Lens, pixelization: Callable, fit: pl.FitImaging | None) -> pm.Model:
    """Wide priors on everything: nothing about this lens but that it is in the middle."""
    with pm.Model() as model:
        mass = pl.mass.Isothermal(
            centre=pl.priors.position("mass_centre", 0.05),
            ell_comps=pl.priors.ell_comps("ell_comps", sigma=0.2),
            einstein_radius=pm.LogNormal("einstein_radius", np.log(1.15), 0.45),
        ) + pl.mass.ExternalShear(pm.Normal("gamma_1", 0.0, 0.05), pm.Normal("gamma_2", 0.0, 0.05))
        light = None
        if lens.light:
            light = pl.light.MultiGaussian(
                pl.priors.position("light_centre", 0.05),
                pl.priors.ell_comps("light_ell_comps", sigma=0.2),
                np.geomspace(0.3 * lens.pixel_scales, 2.0, 10),
            )
        source = pl.Galaxy(1.0, pixelization=pixelization(dataset, fit))
        tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass, light=light), source])
        pl.LensedImage("image", tracer, observed=dataset)
    return model


def truth(lens: Lens) -> dict[str, Any]:
    start: dict[str, Any] = {
        "einstein_radius": lens.einstein_radius,
        "ell_comps": lens.ell_comps,
        "gamma_1": lens.gamma[0],
        "gamma_2": lens.gamma[1],
        "mass_centre": (0.0, 0.0),
    }
    if lens.light:
        start |= {"light_centre": (-0.01, 0.01)}
    return start


def search(model: pm.Model, **options: Any) -> tuple[pl.Mode, float, list[str]]:
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mode = pl.find_mode(model, progressbar=False, **options)
    wall = time.perf_counter() - begin
    return mode, wall, list(mode.remarks)


def compare(number: int, pairs: list[str]) -> list[dict[str, Any]]:
    lens = LENSES[number]
    dataset = simulate(lens)
    fit, rows = None, []
    for name in pairs:
        model = build(dataset, lens, PAIRS[name], fit)
        found, wall, remarks = search(model)
        told, _, _ = search(model, starts=truth(lens))
        fit = fit or pl.fit_at(model, found)
        row = {
            "lens": number,
            "pair": name,
            "behind": told.log_density - found.log_density,
            "theta_e": float(found.parameters["einstein_radius"]),
            "truth": lens.einstein_radius,
            "log_density": found.log_density,
            "gradients": found.evaluations,
            "wall_s": wall,
            "remarks": remarks,
        }
        print(row, file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def search_real(folder: Path) -> dict[str, Any]:
    model = lens_model.coarse_model(lens_model.load(folder, 3.0))
    mode, wall, remarks = search(model)
    radius = pl.convert.effective_einstein_radius(
        mode.parameters["einstein_radius"], mode.parameters["ell_comps"]
    )
    table = folder.parent / "table.csv"
    rows = csv.DictReader(table.open()) if table.exists() else []
    published = {row["lens_name"]: float(row["bSIE"]) for row in rows}
    found = {
        "lens": folder.name,
        "theta_e": float(radius),
        "bSIE": published.get(folder.name, np.nan),
        "log_density": mode.log_density,
        "gradients": mode.evaluations,
        "wall_s": wall,
        "remarks": remarks,
    }
    print(found, file=sys.stderr, flush=True)
    return found


def print_real(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(
            f"{row['lens']:11s} theta_e {row['theta_e']:.3f} bSIE {row['bSIE']:.2f} ratio "
            f"{row['theta_e'] / row['bSIE']:.3f} {row['gradients']} gradients {row['wall_s']:.0f} s"
        )


def print_simulated(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(
            f"lens {row['lens']} {row['pair']:24s} behind {row['behind']:8.2f} einstein_radius "
            f"{row['theta_e']:.4f} ({row['truth']}) {row['gradients']} gradients {row['wall_s']:.0f} s"
        )
    reached = sum(row["behind"] < 0.5 for row in rows)
    print(f"{reached} of {len(rows)} reach the mode that the truth reaches, or a higher one.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lenses", type=int, nargs="+", default=list(range(len(LENSES))))
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--real", type=Path, nargs="+", metavar="DIR", help="search real lenses")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        if arguments.real:
            rows = [search_real(folder) for folder in arguments.real if folder.is_dir()]
        else:
            rows = [row for number in arguments.lenses for row in compare(number, arguments.pairs)]
    if arguments.json:
        print(json.dumps(rows, indent=1))
    elif arguments.real:
        print_real(rows)
    else:
        print_simulated(rows)


if __name__ == "__main__":
    main()
