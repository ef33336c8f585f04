"""Groups of draws, as PyMC makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
from arviz_base import dict_to_dataset
from pymc.backends.arviz import find_constants, find_observations
from xarray import DataTree


def draws_of(model: pm.Model, variables: dict[str, np.ndarray], stats: dict[str, np.ndarray]) -> DataTree:
    """Return draws (chain, draw, ...) of a model's variables, with statistics of the sampler."""
    idata = DataTree()
    idata["posterior"] = _group(model, variables)
    idata["sample_stats"] = DataTree(dict_to_dataset(stats))
    add_data(idata, model)
    return idata


def add_data(idata: DataTree, model: pm.Model) -> None:
    """Add the groups of observed and constant data, as PyMC does."""
    for group, data in (
        ("observed_data", find_observations(model)),
        ("constant_data", find_constants(model)),
    ):
        if data:
            idata[group] = _group(model, data, sample_dims=[])


def has_draws(idata: DataTree) -> bool:
    """Whether there are draws of the posterior."""
    return "posterior" in idata.children and idata["posterior"].sizes.get("draw", 0) > 0


def _group(model: pm.Model, variables: dict[str, np.ndarray], **options: Any) -> DataTree:
    dims: Any = {name: list(model.named_vars_to_dims.get(name, ())) for name in variables}
    coords: Any = {name: list(values) for name, values in model.coords.items() if values is not None}
    return DataTree(dict_to_dataset(variables, dims=dims, coords=coords, **options))
