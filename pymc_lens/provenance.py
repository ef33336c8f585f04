"""What a posterior was sampled with: told by its attributes and data, checked before it is used again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pymc as pm
from pytensor.compile.builders import OpFromGraph
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.op import Op
from pytensor.graph.traversal import graph_inputs, io_toposort
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

import pymc_lens
from pymc_lens.data.imaging import Imaging
from pymc_lens.distributions import LensedImageRV, lensed_images
from pymc_lens.pixels import pixel_coords

# Where an object is in memory, as its representation tells.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
# Groups whose variables have an image's pixels as a dimension.
_GROUPS = ("observed_data", "prior", "prior_predictive", "posterior_predictive")


def stamp(idata: DataTree, model: pm.Model, random_seed: Any = None) -> None:
    """Write into draws, in place, what they are draws of, and where the images' pixels are.

    Parameters
    ----------
    idata : DataTree
        Of a sampler. ``posterior`` gets the attributes ``pymc_lens_version``, ``random_seed``,
        ``model_digest``, see `model_digest`, and ``<image>_dataset``, a hash of data, noise, PSF and pixels.
        Images of all groups get the coordinates of `pixel_coords`.
    model : pm.Model
    random_seed : int or sequence of int, optional
        What was sampled with; a generator has no number that would be worth keeping.
    """
    datasets = {name: image.tag.dataset for name, image in lensed_images(model).items()}
    if "posterior" in idata.children:
        idata["posterior"].attrs |= {
            "pymc_lens_version": pymc_lens.__version__,
            "random_seed": "unknown" if random_seed is None else _told_seed(random_seed),
            "model_digest": model_digest(model),
            **{_attribute(name): fingerprint(dataset) for name, dataset in datasets.items()},
        }
    for name, dataset in datasets.items():
        dims = model.named_vars_to_dims.get(name, ())
        for group in set(_GROUPS) & set(idata.children):
            if dims and name in idata[group].data_vars:
                placed = idata[group].to_dataset().assign_coords(pixel_coords(dataset, dims[0]))
                idata[group] = DataTree(placed, children=idata[group].children)


def require_same_dataset(idata: DataTree, image: TensorVariable, observed: np.ndarray | None) -> None:
    """Raise ValueError where draws say that they belong to another dataset than an image's.

    The data are those that PyMC stores in ``observed_data``; noise, PSF and pixels are known only of draws
    of `pymc_lens.sample`.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group.
    image : TensorVariable
    observed : (n_fitted,) array, optional
        The image's data in the model.
    """
    imaging, name = image.tag.dataset, image.name
    advice = "Give the model that these draws were sampled from."
    stored = idata["observed_data"].data_vars if "observed_data" in idata.children else {}
    if observed is not None and name in stored and not np.array_equal(stored[name].values, observed):
        raise ValueError(f"idata: its data of {name!r} are not those of the model. {advice}")
    attribute = idata["posterior"].attrs.get(_attribute(name))
    if attribute is not None and attribute != fingerprint(imaging):
        raise ValueError(
            f"idata: sampled with another dataset than the model's as {name!r} (data, noise, PSF or pixels "
            f"differ). {advice}"
        )


def model_digest(model: pm.Model) -> str:
    """Hash of what a model computes: its variables, their distributions and data, whatever the machine.

    The same for models that are built alike; a sequence number or an address in memory has no part in it.
    """
    variables = [*model.basic_RVs, *model.deterministics, *model.potentials]
    named = [(each.name, type(model.rvs_to_transforms.get(each)).__name__) for each in variables]
    data = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return sha256((repr(named) + _graph_digest([*variables, *data])).encode()).hexdigest()


def _graph_digest(outputs: Sequence[Variable]) -> str:
    """Hash of the operations between variables, what each is applied to, and the numbers among that."""
    content = sha256()
    places: dict[Variable, tuple[int, int]] = {}

    def told(variable: Variable) -> str:
        if variable in places:
            return str(places[variable])
        if isinstance(variable, (Constant, SharedVariable)):
            return _told_value(variable)
        return repr(variable.type)

    for node in io_toposort(graph_inputs(outputs), outputs):
        content.update(f"{_told_op(node.op)}({', '.join(map(told, node.inputs))})".encode())
        places |= {output: (len(places), k) for k, output in enumerate(node.outputs)}
    content.update(repr([told(output) for output in outputs]).encode())
    return content.hexdigest()


def _told_op(op: Op) -> str:
    if isinstance(op, LensedImageRV):
        return op.inversion.digest
    inner = _graph_digest(op.inner_outputs) if isinstance(op, OpFromGraph) else ""
    return f"{type(op).__name__} {_ADDRESS.sub('', str(op))} {inner}"


def _told_value(variable: Constant | SharedVariable) -> str:
    value = variable.data if isinstance(variable, Constant) else variable.get_value(borrow=True)
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.ascontiguousarray(value)
        return f"{array.dtype} {array.shape} {sha256(array.tobytes()).hexdigest()}"
    # Of random number generators the state is of no matter.
    return type(value).__name__ if isinstance(variable, SharedVariable) else repr(value)


def _told_seed(random_seed: Any) -> Any:
    if isinstance(random_seed, (int, np.integer)):
        return int(random_seed)
    if isinstance(random_seed, (Sequence, np.ndarray)):
        return [int(seed) for seed in random_seed]
    return type(random_seed).__name__


def fingerprint(imaging: Imaging) -> str:
    """Hash of what of a dataset the likelihood reads."""
    content = sha256(repr(imaging.pixel_scales).encode())
    for array in (imaging.data_fitted, imaging.noise_fitted, imaging.psf, imaging.plane.grid, imaging.fitted):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def _attribute(name: str) -> str:
    return f"{name}_dataset"
