"""One lens, from its image to its posterior, unattended."""

from __future__ import annotations

import json
import logging
import pickle
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from arviz_stats.summary import summary as table_of
from pytensor.compile import mode as compilation
from xarray import DataTree

import pymc_lens
from pymc_lens.convert import axis_ratio_and_angle_from_ell_comps, effective_einstein_radius
from pymc_lens.data.imaging import Imaging
from pymc_lens.fit import FitImaging
from pymc_lens.inference.datatree import has_draws
from pymc_lens.inference.mode import Mode
from pymc_lens.inference.sample import sample
from pymc_lens.ops.release import release_ops
from pymc_lens.pipeline import verdict as judged
from pymc_lens.pipeline.models import MassModel, Redshifts, isothermal, joint_model, require_mass_model
from pymc_lens.pipeline.positions import of_positions
from pymc_lens.pipeline.stages import (
    Field,
    FirstSource,
    Joint,
    Lens,
    Search,
    around_the_arcs,
    contaminants,
    field,
    first_source,
    joint_mode,
    search,
    without,
)
from pymc_lens.pipeline.verdict import Verdict
from pymc_lens.point import fit_at
from pymc_lens.provenance import model_digest
from pymc_lens.results import reconstruct
from pymc_lens.storage import complete_or_not, make_folder, save
from pymc_lens.validation import integer, require_instance

_log = logging.getLogger(__name__)

# After the search, whose many values are of small arrays, time is spent in what is compiled once for all: to
# compile the rest for each lens takes longer than it saves.
_INTERPRETED = compilation.Mode("py").excluding("fusion")
# Draws that are reconstructed.
_RECONSTRUCTED = 100
_DRAWS, _ALL_DRAWS = "draws.npz", "draws.*"
# What an interrupted fit goes on from: of no use once it is finished.
LEFT_OVERS = ("stage_*.pickle", _ALL_DRAWS)
# Another lens is one whose Einstein radius differs by more, relative.
_OTHER = 0.05
# What the corner figure shows: that of all variables takes longer to draw than some stages.
_OF_MASS = ("theta_e", "slope", "ell_comps", "mass_centre", "gamma_1", "gamma_2")
# What can be drawn of a fit: all on one page, and its parts.
FIGURES = ("page", "fit", "source", "posterior")
_QUANTILES = {"low": 0.16, "median": 0.5, "high": 0.84}


@dataclass(frozen=True, eq=False)
class LensFit:
    """An unattended fit.

    Attributes
    ----------
    verdict : Verdict
        "keep", "review" or "fail", and why.
    idata : DataTree
        Draws of the posterior, with the source and the image, as `reconstruct` adds them. ``posterior`` has
        the effective Einstein radius ``theta_e`` (arcsec) beside the model's variables.
    model : pm.Model
    mode : Mode
    fit : FitImaging
        At the best draw.
    search : Search
    summary : dict
        What ``summary.json`` holds: numbers for a table, criteria, seconds of each stage.
    """

    verdict: Verdict
    idata: DataTree
    model: pm.Model
    mode: Mode
    fit: FitImaging
    search: Search
    summary: dict[str, Any]

    def __repr__(self) -> str:
        radius = self.summary["theta_e"]
        found = (
            f"effective Einstein radius {radius['median']:.4f} ({radius['low']:.4f} to {radius['high']:.4f}) "
            f"arcsec, {self.summary['ess']:.0f} effective draws, {self.summary['wall_s']:.0f} s: "
            f"{self.verdict.grade}"
        )
        return "\n  ".join([found, *self.verdict.reasons])


