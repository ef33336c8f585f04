"""Rays from the image plane to the source, through one or several lens planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import groupby
from operator import add
from types import MappingProxyType
from typing import Any, NamedTuple

import astropy.constants
import astropy.units as u
import pytensor.tensor as pt
from astropy.cosmology import FLRW, Planck15
from pytensor.tensor.variable import TensorVariable

from pymc_lens.cosmology import Distances, FromAstropy, Sources
from pymc_lens.galaxy import Galaxy, validated_redshift
from pymc_lens.mass.base import Hessian, MassProfile, MassSum
from pymc_lens.symbolic import join_positions, pair, scalar, split_positions
from pymc_lens.validation import require_instance

# Days that light takes for a Mpc, times a square arcsec.
_DAYS = float((u.Mpc / astropy.constants.c).to_value(u.day) * u.arcsec.to(u.rad) ** 2)


class _Plane(NamedTuple):
    redshift: float
    mass: MassProfile


class Jacobian(NamedTuple):
    """Derivatives of (y, x) in one plane in (y, x) of the image plane, row by row."""

    yy: Any
    yx: Any
    xy: Any
    xx: Any

    def bent_by(self, hessian: Hessian) -> Jacobian:
        """Return the product of a plane's Hessian and this Jacobian."""
        return Jacobian(
            hessian.yy * self.yy + hessian.xy * self.xy,
            hessian.yy * self.yx + hessian.xy * self.xx,
            hessian.xy * self.yy + hessian.xx * self.xy,
            hessian.xy * self.yx + hessian.xx * self.xx,
        )


