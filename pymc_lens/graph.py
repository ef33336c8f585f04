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
from pymc_lens.light.base import LightProfile
from pymc_lens.tracer import Tracer
from pymc_lens.validation import positive_number

# Prior standard deviation of a light column's amplitude in units of the brightest pixel: wide enough for a
# Gaussian much narrower than the PSF, whose peak the PSF lowers tenfold.
_AMPLITUDE_RANGE = 10.0


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
    mesh = pixelization.mesh.scheme(dataset.plane)
    problem = PixelizedInversion(
        dataset,
        mesh,
        pixelization.regularization.scheme(dataset.plane),
        _amplitude_scales(tracer.lights, dataset),
        SOLVERS[pixelization.positivity],
    )
    inputs = SymbolicInputs(
        rays=tracer.traced_grid(dataset.plane.source_grid),
        vertices=tracer.traced_grid(mesh.image_plane_vertices),
        light=_light_columns(tracer.lights, dataset),
        regularization=_vector(pixelization.regularization.parameters),
    )
    return problem, inputs


def _vector(parameters: tuple[Any, ...]) -> TensorVariable:
    if not parameters:
        return pt.as_tensor_variable(np.empty(0))
    return pt.concatenate([pt.as_tensor_variable(part).astype("float64").ravel() for part in parameters])


def _amplitude_scales(lights: tuple[LightProfile, ...], dataset: Imaging) -> tuple[float, ...]:
    default = _AMPLITUDE_RANGE * float(np.abs(dataset.data_fitted).max())
    scales: list[float] = []
    for light in lights:
        given = light.intensity_scale
        if given is None:
            scales += list(default * light.relative_scales(dataset.pixel_scales))
        else:
            scales += [positive_number("intensity_scale", given)] * light.n_columns
    return tuple(scales)


def _light_columns(lights: tuple[LightProfile, ...], dataset: Imaging) -> TensorVariable:
    if not lights:
        return pt.as_tensor_variable(np.empty((0, dataset.light_grid.pixel_index.size)))
    return pt.concatenate([_pixel_averages(light, dataset) for light in lights], axis=0)


def _pixel_averages(light: LightProfile, dataset: Imaging) -> TensorVariable:
    groups = dataset.light_grid.groups
    scale, frame = dataset.pixel_scales, dataset.plane.frame
    averages = [light.averages(points, sub_size, scale, frame) for sub_size, points in groups]
    return pt.concatenate(averages, axis=1)
