"""One evaluation in plain Python before sampling: samplers hide the reason of a failure, this names it."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace
from pytensor.tensor.variable import TensorVariable

from pymc_lens.distributions import lensed_images
from pymc_lens.errors import InadmissibleError
from pymc_lens.evaluate import evaluate_once
from pymc_lens.inversion.inversion import Arrays


def preflight(
    model: pm.Model, point: dict[str, np.ndarray], logp_dlogp: pm.model.core.ValueGradFunction
) -> None:
    """Evaluate log-probability and gradient once and name what is wrong with them.

    Parameters
    ----------
    model : pm.Model
    point : dict
        Values of the model's value variables.
    logp_dlogp : callable
        As `compile_density` returns it.

    Raises
    ------
    ValueError
        If the log-probability or a derivative is not finite: names the variables, and for an image what its
        inversion said.
    """
    value, gradient = logp_dlogp(pm.blocking.DictToArrayBijection.map(point))
    if not np.isfinite(value):
        culprits = {
            name: logp
            for name, logp in model.point_logps(point, round_vals=6).items()
            if not np.isfinite(logp)
        }
        raise ValueError(
            f"The log-probability is {value} at the starting point, because of {culprits}. "
            + " ".join(_explanations(model, point))
            + " Start elsewhere (starts=[{...}] of pl.sample and pl.find_mode), or give a narrower prior."
        )
    if not np.isfinite(gradient).all():
        names = np.repeat(list(point), [np.size(value) for value in point.values()])
        bad = np.unique(names[~np.isfinite(gradient)]).tolist()
        raise ValueError(
            f"The gradient is not finite at the starting point in {bad}. Start elsewhere: starts=[{...}]."
        )


def _explanations(model: pm.Model, point: dict[str, np.ndarray]) -> list[str]:
    explanations = []
    for image in lensed_images(model).values():
        try:
            image.owner.op.inversion.invert(inputs_at(model, image, point))
        except InadmissibleError as error:
            explanations.append(f"{image.name}: {error}")
    return explanations


def inputs_at(model: pm.Model, image: TensorVariable, point: dict[str, np.ndarray]) -> Arrays:
    """Evaluate what an image's inversion reads, at values of the model's value variables."""
    parameters = model.replace_rvs_by_values(list(image.owner.op.dist_params(image.owner)))
    values = {value: pt.constant(point[value.name], dtype=value.dtype) for value in model.value_vars}
    inputs = graph_replace([model.rvs_to_values[image], *parameters], values, strict=False)
    return tuple(evaluate_once(inputs))


def compile_density(model: pm.Model) -> pm.model.core.ValueGradFunction:
    """Compile log-probability and gradient as a function of one flat unconstrained vector.

    ``set_weights([w])`` of the result multiplies the observed variables' part by w.
    """
    costs = [model.varlogp + model.potentiallogp, model.datalogp]
    function = pm.model.core.ValueGradFunction(
        costs,
        model.continuous_value_vars,
        model=model,
        initial_point=model.initial_point(),
        ravel_inputs=True,
    )
    function.set_extra_values({})
    return function
