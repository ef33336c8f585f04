"""The contract of a source prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from typing import Any, ClassVar, Self, override

import numpy as np

from pymc_lens.data.image_plane import ImagePlane
from pymc_lens.linalg.precision import Precision, precision_sum
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.validation import is_symbolic, positive_number, require_scalar_variable


@dataclass(frozen=True, eq=False)
class Prior:
    """A source prior on one mesh, with the way back to its parameters and the mesh.

    Attributes
    ----------
    precision : Precision
        H.
    pullback : callable
        Adjoint at this H: from its cotangents, as `Precision.evidence_cotangent` returns them, to those of
        the parameters (n_parameters,) and of what was read of the mesh. Parameters and mesh must not have
        changed.
    """

    precision: Precision
    pullback: Callable[[Any], tuple[np.ndarray, GeometryCotangent]]


class RegularizationScheme(ABC):
    """The numerics of a source prior: a precision matrix from a few numbers and a mesh.

    An implementation is immutable and hashable.
    """

    @property
    def counts_neighbors(self) -> bool:
        """Whether the precision jumps where two source pixels become or cease to be neighbours."""
        return False

    @property
    def counts_rays(self) -> bool:
        """Whether the precision jumps where a ray begins or ceases to be interpolated from a source pixel."""
        return False

    @abstractmethod
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        """Return the prior for parameters (n_parameters,) on a mesh.

        Raises
        ------
        InadmissibleError
            If the parameters are outside their domain.
        """


class Regularization(ABC):
    """A source prior with its parameters, which may be numbers or random variables.

    A subclass is a dataclass that names its parameters in order, all positive, and owns a scheme. Priors add:
    the sum has the precision that is the sum of theirs.

    Raises
    ------
    TypeError
        If a parameter is no real number or variable.
    ValueError
        If a parameter is not positive, or a variable that is not scalar.
    """

    parameter_names: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        for name in self.parameter_names:
            value = getattr(self, name)
            if is_symbolic(value):
                require_scalar_variable(name, value)
            else:
                positive_number(name, value)

    @property
    def needs_crosses(self) -> bool:
        """Whether it reads `MeshGeometry.crosses`."""
        return False

    @property
    def needs_areas(self) -> bool:
        """Whether it reads areas of cells, all of which must have one."""
        return False

    @abstractmethod
    def scheme(self, plane: ImagePlane) -> RegularizationScheme:
        """Numerics of this prior for an image.

        Parameters
        ----------
        plane : ImagePlane
            Where the pixels of the image lie.

        Returns
        -------
        RegularizationScheme

        Raises
        ------
        ValueError
            If the prior cannot serve this image.
        """

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The parameters in the order of `parameter_names`."""
        return tuple(getattr(self, name) for name in self.parameter_names)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in their order."""
        return self.parameter_names

    def with_parameters(self, values: Sequence[float]) -> Self:
        """Exchange the parameters.

        Parameters
        ----------
        values : sequence of float
            In the order of `parameters`.

        Returns
        -------
        Regularization

        Raises
        ------
        TypeError, ValueError
            As of the class; ValueError also if there are more or fewer.
        """
        return replace(self, **dict(zip(self.parameter_names, values, strict=True)))  # type: ignore[type-var]

    def __add__(self, other: Regularization) -> RegularizationSum:
        if not isinstance(other, Regularization):
            return NotImplemented
        return RegularizationSum((*self._terms, *other._terms))

    @property
    def _terms(self) -> tuple[Regularization, ...]:
        return (self,)


@dataclass(frozen=True, eq=False)
class RegularizationSum(Regularization):
    """Several priors at once: the sum of their precisions.

    Made by adding them: ``Dirichlet(2.0) + Zeroth(0.1)``. Its parameters are those of the terms in order.

    Parameters
    ----------
    terms : tuple of Regularization
    """

    parameter_names: ClassVar[tuple[str, ...]] = ()

    terms: tuple[Regularization, ...]

    @property
    @override
    def parameters(self) -> tuple[Any, ...]:
        return tuple(parameter for term in self.terms for parameter in term.parameters)

    @property
    @override
    def names(self) -> tuple[str, ...]:
        """Those of the terms behind the number of each."""
        return tuple(f"{k}.{name}" for k, term in enumerate(self.terms) for name in term.names)

    @override
    def with_parameters(self, values: Sequence[float]) -> Self:
        left = iter(values)
        terms = (term.with_parameters(list(islice(left, len(term.names)))) for term in self.terms)
        return replace(self, terms=tuple(terms))

    @property
    @override
    def needs_crosses(self) -> bool:
        return any(term.needs_crosses for term in self.terms)

    @property
    @override
    def needs_areas(self) -> bool:
        return any(term.needs_areas for term in self.terms)

    @override
    def scheme(self, plane: ImagePlane) -> SumScheme:
        return SumScheme(
            tuple(term.scheme(plane) for term in self.terms),
            tuple(len(term.parameters) for term in self.terms),
        )

    @property
    @override
    def _terms(self) -> tuple[Regularization, ...]:
        return self.terms


@dataclass(frozen=True)
class SumScheme(RegularizationScheme):
    """Numerics of `RegularizationSum`.

    Attributes
    ----------
    terms : tuple of RegularizationScheme
    n_parameters : tuple of int
        Of each term.
    """

    terms: tuple[RegularizationScheme, ...]
    n_parameters: tuple[int, ...]

    @property
    @override
    def counts_neighbors(self) -> bool:
        return any(term.counts_neighbors for term in self.terms)

    @property
    @override
    def counts_rays(self) -> bool:
        return any(term.counts_rays for term in self.terms)

    @override
    def prior(self, parameters: np.ndarray, geometry: MeshGeometry) -> Prior:
        shares = np.split(parameters, np.cumsum(self.n_parameters)[:-1])
        priors = [term.prior(share, geometry) for term, share in zip(self.terms, shares, strict=True)]
        precision, shared = precision_sum([prior.precision for prior in priors])

        def pullback(precision_bar: Any) -> tuple[np.ndarray, GeometryCotangent]:
            bars = [prior.pullback(bar) for prior, bar in zip(priors, shared(precision_bar), strict=True)]
            parameters_bar, geometry_bars = zip(*bars, strict=True)
            return np.concatenate(parameters_bar), reduce(GeometryCotangent.plus, geometry_bars)

        return Prior(precision, pullback)
