"""The evidence of whole models: its logarithm by three ways, and a table that compares models by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
from scipy.special import logsumexp
from xarray import DataTree

from pymc_lens.distributions import lensed_images
from pymc_lens.draws import checked_model, chosen_draws
from pymc_lens.inference.bridge import bridge, proposal_of
from pymc_lens.inference.importance import RELIABLE_K
from pymc_lens.inference.values import Values, point_info, points_of
from pymc_lens.progress import shown
from pymc_lens.validation import require_instance

_METHODS = ("importance", "bridge", "smc")
_SMC = "log_marginal_likelihood"
# Standard errors above which evidence that is compared is no more than a rough guess.
_ROUGH = 0.5


@dataclass(frozen=True)
class LogMarginalLikelihood:
    """Logarithm of the evidence of a whole model.

    Attributes
    ----------
    log_z, error : float
        With the standard error; NaN where it is not known.
    method : {"importance", "bridge", "smc"}
    pareto_k : float
        Of the importance weights, NaN where there are none.
    """

    log_z: float
    error: float
    method: str
    pareto_k: float = np.nan

    @property
    def is_reliable(self) -> bool:
        """Whether the error is known and small, and Pareto's k, where there is one, below 0.7."""
        return self.error < _ROUGH and not self.pareto_k >= RELIABLE_K

    def __str__(self) -> str:
        return f"ln Z = {self.log_z:.2f} +- {self.error:.2f} ({self.method})"


def log_marginal_likelihood(
    idata: DataTree,
    *,
    model: pm.Model | None = None,
    method: str | None = None,
    cores: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
) -> LogMarginalLikelihood:
    """Logarithm of the evidence of a whole model: everything integrated over, with all priors.

    ``log_evidence`` of a fit is that of source and light at fixed parameters. This is its integral over the
    parameters, by which models of other masses, meshes and priors are compared.

    Parameters
    ----------
    idata : DataTree
        Of `pymc_lens.sample` or `pymc.sample_smc`.
    model : pm.Model, optional
        By default the model on the context stack; for the bridge alone.
    method : {"importance", "bridge", "smc"}, optional
        *importance*: what adaptive importance sampling has found (``posterior.attrs["log_z"]``).
        *smc*: what `pymc.sample_smc` has found, slowly, from the prior; its error is the scatter of chains.
        *bridge*: bridge sampling (Meng & Wong 1996, Statistica Sinica 6, 831; Gronau et al. 2017, J. Math.
        Psychol. 81, 80) between draws of NUTS and a Student t distribution fitted to half of them, which
        takes as many values of the model as there are draws. By default whichever the draws allow.
    cores : int, optional
        Processes for the bridge; by default one for each core.
    random_seed : int or Generator, optional
        For the bridge.
    progressbar : bool

    Returns
    -------
    LogMarginalLikelihood

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected; or ValueError if the draws do not allow a method, are draws of
        another model or dataset, or are too few.

    Examples
    --------
    >>> pl.log_marginal_likelihood(idata, model=model)  # doctest: +SKIP
    LogMarginalLikelihood(log_z=15785.6, error=0.09, method='importance', pareto_k=0.15)
    """
    require_instance("idata", idata, DataTree)
    allowed = _allowed_method(idata)
    if method not in (None, *_METHODS):
        raise ValueError(f"method: expected one of {list(_METHODS)}, got {method!r}.")
    if method not in (None, allowed):
        raise ValueError(
            f"method: these draws allow {allowed!r}, not {method!r}. Importance sampling is what pl.sample "
            "does, the bridge takes draws of pl.sample(method='nuts'), and smc those of pm.sample_smc."
        )
    if allowed == "importance":
        attrs = idata["posterior"].attrs
        return LogMarginalLikelihood(
            float(attrs["log_z"]), float(attrs["log_z_error"]), allowed, float(attrs["pareto_k"])
        )
    if allowed == "smc":
        return _of_smc(idata)
    rng = np.random.default_rng(random_seed)
    return _by_bridge(idata, checked_model(model), cores, rng, progressbar)


