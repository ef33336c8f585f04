"""Source reconstructions and images of a posterior, as ArviZ groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pymc.progress_bar import create_simple_progress, default_progress_theme
from threadpoolctl import threadpool_limits
from xarray import DataTree

from pymc_lens.inversion.problem import EvidenceTerms, InversionInputs, PixelizedInversion
from pymc_lens.lattice import bright_square, lattice
from pymc_lens.point import find_image, observed_data

_SOURCE_GRID = 100
# Median, 68 % and 95 % intervals.
_QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)


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
        With a ``posterior`` group.
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
            ``source_on_grid`` (sample, grid_y, grid_x) on a regular grid around what is bright, its
            ``mean``, ``sd`` and ``quantiles`` (quantile, grid_y, grid_x). ``flux`` (sample) is the source's
            total, surface brightness times arcsec^2, and ``magnification`` (sample) that of its image within
            the mask over it.
        ``image_reconstruction``
            ``model_image``, ``lens_light``, ``residual``, ``normalized_residual``: means over the draws
            (y, x), NaN outside the fitted pixels, with ``data`` and ``noise_map``; ``model_image_sd``.
        ``evidence``
            The terms of the log evidence and ``log_evidence`` (sample); ``chi_squared`` is that of the most
            probable source.

    Raises
    ------
    ValueError
        If there is no posterior, or no or several pixelized images and no ``var_name``.
    """
    model = pm.modelcontext(model)
    if "posterior" not in idata.children:
        raise ValueError("idata: expected a DataTree with a posterior group, as pl.sample returns.")
    image = find_image(model, var_name)
    problem = image.owner.op.problem
    rng = np.random.default_rng(random_seed)
    evaluate = _inputs_function(model, image)
    posterior = idata["posterior"].to_dataset().stack(sample=("chain", "draw"))
    chosen = np.unique(np.linspace(0, posterior.sizes["sample"] - 1, num_draws).astype(int))
    solutions = []
    progress = create_simple_progress(progressbar=progressbar, progressbar_theme=default_progress_theme)
    with progress, threadpool_limits(1, user_api="blas"):
        task = progress.add_task("Reconstructing sources", completed=0, total=len(chosen))
        for done, k in enumerate(chosen, start=1):
            solutions.append(_Solution(problem, evaluate(posterior.isel(sample=k)), rng))
            progress.update(task, completed=done)
    coords = {name: ("sample", posterior[name].values[chosen]) for name in ("chain", "draw")}
    idata["source_reconstruction"] = DataTree(_source_dataset(problem, solutions, coords))
    idata["image_reconstruction"] = DataTree(_image_dataset(problem, solutions))
    idata["evidence"] = DataTree(_evidence_dataset(solutions, coords))
    return idata


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


def _inputs_function(model: pm.Model, image: pm.model.core.TensorVariable) -> Callable:
    parameters = list(image.owner.op.dist_params(image.owner))
    function = pytensor.function(model.free_RVs, parameters, on_unused_input="ignore")
    observed = observed_data(model, image)

    def evaluate(draw: xr.Dataset) -> InversionInputs:
        return InversionInputs(observed, *function(*(draw[rv.name].values for rv in model.free_RVs)))

    return evaluate


def _source_dataset(problem: PixelizedInversion, solutions: list[_Solution], coords: dict) -> xr.Dataset:
    vertices = np.array([solution.geometry.vertices for solution in solutions])
    sources = np.array([solution.source for solution in solutions])
    low, high = bright_square(vertices.reshape(-1, 2), sources.ravel())
    grid_y, grid_x = (np.linspace(low[axis], high[axis], _SOURCE_GRID) for axis in (0, 1))
    points = lattice(grid_y, grid_x).reshape(-1, 2)
    on_grid = np.array(
        [problem.mesh.interpolate(solution.geometry, points).apply(solution.source) for solution in solutions]
    ).reshape(-1, _SOURCE_GRID, _SOURCE_GRID)
    pixels = ("sample", "source_pixel")
    grid = ("grid_y", "grid_x")
    return xr.Dataset(
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
        attrs={"units": "surface brightness of the data; positions in arcsec"},
    )


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
    return xr.Dataset(
        {name: (("y", "x"), imaging.native(values)) for name, values in fitted.items()},
        coords={
            "y": (np.arange(ny) - (ny - 1) / 2) * imaging.pixel_scales,
            "x": (np.arange(nx) - (nx - 1) / 2) * imaging.pixel_scales,
        },
    )


def _evidence_dataset(solutions: list[_Solution], coords: dict) -> xr.Dataset:
    terms = {
        name: ("sample", np.array([getattr(solution.terms, name) for solution in solutions]))
        for name in (*EvidenceTerms._fields, "log_evidence")
    }
    return xr.Dataset(terms, coords=coords)
