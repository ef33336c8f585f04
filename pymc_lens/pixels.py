"""Where the pixels of an image lie: coordinates along its one dimension, and back to two."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pymc_lens.data.imaging import Imaging
from pymc_lens.validation import require_instance

_AXES = {"y": "row", "x": "column"}


def pixel_coords(imaging: Imaging, dim: str) -> dict[str, xr.DataArray]:
    """Return the places of an image's fitted pixels along a dimension, as coordinates.

    Parameters
    ----------
    imaging : Imaging
    dim : str

    Returns
    -------
    dict
        ``<dim>_y`` and ``<dim>_x``, positions on the sky in arcsec, and ``<dim>_row`` and ``<dim>_column``,
        whose attributes are the number of these and the size of a pixel.
    """
    coords = {}
    positions = imaging.plane.grid[imaging.fitted]
    places = imaging.plane.pixel_rows[imaging.fitted], imaging.plane.pixel_cols[imaging.fitted]
    for k, (axis, name) in enumerate(_AXES.items()):
        coords[f"{dim}_{axis}"] = xr.DataArray(positions[:, k], dims=(dim,), attrs={"units": "arcsec"})
        frame = {"size": imaging.shape_native[k], "pixel_scale": imaging.pixel_scales}
        coords[f"{dim}_{name}"] = xr.DataArray(places[k], dims=(dim,), attrs=frame)
    return coords


def as_image(pixels: xr.DataArray) -> xr.DataArray:
    """Arrange values of an image's fitted pixels as the image.

    Parameters
    ----------
    pixels : DataArray (..., pixel)
        Of a group of draws, such as ``idata["posterior_predictive"]["image"]``, ``log_likelihood`` or
        ``observed_data``, or anything made of them, such as ``az.loo(idata, pointwise=True).elpd_i``.

    Returns
    -------
    DataArray (..., y, x)
        NaN where nothing is fitted. The coordinates y and x are those of the image's own frame, in arcsec
        from its centre.

    Raises
    ------
    TypeError
        If it is no DataArray.
    ValueError
        If its pixels have no places.

    Examples
    --------
    >>> pl.as_image(idata["posterior_predictive"]["image"]).mean(("chain", "draw")).plot()  # doctest: +SKIP
    """
    require_instance("pixels", pixels, xr.DataArray)
    dims = [dim for dim in pixels.dims if {f"{dim}_{name}" for name in _AXES.values()} <= set(pixels.coords)]
    if len(dims) != 1:
        raise ValueError(
            "pixels: expected a dimension with coordinates <pixel>_row and <pixel>_column, as groups that "
            f"pymc_lens makes have, got the coordinates {list(pixels.coords)}."
        )
    (dim,) = dims
    values = pixels.transpose(..., dim)
    places = [pixels.coords[f"{dim}_{name}"] for name in _AXES.values()]
    shape = tuple(int(place.attrs["size"]) for place in places)
    image = np.full((*values.shape[:-1], *shape), np.nan)
    image[..., places[0].values, places[1].values] = values.values
    kept = {name: coord for name, coord in pixels.coords.items() if dim not in coord.dims}
    axes = {
        axis: xr.DataArray(
            (np.arange(n) - (n - 1) / 2) * float(place.attrs["pixel_scale"]),
            dims=(axis,),
            attrs={"units": "arcsec"},
        )
        for axis, n, place in zip(_AXES, shape, places, strict=True)
    }
    return xr.DataArray(
        image, dims=(*values.dims[:-1], *_AXES), coords={**kept, **axes}, name=pixels.name, attrs=pixels.attrs
    )