class Tracer:
    """Galaxies along the line of sight, lensing one another.

    The deflections of every mass profile are those for a source at the redshift of the farthest galaxy;
    towards nearer planes they are scaled by the ratio of distances (Schneider, Ehlers & Falco 1992, eqs. 9.5
    to 9.7). Galaxies of equal redshift are one plane.

    Parameters
    ----------
    galaxies : sequence of Galaxy
        In any order.
    cosmology : astropy.cosmology.FLRW or pymc_lens.cosmology.Distances, optional
        Read only where the distances matter, with more than two planes or for delays; by default Planck
        2015. `pymc_lens.FlatWCDM` takes random variables, `pymc_lens.ScalingFactors` the ratios themselves.
    redshifts : mapping of float to variable, optional
        What the distances to galaxies of a redshift are computed with in its place: a random variable, for a
        redshift that is known roughly. The galaxies' own redshifts order the planes, and where the variables
        order them otherwise rays are NaN. Needs a cosmology that takes variables.

    Raises
    ------
    TypeError
        If an element is not a Galaxy, the cosmology is something else, or a redshift is no number or
        variable.
    ValueError
        If there is no galaxy, two have the same name, or a mass lenses nothing: it lies neither in front of a
        pixelized galaxy (or, where there is none, the farthest one) nor of any light. If no galaxy has one of
        the ``redshifts``.

    Examples
    --------
    >>> lens = pl.Galaxy(0.5, mass=pl.mass.Isothermal(einstein_radius=1.2))
    >>> pl.Tracer([lens, pl.Galaxy(1.0)])
    Tracer(redshift 0.5: Isothermal; redshift 1: nothing)
    """

    def __init__(
        self,
        galaxies: Sequence[Galaxy],
        cosmology: FLRW | Distances = Planck15,
        redshifts: Mapping[float, Any] = MappingProxyType({}),
    ) -> None:
        try:
            galaxies = list(galaxies)
        except TypeError:
            raise TypeError(f"galaxies: expected a list of Galaxy, got {type(galaxies).__name__}.") from None
        for galaxy in galaxies:
            require_instance("galaxies", galaxy, Galaxy)
        if not galaxies:
            raise ValueError("galaxies: expected at least one galaxy, got none.")
        if not isinstance(cosmology, (FLRW, Distances)):
            raise TypeError(
                "cosmology: expected an astropy FLRW cosmology or one of pymc_lens.cosmology, got "
                f"{type(cosmology).__name__}."
            )
        self.galaxies = tuple(sorted(galaxies, key=lambda galaxy: galaxy.redshift))
        self.cosmology = cosmology
        self.redshifts = _variable_redshifts(redshifts, self.galaxies)
        self._planes = _mass_planes(self.galaxies)
        self.names = _names(self)
        lit = [galaxy.redshift for galaxy in galaxies if galaxy.light is not None]
        if self._planes and self._planes[-1].redshift >= max([self.source_redshift, *lit]):
            raise ValueError(
                f"galaxies: the mass at redshift {self._planes[-1].redshift} lenses nothing: the source, at "
                f"{self.source_redshift}, is not behind it, and no light is. Remove it or change a redshift."
            )

    @property
    def source_redshift(self) -> float:
        """Redshift of the farthest pixelized galaxy, or of the farthest one where there is none."""
        pixelized = [galaxy.redshift for galaxy in self.galaxies if galaxy.pixelization is not None]
        return pixelized[-1] if pixelized else self.galaxies[-1].redshift

    def lens_redshifts(self, redshift: float | None = None) -> list[float]:
        """Redshifts of the planes with mass in front of a redshift.

        Parameters
        ----------
        redshift : float, optional
            By default `source_redshift`.

        Returns
        -------
        list of float
            Increasing.

        Raises
        ------
        ValueError
            If the redshift is negative, or beyond the farthest galaxy.
        """
        return [plane.redshift for plane in self._planes_before(self._target(redshift))]

    def lenses(self, redshift: float) -> bool:
        """Whether there is a mass in front of a redshift.

        Parameters
        ----------
        redshift : float

        Returns
        -------
        bool
        """
        return bool(self._planes_before(redshift))

    def traced_grid(self, grid: Any, redshift: float | None = None) -> TensorVariable:
        """Trace image-plane positions to a redshift.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            (y, x), arcsec.
        redshift : float, optional
            By default `source_redshift`.

        Returns
        -------
        (..., 2) TensorVariable
            (y, x) in the plane of that redshift, arcsec.

        Raises
        ------
        ValueError
            If the redshift is beyond the farthest galaxy, for which the deflections are not known, or the
            grid has another shape.
        """
        target = self._target(redshift)
        y, x = split_positions(grid)
        angles: list[tuple[float, Any, Any]] = []
        for plane, mass in self._planes_before(target):
            angles.append((plane, *mass.deflections_yx(*self._position(y, x, angles, plane))))
        return join_positions(*self._position(y, x, angles, target))

    def convergence(self, grid: Any, redshift: float | None = None) -> TensorVariable:
        """Convergence for a source at a redshift.

        For several lens planes it is that of the whole mapping: one less half the trace of its Jacobian.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            (y, x), arcsec.
        redshift : float, optional
            By default `source_redshift`.

        Returns
        -------
        (...) TensorVariable

        Raises
        ------
        ValueError
            If the redshift is beyond the farthest galaxy, for which the deflections are not known, or the
            grid has another shape.
        """
        jacobian = self.jacobian(grid, redshift)
        return 1.0 - 0.5 * (jacobian.yy + jacobian.xx)

    def magnification(self, grid: Any, redshift: float | None = None) -> TensorVariable:
        """Signed magnification for a source at a redshift.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            (y, x), arcsec.
        redshift : float, optional
            By default `source_redshift`.

        Returns
        -------
        (...) TensorVariable

        Raises
        ------
        ValueError
            If the redshift is beyond the farthest galaxy, for which the deflections are not known, or the
            grid has another shape.
        """
        jacobian = self.jacobian(grid, redshift)
        return 1.0 / (jacobian.yy * jacobian.xx - jacobian.yx * jacobian.xy)

    def potential(self, grid: Any, redshift: float | None = None) -> TensorVariable:
        """Lensing potential, for a single lens plane.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            (y, x), arcsec.
        redshift : float, optional
            By default `source_redshift`.

        Returns
        -------
        (...) TensorVariable
            Arcsec^2.

        Raises
        ------
        ValueError
            If there is no mass in front of the redshift, or masses in several planes: their joint mapping is
            not a gradient. If the redshift is beyond the farthest galaxy.
        NotImplementedError
            If a profile is known by its deflections only.
        """
        target = self._target(redshift)
        plane = self._only_plane(target)
        return self._scale(plane.redshift, target) * plane.mass.potential(grid)

    def fermat_potential(
        self, grid: Any, source: Any = None, redshift: float | None = None
    ) -> TensorVariable:
        """Arrival time in units of `time_delay_distance` over c: ``|theta - beta|^2 / 2 - psi(theta)``.

        Schneider, Ehlers & Falco 1992, eq. 5.11. Its differences between images of a point are their delays.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            Positions theta, (y, x), arcsec.
        source : (y, x), optional
            The position beta of the source, arcsec; by default what each position is traced to, which for
            positions with errors is not the same for all.
        redshift : float, optional
            By default `source_redshift`.

        Returns
        -------
        (...) TensorVariable
            Arcsec^2.

        Raises
        ------
        ValueError
            As `potential`.
        """
        y, x = split_positions(grid)
        traced = self.traced_grid(grid, redshift)
        source_y, source_x = split_positions(traced) if source is None else pair("source", source)
        return 0.5 * ((y - source_y) ** 2 + (x - source_x) ** 2) - self.potential(grid, redshift)

    def time_delay_distance(self, redshift: float | None = None) -> TensorVariable:
        """Return ``(1 + z) D(lens) D(source) / D(lens, source)`` in angular diameter distances.

        Parameters
        ----------
        redshift : float, optional
            Of the source; by default `source_redshift`.

        Returns
        -------
        TensorVariable
            Mpc; inversely proportional to H0.

        Raises
        ------
        TypeError
            If the cosmology has no distances.
        ValueError
            As `potential`.
        """
        target = self._target(redshift)
        lens, source = map(self.redshift_of, (self._only_plane(target).redshift, target))
        distance = self.distances.transverse_distance
        # Factors 1 + z cancel.
        product = distance(0.0, lens) * distance(0.0, source) / distance(lens, source)
        return pt.as_tensor_variable(self.distances.hubble_distance * product)

    def arrival_times(self, grid: Any, source: Any = None, redshift: float | None = None) -> TensorVariable:
        """Arrival times behind light that is not lensed, a constant left out: their differences are delays.

        Parameters
        ----------
        grid, source, redshift
            See `fermat_potential`.

        Returns
        -------
        (...) TensorVariable
            Days.

        Raises
        ------
        TypeError, ValueError
            As `time_delay_distance`.
        """
        delays = self.time_delay_distance(redshift) * self.fermat_potential(grid, source, redshift)
        return _DAYS * delays

    def __repr__(self) -> str:
        return f"Tracer({'; '.join(_summary(galaxy) for galaxy in self.galaxies)})"

    def _target(self, redshift: float | None) -> float:
        if redshift is None:
            return self.source_redshift
        farthest = self.galaxies[-1].redshift
        redshift = validated_redshift(redshift)
        if redshift > farthest:
            raise ValueError(
                f"redshift: expected 0 to {farthest}, that of the farthest galaxy, got {redshift!r}."
            )
        return redshift

    def _planes_before(self, redshift: float) -> list[_Plane]:
        return [plane for plane in self._planes if plane.redshift < redshift]

    def _only_plane(self, redshift: float) -> _Plane:
        planes = self._planes_before(redshift)
        if len(planes) != 1:
            raise ValueError(
                f"galaxies: a potential needs exactly one plane with mass, there are {len(planes)}."
            )
        return planes[0]

    def jacobian(self, grid: Any, redshift: float | None = None) -> Jacobian:
        """Differentiate `traced_grid` in (y, x) of the image plane.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            (y, x), arcsec.
        redshift : float, optional
            By default `source_redshift`.

        Returns
        -------
        Jacobian
            Four TensorVariables (...).

        Raises
        ------
        ValueError
            If the redshift is beyond the farthest galaxy, for which the deflections are not known, or the
            grid has another shape.
        """
        target = self._target(redshift)
        y, x = split_positions(grid)
        angles: list[tuple[float, Any, Any]] = []
        bends: list[tuple[float, Jacobian]] = []
        for plane, mass in self._planes_before(target):
            here = self._position(y, x, angles, plane)
            bends.append((plane, self._mapping(y, bends, plane).bent_by(mass.hessian_yx(*here))))
            angles.append((plane, *mass.deflections_yx(*here)))
        return self._mapping(y, bends, target)

    def _position(
        self, y: Any, x: Any, angles: list[tuple[float, Any, Any]], redshift: float
    ) -> tuple[Any, Any]:
        for plane, alpha_y, alpha_x in angles:
            scale = self._scale(plane, redshift)
            y, x = y - scale * alpha_y, x - scale * alpha_x
        return y, x

    def _mapping(
        self, like: TensorVariable, bends: list[tuple[float, Jacobian]], redshift: float
    ) -> Jacobian:
        total = Jacobian(1.0 + 0.0 * like, 0.0 * like, 0.0 * like, 1.0 + 0.0 * like)
        for plane, bend in bends:
            scale = self._scale(plane, redshift)
            total = Jacobian(*(here - scale * bent for here, bent in zip(total, bend, strict=True)))
        return total

    def _scale(self, lens: float, target: float) -> float:
        """Deflection by a plane for a source at ``target`` over that for the farthest source."""
        farthest = self.galaxies[-1].redshift
        if target == farthest:
            return 1.0
        return self.distances.scale(Sources(*map(self.redshift_of, (lens, target, farthest))))

    def redshift_of(self, redshift: float) -> Any:
        """Redshift that distances to a galaxy of a redshift are computed with: itself, or a variable.

        Parameters
        ----------
        redshift : float

        Returns
        -------
        float or variable
        """
        return self.redshifts.get(redshift, redshift)

    def with_galaxies(self, galaxies: Sequence[Galaxy]) -> Tracer:
        """Return other galaxies of the same redshifts in the same universe.

        Parameters
        ----------
        galaxies : sequence of Galaxy

        Returns
        -------
        Tracer

        Raises
        ------
        TypeError, ValueError
            As of the class.
        """
        return Tracer(galaxies, self.cosmology, self.redshifts)

    @property
    def distances(self) -> Distances:
        """The cosmology, as a tracer asks for distances."""
        if isinstance(self.cosmology, FLRW):
            return FromAstropy(self.cosmology)
        return self.cosmology


