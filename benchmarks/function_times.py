"""Where the time of a call goes: seconds in each function of the package, libraries it calls included."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pymc_lens

PACKAGE = str(Path(pymc_lens.__file__).parent)
REST = "outside the package"


def seconds_by_function(call: Callable[[], object]) -> dict[str, float]:
    """Run a call; times do not overlap, and add up to its own.

    Compiled kernels, LAPACK and NumPy count for the function that calls them. Watching costs about a
    microsecond a Python call.
    """
    seconds: dict[str, float] = defaultdict(float)
    running, last = [REST], time.perf_counter()

    def event(frame: FrameType, kind: str, _: object) -> None:
        nonlocal last
        code = frame.f_code
        if kind in ("call", "return") and code.co_filename.startswith(PACKAGE):
            now = time.perf_counter()
            seconds[running[-1]] += now - last
            if kind == "call":
                module = Path(code.co_filename).relative_to(PACKAGE).with_suffix("")
                running.append(f"{module}: {code.co_qualname}")
            elif len(running) > 1:
                running.pop()
            last = time.perf_counter()

    sys.setprofile(event)
    try:
        call()
    finally:
        sys.setprofile(None)
    seconds[running[-1]] += time.perf_counter() - last
    return dict(seconds)


def print_function_times(calls: list[Callable[[], object]], least: float = 0.01) -> None:
    """Print a table of what holds more than a share of the time, in milliseconds a call."""
    total: dict[str, float] = defaultdict(float)
    for call in calls:
        for name, seconds in seconds_by_function(call).items():
            total[name] += 1e3 * seconds / len(calls)
    whole = sum(total.values())
    print(f"| function | ms of {whole:.1f} |\n|---|---|")
    for name, each in sorted(total.items(), key=lambda item: -item[1]):
        if each >= least * whole:
            print(f"| `{name}` | {each:.1f} |")
    rest = sum(each for each in total.values() if each < least * whole)
    print(f"| all others | {rest:.1f} |")
