"""Compare the evidence of two checkouts on the rows of benchmarks/evidence.py: numbers, times and memory.

Both run at once, in turns, one evaluation at a time, so that whatever else the machine does meets both.

    python benchmarks/paired.py ../other-checkout
    python benchmarks/paired.py ../other-checkout --repeats 31 --rows VoronoiNN RectangularWindow

Prints, for each row, this checkout over the other: ratio of the median times of a value and of value +
gradient, and the largest relative differences of ln E and of its gradient.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]


class Side:
    """The benchmark of one checkout in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'benchmarks'}"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--serve"], cwd=checkout, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, row: str, what: str) -> dict:
        self.process.stdin.write(json.dumps([row, what]) + "\n")
        return json.loads(self.process.stdout.readline())


def serve() -> None:
    """Answer one request a line: time, result and peak memory of one evaluation at moving rays."""
    import evidence
    from threadpoolctl import threadpool_limits

    known, evaluations = None, 0
    with threadpool_limits(1):
        for line in sys.stdin:
            row, what = json.loads(line)
            if known is None or known[0] != row:
                known, evaluations = (row, *evidence.problem(row)), 0
            _, problem, inputs = known
            evaluations += 1
            at = inputs._replace(rays=inputs.rays * (1.0 + 1e-7 * (evaluations % 2)))
            call = problem.log_evidence if what == "value" else problem.log_evidence_and_gradient
            begin = time.perf_counter()
            result = call(at)
            answer = {"ms": 1e3 * (time.perf_counter() - begin)}
            if what != "value":
                answer["value"] = result[0]
                answer["gradient"] = {
                    len(part.ravel()): float(np.linalg.norm(part)) for part in result[1] if part.size
                }
            answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps(answer), flush=True)


def times(sides: list[Side], row: str, what: str, repeats: int) -> np.ndarray:
    """Milliseconds (repeats, 2)."""
    for side in sides:
        side.ask(row, what)
    result = np.empty((repeats, 2))
    for k in range(repeats):
        for place in (0, 1) if k % 2 else (1, 0):
            result[k, place] = sides[place].ask(row, what)["ms"]
    return result


def difference(answers: list[dict]) -> tuple[float, float]:
    """Relative differences of ln E and of the lengths of its gradient's parts."""
    ours, theirs = answers
    of_gradient = [abs(ours["gradient"][n] / theirs["gradient"][n] - 1.0) for n in theirs["gradient"]]
    return abs(ours["value"] / theirs["value"] - 1.0), max(of_gradient)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rows", nargs="+", help="of benchmarks/evidence.py; by default all")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    import evidence

    sides = [Side(HERE), Side(arguments.other.resolve())]
    for row in arguments.rows or evidence.NAMES:
        ratios = {}
        for what in ("value", "value and gradient"):
            ours, theirs = np.median(times(sides, row, what, arguments.repeats), axis=0)
            ratios[what] = f"{what} {ours:.1f} ms, {ours / theirs:.3f} x"
        answers = [side.ask(row, "value and gradient") for side in sides]
        of_value, of_gradient = difference(answers)
        print(
            f"{row}: {ratios['value']}; {ratios['value and gradient']}; ln E differs by {of_value:.1e}, its "
            f"gradient by {of_gradient:.1e}; peak {answers[0]['peak_mb']:.0f} MB, of the other "
            f"{answers[1]['peak_mb']:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
