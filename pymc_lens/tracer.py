"""Rays from the image plane to the source, through one or several lens planes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pytensor.tensor as pt
from astropy.cosmology import FLRW, Planck18
from pytensor.tensor.variable import TensorVariable

from pymc_lens.galaxy import Galaxy
from pymc_lens.light.base import LightProfile


class Tracer:
    """Galaxies along the line of sight, lensing one another.

    Deflections of every mass profile are those for a source at the highest redshift; towards nearer planes
    they are scaled by the ratio of distances (Schneider, Ehlers & Falco 1992, eq. 9.7).

    Parameters
    ----------
    galaxies : sequence of Galaxy
    cosmology : astropy.cosmology.FLRW, optional
        Only read where there are more than two planes; by default Planck 2018.

    Raises
    ------
    TypeError
        If an element is not a Galaxy.
    ValueError
        If there is no galaxy, more than one has a pixelization, or the pixelized source is not behind all
        masses.
    """

    def __init__(self, galaxies: Sequence[Galaxy], cosmology: FLRW = Planck18) -> None:
        galaxies = list(galaxies)
        for galaxy in galaxies:
            if not isinstance(galaxy, Galaxy):
                raise TypeError(f"galaxies: expected Galaxy objects, got {type(galaxy).__name__}.")
        if not galaxies:
            raise ValueError("galaxies: expected at least one galaxy, got none.")
        sources = [galaxy for galaxy in galaxies if galaxy.pixelization is not None]
        if len(sources) > 1:
            raise ValueError(f"galaxies: at most one may have a pixelization, {len(sources)} have.")
        if sources and sources[0].redshift <= min(galaxy.redshift for galaxy in galaxies) and len(galaxies) > 1:
            raise ValueError(
                f"galaxies: the pixelized source at redshift {sources[0].redshift} is not behind a lens."
            )
        self.galaxies = tuple(sorted(galaxies, key=lambda galaxy: galaxy.redshift))
        self.cosmology = cosmology

    @property
    def source_galaxy(self) -> Galaxy:
        """The galaxy with a pixelization.

        Raises
        ------
        ValueError
            If there is none.
        """
        for galaxy in self.galaxies:
            if galaxy.pixelization is not None:
                return galaxy
        raise ValueError("galaxies: none has a pixelization. Give the source Galaxy(..., pixelization=...).")

    @property
    def lights(self) -> tuple[LightProfile, ...]:
        """Linear light profiles, nearest galaxy first."""
        return tuple(galaxy.light for galaxy in self.galaxies if galaxy.light is not None)

    def traced_grid(self, grid: Any, redshift: float | None = None) -> TensorVariable:
        """Trace image-plane positions to a redshift.

        Parameters
        ----------
        grid : (..., 2)
            (y, x), arcsec.
        redshift : float, optional
            By default that of the pixelized source, or of the farthest galaxy where there is none.

        Returns
        -------
        (..., 2) symbolic
            (y, x) in the plane of that redshift, arcsec.
        """
        grid = pt.as_tensor_variable(grid)
        y, x = grid[..., 0], grid[..., 1]
        target = self._default_redshift if redshift is None else redshift
        angles: list[tuple[float, TensorVariable, TensorVariable]] = []
        for plane, members in groupby(self.galaxies, key=lambda galaxy: galaxy.redshift):
            masses = [galaxy.mass for galaxy in members if galaxy.mass is not None]
            if plane >= target or not masses:
                continue
            here = self._position(y, x, angles, plane)
            bent = [mass.deflections_yx(*here) for mass in masses]
            angles.append((plane, sum(b[0] for b in bent), sum(b[1] for b in bent)))  # type: ignore[arg-type]
        return pt.stack(self._position(y, x, angles, target), axis=-1)

    @property
    def _default_redshift(self) -> float:
        pixelized = [galaxy.redshift for galaxy in self.galaxies if galaxy.pixelization is not None]
        return pixelized[0] if pixelized else self.galaxies[-1].redshift

    def _position(
        self, y: TensorVariable, x: TensorVariable, angles: list, redshift: float
    ) -> tuple[TensorVariable, TensorVariable]:
        for plane, alpha_y, alpha_x in angles:
            scale = self._scale(plane, redshift)
            y, x = y - scale * alpha_y, x - scale * alpha_x
        return y, x

    def _scale(self, lens: float, target: float) -> float:
        """Deflection by a plane for a source at ``target`` over that for the farthest source."""
        farthest = self.galaxies[-1].redshift
        if target == farthest:
            return 1.0
        distance, between = self.cosmology.angular_diameter_distance, self.cosmology.angular_diameter_distance_z1z2
        ratio = between(lens, target) * distance(farthest) / (distance(target) * between(lens, farthest))
        return float(ratio)
