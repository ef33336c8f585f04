"""NUTS in pieces, on disk after each, until its chains agree."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from arviz_stats.summary import summary as table_of
from xarray import DataTree

from pymc_lens.inference.datatree import has_draws
from pymc_lens.inference.mode import Mode
from pymc_lens.inference.values import points_of
from pymc_lens.storage import save

_log = logging.getLogger(__name__)

# Chains agree below this R-hat (Vehtari et al. 2021, Bayesian Analysis 16, 667).
AGREED_R_HAT = 1.01
_MOST_PIECES = 4
# The metric of later pieces is that of the draws: only the step size is tuned again.
_TUNE_AGAIN = 50
_GROUPS = ("posterior", "sample_stats")
_DIGEST = "checkpoint_digest"

# Samples from a mode, with a number of tuning draws and where each chain begins (None: anywhere around it).
Piece = Callable[[Mode, int, list[dict[str, np.ndarray]] | None], DataTree]


def sample_until_agreed(
    piece: Piece, model: pm.Model, mode: Mode, draws: int, effective: int, tune: int,
    checkpoint: Path | None, digest: str,
) -> DataTree:  # fmt: skip
    """Sample pieces of so many draws until R-hat is below 1.01 and there are so many effective draws.

    A piece begins where the chains of the last ended, with the covariance of all draws so far as its metric.

    Parameters
    ----------
    piece : callable
        Samples one.
    model : pm.Model
    mode : Mode
    draws : int
        Of each chain of a piece.
    effective : int
        Effective draws of the worst variable.
    tune : int
        Of the first piece.
    checkpoint : Path, optional
        File that keeps the draws. If it exists, sampling goes on from it.
    digest : str
        By which the file is known again.

    Returns
    -------
    DataTree
        Also where they do not agree, with a warning, or after Ctrl-C.

    Raises
    ------
    ValueError
        If the file holds draws of another model, mode or dataset.
    """
    idata = _read(checkpoint, digest) if checkpoint is not None and checkpoint.exists() else None
    if idata is None:
        idata = piece(mode, tune, None)
        _keep(idata, checkpoint, digest)
        if _is_interrupted(idata, draws):
            return idata
    while True:
        posterior = idata["posterior"].to_dataset()[[rv.name for rv in model.free_RVs]]
        r_hat, found = worst_of(posterior)
        said = f"{found:.0f} of {effective} effective draws, R-hat {r_hat:.3f}"
        if r_hat < AGREED_R_HAT and found >= effective:
            return idata
        if posterior.sizes["draw"] >= _MOST_PIECES * draws:
            warnings.warn(f"NUTS ends without agreement of its chains: {said}.", stacklevel=3)
            return idata
        _log.info("NUTS goes on: %s.", said)
        points = points_of(model, posterior.stack(sample=("chain", "draw")))
        begun = replace(mode, covariance=_metric(points, mode.covariance, found))
        more = piece(begun, _TUNE_AGAIN, _ends(posterior))
        idata = _joined(idata, more)
        _keep(idata, checkpoint, digest)
        if _is_interrupted(more, draws):
            return idata


def _is_interrupted(piece: DataTree, draws: int) -> bool:
    return not has_draws(piece) or piece["posterior"].sizes["draw"] < draws


def worst_of(posterior: xr.Dataset) -> tuple[float, float]:
    """Worst R-hat and number of effective draws of all variables."""
    table = table_of(posterior, kind="diagnostics", round_to="none")
    # Of a single chain there is no R-hat.
    return float(np.nan_to_num(table["r_hat"].max())), float(table["ess_bulk"].min())


def _metric(points: np.ndarray, former: np.ndarray, effective: float) -> np.ndarray:
    """Covariance of draws, and the former one as far as there are few."""
    n = points.shape[1]
    share = n / (n + effective)
    return (1.0 - share) * np.cov(points.T).reshape(n, n) + share * former


def _ends(posterior: xr.Dataset) -> list[dict[str, np.ndarray]]:
    last = posterior.isel(draw=-1)
    return [
        {str(name): variable.values for name, variable in last.isel(chain=k).data_vars.items()}
        for k in range(last.sizes["chain"])
    ]


def _joined(idata: DataTree, more: DataTree) -> DataTree:
    if not has_draws(more):
        return idata
    joined = idata.copy()
    for group in _GROUPS:
        both = xr.concat(
            [idata[group].to_dataset(), more[group].to_dataset()], "draw", combine_attrs="override"
        )
        joined[group] = DataTree(both.assign_coords(draw=np.arange(both.sizes["draw"])))
    return joined


def _keep(idata: DataTree, checkpoint: Path | None, digest: str) -> None:
    if checkpoint is None or not has_draws(idata):
        return
    idata["posterior"].attrs[_DIGEST] = digest
    save(idata, checkpoint)


def _read(checkpoint: Path, digest: str) -> DataTree:
    with xr.open_datatree(checkpoint, engine="h5netcdf") as stored:
        idata: Any = stored.load()
    if idata["posterior"].attrs.get(_DIGEST) != digest:
        raise ValueError(
            f"checkpoint: {checkpoint} holds draws of another model, mode or dataset. Take another file."
        )
    return idata
