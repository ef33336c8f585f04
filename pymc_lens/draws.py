"""Draws of a posterior, as the images of its model read them."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

from pymc_lens.distributions import observed_data
from pymc_lens.evaluate import checked_value
from pymc_lens.inversion.inversion import Arrays
from pymc_lens.parts import parts_of
from pymc_lens.point import needed_variables
from pymc_lens.provenance import require_same_dataset
from pymc_lens.validation import integer, require_instance


class ImageDraws:
    """What an image's inversion reads at draws of everything that is not linear in it.

    Parameters
    ----------
    model : pm.Model
    image : TensorVariable
        One of its images.
    """

    def __init__(self, model: pm.Model, image: TensorVariable) -> None:
        self.model, self.image = model, image
        self.inversion, self.dataset = image.owner.op.inversion, image.tag.dataset
        self.parts = parts_of(image.tag.tracer)
        self.variables = needed_variables(model, image)
        parameters = list(image.owner.op.dist_params(image.owner))
        self.function = pytensor.function(self.variables, parameters, on_unused_input="ignore")
        self.observed = observed_data(model, image)

    def arrays(self, draw: xr.Dataset) -> Arrays:
        """Evaluate at a draw of the model's free variables."""
        data = draw[self.image.name].values if self.observed is None else self.observed
        return (data, *self.function(*(draw[rv.name].values for rv in self.variables)))


def checked_model(model: pm.Model | None) -> pm.Model:
    """Return a model, by default the one on the context stack."""
    if model is not None:
        require_instance("model", model, pm.Model)
    return pm.modelcontext(model)


def chosen_draws(
    idata: DataTree, model: pm.Model, images: list[TensorVariable], num_draws: int | None = None
) -> xr.Dataset:
    """Return draws of all chains along ``sample``, after all that can be wrong with them.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group.
    model : pm.Model
    images : list of TensorVariable
        Whose variables the draws must have.
    num_draws : int, optional
        So many, evenly spaced; by default all.

    Raises
    ------
    TypeError, ValueError
        If ``idata`` is something else, or draws of another model or dataset.
    """
    require_instance("idata", idata, DataTree)
    if "posterior" not in idata.children:
        raise ValueError(
            f"idata: expected a DataTree with a posterior group, as pl.sample returns, got the groups "
            f"{sorted(idata.children)}."
        )
    posterior = idata["posterior"].to_dataset()
    missing_dims = {"chain", "draw"} - set(posterior.dims)
    if missing_dims:
        raise ValueError(
            f"idata: its posterior has no dimension {sorted(missing_dims)}. Select with lists, "
            ".sel(chain=[0]), to keep it."
        )
    for image in images:
        require_same_dataset(idata, image, observed_data(model, image))
    one = posterior.isel(chain=0, draw=0)
    needed = {rv.name: rv for image in images for rv in needed_variables(model, image)}
    missing = set(needed) - set(posterior.data_vars)
    if missing:
        raise ValueError(
            f"idata: its posterior lacks {sorted(missing)}. Give the model that it was sampled from."
        )
    for name, rv in needed.items():
        checked_value(rv, one[name].values)
    stacked = posterior.stack(sample=("chain", "draw"))
    if num_draws is None:
        return stacked
    n_draws = stacked.sizes["sample"]
    count = min(integer("num_draws", num_draws, 1), n_draws)
    return stacked.isel(sample=np.unique(np.linspace(0, n_draws - 1, count).astype(int)))