def fit_lens(
    dataset: Imaging,
    *,
    out: str | Path | None = None,
    draws: int = 200,
    chains: int = 2,
    mass_model: MassModel = isothermal,
    lens_redshift: float = 0.5,
    source_redshift: float = 1.0,
    cores: int | None = None,
    random_seed: int = 1,
    progressbar: bool = True,
    figures: Sequence[str] = FIGURES,
) -> LensFit:
    """Fit a lens with shear, its light and a pixelized source, told nothing but the image.

    The stages, each of which is a function of `pymc_lens.pipeline.stages`:

    1. the lens is found near the centre of the image, and a circle around it masked;
    2. a search with a compact source finds an isothermal lens, on larger pixels: many starts, all cores;
    3. the source is reconstructed behind that lens, its prior by its evidence; what shines besides and is no
       image of it is masked out, and what is farther out than the arcs;
    4. everything is fitted jointly: mass, shear, light, a source of cubic splines and its prior; from
       several lenses where the search hardly tells them apart, of which the most probable is gone on with;
    5. the posterior is drawn by importance sampling, or by NUTS where that cannot be trusted;
    6. a verdict is found, from criteria with a threshold each.

    Parameters
    ----------
    dataset : Imaging
        If it has a mask, that is kept.
    out : path, optional
        Folder for the results, see below. A fit that was interrupted goes on from what is there.
    draws, chains : int
        Of the posterior, see `sample`.
    mass_model : callable
        What is fitted jointly: ``pl.pipeline.isothermal`` or ``pl.pipeline.power_law``, whose slope is free,
        or a function of your own that makes a mass of a mapping with ``mass_centre``, ``ell_comps`` and
        ``einstein_radius``, and random variables beside them. With these two ``theta_e`` is the
        effective radius of the ellipse within which the mean convergence is 1.
    lens_redshift, source_redshift : float
        Nothing but what is derived in physical units depends on them.
    cores : int, optional
        Processes; by default one for each core.
    random_seed : int
    progressbar : bool
    figures : sequence of str
        Those to be drawn into ``out``.

    Returns
    -------
    LensFit
        With ``out``, also as files: ``summary.json``, ``posterior.nc``, ``page.png``, which has all on one
        page, and ``fit.png``, ``source.png``, ``posterior.png``; ``stage_*.pickle`` and ``draws.npz`` are
        what an interrupted fit goes on from.

    Raises
    ------
    TypeError
        If an argument is of another type, or ``mass_model`` makes no mass.
    ValueError
        If nothing shines near the centre, the lens is not in front of the source, ``out`` holds the
        stages of another dataset or model, a number is too small, or there is no such figure.
    OSError
        If ``out`` cannot be written to: before anything else is done.
    KeyboardInterrupt
        After Ctrl-C. With ``out`` the same call goes on, from the last batch of draws; without it draws are
        returned as they are, if there are some.

    Examples
    --------
    >>> result = pl.fit_lens(pl.Imaging.from_fits("image.fits", "psf.fits", "noise.fits"))  # doctest: +SKIP
    >>> result.verdict.grade, result.summary["theta_e"]  # doctest: +SKIP
    """
    require_instance("dataset", dataset, Imaging)
    integer("random_seed", random_seed, 0)
    for name, count in {"draws": draws, "chains": chains, "cores": 1 if cores is None else cores}.items():
        integer(name, count, 1)
    if unknown := set(figures) - set(FIGURES):
        raise ValueError(f"figures: expected some of {FIGURES}, got {sorted(unknown)}.")
    redshifts = Redshifts(lens_redshift, source_redshift)
    require_mass_model(mass_model)
    folder = None if out is None else make_folder(out)
    stages = _Stages(folder, dataset)
    start, found = stages("search", lambda: _searched(dataset, redshifts, cores, progressbar))
    with pytensor.config.change_flags(mode=_INTERPRETED):
        fitted = _modelled(stages, start, found, mass_model, redshifts, cores, progressbar)
        idata = _drawn(stages, fitted[0], draws, chains, cores, random_seed, progressbar)
        result = _judged(stages, found, fitted, idata, draws * chains)
        if folder is not None:
            stages.timed("files", lambda: _write(result, folder, figures))
    release_ops()
    _log.info("Verdict: %s. %s", result.verdict.grade, "; ".join(result.verdict.reasons))
    return result


def _modelled(
    stages: _Stages, start: Field, found: Search, mass_model: MassModel, redshifts: Redshifts,
    cores: int | None, progressbar: bool,
) -> list[Joint]:  # fmt: skip
    """Put the pixels of the source in behind each contender, and climb in everything; the best first."""
    start, firsts = stages("source", lambda: _first_sources(start, found.contenders, redshifts))
    fitted = []
    for k, (lens, first) in enumerate(zip(found.contenders, firsts, strict=True)):
        model = joint_model(start.dataset, start.centre, first.adapt_to, first.peak, redshifts, mass_model)
        climb = partial(joint_mode, model, first, lens, cores, progressbar)
        fitted.append(Joint(lens, model, stages(f"mode_{k}", climb, model_digest(model))))
        _log.info(
            "Lens %d of %d: Einstein radius %.3f, log integral %.1f.", k + 1, len(firsts),
            fitted[-1].mode.parameters["einstein_radius"], fitted[-1].log_integral,
        )  # fmt: skip
    return sorted(fitted, key=lambda joint: joint.log_integral, reverse=True)


