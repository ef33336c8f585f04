"""The positive solver on the systems of real lenses.

    python benchmarks/positive_solver.py DIR [DIR ...] [--json]

Each DIR holds image.fits, noise.fits and psf.fits. The system is that of the model of lens_model.py
on 30 x 30 vertices, with an Einstein radius of 1.2", round light and a weak, a middling and a strong prior.
``kkt_residual`` is the largest violation of the Karush-Kuhn-Tucker conditions relative to the terms of its
row; ``systems`` how many were solved from the signs of the unconstrained solution.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import lens_model
import numpy as np
from scipy.linalg import block_diag
from threadpoolctl import threadpool_limits

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.evaluate import evaluate_once
from pymc_lens.linalg.nnls import solve_positive
from pymc_lens.workspace import Workspace

COEFFICIENTS = (0.1, 3.0, 100.0)


def system(dataset: pl.Imaging, coefficient: float) -> tuple[np.ndarray, np.ndarray]:
    """F + H (n, n) and D (n,), in terms of the light profiles' own amplitudes."""
    mesh = pl.mesh.VoronoiNN(pl.image_mesh.Overlay((30, 30)))
    tracer = lens_model.tracer(
        einstein_radius=1.2,
        ell_comps=(0.0, 0.05),
        mass_centre=(0.0, 0.0),
        gamma_1=0.0,
        gamma_2=0.0,
        light_centre=(0.0, 0.0),
        inner_ell_comps=(0.0, 0.0),
        outer_ell_comps=(0.0, 0.0),
        pixelization=pl.Pixelization(mesh, pl.regularization.Dirichlet(coefficient)),
    )
    problem, symbolic = assemble(tracer, dataset)
    inversion = problem.invert((dataset.data_fitted, *evaluate_once(list(symbolic))))
    to_basis = block_diag(np.eye(problem.n_mapped), inversion.image.basis.triangle)
    root = np.triu(inversion.factor) @ to_basis
    return root.T @ root, to_basis.T @ inversion.image.data_vector


def measure(folder: Path, coefficient: float) -> dict:
    matrix, vector = system(lens_model.load(folder, 2.4), coefficient)
    free = np.linalg.solve(matrix, vector)
    begin = time.perf_counter()
    solution = solve_positive(matrix, vector, free > 0.0, Workspace())
    return {
        "lens": folder.name,
        "coefficient": coefficient,
        "size": vector.size,
        "condition": float(np.linalg.cond(matrix)),
        "negative_without": float((free < 0.0).mean()),
        "kkt_residual": solution.residual,
        "systems": solution.systems,
        "ms": 1e3 * (time.perf_counter() - begin),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        rows = [measure(folder, value) for folder in arguments.folders for value in COEFFICIENTS]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(
            f"{row['lens']:10s} coefficient {row['coefficient']:5.1f}, n = {row['size']}, condition "
            f"{row['condition']:.1e}, {row['negative_without']:.0%} negative without: KKT residual "
            f"{row['kkt_residual']:.1e} after {row['systems']} systems, {row['ms']:.0f} ms"
        )


if __name__ == "__main__":
    main()
