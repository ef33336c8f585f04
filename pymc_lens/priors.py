"""Priors that keep parameters inside their domain smoothly, and name their components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.distributions.transforms import Transform, _default_transform
from pymc.pytensorf import normalize_rng_param
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorVariable

from pymc_lens.symbolic import pair
from pymc_lens.validation import is_symbolic, positive_number, real_numbers

__all__ = ["einstein_radius", "ell_comps", "position", "profile"]

# Keeps ratios below away from 0 / 0 at the mode, where they are stationary.
_OFFSET = 1e-8


class Components(NamedTuple):
    """The dimension of a pair and the coordinates along it."""

    dim: str
    labels: tuple[str, str]


ELL_COMPS = Components("e_yx", ("e_y", "e_x"))
POSITION = Components("yx", ("y", "x"))


def ell_comps(name: str, sigma: float = 0.3) -> TensorVariable:
    r"""Add elliptical components to the model on the context stack.

    Their density is that of an isotropic normal cut off at the unit circle,
    :math:`p(e) \propto \exp(-|e|^2 / 2 \sigma^2)` for :math:`|e| < 1`: for small sigma both components are
    normal of that width, for large sigma the pair is uniform. The sampler's own coordinates are two standard
    normals z, of which they are a smooth function that keeps the direction and maps one radius to the other:
    :math:`1 - \exp(-|e|^2 / 2 \sigma^2) = (1 - \exp(-1 / 2 \sigma^2)) (1 - \exp(-|z|^2 / 2))`. So there is no
    boundary for a sampler to meet.

    Parameters
    ----------
    name : str
    sigma : float
        Width of each component, positive.

    Returns
    -------
    (2,) TensorVariable
        With the dimension ``e_yx`` and its coordinates ``("e_y", "e_x")``.

    Raises
    ------
    TypeError
        If ``sigma`` is not a number.
    ValueError
        If ``sigma`` is not positive, or the model has another dimension of that name.

    Examples
    --------
    >>> with pm.Model():
    ...     mass = pl.mass.Isothermal(ell_comps=pl.priors.ell_comps("ell_comps", sigma=0.2))
    """
    return EllComps(name, positive_number("sigma", sigma), dims=_registered(ELL_COMPS))


def einstein_radius(name: str, ell_comps: Any, median: float = 1.1, factor: float = 1.6) -> TensorVariable:
    r"""Add the Einstein radius of an elliptical mass to the model on the context stack.

    Log-normal is the *effective* radius, that of the circle with the area of the critical curve of an
    isothermal mass, :math:`\theta_{\rm eff} = \theta_{\rm E} \sqrt{1 - |e|^2}` (`effective_einstein_radius
    <pymc_lens.convert.effective_einstein_radius>`): it is what images measure, whatever the ellipticity. The
    sampler's own coordinate is the standardized logarithm of it. Where the ellipticity is hardly known that
    of ``einstein_radius`` itself would bend with it, and a posterior that bends takes a sampler longer.

    Parameters
    ----------
    name : str
    ell_comps : (2,) variable or pair
        Of the mass; numbers or variables.
    median : float
        Of the effective radius, arcsec, positive.
    factor : float
        That a standard deviation of its logarithm is, above one.

    Returns
    -------
    TensorVariable
        The ``einstein_radius`` that `Isothermal` and other profiles of the same convention take, arcsec.

    Raises
    ------
    TypeError
        If an argument is not a number or pair.
    ValueError
        If ``median`` is not positive, ``factor`` not above one, or ``ell_comps`` no pair.

    Examples
    --------
    >>> with pm.Model():
    ...     e = pl.priors.ell_comps("ell_comps", sigma=0.2)
    ...     mass = pl.mass.Isothermal(
    ...         ell_comps=e, einstein_radius=pl.priors.einstein_radius("einstein_radius", e)
    ...     )
    """
    middle, wide = np.log(positive_number("median", median)), positive_number("factor", factor)
    if wide <= 1.0:
        raise ValueError(f"factor: expected a number above one, got {factor!r}.")
    e_y, e_x = pair("ell_comps", ell_comps)
    mu = middle - 0.5 * pt.log1p(-(e_y**2 + e_x**2))
    return pm.LogNormal(name, mu, np.log(wide), default_transform=_STANDARDIZED_LOG)


def position(name: str, sigma: float, mu: Any = (0.0, 0.0)) -> TensorVariable:
    """Add a position to the model on the context stack: normal, independent in y and x.

    Parameters
    ----------
    name : str
    sigma : float
        Width in y and in x, arcsec, positive.
    mu : (y, x)
        Arcsec; numbers or variables.

    Returns
    -------
    (2,) TensorVariable
        With the dimension ``yx`` and its coordinates ``("y", "x")``.

    Raises
    ------
    TypeError
        If ``sigma`` or a component of ``mu`` is not a number.
    ValueError
        If ``sigma`` is not positive or ``mu`` is no pair.

    Examples
    --------
    >>> with pm.Model():
    ...     centre = pl.priors.position("centre", sigma=0.05)
    """
    mean, width = pt.stack(pair("mu", mu)), positive_number("sigma", sigma)
    return pm.Normal(name, mean, width, dims=_registered(POSITION))


def profile(kind: type, name: str, **known: Any) -> Any:
    """Return a profile with priors that a modeller would start from, in the model on the context stack.

    Its parameters become random variables, ``<name>_einstein_radius`` and so on; what is given stays. They
    suit a massive galaxy as a lens, in arcsec. Medians, and in brackets by which factor a standard deviation
    is:

    - ``einstein_radius``, ``b0``: 1.1 (1.6); ``ra``, ``core_radius``: 0.05 (2), ``rs``: 5 (2)
    - ``kappa_s``: 0.1 (2.7); ``scale_radius``: 5 (2); ``truncation_radius``: 10 (2.7)
    - ``effective_radius``: 0.8 (1.8); ``sigma``: 0.5 (2); ``mass_to_light_ratio``: 1 (2.7)

    Normal, with mean and standard deviation, within the domain: ``slope`` 2, 0.2; ``inner_slope`` 1, 0.3;
    ``sersic_index`` 3, 1.5; ``gamma_1`` and ``gamma_2`` 0, 0.05; ``tau_1`` to ``delta_2`` 0, 0.01; ``kappa``
    0, 0.05; ``multipole_comps`` 0, 0.01 each; ``centre`` 0, 0.05 each, as `position`; ``ell_comps`` 0.2 each,
    as `ell_comps`.

    Parameters
    ----------
    kind : type
        Of a mass or light, such as ``pl.mass.PowerLaw``.
    name : str
    **known
        Arguments of the profile that are given: numbers, other random variables.

    Returns
    -------
    MassProfile or LightProfile

    Raises
    ------
    TypeError
        If ``kind`` is no profile, or ``known`` has what it does not take.
    ValueError
        If there is no prior of a parameter, such as an intensity, whose unit is that of the data; names it.

    Examples
    --------
    >>> mass = pl.priors.profile(pl.mass.PowerLaw, "lens", centre=light_centre)  # doctest: +SKIP
    >>> mass += pl.priors.profile(pl.mass.ExternalShear, "shear")  # doctest: +SKIP
    """
    if not isinstance(kind, type) or not is_dataclass(kind):
        raise TypeError(f"kind: expected a profile such as pl.mass.PowerLaw, got {kind!r}.")
    unknown = [field for field in fields(kind) if field.name not in known and field.default is not None]
    missing = [field.name for field in unknown if field.name not in _STARTING]
    if missing:
        raise ValueError(f"known: expected {missing} of {kind.__name__}, of which there is no prior.")
    values = {field.name: _STARTING[field.name](f"{name}_{field.name}") for field in unknown}
    return kind(**known, **values)


def _about(median: float, factor: float) -> Callable[[str], TensorVariable]:
    """Log-normal of a median and a standard deviation that is a factor."""
    return lambda name: pm.LogNormal(name, np.log(median), np.log(factor))


def _normal(mu: float, sigma: float) -> Callable[[str], TensorVariable]:
    return lambda name: pm.Normal(name, mu, sigma)


def _between(mu: float, sigma: float, low: float, high: float) -> Callable[[str], TensorVariable]:
    return lambda name: pm.TruncatedNormal(name, mu, sigma, lower=low, upper=high)


# For the parameters of `profile`, by their names.
_STARTING: dict[str, Callable[[str], TensorVariable]] = {
    "centre": lambda name: position(name, 0.05),
    "ell_comps": lambda name: ell_comps(name, 0.2),
    "einstein_radius": _about(1.1, 1.6),
    "b0": _about(1.1, 1.6),
    "slope": _between(2.0, 0.2, 1.0, 3.0),
    "core_radius": _about(0.05, 2.0),
    "ra": _about(0.05, 2.0),
    "rs": _about(5.0, 2.0),
    "kappa_s": _about(0.1, 2.7),
    "scale_radius": _about(5.0, 2.0),
    "truncation_radius": _about(10.0, 2.7),
    "inner_slope": _between(1.0, 0.3, 0.0, 2.0),
    "effective_radius": _about(0.8, 1.8),
    "sersic_index": _between(3.0, 1.5, 0.3, 12.0),
    "mass_to_light_ratio": _about(1.0, 2.7),
    "sigma": _about(0.5, 2.0),
    "gamma_1": _normal(0.0, 0.05),
    "gamma_2": _normal(0.0, 0.05),
    "kappa": _normal(0.0, 0.05),
    "multipole_comps": lambda name: pm.Normal(name, 0.0, 0.01, shape=2),
    **{f"{order}_{axis}": _normal(0.0, 0.01) for order in ("tau", "delta") for axis in (1, 2)},
}


class EllCompsRV(SymbolicRandomVariable):
    """Random elliptical components, a function of two standard normals."""

    extended_signature = "[rng],[size],()->[rng],(k)"
    _print_name = ("EllComps", "\\operatorname{EllComps}")

    @classmethod
    def rv_op(cls, sigma: Any, *, size: Any = None, rng: Any = None) -> TensorVariable:
        """Draw components of that width."""
        sigma, size, rng = pt.as_tensor(sigma), normalize_size_param(size), normalize_rng_param(rng)
        if rv_size_is_none(size):
            size = implicit_size_from_params(sigma, ndims_params=cls.ndims_params)
        next_rng, normals = pt.random.normal(size=(*size, 2), rng=rng, return_next_rng=True)
        outputs = [next_rng, _on_the_disc(normals, sigma[..., None])]
        return cls(inputs=[rng, size, sigma], outputs=outputs)(rng, size, sigma)


class EllComps(pm.Continuous):
    """The distribution of `ell_comps`, whose parameter is the width."""

    rv_type = EllCompsRV
    rv_op = EllCompsRV.rv_op

    @classmethod
    def dist(cls, sigma: Any, **kwargs: Any) -> TensorVariable:
        """Return components that are not registered in a model.

        Raises
        ------
        TypeError
            If ``sigma`` consists of other things than real numbers.
        ValueError
            If a number is not positive.
        """
        if not is_symbolic(sigma) and not (real_numbers("sigma", sigma) > 0.0).all():
            raise ValueError(f"sigma: expected positive numbers, got {sigma!r}.")
        return super().dist([pt.as_tensor_variable(sigma)], **kwargs)

    def support_point(rv: TensorVariable, size: Any, sigma: TensorVariable) -> TensorVariable:
        """Return a circle: the mode."""
        return pt.zeros_like(rv)

    def logp(value: TensorVariable, sigma: TensorVariable) -> TensorVariable:
        """Log density; minus infinity outside the unit circle."""
        squared = (value**2).sum(axis=-1)
        return pt.switch(squared < 1.0, _log_density(squared, sigma), -np.inf)


class _FromNormals(Transform):
    """Two standard normals for the components: no sampler meets the unit circle."""

    name = "normals"
    ndim_supp = 1

    def backward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        return _on_the_disc(value, inputs[-1][..., None])

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        sigma = inputs[-1][..., None]
        squared = (value**2).sum(axis=-1, keepdims=True) + _OFFSET
        normals_squared = -2.0 * pt.log1p(pt.expm1(-0.5 * squared / sigma**2) / _within(sigma))
        return value * pt.sqrt(normals_squared / squared)

    def log_jac_det(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        # What the density of the components makes of it is that of the normals.
        components = self.backward(value, *inputs)
        of_components = _log_density((components**2).sum(axis=-1), inputs[-1])
        return -0.5 * (value**2).sum(axis=-1) - np.log(2.0 * np.pi) - of_components


_FROM_NORMALS = _FromNormals()


class _StandardizedLog(Transform):
    """A standard normal for a log-normal variable, whose mean may itself be random."""

    name = "standardized_log"

    def backward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        mu, sigma = inputs[-2:]
        return pt.exp(mu + sigma * value)

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        mu, sigma = inputs[-2:]
        return (pt.log(value) - mu) / sigma

    def log_jac_det(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        mu, sigma = inputs[-2:]
        return mu + sigma * value + pt.log(sigma)


_STANDARDIZED_LOG = _StandardizedLog()


@_default_transform.register(EllCompsRV)
def _from_normals(op: EllCompsRV, rv: TensorVariable) -> Transform:
    return _FROM_NORMALS


def _on_the_disc(normals: TensorVariable, sigma: TensorVariable) -> TensorVariable:
    normals_squared = (normals**2).sum(axis=-1, keepdims=True) + _OFFSET
    squared = -2.0 * sigma**2 * pt.log1p(_within(sigma) * pt.expm1(-0.5 * normals_squared))
    return normals * pt.sqrt(squared / normals_squared)


def _within(sigma: TensorVariable) -> TensorVariable:
    """Return what of a normal of that width lies within the unit circle."""
    return -pt.expm1(-0.5 / sigma**2)


def _log_density(squared: TensorVariable, sigma: TensorVariable) -> TensorVariable:
    return -0.5 * squared / sigma**2 - pt.log(2.0 * np.pi * sigma**2 * _within(sigma))


def _registered(components: Components) -> str:
    """Name a pair's dimension, which the model on the context stack then has coordinates of."""
    model, (dim, labels) = pm.modelcontext(None), components
    if tuple(model.coords.get(dim) or labels) != labels:
        raise ValueError(
            f"{dim}: expected the coordinates {labels} of the model's dimension of this name, got "
            f"{tuple(model.coords[dim])}. Give that dimension another name."
        )
    model.add_coord(dim, labels)
    return dim
