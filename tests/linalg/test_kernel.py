"""The disk cache of the kernels: a change in any source of the numerics must recompile them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from numba.core import config as numba_config
from numba.core.caching import CacheImpl

import pymc_lens
import pymc_lens.linalg.kernel

PACKAGE = Path(pymc_lens.__file__).parent
CALL = """
import numpy as np
from pymc_lens.linalg.precision import SparsePrecision, _selected_inverse
from pymc_lens.linalg.sparsity import SparsityPattern
none = np.empty(0, np.int64)
precision = SparsePrecision(SparsityPattern(3, none, none), np.full(3, 4.0), np.empty(0))
precision.free_moments()
stats = _selected_inverse.stats
print("hits", sum(stats.cache_hits.values()), "misses", sum(stats.cache_misses.values()))
"""


@pytest.fixture(name="copied")
def _copied(tmp_path):
    """A copy of the package that imports neither PyMC nor PyTensor, which kernels do not need."""
    shutil.copytree(PACKAGE, tmp_path / "pymc_lens", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pymc_lens" / "__init__.py").write_text("")
    return tmp_path


def call(folder):
    environment = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-W", "always", "-c", CALL]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)


def test_a_change_in_another_file_recompiles(copied):
    assert call(copied).stdout == "hits 0 misses 1\n"
    assert call(copied).stdout == "hits 1 misses 0\n"
    with (copied / "pymc_lens" / "response" / "tiles.py").open("a") as source:
        source.write("\n# changed\n")
    assert call(copied).stdout == "hits 0 misses 1\n"


def test_no_kernel_bypasses_the_cache_key():
    files = list(PACKAGE.rglob("*.py"))
    compiled = [path for path in files if "@kernel" in path.read_text()]
    assert {path.parent.name for path in compiled} == set(pymc_lens.linalg.kernel.NUMERICS)
    assert [path.name for path in files if " njit" in path.read_text()] == ["kernel.py"]


def test_issue13_F7_a_damaged_cache_is_made_again(copied):
    """Files cut off, as by a disk that fills or a process that is killed."""
    assert call(copied).stdout == "hits 0 misses 1\n"
    for pattern in ("*.nbc", "*.nbi"):
        for path in (copied / "cache").rglob(pattern):
            path.write_bytes(path.read_bytes()[:100])
        damaged = call(copied)
        assert damaged.stdout == "hits 0 misses 1\n"
        assert damaged.stderr.count("is damaged") == 1
        assert call(copied).stdout == "hits 1 misses 0\n"


def test_issue13_F7_nowhere_to_write(monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    monkeypatch.setattr(pymc_lens.linalg.kernel, "_said", set())

    def twice(x):
        return 2.0 * x

    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR") as caught:
        compiled, again = (pymc_lens.linalg.kernel.kernel()(twice) for _ in range(2))
    assert compiled(2.0) == again(2.0) == 4.0
    assert len(caught) == 1


def test_issue13_F7_a_disk_that_is_full(monkeypatch, tmp_path):
    monkeypatch.setattr(pymc_lens.linalg.kernel, "_said", set())
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))

    def thrice(x):
        return 3.0 * x

    compiled = pymc_lens.linalg.kernel.kernel()(thrice)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiled._cache._cache_file, "_save_data", full)
    with pytest.warns(UserWarning, match="No space left"):
        assert compiled(2.0) == 6.0


def test_two_processes_never_save_one_kernel_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path))

    def fourfold(x):
        return 4.0 * x

    compiled = pymc_lens.linalg.kernel.kernel()(fourfold)
    index = Path(compiled._cache._cache_file._index_path)
    index.parent.mkdir(parents=True, exist_ok=True)
    with index.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        other = Thread(target=compiled, args=(2.0,))
        other.start()
        other.join(2.0)
        assert other.is_alive()
        assert not index.exists()
    other.join(10.0)
    assert index.exists()


def test_one_of_two_processes_compiles(copied):
    """The other waits for it, and reads what it has saved."""
    environment = {**os.environ, "PYTHONPATH": str(copied), "NUMBA_CACHE_DIR": str(copied / "cache")}
    command = [sys.executable, "-c", CALL]
    both = [
        subprocess.Popen(command, cwd=copied, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate()[0] for process in both)
    assert said == ["hits 0 misses 1\n", "hits 1 misses 0\n"]


WITHOUT_A_HOME = """
import stat
import pymc_lens, pytensor, pytensor.tensor as pt
x = pt.dvector()
folder = pytensor.config.base_compiledir
print(pytensor.function([x], 2.0 * x)([1.0]).item(), oct(stat.S_IMODE(folder.stat().st_mode)), folder)
"""


def test_issue13_F7_no_home(tmp_path):
    """What PyTensor compiles is kept where nobody else can write, as long as the process lives."""
    (tmp_path / "file").write_text("")
    environment = {key: value for key, value in os.environ.items() if key != "PYTENSOR_FLAGS"}
    environment |= {"HOME": str(tmp_path / "file" / "home"), "PYTHONPATH": str(PACKAGE.parent)}
    environment |= {"TMPDIR": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "always::UserWarning", "-c", WITHOUT_A_HOME]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    value, mode, folder = done.stdout.split()
    assert (value, mode) == ("2.0", "0o700")
    assert Path(folder).parent == tmp_path
    assert not Path(folder).exists()
    assert done.stderr.count("PyTensor cannot write to") == 1
