"""A model at one point: a fit at the best draw of a posterior, at a mode, or at any values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

from pymc_lens.cosmology import Distances
from pymc_lens.data.imaging import Imaging
from pymc_lens.distributions import lensed_images, observed_data
from pymc_lens.evaluate import checked_value, evaluate_once, with_values
from pymc_lens.fit import FitImaging
from pymc_lens.galaxy import Galaxy, Pixelization
from pymc_lens.image_mesh.base import ImageMesh
from pymc_lens.inference.mode import Mode
from pymc_lens.inference.starts import free_values
from pymc_lens.light.base import LightProfile
from pymc_lens.mass.base import MassProfile
from pymc_lens.mesh.base import Mesh
from pymc_lens.regularization.base import Regularization
from pymc_lens.tracer import Tracer

# What samplers call the log density of a draw.
_LOG_DENSITY_NAMES = ("lp", "logp")
_PARTS = (Galaxy, Pixelization, MassProfile, LightProfile, Mesh, ImageMesh, Regularization, Distances)
# Values of deterministic variables that were computed elsewhere agree this well, relative and absolute.
_SAME_VALUE = 1e-6


def fit_at(
    model: pm.Model,
    point: DataTree | Mode | xr.Dataset | Mapping[str, Any],
    *,
    var_name: str | None = None,
) -> FitImaging:
    """Fit a model's image at one point of its parameter space.

    Parameters
    ----------
    model : pm.Model
        With a `LensedImage`.
    point : DataTree, Mode, Dataset or mapping
        What ``pl.sample`` returns: its draw of highest log density where the sampler has recorded it
        (``lp`` in ``sample_stats``), otherwise the mean over all draws, which means little where a posterior
        has several modes. A mode of ``pl.find_mode``. One draw, such as
        ``idata.posterior.sel(chain=0, draw=10)`` or ``idata.posterior.mean(("chain", "draw"))``. Or values
        by name, in the parameters' own units, of the free variables or of deterministic ones that depend on
        a single free one.
    var_name : str, optional
        Name of the image, where the model has several.

    Returns
    -------
    FitImaging
        With numbers in the place of the tracer's random variables.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a value is missing, has another shape or belongs to no variable of the model, or there are several
        images and no ``var_name``.
    InadmissibleError
        (a ValueError) If there is no likelihood at the point.

    Examples
    --------
    >>> fit = pl.fit_at(model, idata)  # doctest: +SKIP
    >>> pl.plot.subplot_fit(fit)  # doctest: +SKIP
    """
    if not isinstance(model, pm.Model):
        raise TypeError(f"model: expected a pm.Model, got {type(model).__name__}.")
    image = find_image(model, var_name)
    values = free_values_at(model, point)
    tracer = numbered_tracer(model, image, values)
    observed = observed_data(model, image)
    data = checked_value(image, values[image.name]) if observed is None else observed
    arrays = (data, *evaluate_once(list(image.owner.op.dist_params(image.owner)), values))
    dataset = _with_data(image.tag.dataset, data)
    return FitImaging.of_inversion(image.owner.op.inversion, dataset, tracer, arrays)


def numbered_tracer(model: pm.Model, image: TensorVariable, values: Mapping[str, np.ndarray]) -> Tracer:
    """Return the tracer of an image with numbers in the place of the model's variables.

    Raises
    ------
    ValueError
        If a value that the image depends on is missing.
    """
    missing = {rv.name for rv in needed_variables(model, image)} - set(values)
    if missing:
        raise ValueError(f"point: there is no value of {sorted(missing)}.")
    # A variable that pm.do has made data is still random in the tracer.
    of_data = {variable.name: evaluate_once([variable])[0] for variable in model.data_vars}
    return tracer_at(image.tag.tracer, {**values, **of_data})


def find_image(model: pm.Model, var_name: str | None) -> TensorVariable:
    """Return the model's image of a name, or the only one.

    Raises
    ------
    ValueError
        If there is none of that name, or none or several and no name.
    """
    images = lensed_images(model)
    if var_name is not None and var_name not in images:
        raise ValueError(
            f"var_name: {var_name!r} is not a LensedImage of the model, which has {sorted(images)}."
        )
    if not images:
        raise ValueError("model: expected one with a LensedImage, this one has none.")
    if var_name is None and len(images) != 1:
        raise ValueError(f"var_name: expected the name of one of the model's images, {sorted(images)}.")
    return images[var_name] if var_name is not None else next(iter(images.values()))


def needed_variables(model: pm.Model, image: TensorVariable) -> list[TensorVariable]:
    """Return the free variables, in the model's order, whose values settle an image's parameters.

    The image itself is one of them where it is not observed.
    """
    free = set(model.free_RVs)
    needed = free & set(ancestors([image], blockers=free - {image}))
    return [rv for rv in model.free_RVs if rv in needed]


def free_values_at(model: pm.Model, point: Any) -> dict[str, np.ndarray]:
    """Return values of free variables at a point, see `fit_at`; some may be missing.

    Raises
    ------
    TypeError
        If the point is of another kind.
    ValueError
        If it holds several draws, or what is no variable of the model.
    """
    if isinstance(point, Mode):
        return _free_part(model, point.initvals)
    if isinstance(point, DataTree) and "posterior" in point.children:
        return _free_part(model, _draw_values(best_draw(point)))
    if isinstance(point, (DataTree, xr.Dataset)):
        return _free_part(model, _draw_values(point))
    if isinstance(point, Mapping):
        return _named_values(model, point)
    raise TypeError(
        "point: expected what pl.sample or pl.find_mode returns, one draw of a posterior, or a dict of "
        f"values by name, got {type(point).__name__}."
    )


def best_draw(idata: DataTree) -> xr.Dataset:
    """Return the draw of highest log density where that is known, the mean over the draws where it is not."""
    posterior = idata["posterior"].to_dataset()
    stats = idata["sample_stats"].to_dataset() if "sample_stats" in idata.children else xr.Dataset()
    for name in _LOG_DENSITY_NAMES:
        if name in stats and _same_draws(stats, posterior):
            highest = _log_density(stats, name).argmax(("chain", "draw"))
            return posterior.isel(highest)
    return posterior.mean(("chain", "draw"))


def tracer_at(tracer: Tracer, values: Mapping[str, np.ndarray]) -> Tracer:
    """Put numbers in the place of a tracer's random variables."""
    galaxies = [_with_numbers(galaxy, values) for galaxy in tracer.galaxies]
    cosmology, redshifts = (_with_numbers(part, values) for part in (tracer.cosmology, tracer.redshifts))
    return Tracer(galaxies, cosmology, redshifts)


