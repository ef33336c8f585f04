"""Columns of a light profile in given proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Constant
from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.image_plane import CENTRED, Frame
from pymc_lens.light.base import LightProfile
from pymc_lens.symbolic import vector
from pymc_lens.validation import require_instance


@dataclass(frozen=True, eq=False)
class Mixture(LightProfile):
    """A profile of several amplitudes in given proportions: one amplitude, the sum of theirs.

    Parameters
    ----------
    profile : LightProfile
        Whose ``intensity_scale`` and ``positivity`` are those of the mixture.
    proportions : array or variable (n_columns,)
        Only their ratios count.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If there are more or fewer proportions than amplitudes; for numbers: if one is not finite, or their
        sum is not positive. Random variables of another sum give NaN.

    Examples
    --------
    >>> pl.light.Mixture(pl.light.MultiGaussian((0.0, 0.0), (0.0, 0.0), [0.1, 0.3]), [2.0, 1.0]).n_columns
    1
    """

    n_columns: ClassVar[int] = 1

    profile: LightProfile
    proportions: Any

    def __post_init__(self) -> None:
        require_instance("profile", self.profile, LightProfile)
        proportions = vector("proportions", self.proportions, self.profile.n_columns)
        if isinstance(proportions, Constant) and proportions.data.sum() <= 0:
            raise ValueError(f"proportions: expected a positive sum, got {self.proportions!r}.")

    @property
    def intensity_scale(self) -> float | None:  # type: ignore[override]
        return self.profile.intensity_scale

    @property
    def positivity(self) -> str | None:  # type: ignore[override]
        return self.profile.positivity

    @property
    def is_lensed(self) -> bool:  # type: ignore[override]
        """See `LightProfile`: as the profile's."""
        return self.profile.is_lensed

    @override
    def images(self, grid: Any) -> TensorVariable:
        return self._mixed(self.profile.images(grid))

    @override
    def averages(
        self, points: np.ndarray, sub_size: int, pixel_scales: float, frame: Frame = CENTRED
    ) -> TensorVariable:
        return self._mixed(self.profile.averages(points, sub_size, pixel_scales, frame))

    @override
    def averages_at(self, positions: Any, per_pixel: int) -> TensorVariable:
        return self._mixed(self.profile.averages_at(positions, per_pixel))

    @override
    def relative_scales(self, pixel_scales: float) -> np.ndarray:
        """See `LightProfile`: as wide as that of the narrowest of them."""
        return self.profile.relative_scales(pixel_scales).max(keepdims=True)

    @override
    def sub_size(self, pixel_scales: float) -> int:
        return self.profile.sub_size(pixel_scales)

    def _mixed(self, columns: TensorVariable) -> TensorVariable:
        proportions = vector("proportions", self.proportions, self.profile.n_columns)
        total = proportions.sum()
        shares = pt.switch(total > 0.0, proportions / pt.switch(total > 0.0, total, 1.0), np.nan)
        return (shares @ columns)[None]
