"""Distances whose cosmological parameters may be numbers or random variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, override

import astropy.constants
import astropy.units as u
import numpy as np
import pytensor.tensor as pt
from astropy.cosmology import FLRW

from pymc_lens.symbolic import nan_unless, scalar, within
from pymc_lens.validation import is_symbolic, number, require_instance

__all__ = ["Distances", "FlatWCDM", "ScalingFactors"]

# Gauss-Legendre nodes in ln(1 + z): distances to 1e-12 of themselves up to a redshift of ten.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_SPEED_OF_LIGHT = astropy.constants.c.to_value(u.km / u.s)


class Sources(NamedTuple):
    """A lens, a source and the farthest source, by redshift."""

    lens: Any
    source: Any
    farthest: Any


class Distances(ABC):
    """What a tracer asks of a cosmology: `scale`, and of one with distances these too."""

    @abstractmethod
    def scale(self, at: Sources) -> Any:
        """Deflection of a source over that of the farthest one.

        ``D(lens, source) D(farthest) / (D(source) D(lens, farthest))`` in transverse comoving distances;
        factors 1 + z cancel.

        Parameters
        ----------
        at : Sources

        Returns
        -------
        float or variable
            NaN where variables are outside their domain.

        Raises
        ------
        ValueError
            If there is no such ratio.
        """

    @property
    @abstractmethod
    def hubble_distance(self) -> Any:
        """Mpc.

        Raises
        ------
        TypeError
            If there are no distances.
        """

    @abstractmethod
    def transverse_distance(self, near: Any, far: Any) -> Any:
        """Transverse comoving distance between two redshifts in Hubble distances.

        Parameters
        ----------
        near, far : float or variable
            Redshifts.

        Returns
        -------
        float or variable
            NaN where variables are outside their domain.

        Raises
        ------
        TypeError
            If there are no distances, or none for redshifts that are variables.
        """


class _FromDistances(Distances):
    @override
    def scale(self, at: Sources) -> Any:
        distance = self.transverse_distance
        of_source = distance(at.lens, at.source) / distance(0.0, at.source)
        return of_source * distance(0.0, at.farthest) / distance(at.lens, at.farthest)


@dataclass(frozen=True, eq=False)
class FlatWCDM(_FromDistances):
    """Flat universe of matter and dark energy of constant equation of state.

    ``E(z)^2 = Om0 (1 + z)^3 + (1 - Om0) (1 + z)^(3 (1 + w0))``: astropy's ``FlatwCDM`` without radiation, to
    1e-12. Ratios of distances, as of double source planes, depend on ``Om0`` and ``w0``; delays between
    images on ``H0`` too. Parameters may be random variables.

    Parameters
    ----------
    H0 : float
        km/s/Mpc, positive.
    Om0 : float
        Between 0 and 1.
    w0 : float
        By default a cosmological constant.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: one outside these domains or not finite. Random variables outside them give NaN.

    Examples
    --------
    >>> cosmology = pl.FlatWCDM(70.0, pm.Uniform("Om0"), pm.Uniform("w0", -2.0, 0.0))  # doctest: +SKIP
    >>> tracer = pl.Tracer([lens, source_1, source_2], cosmology)  # doctest: +SKIP
    """

    H0: Any = 67.74
    Om0: Any = 0.3075
    w0: Any = -1.0

    def __post_init__(self) -> None:
        hubble, matter = scalar("H0", self.H0), scalar("Om0", self.Om0)
        if not is_symbolic(hubble) and hubble <= 0.0:
            raise ValueError(f"H0: expected a positive number, got {self.H0!r}.")
        if not is_symbolic(matter) and not 0.0 <= matter <= 1.0:
            raise ValueError(f"Om0: expected a number from 0 to 1, got {self.Om0!r}.")
        scalar("w0", self.w0)

    @property
    @override
    def hubble_distance(self) -> Any:
        hubble = scalar("H0", self.H0)
        if not is_symbolic(hubble):
            return _SPEED_OF_LIGHT / hubble
        admissible, hubble = within((hubble,), (1.0,), hubble > 0.0)
        return nan_unless(admissible, _SPEED_OF_LIGHT / hubble)

    @override
    def transverse_distance(self, near: Any, far: Any) -> Any:
        parts = (scalar("Om0", self.Om0), scalar("w0", self.w0), near, far)
        if not any(map(is_symbolic, parts)):
            return float(_comoving(np, *parts))
        matter, _, near, far = parts
        conditions = (matter >= 0.0, matter <= 1.0, near >= 0.0, far >= near)
        admissible, matter, w, near, far = within(parts, (0.3, -1.0, 0.0, 1.0), *conditions)
        return nan_unless(admissible, _comoving(pt, matter, w, near, far))


@dataclass(frozen=True, eq=False)
class FromAstropy(_FromDistances):
    """A cosmology of astropy, of numbers.

    Parameters
    ----------
    cosmology : astropy.cosmology.FLRW
    """

    cosmology: FLRW

    @property
    @override
    def hubble_distance(self) -> float:
        return float(self.cosmology.hubble_distance.to_value(u.Mpc))

    @override
    def transverse_distance(self, near: Any, far: Any) -> float:
        # Hogg 1999 (astro-ph/9905116), eq. 16. Astropy has changed its own function between versions.
        for redshift in (near, far):
            if is_symbolic(redshift):
                raise TypeError(
                    f"cosmology: expected one that takes the variable {redshift} as a redshift, got "
                    f"{type(self.cosmology).__name__}. Use FlatWCDM."
                )
        near_mpc, far_mpc = (self.cosmology.comoving_distance(redshift).value for redshift in (near, far))
        along = float(far_mpc - near_mpc) / self.cosmology.hubble_distance.value
        root = np.sqrt(abs(self.cosmology.Ok0))
        if root == 0.0:
            return along
        return float((np.sinh if self.cosmology.Ok0 > 0.0 else np.sin)(root * along) / root)


@dataclass(frozen=True, eq=False)
class ScalingFactors(Distances):
    """Ratios of distances as they are, of no cosmology: free parameters of a double source plane.

    Parameters
    ----------
    factors : mapping of (lens redshift, source redshift) to float
        Deflection by the lens of a source over that of the farthest one; may be random variables.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a key is no pair of redshifts, or a number is not finite.

    Examples
    --------
    >>> ratio = pm.Uniform("ratio", 0.0, 1.0)  # doctest: +SKIP
    >>> tracer = pl.Tracer([lens, near, far], pl.ScalingFactors({(0.222, 0.609): ratio}))  # doctest: +SKIP
    """

    factors: Mapping[tuple[float, float], Any]

    def __post_init__(self) -> None:
        require_instance("factors", self.factors, Mapping)
        factors = {}
        for key, factor in self.factors.items():
            if not isinstance(key, tuple) or len(key) != 2:
                raise ValueError(f"factors: expected pairs (lens, source) of redshifts, got {key!r}.")
            factors[tuple(number("factors", redshift) for redshift in key)] = scalar("factors", factor)
        object.__setattr__(self, "factors", MappingProxyType(factors))

    @override
    def scale(self, at: Sources) -> Any:
        try:
            return self.factors[at.lens, at.source]
        except KeyError:
            raise ValueError(
                f"cosmology: expected a factor of the lens at redshift {at.lens} and the source at "
                f"{at.source}, got those of {list(self.factors)}."
            ) from None

    @property
    @override
    def hubble_distance(self) -> Any:
        raise TypeError("cosmology: ScalingFactors have no distances. Use FlatWCDM or one of astropy's.")

    @override
    def transverse_distance(self, near: Any, far: Any) -> Any:
        return self.hubble_distance


def _comoving(functions: Any, matter: Any, w: Any, near: Any, far: Any) -> Any:
    """Integral of dz / E(z)."""
    low, high = functions.log1p(near), functions.log1p(far)
    half = 0.5 * (high - low)
    x = low + half * (_NODES + 1.0)
    squared = matter * functions.exp(3.0 * x) + (1.0 - matter) * functions.exp(3.0 * (1.0 + w) * x)
    return half * (_WEIGHTS * functions.exp(x) / functions.sqrt(squared)).sum()
