"""Time deflections and their pullback on the rays of problem S, beside value + gradient of its evidence.

    python benchmarks/mass.py [--json]

Problem S is that of benchmarks/evidence.py, with 64,964 rays. Every parameter of the mass is free.
``value_ms`` are the deflections, ``both_ms`` these and the cotangents of all parameters, and ``share`` is
``both_ms`` of value + gradient of the evidence, the mean of the meshes `Rectangular` and `VoronoiNN`. Medians
of interleaved calls on one thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np
import pytensor
import pytensor.tensor as pt
from evidence import OVERLAY, milliseconds, problem_s
from threadpoolctl import threadpool_limits

import pymc_lens as pl

REPEATS = 21
ORDERS = tuple(enumerate((1, 3, 4)))
ROUND = (0.01, -0.02, 0.1, -0.05, 1.6)


def power_law(v: pt.TensorVariable) -> pl.mass.MassProfile:
    return pl.mass.PowerLaw(v[:2], v[2:4], v[4], v[5])


MASSES: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "Isothermal": (lambda v: pl.mass.Isothermal(v[:2], v[2:4], v[4]), ROUND),
    "PowerLaw": (power_law, (*ROUND, 2.1)),
    "NFW": (lambda v: pl.mass.NFW(v[:2], v[2:4], v[4], v[5]), (*ROUND[:4], 0.1, 8.0)),
    "Sersic": (lambda v: pl.mass.Sersic(v[:2], v[2:4], v[4], v[5], v[6]), (*ROUND[:4], 0.3, 0.8, 4.0)),
    "PowerLaw + ExternalShear + NFWSph": (
        lambda v: power_law(v) + pl.mass.ExternalShear(v[6], v[7]) + pl.mass.NFWSph(v[8:10], v[10], v[11]),
        (*ROUND, 2.1, 0.03, -0.02, 0.9, -1.2, 0.3, 0.1),
    ),
    "PowerLaw + ExternalShear + elliptical multipoles 1, 3, 4": (
        lambda v: sum(
            (
                pl.mass.PowerLawMultipole(m, v[:2], v[4], v[5], v[8 + 2 * i : 10 + 2 * i], v[2:4])
                for i, m in ORDERS
            ),
            power_law(v) + pl.mass.ExternalShear(v[6], v[7]),
        ),
        (*ROUND, 2.1, 0.03, -0.02, 0.01, 0.0, 0.0, 0.01, 0.01, 0.01),
    ),
}


def compiled(build: Callable, values: tuple[float, ...], grid: np.ndarray) -> tuple[Callable, Callable]:
    """Deflections, and these with the cotangents of all parameters."""
    v = pt.vector("v", shape=(len(values),))
    alpha_y, alpha_x = build(v).deflections_yx(*(pt.as_tensor_variable(part) for part in grid.T.copy()))
    bars = np.random.default_rng(1).normal(size=(2, len(grid)))
    v_bar = pytensor.grad((bars[0] * alpha_y + bars[1] * alpha_x).sum(), v)
    return (
        pytensor.function([v], [alpha_y, alpha_x], mode="NUMBA"),
        pytensor.function([v], [alpha_y, alpha_x, v_bar], mode="NUMBA"),
    )


def measure() -> list[dict[str, object]]:
    problems = [
        problem_s(pl.mesh.Rectangular((36, 35))),
        problem_s(pl.mesh.VoronoiNN(OVERLAY), pl.regularization.Dirichlet()),
    ]
    n_rays = len(problems[0][1].rays)
    grid = np.random.default_rng(0).uniform(-3.2, 3.2, (n_rays, 2))
    rows = {name: (*compiled(build, at, grid), np.array(at)) for name, (build, at) in MASSES.items()}
    for problem, inputs in problems:
        problem.log_evidence_and_gradient(inputs)
    evidence, values, boths = [], {name: [] for name in rows}, {name: [] for name in rows}
    for repeat in range(REPEATS):
        moved = [inputs._replace(rays=inputs.rays * (1.0 + 1e-7 * repeat)) for _, inputs in problems]
        evidence.append(
            np.mean(
                [
                    milliseconds(lambda p=p, i=i: p.log_evidence_and_gradient(i))
                    for (p, _), i in zip(problems, moved, strict=True)
                ]
            )
        )
        for name, (value, both, at) in rows.items():
            values[name].append(milliseconds(lambda f=value, at=at: f(at)))
            boths[name].append(milliseconds(lambda f=both, at=at: f(at)))
    whole = float(np.median(evidence))
    return [
        {
            "mass": name,
            "value_ms": float(np.median(values[name])),
            "both_ms": float(np.median(boths[name])),
            "evidence_ms": whole,
            "share": float(np.median(boths[name])) / whole,
        }
        for name in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    arguments = parser.parse_args()
    with threadpool_limits(limits=1):
        rows = measure()
    for row in rows:
        if arguments.json:
            print(json.dumps(row))
        else:
            print(
                f"{row['mass']:50s} value {row['value_ms']:6.2f} ms, with pullback {row['both_ms']:6.2f} ms, "
                f"{100 * row['share']:5.1f} % of {row['evidence_ms']:.0f} ms"
            )


if __name__ == "__main__":
    main()
