"""The contract of a linear light profile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, override

import pytensor.tensor as pt
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lens.symbolic import called, expression, may_be_equal
from pymc_lens.validation import integer, require_instance


class LightProfile(ABC):
    """Light whose amplitudes are solved for inside the inversion.

    Its geometry may be numbers or random variables. Profiles add: a sum of two has the amplitudes of both.

    Attributes
    ----------
    intensity_scale : float or None
        Prior standard deviation of each amplitude, in the units of the data; None: ten times the brightest
        fitted pixel.
    """

    intensity_scale: float | None = None

    @property
    def smallest_scale(self) -> float | None:
        """Scale of its finest structure, arcsec, where that is known: sub-pixels must not miss it."""
        return None

    @property
    def parts(self) -> tuple[LightProfile, ...]:
        """The profiles of which a sum consists; of another profile, itself."""
        return (self,)

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of amplitudes."""

    @abstractmethod
    def images(self, grid: Any) -> TensorVariable:
        """Surface brightness for unit amplitudes, one image for each.

        Parameters
        ----------
        grid : (n_points, 2) array or tensor
            Positions (y, x), arcsec.

        Returns
        -------
        (n_columns, n_points) TensorVariable
            One at its peak.
        """

    def __add__(self, other: object) -> LightSum:
        if not isinstance(other, LightProfile):
            return NotImplemented
        return LightSum((*self.parts, *other.parts))


@dataclass(frozen=True, eq=False)
class LightSum(LightProfile):
    """Several profiles; each keeps its own ``intensity_scale``.

    Parameters
    ----------
    profiles : tuple of LightProfile

    Raises
    ------
    TypeError
        If one of them is something else.
    """

    profiles: tuple[LightProfile, ...]

    def __post_init__(self) -> None:
        require_instance("profiles", self.profiles, tuple)
        for profile in self.profiles:
            require_instance("profiles", profile, LightProfile)

    @property
    @override
    def parts(self) -> tuple[LightProfile, ...]:
        return self.profiles

    @property
    @override
    def n_columns(self) -> int:
        return sum(profile.n_columns for profile in self.profiles)

    @override
    def images(self, grid: Any) -> TensorVariable:
        return pt.concatenate([profile.images(grid) for profile in self.profiles])


def require_columns(light: LightProfile) -> None:
    """Raise unless the number of amplitudes of a profile, which may be a user's, is an integer above zero."""
    for part in light.parts:
        integer(f"{type(part).__name__}.n_columns", part.n_columns, minimum=1)


def images_of(light: LightProfile, grid: Any) -> TensorVariable:
    """Images of a profile, which may be a user's, at positions (n_points, 2); see `LightProfile.images`.

    Raises
    ------
    TypeError
        If it fails on symbolic variables, or does not return one.
    ValueError
        If it does not return an image for each of its amplitudes.
    """
    name = f"{type(light).__name__}.images"
    images = expression(name, called(name, light.images, grid))
    expected = (light.n_columns, grid.type.shape[0] if isinstance(grid, Variable) else len(grid))
    got = images.type.shape
    if not may_be_equal(got, expected):
        raise ValueError(
            f"{name}: expected (n_columns, n_points), here {expected}, got shape {got}. A profile of one "
            "amplitude returns image[None]."
        )
    return images