def _drawn(
    stages: _Stages, joint: Joint, draws: int, chains: int, cores: int | None, random_seed: int,
    progressbar: bool,
) -> DataTree:  # fmt: skip
    """Draw the posterior, and the source of some draws."""
    idata = stages.timed(
        "posterior",
        lambda: sample(
            draws, chains=chains, mode=joint.mode, model=joint.model, cores=cores, random_seed=random_seed,
            progressbar=progressbar, checkpoint=stages.path(_DRAWS),
        ),
    )  # fmt: skip
    if _is_interrupted(idata, draws, chains) and (stages.folder is not None or not has_draws(idata)):
        kept = "Nothing was drawn" if stages.folder is None else f"What was drawn is in {stages.folder}"
        raise KeyboardInterrupt(f"Sampling was interrupted. {kept}.")
    add_effective_radius(idata)
    stages.timed(
        "reconstruction",
        lambda: reconstruct(
            idata,
            model=joint.model,
            num_draws=_RECONSTRUCTED,
            random_seed=random_seed,
            progressbar=progressbar,
        ),
    )
    return idata


def _is_interrupted(idata: DataTree, draws: int, chains: int) -> bool:
    """Whether Ctrl-C ended sampling: by weights that ends with all draws alone, NUTS with whole pieces."""
    if not has_draws(idata):
        return True
    posterior = idata["posterior"]
    if "pareto_k" in posterior.attrs:
        return bool(posterior.attrs["effective_draws"] < draws * chains)
    return posterior.sizes["draw"] % draws != 0


def _judged(stages: _Stages, found: Search, fitted: list[Joint], idata: DataTree, wanted: int) -> LensFit:
    model, mode = fitted[0].model, fitted[0].mode
    best = fit_at(model, idata)
    verdict = _verdict(found, fitted, idata, best, wanted)
    return LensFit(verdict, idata, model, mode, best, found, _summary(stages, idata, best, verdict))


