"""NUTS, started and scaled at a mode, in processes that end with the one that started them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection
from pymc.stats.convergence import log_warnings, run_convergence_checks
from pymc.step_methods.hmc.quadpotential import QuadPotentialFullAdapt
from xarray import DataTree

from pymc_lens.inference.datatree import add_data, has_draws
from pymc_lens.inference.mode import Mode
from pymc_lens.inference.values import compiled
from pymc_lens.inference.whitened import WHITENED, whitened_model
from pymc_lens.inference.workers import end_with_parent

# Draws that the Hessian at the mode counts for against the draws seen while tuning.
_METRIC_WEIGHT = 50.0


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
            end_with_parent()
        super().setup_chain(*args, **kwargs)


def _sample_pymc(
    model: pm.Model,
    mode: Mode,
    rng: np.random.Generator,
    target_accept: float,
    max_treedepth: int,
    kwargs: dict[str, Any],
) -> Any:
    """Sample with the metric handed over; what is drawn while tuning is kept, should that be all."""
    kwargs.setdefault("initvals", _initial_values(model, mode, kwargs["chains"], rng))
    kwargs.setdefault("step", nuts_at(mode, model, target_accept, max_treedepth))
    seed = rng.spawn(1)[0]
    options = {"nuts_sampler": "pymc", "random_seed": seed, "model": model, **kwargs}
    if not kwargs.get("return_inferencedata", True):
        return pm.sample(**options)
    checks = options.pop("compute_convergence_checks", True)
    idata = pm.sample(**options, discard_tuned_samples=False, compute_convergence_checks=False)
    if checks and has_draws(idata):
        log_warnings(run_convergence_checks(idata, model))
    return idata


# What each calls the doublings of a trajectory.
_MAX_TREEDEPTH = {"nutpie": "max_treedepth", "numpyro": "max_tree_depth"}


def _sample_whitened(
    sampler: str,
    model: pm.Model,
    mode: Mode,
    rng: np.random.Generator,
    target_accept: float,
    max_treedepth: int,
    kwargs: dict[str, Any],
) -> DataTree:
    """Sample in whitened coordinates, and return the variables of the model."""
    idata = pm.sample(
        model=whitened_model(model, mode),
        nuts_sampler=sampler,
        nuts={"target_accept": target_accept, _MAX_TREEDEPTH[sampler]: max_treedepth},
        random_seed=rng.spawn(1)[0],
        **kwargs,
    )
    for group in ("posterior", "warmup_posterior"):
        if group in idata.children:
            idata[group] = DataTree(idata[group].to_dataset().drop_dims(f"{WHITENED}_dim_0", errors="ignore"))
    add_data(idata, model)
    return idata


SAMPLERS: dict[str, Callable[..., Any]] = {
    "pymc": _sample_pymc,
    **{sampler: partial(_sample_whitened, sampler) for sampler in _MAX_TREEDEPTH},
}


def _initial_values(
    model: pm.Model, mode: Mode, chains: int, rng: np.random.Generator
) -> list[dict[str, np.ndarray]]:
    """Draws from the Gaussian approximation at the mode, in the parameters' own units."""
    flat = DictToArrayBijection.map(mode.point)
    parameters = compiled(model, model.free_RVs)
    root = np.linalg.cholesky(mode.covariance)
    values = []
    for _ in range(chains):
        start = flat._replace(data=flat.data + root @ rng.standard_normal(flat.data.size))
        values.append(parameters(DictToArrayBijection.rmap(start)))
    return values
