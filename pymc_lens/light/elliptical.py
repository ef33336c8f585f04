"""Light of one amplitude whose surface brightness depends on an elliptical radius."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Self, override

import numpy as np
from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.image_plane import CENTRED, Frame
from pymc_lens.light.base import LightProfile, middles
from pymc_lens.light.cusp import with_cusp
from pymc_lens.light.multi_gaussian import turned
from pymc_lens.symbolic import PLANE, elliptical, nan_unless, pair, split_positions

# arcsec: no logarithm of a radius of zero.
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class EllipticalLight(LightProfile):
    """The contract: a subclass adds its parameters to `domains` and gives `brightness`.

    The elliptical radius is ``sqrt(q x^2 + y^2 / q)`` in the major-axis frame, the geometric mean of the
    half-axes of an isophote, as PyAutoLens counts it for Sersic profiles. A cusp is integrated over the
    pixels around it (Duffy 1982, SIAM J. Numer. Anal. 19, 1260).

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        See `pymc_lens.mass.Isothermal`.
    intensity_scale, positivity
        See `LightProfile`.
    """

    domains: ClassVar = {"centre": PLANE, "ell_comps": elliptical()}
    n_columns: ClassVar[int] = 1

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    intensity_scale: float | None = field(default=None, kw_only=True)
    positivity: str | None = field(default=None, kw_only=True)

    @abstractmethod
    def brightness(self, squared: TensorVariable, *parameters: TensorVariable) -> TensorVariable:
        """Surface brightness (...) for unit amplitude.

        Parameters
        ----------
        squared : (...) variable
            Square of the elliptical radius, arcsec^2; never zero.
        *parameters : variables
            Those in `domains` after the ellipticity, inside them.
        """

    @override
    def images(self, grid: Any) -> TensorVariable:
        y, x = split_positions(grid)
        admissible, centre_y, centre_x, *shape = self.inside_the_domain()
        return nan_unless(admissible, self._at(shape, y - centre_y, x - centre_x))[None]

    @override
    def averages(
        self, points: np.ndarray, sub_size: int, pixel_scales: float, frame: Frame = CENTRED
    ) -> TensorVariable:
        """See `LightProfile`; the pixels around the centre are integrated over."""
        averages = super().averages(points, sub_size, pixel_scales, frame)[0]
        admissible, centre_y, centre_x, *shape = self._seen_in(frame).inside_the_domain()
        brightness, places = partial(self._at, shape), middles(points, sub_size, frame)
        mixed = with_cusp(brightness, averages, (centre_y, centre_x), places, pixel_scales)
        return nan_unless(admissible, mixed)[None]

    def _at(self, shape: list[TensorVariable], y: TensorVariable, x: TensorVariable) -> TensorVariable:
        """Surface brightness at a distance from the centre, for e_y, e_x and parameters."""
        e_y, e_x, *parameters = shape
        stretched = (y + e_x * y - e_y * x) ** 2 + (x - e_x * x - e_y * y) ** 2
        return self.brightness(stretched / (1.0 - e_y * e_y - e_x * e_x) + _TINY**2, *parameters)

    def _seen_in(self, frame: Frame) -> Self:
        """Return the same light with positions and angles in the image: along the sides of its pixels."""
        (y, x), (y_0, x_0) = pair("centre", self.centre), frame.offset
        centre = turned(y - y_0, x - x_0, -frame.rotation)
        ell_comps = turned(*pair("ell_comps", self.ell_comps), -2.0 * frame.rotation)
        return replace(self, centre=centre, ell_comps=ell_comps)
