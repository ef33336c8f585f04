"""Sampling: from the prior to the posterior in one call."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
from threadpoolctl import threadpool_limits
from xarray import DataTree

from pymc_lens.inference.datatree import has_draws
from pymc_lens.inference.importance import RELIABLE_K, Weighted, weigh
from pymc_lens.inference.mode import Mode, find_mode
from pymc_lens.inference.nuts import SAMPLERS
from pymc_lens.inference.pieces import sample_until_agreed, worst_of
from pymc_lens.inference.weighted import WeightedDraws
from pymc_lens.inference.workers import n_workers
from pymc_lens.progress import shown
from pymc_lens.provenance import stamp
from pymc_lens.storage import make_folder
from pymc_lens.validation import integer, require_instance

_log = logging.getLogger(__name__)

_WARMUP = ("warmup_posterior", "warmup_sample_stats")
_METHODS = ("importance", "nuts")


def sample(
    draws: int = 250,
    *,
    chains: int = 2,
    method: str | None = None,
    starts: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    mode: Mode | None = None,
    cores: int | None = None,
    checkpoint: str | Path | None = None,
    tune: int = 200,
    nuts_sampler: str | None = None,
    target_accept: float = 0.7,
    max_treedepth: int = 10,
    random_seed: Any = None,
    progressbar: bool = True,
    discard_tuned_samples: bool = True,
    model: pm.Model | None = None,
    **kwargs: Any,
) -> DataTree:
    """Sample the posterior of a lens model, from around its mode.

    The mode is found by `find_mode`, which warns of what is suspicious about it.

    *Importance sampling* draws batches from a Student t distribution that starts as the Gaussian
    approximation at the mode and is adapted after each. It needs values alone, no gradients, shares them
    among all cores, and finds the logarithm of the evidence of the whole model with its error
    (``posterior.attrs["log_z"]``). It goes on until the weights of its draws are worth ``draws * chains``
    draws of the posterior, and their Pareto k is below 0.7 (Vehtari et al. 2024, JMLR 25, 72). Draws of equal
    weight are returned. Where the posterior is so bent that k stays high, or that few draws hold the weight,
    this is said and NUTS takes over, in pieces of so many draws a chain, until R-hat is below 1.01 and there
    are as many effective draws, or until it has drawn four pieces, and says so. A draw that is higher than
    the mode tells of a higher one, from where importance sampling begins anew.

    *NUTS* starts there with the inverse Hessian as its metric. PyMC's goes on adapting it; other samplers are
    given the model in coordinates scaled by it, in which their own first metric is right.

    Ctrl-C ends sampling and returns the draws there are; while NUTS tunes these are in ``warmup_posterior``.
    During the search for the mode there are none yet, and KeyboardInterrupt is raised.

    Parameters
    ----------
    draws, chains : int
        Of the posterior. Importance sampling has no chains: its draws are dealt to so many.
    method : {"importance", "nuts"}, optional
        By default importance sampling, unless there is an argument that only NUTS takes.
    starts : dict or sequence of dict, optional
        Starting points of the search for the mode; by default nothing needs to be known. See `find_mode`.
    mode : Mode, optional
        A mode found before; skips the search.
    cores : int, optional
        Processes; by default one for each core, and for NUTS at most one for each chain.
    checkpoint : path, optional
        File that keeps every batch of importance sampling as soon as it is there. Missing folders are made.
        If it exists, sampling goes on from it; it has to be of the same mode, which the same search finds
        again. Where NUTS takes over, it keeps its pieces in the same way, in a file beside it that ends in
        ``.nuts.nc``. NUTS that was asked for does not use it.
    tune : int
        Draws of each chain of NUTS before those that count. Few are needed, since the metric is known.
    nuts_sampler : {"pymc", "nutpie", "numpyro"}, optional
        Which NUTS.
    target_accept : float
        Acceptance that NUTS tunes its step size to. A posterior whitened at its mode needs no small steps.
    max_treedepth : int
        Doublings of a trajectory at most. Where the posterior is close to normal, 2 (three leapfrog steps)
        takes half the gradients for the same effective draws (benchmarks/posterior.py); PyMC then says that
        the maximum was reached.
    random_seed : int, sequence of int or Generator
    progressbar : bool
    discard_tuned_samples : bool
        False keeps NUTS's in ``warmup_posterior``.
    model : pm.Model, optional
        By default the model on the context stack.
    **kwargs
        Passed to `pymc.sample`, for NUTS. With ``step`` the mode still serves as the starting point.

    Returns
    -------
    DataTree
        As of `pymc.sample`; ``posterior.attrs`` records the gradients spent on the mode, version, seed and
        hashes of the model and of each image's dataset, by which `pymc_lens.reconstruct` knows draws of
        another. Images have the coordinates ``<name>_pixel_y`` and ``<name>_pixel_x``, arcsec, and
        `pymc_lens.as_image` makes images of them. ``posterior.attrs`` says which ``sampler`` it was and has
        the ``effective_draws`` and the ``r_hat`` of the worst variable, or, of importance sampling,
        ``effective_draws``, ``pareto_k``, ``log_z``, ``log_z_error`` and ``n_values``; then ``sample_stats``
        has the ``log_weight`` that each draw had, and ``weighted_points`` all points with their log density
        and weight.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected, or from the preflight, naming the variable at fault.
    OSError
        If the checkpoint cannot be written: before anything else is done.
    """
    model = pm.modelcontext(model)
    require_instance("model", model, pm.Model)
    for name, count in {"draws": draws, "chains": chains, "max_treedepth": max_treedepth}.items():
        integer(name, count, 1)
    integer("tune", tune, 0)
    if cores is not None:
        integer("cores", cores, 1)
    method = _checked_method(method, nuts_sampler, kwargs)
    if not 0.0 < target_accept < 1.0:
        raise ValueError(f"target_accept: expected a number between 0 and 1, got {target_accept!r}.")
    if checkpoint is not None and method == "importance":
        make_folder(Path(checkpoint).parent)
    if mode is None:
        mode = find_mode(model, starts=starts, cores=cores, progressbar=progressbar)
        if not mode.converged:
            raise KeyboardInterrupt("The search for the mode was interrupted, so there is nothing to sample.")
    require_instance("mode", mode, Mode)
    _require_same_variables(mode, model)
    rng = np.random.default_rng(random_seed)
    options = {"draws": draws, "tune": tune, "chains": chains, "cores": cores, "progressbar": progressbar}
    nuts = partial(_nuts, nuts_sampler or "pymc", model, rng, target_accept, max_treedepth)
    weighted: Weighted | None = None
    idata: Any
    if method == "importance":
        weighted_draws = WeightedDraws(model, mode, cores, checkpoint)
        weighted = _weighted(weighted_draws, draws * chains, rng, progressbar)
        mode = weighted_draws.mode
        if weighted is None:
            begun = replace(mode, covariance=weighted_draws.metric())
            idata = _taken_over(weighted_draws, begun, nuts, options)
        else:
            idata = weighted_draws.posterior(weighted, draws, chains, rng)
    else:
        idata = nuts(mode, kwargs | options)
    if not isinstance(idata, DataTree):  # return_inferencedata=False
        return idata
    stamp(idata, model, random_seed)
    if not has_draws(idata):
        warnings.warn(
            "Sampling was interrupted while all chains were tuning: there are no draws of the posterior yet, "
            "only warmup_posterior.",
            stacklevel=2,
        )
        return idata
    attrs = idata["posterior"].attrs
    attrs["mode_gradient_evaluations"] = mode.evaluations
    if discard_tuned_samples:
        for group in set(_WARMUP) & set(idata.children):
            del idata[group]
    if weighted is None:
        posterior = idata["posterior"].to_dataset()
        r_hat, effective = worst_of(posterior[[rv.name for rv in model.free_RVs]])
        attrs.update(sampler="NUTS", r_hat=r_hat, effective_draws=effective)
    return idata


def _nuts(
    sampler: str, model: pm.Model, rng: np.random.Generator, target_accept: float, max_treedepth: int,
    mode: Mode, kwargs: dict[str, Any],
) -> Any:  # fmt: skip
    # PyMC counts physical cores; kernels on two threads of one core still beat one chain after the other.
    cores = kwargs["cores"] or min(kwargs["chains"], n_workers())
    # PyMC leaves every forked chain all BLAS threads; on small blocks they only wait for one another.
    kwargs = {"blas_cores": None, **kwargs, "cores": cores}
    with threadpool_limits(1, user_api="blas"):
        return SAMPLERS[sampler](model, mode, rng, target_accept, max_treedepth, kwargs)


def _taken_over(
    weighted_draws: WeightedDraws, mode: Mode, nuts: Callable[..., Any], options: dict[str, Any]
) -> DataTree:
    """Sample by NUTS what importance sampling could not, until there are as many effective draws."""

    def piece(begun: Mode, tune: int, ends: list[dict[str, np.ndarray]] | None) -> DataTree:
        kwargs = {**options, "tune": tune, "compute_convergence_checks": False}
        return nuts(begun, kwargs if ends is None else {**kwargs, "initvals": ends})

    draws, chains, tune = (options[name] for name in ("draws", "chains", "tune"))
    return sample_until_agreed(
        piece, weighted_draws.model, mode, draws, draws * chains, tune, weighted_draws.nuts_checkpoint,
        weighted_draws.digest,
    )  # fmt: skip


def _checked_method(method: str | None, nuts_sampler: str | None, kwargs: Mapping[str, Any]) -> str:
    if nuts_sampler is not None and nuts_sampler not in SAMPLERS:
        raise ValueError(
            f"nuts_sampler: expected one of {list(SAMPLERS)}, got {nuts_sampler!r}. SMC is pm.sample_smc."
        )
    of_nuts = [*kwargs, *([] if nuts_sampler is None else ["nuts_sampler"])]
    if method is None:
        return "nuts" if of_nuts else "importance"
    if method not in _METHODS:
        raise ValueError(f"method: expected one of {list(_METHODS)}, got {method!r}.")
    if method == "importance" and of_nuts:
        raise ValueError(
            f"method: importance sampling does not take {', '.join(of_nuts)}. Leave it out, or method='nuts'."
        )
    return method


def _weighted(
    weighted_draws: WeightedDraws, effective: int, rng: np.random.Generator, progressbar: bool
) -> Weighted | None:
    """Return weighted draws to be trusted, or what there is after Ctrl-C; else None, and say why."""
    try:
        with shown("Importance sampling", progressbar) as report:
            weighted = weighted_draws.sample(effective, rng, report)
    except KeyboardInterrupt:
        if not any(batch.counts for batch in weighted_draws.batches):
            raise
        weighted = weigh(weighted_draws.batches)
        warnings.warn(
            f"Sampling was interrupted: {weighted.effective:.0f} effective draws, "
            f"Pareto k {weighted.pareto_k:.2f}.",
            stacklevel=3,
        )
        return weighted
    found = (
        f"{weighted.effective:.0f} effective draws of {weighted_draws.n_values} values, "
        f"Pareto k {weighted.pareto_k:.2f}"
    )
    if weighted.pareto_k < RELIABLE_K and weighted.effective >= effective:
        _log.info("Importance sampling: %s, ln Z %.2f +- %.2f.", found, weighted.log_z, weighted.log_z_error)
        return weighted
    _log.warning("Importance sampling is no good here (%s): NUTS takes over, with the metric found.", found)
    return None


def _require_same_variables(mode: Mode, model: pm.Model) -> None:
    expected = {value.name for value in model.value_vars}
    if set(mode.point) != expected:
        raise ValueError(
            f"mode: expected one of this model, whose variables are {sorted(expected)}; it has "
            f"{sorted(mode.point)}."
        )
