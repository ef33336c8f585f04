"""How well a model predicts each pixel from the others: what ArviZ's leave-one-out functions read."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

from pymc_lens.distributions import lensed_images, observed_data
from pymc_lens.draws import ImageDraws, checked_model, chosen_draws
from pymc_lens.inference.workers import shared_work
from pymc_lens.inversion.leave_one_out import leave_out, require_predictive
from pymc_lens.pixels import pixel_coords
from pymc_lens.point import find_image
from pymc_lens.progress import shown

# ArviZ refuses to smooth equal weights, which pixels have that no draw says anything of: those outside a
# source's window, or of endless noise. This much is added to each density at random.
_DITHER = 1e-10
# Attribute of log densities: what coefficients that are drawn at each draw are drawn from.
STREAMS = "seed_of_coefficients"


def compute_log_likelihood(
    idata: DataTree,
    *,
    model: pm.Model | None = None,
    cores: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
) -> DataTree:
    r"""Add the predictive density of every pixel at every draw to ``idata``, in place.

    With it ``az.loo(idata)`` and ``az.compare({...})`` tell how well models predict a pixel from the others.

    The pixels of an image are not independent given the parameters :math:`\theta` of a draw, since source and
    light have been integrated over. What is added is :math:`\ln p(y_i | y_{-i}, \theta)`, the density of each
    pixel given all others, in closed form. As :math:`p(\theta | y_{-i}) \propto p(\theta | y) / p(y_i |
    y_{-i}, \theta)`, its inverse is the weight of a draw once pixel i is left out, as that of the
    likelihood is where observations are independent, and Pareto-smoothed importance sampling goes on as there
    (Bürkner, Gabry & Vehtari 2021, Comput. Stat. 36, 1243; Vehtari, Gelman & Gabry 2017, Stat. Comput. 27,
    1413).

    With ``positivity="marginal"`` that density has no closed form. Amplitudes of light are integrated over
    by the draws that the evidence is estimated with. A source has too many pixels for that: with what is
    confined after it, it is drawn from its posterior at each draw instead, and
    :math:`\ln p(y_i | s, \theta)` is added: leave-one-out of the joint draws, which estimates the same, with
    larger Pareto k. With ``"map"`` and ``"nnls"`` the likelihood is no probability of the data and there is
    nothing to compare.

    Parameters
    ----------
    idata : DataTree
        With a ``posterior`` group, sampled from this model.
    model : pm.Model, optional
        By default the model on the context stack.
    cores : int, optional
        Processes; by default one for each core.
    random_seed : int or Generator, optional
        Of sources that are drawn, for ``positivity="marginal"``.
    progressbar : bool

    Returns
    -------
    DataTree
        ``idata`` with the group ``log_likelihood``: each observed image (chain, draw, pixel), with the
        pixels' positions ``<pixel>_y`` and ``<pixel>_x``, arcsec. Other variables of the group stay.

    Raises
    ------
    TypeError, ValueError
        As `pymc_lens.reconstruct`; and ValueError if no image of the model is observed, or its positivity is
        ``"map"`` or ``"nnls"``.

    Examples
    --------
    >>> pl.compute_log_likelihood(idata, model=model)  # doctest: +SKIP
    >>> az.loo(idata, pointwise=True).pareto_k.max()  # doctest: +SKIP
    """
    model = checked_model(model)
    left_out = _left_out(idata, model, cores, random_seed, progressbar)
    _put(idata, "log_likelihood", {name: each.log_density for name, each in left_out.items()})
    return idata


def sample_loo_predictive(
    idata: DataTree,
    *,
    model: pm.Model | None = None,
    cores: int | None = None,
    random_seed: int | np.random.Generator | None = None,
    progressbar: bool = True,
) -> DataTree:
    """Draw every pixel from what the others predict: what ``az.loo_pit`` and its figures need.

    `pymc_lens.sample_posterior_predictive` draws from what all pixels predict, the one in question among
    them, which has too often been close by. Here each pixel is drawn from its density given the others, that
    of `compute_log_likelihood`.

    Parameters
    ----------
    idata, model, cores, random_seed, progressbar
        As of `compute_log_likelihood`.

    Returns
    -------
    DataTree
        A new one: the groups ``posterior`` and ``observed_data`` of ``idata``, ``log_likelihood``, and
        ``posterior_predictive`` with a draw of each pixel (chain, draw, pixel) from its density.

    Raises
    ------
    TypeError, ValueError
        As `compute_log_likelihood`.

    Examples
    --------
    >>> az.loo_pit(pl.sample_loo_predictive(idata, model=model))  # doctest: +SKIP
    """
    model = checked_model(model)
    left_out = _left_out(idata, model, cores, random_seed, progressbar)
    result = DataTree(children={"posterior": DataTree(idata["posterior"].to_dataset())})
    _put(result, "observed_data", {name: each.observed for name, each in left_out.items()})
    _put(result, "log_likelihood", {name: each.log_density for name, each in left_out.items()})
    _put(result, "posterior_predictive", {name: each.drawn for name, each in left_out.items()})
    return result


class _LeftOut(NamedTuple):
    """Of one image: (pixel), and twice (chain, draw, pixel)."""

    observed: xr.DataArray
    log_density: xr.DataArray
    drawn: xr.DataArray


def _left_out(
    idata: DataTree,
    model: pm.Model,
    cores: int | None,
    random_seed: int | np.random.Generator | None,
    progressbar: bool,
) -> dict[str, _LeftOut]:
    images = _observed_images(model)
    posterior = chosen_draws(idata, model, list(images.values()))
    rng = np.random.default_rng(random_seed)
    return {
        name: _of_image(model, image, posterior, cores, rng.spawn(1)[0], progressbar)
        for name, image in images.items()
    }


def _observed_images(model: pm.Model) -> dict[str, TensorVariable]:
    images = lensed_images(model)
    if not images:
        find_image(model, None)  # says so
    observed = {name: image for name, image in images.items() if observed_data(model, image) is not None}
    if not observed:
        raise ValueError(f"model: none of its images {sorted(images)} is observed: there are no data.")
    for image in observed.values():
        require_predictive(image.owner.op.inversion)
    return observed


def _of_image(
    model: pm.Model,
    image: TensorVariable,
    posterior: xr.Dataset,
    cores: int | None,
    rng: np.random.Generator,
    progressbar: bool,
) -> _LeftOut:
    draws, dataset = ImageDraws(model, image), image.tag.dataset
    data, n_draws = np.asarray(draws.observed), posterior.sizes["sample"]

    seed = int(rng.integers(2**62))

    def at_draw(k: int) -> tuple[np.ndarray, np.ndarray]:
        stream = stream_of_draw(seed, k)
        predicted = leave_out(draws.inversion, draws.arrays(posterior.isel(sample=k)), stream)
        return predicted.log_density, predicted.draw(stream)

    log_density, drawn = np.empty((2, n_draws, data.size))
    with shown(f"Leaving out pixels of {image.name}", progressbar) as report:
        for done, (k, result) in enumerate(shared_work(at_draw, range(n_draws), cores), start=1):
            log_density[k], drawn[k] = result
            report(f"{done} of {n_draws}")
    log_density += rng.uniform(0.0, _DITHER, log_density.shape)
    (dim,) = model.named_vars_to_dims[image.name]
    pixels = {dim: np.array(model.coords[dim]), **pixel_coords(dataset, dim)}
    samples = {name: posterior.indexes["sample"].unique(name) for name in ("chain", "draw")}
    return _LeftOut(
        xr.DataArray(data, dims=(dim,), coords=pixels),
        *(
            xr.DataArray(
                values.reshape(*map(len, samples.values()), data.size),
                dims=(*samples, dim),
                coords={**samples, **pixels},
                attrs={STREAMS: seed},
            )
            for values in (log_density, drawn)
        ),
    )


def stream_of_draw(seed: int, k: int) -> np.random.Generator:
    """Return what coefficients are drawn from at draw k of all chains, the first chain's first."""
    return np.random.default_rng([seed, k])


def _put(idata: DataTree, group: str, variables: dict[str, Any]) -> None:
    before = idata[group].to_dataset() if group in idata.children else xr.Dataset()
    idata[group] = DataTree(before.assign(variables))
