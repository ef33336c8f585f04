"""Sampling: from the prior's starting point to the posterior in one call."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection
from pymc.step_methods.hmc.quadpotential import QuadPotentialFullAdapt
from threadpoolctl import threadpool_limits
from xarray import DataTree

from pymc_lens.inference.mode import Mode, find_mode

# Draws that the Hessian at the mode counts for against the draws seen while tuning.
_METRIC_WEIGHT = 50.0


def sample(
    draws: int = 500,
    *,
    tune: int = 200,
    chains: int = 2,
    starts: Sequence[dict[str, Any]] = ({},),
    mode: Mode | None = None,
    target_accept: float = 0.7,
    max_treedepth: int = 10,
    random_seed: Any = None,
    progressbar: bool = True,
    model: pm.Model | None = None,
    **kwargs: Any,
) -> DataTree:
    """Sample the posterior of a lens model with NUTS, started and scaled at the mode.

    A preflight evaluates the model once and names what is wrong with it; the mode is found by gradient
    ascent; the inverse Hessian there is the metric that NUTS starts from and goes on adapting; chains start
    at draws from the Gaussian approximation of the posterior. BLAS is limited to one thread a chain.

    Parameters
    ----------
    draws, tune, chains : int
        As of `pymc.sample`. Few tuning draws are needed, since the metric is known from the start.
    starts : sequence of dict
        Starting points of the search for the mode, see `find_mode`.
    mode : Mode, optional
        A mode found before; skips the search.
    target_accept : float
        Acceptance that the step size is tuned to. A posterior whitened at its mode needs no small steps.
    max_treedepth : int
        Doublings of a trajectory of PyMC's NUTS at most. Where the posterior is close to normal, 2 (three
        leapfrog steps) takes half the gradients for the same effective draws (benchmarks/posterior.py); PyMC
        then says that the maximum was reached.
    random_seed : int, sequence of int or Generator
    progressbar : bool
    model : pm.Model, optional
        By default the model on the context stack.
    **kwargs
        Passed to `pymc.sample`. With ``step`` or ``nuts_sampler`` the mode still serves as the starting
        point, and the metric is the sampler's own.

    Returns
    -------
    DataTree
        As of `pymc.sample`; ``posterior.attrs`` records the gradients spent on the mode.

    Raises
    ------
    ValueError
        From the preflight, naming the variable at fault.
    """
    model = pm.modelcontext(model)
    if mode is None:
        mode = find_mode(model, starts=starts, progressbar=progressbar)
    rng = np.random.default_rng(random_seed)
    kwargs.setdefault("initvals", _initial_values(model, mode, chains, rng))
    # PyMC counts physical cores; kernels on two threads of one core still beat one chain after the other.
    kwargs.setdefault("cores", min(chains, os.cpu_count() or 1))
    if "step" not in kwargs and kwargs.get("nuts_sampler", "pymc") == "pymc":
        kwargs["step"] = _nuts(model, mode, target_accept, max_treedepth)
        kwargs["nuts_sampler"] = "pymc"
    elif "step" not in kwargs:
        kwargs["target_accept"] = target_accept
    # PyMC leaves every forked chain all BLAS threads; on small blocks they only wait for one another.
    kwargs.setdefault("blas_cores", None)
    with threadpool_limits(1, user_api="blas"):
        idata = pm.sample(
            draws,
            tune=tune,
            chains=chains,
            random_seed=rng.spawn(1)[0],
            progressbar=progressbar,
            model=model,
            **kwargs,
        )
    if isinstance(idata, DataTree):
        idata["posterior"].attrs["mode_gradient_evaluations"] = mode.evaluations
    return idata


def _nuts(model: pm.Model, mode: Mode, target_accept: float, max_treedepth: int) -> pm.NUTS:
    flat = DictToArrayBijection.map(mode.point).data
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="QuadPotentialFullAdapt is an experimental feature")
        potential = QuadPotentialFullAdapt(flat.size, flat, mode.covariance, _METRIC_WEIGHT)
    return pm.NUTS(
        potential=potential,
        target_accept=target_accept,
        max_treedepth=max_treedepth,
        early_max_treedepth=min(max_treedepth, 8),
        model=model,
    )


def _initial_values(
    model: pm.Model, mode: Mode, chains: int, rng: np.random.Generator
) -> list[dict[str, np.ndarray]]:
    """Draws from the Gaussian approximation at the mode, in the parameters' own units."""
    flat = DictToArrayBijection.map(mode.point)
    to_parameters = model.compile_fn(
        model.replace_rvs_by_values(model.free_RVs),
        inputs=model.value_vars,
        point_fn=True,
        on_unused_input="ignore",
    )
    root = np.linalg.cholesky(mode.covariance)
    values = []
    for _ in range(chains):
        start = flat._replace(data=flat.data + root @ rng.standard_normal(flat.data.size))
        parameters = to_parameters(DictToArrayBijection.rmap(start))
        values.append({rv.name: value for rv, value in zip(model.free_RVs, parameters, strict=True)})
    return values
