"""How far a posterior moves under other choices, by reweighting its draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from arviz_base import xarray_sel_iter
from arviz_base.labels import BaseLabeller
from scipy.special import logsumexp
from xarray import DataTree

from pymc_lens.distributions import lensed_images
from pymc_lens.draws import checked_model, chosen_draws
from pymc_lens.inference.importance import RELIABLE_K, smoothed
from pymc_lens.inference.values import Values, point_info, points_of
from pymc_lens.progress import shown
from pymc_lens.validation import require_instance


def sensitivity(
    idata: DataTree,
    alternatives: Mapping[str, pm.Model],
    *,
    model: pm.Model | None = None,
    num_draws: int = 200,
    cores: int | None = None,
    progressbar: bool = True,
) -> pd.DataFrame:
    """By how many standard deviations each parameter moves under another choice.

    Masks, meshes, over-sampling, PSFs and priors are choices. Rather than to fit again, the draws of one
    posterior are given the weights that they have in that of an altered model, ``p'(theta | d') / p(theta |
    d)``, Pareto-smoothed (Vehtari et al. 2024, JMLR 25, 72): two values of the models for each draw. Where
    the posteriors have too little in common for that, Pareto's k says so.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group, sampled from ``model``.
    alternatives : mapping of str to pm.Model
        By what is altered: models of the same free variables, whose priors, datasets, meshes and all else may
        be others.
    model : pm.Model, optional
        By default the model on the context stack.
    num_draws : int
        Evenly spaced over the draws of all chains; at most those there are.
    cores : int, optional
        Processes; by default one for each core.
    progressbar : bool

    Returns
    -------
    DataFrame
        A row for each alternative and parameter: ``shift``, the change of the mean in standard deviations of
        the posterior, with its standard error ``shift_error``; ``sd_ratio``, the standard deviation over that
        of the posterior; ``pareto_k`` and ``effective_draws`` of the alternative's weights; and ``reliable``,
        whether k is below 0.7. Where it is not, the shift is a lower limit at best: fit again.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If draws are of another model, an alternative has other free variables, none of the draws is possible
        in it, or there are no alternatives.

    Examples
    --------
    >>> pl.sensitivity(idata, {"finer mesh": finer}, model=model)  # doctest: +SKIP
    """
    model = checked_model(model)
    require_instance("alternatives", alternatives, Mapping)
    if not alternatives:
        raise ValueError("alternatives: expected at least one model by its name, got none.")
    for name, alternative in alternatives.items():
        require_instance(f"alternatives[{name!r}]", alternative, pm.Model)
        _require_same_variables(name, alternative, model)
    draws = chosen_draws(idata, model, list(lensed_images(model).values()), num_draws)
    columns = _columns(draws)
    reference = _log_density(model, draws, cores, "The model itself", progressbar)
    rows = []
    for name, alternative in alternatives.items():
        log_ratios = _log_density(alternative, draws, cores, name, progressbar) - reference
        if not np.isfinite(log_ratios).any():
            raise ValueError(f"alternatives[{name!r}]: none of the draws is possible in this model.")
        rows += _moved(name, columns, log_ratios)
    return pd.DataFrame(rows).set_index(["alternative", "parameter"])


def _require_same_variables(name: str, alternative: pm.Model, model: pm.Model) -> None:
    shapes, expected = ({rv.name: rv.type.shape for rv in each.free_RVs} for each in (alternative, model))
    if shapes != expected:
        raise ValueError(
            f"alternatives[{name!r}]: expected the free variables of the model, {expected}, got {shapes}. "
            "Compare models of other parameters by their evidence or by cross-validation."
        )


def _log_density(
    model: pm.Model, draws: xr.Dataset, cores: int | None, title: str, progressbar: bool
) -> np.ndarray:
    """Log density (sample,) in the parameters' own units, which no choice of coordinates changes."""
    values = Values(model, point_info(model), cores, jacobian=False)
    with shown(title, progressbar) as report:
        return values(points_of(model, draws), report)


def _columns(draws: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the draws of each number by its label."""
    labeller = BaseLabeller()
    return {
        labeller.make_label_flat(name, at, place): draws[name][place].values
        for name, at, place in xarray_sel_iter(draws, skip_dims={"sample"})
    }


def _moved(name: str, columns: Mapping[str, np.ndarray], log_ratios: np.ndarray) -> list[dict[str, Any]]:
    log_weights, pareto_k = smoothed(log_ratios)
    weights = np.exp(log_weights)
    of_alternative = {
        "pareto_k": pareto_k,
        "effective_draws": float(np.exp(-logsumexp(2.0 * log_weights))),
        "reliable": pareto_k < RELIABLE_K,
    }
    rows = []
    for parameter, values in columns.items():
        standard = (values - values.mean()) / values.std()
        shift = float(weights @ standard)
        rows.append(
            {
                "alternative": name,
                "parameter": parameter,
                "shift": shift,
                # Both means are of the same draws: the error is that of the mean of their difference.
                "shift_error": float(
                    np.sqrt(((weights - 1.0 / weights.size) ** 2) @ (standard - shift) ** 2)
                ),
                "sd_ratio": float(np.sqrt(weights @ (standard - shift) ** 2)),
                **of_alternative,
            }
        )
    return rows
