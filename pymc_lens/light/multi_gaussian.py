"""Multi-Gaussian expansion of lens light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.light.base import LightProfile
from pymc_lens.validation import require_ell_comps, require_finite, require_positive


@dataclass(frozen=True, eq=False)
class MultiGaussian(LightProfile):
    """Sum of elliptical Gaussians of fixed widths, in groups that share a centre (Cappellari 2002, MNRAS 333, 400).

    Each group has its own ellipticity, so that isophotes may twist and change shape with radius. The Gaussian
    of width sigma is ``exp(-(q x^2 + y^2 / q) / (2 sigma^2))`` in the major-axis frame; sigma is the geometric
    mean of the axes. Smooth through the circular case.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : sequence of (e_y, e_x)
        One pair for each group, see `pymc_lens.mass.Isothermal`.
    sigmas : sequence of arrays
        Widths in arcsec, one array for each group.
    intensity_scale : float, optional
        See `LightProfile`.

    Raises
    ------
    ValueError
        If the numbers of groups differ, a width is not positive, or ``|ell_comps| >= 1`` in numbers.
    """

    centre: Any
    ell_comps: Sequence[Any]
    sigmas: Sequence[np.ndarray]
    intensity_scale: float | None = None

    def __post_init__(self) -> None:
        require_finite("centre", self.centre)
        if len(self.ell_comps) != len(self.sigmas):
            raise ValueError(
                f"sigmas: expected one array for each of the {len(self.ell_comps)} groups of ell_comps, got "
                f"{len(self.sigmas)}."
            )
        for pair in self.ell_comps:
            require_ell_comps("ell_comps", pair)
        for widths in self.sigmas:
            require_positive("sigmas", np.asarray(widths))
        if self.intensity_scale is not None:
            require_positive("intensity_scale", self.intensity_scale)

    @classmethod
    def log_spaced(
        cls,
        centre: Any,
        ell_comps: Sequence[Any],
        sigma_min: float,
        sigma_max: float,
        n_per_group: int,
        intensity_scale: float | None = None,
    ) -> MultiGaussian:
        """Build groups that all have the same log-spaced widths.

        Parameters
        ----------
        centre, ell_comps, intensity_scale
            See the class.
        sigma_min, sigma_max : float
            Smallest and largest width, arcsec.
        n_per_group : int

        Raises
        ------
        ValueError
            Unless ``0 < sigma_min < sigma_max`` and ``n_per_group >= 2``.
        """
        if not 0.0 < sigma_min < sigma_max:
            raise ValueError(f"sigma_min: expected 0 < sigma_min < sigma_max, got {sigma_min}, {sigma_max}.")
        if n_per_group < 2:
            raise ValueError(f"n_per_group: expected at least 2, got {n_per_group}.")
        widths = np.geomspace(sigma_min, sigma_max, n_per_group)
        return cls(centre, ell_comps, [widths] * len(ell_comps), intensity_scale)

    @property
    def n_columns(self) -> int:
        return sum(len(widths) for widths in self.sigmas)

    def images(self, grid: Any) -> TensorVariable:
        grid = pt.as_tensor_variable(grid)
        y, x = grid[..., 0] - self.centre[0], grid[..., 1] - self.centre[1]
        groups = []
        for (e_y, e_x), widths in zip(self._pairs, self.sigmas, strict=True):
            size = e_x**2 + e_y**2
            radius_squared = ((x**2 + y**2) * (1.0 + size) - 2.0 * (e_x * (x**2 - y**2) + 2.0 * e_y * x * y)) / (
                1.0 - size
            )
            groups.append(pt.exp(pt.outer(pt.as_tensor_variable(-0.5 / np.asarray(widths) ** 2), radius_squared)))
        return pt.concatenate(groups, axis=0)

    @property
    def _pairs(self) -> list[tuple[Any, Any]]:
        return [(pair[0], pair[1]) for pair in self.ell_comps]
