"""Densities of distributions at many draws, and the prior that lenses were fitted under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor
from pymc.logprob.abstract import MeasurableOp
from pymc.logprob.basic import conditional_logp
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RNGConsumerOp
from pytensor.tensor.variable import TensorVariable

from pymc_lens.surveys.lens_draws import Key, LensDraws
from pymc_lens.validation import real_numbers

# One evaluation of a small graph: compiling it would take longer than running it.
_ONCE = pytensor.compile.mode.Mode(linker="py", optimizer=None)


def log_density(distribution: TensorVariable, values: TensorVariable, event_ndim: int) -> TensorVariable:
    """Logarithm of a density at values whose last axes are those of the distribution.

    Parameters
    ----------
    distribution : TensorVariable
        As of ``.dist()``.
    values : (..., *event) variable
    event_ndim : int
        How many axes a draw has.

    Returns
    -------
    (...) TensorVariable
    """
    one = distribution.type()
    n_axes = values.type.ndim - one.type.ndim
    # One axis of draws, whatever their shape: what PyTensor's distributions are vectorized over.
    in_line = values.reshape((-1, *tuple(values.shape)[n_axes:]), ndim=one.type.ndim + 1)
    (density,) = vectorize_graph([pm.logp(distribution, one)], {one: in_line})
    shape = (*tuple(values.shape)[:n_axes], *tuple(density.shape)[1:])
    density = density.reshape(shape, ndim=n_axes + density.type.ndim - 1)
    # Components that are independent have a density each.
    return density.sum(axis=tuple(range(values.type.ndim - event_ndim, density.type.ndim)))


def require_distribution(name: str, distribution: Any) -> None:
    """Raise TypeError unless something is a continuous distribution that belongs to no model."""
    if not isinstance(distribution, TensorVariable) or distribution.owner is None:
        raise TypeError(f"{name}: expected a distribution, pm.Normal.dist(...), got {distribution!r}.")
    if not isinstance(distribution.owner.op, (MeasurableOp, RNGConsumerOp)):
        raise TypeError(f"{name}: expected a distribution, pm.Normal.dist(...), got {distribution}.")
    if distribution.name is not None:
        raise TypeError(
            f"{name}: expected a distribution of no model, got the variable {distribution.name!r}. Use "
            ".dist()."
        )
    if not distribution.type.dtype.startswith("float"):
        raise TypeError(f"{name}: expected a continuous distribution, got one of {distribution.type.dtype}.")


def log_prior_of(name: str, prior: Any, draws: Any, lenses: LensDraws) -> np.ndarray:
    """Logarithm of the interim prior (n_lenses, n_draws).

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    prior : Model, mapping or sequence
        See `pymc_lens.PopulationLikelihood`.
    draws : sequence or mapping
        The posteriors.
    lenses : LensDraws
        What was read of them.

    Raises
    ------
    TypeError, ValueError
        If it is something else, is not known, or not finite at a draw.
    """
    if isinstance(prior, pm.Model):
        log_prior = _of_model(name, prior, draws, _names(lenses.values))
    elif isinstance(prior, Mapping):
        log_prior = _of_distributions(name, prior, draws, _names(lenses.values))
    elif isinstance(prior, (Sequence, np.ndarray)) and not isinstance(prior, str):
        log_prior = _of_arrays(name, prior, lenses)
    else:
        raise TypeError(
            f"{name}: expected a pm.Model, distributions by the names of the parameters, or the logarithm of "
            f"the density at each lens' draws, got {type(prior).__name__}."
        )
    wrong = (~np.isfinite(log_prior) & lenses.is_draw).any(axis=1)
    if wrong.any():
        raise ValueError(
            f"{name}: expected a density above zero at every draw, but it is not at draws of lens "
            f"{lenses.lenses[int(np.argmax(wrong))]!r}. Give the prior that the lenses were sampled under."
        )
    return log_prior


def _names(keys: Iterable[Key]) -> list[str]:
    return [name for key in keys for name in ((key,) if isinstance(key, str) else key)]


def _of_distributions(name: str, prior: Mapping[Key, Any], draws: Any, names: list[str]) -> np.ndarray:
    for key, distribution in prior.items():
        require_distribution(f"{name}[{key!r}]", distribution)
    known = _names(prior)
    if sorted(known) != sorted(names):
        raise ValueError(f"{name}: expected the parameters of the population, {names}, got {known}.")
    at = LensDraws.of("draws", draws, list(prior))
    densities = []
    for key, values in at.values.items():
        event = values.ndim - 2
        if prior[key].type.ndim != event:
            raise ValueError(
                f"{name}[{key!r}]: expected a distribution of shape {values.shape[2:]}, that of a draw, got "
                f"{prior[key].type.shape}."
            )
        densities.append(log_density(prior[key], pytensor.tensor.constant(values), event))
    return _evaluated(name, sum(densities[1:], densities[0]))


def _of_model(name: str, model: pm.Model, draws: Any, names: list[str]) -> np.ndarray:
    missing = set(names) - set(model.named_vars)
    if missing:
        raise ValueError(
            f"{name}: expected a model with {sorted(missing)}, got one with {sorted(model.named_vars)}. A "
            "function of its variables can be added, within the model: pm.Deterministic('log_radius', "
            "pm.math.log(model['einstein_radius']))."
        )
    variables = {each: model[each] for each in names}
    points = {each: variable.type() for each, variable in variables.items()}
    try:
        of_points = conditional_logp({variables[each]: points[each] for each in names})
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name}: the density of {names} does not follow from the model ({error}). Give the logarithm of "
            "the density at each lens' draws."
        ) from error
    total = sum((density.sum() for density in of_points.values()), start=0.0)
    at = LensDraws.of("draws", draws, names)
    values = {points[each]: pytensor.tensor.constant(at.values[each]) for each in names}
    (density,) = vectorize_graph([total], values)
    return _evaluated(name, density)


def _of_arrays(name: str, prior: Any, lenses: LensDraws) -> np.ndarray:
    if len(prior) != len(lenses.lenses):
        raise ValueError(
            f"{name}: expected an array for each of {len(lenses.lenses)} lenses, got {len(prior)}."
        )
    log_prior = np.zeros((len(prior), lenses.counts.max()))
    for place, (lens, count) in enumerate(zip(lenses.lenses, lenses.counts, strict=True)):
        values = real_numbers(f"{name}[{lens!r}]", prior[place])
        if values.shape != (count,):
            raise ValueError(f"{name}[{lens!r}]: expected shape ({count},), one a draw, got {values.shape}.")
        log_prior[place, :count] = values
    return log_prior


def _evaluated(name: str, density: TensorVariable) -> np.ndarray:
    for variable in ancestors([density]):
        is_random = variable.owner is not None and isinstance(variable.owner.op, RNGConsumerOp)
        is_free = variable.owner is None and not isinstance(variable, (Constant, SharedVariable))
        if is_random or is_free:
            raise ValueError(
                f"{name}: expected a density of numbers alone, but it depends on "
                f"{variable.name or variable}. Give the logarithm of the density at each lens' draws."
            )
    return np.asarray(pytensor.function([], density, mode=_ONCE)())