def compare_evidence(models: Mapping[str, DataTree | LogMarginalLikelihood]) -> pd.DataFrame:
    """Compare models of the same data by their evidence, as `arviz.compare` does by cross-validation.

    Parameters
    ----------
    models : mapping of str to DataTree or LogMarginalLikelihood
        By name: draws that know their evidence, of importance sampling or SMC, or what
        `log_marginal_likelihood` returns.

    Returns
    -------
    DataFrame
        A row for each model, the best first: ``rank``, ``log_z``, its ``error``, ``log_bayes_factor`` over
        the best and its ``bayes_factor_error``, ``weight``, the probability of the model if all are equally
        probable before, ``method``, and ``warning`` where the evidence is not to be trusted.

    Raises
    ------
    TypeError
        If something else is given.
    ValueError
        If there is no model, draws do not know their evidence, or belong to other data.

    Examples
    --------
    >>> pl.compare_evidence({"isothermal": first, "power law": second})  # doctest: +SKIP
    """
    require_instance("models", models, Mapping)
    if not models:
        raise ValueError("models: expected at least one by its name, got none.")
    _require_same_data({name: each for name, each in models.items() if isinstance(each, DataTree)})
    found = {name: _known(name, each) for name, each in models.items()}
    names = sorted(found, key=lambda name: -found[name].log_z)
    best = found[names[0]]
    log_z = np.array([found[name].log_z for name in names])
    errors = np.array([found[name].error for name in names])
    return pd.DataFrame(
        {
            "rank": np.arange(len(names)),
            "log_z": log_z,
            "error": errors,
            "log_bayes_factor": log_z - best.log_z,
            "bayes_factor_error": np.where(np.arange(len(names)) > 0, np.hypot(errors, best.error), 0.0),
            "weight": np.exp(log_z - logsumexp(log_z)),
            "method": [found[name].method for name in names],
            "warning": [not found[name].is_reliable for name in names],
        },
        index=pd.Index(names),
    )


def _allowed_method(idata: DataTree) -> str:
    if "posterior" not in idata.children:
        raise ValueError(f"idata: expected a posterior group, got the groups {sorted(idata.children)}.")
    if "log_z" in idata["posterior"].attrs:
        return "importance"
    return "smc" if "sample_stats" in idata.children and _SMC in idata["sample_stats"] else "bridge"


def _of_smc(idata: DataTree) -> LogMarginalLikelihood:
    """Take each chain's value at its last stage; the others are NaN."""
    recorded = idata["sample_stats"].to_dataset()[_SMC].values
    of_chains = [recorded] if idata["posterior"].sizes["chain"] == 1 else recorded
    last = np.array([np.ravel(np.asarray(of_chain, dtype=float))[-1] for of_chain in of_chains])
    log_z, n = float(logsumexp(last) - np.log(last.size)), last.size
    error = float(np.exp(last - log_z).std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return LogMarginalLikelihood(log_z, error, "smc")


def _by_bridge(
    idata: DataTree, model: pm.Model, cores: int | None, rng: np.random.Generator, progressbar: bool
) -> LogMarginalLikelihood:
    draws = chosen_draws(idata, model, list(lensed_images(model).values()))
    n_chains, n_draws = (idata["posterior"].sizes[dim] for dim in ("chain", "draw"))
    points = points_of(model, draws).reshape(n_chains, n_draws, -1)
    fitted, bridged = np.split(points, [n_draws // 2], axis=1)
    n = points.shape[-1]
    proposal = proposal_of(fitted.reshape(-1, n))
    flat = bridged.reshape(-1, n)
    proposed = proposal.draw(len(flat), rng)
    values = Values(model, point_info(model), cores)
    with shown("Bridge sampling", progressbar) as report:
        log_density = values(np.concatenate([flat, proposed]), report)
    log_ratios = log_density - proposal.log_density(np.concatenate([flat, proposed]))
    at_draws, at_proposals = np.split(log_ratios, [len(flat)])
    return LogMarginalLikelihood(*bridge(at_draws.reshape(n_chains, -1), at_proposals), "bridge")


def _known(name: str, model: Any) -> LogMarginalLikelihood:
    if isinstance(model, LogMarginalLikelihood):
        return model
    if not isinstance(model, DataTree):
        raise TypeError(
            f"models[{name!r}]: expected draws or what pl.log_marginal_likelihood returns, got "
            f"{type(model).__name__}."
        )
    if _allowed_method(model) == "bridge":
        raise ValueError(
            f"models[{name!r}]: these draws do not know their evidence. Give "
            "pl.log_marginal_likelihood(idata, model=...) instead."
        )
    return log_marginal_likelihood(model)


def _require_same_data(trees: Mapping[str, DataTree]) -> None:
    data = {
        name: {str(image): array.values for image, array in tree["observed_data"].to_dataset().items()}
        for name, tree in trees.items()
        if "observed_data" in tree.children
    }
    for (first, reference), (name, arrays) in pairwise(data.items()):
        same = arrays.keys() == reference.keys() and all(
            np.array_equal(array, reference[image]) for image, array in arrays.items()
        )
        if not same:
            raise ValueError(
                f"models: {name!r} and {first!r} are fits to other data or pixels, so that their evidence "
                "does not compare. Fit the same images, masked alike, under the same names."
            )
