"""The posterior of a lens model with compact sources in the places of the pixelized ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.blocking import DictToArrayBijection, RaveledVars
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.imaging import Imaging
from pymc_lens.distributions import observed_data
from pymc_lens.errors import InadmissibleError
from pymc_lens.inference.values import marked, point_info
from pymc_lens.inversion.compact_source import CompactFit, CompactInputs, CompactSource, ComponentFluxes
from pymc_lens.parts import Light, parts_of

# Standard deviations of the priors of a source's elliptical components, and of the distance (arcsec) between
# components: a source is one object. Far apart, they could copy two images behind a lens that bends little.
_ELLIPTICITY, _APART = 0.25, 0.15


class CompactImage(NamedTuple):
    """An image of the model with compact sources.

    Attributes
    ----------
    compact : CompactSource
    dataset : Imaging
    columns, rays : list of TensorVariable
        See `CompactInputs`.
    """

    compact: CompactSource
    dataset: Imaging
    columns: list[TensorVariable]
    rays: list[TensorVariable]

    def light(self) -> list[TensorVariable]:
        """Columns in front of the lenses."""
        pairs = zip(self.compact.depending, self.columns, strict=True)
        return [columns for part, columns in pairs if part.name not in self.compact.lensed]


class CompactDensity:
    """Log prior of a model + log-likelihood of its images with compact sources, with the exact gradient.

    Nothing here knows a mass profile: rays and light are read from the graph of the model. A vector holds the
    model's value variables, flattened (n_model,), then centre (y, x), arcsec, and elliptical components
    (e_y, e_x) of each component of what is in the place of each pixelized source. Its length says how many
    components a source has.

    Parameters
    ----------
    model : pm.Model
        Of continuous variables.
    images : sequence of TensorVariable
        Its observed images.

    Attributes
    ----------
    evaluations : int
        Of the gradient, so far.
    n_sources : int
        Pixelized sources of all images.
    pixel_scales : (n_sources,) float64
        Arcsec, of the image that a source is seen in.
    of_light, of_mass : (n_model,) bool
        Coordinates on which the light in front of the lenses depends; others on which sources depend.
    """

    def __init__(self, model: pm.Model, images: Sequence[TensorVariable]) -> None:
        self.evaluations = 0
        self.images = [_image(model, rv) for rv in images]
        n_sources = [image.compact.n_sources for image in self.images]
        self.n_sources = sum(n_sources)
        self._info = point_info(model)
        self.of_light = self._influences([part for image in self.images for part in image.light()])
        outputs = [part for image in self.images for part in (*image.columns, *image.rays)]
        self.of_mass = self._influences(outputs) & ~self.of_light
        self.n_model = self.of_mass.size
        self._compile(model, images, outputs)
        # Without a mass the rays are where the pixels are, and sources as wide as the image.
        extents = [np.ptp(image.dataset.plane.grid, axis=0).max() for image in self.images]
        self._extents = np.repeat(extents, n_sources)
        self.pixel_scales = np.repeat([image.dataset.pixel_scales for image in self.images], n_sources)

    def _influences(self, outputs: list[TensorVariable]) -> np.ndarray:
        return marked(self._info, {variable.name for variable in ancestors(outputs)})

    def _compile(
        self, model: pm.Model, images: Sequence[TensorVariable], outputs: list[TensorVariable]
    ) -> None:
        others = [rv for rv in model.basic_RVs if rv not in images]
        log_prior = model.logp(vars=others) + model.potentiallogp
        bars = [output.type() for output in outputs]
        cost = log_prior + sum((output * bar).sum() for output, bar in zip(outputs, bars, strict=True))
        values = model.continuous_value_vars
        gradient = pt.grad(cost, values, disconnected_inputs="ignore")
        self._forward = pm.compile(values, [log_prior, *outputs], on_unused_input="ignore")
        self._backward = pm.compile([*values, *bars], gradient, on_unused_input="ignore")

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density and gradient (n,) at a vector (n,); -inf and zeros where it is inadmissible."""
        return self._with_gradient(vector, CompactSource.fit)

    def of_light_alone(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate the same without sources."""
        return self._with_gradient(vector, CompactSource.fit_light)

    def value(self, vector: np.ndarray) -> float:
        """Log density alone."""
        try:
            log_prior, _, fits = self._solved(vector, CompactSource.fit)
        except InadmissibleError:
            return -np.inf
        return self._total(log_prior, fits, vector)

    def fits(
        self, vector: np.ndarray, solve: Callable[[CompactSource, CompactInputs], CompactFit]
    ) -> list[CompactFit]:
        """Solve for the amplitudes of each image.

        Raises
        ------
        InadmissibleError
            If the likelihood is zero there.
        """
        return self._solved(vector, solve)[2]

    def component_fluxes(self, vector: np.ndarray) -> ComponentFluxes:
        """Measure the components (n_sources, n_components) of the sources of all images."""
        _, inputs, fits = self._solved(vector, CompactSource.fit)
        of_images = [
            image.compact.component_fluxes(part, fit)
            for image, part, fit in zip(self.images, inputs, fits, strict=True)
        ]
        return ComponentFluxes(*map(np.concatenate, zip(*of_images, strict=True)))

    def rays(self, vector: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """Positions (n_rays, 2) of each image's sub-pixels in the planes of its pixelized sources."""
        return [part.rays for part in self._inputs(vector)[1]]

    def sources(self, vector: np.ndarray) -> np.ndarray:
        """Centres and elliptical components (n_sources, n_components, 4) of the sources."""
        return vector[self.n_model :].reshape(self.n_sources, -1 if self.n_sources else 1, 4)

    def point(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Value variables of the model by name."""
        return DictToArrayBijection.rmap(RaveledVars(vector[: self.n_model], self._info))

    def _with_gradient(
        self, vector: np.ndarray, solve: Callable[[CompactSource, CompactInputs], CompactFit]
    ) -> tuple[float, np.ndarray]:
        self.evaluations += 1
        try:
            log_prior, inputs, fits = self._solved(vector, solve)
        except InadmissibleError:
            return -np.inf, np.zeros(vector.size)
        bars = [
            image.compact.gradient(part, fit)
            for image, part, fit in zip(self.images, inputs, fits, strict=True)
        ]
        of_model = self._backward(
            *self.point(vector).values(), *(part for bar in bars for part in (*bar.columns, *bar.rays))
        )
        gradient = np.concatenate([*map(np.ravel, of_model), *(bar.sources.ravel() for bar in bars)])
        gradient[self.n_model :] += self._source_log_prior(vector)[1]
        return self._total(log_prior, fits, vector), gradient

    def _total(self, log_prior: float, fits: list[CompactFit], vector: np.ndarray) -> float:
        total = log_prior + sum(fit.log_likelihood for fit in fits) + self._source_log_prior(vector)[0]
        return float(total) if np.isfinite(total) else -np.inf

    def _solved(
        self, vector: np.ndarray, solve: Callable[[CompactSource, CompactInputs], CompactFit]
    ) -> tuple[float, list[CompactInputs], list[CompactFit]]:
        log_prior, inputs = self._inputs(vector)
        fits = [solve(image.compact, part) for image, part in zip(self.images, inputs, strict=True)]
        return log_prior, inputs, fits

    def _inputs(self, vector: np.ndarray) -> tuple[float, list[CompactInputs]]:
        log_prior, *outputs = self._forward(*self.point(vector).values())
        given = iter(map(np.ascontiguousarray, outputs))
        sources = self.sources(vector)
        of_each = iter(sources)
        return float(log_prior), [
            CompactInputs(
                tuple(islice(given, len(image.columns))),
                tuple(islice(given, len(image.rays))),
                np.reshape(list(islice(of_each, len(image.rays))), (len(image.rays), *sources.shape[1:])),
            )
            for image in self.images
        ]

    def _source_log_prior(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """Return normal priors, weak but for the distances of a source's components, and their gradient."""
        sources = self.sources(vector)
        from_origin, others = sources[:, :1, :2] / self._extents[:, None, None], sources[:, 1:, :2]
        apart = (others - sources[:, :1, :2]) / _APART
        shapes = sources[:, :, 2:] / _ELLIPTICITY
        gradient = np.empty(sources.shape)
        gradient[:, :1, :2] = -from_origin / self._extents[:, None, None]
        gradient[:, :1, :2] += apart.sum(axis=1, keepdims=True) / _APART
        gradient[:, 1:, :2] = -apart / _APART
        gradient[:, :, 2:] = -shapes / _ELLIPTICITY
        total = sum(float((part**2).sum()) for part in (from_origin, apart, shapes))
        return -0.5 * total, gradient.ravel()


def _image(model: pm.Model, rv: TensorVariable) -> CompactImage:
    inversion, dataset = rv.owner.op.inversion, rv.tag.dataset
    data = observed_data(model, rv)
    assert data is not None
    lensed = {part.name for part in parts_of(rv.tag.tracer) if type(part) is not Light}
    variables = model.replace_rvs_by_values(list(rv.owner.op.dist_params(rv.owner)))
    of_parts = inversion.arrays_of((None, *variables))
    return CompactImage(
        CompactSource(inversion, data, dataset.pixel_scales, lensed),
        dataset,
        [of_parts[part.name][0] for part in inversion.dense if part.inputs],
        [of_parts[part.name][0] for part in inversion.mapped],
    )
