"""The prior of a source by its evidence, at a mass that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from pymc_lens.assembly import assemble
from pymc_lens.data.imaging import Imaging
from pymc_lens.evaluate import evaluate_once
from pymc_lens.galaxy import Galaxy
from pymc_lens.inversion.inversion import Arrays, Inversion
from pymc_lens.parts import Sky
from pymc_lens.tracer import Tracer
from pymc_lens.validation import require_instance

# Of the logarithms of the parameters: to differentiate over, and between points of a scan.
_STEP, _CURVATURE_STEP = 1e-4, 0.01
# Slope of the log evidence, a standard deviation, at which the climb ends before a last step of Newton's.
_FLAT, _LEAST_CURVATURE = 0.02, 1.0
# Curvature of a parameter that the image knows to a factor of twenty at best.
_NO_MAXIMUM = 0.1
# Logarithms of a parameter that are looked at before the climb, from its given value.
_SCAN = np.log(10.0) * np.array([-2.0, -1.0, 1.0, 2.0])
_VERY_LOW = 1e12


@dataclass(frozen=True, eq=False)
class TunedRegularization:
    """The parameters of source priors at which the log evidence of an image is highest.

    Attributes
    ----------
    tracer : Tracer
        With these parameters.
    parameters : dict of str to float
        By ``<galaxy>.<parameter>``.
    log_evidence : float
    covariance : (n, n) float64
        Inverse of the negative Hessian in the logarithms of the parameters, in their order: how well the
        image knows them.
    evaluations : int
        Of the log evidence.
    """

    tracer: Tracer
    parameters: dict[str, float]
    log_evidence: float
    covariance: np.ndarray
    evaluations: int


def tune_regularization(dataset: Imaging, tracer: Tracer, sky: Sky | None = None) -> TunedRegularization:
    """Maximise the log evidence over all parameters of the source priors, with everything else held.

    Mass and light stay as they are, so that rays, mapping matrix and curvature matrix are computed once; an
    evaluation costs a factorisation (Suyu et al. 2006, MNRAS 371, 983, section 3.2, tune one coefficient so).

    Parameters
    ----------
    dataset : Imaging
    tracer : Tracer
        Of numbers; those of its priors are where the climb begins, after a look up to a hundred times above
        and below each.
    sky : Sky, optional

    Returns
    -------
    TunedRegularization

    Raises
    ------
    TypeError
        If an argument is of another type, or the tracer holds random variables.
    ValueError
        If no source prior has a parameter, there is no likelihood at these numbers or near them, or the
        evidence has no maximum: it goes on rising with a parameter.
    """
    require_instance("tracer", tracer, Tracer)
    names = _names(tracer)
    if not names:
        raise ValueError("tracer: no galaxy has a pixelization whose prior has parameters to tune.")
    inversion, inputs = assemble(tracer, dataset, sky)
    evidence = _Evidence(inversion, (dataset.data_fitted, *evaluate_once(list(inputs))))
    with threadpool_limits(1, user_api="blas"):
        logs = _climb(evidence, _scan(evidence, evidence.start))
        gradient, hessian = _derivatives(evidence, logs)
        covariance = _covariance(hessian, logs, names)
        logs = logs + covariance @ gradient
    values = np.exp(logs)
    tuned = tracer.with_galaxies(_with_parameters(tracer.galaxies, values))
    found = dict(zip(names, values.tolist(), strict=True))
    return TunedRegularization(tuned, found, evidence(logs), covariance, evidence.evaluations)


class _Evidence:
    """Log evidence as a function of the logarithms of the priors' parameters."""

    def __init__(self, inversion: Inversion, arrays: Arrays) -> None:
        self.inversion, self.evaluations = inversion, 0
        self._arrays = list(arrays)
        self._places = [k for k, each in enumerate(inversion.inputs) if each.of_prior]
        self._ends = np.cumsum([arrays[k].size for k in self._places])[:-1]
        self.start = np.log(np.concatenate([arrays[k] for k in self._places]))

    def __call__(self, logs: np.ndarray) -> float:
        self.evaluations += 1
        for k, values in zip(self._places, np.split(np.exp(logs), self._ends), strict=True):
            self._arrays[k] = values
        return self.inversion.log_evidence(tuple(self._arrays))


