"""Multi-Gaussian expansion of lens light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import and_
from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.image_plane import CENTRED, Frame
from pymc_lens.light.base import LightProfile, middles
from pymc_lens.ops.gaussian_columns import GaussianColumns
from pymc_lens.symbolic import moderate, nan_unless, pair, pairs, split_positions, zero_unless
from pymc_lens.validation import integer, positive_number, real_numbers, require_ell_comps

# Of the distance of the points where light is evaluated: a narrower Gaussian may be missed by all of them.
_BETWEEN_POINTS = 0.35
# In pixels. Of a narrower Gaussian the flux is what shows, not the peak.
_WITHIN_A_PIXEL = 0.2
# In units of sigma, of a part of a pixel with two nodes along each side: wrong by a percent of the peak.
_PART = 2.5
_MOST_PARTS = 4
# In pixels. Far below it squares of widths lose their digits.
_NARROWEST = 1e-6


@dataclass(frozen=True, eq=False)
class MultiGaussian(LightProfile):
    """Elliptical Gaussians of fixed widths, in groups that share a centre (Cappellari 2002, MNRAS 333, 400).

    Each group has its own ellipticity, so that isophotes may twist and change shape with radius. The
    Gaussian of width sigma is ``exp(-(q x^2 + y^2 / q) / (2 sigma^2))`` in the major-axis frame: sigma is the
    geometric mean of the widths along its axes. Smooth through the circular case. A Gaussian too narrow for
    the points where light is evaluated (``over_sample_size_lp`` of `Imaging`) is integrated over the pixels.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x), or a sequence of them
        One pair for each group, see `pymc_lens.mass.Isothermal`.
    sigmas : array, or a sequence of arrays
        Widths in arcsec, one array for each group.
    intensity_scale, positivity
        See `LightProfile`.

    Raises
    ------
    TypeError
        If an argument consists of other things than real numbers; widths cannot be random variables.
    ValueError
        If the numbers of groups differ, a width is not positive, or for numbers ``|ell_comps| >= 1`` or a
        centre that is not finite. Random variables with ``|ell_comps| >= 1`` give NaN.

    Examples
    --------
    >>> two = [(0.1, 0.0), (0.2, 0.1)]
    >>> widths = [np.geomspace(0.02, 0.35, 9), np.geomspace(0.45, 2.0, 8)]
    >>> pl.light.MultiGaussian((0.0, 0.0), two, widths).n_columns
    17
    """

    centre: Any
    ell_comps: Any
    sigmas: Any
    intensity_scale: float | None = None
    positivity: str | None = None

    def __post_init__(self) -> None:
        pair("centre", self.centre)
        if len(self.ellipticities) != len(self.widths):
            raise ValueError(
                f"sigmas: expected one array for each of the {len(self.ellipticities)} groups of ell_comps, "
                f"got {len(self.widths)}."
            )
        for ellipticity in self.ellipticities:
            require_ell_comps("ell_comps", ellipticity)
        for widths in self.widths:
            if widths.ndim != 1 or widths.size == 0:
                raise ValueError(
                    f"sigmas: expected an array of widths for each group, got shape {widths.shape}."
                )
            if not (np.isfinite(widths).all() and (widths > 0.0).all()):
                raise ValueError(f"sigmas: expected positive, finite widths, got {widths}.")
        super().__post_init__()

    @classmethod
    def log_spaced(
        cls,
        centre: Any,
        ell_comps: Any,
        sigma_min: float,
        sigma_max: float,
        n_per_group: int,
        intensity_scale: float | None = None,
        positivity: str | None = None,
    ) -> MultiGaussian:
        """Build groups that all have the same log-spaced widths.

        Several groups whose ellipticities are random, under one prior, can be exchanged: the posterior has a
        mode for each order. To sample, give the class widths that differ from group to group.

        Parameters
        ----------
        centre, ell_comps, intensity_scale, positivity
            See the class.
        sigma_min, sigma_max : float
            Smallest and largest width, arcsec.
        n_per_group : int

        Returns
        -------
        MultiGaussian

        Raises
        ------
        TypeError
            If a width is no number, or ``n_per_group`` no integer.
        ValueError
            Unless ``0 < sigma_min < sigma_max`` and ``n_per_group >= 2``.
        """
        if not positive_number("sigma_min", sigma_min) < positive_number("sigma_max", sigma_max):
            raise ValueError(f"sigma_min: expected 0 < sigma_min < sigma_max, got {sigma_min}, {sigma_max}.")
        widths = np.geomspace(sigma_min, sigma_max, integer("n_per_group", n_per_group, minimum=2))
        return cls(
            centre, ell_comps, [widths] * len(pairs("ell_comps", ell_comps)), intensity_scale, positivity
        )

    @property
    @override
    def n_columns(self) -> int:
        return sum(widths.size for widths in self.widths)

    @override
    def images(self, grid: Any) -> TensorVariable:
        return self.averages_at(grid, 1)

    @override
    def averages_at(self, positions: Any, per_pixel: int) -> TensorVariable:
        y, x = split_positions(positions)
        near, centre_y, centre_x = self._moderate_centre()
        roots = [nan_unless(admissible, pt.stack(root)) for admissible, *root in self._roots(near)]
        slopes = -0.5 / np.concatenate(self.widths) ** 2
        columns = GaussianColumns(slopes, self.groups, per_pixel)
        return columns(y - centre_y, x - centre_x, pt.stack(roots))

    @override
    def averages(
        self, points: np.ndarray, sub_size: int, pixel_scales: float, frame: Frame = CENTRED
    ) -> TensorVariable:
        """See `LightProfile`; a Gaussian that falls between the points is integrated over the pixels."""
        widths = np.concatenate(self.widths)
        if widths.min() < _NARROWEST * pixel_scales:
            raise ValueError(
                f"sigmas: expected at least {_NARROWEST:g} of a pixel of {pixel_scales:g} arcsec, got "
                f"{widths.min():g}. All widths below a tenth of a pixel look the same."
            )
        averages = super().averages(points, sub_size, pixel_scales, frame)
        narrow = np.flatnonzero(widths < _BETWEEN_POINTS * pixel_scales / sub_size)
        if not narrow.size:
            return averages
        centres = middles(points, sub_size, frame)
        integrated = self._seen_in(frame)._integrated(centres, pixel_scales, narrow)
        return pt.set_subtensor(averages[narrow], integrated)

    @override
    def relative_scales(self, pixel_scales: float) -> np.ndarray:
        """See `LightProfile`: that of a Gaussian within a pixel is a prior on its flux."""
        return np.maximum(_WITHIN_A_PIXEL * pixel_scales / np.concatenate(self.widths), 1.0) ** 2

    def _seen_in(self, frame: Frame) -> MultiGaussian:
        """Return the same light with positions and angles in the image: along the sides of its pixels."""
        (y, x), (y_0, x_0) = pair("centre", self.centre), frame.offset
        centre = turned(y - y_0, x - x_0, -frame.rotation)
        ell_comps = [turned(*ellipticity, -2.0 * frame.rotation) for ellipticity in self.ellipticities]
        return replace(self, centre=centre, ell_comps=ell_comps)

    @override
    def sub_size(self, pixel_scales: float) -> int:
        """See `LightProfile`: two Gauss-Legendre nodes along each part of a pixel twice as wide as sigma."""
        parts = np.ceil(pixel_scales / (_PART * np.concatenate(self.widths).min()))
        return int(2 * np.clip(parts, 1, _MOST_PARTS))

    def _integrated(self, centres: np.ndarray, pixel_scales: float, columns: np.ndarray) -> TensorVariable:
        """Averages (n, n_pixels) of some Gaussians (n,) over pixels with these centres (n_pixels, 2).

        The covariance of y and x, much smaller than a pixel's square, is left out: the average is a product
        of two integrals, of rows and of columns of pixels.
        """
        widths, groups = np.concatenate(self.widths)[columns] / pixel_scales, self.groups[columns]
        near, *centre = self._moderate_centre()
        parts = zip(*self._roots(near), strict=True)
        admissible, p, q, r = (pt.stack(part)[groups][:, None] for part in parts)
        stretches = pt.sqrt(q * q + r * r), pt.sqrt(p * p + r * r)
        average = 2.0 * np.pi * widths[:, None] ** 2
        for axis in (0, 1):
            positions, places = np.unique(np.round(centres[:, axis] / pixel_scales, 6), return_inverse=True)
            distances = positions - centre[axis] / pixel_scales
            root = np.sqrt(2.0) * widths[:, None] * stretches[axis]
            below, above = (pt.erf((distances + half) / root) for half in (-0.5, 0.5))
            average = average * (0.5 * (above - below))[:, places]
        return nan_unless(admissible, average)

    def _roots(self, conditions: list[TensorVariable]) -> list[tuple[TensorVariable, ...]]:
        """Return the root of each group's quadratic form, see `_root`."""
        return [_root(*ellipticity, conditions) for ellipticity in self.ellipticities]

    def _moderate_centre(self) -> tuple[list[TensorVariable], Any, Any]:
        """Conditions that the centre is no extreme variable, and the centre; zero where it is one."""
        centre_y, centre_x = pair("centre", self.centre)
        near = moderate(centre_y, centre_x)
        if near:
            centre_y, centre_x = (zero_unless(reduce(and_, near), part) for part in (centre_y, centre_x))
        return near, centre_y, centre_x

    @property
    def groups(self) -> np.ndarray:
        """Group of each Gaussian, (n_columns,)."""
        return np.repeat(np.arange(len(self.widths)), [widths.size for widths in self.widths])

    @property
    def ellipticities(self) -> list[tuple[Any, Any]]:
        """Of each group, (e_y, e_x).

        Raises
        ------
        ValueError
            If the number of groups is not known, or a pair is none.
        """
        return pairs("ell_comps", self.ell_comps)

    @property
    def widths(self) -> list[np.ndarray]:
        """Of each group, arcsec.

        Raises
        ------
        TypeError
            If widths are no real numbers.
        """
        nested = isinstance(self.sigmas, (list, tuple)) and any(np.ndim(item) for item in self.sigmas)
        flat = isinstance(self.sigmas, Variable) or (not nested and np.ndim(self.sigmas) != 2)
        groups: Sequence[Any] = [self.sigmas] if flat else self.sigmas
        return [real_numbers("sigmas", widths) for widths in groups]


def turned(y: Any, x: Any, degrees: float) -> tuple[Any, Any]:
    """Turn a vector (y, x) counter-clockwise."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return cosine * y + sine * x, cosine * x - sine * y


def _root(e_y: Any, e_x: Any, conditions: list[TensorVariable]) -> tuple[TensorVariable, ...]:
    """Whether all conditions hold, then (p, q, r) of a symmetric matrix.

    The squared length of ``[[p, r], [r, q]] (y, x)`` is ``f x^2 + y^2 / f`` of the major-axis frame, with the
    axis ratio f.
    """
    # With Z = x + iy it is |Z - e conj(Z)|^2 / (1 - |e|^2).
    e_y, e_x = pt.as_tensor_variable(e_y), pt.as_tensor_variable(e_x)
    admissible = reduce(and_, conditions, e_y * e_y + e_x * e_x < 1.0)
    e_y, e_x = zero_unless(admissible, e_y), zero_unless(admissible, e_x)
    norm = pt.sqrt(1.0 - e_y * e_y - e_x * e_x)
    return admissible, (1.0 + e_x) / norm, (1.0 - e_x) / norm, -e_y / norm