def _log_density(stats: xr.Dataset, name: str) -> xr.DataArray:
    """Return the log density of draws: PyMC passes on numpyro's potential energy, its negative, by that name.

    The energy is the potential one plus a kinetic one that is small beside it.
    """
    recorded = stats[name]
    if "energy" not in stats:
        return recorded
    is_potential = abs((stats["energy"] - recorded).mean()) < abs((stats["energy"] + recorded).mean())
    return -recorded if is_potential else recorded


def _same_draws(stats: xr.Dataset, posterior: xr.Dataset) -> bool:
    return all(stats[dim].equals(posterior[dim]) for dim in ("chain", "draw"))


def _draw_values(draw: DataTree | xr.Dataset) -> dict[str, np.ndarray]:
    several = {"chain", "draw", "sample"} & set(draw.dims)
    if several:
        raise ValueError(
            f"point: expected one draw, got dimensions {sorted(several)}. Give the whole DataTree, one draw "
            "(.sel(chain=0, draw=0)) or their mean."
        )
    dataset = draw.to_dataset() if isinstance(draw, DataTree) else draw
    return {str(name): variable.values for name, variable in dataset.data_vars.items()}


def _free_part(model: pm.Model, parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {rv.name: parameters[rv.name] for rv in model.free_RVs if rv.name in parameters}


def _named_values(model: pm.Model, point: Mapping[str, Any]) -> dict[str, np.ndarray]:
    values = _free_part(model, point)
    deterministics = {variable.name: variable for variable in model.deterministics}
    unknown = set(point) - set(values) - set(deterministics)
    if unknown:
        raise ValueError(
            f"point: {sorted(unknown)} are not variables of the model, whose free variables are "
            f"{[rv.name for rv in model.free_RVs]}."
        )
    for name in sorted(set(point) - set(values)):
        values |= _free_of(model, deterministics[name], point[name], values)
    return values


def _free_of(
    model: pm.Model, deterministic: TensorVariable, value: Any, values: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the free variable that a deterministic one is made of, nothing where it is known and agrees."""
    try:
        (computed,) = evaluate_once([deterministic], values)
    except TypeError:
        try:
            return free_values(model, {deterministic.name: value})
        except ValueError as error:
            raise ValueError(f"point: {error}") from error
    if not np.allclose(computed, value, rtol=_SAME_VALUE, atol=_SAME_VALUE):
        raise ValueError(
            f"point: {deterministic.name} = {value!r} contradicts the free variables, which make it "
            f"{computed}."
        )
    return {}


def _with_data(dataset: Imaging, data: np.ndarray) -> Imaging:
    if np.array_equal(data, dataset.data_fitted):
        return dataset
    image = dataset.native(data)
    image = np.where(np.isfinite(image), image, dataset.data)
    return dataset.with_data(image, dataset.noise_map, dataset.unit)


def _with_numbers(part: Any, values: Mapping[str, np.ndarray]) -> Any:
    """Put numbers into a part of a tracer; what holds no variable comes back as it is."""
    if isinstance(part, Variable):
        (value,) = evaluate_once([part], values)
        return value.item() if value.ndim == 0 else value
    if isinstance(part, (list, tuple)):
        members = [_with_numbers(member, values) for member in part]
        same = all(new is old for new, old in zip(members, part, strict=True))
        return part if same else (tuple(members) if isinstance(part, tuple) else members)
    if isinstance(part, Mapping):
        return {name: _with_numbers(member, values) for name, member in part.items()}
    if isinstance(part, (FunctionType, MethodType, partial)):
        return _evaluated_at(part, values)
    if isinstance(part, _PARTS):
        return _copy_with_numbers(part, values)
    return part


def _copy_with_numbers(part: Any, values: Mapping[str, np.ndarray]) -> Any:
    numbers = {name: _with_numbers(attribute, values) for name, attribute in vars(part).items()}
    if all(numbers[name] is attribute for name, attribute in vars(part).items()):
        return part
    result = copy(part)
    for name, value in numbers.items():
        object.__setattr__(result, name, value)  # profiles are frozen
    return result


def _evaluated_at(function: Callable[..., Any], values: Mapping[str, np.ndarray]) -> Callable[..., Any]:
    """Return a function whose symbolic results hold numbers, for variables that it closes over."""

    def at_values(*arguments: Any) -> Any:
        result = function(*arguments)
        if isinstance(result, Variable):
            return with_values([result], values)[0]
        return tuple(with_values(list(result), values)) if isinstance(result, (list, tuple)) else result

    return at_values
