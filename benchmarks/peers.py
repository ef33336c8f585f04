"""Time the same lensing problem through pymc_lens and through PyAutoLens, interleaved in one run.

    make bench-peers
    python benchmarks/peers.py [--json] [--repeats N]

Problem S of `evidence.py`, from the mass of the lens (Einstein radius and elliptical components) to the log
evidence, ray tracing included and without a constraint to positive sources. PyAutoLens, in .venv-peers, gets
all the cores it takes; pymc_lens runs on one thread. Every call has a mass of its own, by a relative 1e-10,
because pymc_lens keeps the image of the last mass it saw; what does not depend on the mass (compilation, the
grids, sparse operators) is prepared before. Measure on an idle machine: other
work slows the long, threaded calls of PyAutoLens more than ours.

What is compared:

- ``Rectangular`` and PyAutoLens's ``RectangularUniform`` (36, 35), both with ``Constant(1)``, are the same
  problem: their log evidences agree.
- ``VoronoiNN`` with ``Dirichlet(1)`` and ``Delaunay`` with ``Constant(1)`` have the same traced vertices, an
  overlay of 40 x 40, but other interpolations and priors. Through JAX ``Delaunay`` has ``ConstantSplit(1)``,
  because PyAutoLens's ``Constant`` does not trace there.
- PyAutoLens with numpy is timed by its mapping matrix and by its sparse operator, JAX by the mapping matrix
  (on a CPU the sparse operator is slower). Its numba route is timed if numba is installed in .venv-peers,
  where PyAutoLens does not put it by itself; the output says so if it is left out.

- "As shipped" is PyAutoLens with the settings it comes with: positive sources by non-negative least squares
  and border relocation, which the others here do without.

The best of the repeats counts. Ratios are to the fastest of PyAutoLens's routes on any mesh, those without
the positive solver and those as shipped apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytensor
import pytensor.tensor as pt
from evidence import milliseconds, problem_s
from threadpoolctl import threadpool_limits

import pymc_lens as pl
from pymc_lens.assembly import assemble
from pymc_lens.ops import LogEvidence

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
WORKER = Path(__file__).with_name("peers_worker.py")
MASS = np.array([1.6, 0.17647, 0.0])
MESHES = {
    "Rectangular": (pl.mesh.Rectangular((36, 35)), pl.regularization.Constant(1.0)),
    "VoronoiNN": (pl.mesh.VoronoiNN(pl.image_mesh.Overlay((40, 40))), pl.regularization.Dirichlet(1.0)),
}
GRADIENT = "value and gradient"
AIMS = {"value": 15.0, GRADIENT: 100.0}
Call = Callable[[np.ndarray], tuple[float, float]]


class PeerProcess:
    """PyAutoLens in its own Python, see `peers_worker.py`."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        greeting = self.read()
        self.routes: list[str] = greeting["ready"]
        self.left_out: dict[str, str] = greeting["left_out"]

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("PyAutoLens ended early; what it wrote is above.")
        return json.loads(line)

    def evaluate(self, route: str, mass: np.ndarray) -> tuple[float, float]:
        """Milliseconds and log evidence."""
        print(json.dumps({"route": route, "mass": mass.tolist()}), file=self.process.stdin, flush=True)
        answer = self.read()
        return 1e3 * answer["seconds"], answer["value"]


@contextmanager
def peer(dataset: pl.Imaging) -> Iterator[PeerProcess]:
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        # Row 0 is the lowest y here and the highest there.
        np.savez(
            problem,
            data=dataset.data[::-1],
            noise_map=dataset.noise_map[::-1],
            psf=dataset.psf[::-1],
            mask=dataset.mask.array[::-1],
            pixel_scale=dataset.pixel_scales,
            mass=MASS,
        )
        pipe = subprocess.PIPE
        command = [PEERS, "-W", "ignore", WORKER, problem]
        # Leaving the block closes the pipes, which ends the worker, and waits for it.
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=folder) as process:
            yield PeerProcess(process)


def our_calls(dataset: pl.Imaging, mesh: pl.mesh.Mesh, prior: object) -> dict[str, Call]:
    mass = pt.dvector("mass")
    isothermal = pl.mass.Isothermal(ell_comps=(mass[1], mass[2]), einstein_radius=mass[0])
    source = pl.Galaxy(redshift=1.0, pixelization=pl.Pixelization(mesh, prior))
    problem, inputs = assemble(pl.Tracer([pl.Galaxy(redshift=0.5, mass=isothermal), source]), dataset)
    value = LogEvidence(problem)(dataset.data_fitted, *inputs)
    functions = {"value": [value], GRADIENT: [value, pt.grad(value, mass)]}
    return {route: timed(pytensor.function([mass], outputs)) for route, outputs in functions.items()}


