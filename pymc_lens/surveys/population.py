"""Populations of lenses from the posteriors of each, as a PyMC likelihood."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.logprob.abstract import _logprob
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

from pymc_lens.surveys.interim import log_density, log_prior_of, require_distribution
from pymc_lens.surveys.lens_draws import Key, LensDraws
from pymc_lens.validation import integer, require_instance

_LOG_PRIOR = "log_prior"
# Below so many a lens, or above such a variance of the log-likelihood, the estimate is not to be trusted.
_FEW_EFFECTIVE, _LARGE_VARIANCE = 10.0, 1.0
# The detection efficiency needs so many times the lenses: Farr 2019.
_DETECTED_A_LENS = 4.0


class Selection(NamedTuple):
    """Simulated lenses that were detected, by which a population is corrected for those that are not.

    Attributes
    ----------
    detected : mapping of str to (n_detected, ...) array
        Their true parameters, those of the population.
    prior : as of `PopulationLikelihood`
        What all simulated lenses, detected or not, were drawn from.
    n_simulated : int
        How many that were.
    """

    detected: Mapping[str, Any]
    prior: Any
    n_simulated: int


class PopulationRV(RandomVariable):
    """Draws of lenses' posteriors, given the population that the lenses are from.

    Parameters
    ----------
    shape : (n_lenses, n_draws, n_columns)
    ndims : tuple of int
        Of the distributions. All their axes count as core dimensions: PyTensor would add axes to them.
    events : tuple of tuple of int
        Shapes of the parameters of a lens, in the order of the distributions.
    n_simulated : int or None
        Lenses of the selection, whose detected draws are the last input; None without.
    """

    name = "population"
    dtype = "float64"
    _print_name = ("PopulationLikelihood", "\\operatorname{PopulationLikelihood}")
    __props__ = (*RandomVariable.__props__, "shape", "ndims", "events", "n_simulated")

    def __init__(
        self,
        shape: tuple[int, int, int],
        ndims: tuple[int, ...],
        events: tuple[tuple[int, ...], ...],
        n_simulated: int | None,
        **kwargs: Any,
    ) -> None:
        self.shape, self.ndims, self.events, self.n_simulated = shape, ndims, events, n_simulated
        cores = [",".join(f"p{k}_{axis}" for axis in range(ndim)) for k, ndim in enumerate(ndims)]
        cores += [] if n_simulated is None else ["j,c"]
        super().__init__(signature=",".join(f"({core})" for core in cores) + "->(l,k,c)", **kwargs)

    def _supp_shape_from_params(self, dist_params: Any, param_shapes: Any = None) -> list[Any]:
        return [pt.constant(n, dtype="int64") for n in self.shape]

    def rng_fn(self, rng: np.random.Generator, *args: Any) -> np.ndarray:
        """Refuse: a population makes lenses, not draws of their posteriors."""
        raise NotImplementedError(
            "PopulationLikelihood: posteriors of lenses cannot be drawn from a population. Leave it out of "
            "var_names, and draw lenses from distributions of their own: pm.Normal('new_slope', mu, sigma)."
        )


class PopulationLikelihood(pm.Continuous):
    r"""Likelihood of a population of lenses, by draws of the posterior of each.

    Every lens was fitted alone, under an interim prior :math:`\pi`. With K draws
    :math:`\theta_{ik}` of lens i its likelihood under a population p is

    .. math:: L_i = \frac{1}{K} \sum_k \frac{p(\theta_{ik})}{\pi(\theta_{ik})}

    up to a factor (Hogg, Myers & Bovy 2010, ApJ 725, 2166; Foreman-Mackey, Hogg & Morton 2014, ApJ 795, 64).
    What else was fitted stays under the interim prior; what the population does not name must be independent
    of what it names under both.

    Use it in a `pymc.Model`, whose variables are the hyperparameters; gradients are exact, NUTS works, and
    ``pymc.compute_log_likelihood`` gives a value for each lens. The interim prior must be broader than the
    population, else few draws hold all the weight. Two variables of the model tell, see `check_population`:
    ``<name>_effective_draws``, those of the lens that has the fewest, and ``<name>_variance``, that of the
    estimated log-likelihood.

    **Selection.** Without `selection` none is modelled: the population is that of the lenses *in the sample*,
    which differs from that of all lenses wherever being found or kept depends on the parameters.

    Parameters
    ----------
    name : str
    population : mapping of str or tuple of str to distribution
        By the name of a parameter its distribution, ``pm.Normal.dist(mu, sigma)``; parameters that are
        correlated by a tuple of names, with a distribution of as many components. A distribution may differ
        from lens to lens, with a first axis of lenses.
    draws : sequence or mapping of DataTree, Dataset or mapping of arrays
        Posteriors, one a lens, of any numbers of draws; in a mapping by the names of the lenses. Of arrays
        the first axis is that of draws. They count as independent: thin what is correlated.
    prior : Model, mapping or sequence
        The interim prior: the `pymc.Model` of the fits, of which it takes the density of the parameters, also
        of monotonic functions of its variables; distributions as those of the population, with numbers;
        or its logarithm at the draws, an array (n_draws,) a lens.
    selection : Selection, optional
        Divides by the probability of detection, estimated by simulated lenses (Mandel, Farr & Gair 2019,
        MNRAS 486, 1086).

    Raises
    ------
    TypeError
        If an argument is of another kind, as a variable of the model instead of a ``.dist()``.
    ValueError
        If lenses lack parameters or draws, shapes do not fit, the interim prior is zero at a draw or not
        known, or fewer lenses are detected than are in the sample.

    Examples
    --------
    >>> with pm.Model():  # doctest: +SKIP
    ...     mu, sigma = pm.Normal("mu", 2.0, 0.5), pm.HalfNormal("sigma", 0.3)
    ...     population = {"slope": pm.Normal.dist(mu, sigma)}
    ...     pl.PopulationLikelihood("lenses", population, posteriors, prior=lens_model)
    ...     idata = pm.sample()
    >>> pl.check_population(idata)  # doctest: +SKIP
    """

    rv_type = PopulationRV

    def __new__(
        cls,
        name: str,
        population: Mapping[Key, TensorVariable],
        draws: Any,
        prior: Any,
        *,
        selection: Selection | None = None,
    ) -> TensorVariable:
        require_instance("name", name, str)
        model = pm.modelcontext(None)
        lenses = _checked_draws("draws", population, draws)
        observed = pytensor.shared(_packed(lenses, log_prior_of("prior", prior, draws, lenses)))
        detected = None if selection is None else _detected(population, selection, len(lenses.lenses))
        prefix = model.name_for(name)
        dims = (f"{prefix}_lens", f"{prefix}_draw", f"{prefix}_parameter")
        columns = [*_columns(lenses), _LOG_PRIOR]
        n_draws = lenses.counts.max()
        for dim, coord in zip(dims, (list(lenses.lenses), np.arange(n_draws), columns), strict=True):
            model.add_coord(dim, coord)
        distributions = list(population.values())
        n_simulated = None if selection is None else selection.n_simulated
        events = tuple(values.shape[2:] for values in lenses.values.values())
        shape = (len(lenses.lenses), int(n_draws), len(columns))
        rv = super().__new__(
            cls, name, distributions, detected, shape, events, n_simulated, observed=observed, dims=dims
        )
        weights = log_weights(events, observed, distributions)
        least, variance = _precision(weights, observed)
        if detected is not None and n_simulated is not None:
            efficiency = log_weights(events, detected, distributions)
            effective, n = 1.0 / _relative_square(efficiency), len(lenses.lenses)
            # ln L has n times the logarithm of the efficiency.
            variance = variance + n**2 * (1.0 / effective - 1.0 / n_simulated)
            pm.Deterministic(f"{name}_effective_detected", effective)
        pm.Deterministic(f"{name}_effective_draws", least)
        pm.Deterministic(f"{name}_variance", variance)
        return rv

    @classmethod
    def dist(
        cls,
        distributions: Sequence[TensorVariable],
        detected: TensorVariable | None,
        shape_of_draws: tuple[int, int, int],
        events: tuple[tuple[int, ...], ...],
        n_simulated: int | None,
        **kwargs: Any,
    ) -> TensorVariable:
        """Return a likelihood that is not registered in a model.

        Parameters
        ----------
        distributions : sequence of TensorVariable
            Those of the population.
        detected : (n_detected, n_columns) variable or None
            Parameters of the lenses that were detected and, last, the logarithm of what they were drawn from.
        shape_of_draws : (n_lenses, n_draws, n_columns)
        events : tuple of tuple of int
            Shapes of the parameters of a lens.
        n_simulated : int or None
            Of the selection.
        **kwargs
            As of ``dist`` of any PyMC distribution.

        Returns
        -------
        TensorVariable
        """
        inputs = [*distributions, *([] if detected is None else [detected])]
        return super().dist(
            inputs, shape_of_draws=shape_of_draws, events=events, n_simulated=n_simulated, **kwargs
        )

    @classmethod
    def rv_op(
        cls,
        *inputs: TensorVariable,
        shape_of_draws: tuple[int, int, int],
        events: tuple[tuple[int, ...], ...],
        n_simulated: int | None,
        rng: Any = None,
        **kwargs: Any,
    ) -> Any:
        rng = pt.random.shared_rng(seed=None) if rng is None else rng
        ndims = tuple(each.type.ndim for each in inputs[: len(events)])
        op = PopulationRV(shape_of_draws, ndims, events, n_simulated)
        return op(*inputs, rng=rng, return_next_rng=True, **kwargs)[1]


@_logprob.register(PopulationRV)
def population_logp(
    op: PopulationRV,
    values: list[TensorVariable],
    rng: Any,
    size: Any,
    *inputs: TensorVariable,
    **kwargs: Any,
) -> TensorVariable:
    """Log-likelihood (n_lenses,) of each lens."""
    (value,) = values
    distributions = inputs[: len(op.events)]
    weights = log_weights(op.events, value, distributions)
    log_likelihood = pt.logsumexp(weights, axis=-1) - pt.log(_counted(value))
    if op.n_simulated is None:
        return log_likelihood
    efficiency = pt.logsumexp(log_weights(op.events, inputs[-1], distributions)) - np.log(op.n_simulated)
    return log_likelihood - efficiency


def log_weights(
    events: Sequence[tuple[int, ...]], draws: TensorVariable, distributions: Sequence[TensorVariable]
) -> TensorVariable:
    """Logarithm of the population over the interim prior.

    Parameters
    ----------
    events : sequence of tuple of int
        Shapes of the parameters.
    draws : ([n_lenses,] n_draws, n_columns) variable
        Parameters and, last, the logarithm of the interim prior: infinite where there is no draw.
    distributions : sequence of TensorVariable

    Returns
    -------
    ([n_lenses,] n_draws) TensorVariable
    """
    # Lenses last, where distributions have them.
    by_draw = pt.moveaxis(draws, -2, 0)
    total, first = -by_draw[..., -1], 0
    for event, distribution in zip(events, distributions, strict=True):
        n = prod(event)
        values = by_draw[..., first] if event == () else by_draw[..., first : first + n]
        total = total + log_density(distribution, values, len(event))
        first += n
    return pt.moveaxis(total, 0, -1)


def check_population(idata: DataTree, name: str = "lenses") -> dict[str, float]:
    """Whether the lenses' draws cover the populations that were sampled; warns where they do not.

    The estimated likelihood of a population is the better, the more draws of each lens have a say. It is not
    to be trusted where the variance of its logarithm is above one (Essick & Farr 2022, arXiv:2204.00461;
    Talbot & Golomb 2023, MNRAS 526, 3495), or where fewer than ten draws of a lens have, nor with a selection
    whose detected lenses are worth fewer than four times the lenses (Farr 2019, RNAAS 3, 66). More draws of
    each lens help, or a broader interim prior.

    Parameters
    ----------
    idata : DataTree
        Draws of a model with a `PopulationLikelihood`.
    name : str
        Of the likelihood.

    Returns
    -------
    dict of str to float
        ``effective_draws``, ``variance`` and, with a selection, ``effective_detected``: the worst of the 95 %
        of draws that are best.

    Raises
    ------
    TypeError
        If ``idata`` is something else.
    ValueError
        If it has no such likelihood.
    """
    require_instance("idata", idata, DataTree)
    posterior = idata["posterior"].to_dataset() if "posterior" in idata.children else {}
    if f"{name}_variance" not in posterior:
        raise ValueError(f"idata: expected draws of the PopulationLikelihood {name!r}, got none.")
    found = {
        "effective_draws": float(np.quantile(posterior[f"{name}_effective_draws"], 0.05)),
        "variance": float(np.quantile(posterior[f"{name}_variance"], 0.95)),
    }
    if found["effective_draws"] < _FEW_EFFECTIVE or found["variance"] > _LARGE_VARIANCE:
        warnings.warn(
            f"The draws of the lenses do not cover the population: {found['effective_draws']:.0f} effective "
            f"draws of the worst lens (at least {_FEW_EFFECTIVE:.0f}), and a variance of the log-likelihood "
            f"of {found['variance']:.2f} (at most {_LARGE_VARIANCE:.0f}). Sample each lens longer, or under "
            "a broader prior.",
            stacklevel=2,
        )
    if f"{name}_effective_detected" in posterior:
        found["effective_detected"] = float(np.quantile(posterior[f"{name}_effective_detected"], 0.05))
        needed = _DETECTED_A_LENS * idata["observed_data"].sizes[f"{name}_lens"]
        if found["effective_detected"] < needed:
            warnings.warn(
                f"The detected lenses do not cover the population: they are worth "
                f"{found['effective_detected']:.0f}, where {needed:.0f} are needed. Simulate more.",
                stacklevel=2,
            )
    return found


def _checked_draws(name: str, population: Any, draws: Any) -> LensDraws:
    """Read the draws of a population's parameters, after all that can be wrong with it."""
    require_instance("population", population, Mapping)
    if not population:
        raise ValueError("population: expected at least one parameter with its distribution, got none.")
    for key, distribution in population.items():
        require_distribution(f"population[{key!r}]", distribution)
    lenses = LensDraws.of(name, draws, list(population))
    for key, values in lenses.values.items():
        _require_shape(key, population[key], values.shape[2:], len(lenses.lenses))
    return lenses