class _Stages:
    """Runs stages, tells how long they took, and keeps what they found in files."""

    def __init__(self, folder: Path | None, dataset: Imaging) -> None:
        self.folder, self.digest = folder, dataset.digest
        self.seconds: dict[str, float] = {}

    def path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name

    def timed(self, name: str, stage: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = stage()
        self.seconds[name] = time.perf_counter() - begin
        _log.info("Stage %s: %.1f s.", name, self.seconds[name])
        return result

    def __call__(self, name: str, stage: Callable[[], Any], model: str = "") -> Any:
        """Run a stage, or read what it found before, of the same dataset and digest of a model."""
        path, digest = self.path(f"stage_{name}.pickle"), self.digest + model
        if path is not None and path.exists():
            read = self._read(path, digest)
            if read is not None:
                self.seconds[name], result = read
                _log.info("Stage %s: read from %s.", name, path)
                return result
        result = self.timed(name, stage)
        if path is not None:
            for draws in path.parent.glob(_ALL_DRAWS):  # they belong to what the stage found before
                draws.unlink()
            with complete_or_not(path) as unfinished:
                kept = pymc_lens.__version__, digest, self.seconds[name], result
                unfinished.write_bytes(pickle.dumps(kept))
        return result

    @staticmethod
    def _read(path: Path, digest: str) -> tuple[float, Any] | None:
        """Return seconds and result of a stage that ran before; None if another version wrote the file."""
        try:
            version, *kept = pickle.loads(path.read_bytes())
        except Exception as error:  # whatever classes that are no more what they were raise
            version, kept = repr(error), []
        if version != pymc_lens.__version__:
            _log.warning("%s is of another version (%s): the stage is run again.", path, version)
            return None
        known, seconds, result = kept
        if known != digest:
            raise ValueError(
                f"out: {path} is of another dataset or model. Take another folder, or delete what is in this "
                "one."
            )
        return seconds, result


def add_effective_radius(idata: DataTree) -> None:
    """Add the effective Einstein radius (arcsec), that of a circle of the area of the critical curve."""
    posterior = idata["posterior"].to_dataset()
    radius = effective_einstein_radius(posterior["einstein_radius"], posterior["ell_comps"])
    radius.attrs["units"] = "arcsec"
    idata["posterior"] = DataTree(posterior.assign(theta_e=radius), children=idata["posterior"].children)


def _searched(
    dataset: Imaging, redshifts: Redshifts, cores: int | None, progressbar: bool
) -> tuple[Field, Search]:
    start = field(dataset)
    return start, search(start, redshifts, cores, progressbar)


def _first_sources(
    start: Field, contenders: list[Lens], redshifts: Redshifts
) -> tuple[Field, list[FirstSource]]:
    """Reconstruct the source, then again without what is no image of it, behind each lens."""
    fit, _ = first_source(start.dataset, contenders[0], redshifts)
    neighbours = contaminants(fit, start.centre)
    if neighbours.any():
        _log.info("%d pixels of neighbours are left out.", neighbours.sum())
        start = without(start, neighbours)
    smaller = around_the_arcs(start, fit)
    return smaller, [first_source(smaller.dataset, lens, redshifts)[1] for lens in contenders]


def _verdict(found: Search, fitted: list[Joint], idata: DataTree, best: FitImaging, wanted: int) -> Verdict:
    posterior = idata["posterior"].to_dataset()
    radius, radius_of_search = float(posterior["theta_e"].median()), _radius(fitted[0].lens.parameters)

    def is_other(parameters: dict[str, Any]) -> bool:
        return abs(_radius(parameters) / radius - 1.0) > _OTHER

    most = found.lenses[0].log_density
    left = [
        (most - lens.log_density) / abs(most)
        for lens in found.lenses[len(fitted) :]
        if is_other(lens.parameters)
    ]
    behind = [
        fitted[0].log_integral - rival.log_integral for rival in fitted[1:] if is_other(rival.mode.parameters)
    ]
    attrs = posterior.attrs
    y, x = posterior["mass_centre"].mean(("chain", "draw")).values.tolist()
    return Verdict.of(
        [
            *judged.of_search(found.gain, left),
            *judged.of_rivals(behind),
            *judged.of_fit(best, (y, x), radius, radius_of_search),
            *of_positions(best, (y, x), radius),
            *judged.of_remarks(fitted[0].mode.remarks),
            *judged.of_sampling(attrs, attrs["effective_draws"], wanted, attrs.get("r_hat", np.nan)),
        ]
    )


def _radius(parameters: dict[str, Any]) -> float:
    return float(effective_einstein_radius(parameters["einstein_radius"], parameters["ell_comps"]))


def _summary(stages: _Stages, idata: DataTree, best: FitImaging, verdict: Verdict) -> dict[str, Any]:
    posterior = idata["posterior"].to_dataset()
    q, angle = axis_ratio_and_angle_from_ell_comps(posterior["ell_comps"])
    attrs = posterior.attrs
    by_weight = "pareto_k" in attrs
    return {
        "theta_e": _interval(posterior["theta_e"]),
        "q": _interval(q),
        # Counter-clockwise from +y: east of north where north is up and east left.
        "pa": {"median": float(_mean_angle(angle) - 90.0) % 180.0},
        "shear": _interval(np.hypot(posterior["gamma_1"], posterior["gamma_2"])),
        "chi2_reduced": best.reduced_chi_squared,
        "log_evidence": best.log_evidence,
        "log_z": attrs.get("log_z"),
        "log_z_error": attrs.get("log_z_error"),
        "sampler": "importance" if by_weight else "nuts",
        "diagnostic": float(attrs["pareto_k" if by_weight else "r_hat"]),
        "ess": float(attrs["effective_draws"]),
        "n_values": attrs.get("n_values"),
        "mode_gradient_evaluations": int(attrs["mode_gradient_evaluations"]),
        "n_pixels": int(best.dataset.fitted.size),
        "wall_s": float(sum(stages.seconds.values())),
        "stages_s": dict(stages.seconds),
        "verdict": verdict.grade,
        "reason": "; ".join(verdict.reasons),
        "criteria": [each._asdict() for each in verdict.criteria],
        "parameters": {
            str(name): {key: float(row[key]) for key in ("mean", "sd")}
            for name, row in table_of(posterior, kind="stats", round_to="none").iterrows()
        },
        "dataset": stages.digest,
    }


def _interval(draws: Any) -> dict[str, float]:
    quantiles = {name: float(np.quantile(draws, quantile)) for name, quantile in _QUANTILES.items()}
    return quantiles | {"mean": float(np.mean(draws)), "sd": float(np.std(draws))}


def _mean_angle(angle: xr.DataArray) -> float:
    """Mean of position angles (degrees), which are the same after half a turn."""
    doubled = np.exp(2j * np.deg2rad(angle.values)).mean()
    return float(0.5 * np.rad2deg(np.angle(doubled)))


def _write(result: LensFit, folder: Path, figures: Sequence[str]) -> None:
    save(result.idata, folder / "posterior.nc")
    save_figures(result, folder, figures)
    with complete_or_not(folder / "summary.json") as unfinished:
        unfinished.write_text(json.dumps(result.summary, indent=1))


def save_figures(result: LensFit, folder: Path, figures: Sequence[str]) -> None:
    """Draw a fit into a folder."""
    import matplotlib.pyplot as plt

    from pymc_lens import plot
    from pymc_lens.pipeline.page import save_page

    if "page" in figures:
        save_page(folder.name, result.fit, result.summary, folder / "page.png")
    of_mass = [name for name in _OF_MASS if name in result.idata["posterior"]]
    parts: dict[str, Callable[[], Any]] = {
        "fit": lambda: plot.subplot_fit(result.fit),
        "source": lambda: plot.subplot_reconstruction(result.idata),
        "posterior": lambda: plot.subplot_posterior(result.idata, of_mass),
    }
    for name in set(figures) & set(parts):
        figure = parts[name]()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            figure.savefig(folder / f"{name}.png", dpi=110)
        plt.close(figure)
