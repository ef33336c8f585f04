"""Time one evaluation of the log evidence and its gradient on problem S, beside LAPACK on the same size.

    python benchmarks/evidence.py [--json]

Problem S: 0.05" pixels in a circular mask of 3.6" (16,241 pixels), 2 x 2 rays a pixel, a PSF of 21 x 21,
1,260 source pixels. Everything runs on one thread; ``lapack_ms`` is a Cholesky factorisation and the inverse
from it (potrf + potri) of a matrix of the same size, in the same process, interleaved.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

import pymc_lens as pl
from pymc_lens.inversion.problem import InversionInputs, PixelizedInversion
from pymc_lens.linalg.blas import cholesky_in_place, cholesky_inverse_in_place

SHAPE, PIXEL_SCALE, MASK_RADIUS, PSF_SIZE = (165, 165), 0.05, 3.6, 21
MESHES = {
    "Rectangular": pl.mesh.Rectangular((36, 35)),
    "RectangularWindow": pl.mesh.RectangularWindow((36, 35), (-1.6, 1.6, -1.6, 1.6)),
}


def problem_s(mesh: pl.mesh.Mesh) -> tuple[PixelizedInversion, InversionInputs]:
    offsets = np.arange(PSF_SIZE) - PSF_SIZE // 2
    radius_squared = offsets[:, None] ** 2 + offsets[None] ** 2
    psf = np.exp(-radius_squared / (2 * 1.2**2)) + 0.02 / (1 + radius_squared / 9) ** 1.5
    rng = np.random.default_rng(0)
    noise = np.full(SHAPE, 0.05)
    dataset = pl.Imaging(0.05 * rng.standard_normal(SHAPE), noise, psf, PIXEL_SCALE)
    dataset = dataset.apply_mask(pl.Mask2D.circular(SHAPE, PIXEL_SCALE, MASK_RADIUS))
    lens = pl.mass.Isothermal(ell_comps=(0.17647, 0.0), einstein_radius=1.6)
    rays = dataset.source_grid - lens.deflections(dataset.source_grid).eval()
    inputs = InversionInputs(
        data=dataset.data_fitted,
        rays=rays,
        vertices=np.empty((0, 2)),
        light=np.empty((0, dataset.light_grid.pixel_index.size)),
        regularization=np.array([1.0]),
    )
    return PixelizedInversion(dataset, mesh, pl.regularization.Constant().scheme), inputs


def milliseconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begin)


def lapack(n: int) -> Callable[[], object]:
    rng = np.random.default_rng(1)
    root = rng.standard_normal((n, n))
    matrix = root @ root.T + n * np.eye(n)
    work = np.empty_like(matrix)

    def factorise_and_invert() -> None:
        work[:] = matrix
        cholesky_in_place(work)
        cholesky_inverse_in_place(work)

    return factorise_and_invert


def measure(name: str, repeats: int) -> dict[str, float | str]:
    problem, inputs = problem_s(MESHES[name])
    calls = {
        "value_ms": lambda: problem.log_evidence(inputs),
        "value_and_gradient_ms": lambda: problem.log_evidence_and_gradient(inputs),
        "lapack_ms": lapack(problem.n_source),
    }
    for call in calls.values():
        call()
    times = {key: [] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            times[key].append(milliseconds(call))
    return {
        "mesh": name,
        "n_pixels": problem.imaging.n_pixels,
        "n_source": problem.n_source,
        **{key: float(np.median(values)) for key, values in times.items()},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    with threadpool_limits(1):
        rows = [measure(name, arguments.repeats) for name in MESHES]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['mesh']:18s} {row['n_pixels']} pixels x {row['n_source']} source pixels: "
            f"value {row['value_ms']:.0f} ms ({row['value_ms'] / row['lapack_ms']:.2f} x LAPACK), "
            f"value + gradient {row['value_and_gradient_ms']:.0f} ms "
            f"({row['value_and_gradient_ms'] / row['lapack_ms']:.2f} x), "
            f"LAPACK {row['lapack_ms']:.0f} ms, peak memory {row['peak_rss_mb']:.0f} MB"
        )


if __name__ == "__main__":
    main()