def timed(function: Callable[[np.ndarray], list[np.ndarray]]) -> Call:
    def call(mass: np.ndarray) -> tuple[float, float]:
        results = []
        elapsed = milliseconds(lambda: results.extend(function(mass)))
        return elapsed, float(results[0])

    call(MASS)
    return call


def measure(repeats: int) -> tuple[list[dict], dict[str, str]]:
    dataset = problem_s(*MESHES["Rectangular"])[0].response.imaging
    calls = {
        ("pymc_lens", mesh, route): call
        for mesh, parts in MESHES.items()
        for route, call in our_calls(dataset, *parts).items()
    }
    print("PyAutoLens compiles, some minutes", file=sys.stderr)
    with peer(dataset) as theirs:
        for name in theirs.routes:
            mesh, route = name.split(": ")
            calls["PyAutoLens", mesh, route] = partial(theirs.evaluate, name)
        results = {key: [] for key in calls}
        steps = count(1)
        for k in range(repeats):
            for key, call in calls.items():
                results[key].append(call(MASS * (1.0 + 1e-10 * next(steps))))
            print(f"round {k + 1} of {repeats} done", file=sys.stderr)
        return [row(*key, np.array(found)) for key, found in results.items()], theirs.left_out


def row(code: str, mesh: str, route: str, found: np.ndarray) -> dict[str, float | str]:
    elapsed, values = found.T
    return {
        "code": code,
        "route": route,
        "mesh": mesh,
        "best_ms": float(elapsed.min()),
        "median_ms": float(np.median(elapsed)),
        "repeats": elapsed.size,
        "log_evidence": float(values[-1]),
    }


def quantity(measured: dict) -> str:
    return GRADIENT if measured["route"] == GRADIENT or "value_and_grad" in measured["route"] else "value"


def ratios(rows: list[dict]) -> list[dict]:
    """How many times faster each of ours is than the fastest of theirs that computes the same."""
    compared = []
    for ours in (row for row in rows if row["code"] == "pymc_lens"):
        rivals = [row for row in rows if row["code"] == "PyAutoLens" and quantity(row) == quantity(ours)]
        shipped = [row for row in rivals if "as shipped" in row["route"]]
        for alike in ([row for row in rivals if row not in shipped], shipped):
            if not alike:
                continue
            fastest = min(alike, key=lambda row: row["best_ms"])
            compared.append(
                {
                    "quantity": quantity(ours),
                    "mesh": ours["mesh"],
                    "against": f"{fastest['route']}, {fastest['mesh']}",
                    "ratio": fastest["best_ms"] / ours["best_ms"],
                    "aim": AIMS[quantity(ours)],
                }
            )
    return compared


def print_table(rows: list[dict], compared: list[dict], left_out: dict[str, str]) -> None:
    print(f"{'':10s} {'mesh':18s} {'route':30s} {'best':>9s} {'median':>9s} {'ln E':>12s}")
    for row in rows:
        print(
            f"{row['code']:10s} {row['mesh']:18s} {row['route']:30s} "
            f"{row['best_ms']:6.0f} ms {row['median_ms']:6.0f} ms {row['log_evidence']:12.4f}"
        )
    for name, why in left_out.items():
        print(f"PyAutoLens, {name}: left out, {why}")
    for item in compared:
        print(
            f"{item['quantity']} with {item['mesh']}: {item['ratio']:.1f} x faster than PyAutoLens's "
            f"{item['against']} (aim {item['aim']:.0f} x)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print rows, ratios and left_out as JSON")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if not PEERS.exists():
        print("PyAutoLens is not installed in .venv-peers: run `make bench-peers`", file=sys.stderr)
        sys.exit(2)
    with threadpool_limits(1):
        rows, left_out = measure(arguments.repeats)
    compared = ratios(rows)
    if arguments.json:
        print(json.dumps({"rows": rows, "ratios": compared, "left_out": left_out}, indent=1))
    else:
        print_table(rows, compared, left_out)


if __name__ == "__main__":
    main()
