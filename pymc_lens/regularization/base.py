"""The contract of a source prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from pymc_lens.linalg.precision import SparsePrecision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry


class RegularizationScheme(ABC):
    """The numerics of a source prior: a precision matrix from a few numbers and a mesh, and its adjoint.

    An implementation is immutable and hashable.
    """

    @abstractmethod
    def precision(self, parameters: np.ndarray, geometry: MeshGeometry) -> SparsePrecision:
        """Return H for parameters (n_parameters,) on a mesh.

        Raises
        ------
        InadmissibleError
            If the parameters are outside their domain.
        """

    @abstractmethod
    def pullback(
        self,
        parameters: np.ndarray,
        geometry: MeshGeometry,
        diagonal_bar: np.ndarray,
        off_diagonal_bar: np.ndarray,
    ) -> tuple[np.ndarray, GeometryCotangent]:
        """Adjoint of `precision`.

        Parameters
        ----------
        parameters, geometry
            As of the forward call.
        diagonal_bar : (n_source,) float64
        off_diagonal_bar : (n_pairs,) float64
            Cotangents of the precision's stored values; a pair's value stands for both its elements.

        Returns
        -------
        parameters_bar : (n_parameters,) float64
        geometry_bar : GeometryCotangent
        """


class Regularization(ABC):
    """A source prior with its parameters, which may be numbers or random variables.

    A subclass names its parameters in order and owns a scheme.
    """

    parameter_names: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def scheme(self) -> RegularizationScheme:
        """The numerics of this prior."""

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The parameters in the order of `parameter_names`."""
        return tuple(getattr(self, name) for name in self.parameter_names)
