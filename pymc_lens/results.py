"""Source reconstructions and images of a posterior, as ArviZ groups."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from xarray import DataTree

from pymc_lens.data.imaging import Imaging
from pymc_lens.distributions import lensed_images
from pymc_lens.draws import ImageDraws, checked_model, chosen_draws
from pymc_lens.geometry.lattice import lattice, square_around
from pymc_lens.inversion.inversion import EvidenceTerms
from pymc_lens.pixels import pixel_coords
from pymc_lens.point import find_image, numbered_tracer
from pymc_lens.progress import counted
from pymc_lens.provenance import stamp
from pymc_lens.solved_image import PixelizedSourceView, SolvedImage, Source
from pymc_lens.validation import integer

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
    that of the whole posterior. That the model has other priors or another mesh than the one that was sampled
    is not noticed, where its variables have the same names.

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
            ``source_on_grid`` (sample, grid_y, grid_x), the brightness on a regular grid around what is seen
            of the source, its ``mean``, ``sd`` and ``quantiles`` (quantile, grid_y, grid_x). ``flux``
            (sample) is the source's total, surface brightness times arcsec^2, and ``magnification`` (sample)
            that of its image within the mask over it. Of a pixelized source ``source`` (sample,
            source_pixel) with positions ``source_y`` and ``source_x`` on the mesh.
        ``image_reconstruction``
            ``model_image``, ``residual``, ``normalized_residual``, ``lens_light``, ``lensed_source`` and the
            image of each linear part by its name: means over the draws (y, x), NaN outside the fitted pixels,
            with ``data`` and ``noise_map``; ``model_image_sd``. Amplitudes of light and sky:
            ``<part>_intensities`` (sample, <part>_column).
        ``evidence``
            The terms of the log evidence and ``log_evidence`` (sample); ``chi_squared`` is that of the most
            probable source.

        Where the image has several sources, there is a group for each: ``<source>_reconstruction``. Where the
        model has several images their names go before: ``<image>_source_reconstruction`` and so on.
        Variables carry their ``units``.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If there is no posterior, it lacks variables or was sampled with another dataset, ``num_draws`` is
        less than one, or the model has no image, or several and no ``var_name`` is given.
    """
    model = checked_model(model)
    image = find_image(model, var_name)
    posterior = chosen_draws(idata, model, [image], num_draws)
    rng = np.random.default_rng(random_seed)
    draws = _Draws(model, image)
    solutions = [
        draws.solved(posterior.isel(sample=k), rng)
        for k in counted(posterior.sizes["sample"], "Reconstructing sources", progressbar)
    ]
    coords = {name: ("sample", posterior[name].values) for name in ("chain", "draw")}
    datasets = {
        "image_reconstruction": _image_dataset(solutions, coords),
        "evidence": _evidence_dataset(solutions, coords),
        **{
            name: _source_dataset([solution.drawn.sources[source] for solution in solutions], coords)
            for source, name in source_groups(list(solutions[0].drawn.sources)).items()
        },
    }
    prefix = group_prefix(model, image.name)
    for group, dataset in datasets.items():
        idata[prefix + group] = DataTree(dataset.assign_attrs(image=image.name))
    return idata


