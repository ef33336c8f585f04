"""Time `pl.tune_regularization` on problem S, and compare with a simplex.

    python benchmarks/tuning.py

Problem S (see evidence.py) with the image of a clumpy source; beside it Nelder and Mead's simplex, to 1e-6.
"""

from __future__ import annotations

import time

import numpy as np
from evidence import MASK_RADIUS, OVERLAY, PIXEL_SCALE, PSF_SIZE, frame
from scipy.optimize import minimize

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.evaluate import evaluate_once

ROWS = {
    "VoronoiNN, Dirichlet": pl.regularization.Dirichlet(coefficient=30.0),
    "VoronoiNN, MaternSPDE": pl.regularization.MaternSPDE(scale=0.1, amplitude=0.5),
}


def clumps(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    places = (((0.05, -0.08), 0.12, 1.0), ((-0.2, 0.1), 0.05, 0.7), ((0.15, 0.2), 0.04, 0.5))
    return sum(
        peak * np.exp(-0.5 * ((y - cy) ** 2 + (x - cx) ** 2) / width**2) for (cy, cx), width, peak in places
    )


def problem(prior: pl.regularization.Regularization) -> tuple[pl.Imaging, pl.Tracer]:
    lens = pl.Galaxy(0.5, mass=pl.mass.Isothermal(ell_comps=(0.17647, 0.0), einstein_radius=1.6))
    offsets = np.arange(PSF_SIZE) - PSF_SIZE // 2
    psf = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.2**2))
    pixelization = pl.Pixelization(pl.mesh.VoronoiNN(OVERLAY), prior)
    tracer = pl.Tracer([lens, pl.Galaxy(1.0, pixelization=pixelization)])
    shape = frame(MASK_RADIUS)
    dataset = pl.simulate_imaging(tracer, clumps, shape, PIXEL_SCALE, psf / psf.sum(), 500.0, 0.05, seed=1)
    return dataset.apply_mask(pl.Mask2D.circular(shape, PIXEL_SCALE, MASK_RADIUS)), tracer


def main() -> None:
    for name, prior in ROWS.items():
        dataset, tracer = problem(prior)
        pl.tune_regularization(dataset, tracer)
        begin = time.perf_counter()
        tuned = pl.tune_regularization(dataset, tracer)
        seconds = time.perf_counter() - begin
        print(f"{name}: {seconds:.2f} s, {tuned.evaluations} evaluations, ln E {tuned.log_evidence:.4f}")
        found = np.log(list(tuned.parameters.values()))
        print(
            "  ",
            tuned.parameters,
            "off by, in the logarithms:",
            np.round(scanned(dataset, tracer, found) - found, 6),
        )


def scanned(dataset: pl.Imaging, tracer: pl.Tracer, found: np.ndarray) -> np.ndarray:
    """The same by a simplex, from elsewhere."""
    inversion, inputs = assemble(tracer, dataset)
    arrays = [dataset.data_fitted, *evaluate_once(list(inputs))]

    def minus(logs):
        arrays[-1] = np.exp(logs)
        return -inversion.log_evidence(tuple(arrays))

    options = {"xatol": 1e-6, "fatol": 1e-9, "maxfev": 1000}
    return minimize(minus, found + 0.3, method="Nelder-Mead", options=options).x


if __name__ == "__main__":
    main()