def _require_shape(key: Key, distribution: TensorVariable, event: tuple[int, ...], n_lenses: int) -> None:
    static = distribution.type.shape
    over_lenses = len(static) - len(event)
    expected = [event, (n_lenses, *event)]
    fits = over_lenses in (0, 1) and all(
        n in (None, m) for n, m in zip(static, expected[over_lenses], strict=True)
    )
    if not fits:
        raise ValueError(
            f"population[{key!r}]: expected a distribution of shape {event}, that of a draw, or "
            f"{expected[1]}, one a lens, got {static}. Give shape=... for components that are independent."
        )


def _packed(lenses: LensDraws, log_prior: np.ndarray) -> np.ndarray:
    """Parameters and interim prior (n_lenses, n_draws, n_columns)."""
    columns = [values.reshape(*values.shape[:2], -1) for values in lenses.values.values()]
    return np.concatenate([*columns, np.where(lenses.is_draw, log_prior, np.inf)[..., None]], axis=-1)


def _columns(lenses: LensDraws) -> list[str]:
    """Name each column: of parameters with components these are numbered."""
    names: list[str] = []
    for key, values in lenses.values.items():
        if isinstance(key, tuple):
            names += key
        elif values.ndim == 2:
            names.append(key)
        else:
            names += [f"{key}[{place}]" for place in range(values.shape[-1])]
    return names


