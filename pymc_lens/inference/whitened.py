"""A model in coordinates in which its posterior is close to a standard normal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.blocking import DictToArrayBijection
from pytensor.graph.replace import graph_replace

if TYPE_CHECKING:
    from pymc_lens.inference.mode import Mode

# The coordinates' name in the whitened model.
WHITENED = "pymc_lens_whitened"


def whitened_model(model: pm.Model, mode: Mode) -> pm.Model:
    """Return a model with the same posterior, of one flat vector that is scaled by the curvature at a mode.

    Samplers that take no metric start near the mode there, where their own first guess of it, the unit
    matrix, is right, and their jitter of a unit or two is one of a standard deviation or two.

    Parameters
    ----------
    model : pm.Model
    mode : Mode

    Returns
    -------
    pm.Model
        Free and deterministic variables of ``model`` are deterministic ones of the same names and dimensions;
        the vector is `WHITENED`. Nothing is observed.
    """
    centre = DictToArrayBijection.map(mode.point)
    root = np.linalg.cholesky(mode.covariance)
    with pm.Model(coords=dict(model.coords), model=None) as whitened:
        flat = centre.data + pt.dot(root, pm.Flat(WHITENED, shape=centre.data.size))
        by_name, taken = {}, 0
        for name, shape, size, _ in centre.point_map_info:
            by_name[name] = flat[taken : taken + size].reshape(shape)
            taken += size
        replaced = {
            value: pt.specify_shape(by_name[value.name], value.type.shape).astype(value.type.dtype)
            for value in model.value_vars
        }
        named = [*model.free_RVs, *model.deterministics]
        outputs = graph_replace([model.logp(), *model.replace_rvs_by_values(named)], replaced, strict=False)
        pm.Potential("pymc_lens_log_density", outputs[0])
        for variable, output in zip(named, outputs[1:], strict=True):
            pm.Deterministic(variable.name, output, dims=model.named_vars_to_dims.get(variable.name))
    return whitened
