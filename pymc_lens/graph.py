"""The symbolic path from a tracer to the inputs of its inversion."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.galaxy import Pixelization
from pymc_lens.imaging import Imaging
from pymc_lens.inversion.problem import PixelizedInversion
from pymc_lens.inversion.solver import SOLVERS
from pymc_lens.light.base import LightProfile, images_of
from pymc_lens.tracer import Tracer
from pymc_lens.validation import positive_number

# Prior standard deviation of a light column's amplitude in units of the brightest pixel: wide enough for a
# Gaussian much narrower than the PSF, whose peak the PSF lowers tenfold.
_AMPLITUDE_RANGE = 10.0
# Of the distance of sub-pixels: of a narrower Gaussian the nearest may see less than 2 % of the peak.
_RESOLVED = 0.25


class SymbolicInputs(NamedTuple):
    """What an inversion reads of the model: `InversionInputs` without the data, as symbolic variables."""

    rays: TensorVariable
    vertices: TensorVariable
    light: TensorVariable
    regularization: TensorVariable


def build_inversion(tracer: Tracer, dataset: Imaging) -> tuple[PixelizedInversion, SymbolicInputs]:
    """Split a model of an image into its static part and the symbolic inputs of that part.

    Parameters
    ----------
    tracer : Tracer
        With one pixelized source; its numbers may be random variables.
    dataset : Imaging

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If no galaxy of the tracer has a pixelization.
    """
    if not isinstance(tracer, Tracer):
        raise TypeError(f"tracer: expected a Tracer, got {type(tracer).__name__}.")
    if not isinstance(dataset, Imaging):
        raise TypeError(f"dataset: expected Imaging, got {type(dataset).__name__}.")
    pixelization = cast(Pixelization, tracer.source_galaxy.pixelization)
    _require_resolved(tracer.lights, dataset)
    mesh = pixelization.mesh.scheme(dataset)
    problem = PixelizedInversion(
        dataset,
        mesh,
        pixelization.regularization.scheme(dataset),
        _amplitude_scales(tracer.lights, dataset),
        SOLVERS[pixelization.positivity],
    )
    inputs = SymbolicInputs(
        rays=tracer.traced_grid(dataset.source_grid),
        vertices=tracer.traced_grid(mesh.image_plane_vertices),
        light=_light_columns(tracer.lights, dataset),
        regularization=_vector(pixelization.regularization.parameters),
    )
    return problem, inputs


def _require_resolved(lights: tuple[LightProfile, ...], dataset: Imaging) -> None:
    """Raise ValueError if a profile's light could fall between the sub-pixels."""
    spacing = dataset.pixel_scales / max(sub_size for sub_size, _ in dataset.light_grid.groups)
    for light in lights:
        scale = light.smallest_scale
        if scale is not None and scale < _RESOLVED * spacing:
            raise ValueError(
                f"light: expected structure of at least {_RESOLVED * spacing:.2g} arcsec, got {scale:.2g}: "
                f"its light falls between the sub-pixels, which are {spacing:.2g} arcsec apart at best. "
                "Leave out what is that narrow, or raise over_sample_size_lp."
            )


def _vector(parameters: tuple[Any, ...]) -> TensorVariable:
    if not parameters:
        return pt.as_tensor_variable(np.empty(0))
    return pt.concatenate([pt.as_tensor_variable(part).astype("float64").ravel() for part in parameters])


def _amplitude_scales(lights: tuple[LightProfile, ...], dataset: Imaging) -> tuple[float, ...]:
    default = _AMPLITUDE_RANGE * float(np.abs(dataset.data_fitted).max())
    scales: list[float] = []
    for light in lights:
        given = light.intensity_scale
        scale = default if given is None else positive_number("intensity_scale", given)
        scales += [scale] * light.n_columns
    return tuple(scales)


def _light_columns(lights: tuple[LightProfile, ...], dataset: Imaging) -> TensorVariable:
    if not lights:
        return pt.as_tensor_variable(np.empty((0, dataset.light_grid.pixel_index.size)))
    return pt.concatenate([_pixel_averages(light, dataset) for light in lights], axis=0)


def _pixel_averages(light: LightProfile, dataset: Imaging) -> TensorVariable:
    averages = []
    for sub_size, points in dataset.light_grid.groups:
        images = images_of(light, points)
        if sub_size > 1:
            images = images.reshape((light.n_columns, len(points) // sub_size**2, sub_size**2)).mean(axis=-1)
        averages.append(images)
    return pt.concatenate(averages, axis=1)