def _detected(population: Mapping[Key, TensorVariable], selection: Any, n_lenses: int) -> TensorVariable:
    require_instance("selection", selection, Selection)
    draws = [selection.detected]
    detected = _checked_draws("selection.detected", population, draws)
    for key, values in detected.values.items():
        if population[key].type.ndim > values.ndim - 2:
            raise ValueError(
                f"population[{key!r}]: expected the same distribution of all lenses where there is a "
                "selection, got one for each."
            )
    (count,) = detected.counts
    if integer("selection.n_simulated", selection.n_simulated, 1) < count:
        raise ValueError(
            f"selection.n_simulated: expected at least the {count} that were detected, got "
            f"{selection.n_simulated}."
        )
    if count < _DETECTED_A_LENS * n_lenses:
        raise ValueError(
            f"selection.detected: expected at least {_DETECTED_A_LENS:.0f} times the {n_lenses} lenses, got "
            f"{count}. Simulate more."
        )
    return pt.constant(
        _packed(detected, log_prior_of("selection.prior", selection.prior, draws, detected))[0]
    )


def _precision(weights: TensorVariable, draws: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
    """Effective draws of the worst lens, and the variance of the log-likelihood of all."""
    squares = _relative_square(weights)
    return 1.0 / squares.max(), (squares - 1.0 / _counted(draws)).sum()


def _counted(draws: TensorVariable) -> TensorVariable:
    """How many (n_lenses,) are draws."""
    return pt.isfinite(draws[..., -1]).sum(axis=-1)


def _relative_square(weights: TensorVariable) -> TensorVariable:
    """Sum of the squares of the normalised weights: one over the effective draws."""
    return pt.exp(pt.logsumexp(2.0 * weights, axis=-1) - 2.0 * pt.logsumexp(weights, axis=-1))