def sample_prior_predictive(
    draws: int = 100,
    *,
    model: pm.Model | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> DataTree:
    """Draw images from the prior: of everything that is random, source and light among it, with noise.

    As `pymc.sample_prior_predictive`, with the places of the images' pixels: `pymc_lens.as_image` shows them.

    Parameters
    ----------
    draws : int
    model : pm.Model, optional
        By default the model on the context stack.
    random_seed : int or Generator, optional

    Returns
    -------
    DataTree
        With the groups ``prior`` and ``prior_predictive``, whose images are (chain, draw, pixel).

    Raises
    ------
    TypeError, ValueError
        If an argument is not as expected.

    Examples
    --------
    >>> prior = pl.sample_prior_predictive(3, model=model)  # doctest: +SKIP
    >>> pl.as_image(prior["prior_predictive"]["image"]).plot(col="draw")  # doctest: +SKIP
    """
    model = checked_model(model)
    idata = pm.sample_prior_predictive(integer("draws", draws, 1), model=model, random_seed=random_seed)
    stamp(idata, model)
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
        pixel), the draws as those of a single chain; `pymc_lens.as_image` shows them as images.

    Raises
    ------
    TypeError, ValueError
        As `reconstruct`.

    Examples
    --------
    >>> pl.sample_posterior_predictive(idata, model=model)  # doctest: +SKIP
    >>> az.plot_ppc_dist(idata)  # doctest: +SKIP
    """
    model = checked_model(model)
    images = lensed_images(model)
    if not images:
        find_image(model, None)  # says so
    posterior = chosen_draws(idata, model, list(images.values()), num_draws)
    rng = np.random.default_rng(random_seed)
    n_draws = posterior.sizes["sample"]
    predictive: dict[str, Any] = {}
    coords: dict[str, Any] = {"chain": [0], "draw": np.arange(n_draws)}
    for name, image in images.items():
        draws, dataset = _Draws(model, image), image.tag.dataset
        drawn = [
            draws.predicted(posterior.isel(sample=k), rng)
            for k in counted(n_draws, f"Predicting {name}", progressbar)
        ]
        (dim,) = model.named_vars_to_dims[name]
        units = {"units": _unit(dataset)}
        predictive[name] = (("chain", "draw", dim), np.array(drawn)[None], units)
        coords |= {dim: np.array(model.coords[dim]), **pixel_coords(dataset, dim)}
    idata["posterior_predictive"] = DataTree(xr.Dataset(predictive, coords))
    return idata


def group_prefix(model: pm.Model, image_name: str) -> str:
    """Return what the groups that `reconstruct` adds for an image begin with."""
    return f"{image_name}_" if len(lensed_images(model)) > 1 else ""


def source_groups(names: list[str]) -> dict[str, str]:
    """Return the group of each source of an image."""
    if len(names) == 1:
        return {names[0]: "source_reconstruction"}
    return {name: f"{name}_reconstruction" for name in names}


class _Draws(ImageDraws):
    """Draws of everything that is linear in an image, at draws of everything that is not."""

    def solved(self, draw: xr.Dataset, rng: np.random.Generator) -> _Solved:
        values = {rv.name: draw[rv.name].values for rv in self.variables}
        solution = self.inversion.invert(self.arrays(draw))
        best = self.inversion.model_image(solution, solution.coefficients)
        drawn = SolvedImage(
            self.inversion, self.dataset, solution, self.inversion.draw_coefficients(solution, rng),
            self.parts, lambda: numbered_tracer(self.model, self.image, values),
        )  # fmt: skip
        return _Solved(drawn, best)

    def predicted(self, draw: xr.Dataset, rng: np.random.Generator) -> np.ndarray:
        """Image (n_fitted,) of parts drawn from their posterior, with noise."""
        solution = self.inversion.invert(self.arrays(draw))
        image = self.inversion.model_image(solution, self.inversion.draw_coefficients(solution, rng))
        return image + rng.standard_normal(image.size) * self.inversion.response.noise


class _Solved(NamedTuple):
    drawn: SolvedImage
    most_probable_image: np.ndarray


def _unit(imaging: Imaging) -> str:
    return imaging.unit or "data units"


def _source_dataset(sources: list[Source], coords: dict) -> xr.Dataset:
    low, high = square_around(np.concatenate([source.detected_rays for source in sources]))
    grid_y, grid_x = (np.linspace(low[axis], high[axis], _SOURCE_GRID) for axis in (0, 1))
    points = lattice(grid_y, grid_x)
    on_grid = np.array([source.brightness(points) for source in sources])
    grid = ("grid_y", "grid_x")
    variables: dict[str, Any] = {
        "source_on_grid": (("sample", *grid), on_grid),
        "mean": (grid, on_grid.mean(axis=0)),
        "sd": (grid, on_grid.std(axis=0)),
        "quantiles": (("quantile", *grid), np.quantile(on_grid, _QUANTILES, axis=0)),
        "flux": ("sample", np.array([source.flux for source in sources])),
        "magnification": ("sample", np.array([source.magnification for source in sources])),
    }
    pixelized = [source for source in sources if isinstance(source, PixelizedSourceView)]
    if pixelized:
        pixels = ("sample", "source_pixel")
        vertices = np.array([source.vertices for source in pixelized])
        variables |= {
            "source": (pixels, np.array([source.reconstruction for source in pixelized])),
            "source_y": (pixels, vertices[..., 0]),
            "source_x": (pixels, vertices[..., 1]),
        }
    coords = {**coords, "grid_y": grid_y, "grid_x": grid_x, "quantile": list(_QUANTILES)}
    brightness = _unit(sources[0].dataset)
    units = {
        **dict.fromkeys(("source", "source_on_grid", "mean", "sd", "quantiles"), brightness),
        **dict.fromkeys(("source_y", "source_x", "grid_y", "grid_x"), "arcsec"),
        "flux": f"{brightness} arcsec2",
        "magnification": "",
    }
    return _with_units(xr.Dataset(variables, coords), units)


def _image_dataset(solutions: list[_Solved], coords: dict) -> xr.Dataset:
    imaging, first = solutions[0].drawn.dataset, solutions[0].drawn
    residual = imaging.data_fitted - np.mean([each.most_probable_image for each in solutions], axis=0)
    draws = [each.drawn for each in solutions]
    models = np.array([draw.model for draw in draws])
    fitted = {
        "data": imaging.data_fitted,
        "noise_map": imaging.noise_fitted,
        "model_image": imaging.data_fitted - residual,
        "model_image_sd": models.std(axis=0),
        "lens_light": np.mean([draw.lens_light for draw in draws], axis=0),
        "lensed_source": np.mean([draw.lensed_source for draw in draws], axis=0),
        **{name: np.mean([draw.images[name] for draw in draws], axis=0) for name in first.images},
        "residual": residual,
        "normalized_residual": residual / imaging.noise_fitted,
    }
    intensities = {
        f"{name}_intensities": (
            ("sample", f"{name}_column"), np.array([draw.coefficients[name] for draw in draws])
        )
        for name in first.dense
    }  # fmt: skip
    ny, nx = imaging.shape_native
    dataset = xr.Dataset(
        {name: (("y", "x"), imaging.native(values)) for name, values in fitted.items()} | intensities,
        coords={
            **coords,
            "y": (np.arange(ny) - (ny - 1) / 2) * imaging.pixel_scales,
            "x": (np.arange(nx) - (nx - 1) / 2) * imaging.pixel_scales,
        },
    )
    brightness = dict.fromkeys((*fitted, *intensities), _unit(imaging))
    return _with_units(dataset, brightness | {"normalized_residual": "", "y": "arcsec", "x": "arcsec"})


def _evidence_dataset(solutions: list[_Solved], coords: dict) -> xr.Dataset:
    terms = {
        name: ("sample", np.array([getattr(each.drawn.terms, name) for each in solutions]))
        for name in (*EvidenceTerms._fields, "log_evidence")
    }
    return xr.Dataset(terms, coords=coords)


def _with_units(dataset: xr.Dataset, units: dict[str, str]) -> xr.Dataset:
    for name in units.keys() & dataset.variables.keys():
        dataset[name].attrs["units"] = units[name]
    return dataset
