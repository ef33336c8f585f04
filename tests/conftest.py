"""Fixtures of the whole suite."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytest
import scipy.linalg  # noqa: F401  (SciPy brings its own BLAS; threads are limited only in libraries already loaded)
from hypothesis import settings
from pytensor.compile.mode import _CACHED_RUNTIME_MODES, Mode
from threadpoolctl import threadpool_limits

# A test run has no display; plots go to files.
os.environ.setdefault("MPLBACKEND", "Agg")

# One thread each for the scripts that tests start, and for JAX, which reads this when it is imported: the
# workers of pytest-xdist and the chains of samplers share the cores.
for library in ("OPENBLAS", "OMP", "MKL", "VECLIB"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

# Kernels compile inside the first example, which no per-example deadline survives; failures must repeat.
# `make test-all` takes the thorough profile.
settings.register_profile("pymc_lens", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=400)
settings.load_profile("pymc_lens")

# Files whose models run as a user's do. In the others PyTensor interprets its graphs: numba takes longer to
# compile them than they are worth, which what is tested there does not depend on.
AS_USERS_RUN = {
    "test_compile", "test_distribution", "test_docs", "test_examples", "test_fit_lens", "test_inference",
    "test_gaussian_columns", "test_kernel", "test_ops", "test_ray_op", "test_readme", "test_survey",
}  # fmt: skip

# Files that sample or search, longest first: no worker shall begin with one of them when the others are done.
LONG = ("test_readme", "test_inference", "test_search", "test_examples", "test_positive")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="module", autouse=True)
def _interpreted(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.path.stem in AS_USERS_RUN:
        yield
        return
    with pytensor.config.change_flags(linker="py"):
        # Fused loops are interpreted number by number. What excludes them cannot be changed once it is read.
        _CACHED_RUNTIME_MODES["MODE", "py"] = Mode("py").excluding("fusion")
        yield


class Golden:
    """Files of tests/golden; tests/golden/README.md says where they come from."""

    folder = Path(__file__).parent / "golden"

    def path(self, name: str) -> Path:
        """Return the path of a file, for readers of their own such as `Imaging.from_fits`."""
        path = self.folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such golden file")
        return path

    def __call__(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of an ``.npz`` file by name, read-only because tests share them."""
        return _arrays(self.path(name))

    def json(self, name: str) -> dict[str, Any]:
        """Return the content of a ``.json`` file."""
        return json.loads(self.path(name).read_text())


@cache
def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Numbers of PyAutoLens: ``golden("traced.npz")["traced_sub_yx"]``, ``golden.json("scalars.json")``."""
    return Golden()


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread: reproducible sums, and test processes that do not fight over the cores."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed, fresh for every test."""
    return np.random.default_rng(20080712)
