"""The disk cache of the kernels: a change in any source of the numerics must recompile them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pymc_lens

PACKAGE = Path(pymc_lens.__file__).parent
CALL = """
import numpy as np
from pymc_lens.linalg.precision import SparsePrecision, _selected_inverse
from pymc_lens.linalg.sparsity import SparsityPattern
none = np.empty(0, np.int64)
precision = SparsePrecision(SparsityPattern(3, none, none), np.full(3, 4.0), np.empty(0))
precision.inverse_on_pattern()
stats = _selected_inverse.stats
print("hits", sum(stats.cache_hits.values()), "misses", sum(stats.cache_misses.values()))
"""


def test_a_change_in_another_file_recompiles(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "pymc_lens", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run() -> str:
        command = [sys.executable, "-c", CALL]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert run() == "hits 0 misses 1"
    assert run() == "hits 1 misses 0"
    with (tmp_path / "pymc_lens" / "mesh" / "triangulation.py").open("a") as source:
        source.write("\n# changed\n")
    assert run() == "hits 0 misses 1"


def test_no_kernel_bypasses_the_cache_key():
    folders = ("inversion", "linalg", "mesh", "regularization")
    files = [path for folder in folders for path in (PACKAGE / folder).rglob("*.py")]
    assert [path.name for path in files if "njit" in path.read_text()] == ["kernel.py"]
