"""PyMC's NUTS with the metric of a mode, in processes that end with the one that started them."""

from __future__ import annotations

import os
import threading
import time
import warnings
from functools import cache
from typing import Any

import pymc as pm
from pymc.blocking import DictToArrayBijection
from pymc.step_methods.hmc.quadpotential import QuadPotentialFullAdapt

from pymc_lens.inference.mode import Mode

# Draws that the Hessian at the mode counts for against the draws seen while tuning.
_METRIC_WEIGHT = 50.0
_SECONDS_BETWEEN_LOOKS = 1.0


def nuts_at(mode: Mode, model: pm.Model, target_accept: float, max_treedepth: int) -> pm.NUTS:
    """Return NUTS that starts with the inverse Hessian at the mode as its metric, and goes on adapting it."""
    flat = DictToArrayBijection.map(mode.point).data
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="QuadPotentialFullAdapt is an experimental feature")
        potential = QuadPotentialFullAdapt(flat.size, flat, mode.covariance, _METRIC_WEIGHT)
    return _Nuts(
        potential=potential,
        target_accept=target_accept,
        max_treedepth=max_treedepth,
        early_max_treedepth=min(max_treedepth, 8),
        model=model,
    )


class _Nuts(pm.NUTS):
    """A chain's process would outlive a parent that is killed, waiting for messages on an open pipe."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._home = os.getpid()

    def setup_chain(self, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self._home:
            _end_with(os.getppid())
        super().setup_chain(*args, **kwargs)


@cache
def _end_with(parent: int) -> None:
    """Watch the parent from a thread, and end this process once it has another."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="pymc_lens: ends with the parent").start()
