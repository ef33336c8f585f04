"""Surveys on Dask: each lens once in the table and fitted once, whatever happens meanwhile."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client, LocalCluster
from stand_ins import RADIUS, calls, catalogue, fit

import pymc_lens as pl
from pymc_lens import cli
from pymc_lens.surveys.lock import only_one
from pymc_lens.surveys.table import SCHEMA, Journal, row_of
from pymc_lens.surveys.task import PeakMemory

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import unattended

HERE = Path(__file__).parent
# A survey in a process of its own: CATALOGUE OUT, and an address.
SCRIPT = """
import signal
import sys
# As of a terminal: what is started in the background ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
import pymc_lens as pl
from distributed import Client
from stand_ins import fit
if __name__ == "__main__":
    client = Client(sys.argv[3]) if len(sys.argv) > 3 else None
    pl.survey(sys.argv[1], sys.argv[2], fit=fit, client=client, progressbar=False)
"""
NAMES = [f"lens_{k}" for k in range(6)]
# Seconds in which what has been stopped ends: five or so where nothing else runs.
LONG = 120.0
# Three that are done at once, three that wait until there is a file "go".
HALF = ["lens_0", "lens_1", "lens_2", "waits_0", "waits_1", "waits_2"]


def in_this_process(threads: int) -> LocalCluster:
    """Start a cluster that is there at once."""
    return LocalCluster(1, threads_per_worker=threads, processes=False, dashboard_address=None)


@pytest.fixture(scope="module", name="client")
def _client() -> Iterator[Client]:
    with in_this_process(1) as cluster, Client(cluster) as client:
        yield client


def worker_of(folder: Path) -> int:
    """Return the process that began a lens last."""
    return int((folder / "calls.txt").read_text().splitlines()[-1].split()[0])


def begun(tmp_path: Path, *arguments: object) -> subprocess.Popen:
    """Start a survey in a process and a group of its own."""
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py"), *map(str, arguments)], start_new_session=True,
        env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until(happened, seconds: float = 1800.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def until_waiting(process: subprocess.Popen, out: Path) -> None:
    until(lambda: waiting(out) or process.poll() is not None)
    assert process.poll() is None, process.stderr.read()


def done(out: Path) -> set[str]:
    return {path.parent.name for path in out.glob("*/summary.json")}


def waiting(out: Path) -> bool:
    """Whether the lenses of HALF that do not wait are done, and one that waits has begun."""
    return done(out) == set(HALF[:3]) and calls(out / "waits_0") == 1


def goes_on(process: subprocess.Popen, out: Path) -> None:
    """Let what waits go on, and see that each lens has a row, and what was done was not done again."""
    (out / "go").touch()
    assert process.wait(1800) == 0, process.stderr.read()
    rows = pd.read_parquet(out / "lenses.parquet")
    assert rows["name"].tolist() == HALF
    assert rows["fitted"].all()
    assert [calls(out / name) for name in HALF[:3]] == [1, 1, 1]


def test_each_lens_is_fitted_once_and_has_a_row(client, tmp_path):
    table, out = catalogue(tmp_path, NAMES), tmp_path / "out"
    rows = pl.survey(table, out, client=client, fit=fit, draws=3, random_seed=7, progressbar=False)
    assert rows["name"].tolist() == NAMES
    assert (rows["theta_e"] == RADIUS).all()
    assert (rows["theta_e_low"] < rows["theta_e"]).all()
    assert (rows["random_seed"] == 7).all()
    assert (rows["version"] == pl.__version__).all()
    assert (rows["peak_memory_mb"] > 50.0).all()
    again = pl.survey(table, out, client=client, fit=fit, draws=3, random_seed=7, progressbar=False)
    pd.testing.assert_frame_equal(again, rows)
    assert [calls(out / name) for name in NAMES] == [1] * 6
    with pytest.raises(
        ValueError, match=r"out: .* fitted with draws=3, random_seed=7, now .*=None, random_s.*=1"
    ):
        pl.survey(table, out, client=client, fit=fit, progressbar=False)
    assert not list(out.glob("*/stage_*.pickle"))
    assert pd.read_parquet(out / "lenses.parquet").columns.tolist() == SCHEMA.names
    with (out / "lenses.csv").open() as file:
        assert [float(row["theta_e"]) for row in csv.DictReader(file)] == [RADIUS] * 6


def test_what_a_client_that_died_did_not_write_down_is_not_fitted_again(client, tmp_path):
    table, out = catalogue(tmp_path, NAMES), tmp_path / "out"
    rows = pl.survey(table, out, client=client, fit=fit, progressbar=False)
    journal = out / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + lines[3][:40])
    again = pl.survey(table, out, client=client, fit=fit, progressbar=False)
    pd.testing.assert_frame_equal(again, rows)
    assert [calls(out / name) for name in NAMES] == [1] * 6


def test_a_lens_that_fails_says_why_and_is_tried_again(client, tmp_path):
    names = ["right", "wrong"]
    table, out = catalogue(tmp_path, names), tmp_path / "out"
    for tried in (1, 2):
        rows = pl.survey(table, out, client=client, fit=fit, progressbar=False).set_index("name")
        assert rows.loc["wrong", "reason"] == "error: ValueError: dataset: nothing shines."
        assert rows["verdict"].to_dict() == {"right": "keep", "wrong": "fail"}
        assert rows["fitted"].to_dict() == {"right": True, "wrong": False}
        assert np.isnan(rows.loc["wrong", "theta_e"])
        assert [calls(out / name) for name in names] == [1, tried]
    assert "nothing" in (out / "wrong" / "log.txt").read_text()
    assert "Traceback" in (out / "wrong" / "log.txt").read_text()


def test_a_corrupt_image_costs_one_row(client, tmp_path):
    table, out = catalogue(tmp_path, NAMES), tmp_path / "out"
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  =  nothing of the kind")
    written = pd.read_csv(table)
    written.loc[2, "image"] = "broken.fits"
    written.to_csv(table, index=False)
    rows = pl.survey(table, out, client=client, fit=fit, progressbar=False)
    assert rows["fitted"].tolist() == [name != "lens_2" for name in NAMES]
    assert "broken.fits" in rows["reason"][2]
    assert calls(out / "lens_2") == 0


def test_options_of_the_catalogue_go_first(client, tmp_path):
    table, out = catalogue(tmp_path, NAMES), tmp_path / "out"
    written = pd.read_csv(table).assign(random_seed=[5, None, None, None, None, 0])
    rows = pl.survey(
        pl.Catalogue.from_table(written, tmp_path), out, client=client, fit=fit, progressbar=False
    )
    assert rows["random_seed"].tolist() == [5, 1, 1, 1, 1, 0]


def test_what_is_wrong_is_said_before_anything_is_done(client, tmp_path):
    table = catalogue(tmp_path, NAMES)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="path: cannot write to the folder"):
        pl.survey(table, tmp_path / "file" / "out", client=client)
    with pytest.raises(TypeError, match=r"fit: expected arguments that it takes, .*'drawz'"):
        pl.survey(table, tmp_path / "out", client=client, drawz=3)
    with pytest.raises(TypeError, match="fit: expected a callable"):
        pl.survey(table, tmp_path / "out", client=client, fit=3)
    with pytest.raises(ValueError, match="pixel_scale: the catalogue has been read"):
        pl.survey(pl.Catalogue.read(table), tmp_path / "out", client=client, pixel_scale=0.1)
    with pytest.raises(TypeError, match="client: expected a Client, got str"):
        pl.survey(table, tmp_path / "out", client="tcp://127.0.0.1:8786")
    with pytest.raises(ValueError, match="workers: expected at least 1"):
        pl.survey(table, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def test_a_second_survey_is_refused(client, tmp_path):
    table, out = catalogue(tmp_path, NAMES), pl.make_folder(tmp_path / "out")
    with only_one(out), pytest.raises(OSError, match=f"another survey writes to .*process {os.getpid()} on"):
        pl.survey(table, out, client=client, fit=fit, progressbar=False)
    assert len(pl.survey(table, out, client=client, fit=fit, progressbar=False)) == 6


def test_workers_of_several_threads_are_refused(tmp_path):
    table = catalogue(tmp_path, NAMES)
    refused = pytest.raises(ValueError, match="one thread each, one has 2")
    with in_this_process(2) as cluster, Client(cluster) as client, refused:
        pl.survey(table, tmp_path / "out", client=client, fit=fit, progressbar=False)


def test_a_journal_is_read_in_seconds_and_its_last_lines_hold(tmp_path):
    journal = Journal(tmp_path)
    row = {name: 1.0 for name in SCHEMA.names if str(SCHEMA.field(name).type) == "double"}
    lines = [
        json.dumps({"name": f"lens_{k % 10_000:05d}", "fitted": k >= 5000, **row}) for k in range(15_000)
    ]
    (tmp_path / "journal.jsonl").write_text("\n".join(lines) + "\n")
    begin = time.process_time()
    assert len(journal.fitted()) == 10_000
    assert time.process_time() - begin < 5.0
    journal.add({"name": "lens_00000", "fitted": False, "theta_e": float("nan")})
    table = journal.write_tables()
    assert len(table) == 10_000
    assert table["name"].is_monotonic_increasing
    assert not table["fitted"][0]
    assert np.isnan(table["theta_e"][0])


def test_the_peak_of_memory_is_seen():
    with PeakMemory() as before:
        pass
    with PeakMemory() as memory:
        hold = np.ones(40_000_000)
        time.sleep(1.5)
        del hold
    assert 300.0 < memory.megabytes - before.megabytes < 360.0


@pytest.mark.slow
def test_a_process_that_dies_costs_no_other_lens(tmp_path):
    """One kills its process once, and one always: each has a row, and the others are fitted once."""
    names = ["dies", "dying", *NAMES]
    table, out = catalogue(tmp_path, names), tmp_path / "out"
    rows = pl.survey(table, out, workers=2, fit=fit, progressbar=False).set_index("name")
    assert sorted(rows.index) == sorted(names)
    assert rows["fitted"].to_dict() == {name: name != "dies" for name in names}
    assert rows.loc["dies", "reason"].startswith("error: 3 processes died")
    assert {name: calls(out / name) for name in names} == {"dies": 3, "dying": 2, **dict.fromkeys(NAMES, 1)}


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(tmp_path):
    table, out = catalogue(tmp_path, HALF), tmp_path / "out"
    process = begun(tmp_path, table, out)
    until_waiting(process, out)
    os.kill(worker_of(out / "waits_0"), signal.SIGKILL)
    goes_on(process, out)
    assert [calls(out / name) for name in HALF[3:]] == [2, 1, 1]


@pytest.mark.slow
def test_a_lens_that_takes_all_memory_is_given_up(tmp_path):
    names = ["greedy", *NAMES]
    table, out = catalogue(tmp_path, names), tmp_path / "out"
    rows = pl.survey(table, out, workers=2, memory_limit="1.5GB", fit=fit, progressbar=False)
    assert rows.set_index("name")["fitted"].to_dict() == {name: name != "greedy" for name in names}
    assert "as where memory runs out" in rows["reason"][0]
    assert [calls(out / name) for name in names] == [3, *[1] * 6]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_survey_that_is_stopped_goes_on(tmp_path, how):
    """By Ctrl-C, which the workers see as well, and by what nobody sees: they end with it."""
    table, out = catalogue(tmp_path, HALF), tmp_path / "out"
    process = begun(tmp_path, table, out)
    until_waiting(process, out)
    begin = time.monotonic()
    if how is signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.kill()
    process.wait(LONG)
    worker = Path(f"/proc/{worker_of(out / 'waits_0')}")
    until(lambda: not worker.exists(), LONG)
    assert time.monotonic() - begin < LONG
    goes_on(begun(tmp_path, table, out), out)


@pytest.mark.slow
def test_the_same_command_twice_at_once(tmp_path):
    table, out = catalogue(tmp_path, HALF), tmp_path / "out"
    first = begun(tmp_path, table, out)
    until_waiting(first, out)
    second = begun(tmp_path, table, out)
    assert second.wait(1800) == 1
    assert f"another survey writes to {out}: process {first.pid} on" in second.stderr.read()
    goes_on(first, out)
    assert [calls(out / name) for name in HALF] == [1] * 6


def scheduler_and_worker(tmp_path: Path, number: int) -> tuple[str, list[subprocess.Popen]]:
    """Start a cluster of one worker by Dask's own commands."""
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    file = tmp_path / f"scheduler_{number}.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    quiet: dict = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    # Both unpickle the function that fits.
    quiet |= {"env": os.environ | {"PYTHONPATH": path}}
    scheduler = subprocess.Popen([*command, "--scheduler-file", str(file)], **quiet)
    until(file.exists)
    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
    worker = subprocess.Popen([*command, "--death-timeout", "5", "--scheduler-file", str(file)], **quiet)
    return json.loads(file.read_text())["address"], [scheduler, worker]


