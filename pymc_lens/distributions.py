"""The image of a lens, as a PyMC distribution."""

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

from pymc_lens.assembly import assemble
from pymc_lens.data.imaging import Imaging
from pymc_lens.evaluate import evaluate_once
from pymc_lens.inversion.inversion import Inversion
from pymc_lens.linear.pixelized import PixelizedScheme
from pymc_lens.ops import LogEvidence
from pymc_lens.parts import Sky
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


class LensedImageRV(RandomVariable):
    """Random image of sources, linear light and sky drawn from their priors, lensed, blurred, with noise.

    Parameters
    ----------
    inversion : Inversion
    """

    name = "lensed_image"
    dtype = "float64"
    _print_name = ("LensedImage", "\\operatorname{LensedImage}")
    __props__ = (*RandomVariable.__props__, "inversion")

    def __init__(self, inversion: Inversion, **kwargs: Any) -> None:
        self.inversion = inversion
        # A rewrite of PyTensor's makes it anew of all its properties, the signature among them.
        super().__init__(**kwargs | {"signature": _signature(inversion)})

    def _supp_shape_from_params(self, dist_params: Any, param_shapes: Any = None) -> list[Any]:
        return [pt.constant(self.inversion.response.noise.size, dtype="int64")]

    def rng_fn(self, rng: np.random.Generator, *args: Any) -> np.ndarray:
        """Draw images of shape ``size + (n_fitted,)``; parameters may carry the same leading dimensions."""
        *parameters, size = args
        core = [each.ndim for each in self.inversion.inputs[1:]]
        pairs = list(zip(parameters, core, strict=True))
        batch = np.broadcast_shapes(size or (), *(part.shape[: part.ndim - n] for part, n in pairs))
        parts = [np.broadcast_to(part, batch + part.shape[part.ndim - n :]) for part, n in pairs]
        data = np.zeros(self.inversion.response.noise.size)
        images = np.empty((*batch, data.size))
        for place in np.ndindex(batch):
            arrays = (data, *(np.ascontiguousarray(part[place]) for part in parts))
            images[place] = self.inversion.draw_prior_image(arrays, rng)
        return images


def _signature(inversion: Inversion) -> str:
    """Core dimensions of the inputs, each with names of its own, as PyTensor reads them."""
    cores = [
        ",".join(f"d{place}_{axis}" for axis in range(each.ndim))
        for place, each in enumerate(inversion.inputs[1:])
    ]
    return ",".join(f"({core})" for core in cores) + "->(p)"


class LensedImage(pm.Continuous):
    r"""Image of a lens whose linear parts are marginalised analytically.

    Pixelized sources, light in front of the lens and behind it, and the sky are linear in pixels and
    amplitudes, which have Gaussian priors and are integrated out: the log-probability is the Bayesian
    evidence of the inversion (Suyu et al. 2006, MNRAS 371, 983, eq. 19). A draw takes pixels and amplitudes
    from these priors, lenses and blurs them, and adds noise.

    Parameters
    ----------
    name : str
    tracer : Tracer
        Lenses and sources; its numbers may be random variables.
    observed : Imaging, optional
        The dataset to condition on.
    dataset : Imaging, optional
        Where there is nothing to condition on: the dataset whose mask, PSF and noise the image has.
    sky : Sky, optional
        A background, by default none.
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
        If nothing of the tracer shines, or the model has the dimension already, with another length.

    Notes
    -----
    `pymc.sample_prior_predictive` and `pymc.sample_posterior_predictive` draw the source from its prior, at
    the other parameters of a draw: right for the marginal model, but images of other sources than the data
    show. For a posterior predictive check, `pymc_lens.sample_posterior_predictive` draws it from its
    posterior.

    To PyMC an image is *one* observation with one log-likelihood, the log evidence: there is nothing to leave
    out. `pymc_lens.compute_log_likelihood` gives one a pixel, with which `arviz.loo` means something;
    `pymc_lens.log_marginal_likelihood` is the evidence of the whole model. The log evidence of a fit compares
    pixelizations at the same lens.
    """

    rv_type = LensedImageRV

    def __new__(
        cls,
        name: str,
        tracer: Tracer,
        *,
        observed: Imaging | None = None,
        dataset: Imaging | None = None,
        sky: Sky | None = None,
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
            sky,
            observed=None if observed is None else imaging.data_fitted,
            dims=dims,
            **kwargs,
        )

    @classmethod
    def dist(cls, tracer: Tracer, dataset: Imaging, sky: Sky | None = None, **kwargs: Any) -> TensorVariable:
        """Image that is not registered in a model.

        Parameters
        ----------
        tracer, dataset, sky
            See the class.
        **kwargs
            As of ``dist`` of any PyMC distribution.

        Returns
        -------
        (n_fitted,) TensorVariable

        Raises
        ------
        TypeError
            If an argument is of another kind.
        ValueError
            If nothing of the tracer shines.
        """
        inversion, inputs = assemble(tracer, dataset, sky)
        pixelized = [part for part in inversion.parts if isinstance(part, PixelizedScheme)]
        if any(part.jumps_at_flips for part in pixelized):
            warnings.warn(_AT_FLIPS, stacklevel=3)
        if any(part.regularization.counts_rays for part in pixelized):
            warnings.warn(_AT_CROSSINGS, stacklevel=3)
        image = super().dist(inputs, inversion=inversion, **kwargs)
        image.tag.tracer, image.tag.dataset = tracer, dataset
        return image

    @classmethod
    def rv_op(cls, *dist_params: TensorVariable, inversion: Inversion, rng: Any = None, **kwargs: Any) -> Any:
        rng = pt.random.shared_rng(seed=None) if rng is None else rng
        return LensedImageRV(inversion)(*dist_params, rng=rng, return_next_rng=True, **kwargs)[1]


@_logprob.register(LensedImageRV)
def lensed_image_logp(
    op: LensedImageRV,
    values: list[TensorVariable],
    rng: Any,
    size: Any,
    *inputs: TensorVariable,
    **kwargs: Any,
) -> TensorVariable:
    """Log evidence of an image under its model."""
    (value,) = values
    return LogEvidence(op.inversion)(value, *inputs)


@pm.distributions.distribution._support_point.register(LensedImageRV)
def lensed_image_support_point(
    op: LensedImageRV, rv: TensorVariable, *inputs: TensorVariable
) -> TensorVariable:
    """Return the mean of the prior: an image without light."""
    return pt.zeros(op.inversion.response.noise.size)


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


def lensed_images(model: pm.Model) -> dict[str, TensorVariable]:
    """Return the model's lensed images by name, observed or not."""
    return {rv.name: rv for rv in model.basic_RVs if isinstance(rv.owner.op, LensedImageRV)}


def observed_data(model: pm.Model, image: TensorVariable) -> np.ndarray | None:
    """Return the data (n_fitted,) that an image is conditioned on; None where it is not observed."""
    if image in model.free_RVs:
        return None
    (data,) = evaluate_once([model.rvs_to_values[image]])
    return data
