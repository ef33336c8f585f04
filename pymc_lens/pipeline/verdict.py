"""Whether a fit is to be trusted: by criteria with a number and a threshold each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pymc_lens.evaluate import evaluate_once
from pymc_lens.fit import FitImaging
from pymc_lens.geometry.lattice import lattice
from pymc_lens.inference.compact_search import NEARLY_AS_GOOD
from pymc_lens.inference.importance import RELIABLE_K
from pymc_lens.inference.pieces import AGREED_R_HAT
from pymc_lens.pipeline.places import arc_radius

# Thresholds: beyond the first a human should look, beyond the second it is no lens or no posterior.
_GAIN, _NO_GAIN = 100.0, 20.0
_CHI_SQUARED, _POOR_CHI_SQUARED = 1.3, 3.0
_MAGNIFICATION, _NO_MAGNIFICATION = 1.8, 1.2
_COUNTER_IMAGE, _NO_COUNTER_IMAGE = 0.03, 0.003
_ARC_RATIO, _NO_ARC_RATIO = 1.6, 2.5
_AGREEMENT, _NO_AGREEMENT = 0.05, 0.3
_JOINT_RIVAL = 10.0
_NO_R_HAT = 1.1
# Pixels at the arcs: sigma of the noise.
_AT_ARCS = 2.0
# The bright part of a source, relative to its peak; points along a side of the square around that part.
_BRIGHT, _POINTS = 0.3, 100


class Criterion(NamedTuple):
    """A number and what it is compared with.

    Attributes
    ----------
    name : str
    stage : str
        Of the fit that it judges.
    value, threshold : float
    grade : str
        "keep", "review" or "fail".
    reason : str
        In words, where it is not "keep".
    """

    name: str
    stage: str
    value: float
    threshold: float
    grade: str
    reason: str


class Verdict(NamedTuple):
    """What is to be done with a fit.

    Attributes
    ----------
    grade : {"keep", "review", "fail"}
    reasons : list of str
        Why it is not "keep".
    criteria : list of Criterion
    """

    grade: str
    reasons: list[str]
    criteria: list[Criterion]

    @classmethod
    def of(cls, criteria: Sequence[Criterion]) -> Verdict:
        """Return the worst of all grades.

        Parameters
        ----------
        criteria : sequence of Criterion

        Returns
        -------
        Verdict
        """
        worst = max((each.grade for each in criteria), key=("keep", "review", "fail").index, default="keep")
        return cls(worst, [each.reason for each in criteria if each.grade != "keep"], list(criteria))


def at_least(name: str, stage: str, value: float, keep: float, fail: float, reason: str) -> Criterion:
    """Judge a number that should be large."""
    grade = "keep" if value >= keep else "review" if value >= fail else "fail"
    return Criterion(name, stage, float(value), keep, grade, _said(grade, reason, value, keep))


def at_most(name: str, stage: str, value: float, keep: float, fail: float, reason: str) -> Criterion:
    """Judge a number that should be small."""
    grade = "keep" if value <= keep else "review" if value <= fail else "fail"
    return Criterion(name, stage, float(value), keep, grade, _said(grade, reason, value, keep))


def of_search(gain: float, rivals: Sequence[float]) -> list[Criterion]:
    """Judge a search by what the best compact source gains over light alone, and by other lenses close by.

    Parameters
    ----------
    gain : float
        In log-likelihood.
    rivals : sequence of float
        How far other lenses that were not fitted jointly are behind, relative to the log-likelihood of the
        best.
    """
    return [
        at_least("source_gain", "search", gain, _GAIN, _NO_GAIN, "hardly any lensed source is seen"),
        at_least(
            "nearest_rival", "search", min(rivals, default=1.0), NEARLY_AS_GOOD, -np.inf,
            "another lens explains the image nearly as well",
        ),
    ]  # fmt: skip


def of_rivals(behind: Sequence[float]) -> list[Criterion]:
    """Judge a joint fit by those that began at other lenses.

    Parameters
    ----------
    behind : sequence of float
        How far those that ended at another lens are behind, in the logarithm of their integrals.
    """
    return [
        at_least(
            "joint_rival", "joint", min(behind), _JOINT_RIVAL, -np.inf,
            "another lens explains the image about as well",
        )
    ] if behind else []  # fmt: skip


def of_fit(
    fit: FitImaging, centre: tuple[float, float], radius: float, radius_of_search: float
) -> list[Criterion]:
    """Judge a fit at its mode.

    Parameters
    ----------
    fit : FitImaging
    centre : (y, x)
        Of the mass, arcsec.
    radius, radius_of_search : float
        Effective Einstein radii, arcsec: of this fit and of the search.
    """
    lensed = np.nan_to_num(fit.lensed_source).clip(0.0)
    at_arcs = lensed > _AT_ARCS * fit.dataset.noise_map
    chi_squared = fit.chi_squared_map[at_arcs]
    chi_squared = chi_squared[np.isfinite(chi_squared)]
    of_arcs = arc_radius(fit, centre)
    ratio = max(radius / of_arcs, of_arcs / radius)
    return [
        at_most(
            "chi2_arcs", "joint", float(chi_squared.mean()) if chi_squared.size else np.inf, _CHI_SQUARED,
            _POOR_CHI_SQUARED, "residuals at the arcs",
        ),
        at_least(
            "magnification", "joint", _magnification(fit), _MAGNIFICATION, _NO_MAGNIFICATION,
            "the source is hardly magnified",
        ),
        at_least(
            "counter_image", "joint", _counter_image(fit, lensed), _COUNTER_IMAGE, _NO_COUNTER_IMAGE,
            "only a single image of the source is seen (share of light with the other parity)",
        ),
        at_most(
            "arc_radius", "joint", ratio, _ARC_RATIO, _NO_ARC_RATIO,
            "Einstein radius and mean radius of the arcs differ (ratio)",
        ),
        at_most(
            "agreement", "joint", abs(radius / radius_of_search - 1.0), _AGREEMENT, _NO_AGREEMENT,
            "the Einstein radius is another than that of a compact source (relative difference)",
        ),
    ]  # fmt: skip


def of_remarks(remarks: Sequence[str]) -> list[Criterion]:
    """Judge a mode by what its search remarked."""
    return [Criterion("remark", "joint", 1.0, 0.0, "review", remark) for remark in remarks]


def of_sampling(attrs: Mapping[Any, Any], effective: float, wanted: float, r_hat: float) -> list[Criterion]:
    """Judge the draws of the posterior.

    Parameters
    ----------
    attrs : dict
        Of the posterior group.
    effective, wanted : float
        Effective draws of the worst parameter.
    r_hat : float
        Of the worst parameter, for chains.
    """
    few = at_least(
        "effective_draws", "posterior", effective, 0.5 * wanted, 0.1 * wanted, "few effective draws"
    )
    if "pareto_k" in attrs:
        k = float(attrs["pareto_k"])
        return [
            few,
            at_most("pareto_k", "posterior", k, RELIABLE_K, 1.0, "weights cannot be trusted (Pareto k)"),
        ]
    return [few, at_most("r_hat", "posterior", r_hat, AGREED_R_HAT, _NO_R_HAT, "chains disagree (R-hat)")]


def _said(grade: str, reason: str, value: float, threshold: float) -> str:
    return "" if grade == "keep" else f"{reason}: {value:.3g}, threshold {threshold:.3g}"


def _magnification(fit: FitImaging) -> float:
    """Magnification of the bright part of the source: the faint rest, of any sign, adds up to anything."""
    source, pixel_scale = fit.source, fit.dataset.pixel_scales
    of_rays = source.brightness(source.rays)
    level = _BRIGHT * of_rays.max()
    bright = source.rays[of_rays > level]
    if not bright.size:
        return 0.0
    sides = [
        np.linspace(low - 0.1 * pixel_scale, high + 0.1 * pixel_scale, _POINTS)
        for low, high in zip(bright.min(axis=0), bright.max(axis=0), strict=True)
    ]
    cell = (sides[0][1] - sides[0][0]) * (sides[1][1] - sides[1][0])
    of_points = source.brightness(lattice(*sides))
    of_image = of_rays[of_rays > level].sum() * pixel_scale**2 / of_rays.shape[1]
    return float(of_image / max(of_points[of_points > level].sum() * cell, 1e-30))


def _counter_image(fit: FitImaging, lensed: np.ndarray) -> float:
    """Share of the lensed light between the critical curves' inside, where parity is reversed."""
    plane = fit.dataset.plane
    (inverse,) = evaluate_once([1.0 / fit.tracer.magnification(plane.grid, fit.source.redshift)])
    image = plane.slim("lensed_source", lensed)
    return float(image[inverse < 0.0].sum() / max(image.sum(), 1e-30))
