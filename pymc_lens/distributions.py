"""The image of a lens with a pixelized source, as a PyMC distribution."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.logprob.abstract import _logprob
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.variable import TensorVariable

from pymc_lens.graph import build_inversion
from pymc_lens.imaging import Imaging
from pymc_lens.inversion.problem import InversionInputs, PixelizedInversion
from pymc_lens.ops import LogEvidence
from pymc_lens.tracer import Tracer
from pymc_lens.validation import require_instance

_AT_FLIPS = (
    "The log evidence jumps wherever an edge of the source's triangulation flips: its interpolation or its "
    "prior depends on who is whose neighbour. Gradients hold the triangulation fixed. VoronoiNN with "
    "MaternSPDE or Dirichlet is smooth."
)
_AT_CROSSINGS = (
    "The log evidence jumps wherever a ray passes from one source pixel to another: the prior takes the "
    "adapt image's mean over the rays of each source pixel, whose number is whole. Gradients hold these "
    "numbers fixed. AdaptAmplitude of MaternSPDE or Dirichlet adapts to the same image and jumps neither on "
    "VoronoiNN nor on rectangular meshes."
)


class PixelizedImageRV(RandomVariable):
    """Random image of a source and linear light drawn from their priors, lensed, blurred, with noise.

    Parameters
    ----------
    problem : PixelizedInversion
    """

    name = "pixelized_image"
    signature = "(r,a),(v,a),(l,g),(h)->(p)"
    dtype = "float64"
    _print_name = ("PixelizedImage", "\\operatorname{PixelizedImage}")
    __props__ = (*RandomVariable.__props__, "problem")

    def __init__(self, problem: PixelizedInversion, **kwargs: Any) -> None:
        self.problem = problem
        super().__init__(**kwargs)

    def _supp_shape_from_params(self, dist_params: Any, param_shapes: Any = None) -> list[Any]:
        return [pt.constant(self.problem.imaging.fitted.size, dtype="int64")]

    def rng_fn(self, rng: np.random.Generator, *args: Any) -> np.ndarray:
        """Draw images of shape ``size + (n_fitted,)``; parameters may carry the same leading dimensions."""
        *parameters, size = args
        core = (2, 2, 2, 1)
        batch = np.broadcast_shapes(
            size or (), *(part.shape[: part.ndim - n] for part, n in zip(parameters, core, strict=True))
        )
        parts = [
            np.broadcast_to(part, batch + part.shape[part.ndim - n :])
            for part, n in zip(parameters, core, strict=True)
        ]
        images = np.empty((*batch, self.problem.imaging.fitted.size))
        data = np.zeros(self.problem.imaging.fitted.size)
        for place in np.ndindex(batch):
            inputs = InversionInputs(data, *(np.ascontiguousarray(part[place]) for part in parts))
            images[place] = self.problem.draw_prior_image(inputs, rng)
        return images


class PixelizedImage(pm.Continuous):
    r"""Image of a lens whose source is pixelized and marginalised analytically.

    The log-probability is the Bayesian evidence of the pixelized inversion (Suyu et al. 2006, MNRAS 371, 983,
    eq. 19): source pixels and linear light amplitudes have Gaussian priors and are integrated out. A draw
    takes source and amplitudes from these priors, lenses and blurs them, and adds noise.

    Parameters
    ----------
    name : str
    tracer : Tracer
        Lens and pixelized source; its numbers may be random variables.
    observed : Imaging, optional
        The dataset to condition on.
    dataset : Imaging, optional
        Where there is nothing to condition on: the dataset whose mask, PSF and noise the image has.
    dims : str, optional
        Name of the image's dimension, by default ``"<name>_pixel"``: the fitted pixels in the order of
        `Imaging.fitted`. Draws of `pymc_lens.sample` hold their positions, ``<dims>_y`` and ``<dims>_x``.
    **kwargs
        As of any PyMC distribution.

    Raises
    ------
    TypeError
        If ``observed`` or ``dataset`` is not `Imaging`, neither or both are given, or ``dims`` is no name.
    ValueError
        If the tracer has no pixelized source, or the model has the dimension already, with another length.

    Notes
    -----
    `pymc.sample_prior_predictive` and `pymc.sample_posterior_predictive` draw the source from its prior, at
    the other parameters of a draw: right for the marginal model, but images of other sources than the data
    show. For a posterior predictive check, `pymc_lens.sample_posterior_predictive` draws it from its
    posterior.

    An image is *one* observation with one log-likelihood, the log evidence: there is nothing to leave out,
    and `arviz.loo` of a model with one image means nothing. Compare models by their marginal likelihoods
    (``log_marginal_likelihood`` of `pymc.sample_smc`) and by posterior predictive checks. The log evidence of
    a fit compares pixelizations at the same lens.
    """

    rv_type = PixelizedImageRV

    def __new__(
        cls,
        name: str,
        tracer: Tracer,
        *,
        observed: Imaging | None = None,
        dataset: Imaging | None = None,
        dims: str | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        if (observed is None) == (dataset is None):
            raise TypeError(
                "observed: give the dataset either as observed=... or as dataset=..., not both or none."
            )
        require_instance("name", name, str)
        if kwargs.keys() & {"shape", "size"}:
            raise TypeError("shape: an image has that of its dataset's fitted pixels. Leave it out.")
        imaging = observed if observed is not None else dataset
        if not isinstance(imaging, Imaging):
            raise TypeError(f"observed: expected Imaging, got {type(imaging).__name__}.")
        model = pm.modelcontext(None)
        dims = f"{model.name_for(name)}_pixel" if dims is None else dims
        _register_pixels(model, name, dims, imaging.fitted.size)
        return super().__new__(
            cls,
            name,
            tracer,
            imaging,
            observed=None if observed is None else imaging.data_fitted,
            dims=dims,
            **kwargs,
        )

    @classmethod
    def dist(cls, tracer: Tracer, dataset: Imaging, **kwargs: Any) -> TensorVariable:
        """Return an image that is not registered in a model; see the class for the parameters."""
        problem, inputs = build_inversion(tracer, dataset)
        if problem.jumps_at_flips:
            warnings.warn(_AT_FLIPS, stacklevel=3)
        if problem.regularization.counts_rays:
            warnings.warn(_AT_CROSSINGS, stacklevel=3)
        image = super().dist(inputs, problem=problem, **kwargs)
        image.tag.tracer = tracer
        return image

    @classmethod
    def rv_op(cls, *dist_params: TensorVariable, problem: PixelizedInversion, **kwargs: Any) -> Any:
        return PixelizedImageRV(problem)(*dist_params, **kwargs)


@_logprob.register(PixelizedImageRV)
def pixelized_image_logp(
    op: PixelizedImageRV,
    values: list[TensorVariable],
    rng: Any,
    size: Any,
    *inputs: TensorVariable,
    **kwargs: Any,
) -> TensorVariable:
    """Log evidence of an image under its model."""
    (value,) = values
    return LogEvidence(op.problem)(value, *inputs)


@pm.distributions.distribution._support_point.register(PixelizedImageRV)
def pixelized_image_support_point(
    op: PixelizedImageRV, rv: TensorVariable, *inputs: TensorVariable
) -> TensorVariable:
    """Return the mean of the prior: an image without light."""
    return pt.zeros(op.problem.imaging.fitted.size)


def _register_pixels(model: pm.Model, name: str, dim: Any, n_pixels: int) -> None:
    """Give a model the dimension of an image; PyMC finds one of another length only after sampling."""
    if not isinstance(dim, str):
        raise TypeError(f"dims: expected the name of one dimension, got {dim!r}.")
    if dim == name:
        raise ValueError(f"dims: expected another name than that of the image, got {dim!r} for both.")
    if dim not in model.dim_lengths:
        model.add_coord(dim, np.arange(n_pixels))
        return
    (length,) = pytensor.function([], [model.dim_lengths[dim]], mode="FAST_COMPILE")()
    if length != n_pixels:
        raise ValueError(
            f"dims: {dim!r} has length {length} in this model already, but {name!r} has {n_pixels} fitted "
            "pixels. Give every image a dimension of its own."
        )


def pixelized_images(model: pm.Model) -> dict[str, TensorVariable]:
    """Return the model's pixelized images by name, observed or not."""
    return {rv.name: rv for rv in model.basic_RVs if isinstance(rv.owner.op, PixelizedImageRV)}
