"""Dask on this machine, set up for tasks of minutes that fill a core and its memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster

_CONFIG: dict[str, Any] = {
    # A lens during which this many processes have died, and one more, is given up.
    "distributed.scheduler.allowed-failures": 2,
    # Nothing waits at a worker: when one dies, the lens that it was at is to blame, and no other.
    "distributed.scheduler.worker-saturation": 1.0,
    # A nanny sees its process end. Kernels that compile are silent for long without being dead.
    "distributed.scheduler.worker-ttl": None,
    # A hundred times a second every process would look at what it is doing, fifty times at how late it is.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    # Fits that use several cores have processes of their own.
    "distributed.worker.daemon": False,
    "distributed.nanny.pre-spawn-environ": {
        **{f"{library}_NUM_THREADS": 1 for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")},
        "MPLBACKEND": "Agg",
    },
    # Results are a line each: there is nothing to spill, and a worker that pauses would never go on.
    **{f"distributed.worker.memory.{what}": False for what in ("target", "spill", "pause")},
}


@contextmanager
def local_client(processes: int, memory_limit: str | float) -> Iterator[Client]:
    """Start a scheduler and processes of one thread each, and end them.

    Parameters
    ----------
    processes : int
    memory_limit : str or float
        Of each, see `distributed.LocalCluster`: one that takes 95 per cent of it is ended by its nanny.
    """
    with dask.config.set(_CONFIG), warnings.catch_warnings():
        # Dask takes another port for its dashboard then.
        warnings.filterwarnings("ignore", "Port .* is already in use")
        cluster = LocalCluster(
            n_workers=processes, threads_per_worker=1, memory_limit=memory_limit,
            silence_logs=logging.CRITICAL, dashboard_address="127.0.0.1:8787",
        )  # fmt: skip
        with cluster, Client(cluster) as client:
            yield client
