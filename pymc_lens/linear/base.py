"""The contract of a linear part of an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pymc_lens.linear.mapping import MappingMatrix
from pymc_lens.mesh.base import GeometryCotangent
from pymc_lens.regularization.base import Prior
from pymc_lens.workspace import Workspace


class Input(NamedTuple):
    """An array that a part reads: one input of the Ops and of the random variable.

    Attributes
    ----------
    name : str
    ndim : int
    of_prior : bool
        Whether the part's prior alone depends on it, and not its columns.
    """

    name: str
    ndim: int
    of_prior: bool = False


def consecutive(sizes: Sequence[int]) -> list[slice]:
    """Places of things of these sizes, one after the other."""
    return [slice(first, last) for first, last in pairwise(np.cumsum([0, *sizes]).tolist())]


class LinearScheme(ABC):
    """The numerics of a part of an image that is linear in its coefficients.

    An implementation is immutable and works on arrays only.

    Attributes
    ----------
    name : str
        Of the part, unique in an image.
    confined : bool
        Whether its coefficients are not negative.
    inputs : tuple of Input
        What it reads of the model; those of its prior last.
    """

    name: str
    confined: bool
    inputs: tuple[Input, ...]

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of coefficients."""

    def split(self, arrays: tuple[np.ndarray, ...]) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """Split its inputs into those of the columns and those of the prior."""
        n_columns = sum(not each.of_prior for each in self.inputs)
        return arrays[:n_columns], arrays[n_columns:]

    @property
    @abstractmethod
    def digest(self) -> str:
        """Identifies the content."""


class MappedScheme(LinearScheme):
    """A part of many coefficients, each of which is seen in few pixels."""

    @abstractmethod
    def lay_out(self, arrays: tuple[np.ndarray, ...], workspace: Workspace) -> MappedPart:
        """Lay the part out.

        Parameters
        ----------
        arrays : tuple of float64
            The inputs that are not the prior's; they do not change as long as the result is used.
        workspace : Workspace
            The part's own; owns the result until the next call.

        Raises
        ------
        InadmissibleError
            Where there is none at these inputs.
        """


class MappedPart(ABC):
    """A part laid out.

    Attributes
    ----------
    mapping : MappingMatrix
    """

    mapping: MappingMatrix

    @abstractmethod
    def prior(self, arrays: tuple[np.ndarray, ...]) -> Prior:
        """Return the prior of the coefficients, for the inputs that are the prior's."""

    @abstractmethod
    def pullback(self, mapping_bar: np.ndarray, geometry_bar: GeometryCotangent) -> list[np.ndarray]:
        """Return cotangents of the inputs that are not the prior's.

        Parameters
        ----------
        mapping_bar : (nnz,) float64
            Of the mapping's weights.
        geometry_bar : GeometryCotangent
            Of what the prior read of the part.
        """


class DenseScheme(LinearScheme):
    """A part of few coefficients, each of which is seen everywhere.

    Attributes
    ----------
    scales : (size,) float64
        Standard deviations of the priors of its coefficients, which are independent.
    positions : (n_positions,) int64
        Where the columns are given, see `Response.blur`.
    """

    scales: np.ndarray
    positions: np.ndarray

    @property
    def size(self) -> int:
        return len(self.scales)

    @abstractmethod
    def columns(self, arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        """Return the pixels' averages (size, n_positions) before the instrument, for all inputs."""

    @abstractmethod
    def pullback(self, columns_bar: np.ndarray) -> list[np.ndarray]:
        """Return cotangents of all inputs from those of the columns (size, n_positions)."""
