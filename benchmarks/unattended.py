"""Simulated lenses for unattended fits, and what became of them.

    python benchmarks/unattended.py simulate DIR [--lenses 60] [--seed 1] [--noiseless]
    python benchmarks/unattended.py search DIR
    pymc-lens survey DIR --out OUT --workers 2
    python benchmarks/unattended.py judge DIR OUT
    python benchmarks/unattended.py compare ../shared/data/slacs/table.csv OUT

Lenses are drawn from broad priors: Einstein radius 0.5" to 2" (uniform in its logarithm), axis ratio 0.5 to
1, shear up to 0.1, lens light of a cuspy profile that is slightly misaligned, sources of one to five clumps
inside, across or outside the caustics (one to four images), peak signal-to-noise ratio of the arcs 5 to 50,
and a neighbour beside one in four. ``search`` runs the first stages alone and prints the radii of the lenses
that compact sources find, the most probable first. ``judge`` prints how many end in the true mode (effective
Einstein radius within 5 %), how many of those with the verdict "keep" do, how often the 68 % interval holds
the truth, and how far the truth of all of the mass is from its posterior, by signal-to-noise ratio; of lenses
simulated with ``--noiseless``, whose posteriors should have their means at the truth, that is what is wrong
with the model.
``compare`` writes the table of docs/benchmarks.md: real lenses of a survey beside effective Einstein radii
of Bolton et al. 2008 (``bSIE``) and of TinyLensGpu (``thetaE_lens_m``).
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import pymc_lens as pl
from pymc_lens.pipeline import read_folder, stages
from pymc_lens.pipeline.models import Redshifts

PIXEL_SCALE, PSF_SIZE, PSF_SIGMA = 0.05, 21, 1.1
RIGHT = 0.05
# Einstein radius, ellipticity, centre and shear.
N_MASS = 7


def ell_comps(q: float, angle: float) -> list[float]:
    return [float(component) for component in pl.convert.ell_comps_from(q, angle)]


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the truth of one lens."""
    radius = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    q, angle = rng.uniform(0.5, 1.0), rng.uniform(0.0, 180.0)
    shear, shear_angle = rng.uniform(0.0, 0.1), rng.uniform(0.0, np.pi)
    # The centre of the source: up to half an Einstein radius off, so that there are one to four images.
    t = rng.uniform(0.0, 2.0 * np.pi)
    place = radius * 0.5 * np.sqrt(rng.uniform()) * np.array([np.sin(t), np.cos(t)])
    clumps = [
        {
            "centre": (place + rng.normal(0.0, 0.08, 2)).tolist(),
            "sigma": float(np.exp(rng.uniform(np.log(0.03), np.log(0.15)))),
            "peak": float(rng.uniform(0.3, 1.0)),
        }
        for _ in range(rng.integers(1, 6))
    ]
    light_q, light_angle = q + rng.normal(0.0, 0.08), angle + rng.normal(0.0, 10.0)
    return {
        "einstein_radius": radius,
        "ell_comps": ell_comps(q, angle),
        "gamma": [shear * np.cos(2 * shear_angle), shear * np.sin(2 * shear_angle)],
        "clumps": clumps,
        "light": [
            float(e) for e in pl.convert.ell_comps_from(float(np.clip(light_q, 0.4, 1.0)), light_angle)
        ],
        "light_peak": float(np.exp(rng.uniform(np.log(3.0), np.log(30.0)))),
        "light_radius": 0.4 * radius + rng.uniform(0.1, 0.4),
        "signal_to_noise": float(np.exp(rng.uniform(np.log(5.0), np.log(50.0)))),
        "neighbour": bool(rng.uniform() < 0.25),
        "neighbour_angle": float(rng.uniform(0.0, 2.0 * np.pi)),
        "theta_e": float(pl.convert.effective_einstein_radius(radius, ell_comps(q, angle))),
    }


def round_gaussian(y: np.ndarray, x: np.ndarray, centre: Sequence[float], sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / sigma**2)


