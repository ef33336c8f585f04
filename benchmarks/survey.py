"""What Dask costs, and how many lenses it carries.

    python benchmarks/survey.py compare DIR OUT [--draws 200]
    python benchmarks/survey.py stubs [--lenses 10000] [--workers 50] [--faster 500]

``compare`` fits the lenses of a folder three times, one core a lens: in a plain loop of this process, by
`survey` on one process of Dask, and on two. Times are from the call to the table, so that Dask's include the
start of its processes and their imports, which a survey pays once; ``tasks`` are the seconds in which lenses
were fitted. Run it twice: the first run compiles.

``stubs`` has a scheduler, a process of many workers and a client go through a survey whose fits sleep for
times that are drawn from measured ones (``wall_s`` of docs/results/lenses.csv), so many times faster. It
prints memory and processor time of each, which do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dask
import numpy as np
import psutil
from distributed import Client, Worker

# Seconds in which nothing is done: what processes take then is told apart.
IDLE = 20.0
ROOT = Path(__file__).parents[1]
TIMES = ROOT / "docs" / "results" / "lenses.csv"


class Stub(NamedTuple):
    """A lens that is nothing but the time its fit takes."""

    name: str
    seconds: float


class Sleep(NamedTuple):
    """A task that sleeps and returns a row of ordinary size."""

    numbers: Sequence[str]

    def __call__(self, stub: Stub) -> dict[str, Any]:
        time.sleep(stub.seconds)
        row = dict.fromkeys(self.numbers, 1.23456789012)
        texts = {"verdict": "keep", "version": "0.1.0", "dataset": "0" * 64, "reason": "a reason " * 8}
        return {"name": stub.name, "fitted": True, "random_seed": 1, "n_pixels": 10_000, **texts, **row}


def workers(address: str, number: int) -> None:
    """Run many workers of one thread in this process until the scheduler ends."""

    async def run() -> None:
        started = await asyncio.gather(
            *(Worker(address, nthreads=1, memory_limit=0, dashboard=False) for _ in range(number))
        )
        await asyncio.gather(*(worker.finished() for worker in started))

    # Otherwise each would look at the stacks of all threads a hundred times a second.
    with dask.config.set({"distributed.worker.profile.enabled": False}):
        asyncio.run(run())


def stubs(n_lenses: int, n_workers: int, faster: float) -> None:
    from pymc_lens.surveys.engine import run, write_outputs
    from pymc_lens.surveys.table import SCHEMA, Journal

    with TIMES.open() as file:
        measured = [float(row["wall_s"]) for row in csv.DictReader(file)]
    seconds = np.random.default_rng(1).choice(measured, n_lenses) / faster
    lenses = [Stub(f"lens_{k:06d}", float(each)) for k, each in enumerate(seconds)]
    numbers = [name for name in SCHEMA.names if str(SCHEMA.field(name).type) == "double"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scheduler.json"
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = [subprocess.Popen([*command, "--scheduler-file", str(file)], **quiet)]
        while not file.exists():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        command = [sys.executable, __file__, "workers", address, str(n_workers)]
        started.append(subprocess.Popen(command, **quiet))
        watched = [psutil.Process(started[0].pid), psutil.Process(started[1].pid), psutil.Process()]
        try:
            with Client(address) as client:
                client.wait_for_workers(n_workers)
                before = [usage(process) for process in watched]
                time.sleep(IDLE)
                idle = [usage(process)[0] - cpu for process, (cpu, _) in zip(watched, before, strict=True)]
                before = [usage(process) for process in watched]
                begin = time.perf_counter()
                journal = Journal(Path(folder))
                run(client, Sleep(numbers), lenses, journal, False)
                wall = time.perf_counter() - begin
                after = [usage(process) for process in watched]
        finally:
            for each in started:
                each.kill()
                each.wait()
        begin = time.perf_counter()
        table = write_outputs(journal)
        tables = time.perf_counter() - begin
    assert table["name"].tolist() == [stub.name for stub in lenses]
    ideal = float(seconds.sum()) / n_workers
    print(f"{n_lenses} lenses, {n_workers} workers, {np.median(seconds):.2f} s a lens (median)")
    print(f"wall {wall:.0f} s, of which {ideal:.0f} s are sleep; {n_lenses / wall:.0f} lenses a second")
    print(f"tables and report from the journal: {tables:.2f} s")
    names = "scheduler", "workers", "client"
    for name, at_rest, (cpu, memory), (cpu_after, peak) in zip(names, idle, before, after, strict=True):
        each = 1e3 * (cpu_after - cpu - at_rest * wall / IDLE) / n_lenses
        print(
            f"{name}: {each:.2f} ms of a core a lens, and {1e3 * at_rest / IDLE:.1f} ms a second at rest; "
            f"{memory:.0f} MB before, at most {peak:.0f} MB"
        )


def usage(process: psutil.Process) -> tuple[float, float]:
    """Return seconds of a core, and the peak of the memory (10^6 bytes)."""
    times = process.cpu_times()
    status = (Path("/proc") / str(process.pid) / "status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return times.user + times.system, float(peak.split()[1]) * 1024e-6


def compare(folder: Path, out: Path, draws: int) -> None:
    import pymc_lens as pl
    from pymc_lens.surveys.cluster import local_client
    from pymc_lens.surveys.task import FitTask

    lenses = pl.Catalogue.read(folder)

    def in_a_loop(to: Path) -> list[dict[str, Any]]:
        task = FitTask(pl.make_folder(to), pl.fit_lens, 1, {"draws": draws, "random_seed": 1})
        return [task(entry) for entry in lenses.entries]

    def on_dask(processes: int) -> Callable[[Path], list[dict[str, Any]]]:
        def run(to: Path) -> list[dict[str, Any]]:
            with local_client(processes, "auto") as client:
                table = pl.survey(lenses, to, client=client, draws=draws, progressbar=False)
            return table.to_dict("records")

        return run

    walls = {}
    for name, run in (("loop", in_a_loop), ("dask_1", on_dask(1)), ("dask_2", on_dask(2))):
        begin = time.perf_counter()
        rows = run(out / name)
        walls[name] = time.perf_counter() - begin
        verdicts = [row["verdict"] for row in rows]
        tasks = sum(row["wall_s"] for row in rows)
        print(f"{name}: {walls[name]:.1f} s, tasks {tasks:.1f} s, {verdicts}", flush=True)
    print(f"overhead of Dask: {100.0 * (walls['dask_1'] / walls['loop'] - 1.0):+.1f} %")
    print(f"speed-up of two processes over one: {walls['dask_1'] / walls['dask_2']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    comparing = commands.add_parser("compare")
    comparing.add_argument("folder", type=Path)
    comparing.add_argument("out", type=Path)
    comparing.add_argument("--draws", type=int, default=200)
    comparing.set_defaults(run=lambda a: compare(a.folder, a.out, a.draws))
    sleeping = commands.add_parser("stubs")
    sleeping.add_argument("--lenses", type=int, default=10_000)
    sleeping.add_argument("--workers", type=int, default=50)
    sleeping.add_argument("--faster", type=float, default=500.0)
    sleeping.set_defaults(run=lambda a: stubs(a.lenses, a.workers, a.faster))
    of_stubs = commands.add_parser("workers")
    of_stubs.add_argument("address")
    of_stubs.add_argument("number", type=int)
    of_stubs.set_defaults(run=lambda a: workers(a.address, a.number))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
