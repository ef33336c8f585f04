"""Time one evaluation of the log evidence and its gradient on problem S, beside LAPACK on the same size.

    python benchmarks/evidence.py [--json] [--scaling] [--positive]
    python benchmarks/evidence.py --profile ROW

Problem S: 0.05" pixels in a circular mask of 3.6" (16,241 pixels), 2 x 2 rays a pixel, a PSF of 21 x 21,
some 1,260 source pixels. The last row is the demo's final model at its mode instead: a real lens in 2.0"
(5,025 pixels, PSF 15 x 15), 900 cubic splines and 17 Gaussians of lens light. Everything runs on one thread;
``lapack_ms`` is a Cholesky factorisation and the
inverse from it (potrf + potri) of a matrix of the same size, in the same process, interleaved.
``mesh_ms`` is the mesh, its weights, the mapping matrix and the adjoint of all three, of value + gradient.
``prior_only_value_ms`` is an evaluation where only the prior's parameters moved since the last. ``--scaling``
varies the number of image pixels (by the radius of the mask) and of source pixels instead. ``--positive``
adds the same with a positive source (``positivity="map"``): medians over 50 points that move as far as steps
of NUTS do, and ``positive_cold_ms`` for a value and gradient that nothing came before. Each row is a
process of its own, so that ``peak_rss_mb`` is that row's; ``first_ms`` is what importing the package and a
first evaluation take in a fresh process with warm caches. ``--profile`` prints where the value and gradient
of one row spends its time instead.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytensor
from function_times import print_function_times
from scipy.linalg.lapack import dpotrf, dpotri
from threadpoolctl import threadpool_limits

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.linear.mapping import mapping_matrix, mapping_matrix_pullback
from pymc_lens.mesh.base import GeometryCotangent
from pymc_lens.workspace import Workspace

PIXEL_SCALE, MASK_RADIUS, PSF_SIZE = 0.05, 3.6, 21
OVERLAY = pl.image_mesh.Overlay((40, 40))
WINDOW = (-1.6, 1.6, -1.6, 1.6)


def frame(mask_radius: float) -> tuple[int, int]:
    """Shape of an image that holds the mask and what the PSF carries into it."""
    size = 2 * round(mask_radius / PIXEL_SCALE) + PSF_SIZE
    return size, size


def einstein_ring() -> np.ndarray:
    """An image to adapt to."""
    shape = frame(MASK_RADIUS)
    y, x = PIXEL_SCALE * (np.indices(shape) - shape[0] // 2)
    return np.exp(-0.5 * ((np.hypot(y, x) - 1.6) / 0.2) ** 2)


ROWS = {
    "Rectangular": (pl.mesh.Rectangular((36, 35)), pl.regularization.Constant()),
    "RectangularWindow": (
        pl.mesh.RectangularWindow((36, 35), WINDOW),
        pl.regularization.Constant(),
    ),
    "RectangularWindow cubic, AdaptAmplitude": (
        pl.mesh.RectangularWindow((36, 35), WINDOW, degree=3),
        pl.regularization.AdaptAmplitude(pl.regularization.MaternSPDE(), einstein_ring()),
    ),
    "DelaunayMagnification": (pl.mesh.DelaunayMagnification((40, 40)), pl.regularization.Dirichlet()),
    "VoronoiNN": (pl.mesh.VoronoiNN(OVERLAY), pl.regularization.Dirichlet()),
    "VoronoiNN, MaternSPDE": (pl.mesh.VoronoiNN(OVERLAY), pl.regularization.MaternSPDE()),
}
DEMO = "Demo: cubic window, lens light"
DEMO_DATA = Path(__file__).parents[1] / "examples" / "data" / "J0252+0039"
NAMES = [*ROWS, DEMO]
# Mask radii of about 4,000, 16,000 and 64,000 pixels; overlays of about 400 ... 4,000 source pixels.
TRAJECTORY = 50
SCALING = [
    (f"{radius} arcsec, {overlay} x {overlay}", radius, overlay)
    for radius in (1.8, 3.6, 7.2)
    for overlay in (23, 40, 56, 71)
]


class Inputs(NamedTuple):
    """What the inversion of a pixelized source reads."""

    data: np.ndarray
    rays: np.ndarray
    vertices: np.ndarray
    regularization: np.ndarray


class InputsWithLight(NamedTuple):
    """The same with lens light."""

    data: np.ndarray
    rays: np.ndarray
    vertices: np.ndarray
    regularization: np.ndarray
    light: np.ndarray


def psf() -> np.ndarray:
    """A Gaussian with wings."""
    offsets = np.arange(PSF_SIZE) - PSF_SIZE // 2
    radius_squared = offsets[:, None] ** 2 + offsets[None] ** 2
    return np.exp(-radius_squared / (2 * 1.2**2)) + 0.02 / (1 + radius_squared / 9) ** 1.5


def problem(name: str, positivity: str | None = None) -> tuple[Inversion, Inputs | InputsWithLight]:
    """The problem of a row."""
    return demo(positivity) if name == DEMO else problem_s(*ROWS[name], positivity=positivity)


def demo(positivity: str | None = None) -> tuple[Inversion, InputsWithLight]:
    """The last model that `examples/demo.py` builds, about where its posterior is."""
    dataset = pl.pipeline.read_folder(DEMO_DATA, PIXEL_SCALE)
    shape = dataset.shape_native
    dataset = dataset.apply_mask(pl.Mask2D.circular(shape, PIXEL_SCALE, 2.0))
    y, x = PIXEL_SCALE * (np.indices(shape) - shape[0] // 2)
    ring = np.exp(-0.5 * ((np.hypot(y, x) - 1.03) / 0.1) ** 2)
    lens = pl.Galaxy(
        0.5,
        mass=pl.mass.Isothermal((0.003, 0.002), (0.062, 0.032), 1.028) + pl.mass.ExternalShear(0.003, 0.033),
        light=pl.light.MultiGaussian(
            (0.005, -0.002), [(-0.013, 0.009), (0.065, 0.028)],
            [np.geomspace(0.02, 0.35, 9), np.geomspace(0.45, 3.0, 8)], positivity=positivity or "marginal",
        ),
    )  # fmt: skip
    matern = pl.regularization.MaternSPDE(0.27, 4.0)
    pixelization = pl.Pixelization(
        pl.mesh.StretchedWindow((30, 30), (-0.58, 0.51, -0.42, 0.67), degree=3, core=0.15),
        pl.regularization.AdaptAmplitude(matern, ring, 0.01, 1.9),
        positivity,
    )
    problem, inputs = assemble(pl.Tracer([lens, pl.Galaxy(1.0, pixelization=pixelization)]), dataset)
    return problem, InputsWithLight(dataset.data_fitted, *pytensor.function([], list(inputs))())


def problem_s(
    mesh: pl.mesh.Mesh,
    prior: pl.regularization.Regularization | None = None,
    mask_radius: float = MASK_RADIUS,
    positivity: str | None = None,
) -> tuple[Inversion, Inputs]:
    """The reference problem, with a Constant prior unless told otherwise."""
    rng = np.random.default_rng(0)
    noise = np.full(frame(mask_radius), 0.05)
    dataset = pl.Imaging(0.05 * rng.standard_normal(noise.shape), noise, psf(), PIXEL_SCALE)
    dataset = dataset.apply_mask(pl.Mask2D.circular(noise.shape, PIXEL_SCALE, mask_radius))
    lens = pl.mass.Isothermal(ell_comps=(0.17647, 0.0), einstein_radius=1.6)
    pixelization = pl.Pixelization(mesh, prior or pl.regularization.Constant(), positivity)
    tracer = pl.Tracer([pl.Galaxy(0.5, mass=lens), pl.Galaxy(1.0, pixelization=pixelization)])
    problem, inputs = assemble(tracer, dataset)
    values = pytensor.function([], list(inputs))()
    return problem, Inputs(dataset.data_fitted, *values)


def milliseconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)


def alternating(inputs: Inputs | InputsWithLight, part: str) -> Iterator[Inputs | InputsWithLight]:
    """Inputs that move a little at every evaluation, so that nothing can be reused."""
    return cycle([inputs._replace(**{part: getattr(inputs, part) * factor}) for factor in (1.0, 1.0 + 1e-7)])


def trajectory(inputs: Inputs | InputsWithLight) -> list[Inputs | InputsWithLight]:
    """Points about a standard deviation of the Einstein radius apart."""
    factors = 1.0 + 5e-4 * np.sin(np.arange(TRAJECTORY))
    return [inputs._replace(rays=inputs.rays * f, vertices=inputs.vertices * f) for f in factors]


def measure_positive(name: str) -> dict[str, float]:
    """Interleaved with the unconstrained evaluation of the same points."""
    positive, inputs = problem(name, positivity="map")
    free, _ = problem(name)
    free.log_evidence_and_gradient(inputs)
    positive.log_evidence_and_gradient(inputs)
    calls = {
        "trajectory_value_and_gradient_ms": free.log_evidence_and_gradient,
        "positive_value_and_gradient_ms": positive.log_evidence_and_gradient,
        "positive_value_ms": positive.log_evidence,
    }
    times = {key: [] for key in calls}
    for key, call in calls.items():
        for point in trajectory(inputs):
            times[key].append(milliseconds(lambda call=call, point=point: call(point)))
    cold, _ = problem(name, positivity="map")
    # Work arrays are there, and the last source is not.
    cold.log_evidence(inputs._replace(data=-inputs.data))
    return {
        **{key: float(np.median(values)) for key, values in times.items()},
        "positive_cold_ms": milliseconds(lambda: cold.log_evidence_and_gradient(inputs)),
    }


def lapack(n: int) -> Callable[[], object]:
    rng = np.random.default_rng(1)
    root = rng.standard_normal((n, n))
    matrix = root @ root.T + n * np.eye(n)
    work = np.empty_like(matrix, order="F")

    def factorise_and_invert() -> None:
        work[:] = matrix
        dpotrf(work, lower=True, clean=False, overwrite_a=True)
        dpotri(work, lower=True, overwrite_c=True)

    return factorise_and_invert


def mesh_and_adjoint(problem: Inversion, inputs: Inputs | InputsWithLight) -> Callable[[], object]:
    """What of a value and gradient is the mesh's; the adjoint costs the same whatever it pulls back."""
    workspace, n_pixels = Workspace(), problem.response.imaging.plane.pixel_rows.size

    def there_and_back() -> None:
        geometry = problem.mapped[0].mesh.geometry(inputs.rays, inputs.vertices, workspace)
        mapping = mapping_matrix(geometry.interpolation, n_pixels)
        weights_bar = mapping_matrix_pullback(mapping, geometry.interpolation, mapping.weights)
        bar = GeometryCotangent(volumes=geometry.volumes)
        geometry.pullback(weights_bar, bar)

    return there_and_back


