"""Source reconstructions and images of a posterior, as ArviZ groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

from pymc_lens.distributions import pixelized_images
from pymc_lens.fit import checked_value
from pymc_lens.imaging import Imaging
from pymc_lens.inversion.problem import EvidenceTerms, InversionInputs, PixelizedInversion
from pymc_lens.lattice import lattice, square_around
from pymc_lens.point import find_image, needed_variables, observed_data
from pymc_lens.progress import counted
from pymc_lens.provenance import pixel_coords, require_same_dataset
from pymc_lens.validation import integer, require_instance

_SOURCE_GRID = 100
# Median, 68 % and 95 % intervals.
_QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)
_GROUPS = ("source_reconstruction", "image_reconstruction", "evidence")


def reconstruct(
    idata: DataTree,
    *,
    model: pm.Model | None = None,
    var_name: str | None = None,
    num_draws: int = 100,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
) -> DataTree:
    """Add the source, the model image and the evidence terms of posterior draws to ``idata``, in place.

    For evenly spaced draws of the posterior the inversion is solved again, and one source (with the light
    amplitudes) is drawn from its Gaussian posterior at these parameters. The spread of the results is thus
    that of the whole posterior.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group, sampled from this model.
    model : pm.Model, optional
        By default the model on the context stack.
    var_name : str, optional
        Name of the pixelized image, where the model has several.
    num_draws : int
        Draws over all chains; at most those there are.
    random_seed : int or Generator, optional
    progressbar : bool

    Returns
    -------
    DataTree
        ``idata`` with the groups

        ``source_reconstruction``
            ``source`` (sample, source_pixel) with positions ``source_y`` and ``source_x`` on the mesh;
            ``source_on_grid`` (sample, grid_y, grid_x) on a regular grid around what is seen of it, its
            ``mean``, ``sd`` and ``quantiles`` (quantile, grid_y, grid_x). ``flux`` (sample) is the source's
            total, surface brightness times arcsec^2, and ``magnification`` (sample) that of its image within
            the mask over it.
        ``image_reconstruction``
            ``model_image``, ``lens_light``, ``residual``, ``normalized_residual``: means over the draws
            (y, x), NaN outside the fitted pixels, with ``data`` and ``noise_map``; ``model_image_sd``.
        ``evidence``
            The terms of the log evidence and ``log_evidence`` (sample); ``chi_squared`` is that of the most
            probable source.

        Where the model has several images their names go before: ``<image>_source_reconstruction`` and so
        on. Variables carry their ``units``.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If there is no posterior, it lacks variables or was sampled with another dataset, ``num_draws`` is
        less than one, or the model has no image, or several and no ``var_name`` is given.
    """
    model = _checked_model(model)
    image = find_image(model, var_name)
    posterior = _chosen_draws(idata, model, [image], num_draws)
    rng = np.random.default_rng(random_seed)
    problem = image.owner.op.problem
    evaluate = _inputs_function(model, image)
    solutions = [
        _Solution(problem, evaluate(posterior.isel(sample=k)), rng)
        for k in counted(posterior.sizes["sample"], "Reconstructing sources", progressbar)
    ]
    coords = {name: ("sample", posterior[name].values) for name in ("chain", "draw")}
    datasets = (
        _source_dataset(problem, solutions, coords),
        _image_dataset(problem, solutions),
        _evidence_dataset(solutions, coords),
    )
    for group, dataset in zip(group_names(model, image.name), datasets, strict=True):
        idata[group] = DataTree(dataset.assign_attrs(image=image.name))
    return idata


def sample_posterior_predictive(
    idata: DataTree,
    *,
    model: pm.Model | None = None,
    num_draws: int = 100,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
) -> DataTree:
    """Add images that the posterior predicts to ``idata``, in place: what a posterior predictive check needs.

    Each image is that of a source (with the light amplitudes) drawn from its *posterior* at the parameters
    of a draw, lensed and blurred, with noise. `pymc.sample_posterior_predictive` draws the source, which is
    marginalised, from its *prior* instead: images of other sources behind the same lens, unlike the data.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group, sampled from this model.
    model : pm.Model, optional
        By default the model on the context stack.
    num_draws : int
        Evenly spaced over the draws of all chains; at most those there are.
    random_seed : int or Generator, optional
    progressbar : bool

    Returns
    -------
    DataTree
        ``idata`` with the group ``posterior_predictive``: every pixelized image of the model (chain, draw,
        pixel), the draws as those of a single chain.

    Raises
    ------
    TypeError, ValueError
        As `reconstruct`.

    Examples
    --------
    >>> pl.sample_posterior_predictive(idata, model=model)  # doctest: +SKIP
    >>> az.plot_ppc_dist(idata)  # doctest: +SKIP
    """
    model = _checked_model(model)
    images = pixelized_images(model)
    if not images:
        find_image(model, None)  # says so
    posterior = _chosen_draws(idata, model, list(images.values()), num_draws)
    rng = np.random.default_rng(random_seed)
    n_draws = posterior.sizes["sample"]
    predictive: dict[str, Any] = {}
    coords: dict[str, Any] = {"chain": [0], "draw": np.arange(n_draws)}
    for name, image in images.items():
        problem, evaluate = image.owner.op.problem, _inputs_function(model, image)
        drawn = [
            _predicted(problem, evaluate(posterior.isel(sample=k)), rng)
            for k in counted(n_draws, f"Predicting {name}", progressbar)
        ]
        (dim,) = model.named_vars_to_dims[name]
        units = {"units": _unit(problem.imaging)}
        predictive[name] = (("chain", "draw", dim), np.array(drawn)[None], units)
        coords |= {dim: np.array(model.coords[dim]), **pixel_coords(problem.imaging, dim)}
    idata["posterior_predictive"] = DataTree(xr.Dataset(predictive, coords))
    return idata


def group_names(model: pm.Model, image_name: str) -> tuple[str, str, str]:
    """Return the groups that `reconstruct` adds for an image."""
    prefix = f"{image_name}_" if len(pixelized_images(model)) > 1 else ""
    source, image, evidence = (f"{prefix}{group}" for group in _GROUPS)
    return source, image, evidence


class _Solution:
    """One draw of everything that is linear, at one draw of everything that is not."""

    def __init__(
        self, problem: PixelizedInversion, inputs: InversionInputs, rng: np.random.Generator
    ) -> None:
        inversion = problem.invert(inputs)
        drawn = problem.draw_coefficients(inversion, rng)
        self.terms: EvidenceTerms = inversion.terms
        self.geometry = inversion.geometry
        self.source = drawn[: problem.n_source]
        self.flux = float(self.source @ inversion.geometry.volumes.areas)
        mapping = inversion.mapping
        lensed = mapping.weights @ self.source[mapping.indices]
        self.magnification = float(lensed) * problem.imaging.pixel_scales**2 / self.flux
        self.most_probable_image = problem.model_image(inversion, inversion.coefficients)
        self.image = problem.model_image(inversion, drawn)
        self.light = problem.light_image(inversion, drawn)
        seen = problem.detected_rays(inputs, self.image - self.light)
        self.bounds = np.array([seen.min(axis=0), seen.max(axis=0)])


def _predicted(problem: PixelizedInversion, inputs: InversionInputs, rng: np.random.Generator) -> np.ndarray:
    """Image (n_fitted,) of a source and light drawn from their posterior, with noise."""
    inversion = problem.invert(inputs)
    image = problem.model_image(inversion, problem.draw_coefficients(inversion, rng))
    return image + rng.standard_normal(image.size) * problem.imaging.noise_fitted


def _checked_model(model: pm.Model | None) -> pm.Model:
    if model is not None:
        require_instance("model", model, pm.Model)
    return pm.modelcontext(model)


def _chosen_draws(
    idata: DataTree, model: pm.Model, images: list[TensorVariable], num_draws: int
) -> xr.Dataset:
    """Return evenly spaced draws of all chains along ``sample``, after all that can be wrong with them."""
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
    n_draws = stacked.sizes["sample"]
    count = min(integer("num_draws", num_draws, 1), n_draws)
    return stacked.isel(sample=np.unique(np.linspace(0, n_draws - 1, count).astype(int)))


def _inputs_function(model: pm.Model, image: TensorVariable) -> Callable[[xr.Dataset], InversionInputs]:
    variables = needed_variables(model, image)
    parameters = list(image.owner.op.dist_params(image.owner))
    function = pytensor.function(variables, parameters, on_unused_input="ignore")
    observed = observed_data(model, image)

    def evaluate(draw: xr.Dataset) -> InversionInputs:
        data = draw[image.name].values if observed is None else observed
        return InversionInputs(data, *function(*(draw[rv.name].values for rv in variables)))

    return evaluate


def _unit(imaging: Imaging) -> str:
    return imaging.unit or "data units"


def _source_dataset(problem: PixelizedInversion, solutions: list[_Solution], coords: dict) -> xr.Dataset:
    vertices = np.array([solution.geometry.vertices for solution in solutions])
    sources = np.array([solution.source for solution in solutions])
    low, high = square_around(np.concatenate([solution.bounds for solution in solutions]))
    grid_y, grid_x = (np.linspace(low[axis], high[axis], _SOURCE_GRID) for axis in (0, 1))
    points = lattice(grid_y, grid_x).reshape(-1, 2)
    on_grid = np.array(
        [solution.geometry.interpolate(points).apply(solution.source) for solution in solutions]
    ).reshape(-1, _SOURCE_GRID, _SOURCE_GRID)
    pixels = ("sample", "source_pixel")
    grid = ("grid_y", "grid_x")
    brightness = _unit(problem.imaging)
    dataset = xr.Dataset(
        {
            "source": (pixels, sources),
            "source_y": (pixels, vertices[..., 0]),
            "source_x": (pixels, vertices[..., 1]),
            "source_on_grid": (("sample", *grid), on_grid),
            "mean": (grid, on_grid.mean(axis=0)),
            "sd": (grid, on_grid.std(axis=0)),
            "quantiles": (("quantile", *grid), np.quantile(on_grid, _QUANTILES, axis=0)),
            "flux": ("sample", np.array([solution.flux for solution in solutions])),
            "magnification": ("sample", np.array([solution.magnification for solution in solutions])),
        },
        coords={**coords, "grid_y": grid_y, "grid_x": grid_x, "quantile": list(_QUANTILES)},
    )
    units = {
        **dict.fromkeys(("source", "source_on_grid", "mean", "sd", "quantiles"), brightness),
        **dict.fromkeys(("source_y", "source_x", "grid_y", "grid_x"), "arcsec"),
        "flux": f"{brightness} arcsec2",
        "magnification": "",
    }
    return _with_units(dataset, units)


def _image_dataset(problem: PixelizedInversion, solutions: list[_Solution]) -> xr.Dataset:
    imaging = problem.imaging
    images = np.array([solution.image for solution in solutions])
    light = np.mean([solution.light for solution in solutions], axis=0)
    model = np.mean([solution.most_probable_image for solution in solutions], axis=0)
    residual = imaging.data_fitted - model
    fitted = {
        "data": imaging.data_fitted,
        "noise_map": imaging.noise_fitted,
        "model_image": model,
        "model_image_sd": images.std(axis=0),
        "lens_light": light,
        "lensed_source": model - light,
        "residual": residual,
        "normalized_residual": residual / imaging.noise_fitted,
    }
    ny, nx = imaging.shape_native
    dataset = xr.Dataset(
        {name: (("y", "x"), imaging.native(values)) for name, values in fitted.items()},
        coords={
            "y": (np.arange(ny) - (ny - 1) / 2) * imaging.pixel_scales,
            "x": (np.arange(nx) - (nx - 1) / 2) * imaging.pixel_scales,
        },
    )
    units = dict.fromkeys(fitted, _unit(imaging)) | {"normalized_residual": "", "y": "arcsec", "x": "arcsec"}
    return _with_units(dataset, units)


def _evidence_dataset(solutions: list[_Solution], coords: dict) -> xr.Dataset:
    terms = {
        name: ("sample", np.array([getattr(solution.terms, name) for solution in solutions]))
        for name in (*EvidenceTerms._fields, "log_evidence")
    }
    return xr.Dataset(terms, coords=coords)


def _with_units(dataset: xr.Dataset, units: dict[str, str]) -> xr.Dataset:
    for name, unit in units.items():
        dataset[name].attrs["units"] = unit
    return dataset
