"""Draws of many lenses' posteriors as one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from xarray import DataTree

from pymc_lens.validation import real_numbers

# Fewer say nothing of a population, whatever it is.
_FEWEST = 20

Key = str | tuple[str, ...]


class LensDraws(NamedTuple):
    """Draws of the parameters of lenses, padded to as many a lens.

    Attributes
    ----------
    lenses : tuple of str or int
    values : dict of str or tuple of str to (n_lenses, n_draws, ...) array
        By the keys of the population. What is padded repeats the last draw.
    counts : (n_lenses,) int
        Draws that are not padded.
    """

    lenses: tuple[Any, ...]
    values: dict[Key, np.ndarray]
    counts: np.ndarray

    @property
    def is_draw(self) -> np.ndarray:
        """Which (n_lenses, n_draws) are not padded."""
        return np.arange(self.counts.max()) < self.counts[:, None]

    @classmethod
    def of(cls, name: str, posteriors: Any, keys: Sequence[Key]) -> LensDraws:
        """Read posteriors.

        Parameters
        ----------
        name : str
            Of the argument, for messages.
        posteriors : sequence or mapping of DataTree, Dataset or mapping
            One a lens.
        keys : sequence of str or tuple of str

        Raises
        ------
        TypeError, ValueError
            If they are something else, or lack parameters.
        """
        if isinstance(posteriors, (str, DataTree, xr.Dataset)) or not isinstance(
            posteriors, (Mapping, Sequence)
        ):
            raise TypeError(
                f"{name}: expected a sequence of posteriors, or a mapping of them by lens, got "
                f"{type(posteriors).__name__}."
            )
        lenses = tuple(posteriors) if isinstance(posteriors, Mapping) else tuple(range(len(posteriors)))
        if not lenses:
            raise ValueError(f"{name}: expected at least one lens, got none.")
        of_lenses = [
            {key: _of_lens(f"{name}[{lens!r}]", posteriors[lens], key) for key in keys} for lens in lenses
        ]
        counts = np.array(
            [_common_count(f"{name}[{lens!r}]", d) for lens, d in zip(lenses, of_lenses, strict=True)]
        )
        values = {key: _stacked(name, key, [draws[key] for draws in of_lenses]) for key in keys}
        return cls(lenses, values, counts)


def _of_lens(name: str, posterior: Any, key: Key) -> np.ndarray:
    """Draws (n_draws, ...) of one parameter, or (n_draws, n) of several."""
    if isinstance(key, str):
        return _parameter(name, posterior, key)
    columns = [_parameter(name, posterior, each) for each in key]
    if any(column.ndim > 1 for column in columns):
        raise ValueError(f"population[{key!r}]: expected names of scalars, some have several components.")
    return np.stack(columns, axis=-1)


def _parameter(name: str, posterior: Any, parameter: str) -> np.ndarray:
    if isinstance(posterior, DataTree):
        if "posterior" not in posterior.children:
            raise ValueError(
                f"{name}: expected a posterior group, got the groups {sorted(posterior.children)}."
            )
        posterior = posterior["posterior"].to_dataset()
    if not isinstance(posterior, (Mapping, xr.Dataset)):
        raise TypeError(
            f"{name}: expected a DataTree, a Dataset or a mapping of arrays, got {type(posterior).__name__}."
        )
    if parameter not in posterior:
        raise ValueError(
            f"{name}: expected draws of {parameter!r}, got those of {sorted(map(str, posterior))}. What is a "
            "function of others can be added: posterior.assign(log_radius=np.log(posterior.einstein_radius))."
        )
    values = posterior[parameter]
    if isinstance(values, xr.DataArray):
        values = _draws_first(name, values)
    array = real_numbers(f"{name}[{parameter!r}]", values)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name}[{parameter!r}]: expected draws (n,) or (n, components), got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name}[{parameter!r}]: expected finite draws, some are not.")
    return array


def _draws_first(name: str, values: xr.DataArray) -> np.ndarray:
    dims = [dim for dim in ("chain", "draw", "sample") if dim in values.dims]
    if not dims:
        raise ValueError(f"{name}: expected the dimensions chain and draw, got {values.dims}.")
    ordered = values.transpose(*dims, ...).values
    return ordered.reshape(-1, *ordered.shape[len(dims) :])


def _common_count(name: str, draws: Mapping[Key, np.ndarray]) -> int:
    counts = {len(values) for values in draws.values()}
    if len(counts) > 1:
        raise ValueError(f"{name}: expected as many draws of each parameter, got {sorted(counts)}.")
    (count,) = counts
    if count < _FEWEST:
        raise ValueError(f"{name}: expected at least {_FEWEST} draws a lens, got {count}. Sample more.")
    return count


def _stacked(name: str, key: Key, of_lenses: list[np.ndarray]) -> np.ndarray:
    shapes = {draws.shape[1:] for draws in of_lenses}
    if len(shapes) > 1:
        raise ValueError(f"{name}: expected {key!r} of the same shape of all lenses, got {sorted(shapes)}.")
    longest = max(map(len, of_lenses))
    return np.stack([draws[np.minimum(np.arange(longest), len(draws) - 1)] for draws in of_lenses])
