"""The one line in which whatever takes long shows where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from threadpoolctl import threadpool_limits

Report = Callable[[str], None]


@contextmanager
def shown(title: str, progressbar: bool) -> Iterator[Report]:
    """Show in one line what is reported, and give BLAS one thread.

    The kernels call BLAS on small blocks, where a second thread only waits.
    """
    columns = SpinnerColumn(), TextColumn(f"{title}, {{task.description}}"), TimeElapsedColumn()
    display = Progress(*columns, disable=not progressbar, transient=True)
    with display, threadpool_limits(1, user_api="blas"):
        task = display.add_task("starting")
        yield lambda text: display.update(task, description=text)


def counted(n: int, title: str, progressbar: bool) -> Iterator[int]:
    """Count to n, and show how far."""
    with shown(title, progressbar) as report:
        for k in range(n):
            report(f"{k + 1} of {n}")
            yield k
