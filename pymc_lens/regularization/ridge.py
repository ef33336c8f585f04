"""What is added to the diagonal of a matrix that is singular, or nearly so, without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np

from pymc_lens.regularization.base import Regularization
from pymc_lens.validation import number, require_instance, require_not_negative


@dataclass(frozen=True)
class Ridge:
    """An addition to the diagonal of a prior's matrix.

    A prior on differences knows nothing of the mean of the source, unless the mesh ends in zeros: its
    determinant is zero without a ridge. In proportion to each pixel's own diagonal, a ridge means the same in
    every unit of the data, and leaves the factorisation as many digits for any weights.

    Parameters
    ----------
    relative : float
        In units of the element of the diagonal that it is added to.
    absolute : float
        In the units of the matrix: the evidence depends on the unit of the data.

    Raises
    ------
    TypeError
        If an argument is no number.
    ValueError
        If a number is negative or not finite.
    """

    relative: float = 1e-8
    absolute: float = 0.0

    def __post_init__(self) -> None:
        for name in ("relative", "absolute"):
            require_not_negative(name, number(name, getattr(self, name)))

    def added_to(self, diagonal: np.ndarray) -> np.ndarray:
        """Diagonal with the ridge.

        Parameters
        ----------
        diagonal : (n,) float64

        Returns
        -------
        (n,) float64 array
        """
        return (1.0 + self.relative) * diagonal + self.absolute

    def pullback(self, diagonal_bar: np.ndarray) -> np.ndarray:
        """Adjoint of `added_to`.

        Parameters
        ----------
        diagonal_bar : (n,) float64
            Cotangent of what `added_to` returns.

        Returns
        -------
        (n,) float64 array
            Cotangent of the diagonal.
        """
        return (1.0 + self.relative) * diagonal_bar


RIDGE = Ridge()
PYAUTOLENS_RIDGE = Ridge(relative=0.0, absolute=1e-8)


class RidgedRegularization(Regularization):
    """A source prior with a ridge."""

    ridge: Ridge

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        require_instance("ridge", self.ridge, Ridge)
