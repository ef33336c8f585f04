"""Many lenses on Dask: a task a lens, one table, and what is finished stays finished."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from pymc_lens.inference.workers import n_workers
from pymc_lens.pipeline.fit_lens import fit_lens
from pymc_lens.storage import make_folder
from pymc_lens.surveys.catalogue import Catalogue
from pymc_lens.surveys.lock import only_one, require_same
from pymc_lens.validation import integer, require_instance

_log = logging.getLogger(__name__)

# Drawing takes a tenth of a fit's time: what the report shows is enough.
_FIT = partial(fit_lens, figures=("page",))


def survey(
    catalogue: str | Path | Catalogue,
    out: str | Path,
    *,
    client: Any = None,
    workers: int | None = None,
    memory_limit: str | float = "auto",
    pixel_scale: float | None = None,
    fit: Callable[..., Any] = _FIT,
    random_seed: int = 1,
    progressbar: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """Fit every lens of a catalogue, on the processes of Dask.

    Lenses that are finished in ``out`` are not fitted again, one that was interrupted goes on from its last
    stage, and one that failed is tried again. A lens that fails, or whose process dies, as where memory runs
    out, costs no other lens anything.

    Parameters
    ----------
    catalogue : path or Catalogue
        A folder with a folder a lens, or a table: see `Catalogue.read`.
    out : path
        Receives ``lenses.parquet`` and ``lenses.csv``, a row a lens, and ``report.html``, all of which are
        made anew now and then; a folder a lens with its ``posterior.nc``, ``summary.json``, ``page.png`` and
        ``log.txt``; ``journal.jsonl``, a line for each fit that ended; and ``options.json``, how they are
        fitted. Workers on other machines must see it under the same path.
    client : distributed.Client, optional
        Of any cluster of Dask, whose workers have one thread each; a lens is fitted on one core. By default
        this machine is used.
    workers : int, optional
        Of this machine: lenses at a time, which share its cores. By default one for each core, or for each
        lens, if there are less.
    memory_limit : str or float
        Of this machine: what one worker may take, as "4GB" or in bytes; by default its share.
    pixel_scale : float, optional
        Arcsec; by default that of the headers. Not for a Catalogue, which has its own.
    fit : callable
        Called as ``fit(dataset, out=folder, cores=n, random_seed=seed, progressbar=False, **options)``; has
        to leave ``summary.json`` in the folder when it is done, as `fit_lens` does. By default that, with
        no figure but the page.
    random_seed : int
        The same for each lens.
    progressbar : bool
    **options
        Other arguments of the fit, such as ``draws``. Columns of the catalogue go before these.

    Returns
    -------
    DataFrame
        The table, by name: ``name``; ``verdict`` (keep, review, fail); ``fitted``, False where there is no
        posterior; medians ``theta_e`` (arcsec), ``q``, ``pa`` (degrees east of north) and ``shear``, with
        ``_low`` and ``_high`` at 16 and 84 per cent; ``chi2_reduced`` and ``log_evidence`` of the best draw;
        ``log_z`` and ``log_z_error`` of the model, where importance sampling found it; ``sampler``, its
        ``diagnostic`` (Pareto's k, or R-hat of NUTS) and ``ess``, effective draws; ``n_pixels`` that were
        fitted; ``wall_s``, seconds of all stages; ``peak_memory_mb`` (10^6 bytes) of the process that
        fitted it; ``random_seed``, ``version``, ``dataset`` (a digest), ``host``, ``finished`` (UTC); and
        ``reason``, why it is not kept.

    Raises
    ------
    ImportError
        If Dask or PyArrow is not installed.
    TypeError, ValueError
        If an argument or the catalogue is wrong, see `Catalogue`, ``out`` holds lenses that were fitted with
        other options, or a worker has several threads.
    OSError
        If ``out`` cannot be written to, which is found before anything is done, or any more; if another
        survey writes to it; or if the scheduler is lost. What is finished stays.

    Examples
    --------
    >>> lenses = pl.survey("euclid.parquet", "out")  # doctest: +SKIP
    >>> lenses[lenses["verdict"] == "keep"]["theta_e"]  # doctest: +SKIP
    """
    _require_packages()
    from distributed import Client

    from pymc_lens.surveys.cluster import local_client
    from pymc_lens.surveys.engine import run, write_outputs
    from pymc_lens.surveys.table import Journal
    from pymc_lens.surveys.task import FitTask

    if client is not None:
        require_instance("client", client, Client)
    if workers is not None:
        integer("workers", workers, 1)
    options["random_seed"] = integer("random_seed", random_seed, 0)
    _require_accepted(fit, options)
    if isinstance(catalogue, Catalogue) and pixel_scale is not None:
        raise ValueError("pixel_scale: the catalogue has been read. Give it to Catalogue.read instead.")
    lenses = catalogue if isinstance(catalogue, Catalogue) else Catalogue.read(catalogue, pixel_scale)
    out = make_folder(out).resolve()
    with only_one(out):
        require_same(out, fit, options)
        journal = Journal(out)
        finished = journal.fitted()
        left = [entry for entry in lenses.entries if entry.name not in finished]
        total = len(lenses.entries)
        _log.info("%d lenses, %d of them finished before.", total, total - len(left))
        processes = min(workers or n_workers(), len(left))
        cores = max(1, n_workers() // max(processes, 1)) if client is None else 1
        try:
            if left:
                # One that is given stays open.
                given = local_client(processes, memory_limit) if client is None else nullcontext(client)
                with given as used:
                    run(used, FitTask(out, fit, cores, options), left, journal, progressbar)
        finally:
            table = write_outputs(journal)
    return table


def _require_packages() -> None:
    for name in ("distributed", "pyarrow"):
        try:
            import_module(name)
        except ImportError as error:
            raise ImportError("survey: needs Dask and PyArrow: pip install 'pymc-lens[survey]'.") from error


def _require_accepted(fit: Callable[..., Any], options: dict[str, Any]) -> None:
    """Raise TypeError where a fit does not take these arguments: before it is called a thousand times."""
    if not callable(fit):
        raise TypeError(f"fit: expected a callable, got {fit!r}.")
    try:
        inspect.signature(fit).bind(None, out=None, cores=1, progressbar=False, **options)
    except TypeError as error:
        raise TypeError(f"fit: expected arguments that it takes, {error}.") from None
