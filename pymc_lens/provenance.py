"""What a posterior was sampled with: told by its attributes and data, checked before it is used again."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pymc as pm
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

from pymc_lens.data.imaging import Imaging
from pymc_lens.distributions import lensed_images
from pymc_lens.pixels import pixel_coords

# Groups whose variables have an image's pixels as a dimension.
_GROUPS = ("observed_data", "prior_predictive", "posterior_predictive")


def stamp(idata: DataTree, model: pm.Model) -> None:
    """Write into draws, in place, which datasets they belong to, and where the images' pixels are.

    Parameters
    ----------
    idata : DataTree
        Of a sampler: ``posterior`` gets the attribute ``<image>_dataset``, a hash of data, noise, PSF and
        pixels. Images of all groups get the coordinates ``<dimension>_y`` and ``<dimension>_x``, arcsec.
    model : pm.Model
    """
    for name, image in lensed_images(model).items():
        imaging = image.tag.dataset
        dims = model.named_vars_to_dims.get(name, ())
        if "posterior" in idata.children:
            idata["posterior"].attrs[_attribute(name)] = fingerprint(imaging)
        for group in set(_GROUPS) & set(idata.children):
            if dims and name in idata[group].data_vars:
                placed = idata[group].to_dataset().assign_coords(pixel_coords(imaging, dims[0]))
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


def fingerprint(imaging: Imaging) -> str:
    """Hash of what of a dataset the likelihood reads."""
    content = sha256(repr(imaging.pixel_scales).encode())
    for array in (imaging.data_fitted, imaging.noise_fitted, imaging.psf, imaging.plane.grid, imaging.fitted):
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()


def _attribute(name: str) -> str:
    return f"{name}_dataset"
