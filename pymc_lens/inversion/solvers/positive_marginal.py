"""All solutions without negative coefficients, integrated over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import override

import numpy as np
from scipy.linalg.blas import dtrmv

from pymc_lens.inversion.solvers.base import EvidenceMoments, Solved, Solver, System, factorise
from pymc_lens.linalg.blas import symmetric
from pymc_lens.linalg.precision import Precision
from pymc_lens.orthant.confinement import Confinement, confine
from pymc_lens.orthant.led_by_free import confine_after_free
from pymc_lens.workspace import Workspace


@dataclass(frozen=True)
class PositiveMarginal(Solver):
    """All coefficients that are not negative, integrated over: the evidence of a truncated Gaussian prior.

    ``ln E + ln P(s >= 0 | data) - ln P(s >= 0)``, both probabilities from draws that expectation propagation
    guides, the same at every evaluation. What the gradient takes for moments are the derivatives of these
    estimates.

    With 200 elements either probability is within 0.04 of long Monte Carlo runs, for Matern priors of scales
    from 0.05 to 0.5 of the box and for posteriors of S/N 3 to 30, where expectation propagation alone is up
    to 1.3 too low. With 1,300 the logarithm scatters by 0.1 to 0.2 for posteriors of S/N 30 and priors of
    smoothness 1/2, but by 0.5 to 0.8 for priors of smoothness 3/2 and their posteriors of S/N 3 (of
    expectation propagation's errors of 2 to 12).
    """

    @override
    def solve(self, matrix: np.ndarray, system: System, guess: Solved | None, workspace: Workspace) -> Solved:
        n_leading = int(np.argmax(system.confined))
        trailing = symmetric(matrix[n_leading:, n_leading:])
        factorise(matrix)
        confined = _confined_sources(system)
        starts = (
            [None] * (1 + len(confined)) if guess is None else [part.sites for part in guess.confinements]
        )
        posterior = confine_after_free(matrix, trailing, system.data_vector, system.confined, starts[0])
        priors = [
            confine(precision, np.zeros(precision.size), start)
            for precision, start in zip(confined, starts[1:], strict=True)
        ]
        coefficients = posterior.mean
        # The masses stand for all that the terms say of posterior and prior.
        halves = dtrmv(matrix.T, coefficients, lower=1, trans=1)
        of_terms = system.data_vector @ coefficients - 0.5 * float(halves @ halves)
        log_det_posterior = 2.0 * float(np.log(matrix.diagonal()).sum())
        log_prior = -system.n_dense_confined * np.log(2.0) + sum(
            prior.log_mass + 0.5 * precision.log_determinant
            for prior, precision in zip(priors, confined, strict=True)
        )
        log_positivity = posterior.log_mass - of_terms + 0.5 * log_det_posterior - log_prior
        return Solved(coefficients, float(log_positivity), (posterior, *priors))

    @override
    def moments(self, solved: Solved, factor: np.ndarray, system: System) -> EvidenceMoments:
        posterior, *priors = solved.confinements
        mean, covariance = posterior.moments()
        remaining = iter(priors)
        of_priors = [
            _prior_moments(precision, next(remaining) if system.confined[place.start] else None)
            for place, precision in system.priors
        ]
        return EvidenceMoments(mean, covariance, of_priors)

    @override
    def draw(
        self, solved: Solved, factor: np.ndarray, system: System, rng: np.random.Generator
    ) -> np.ndarray:
        drawn = solved.confinements[0].draw(rng)
        return super().draw(solved, factor, system, rng) if drawn is None else drawn


def _confined_sources(system: System) -> list[Precision]:
    return [precision for place, precision in system.priors if system.confined[place.start]]


def _prior_moments(precision: Precision, confinement: Confinement | None) -> object:
    if confinement is None:
        return precision.free_moments()
    return precision.known_moments(confinement.moments()[1])
