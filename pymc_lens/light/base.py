"""The contract of a linear light profile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, override

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Variable
from pytensor.tensor.variable import TensorVariable

from pymc_lens.data.image_plane import CENTRED, Frame
from pymc_lens.symbolic import Bounded, called, expression, may_be_equal
from pymc_lens.validation import integer, positive_number, require_instance

POSITIVITY = (None, "map", "marginal", "nnls")
# Along a pixel's side, of light that nothing is known of.
_SUB_SIZE = 4


class LightProfile(Bounded, ABC):
    """Light whose amplitudes are solved for inside the inversion.

    Its geometry may be numbers or random variables, in the `domains` that a subclass gives. Profiles add: a
    sum of two has the amplitudes of both.

    Attributes
    ----------
    intensity_scale : float or None
        Prior standard deviation of each amplitude, in the units of the data; None: ten times the brightest
        fitted pixel, times `relative_scales`.
    positivity : str or None
        Whether amplitudes may be negative; "nnls", or as of `pymc_lens.Pixelization`.
    is_lensed : bool
        Whether a lens in front of it moves it; otherwise its positions are those in the image.

    Raises
    ------
    TypeError
        If a parameter is of another kind than its domain's.
    ValueError
        If a number lies outside the domain of its parameter, ``intensity_scale`` is not positive, or there is
        no such ``positivity``.
    """

    is_lensed: ClassVar[bool] = True
    intensity_scale: float | None = None
    positivity: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.intensity_scale is not None:
            positive_number("intensity_scale", self.intensity_scale)
        require_positivity(self.positivity)

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

    def averages(
        self, points: np.ndarray, sub_size: int, pixel_scales: float, frame: Frame = CENTRED
    ) -> TensorVariable:
        """Surface brightness for unit amplitudes averaged over pixels; by default the mean of their points.

        Parameters
        ----------
        points : (n_pixels * sub_size**2, 2) array
            Positions (y, x) in the pixels, arcsec, those of one pixel consecutive.
        sub_size : int
            Positions along a pixel's side.
        pixel_scales : float
            Arcsec.
        frame : Frame
            Of the image: how its pixels' sides lie.

        Returns
        -------
        (n_columns, n_pixels) TensorVariable

        Raises
        ------
        TypeError, ValueError
            As `averages_at`.
        """
        return self.averages_at(points, sub_size**2)

    def averages_at(self, positions: Any, per_pixel: int) -> TensorVariable:
        """Means of the surface brightness for unit amplitudes, wherever a lens puts the points of a pixel.

        Parameters
        ----------
        positions : (n_pixels * per_pixel, 2) array or tensor
            (y, x), those of one pixel consecutive, arcsec.
        per_pixel : int

        Returns
        -------
        (n_columns, n_pixels) TensorVariable

        Raises
        ------
        TypeError
            If `images` fails on symbolic variables, or does not return one.
        ValueError
            If `images` does not return an image for each amplitude.
        """
        images = images_of(self, positions)
        if per_pixel == 1:
            return images
        return images.reshape((self.n_columns, images.shape[1] // per_pixel, per_pixel)).mean(axis=-1)

    def relative_scales(self, pixel_scales: float) -> np.ndarray:
        """Default prior standard deviations of the amplitudes, in units of an extended image's.

        Parameters
        ----------
        pixel_scales : float
            Arcsec.

        Returns
        -------
        (n_columns,) float64 array
        """
        return np.ones(self.n_columns)

    def sub_size(self, pixel_scales: float) -> int:
        """Positions along a pixel's side that its averages need wherever a lens puts it.

        Parameters
        ----------
        pixel_scales : float
            Arcsec.

        Returns
        -------
        int
        """
        return _SUB_SIZE

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
    ValueError
        If they differ in ``positivity``.
    """

    profiles: tuple[LightProfile, ...]

    def __post_init__(self) -> None:
        require_instance("profiles", self.profiles, tuple)
        for profile in self.profiles:
            require_instance("profiles", profile, LightProfile)
        if len({profile.positivity for profile in self.profiles}) > 1:
            raise ValueError(
                "positivity: expected the same of all light of a galaxy, got "
                f"{[profile.positivity for profile in self.profiles]}."
            )

    @property
    def positivity(self) -> str | None:  # type: ignore[override]
        return self.profiles[0].positivity

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

    @override
    def averages(
        self, points: np.ndarray, sub_size: int, pixel_scales: float, frame: Frame = CENTRED
    ) -> TensorVariable:
        return pt.concatenate(
            [profile.averages(points, sub_size, pixel_scales, frame) for profile in self.profiles]
        )

    @override
    def averages_at(self, positions: Any, per_pixel: int) -> TensorVariable:
        return pt.concatenate([profile.averages_at(positions, per_pixel) for profile in self.profiles])

    @override
    def sub_size(self, pixel_scales: float) -> int:
        return max(profile.sub_size(pixel_scales) for profile in self.profiles)


def require_positivity(positivity: object) -> None:
    """Raise ValueError unless it is one of the ways in which coefficients are confined, or None."""
    if not isinstance(positivity, str | None) or positivity not in POSITIVITY:
        raise ValueError(f"positivity: expected one of {list(POSITIVITY)}, got {positivity!r}.")


def require_columns(light: LightProfile) -> None:
    """Raise unless the number of amplitudes of a profile, which may be a user's, is an integer above zero."""
    for part in light.parts:
        integer(f"{type(part).__name__}.n_columns", part.n_columns, minimum=1)


def middles(points: np.ndarray, sub_size: int, frame: Frame) -> np.ndarray:
    """Where pixels (n_pixels, 2) of the points of `LightProfile.averages` lie in the image."""
    return frame.from_sky(points.reshape(-1, sub_size**2, 2).mean(axis=1))


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
