"""Importance sampling of a model: batches in several processes, on disk as they come, and draws of them."""

from __future__ import annotations

import logging
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection, RaveledVars
from xarray import Dataset, DataTree

from pymc_lens.distributions import lensed_images
from pymc_lens.inference.datatree import draws_of
from pymc_lens.inference.importance import Batch, StudentT, Weighted, importance_sample, resample
from pymc_lens.inference.mode import Mode, higher_mode
from pymc_lens.inference.values import Values, compiled
from pymc_lens.progress import Report
from pymc_lens.provenance import fingerprint
from pymc_lens.storage import complete_or_not

_log = logging.getLogger(__name__)

# Of the first proposal: heavier tails than the posterior's.
_FIRST_DEGREES = 6.0
# By how much more than a mode's the log density of a draw is that of a higher one, where the evidence is not
# smooth; and how often that is followed.
_HIGHER, _CLIMBS = 2.0, 3


class _HigherDraw(Exception):
    """A draw lies higher than the mode."""

    def __init__(self, flat: np.ndarray) -> None:
        self.flat = flat


class WeightedDraws:
    """Importance sampling from around a mode, or from a higher one that a draw leads to.

    A climb may end at a small maximum beside the one that holds the posterior. No draw of a posterior with a
    single mode is higher than that: where one is, all is begun anew at the mode above it.

    Parameters
    ----------
    model : pm.Model
    mode : Mode
    cores : int, optional
        Processes; by default one for each core.
    checkpoint : path, optional
        File that keeps what has been drawn, and from which to go on.

    Raises
    ------
    ValueError
        If the file holds draws of another model or dataset.

    Attributes
    ----------
    mode : Mode
        The one that it is around by now.
    """

    def __init__(self, model: pm.Model, mode: Mode, cores: int | None, checkpoint: str | Path | None) -> None:
        self.model, self.cores, self.mode = model, cores, mode
        self._info = DictToArrayBijection.map(mode.point).point_map_info
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self.digest = self._digest()
        self._higher, self._dropped, self.batches = _read(self._checkpoint, self.digest)

    def sample(self, effective: int, rng: np.random.Generator, report: Report) -> Weighted:
        """Draw until there are so many effective draws, or that is not worthwhile."""
        values = Values(self.model, self._info, self.cores)
        state = "finding the proposal"
        before, begin = self.n_values, time.perf_counter()
        if self._higher:  # of an earlier call
            # Not again the random numbers of batches that are here: before them others had been dropped, of
            # a value at least each.
            rng.spawn(self._dropped + len(self._higher))
            self._climb(report)

        def log_target(points: np.ndarray) -> np.ndarray:
            batch = len(self.batches) + 1
            found = values(points, lambda done: report(f"batch {batch}: {done}; {state}"))
            if found.max() > self.mode.log_density + _HIGHER and len(self._higher) < _CLIMBS:
                raise _HigherDraw(points[found.argmax()])
            return found

        def settled(weighted: Weighted) -> None:
            nonlocal state
            state = f"{weighted.effective:.0f} of {effective} effective draws, k {weighted.pareto_k:.2f}"
            drawn = self.n_values - before
            if drawn and weighted.effective < effective:
                missing = (effective / weighted.effective - 1.0) * len(weighted.points)
                state += f", about {missing * (time.perf_counter() - begin) / drawn:.0f} s left"
            self._save()

        while True:
            first = StudentT(self._flat(), np.linalg.cholesky(self.mode.covariance), _FIRST_DEGREES)
            try:
                return importance_sample(log_target, self.batches, first, effective, rng, settled)
            except _HigherDraw as draw:
                self._dropped += self.n_values
                self._higher.append(draw.flat)
                self.batches.clear()
                self._climb(report)
                self._save()

    @property
    def nuts_checkpoint(self) -> Path | None:
        """File beside the checkpoint, for what NUTS draws where it takes over."""
        return None if self._checkpoint is None else self._checkpoint.with_suffix(".nuts.nc")

    @property
    def n_values(self) -> int:
        """Points so far, in batches that count and others."""
        return self._dropped + sum(len(batch.points) for batch in self.batches)

    def metric(self) -> np.ndarray:
        """Covariance (n, n) that the proposals have found."""
        proposal = self.batches[-1].proposals[-1]
        return proposal.root @ proposal.root.T

    def posterior(self, weighted: Weighted, draws: int, chains: int, rng: np.random.Generator) -> DataTree:
        """Draws of equal weight, with what their weights were, and all weighted points."""
        chosen = resample(weighted, draws * chains, rng).reshape(chains, draws)
        parameters = compiled(self.model, [*self.model.free_RVs, *self.model.deterministics])
        different, places = np.unique(chosen, return_inverse=True)
        values = [parameters(self._point(weighted.points[i])) for i in different]
        drawn = {
            name: np.array([each[name] for each in values])[places.reshape(chosen.shape)]
            for name in values[0]
        }
        stats = {"lp": weighted.log_target[chosen], "log_weight": weighted.log_weights[chosen]}
        idata = draws_of(self.model, drawn, stats)
        idata["posterior"].attrs.update(
            sampler="importance sampling", pareto_k=weighted.pareto_k, effective_draws=weighted.effective,
            log_z=weighted.log_z, log_z_error=weighted.log_z_error,
            n_values=self.n_values,
        )  # fmt: skip
        idata["weighted_points"] = DataTree(
            Dataset(
                {
                    "point": (("sample", "coordinate"), weighted.points),
                    "log_density": ("sample", weighted.log_target),
                    "log_weight": ("sample", weighted.log_weights),
                },
                coords={"coordinate": self._coordinates()},
            )
        )
        return idata

    # --- helpers

    def _climb(self, report: Report) -> None:
        """Take the mode above the last draw that was higher than one."""
        before = self.mode
        self.mode = higher_mode(self.model, before, self._higher[-1], self.cores, report)
        # Of later calls: to begin there.
        self._higher[-1] = self._flat()
        _log.info("A draw was higher: mode at %.2f, not %.2f.", self.mode.log_density, before.log_density)

    def _flat(self) -> np.ndarray:
        return DictToArrayBijection.map(self.mode.point).data

    def _point(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        return DictToArrayBijection.rmap(RaveledVars(flat, self._info))

    def _coordinates(self) -> list[str]:
        """Name each coordinate by its value variable."""
        return [f"{name}[{k}]" if shape else name for name, shape, size, _ in self._info for k in range(size)]

    def _digest(self) -> str:
        """Hash of the data and the variables, by which a checkpoint is known again."""
        content = sha256(repr(self._coordinates()).encode())
        content.update(self._flat().tobytes() + np.linalg.cholesky(self.mode.covariance).tobytes())
        for image in lensed_images(self.model).values():
            content.update(fingerprint(image.tag.dataset).encode())
        return content.hexdigest()

    def _save(self) -> None:
        if self._checkpoint is None:
            return
        arrays: dict[str, Any] = {"digest": self.digest, "higher": np.array(self._higher)}
        arrays["dropped"] = self._dropped
        for k, batch in enumerate(self.batches):
            arrays |= {f"{k}_{name}": value for name, value in batch._asdict().items() if name != "proposals"}
            for name, values in zip(StudentT._fields, zip(*batch.proposals, strict=True), strict=True):
                arrays[f"{k}_{name}"] = np.array(values)
        with complete_or_not(self._checkpoint) as unfinished, unfinished.open("wb") as file:
            np.savez(file, **arrays)


def _read(path: Path | None, digest: str) -> tuple[list[np.ndarray], int, list[Batch]]:
    """Return higher modes that were climbed to, values dropped on the way, and batches around the last."""
    if path is None or not path.exists():
        return [], 0, []
    with np.load(path) as archive:
        if str(archive["digest"]) != digest:
            raise ValueError(
                f"checkpoint: {path} holds draws of another model, mode or dataset. Take another file."
            )
        batches: list[Batch] = []
        while f"{len(batches)}_points" in archive:
            k = len(batches)
            proposals = tuple(map(StudentT, *(archive[f"{k}_{name}"] for name in StudentT._fields)))
            points, log_target = archive[f"{k}_points"], archive[f"{k}_log_target"]
            batches.append(Batch(proposals, points, log_target, bool(archive[f"{k}_counts"])))
        return list(archive["higher"]), int(archive["dropped"]), batches