@pytest.mark.slow
def test_a_scheduler_that_dies_loses_nothing(tmp_path):
    table, out = catalogue(tmp_path, HALF), tmp_path / "out"
    address, cluster = scheduler_and_worker(tmp_path, 0)
    process = begun(tmp_path, table, out, address)
    until_waiting(process, out)
    cluster[0].kill()
    assert process.wait(LONG) == 1
    assert "the scheduler is lost" in process.stderr.read()
    cluster[1].kill()
    address, cluster = scheduler_and_worker(tmp_path, 1)
    try:
        goes_on(begun(tmp_path, table, out, address), out)
    finally:
        for each in cluster:
            each.kill()


@pytest.mark.slow
def test_a_real_fit_whose_process_dies_ends_as_one_that_was_left_alone(tmp_path):
    """The command, with `fit_lens`: killed once after the search, it goes on from there."""
    truth = {
        "einstein_radius": 0.9, "ell_comps": [0.1, -0.05], "gamma": [0.03, -0.02], "light": [0.08, -0.02],
        "clumps": [{"centre": [0.08, -0.05], "sigma": 0.07, "peak": 1.0}], "light_peak": 8.0,
        "light_radius": 0.5, "signal_to_noise": 25.0, "neighbour": False,
    }  # fmt: skip
    image, lens, out = unattended.simulated(truth, 3, 0.08), tmp_path / "lenses" / "lens", tmp_path / "out"
    lens.mkdir(parents=True)
    image.to_fits([lens / f"{name}.fits" for name in ("image", "psf", "noise")])
    (lens.parent / "torn").mkdir()
    for name in ("image", "psf", "noise"):
        (lens.parent / "torn" / f"{name}.fits").write_bytes((lens / f"{name}.fits").read_bytes()[:2000])
    # To be the same to the last digit: a process a lens, so that nothing depends on which of two takes a task
    # first, and graphs in which PyTensor, which goes through sets, adds in the same order.
    environment = os.environ | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}

    def started(*arguments: str | Path) -> subprocess.Popen:
        command = [sys.executable, "-m", "pymc_lens", *map(str, arguments), "--draws", "40"]
        with (tmp_path / "said.txt").open("a") as said:
            return subprocess.Popen(command, stderr=said, env=environment)

    process = started("survey", lens.parent, "--out", out, "--workers", "2")
    until((out / "lens" / "stage_search.pickle").exists, 3600.0)
    for each in psutil.Process(process.pid).children():
        if "spawn_main" in " ".join(each.cmdline()):
            each.kill()
    alone = started("fit", lens, "--out", tmp_path / "alone", "--cores", "1")
    assert [process.wait(3600), alone.wait(3600)] == [0, 0], (tmp_path / "said.txt").read_text()
    rows = pd.read_parquet(out / "lenses.parquet")
    assert rows["name"].tolist() == ["lens", "torn"]
    assert rows["fitted"].tolist() == [True, False]
    expected = row_of(json.loads((tmp_path / "alone" / "summary.json").read_text()))
    names = "theta_e", "theta_e_low", "q", "shear", "log_z", "diagnostic", "verdict", "dataset"
    assert {name: rows[name][0] for name in names} == {name: expected[name] for name in names}
    assert 200.0 < rows["peak_memory_mb"][0] < 4000.0
    log = (out / "lens" / "log.txt").read_text()
    assert log.count("Stage search: read from") == 1
    assert {path.name for path in (out / "lens").iterdir()} == {
        "posterior.nc", "summary.json", "page.png", "log.txt",
    }  # fmt: skip


@pytest.fixture(name="disk")
def _disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False).returncode:
        pytest.skip("only root can mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_the_survey_and_costs_nothing(client, tmp_path, disk):
    names = [f"large_{k}" for k in range(6)]
    table = catalogue(tmp_path, names)
    with pytest.raises(OSError, match="No space left"):
        pl.survey(table, disk, client=client, fit=fit, progressbar=False)
    right = done(disk)
    assert len(right) == 2
    assert set(Journal(disk).table()["name"].to_pylist()) == right
    subprocess.run(["mount", "-o", "remount,size=60m", disk], check=True)
    rows = pl.survey(table, disk, client=client, fit=fit, progressbar=False)
    assert rows["name"].tolist() == names
    assert rows["fitted"].all()
    assert [calls(disk / name) for name in right] == [1, 1]


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_to_is_told_first(client, tmp_path, disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(OSError, match=r"path: cannot write to the folder .*Read-only"):
        pl.survey(catalogue(tmp_path, NAMES), disk / "out", client=client, fit=fit)


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["survey", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")])
    assert ended.value.code == 1
    assert "no folder with image.fits" in capsys.readouterr().err
