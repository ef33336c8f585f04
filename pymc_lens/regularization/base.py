"""The contract of a source prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from pymc_lens.imaging import Imaging
from pymc_lens.linalg.precision import Precision
from pymc_lens.mesh.base import GeometryCotangent, MeshGeometry
from pymc_lens.validation import is_symbolic, positive_number, require_scalar_variable


class RegularizationScheme(ABC):
    """The numerics of a source prior: a precision matrix from a few numbers and a mesh, and its adjoint.

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

    @property
    def needs_crosses(self) -> bool:
        """Whether it reads `MeshGeometry.crosses`."""
        return False

    @property
    def needs_areas(self) -> bool:
        """Whether it reads areas of cells, all of which must have one."""
        return False

    @abstractmethod
    def precision(self, parameters: np.ndarray, geometry: MeshGeometry) -> Precision:
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
        precision_bar: Any,
    ) -> tuple[np.ndarray, GeometryCotangent]:
        """Adjoint of `precision`.

        Parameters
        ----------
        parameters, geometry
            As of the forward call.
        precision_bar : SparseCotangent or ndarray
            What `Precision.evidence_cotangent` of the result returned.

        Returns
        -------
        parameters_bar : (n_parameters,) float64
        geometry_bar : GeometryCotangent
        """


class Regularization(ABC):
    """A source prior with its parameters, which may be numbers or random variables.

    A subclass is a dataclass that names its parameters in order, all positive, and owns a scheme.
    """

    parameter_names: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        for name in self.parameter_names:
            value = getattr(self, name)
            if is_symbolic(value):
                require_scalar_variable(name, value)
            else:
                positive_number(name, value)

    @abstractmethod
    def scheme(self, imaging: Imaging) -> RegularizationScheme:
        """Return the numerics of this prior for a dataset.

        Raises
        ------
        ValueError
            If the prior cannot serve this dataset.
        """

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The parameters in the order of `parameter_names`."""
        return tuple(getattr(self, name) for name in self.parameter_names)
