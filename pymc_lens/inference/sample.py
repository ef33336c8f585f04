"""Sampling: from the prior to the posterior in one call."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pymc as pm
from arviz_base import dict_to_dataset
from pymc.backends.arviz import find_constants, find_observations
from pymc.blocking import DictToArrayBijection
from pymc.stats.convergence import log_warnings, run_convergence_checks
from threadpoolctl import threadpool_limits
from xarray import DataTree

from pymc_lens.inference.mode import Mode, find_mode
from pymc_lens.inference.nuts import nuts_at
from pymc_lens.inference.whitened import WHITENED, whitened_model
from pymc_lens.provenance import stamp
from pymc_lens.validation import integer, require_instance

_WARMUP = ("warmup_posterior", "warmup_sample_stats")


def sample(
    draws: int = 500,
    *,
    tune: int = 200,
    chains: int = 2,
    starts: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    mode: Mode | None = None,
    nuts_sampler: str = "pymc",
    target_accept: float = 0.7,
    max_treedepth: int = 10,
    random_seed: Any = None,
    progressbar: bool = True,
    discard_tuned_samples: bool = True,
    model: pm.Model | None = None,
    **kwargs: Any,
) -> DataTree:
    """Sample the posterior of a lens model with NUTS, started and scaled at the mode.

    The mode is found by `find_mode`, which warns of what is suspicious about it. PyMC's NUTS starts with the
    inverse Hessian there as its metric and goes on adapting it; other samplers are given the model in
    coordinates scaled by it, in which their own first metric is right. Chains start at draws from about the
    Gaussian approximation of the posterior. BLAS is limited to one thread a chain.

    Ctrl-C ends sampling and returns the draws there are; while chains tune these are in
    ``warmup_posterior``.

    Parameters
    ----------
    draws, tune, chains : int
        As of `pymc.sample`. Few tuning draws are needed, since the metric is known from the start.
    starts : dict or sequence of dict, optional
        Starting points of the search for the mode; by default nothing needs to be known. See `find_mode`.
    mode : Mode, optional
        A mode found before; skips the search.
    nuts_sampler : {"pymc", "nutpie", "numpyro"}
        Which NUTS.
    target_accept : float
        Acceptance that the step size is tuned to. A posterior whitened at its mode needs no small steps.
    max_treedepth : int
        Doublings of a trajectory at most. Where the posterior is close to normal, 2 (three leapfrog steps)
        takes half the gradients for the same effective draws (benchmarks/posterior.py); PyMC then says that
        the maximum was reached.
    random_seed : int, sequence of int or Generator
    progressbar : bool
    discard_tuned_samples : bool
        False keeps them in ``warmup_posterior``.
    model : pm.Model, optional
        By default the model on the context stack.
    **kwargs
        Passed to `pymc.sample`. With ``step`` the mode still serves as the starting point.

    Returns
    -------
    DataTree
        As of `pymc.sample`; ``posterior.attrs`` records the gradients spent on the mode, and a hash of each
        image's dataset, by which `pymc_lens.reconstruct` knows draws of another. Images have the coordinates
        ``<name>_pixel_y`` and ``<name>_pixel_x``, arcsec.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected, or from the preflight, naming the variable at fault.
    """
    model = pm.modelcontext(model)
    require_instance("model", model, pm.Model)
    for name, count in {"draws": draws, "chains": chains, "max_treedepth": max_treedepth}.items():
        integer(name, count, 1)
    integer("tune", tune, 0)
    if nuts_sampler not in _SAMPLERS:
        raise ValueError(
            f"nuts_sampler: expected one of {list(_SAMPLERS)}, got {nuts_sampler!r}. SMC is pm.sample_smc."
        )
    if not 0.0 < target_accept < 1.0:
        raise ValueError(f"target_accept: expected a number between 0 and 1, got {target_accept!r}.")
    if mode is None:
        mode = find_mode(model, starts=starts, progressbar=progressbar)
        if not mode.converged:
            raise KeyboardInterrupt("The search for the mode was interrupted, so there is nothing to sample.")
    require_instance("mode", mode, Mode)
    _require_same_variables(mode, model)
    rng = np.random.default_rng(random_seed)
    kwargs.update(draws=draws, tune=tune, chains=chains, progressbar=progressbar)
    # PyMC counts physical cores; kernels on two threads of one core still beat one chain after the other.
    kwargs.setdefault("cores", min(chains, os.cpu_count() or 1))
    # PyMC leaves every forked chain all BLAS threads; on small blocks they only wait for one another.
    kwargs.setdefault("blas_cores", None)
    with threadpool_limits(1, user_api="blas"):
        idata = _SAMPLERS[nuts_sampler](model, mode, rng, target_accept, max_treedepth, kwargs)
    if not isinstance(idata, DataTree):  # return_inferencedata=False
        return idata
    stamp(idata, model)
    return _finished(idata, mode, discard_tuned_samples)


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
    if checks and _has_draws(idata):
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
    _add_data(idata, model)
    return idata


_SAMPLERS: dict[str, Callable[..., Any]] = {
    "pymc": _sample_pymc,
    **{sampler: partial(_sample_whitened, sampler) for sampler in _MAX_TREEDEPTH},
}


def _add_data(idata: DataTree, model: pm.Model) -> None:
    """Add the groups of observed and constant data, as PyMC does."""
    for group, data in (
        ("observed_data", find_observations(model)),
        ("constant_data", find_constants(model)),
    ):
        if data:
            dims: Any = {name: list(model.named_vars_to_dims.get(name, ())) for name in data}
            coords: Any = {name: list(values) for name, values in model.coords.items() if values is not None}
            idata[group] = DataTree(dict_to_dataset(data, dims=dims, coords=coords, sample_dims=[]))


def _finished(idata: DataTree, mode: Mode, discard_tuned_samples: bool) -> DataTree:
    if not _has_draws(idata):
        warnings.warn(
            "Sampling was interrupted while all chains were tuning: there are no draws of the posterior yet, "
            "only warmup_posterior.",
            stacklevel=3,
        )
        return idata
    idata["posterior"].attrs["mode_gradient_evaluations"] = mode.evaluations
    if discard_tuned_samples:
        for group in _WARMUP:
            if group in idata.children:
                del idata[group]
    return idata


def _has_draws(idata: DataTree) -> bool:
    return "posterior" in idata.children and idata["posterior"].sizes.get("draw", 0) > 0


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


def _require_same_variables(mode: Mode, model: pm.Model) -> None:
    expected = {value.name for value in model.value_vars}
    if set(mode.point) != expected:
        raise ValueError(
            f"mode: expected one of this model, whose variables are {sorted(expected)}; it has "
            f"{sorted(mode.point)}."
        )
