"""The linear parts of an image as the model has them: what a galaxy holds, and the sky."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, NamedTuple, override

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.imaging import Imaging
from pymc_lens.data.over_sampling import RadialBins
from pymc_lens.galaxy import Pixelization
from pymc_lens.light.base import LightProfile
from pymc_lens.linear.base import LinearScheme
from pymc_lens.linear.dense_columns import FixedColumns, LightColumns
from pymc_lens.linear.pixelized import PixelizedScheme
from pymc_lens.tracer import Tracer
from pymc_lens.validation import integer, positive_number

# Prior standard deviation of an amplitude in units of the brightest pixel: wide enough for a Gaussian much
# narrower than the PSF, whose peak the PSF lowers tenfold.
_AMPLITUDE_RANGE = 10.0
_HIGHEST_ORDER = 1


class OnImage(NamedTuple):
    """A part on one image.

    Attributes
    ----------
    scheme : LinearScheme
    inputs : tuple of TensorVariable
        What the scheme reads, in the order of its inputs.
    """

    scheme: LinearScheme
    inputs: tuple[TensorVariable, ...]


class LinearPart(ABC):
    """A part of an image that is linear in its coefficients; others may be random variables.

    Attributes
    ----------
    name : str
        Unique in an image.
    positivity : str or None
        See `pymc_lens.Pixelization`.
    """

    name: str
    positivity: str | None

    @abstractmethod
    def on(self, dataset: Imaging) -> OnImage:
        """Return the part's numerics and symbolic inputs for a dataset.

        Raises
        ------
        ValueError
            If the part cannot serve this dataset.
        """


@dataclass(frozen=True, eq=False)
class PixelizedSource(LinearPart):
    """A pixelized source behind a lens.

    Parameters
    ----------
    name : str
    pixelization : Pixelization
    tracer : Tracer
    redshift : float
    """

    name: str
    pixelization: Pixelization
    tracer: Tracer
    redshift: float

    @property
    def positivity(self) -> str | None:  # type: ignore[override]
        return self.pixelization.positivity

    @override
    def on(self, dataset: Imaging) -> OnImage:
        mesh, regularization = self.pixelization.mesh.scheme(dataset.plane), self.pixelization.regularization
        scheme = PixelizedScheme(
            self.name,
            mesh,
            regularization.scheme(dataset.plane),
            dataset.plane.n_pixels,
            self.positivity is not None,
        )
        rays = self.tracer.traced_grid(dataset.plane.source_grid, self.redshift)
        vertices = self.tracer.traced_grid(mesh.image_plane_vertices, self.redshift)
        return OnImage(scheme, (rays, vertices, _vector(regularization.parameters)))


@dataclass(frozen=True, eq=False)
class Light(LinearPart):
    """The light of a galaxy in front of all lenses.

    Parameters
    ----------
    name : str
    light : LightProfile
    """

    name: str
    light: LightProfile

    @property
    def positivity(self) -> str | None:  # type: ignore[override]
        return self.light.positivity

    @override
    def on(self, dataset: Imaging) -> OnImage:
        grid, scale, frame = dataset.light_grid, dataset.pixel_scales, dataset.plane.frame
        averages = [self.light.averages(points, sub_size, scale, frame) for sub_size, points in grid.groups]
        return self._on_pixels(dataset, grid.pixel_index, averages)

    def _on_pixels(self, dataset: Imaging, pixels: np.ndarray, averages: list[TensorVariable]) -> OnImage:
        scales = _amplitude_scales(self.light, dataset)
        scheme = LightColumns(self.name, scales, pixels, self.positivity is not None)
        columns = averages[0] if len(averages) == 1 else pt.concatenate(averages, axis=1)
        return OnImage(scheme, (columns,))


@dataclass(frozen=True, eq=False)
class LensedLight(Light):
    """The light of a galaxy behind a lens.

    It is seen wherever the lens puts it: its sub-pixels are as fine all over the mask, and the finer the
    narrower its narrowest feature.

    Parameters
    ----------
    name, light
        See `Light`.
    tracer : Tracer
    redshift : float
    """

    tracer: Tracer
    redshift: float

    @override
    def on(self, dataset: Imaging) -> OnImage:
        size = dataset.over_sample_size_lp
        if isinstance(size, RadialBins):
            # What the PSF scatters in from beyond the mask is little, and smooth.
            size = np.where(dataset.plane.mask.array, 1, self.light.sub_size(dataset.pixel_scales))
        grid = dataset.plane.light_grid(dataset.psf, dataset.psf_centre, size)
        traced = (
            (sub_size, self.tracer.traced_grid(points, self.redshift)) for sub_size, points in grid.groups
        )
        averages = [self.light.averages_at(rays, sub_size**2) for sub_size, rays in traced]
        return self._on_pixels(dataset, grid.pixel_index, averages)


class PointImages(Light):
    """Images of points behind a lens, at positions in the image.

    Parameters
    ----------
    name, light
        See `Light`.
    """


@dataclass(frozen=True)
class Sky(LinearPart):
    """A background of the image: a level of any sign, and a gradient if asked for.

    Parameters
    ----------
    order : int
        0: a level; 1: a level and a gradient along y and x.
    scale : float, optional
        Prior standard deviation of the level, and of its change from the centre to the edge of the image; by
        default ten times the brightest fitted pixel.

    Raises
    ------
    TypeError
        If an argument is no number.
    ValueError
        If the order is neither 0 nor 1, or the scale not positive.
    """

    order: int = 0
    scale: float | None = None
    name = "sky"
    positivity = None

    def __post_init__(self) -> None:
        if integer("order", self.order, minimum=0) > _HIGHEST_ORDER:
            raise ValueError(f"order: expected 0 (a level) or 1 (a gradient too), got {self.order}.")
        if self.scale is not None:
            positive_number("scale", self.scale)

    @override
    def on(self, dataset: Imaging) -> OnImage:
        height, width = dataset.light_grid.frame_shape
        y, x = np.linspace(-1.0, 1.0, height)[:, None], np.linspace(-1.0, 1.0, width)[None]
        frames = np.broadcast_arrays(1.0, y, x) if self.order else [np.ones((height, width))]
        values = np.array([frame.ravel() for frame in frames])
        scale = _default_scale(dataset) if self.scale is None else self.scale
        scheme = FixedColumns(self.name, np.full(len(values), scale), np.arange(height * width), values)
        return OnImage(scheme, ())


def parts_of(tracer: Tracer) -> list[LinearPart]:
    """Return the linear parts of a tracer's galaxies, nearest first.

    A pixelized source has its galaxy's name, light that with ``_light`` behind it, and points that a lens
    does not move with ``_points``.
    """
    parts: list[LinearPart] = []
    for galaxy, name in zip(tracer.galaxies, tracer.names, strict=True):
        if galaxy.light is not None and tracer.lenses(galaxy.redshift):
            parts.extend(_behind_a_lens(name, galaxy.light, tracer, galaxy.redshift))
        elif galaxy.light is not None:
            parts.append(Light(f"{name}_light", galaxy.light))
        if galaxy.pixelization is not None:
            parts.append(PixelizedSource(name, galaxy.pixelization, tracer, galaxy.redshift))
    return parts


def _behind_a_lens(name: str, light: LightProfile, tracer: Tracer, redshift: float) -> list[LinearPart]:
    parts: list[LinearPart] = []
    lensed = [profile for profile in light.parts if profile.is_lensed]
    if lensed:
        parts.append(LensedLight(f"{name}_light", reduce(add, lensed), tracer, redshift))
    if len(lensed) < len(light.parts):
        points = [profile for profile in light.parts if not profile.is_lensed]
        parts.append(PointImages(f"{name}_points", reduce(add, points)))
    return parts


def _vector(parameters: tuple[Any, ...]) -> TensorVariable:
    if not parameters:
        return pt.as_tensor_variable(np.empty(0))
    return pt.concatenate([pt.as_tensor_variable(part).astype("float64").ravel() for part in parameters])


def _default_scale(dataset: Imaging) -> float:
    return _AMPLITUDE_RANGE * float(np.abs(dataset.data_fitted).max())


def _amplitude_scales(light: LightProfile, dataset: Imaging) -> np.ndarray:
    scales = [
        _default_scale(dataset) * part.relative_scales(dataset.pixel_scales)
        if part.intensity_scale is None
        else np.full(part.n_columns, positive_number("intensity_scale", part.intensity_scale))
        for part in light.parts
    ]
    return np.concatenate(scales)
