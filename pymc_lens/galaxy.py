"""Galaxies: what has mass, light or a pixelized source at one redshift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymc_lens.light.base import LightProfile, require_columns, require_positivity
from pymc_lens.mass.base import MassProfile, require_deflections
from pymc_lens.mesh.base import Mesh
from pymc_lens.regularization.base import Regularization
from pymc_lens.validation import is_symbolic, number, require_instance


@dataclass(frozen=True, eq=False)
class Pixelization:
    """A source on a mesh with a prior.

    Parameters
    ----------
    mesh : Mesh
    regularization : Regularization
    positivity : None, "map" or "marginal"
        Whether source pixels may be negative: by default they may, and the evidence is exact. With "map" the
        most probable ones that are not take their place in the same formula, as in PyAutoLens: faithful as a
        picture, but no longer strictly an evidence. With "marginal" the prior is a Gaussian without its
        negative part and the evidence that of this prior, by expectation propagation; that takes several
        times as long, the more so the more source pixels there are.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If ``positivity`` is something else, or the prior needs what the mesh does not have.
    """

    mesh: Mesh
    regularization: Regularization
    positivity: str | None = None

    def __post_init__(self) -> None:
        require_instance("mesh", self.mesh, Mesh)
        require_instance("regularization", self.regularization, Regularization)
        require_positivity(self.positivity)
        _require_pair(self.mesh, self.regularization)


def _require_pair(mesh: Mesh, regularization: Regularization) -> None:
    """Raise ValueError if a mesh lacks what a prior reads of it, which no parameters would mend."""
    if regularization.needs_crosses and not mesh.has_crosses:
        raise ValueError(
            "regularization: split priors need a mesh of traced vertices, such as VoronoiNN or Delaunay, got "
            f"{type(mesh).__name__}."
        )
    if regularization.needs_areas and not mesh.all_cells_have_areas:
        raise ValueError(
            "regularization: MaternSPDE needs a mesh whose cells all have an area, and those on the border "
            "of this one have none. Let it end in a ZeroRing: border=ZeroRing()."
        )


@dataclass(frozen=True, eq=False)
class Galaxy:
    """A galaxy.

    Parameters
    ----------
    redshift : float
        A number, at least zero.
    mass : MassProfile, optional
        Several profiles are added: ``Isothermal(...) + ExternalShear(...)``.
    light : LightProfile, optional
    pixelization : Pixelization, optional
    name : str, optional
        By which its parts are told apart in fits and reconstructions; by default "source" if it is
        pixelized or behind a mass, else "lens", numbered by redshift where there are several.

    Raises
    ------
    TypeError
        If an argument is of another kind; the redshift cannot be a random variable. If a profile of the
        user's own fails on PyTensor variables.
    ValueError
        If the redshift is negative or not finite, or a profile of the user's own has deflections of another
        shape than the positions, or no amplitude.

    Examples
    --------
    >>> pl.Galaxy(redshift=0.5, mass=pl.mass.Isothermal(einstein_radius=1.2)).mass.einstein_radius
    1.2
    """

    redshift: float
    mass: MassProfile | None = None
    light: LightProfile | None = None
    pixelization: Pixelization | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "redshift", validated_redshift(self.redshift))
        for name, kind in (("mass", MassProfile), ("light", LightProfile), ("pixelization", Pixelization)):
            if getattr(self, name) is not None:
                require_instance(name, getattr(self, name), kind)
        if self.name is not None:
            require_instance("name", self.name, str)
        if self.mass is not None:
            require_deflections(self.mass)
        if self.light is not None:
            require_columns(self.light)


def validated_redshift(redshift: Any) -> float:
    """Return a redshift as a float.

    Raises
    ------
    TypeError
        If it is no number, such as a random variable.
    ValueError
        If it is negative or not finite.
    """
    if is_symbolic(redshift):
        raise TypeError(
            f"redshift: expected a number, got the variable {redshift}. Redshifts are fixed, as the order of "
            "the planes is; with a single lens plane nothing depends on their values."
        )
    value = number("redshift", redshift)
    if value < 0.0:
        raise ValueError(f"redshift: expected a number >= 0, got {redshift!r}.")
    return value
