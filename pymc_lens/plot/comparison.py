"""Figures that compare models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import arviz as az
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from xarray import DataTree

from pymc_lens.inference.importance import RELIABLE_K
from pymc_lens.pixels import as_image
from pymc_lens.plot.images import frame, intensity_norm, panels, show_image, show_residuals
from pymc_lens.validation import require_instance


def subplot_elpd_difference(
    models: Mapping[str, DataTree], var_name: str | None = None, *, axes: Any = None
) -> Figure:
    """Show which pixels one model predicts better than another.

    Panels: the data; the difference of the expected log predictive densities (elpd) of each pixel given all
    others, red where the first model wins; and Pareto's k of whichever model has the larger, which should be
    below 0.7 everywhere.

    Parameters
    ----------
    models : mapping of str to DataTree
        Two, by name: fits of the same pixels, with the groups ``observed_data`` and ``log_likelihood``, see
        `pymc_lens.compute_log_likelihood`.
    var_name : str, optional
        Name of the image, where there are several.
    axes : (3,) array of Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Figure

    Raises
    ------
    TypeError
        If ``models`` is something else.
    ValueError
        If there are not two, one has no predictive densities of this image, or they are fits of other pixels.
    """
    require_instance("models", models, Mapping)
    if len(models) != 2:
        raise ValueError(f"models: expected two by their names, got {list(models)}.")
    (first, one), (second, other) = models.items()
    names = {_image_name(name, idata, var_name) for name, idata in models.items()}
    image = names.pop()
    data_of_one, data_of_other = (idata["observed_data"].to_dataset()[image].values for idata in (one, other))
    if names or not np.array_equal(data_of_one, data_of_other):
        raise ValueError(f"models: {first!r} and {second!r} are fits of other data or pixels.")
    loos = [az.loo(idata, pointwise=True, var_name=image) for idata in (one, other)]
    difference = loos[0].elpd_i - loos[1].elpd_i
    worst = as_image(np.maximum(loos[0].pareto_k, loos[1].pareto_k)).values
    data = as_image(difference.copy(data=data_of_one))
    where = frame(data.values, float(data["y"][1] - data["y"][0]))
    figure, axes = panels(axes, (1, 3))
    norm = intensity_norm(data.values)
    show_image(axes[0, 0], data.values, title="Data", label="data units", norm=norm, **where)
    error = float(np.sqrt(difference.size) * difference.std())
    title = f"{first} against {second}\nelpd {float(difference.sum()):+.1f} ± {error:.1f}"
    label = "difference of a pixel's elpd"
    show_residuals(axes[0, 1], as_image(difference).values, title=title, label=label, **where)
    norm = Normalize(0.0, max(RELIABLE_K, float(np.nanmax(worst))))
    show_image(axes[0, 2], worst, title="Pareto k", label="k", norm=norm, **where)
    return figure


def _image_name(name: str, idata: Any, var_name: str | None) -> str:
    """Return the name of the image, after all that can be wrong with a model's draws."""
    require_instance(f"models[{name!r}]", idata, DataTree)
    missing = {"log_likelihood", "observed_data"} - set(idata.children)
    if missing:
        raise ValueError(
            f"models[{name!r}]: has no group {sorted(missing)}. Give what pl.sample returns, after "
            "pl.compute_log_likelihood(idata, model=...)."
        )
    images = [str(image) for image in idata["log_likelihood"].data_vars]
    if var_name is None and len(images) == 1:
        return images[0]
    if var_name not in images:
        raise ValueError(f"var_name: expected one of {images}, got {var_name!r}.")
    return var_name
