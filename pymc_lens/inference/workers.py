"""Work that several processes share."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from multiprocessing import get_context
from typing import Any

from threadpoolctl import threadpool_limits

from pymc_lens.progress import Report

_FORK = get_context("fork")
_SECONDS_BETWEEN_LOOKS = 1.0
# Tasks in waiting for each process, so that none runs out.
_WAITING = 2

_function: Callable[[Any], Any]


def n_workers(cores: int | None = None) -> int:
    """Return how many processes to work with: as many as this one may run on, or fewer."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return available if cores is None else min(cores, available)


def shared_work(
    function: Callable[[Any], Any], tasks: Iterable[Any], cores: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Evaluate a function of each task in forked processes, and yield (number of the task, result).

    The function is inherited, so that it may be anything; tasks and results are pickled. Results come as they
    are ready. Tasks are taken from the iterable when a process is about to need one.

    Parameters
    ----------
    function : callable
        Of one task.
    tasks : iterable
    cores : int, optional
        Processes; by default one for each core. With one, everything is evaluated here.

    Raises
    ------
    BrokenProcessPool
        If a process dies, as it does where memory runs out.
    """
    processes = n_workers(cores)
    if processes == 1:
        yield from ((k, function(task)) for k, task in enumerate(tasks))
    else:
        yield from _forked(function, tasks, processes)


def in_a_process(function: Callable[[Report], Any], report: Report) -> Any:
    """Evaluate a function in a forked process: what it has compiled goes with it.

    Numba never frees machine code, of which a model that PyTensor compiles in its mode has tens of megabytes.

    Parameters
    ----------
    function : callable
        Of a function that it may tell where it is; what it returns is pickled.
    report : callable
        Told the same, in this process: a notebook takes no messages from a forked one.

    Raises
    ------
    RuntimeError
        If the process dies, as it does where memory runs out.
    """
    receiving, sending = _FORK.Pipe(duplex=False)

    def pass_on() -> None:
        for text in iter(receiving.recv, None):
            report(text)

    reader = threading.Thread(target=pass_on, daemon=True, name="pymc_lens: reports of a process")
    reader.start()
    try:
        ((_, result),) = _forked(lambda _: function(sending.send), [None], 1)
    finally:
        sending.send(None)
        reader.join()
        receiving.close()
        sending.close()
    return result


def _forked(
    function: Callable[[Any], Any], tasks: Iterable[Any], processes: int
) -> Iterator[tuple[int, Any]]:
    numbered = enumerate(tasks)
    pool = ProcessPoolExecutor(processes, _FORK, initializer=_begin, initargs=(function,))
    pending: dict[Any, int] = {}
    try:
        with warnings.catch_warnings():
            # Whatever threads there are, of a progress bar or of JAX, the processes do not need them.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            warnings.filterwarnings("ignore", "os.fork.. was called", RuntimeWarning)
            for k, task in islice(numbered, processes * _WAITING):
                pending[pool.submit(_evaluate, task)] = k
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                for k, task in islice(numbered, 1):
                    pending[pool.submit(_evaluate, task)] = k
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        raise BrokenProcessPool(
            "A process ended before its work was done, as when memory runs out."
            + (" Use fewer (cores=1)." if processes > 1 else "")
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threadpool_limits(1, user_api="blas")
    end_with_parent()


def _evaluate(task: Any) -> Any:
    return _function(task)


def end_with_parent() -> None:
    """Let this process end once the one that forked it has: it would wait for ever for messages from it."""
    _end_with(os.getppid())


@cache
def _end_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="pymc_lens: ends with the parent").start()