def _scan(evidence: _Evidence, logs: np.ndarray) -> np.ndarray:
    """Move one parameter after the other to the best of a few values."""
    best, highest = logs, evidence(logs)
    for k in range(logs.size):
        for step in _SCAN:
            moved = logs.copy()
            moved[k] += step
            value = evidence(moved)
            if value > highest:
                best, highest = moved, value
        logs = best
    if not np.isfinite(highest):
        raise ValueError(
            "tracer: the likelihood is zero at these numbers and near them. FitImaging says why: change them."
        )
    return logs


def _climb(evidence: _Evidence, start: np.ndarray) -> np.ndarray:
    """Climb in coordinates whitened by the curvature at the start."""
    values, vectors = np.linalg.eigh(_derivatives(evidence, start)[1])
    root = vectors / np.sqrt(np.clip(np.abs(values), _LEAST_CURVATURE, None))

    def objective(u: np.ndarray) -> float:
        value = evidence(start + root @ u)
        return -value if np.isfinite(value) else _VERY_LOW

    options = {"eps": _STEP, "ftol": 1e-13, "gtol": _FLAT}
    zero = np.zeros(start.size)
    result: Any = minimize(objective, zero, jac="2-point", method="L-BFGS-B", options=options)  # type: ignore[call-overload]
    return start + root @ result.x


def _derivatives(evidence: _Evidence, logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (n,) and Hessian (n, n) of the log evidence, by differences."""
    steps = _CURVATURE_STEP * np.eye(logs.size)
    ahead = np.array([evidence(logs + step) for step in steps])
    behind = np.array([evidence(logs - step) for step in steps])
    here = evidence(logs)
    hessian = np.diag(ahead + behind - 2.0 * here)
    for i in range(logs.size):
        for j in range(i):
            both = evidence(logs + steps[i] + steps[j]) + evidence(logs - steps[i] - steps[j])
            mixed = 0.5 * (both + 2.0 * here - ahead[i] - behind[i] - ahead[j] - behind[j])
            hessian[i, j] = hessian[j, i] = mixed
    return 0.5 * (ahead - behind) / _CURVATURE_STEP, hessian / _CURVATURE_STEP**2


def _covariance(hessian: np.ndarray, logs: np.ndarray, names: Sequence[str]) -> np.ndarray:
    values, vectors = np.linalg.eigh(-hessian)
    if not values[0] > _NO_MAXIMUM:
        flattest = names[int(np.argmax(np.abs(vectors[:, 0])))]
        raise ValueError(
            f"tracer: the evidence has no maximum in {flattest}, which ends at {np.exp(logs).tolist()} for "
            f"{list(names)}. Fix it, or give a prior with fewer parameters."
        )
    return (vectors / values) @ vectors.T


def _names(tracer: Tracer) -> list[str]:
    return [
        f"{name}.{parameter}"
        for galaxy, name in zip(tracer.galaxies, tracer.names, strict=True)
        if galaxy.pixelization is not None
        for parameter in galaxy.pixelization.regularization.names
    ]


def _with_parameters(galaxies: Sequence[Galaxy], values: np.ndarray) -> list[Galaxy]:
    """Replace the parameters of all priors, nearest galaxy first."""
    changed = []
    for galaxy in galaxies:
        if galaxy.pixelization is not None:
            prior = galaxy.pixelization.regularization
            own, values = np.split(values, [len(prior.names)])
            pixelization = replace(galaxy.pixelization, regularization=prior.with_parameters(own.tolist()))
            galaxy = replace(galaxy, pixelization=pixelization)
        changed.append(galaxy)
    return changed