def measure(problem: Inversion, inputs: Inputs | InputsWithLight, repeats: int) -> dict[str, float]:
    moving, prior_only = alternating(inputs, "rays"), alternating(inputs, "regularization")
    calls = {
        "value_ms": lambda: problem.log_evidence(next(moving)),
        "value_and_gradient_ms": lambda: problem.log_evidence_and_gradient(next(moving)),
        "mesh_ms": mesh_and_adjoint(problem, inputs),
        "lapack_ms": lapack(problem.n_mapped),
    }
    for call in calls.values():
        call()
    times = {key: [] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            times[key].append(milliseconds(call))
    times["prior_only_value_ms"] = [
        milliseconds(lambda: problem.log_evidence(next(prior_only))) for _ in range(repeats + 2)
    ][2:]
    return {
        "n_pixels": problem.response.imaging.plane.n_pixels,
        "n_source": problem.n_mapped,
        **{key: float(np.median(values)) for key, values in times.items()},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def profile(name: str, repeats: int) -> None:
    evaluated, inputs = problem(name)
    moving = alternating(inputs, "rays")
    for _ in range(2):
        evaluated.log_evidence_and_gradient(next(moving))
    print_function_times([lambda: evaluated.log_evidence_and_gradient(next(moving))] * repeats)


def measure_row(scaling: bool, positive: bool, name: str, repeats: int) -> dict[str, float]:
    """Run in a process of its own."""
    if scaling:
        _, radius, overlay = next(case for case in SCALING if case[0] == name)
        mesh = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((overlay, overlay)))
        return measure(*problem_s(mesh, pl.regularization.Dirichlet(), radius), repeats)
    row = measure(*problem(name), repeats)
    return {**row, **measure_positive(name)} if positive else row


def first_evaluation() -> None:
    problem, inputs = problem_s(*ROWS["VoronoiNN"])
    problem.log_evidence_and_gradient(inputs)


def in_fresh_process(statement: str) -> str:
    command = [sys.executable, "-c", f"import evidence; {statement}"]
    return subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    ).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--scaling", action="store_true", help="vary the size of VoronoiNN's problem instead")
    parser.add_argument("--positive", action="store_true", help="also with a positive source")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--profile", choices=NAMES, help="print where the time of this row goes instead")
    arguments = parser.parse_args()
    if arguments.profile:
        with threadpool_limits(1):
            profile(arguments.profile, arguments.repeats)
        return
    names = [case[0] for case in SCALING] if arguments.scaling else NAMES
    rows = []
    for name in names:
        call = f"evidence.print_row({arguments.scaling}, {arguments.positive}, {name!r}, {arguments.repeats})"
        rows.append({"mesh": name, **json.loads(in_fresh_process(call))})
        print(f"{len(rows)}/{len(names)} {name}", file=sys.stderr)
    first = milliseconds(lambda: in_fresh_process("evidence.first_evaluation()"))
    for row in rows:
        row["first_ms"] = first
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['mesh']:21s} {row['n_pixels']} pixels x {row['n_source']} source pixels: "
            f"value {row['value_ms']:.0f} ms ({row['value_ms'] / row['lapack_ms']:.2f} x LAPACK), "
            f"value + gradient {row['value_and_gradient_ms']:.0f} ms "
            f"({row['value_and_gradient_ms'] / row['lapack_ms']:.2f} x), "
            f"of it mesh {row['mesh_ms']:.0f} ms, "
            f"LAPACK {row['lapack_ms']:.0f} ms, peak memory {row['peak_rss_mb']:.0f} MB"
        )
        if arguments.positive:
            print(
                f"{'':21s} positive: value {row['positive_value_ms']:.0f} ms, value + gradient "
                f"{row['positive_value_and_gradient_ms']:.0f} ms against "
                f"{row['trajectory_value_and_gradient_ms']:.0f} ms without, "
                f"cold {row['positive_cold_ms']:.0f} ms"
            )
    print(f"Import and first evaluation in a fresh process: {first:.0f} ms")


def print_row(scaling: bool, positive: bool, name: str, repeats: int) -> None:
    with threadpool_limits(1):
        print(json.dumps(measure_row(scaling, positive, name, repeats)))


if __name__ == "__main__":
    main()
