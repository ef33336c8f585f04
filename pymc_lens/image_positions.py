"""The positions of the images of a point, as a PyMC distribution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.logprob.abstract import _logprob
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.variable import TensorVariable

from pymc_lens.priors import POSITION
from pymc_lens.symbolic import pair, scalar, vector
from pymc_lens.tracer import Tracer
from pymc_lens.validation import is_symbolic, positive_number, real_numbers, require_instance

# Images are not stretched more than the inverse of this along any direction: on a critical curve an error of
# sigma in the image is one of sigma times this in the source plane, in the place of none.
_SOFTENING = 0.01
_TINY = 1e-300


class _Matrix(NamedTuple):
    """A matrix of two rows at every image, by elements (...)."""

    yy: Any
    yx: Any
    xy: Any
    xx: Any

    @classmethod
    def of(cls, array: Any) -> _Matrix:
        return cls(array[..., 0, 0], array[..., 0, 1], array[..., 1, 0], array[..., 1, 1])

    @property
    def determinant(self) -> Any:
        return self.yy * self.xx - self.yx * self.xy

    @property
    def inverse(self) -> _Matrix:
        over = 1.0 / self.determinant
        return _Matrix(over * self.xx, -over * self.yx, -over * self.xy, over * self.yy)

    def times(self, y: Any, x: Any) -> tuple[Any, Any]:
        return self.yy * y + self.yx * x, self.xy * y + self.xx * x

    def form(self, y: Any, x: Any) -> Any:
        """Quadratic form at a vector."""
        along_y, along_x = self.times(y, x)
        return y * along_y + x * along_x


def _softened(jacobian: _Matrix, parity: Any) -> tuple[_Matrix, _Matrix]:
    """Return a Jacobian of singular values ``sqrt(s^2 + _SOFTENING^2)``, and its product with its transpose.

    By the polar decomposition ``A = H Q``: the product is ``H^2``, and Q the sum of A and its cofactors,
    those with the sign of the parity, up to a factor.
    """
    a, b, c, d = jacobian
    squared = _Matrix(
        a * a + b * b + _SOFTENING**2, a * c + b * d, a * c + b * d, c * c + d * d + _SOFTENING**2
    )
    size = squared.determinant**0.5
    over = 1.0 / (squared.yy + squared.xx + 2.0 * size) ** 0.5
    root = _Matrix(
        over * (squared.yy + size), over * squared.yx, over * squared.xy, over * (squared.xx + size)
    )
    cosine, sine = a + parity * d, b - parity * c
    norm = (cosine * cosine + sine * sine + _TINY) ** -0.5
    first = root.times(norm * cosine, -norm * parity * sine)
    second = root.times(norm * sine, norm * parity * cosine)
    return _Matrix(first[0], second[0], first[1], second[1]), squared


class ImagePositionsRV(RandomVariable):
    """Random positions of the images of a point that lies somewhere in the source plane."""

    name = "image_positions"
    signature = "(n,d),(n,d),(n,d,d),(n),(d),()->(n,d)"
    dtype = "float64"
    _print_name = ("ImagePositions", "\\operatorname{ImagePositions}")

    def _supp_shape_from_params(self, dist_params: Any, param_shapes: Any = None) -> list[Any]:
        return [pt.constant(length, dtype="int64") for length in dist_params[0].type.shape[-2:]]

    @classmethod
    def rng_fn(cls, rng: np.random.Generator, *args: Any) -> np.ndarray:
        """Draw a source, and its images to first order in their distance from where they are expected."""
        near, traced, jacobian, sigma, centre, scale, size = args
        leading = (near.shape[:-2], traced.shape[:-2], jacobian.shape[:-3], sigma.shape[:-1])
        batch = np.broadcast_shapes(size or (), *leading, centre.shape[:-1], scale.shape)
        source = centre + scale[..., None] * rng.standard_normal((*batch, 2))
        matrix = _Matrix.of(jacobian)
        softened, _ = _softened(matrix, np.where(matrix.determinant < 0.0, -1.0, 1.0))
        away = traced - source[..., None, :]
        moved = np.stack(softened.inverse.times(away[..., 0], away[..., 1]), axis=-1)
        noise = sigma[..., None] * rng.standard_normal((*batch, *near.shape[-2:]))
        return near - moved + noise


class ImagePositions(pm.Continuous):
    r"""Positions of the images of one point, such as those of a quasar or of a clump in the source.

    Each image is seen where the lens puts it, with an error. The position of the source is unknown, has a
    Gaussian prior and is integrated out. To first order in the errors, which is exact where the lens mapping
    is linear, a source at :math:`\beta` has images at :math:`\theta_i - A_i^{-1} (\beta_i - \beta)`, where
    :math:`\theta_i` are nearby positions, the observed ones, :math:`\beta_i` what they are traced to and
    :math:`A_i` the Jacobian of the mapping there: a distance in the source plane counts by how much it is
    magnified (Keeton 2001, astro-ph/0102340, sec. 4.1, who has no softening). The density is that of the
    positions in the image plane, a Gaussian at every lens, so that marginal likelihoods mean something. It
    is smooth in the lens. No penalty is a wall, and it has a gradient wherever the images do not yet agree.

    Parameters
    ----------
    name : str
    tracer : Tracer
        Its numbers may be random variables.
    observed : (n, 2) array, optional
        Measured positions (y, x), arcsec, of at least two images.
    near : (n, 2) array, optional
        Where there is nothing to condition on: positions that the images are near to. The variable is then
        free, and its prior says that a single point is seen, such as for the ``centre`` of
        `pymc_lens.light.PointSource`.
    sigma : float or (n,) array
        Standard deviation along y and x of each position, arcsec: the error of the measurement and what the
        lens model cannot explain. May be a random variable.
    redshift : float, optional
        Of the source; by default the tracer's.
    source_centre : (y, x)
        Mean of the prior of the source's position, arcsec.
    source_sigma : float
        Its standard deviation, arcsec.
    dims : tuple of str, optional
        Of images and axes, by default ``("<name>_image", "yx")``.
    **kwargs
        As of any PyMC distribution.

    Raises
    ------
    TypeError
        If an argument is of another kind, or neither or both of ``observed`` and ``near`` are given.
    ValueError
        If there are fewer than two images, two at the same place, a number is not finite or a standard
        deviation not positive.

    Notes
    -----
    On a critical curve the Jacobian is singular. There ``sigma^2 A A'`` is softened in the source plane, by
    ``(0.01 sigma)^2`` in all directions: images count as stretched by at most 100. What is stretched by m
    along one direction has its variance wrong by a fraction of ``(m / 100)^2``.

    Draws, as of `pymc.sample_posterior_predictive`, take the source from its prior and have as many images,
    to first order.

    Examples
    --------
    >>> with pm.Model():  # doctest: +SKIP
    ...     pl.ImagePositions("positions", tracer, observed=[(1.1, 0.3), (-0.8, 0.1)], sigma=0.05)
    """

    rv_type = ImagePositionsRV
    rv_op = ImagePositionsRV()

    def __new__(
        cls,
        name: str,
        tracer: Tracer,
        *,
        observed: Any = None,
        near: Any = None,
        sigma: Any,
        redshift: float | None = None,
        source_centre: Any = (0.0, 0.0),
        source_sigma: Any = 1.0,
        dims: Any = None,
        **kwargs: Any,
    ) -> TensorVariable:
        if (observed is None) == (near is None):
            raise TypeError(
                "observed: give the positions either as observed=... or as near=..., not both or none."
            )
        require_instance("name", name, str)
        given = "near" if observed is None else "observed"
        positions = _positions(given, near if observed is None else observed)
        if dims is None and "shape" not in kwargs:
            dims = _registered_dims(name, len(positions))
        return super().__new__(
            cls,
            name,
            tracer,
            positions,
            sigma,
            redshift,
            source_centre,
            source_sigma,
            observed=None if observed is None else positions,
            dims=dims,
            **kwargs,
        )

    @classmethod
    def dist(
        cls,
        tracer: Tracer,
        near: Any,
        sigma: Any,
        redshift: float | None = None,
        source_centre: Any = (0.0, 0.0),
        source_sigma: Any = 1.0,
        **kwargs: Any,
    ) -> TensorVariable:
        """Positions that are not registered in a model.

        Parameters
        ----------
        tracer, near, sigma, redshift, source_centre, source_sigma
            See the class.
        **kwargs
            As of ``dist`` of any PyMC distribution.

        Returns
        -------
        (n, 2) TensorVariable

        Raises
        ------
        TypeError, ValueError
            As the class.
        """
        require_instance("tracer", tracer, Tracer)
        positions = _positions("near", near)
        jacobian = tracer.jacobian(positions, redshift)
        rows = (pt.stack(jacobian[:2], axis=-1), pt.stack(jacobian[2:], axis=-1))
        parameters = (
            pt.as_tensor_variable(positions),
            tracer.traced_grid(positions, redshift),
            pt.stack(rows, axis=-2),
            _deviations(sigma, len(positions)),
            pt.stack([pt.as_tensor_variable(part) for part in pair("source_centre", source_centre)]),
            _deviation("source_sigma", source_sigma),
        )
        return super().dist([part.astype("float64") for part in parameters], **kwargs)


@_logprob.register(ImagePositionsRV)
def image_positions_logp(
    op: ImagePositionsRV,
    values: list[TensorVariable],
    rng: Any,
    size: Any,
    *parameters: TensorVariable,
    **kwargs: Any,
) -> TensorVariable:
    """Log density of positions (n, 2), the source integrated out."""
    (value,) = values
    near, traced, jacobian, sigma, centre, scale = parameters
    are_known = ~pt.isnan(traced).any(axis=(-2, -1)) & ~pt.isnan(jacobian).any(axis=(-3, -2, -1))
    admissible = (sigma > 0.0).all(axis=-1) & (scale > 0.0) & are_known
    sigma, scale = pt.switch(admissible[..., None], sigma, 1.0), pt.switch(admissible, scale, 1.0)
    traced = pt.switch(admissible[..., None, None], traced, 0.0)
    matrix = _Matrix.of(pt.switch(admissible[..., None, None, None], jacobian, np.eye(2)))
    softened, squared = _softened(matrix, pt.switch(matrix.determinant < 0.0, -1.0, 1.0))
    shift = softened.times(*((value - near)[..., axis] for axis in (0, 1)))
    y, x = (traced[..., axis] - centre[..., axis, None] + shift[axis] for axis in (0, 1))
    weight = _Matrix(*(part / sigma**2 for part in squared.inverse))
    of_prior = scale**-2.0
    total = _Matrix(
        weight.yy.sum(axis=-1) + of_prior, weight.yx.sum(axis=-1), weight.xy.sum(axis=-1),
        weight.xx.sum(axis=-1) + of_prior,
    )  # fmt: skip
    source_y, source_x = total.inverse.times(*(part.sum(axis=-1) for part in weight.times(y, x)))
    distance = weight.form(y - source_y[..., None], x - source_x[..., None]).sum(axis=-1)
    distance = distance + of_prior * (source_y**2 + source_x**2)
    log_determinant = pt.log(total.determinant * scale**4)
    log_norm = pt.log(2.0 * np.pi * sigma**2).sum(axis=-1)
    return pt.switch(admissible, -log_norm - 0.5 * (distance + log_determinant), -np.inf)


@pm.distributions.distribution._support_point.register(ImagePositionsRV)
def image_positions_support_point(
    op: ImagePositionsRV,
    rv: TensorVariable,
    rng: Any,
    size: Any,
    near: TensorVariable,
    *others: TensorVariable,
) -> TensorVariable:
    """Return the positions that the images are near to."""
    return near


def _positions(name: str, value: Any) -> np.ndarray:
    positions = real_numbers(name, value)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(
            f"{name}: expected positions (y, x) of images, an array (n, 2), got shape {positions.shape}."
        )
    if len(positions) < 2:
        raise ValueError(
            f"{name}: expected at least two images, got {len(positions)}. A single one tells nothing."
        )
    if not np.isfinite(positions).all():
        raise ValueError(f"{name}: expected finite numbers, got {positions.tolist()}. Leave lost images out.")
    if len(np.unique(positions, axis=0)) < len(positions):
        raise ValueError(f"{name}: expected images at places of their own, got {positions.tolist()}.")
    return positions


def _deviations(sigma: Any, n_images: int) -> TensorVariable:
    """Return standard deviations (n_images,) from one or from one for each."""
    if is_symbolic(sigma) or np.ndim(sigma):
        if getattr(sigma, "ndim", 1) == 0:
            return pt.full((n_images,), _deviation("sigma", sigma))
        deviations = vector("sigma", sigma, n_images)
        if not is_symbolic(sigma) and (np.asarray(deviations.data) <= 0.0).any():
            raise ValueError(f"sigma: expected positive numbers, got {sigma!r}.")
        return deviations
    return pt.full((n_images,), positive_number("sigma", sigma))


def _deviation(name: str, value: Any) -> TensorVariable:
    return pt.as_tensor_variable(scalar(name, value) if is_symbolic(value) else positive_number(name, value))


def _registered_dims(name: str, n_images: int) -> tuple[str, str]:
    model = pm.modelcontext(None)
    images = f"{model.name_for(name)}_image"
    for dim, values in ((images, np.arange(n_images)), POSITION):
        if dim not in model.dim_lengths:
            model.add_coord(dim, values)
    return images, POSITION.dim
