"""Ops hold what an image needs prepared, tens of megabytes, and PyTensor holds Ops."""

from __future__ import annotations

import gc

from pytensor.graph.rewriting.basic import OpToRewriterTracker


def release_ops() -> None:
    """Let go of Ops that nothing but PyTensor's rewriters refers to.

    These remember the rewrites of each Op that they have met, in a cache without an end: a process that fits
    one lens after another would keep all of them. They find out again what they need.
    """
    for each in gc.get_objects():
        if type(each) is OpToRewriterTracker:
            each.get_trackers.cache_clear()