def _variable_redshifts(redshifts: Mapping[float, Any], galaxies: tuple[Galaxy, ...]) -> Mapping[float, Any]:
    require_instance("redshifts", redshifts, Mapping)
    known = {galaxy.redshift for galaxy in galaxies}
    if unknown := set(redshifts) - known:
        raise ValueError(
            f"redshifts: expected some of the galaxies', {sorted(known)}, got {sorted(unknown)}."
        )
    return MappingProxyType({at: scalar("redshifts", value) for at, value in redshifts.items()})


def _names(tracer: Tracer) -> tuple[str, ...]:
    """Return a name of its own for each galaxy."""
    kinds = []
    for galaxy in tracer.galaxies:
        is_source = galaxy.pixelization is not None or tracer.lenses(galaxy.redshift)
        kinds.append(galaxy.name or ("source" if is_source else "lens"))
    names = [
        f"{kind}_{kinds[: place + 1].count(kind)}" if galaxy.name is None and kinds.count(kind) > 1 else kind
        for place, (galaxy, kind) in enumerate(zip(tracer.galaxies, kinds, strict=True))
    ]
    if len(set(names)) < len(names):
        raise ValueError(f"galaxies: expected names of their own, got {names}.")
    return tuple(names)


def _mass_planes(galaxies: tuple[Galaxy, ...]) -> list[_Plane]:
    planes = []
    for redshift, members in groupby(galaxies, key=lambda galaxy: galaxy.redshift):
        masses = [galaxy.mass for galaxy in members if galaxy.mass is not None]
        if masses:
            planes.append(_Plane(redshift, reduce(add, masses)))
    return planes


def _summary(galaxy: Galaxy) -> str:
    """Redshift of a galaxy and the kinds of what it has."""
    mass, light, pixelization = galaxy.mass, galaxy.light, galaxy.pixelization
    parts: list[str] = []
    if mass is not None:
        masses = mass.profiles if isinstance(mass, MassSum) else (mass,)
        parts.append(" + ".join(type(part).__name__ for part in masses))
    if light is not None:
        parts.append(" + ".join(type(part).__name__ for part in light.parts))
    if pixelization is not None:
        kinds = type(pixelization.mesh).__name__, type(pixelization.regularization).__name__
        parts.append(f"{kinds[0]} with {kinds[1]}")
    return f"redshift {galaxy.redshift:g}: {', '.join(parts) or 'nothing'}"
