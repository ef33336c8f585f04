"""Profiles as other packages list them: a name, and a dict of values, each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pymc_lens.light.base import LightProfile
from pymc_lens.mass import MassProfile, MassSum
from pymc_lens.validation import require_instance

Listed = tuple[str, dict[str, Any]]


def masses_of(mass: MassProfile) -> tuple[MassProfile, ...]:
    """Return what a mass is the sum of.

    Raises
    ------
    TypeError
        If it is no mass.
    """
    require_instance("mass", mass, MassProfile)
    return mass.profiles if isinstance(mass, MassSum) else (mass,)


def amplitudes_of_parts(light: LightProfile, amplitudes: Any) -> list[np.ndarray | None]:
    """Return the amplitudes of each part of a light, None of each where none are known.

    Raises
    ------
    ValueError
        If there are more or fewer than the light has.
    """
    counts = [part.n_columns for part in light.parts]
    if amplitudes is None:
        return [None] * len(counts)
    values = np.atleast_1d(np.asarray(amplitudes, dtype=float))
    if values.shape != (sum(counts),):
        raise ValueError(f"amplitudes: expected {sum(counts)} of them, got shape {values.shape}.")
    return list(np.split(values, np.cumsum(counts)[:-1]))


def listed(profiles: Sequence[Listed]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the names of profiles, and their values."""
    return [name for name, _ in profiles], [values for _, values in profiles]


def read_list(
    what: str,
    package: str,
    names: Sequence[str],
    values: Sequence[dict],
    known: Mapping[str, Callable[..., Any]],
) -> list[Any]:
    """Return what the functions known make of profiles, by the name of each.

    Raises
    ------
    ValueError
        If the lists do not go together, or a name is not known.
    """
    if len(names) != len(values) or not names:
        raise ValueError(
            f"{what}: expected as many names as dicts of values, at least one, got {len(names)} and "
            f"{len(values)}."
        )
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{what}: expected some of {package}'s {sorted(known)}, got {unknown}.")
    return [known[name](**each) for name, each in zip(names, values, strict=True)]