def simulated(truth: dict[str, Any], seed: int, pixel_scale: float = PIXEL_SCALE) -> pl.Imaging:
    """Image a lens."""
    mass = pl.mass.PowerLaw(
        ell_comps=tuple(truth["ell_comps"]), einstein_radius=truth["einstein_radius"],
        slope=truth.get("slope", 2.0),
    )  # fmt: skip
    shear = pl.mass.ExternalShear(*truth["gamma"])
    source_light = pl.light.MultiGaussian((0.0, 0.0), (0.0, 0.0), [0.1])
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=mass + shear), pl.Galaxy(1.0, light=source_light)])

    def source(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return sum(
            clump["peak"] * round_gaussian(y, x, clump["centre"], clump["sigma"]) for clump in truth["clumps"]
        )

    e_y, e_x = truth["light"]

    def light(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        # A de Vaucouleurs-like sum of Gaussians on ellipses.
        norm = 1.0 / np.sqrt(1.0 - e_y**2 - e_x**2)
        u, v = norm * ((1 + e_x) * y - e_y * x), norm * ((1 - e_x) * x - e_y * y)
        squared = (u**2 + v**2) / truth["light_radius"] ** 2
        widths = np.array([0.05, 0.15, 0.4, 1.0, 2.2])
        peaks = np.array([1.0, 0.4, 0.15, 0.05, 0.012]) * truth["light_peak"]
        image = sum(p * np.exp(-0.5 * squared / w**2) for p, w in zip(peaks, widths, strict=True))
        if truth["neighbour"]:
            away = 1.6 * truth["einstein_radius"] + 0.6
            centre = away * np.sin(truth["neighbour_angle"]), away * np.cos(truth["neighbour_angle"])
            image = image + 1.5 * round_gaussian(y, x, centre, 0.12)
        return image

    offsets = np.arange(PSF_SIZE) - PSF_SIZE // 2
    psf = np.exp(-0.5 * (offsets[:, None] ** 2 + offsets[None] ** 2) / PSF_SIGMA**2)
    half = 1.6 * truth["einstein_radius"] + 1.6
    size = 2 * round(half / pixel_scale) + 1
    lensed = pl.simulate_imaging(
        tracer, source, (size, size), pixel_scale, psf / psf.sum(), 1e9, 1e-6, seed=seed
    )  # fmt: skip
    background = float(lensed.data.max()) / truth["signal_to_noise"]
    return pl.simulate_imaging(
        tracer, source, (size, size), pixel_scale, psf / psf.sum(), 2.0 / background**2, background,
        seed=seed, lens_light=light,
    )  # fmt: skip


def noiseless(truth: dict[str, Any], seed: int) -> pl.Imaging:
    """Image a lens without noise, and state that which it would have had."""
    dataset, bright = simulated(truth, seed), simulated(truth | {"signal_to_noise": 1e7}, seed)
    return pl.Imaging(bright.data, dataset.noise_map, dataset.psf, dataset.pixel_scales)


def simulate(folder: Path, n_lenses: int, seed: int, image: Callable[..., pl.Imaging]) -> None:
    rng = np.random.default_rng(seed)
    for k in range(n_lenses):
        truth = drawn(rng)
        lens = folder / f"lens_{k:03d}"
        lens.mkdir(parents=True, exist_ok=True)
        image(truth, seed=1000 * seed + k).to_fits(
            (lens / "image.fits", lens / "psf.fits", lens / "noise.fits"), overwrite=True
        )
        (lens / "truth.json").write_text(json.dumps(truth, indent=1))
    print(f"{n_lenses} lenses in {folder}")


def search(folder: Path) -> None:
    right, seconds = [], []
    for lens in sorted(folder.iterdir()):
        truth = json.loads((lens / "truth.json").read_text())["theta_e"]
        begin = time.perf_counter()
        start = stages.field(read_folder(lens))
        found = stages.search(start, Redshifts(), None, False).lenses
        seconds.append(time.perf_counter() - begin)
        ratios = [
            float(pl.convert.effective_einstein_radius(p["einstein_radius"], p["ell_comps"])) / truth
            for p in (each.parameters for each in found)
        ]
        right.append(abs(ratios[0] - 1.0) < RIGHT)
        behind = [
            f"{r:.3f} ({each.log_density - found[0].log_density:.0f})"
            for r, each in zip(ratios, found, strict=True)
        ]
        print(f"{lens.name} {truth:.3f} found/true {', '.join(behind)}; {seconds[-1]:.0f} s", flush=True)
    print(f"The most probable is right: {sum(right)} of {len(right)}; median {np.median(seconds):.0f} s")


class Outcome(NamedTuple):
    """What became of a simulated lens."""

    verdict: str
    is_right: bool
    is_covered: bool
    wall: float
    signal_to_noise: float
    distance: float


def outcome(row: dict[str, str], truth: dict[str, Any], posterior: Path) -> Outcome:
    found, low, high, wall = (
        float(row[name] or "nan") for name in ("theta_e", "theta_e_low", "theta_e_high", "wall_s")
    )
    theta_e = truth["theta_e"]
    return Outcome(
        row["verdict"], abs(found / theta_e - 1.0) < RIGHT, low <= theta_e <= high, wall,
        truth["signal_to_noise"], distance(truth, posterior) if posterior.exists() else np.nan,
    )  # fmt: skip


def distance(truth: dict[str, Any], posterior: Path) -> float:
    """Squared distance of the truth from the mean of the mass and the shear, in units of their covariance."""
    with xr.open_dataset(posterior, group="posterior", engine="h5netcdf") as draws:
        n_draws = draws.sizes["chain"] * draws.sizes["draw"]
        names = ("theta_e", "ell_comps", "mass_centre", "gamma_1", "gamma_2")
        drawn = np.concatenate([draws[name].values.reshape(n_draws, -1) for name in names], axis=1)
    true = np.array([truth["theta_e"], *truth["ell_comps"], 0.0, 0.0, *truth["gamma"]])
    away = true - drawn.mean(axis=0)
    return float(away @ np.linalg.solve(np.cov(drawn.T), away))


def judge(folder: Path, out: Path) -> None:
    with (out / "lenses.csv").open() as file:
        rows = list(csv.DictReader(file))
    outcomes = []
    for row in rows:
        truth = json.loads((folder / row["name"] / "truth.json").read_text())
        outcomes.append(outcome(row, truth, out / row["name"] / "posterior.nc"))
        ratio = float(row["theta_e"] or "nan") / truth["theta_e"]
        print(
            f"{row['name']} {truth['theta_e']:.3f} found/true {ratio:.4f} {row['verdict']:6} "
            f"{outcomes[-1].wall:4.0f} s, distance {outcomes[-1].distance:.1f}, {row['reason']}"
        )
    kept = [each for each in outcomes if each.verdict == "keep"]
    n, right, covered = len(kept), sum(each.is_right for each in kept), sum(each.is_covered for each in kept)
    expected = f"{0.68 * n:.1f} +- {np.sqrt(0.68 * 0.32 * n):.1f}"
    print(f"In the true mode: {sum(each.is_right for each in outcomes)} of {len(outcomes)}")
    print(f"Of those kept: {right} of {n}")
    print(f"68 % intervals of those kept hold the truth in {covered} of {n}, expected {expected}")
    print(f"Wall: median {np.nanmedian([each.wall for each in outcomes]):.0f} s")
    for low, high in ((0.0, 12.0), (12.0, 25.0), (25.0, np.inf)):
        those = [each.distance for each in kept if low <= each.signal_to_noise < high]
        error = np.sqrt(2.0 * N_MASS / max(len(those), 1))
        print(
            f"Mean squared distance of the mass from the truth, signal-to-noise {low:.0f} to {high:.0f}: "
            f"{np.mean(those):.1f} of {len(those)} lenses, expected {N_MASS} +- {error:.1f}"
        )


def compare(table: Path, out: Path) -> None:
    with table.open() as file:
        known = {row["lens_name"]: row for row in csv.DictReader(file)}
    with (out / "lenses.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["name"] in known]
    print("| lens | effective Einstein radius | Bolton | ratio | TinyLensGpu | k | draws | wall | verdict |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        truth = known[row["name"]]
        bolton, other = float(truth["bSIE"]), float(truth["thetaE_lens_m"])
        radius, low, high, wall, ess, k = (
            float(row[column] or "nan")
            for column in ("theta_e", "theta_e_low", "theta_e_high", "wall_s", "ess", "diagnostic")
        )
        found = (
            f'{radius:.3f}" ({low:.3f} to {high:.3f}) | {bolton:.2f}" | {radius / bolton:.3f} | {other:.2f}"'
        )
        print(f"| {row['name']} | {found} | {k:.2f} | {ess:.0f} | {wall:.0f} s | {row['verdict']} |")
    walls = [float(row["wall_s"]) for row in rows if row["wall_s"]]
    print(f"\nWall: median {np.median(walls):.0f} s, at most {max(walls):.0f} s.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("simulate")
    making.add_argument("folder", type=Path)
    making.add_argument("--lenses", type=int, default=60)
    making.add_argument("--seed", type=int, default=1)
    making.add_argument("--noiseless", dest="image", action="store_const", const=noiseless, default=simulated)
    making.set_defaults(run=lambda a: simulate(a.folder, a.lenses, a.seed, a.image))
    searching = commands.add_parser("search")
    searching.add_argument("folder", type=Path)
    searching.set_defaults(run=lambda a: search(a.folder))
    judging = commands.add_parser("judge")
    judging.add_argument("folder", type=Path)
    judging.add_argument("out", type=Path)
    judging.set_defaults(run=lambda a: judge(a.folder, a.out))
    comparing = commands.add_parser("compare")
    comparing.add_argument("table", type=Path)
    comparing.add_argument("out", type=Path)
    comparing.set_defaults(run=lambda a: compare(a.table, a.out))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
