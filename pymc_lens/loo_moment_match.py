"""Leave-one-out of pixels that draws of the whole posterior say too little of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from arviz_stats.loo.loo_moment_match import loo_moment_match as arviz_loo_moment_match
from arviz_stats.utils import ELPDDataLOO
from pymc.blocking import DictToArrayBijection, RaveledVars
from pytensor.tensor.variable import TensorVariable
from xarray import DataTree

from pymc_lens.cross_validation import STREAMS, stream_of_draw
from pymc_lens.distributions import observed_data
from pymc_lens.draws import checked_model, chosen_draws
from pymc_lens.errors import InadmissibleError
from pymc_lens.inference.values import Values, point_info, points_of
from pymc_lens.inference.workers import shared_work
from pymc_lens.inversion.leave_one_out import leave_out, require_predictive
from pymc_lens.point import find_image
from pymc_lens.progress import Report, shown
from pymc_lens.validation import require_instance


def loo_moment_match(
    idata: DataTree,
    loo: ELPDDataLOO,
    *,
    model: pm.Model | None = None,
    var_name: str | None = None,
    cores: int | None = None,
    progressbar: bool = True,
) -> ELPDDataLOO:
    """Improve leave-one-out where Pareto's k is high: draws are moved to the posterior without the pixel.

    A pixel that much depends on, as of the nucleus of a bright lens or beside a bad pixel, cannot be left out
    by weighing the draws of the whole posterior. Here draws are shifted and stretched until they fit the
    posterior without it, pixel by pixel (Paananen et al. 2021, Stat. Comput. 31, 16), as
    `arviz_stats.loo_moment_match` does; it is given this model's log density and those of its pixels. With
    ``positivity="marginal"`` parameters are moved, and a source that is drawn only as far as it depends on
    these.

    Parameters
    ----------
    idata : DataTree
        After `compute_log_likelihood`.
    loo : ELPDDataLOO
        ``az.loo(idata, pointwise=True)``.
    model : pm.Model, optional
        By default the model on the context stack.
    var_name : str, optional
        Name of the image, where the model has several.
    cores : int, optional
        Processes; by default one for each core.
    progressbar : bool

    Returns
    -------
    ELPDDataLOO
        ``loo`` with the numbers of these pixels replaced, or as it is, if there are none. Each takes a few
        times as many values of the model as there are draws.

    Raises
    ------
    TypeError, ValueError
        As `compute_log_likelihood`; or ValueError if ``loo`` is not pointwise, or ``idata`` has no
        ``log_likelihood`` of the image, as `compute_log_likelihood` adds it.

    Examples
    --------
    >>> pl.compute_log_likelihood(idata, model=model)  # doctest: +SKIP
    >>> loo = az.loo(idata, pointwise=True)  # doctest: +SKIP
    >>> pl.loo_moment_match(idata, loo, model=model).pareto_k.max()  # doctest: +SKIP
    """
    require_instance("loo", loo, ELPDDataLOO)
    if loo.pareto_k is None or loo.elpd_i is None:
        raise ValueError("loo: expected az.loo(idata, pointwise=True), got one without its pixels.")
    model = checked_model(model)
    image = find_image(model, var_name)
    draws = chosen_draws(idata, model, [image])
    if "log_likelihood" not in idata.children or image.name not in idata["log_likelihood"]:
        raise ValueError(f"idata: no log_likelihood of {image.name!r}: call pl.compute_log_likelihood first.")
    seed = idata["log_likelihood"][image.name].attrs.get(STREAMS)
    if seed is None:
        raise ValueError(
            f"idata: its log_likelihood of {image.name!r} is not of pl.compute_log_likelihood: call that."
        )
    if not (loo.pareto_k > loo.good_k).any():
        return loo
    pixels, values = PixelDensities(model, image, int(seed), cores), Values(model, point_info(model), cores)
    shape = tuple(draws.indexes["sample"].unique(name).size for name in ("chain", "draw"))
    points = points_of(model, draws).reshape(*shape, -1)
    with shown(f"Leaving out pixels of {image.name}", progressbar) as report:
        return arviz_loo_moment_match(
            idata, loo, var_name=image.name, pointwise=True,
            upars=xr.DataArray(points, dims=("chain", "draw", "coordinate")),
            log_prob_upars_fn=lambda upars: _of_points(upars, lambda flat: values(flat, report)),
            log_lik_i_upars_fn=lambda upars, i: _of_points(upars, lambda flat: pixels(flat, i, report)),
        )  # fmt: skip


def _of_points(upars: xr.DataArray, function: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
    """Evaluate at points (chain, draw, coordinate)."""
    chains, draws, n = upars.shape
    found = function(upars.values.reshape(-1, n)).reshape(chains, draws)
    return upars.isel(coordinate=0, drop=True).copy(data=found)


class PixelDensities:
    """Log density of a pixel given all others, at flat vectors of the model's value variables.

    Coefficients that are drawn are functions of a vector and of random numbers of its draw: these stay as
    they were while the draw is moved.
    """

    def __init__(self, model: pm.Model, image: TensorVariable, seed: int, cores: int | None) -> None:
        self._inversion, self._seed, self._cores = image.owner.op.inversion, seed, cores
        data = observed_data(model, image)
        if data is None:
            raise ValueError(f"model: its image {image.name!r} is not observed: there are no data.")
        require_predictive(self._inversion)
        self._data, self._info = np.asarray(data), point_info(model)
        parameters = model.replace_rvs_by_values(list(image.owner.op.dist_params(image.owner)))
        self._function = pytensor.function(model.value_vars, parameters, on_unused_input="ignore")
        self._names = [variable.name for variable in model.value_vars]

    def __call__(self, points: np.ndarray, pixel: int, report: Report) -> np.ndarray:
        found = np.empty(len(points))

        def density(k: int) -> float:
            return self._at(points[k], pixel, stream_of_draw(self._seed, k))

        for done, (k, result) in enumerate(shared_work(density, range(len(points)), self._cores), start=1):
            found[k] = result
            report(f"{done} of {len(points)}, pixel {pixel}")
        return found

    def _at(self, flat: np.ndarray, pixel: int, stream: np.random.Generator) -> float:
        point = DictToArrayBijection.rmap(RaveledVars(flat, self._info))
        arrays = (self._data, *self._function(*(point[name] for name in self._names)))
        try:
            predicted = leave_out(self._inversion, arrays, stream)
        except InadmissibleError:
            return 0.0  # of no weight: its log density is -inf
        return float(predicted.log_density[pixel])
