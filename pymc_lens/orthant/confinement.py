"""Mass and moments of a normal distribution confined to vectors without negative elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dlauum, dsygst, dtrtri
from scipy.stats.qmc import Sobol

from pymc_lens.linalg.blas import symmetric
from pymc_lens.linalg.precision import DensePrecision, Precision
from pymc_lens.orthant.expectation_propagation import Propagated, propagate
from pymc_lens.orthant.sequential_draws import Draws

# Powers of two, of which Sobol's points are balanced. The more elements, the more the weights scatter; what
# draws take goes with their number times that of the elements. Of 1,024 draws whose effective share is 0.9
# the error of the logarithm of the mean weight is 0.01.
_LOG2_DRAWS_PER_ELEMENT, _MAX_LOG2_DRAWS, _MAX_LOG2_VALUES = 4, 10, 20
_SEED = 20130101
# Draws that one is chosen from by weight, and the share of them that must be effective.
_CHOSEN_FROM, _EFFECTIVE_SHARE = 256, 0.2


@dataclass(frozen=True, eq=False)
class Confinement:
    """A normal distribution ``exp(-x'Px / 2 + shift'x)`` on ``x >= 0``.

    Attributes
    ----------
    log_mass : float
        Logarithm of its integral over ``(2 pi)^(n / 2)``.
    propagated : Propagated
        The normal distribution nearest to it.
    factor : (n, n) float64
        Cholesky factor U of its precision, in the upper triangle.
    target : (n,) float64
        U times its mean.
    draws : Draws
    """

    log_mass: float
    propagated: Propagated
    factor: np.ndarray
    target: np.ndarray
    draws: Draws

    @property
    def sites(self) -> np.ndarray:
        """(2, n) sites of expectation propagation, to start the next from."""
        return self.propagated.sites

    def without(self, slopes: np.ndarray, left: float) -> Confinement:
        """Leave out a factor ``exp(-(left - slopes'x)^2 / 2)``, and ``exp(left^2 / 2)``.

        Parameters
        ----------
        slopes : (n,) float64
        left : float

        Raises
        ------
        InadmissibleError
            As `confine`.
        """
        upper = np.triu(self.factor)
        precision = upper.T @ upper - np.diag(self.sites[0]) - np.outer(slopes, slopes)
        shift = upper.T @ self.target - self.sites[1] - left * slopes
        return confine(DensePrecision(precision), shift, self.sites)

    def draw(self, rng: np.random.Generator) -> np.ndarray | None:
        """Draw (n,) from the distribution: one of many draws, by weight; None where few have all of it."""
        if self.draws.effective_share < _EFFECTIVE_SHARE:
            return None
        log_uniforms = np.log1p(-rng.random((self.target.size, _CHOSEN_FROM)))
        draws = Draws.of(self.factor, self.target, self.sites, log_uniforms)
        weights = np.exp(draws.log_weights - draws.log_weights.max())
        return draws.values[:, rng.choice(_CHOSEN_FROM, p=weights / weights.sum())]

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and second moments (n, n), as the derivatives of `log_mass` as computed.

        They are its derivative in the shift, and -2 times that in P. The draws move with the distribution
        they are from, and that moves with the sites.
        """
        upper = np.triu(self.factor)
        inverse = dtrtri(upper.T, lower=1)[0].T
        target_bar, factor_bar, sites_bar = self.draws.pullback(upper)
        mean = inverse @ (target_bar + self.target)
        factor_bar -= np.triu(np.outer(self.target, mean))
        second = -2.0 * _cholesky_pullback(upper, inverse, factor_bar)
        sites_bar += np.stack([-0.5 * second.diagonal(), mean])
        covariance = symmetric(dlauum(inverse.T, lower=1)[0].T)
        mean_bar, variance_bar = self.propagated.pullback(sites_bar, covariance)
        of_mean = covariance @ mean_bar
        cross = np.outer(of_mean, self.propagated.mean)
        second += cross + cross.T + 2.0 * _weighted_square(covariance, variance_bar)
        return mean + of_mean, second


def confine(precision: Precision, shift: np.ndarray, sites: np.ndarray | None = None) -> Confinement:
    """Confine N(P^-1 shift, P^-1) to ``x >= 0``.

    The mass is estimated with draws, one element after the other (the sampler of Geweke, Hajivassiliou and
    Keane: Genz 1992, J. Comput. Graph. Stat. 1, 141), each given those drawn already and, for those still to
    come, the Gaussian sites of expectation propagation in place of their confinement. Thus a draw knows what
    lies ahead (a twisted proposal: Guarniero, Johansen & Lee 2017, J. Am. Stat. Assoc. 112, 1636), and its
    weight corrects what the sites got wrong. From points that never change the estimate is a smooth function
    of P and the shift.

    Parameters
    ----------
    precision : Precision
        P, (n, n).
    shift : (n,) float64
    sites : (2, n) float64, optional
        Where expectation propagation starts; the result does not depend on it.

    Raises
    ------
    InadmissibleError
        If P is not positive definite, or the sites do not settle.
    """
    propagated = propagate(precision, shift, sites)
    factor = propagated.tilted.cholesky()
    target = solve_triangular(factor, shift + propagated.sites[1], trans=1, check_finite=False)
    draws = Draws.of(factor, target, propagated.sites, _log_uniforms(target.size))
    log_mass = 0.5 * float(target @ target) + draws.log_mean_weight
    return Confinement(log_mass, propagated, factor, target, draws)


@lru_cache(maxsize=4)
def _log_uniforms(n: int) -> np.ndarray:
    """Logarithms (n, n_draws) of Sobol's points, with the coarsest coordinate for the last element."""
    log2_n = (n - 1).bit_length()
    sobol = Sobol(n, rng=_SEED)
    log2_draws = min(log2_n + _LOG2_DRAWS_PER_ELEMENT, _MAX_LOG2_DRAWS, _MAX_LOG2_VALUES - log2_n)
    points = sobol.random_base2(max(0, log2_draws))
    # The middles of the cells that their bits resolve: none is 0. An element's draws lie side by side.
    log_uniforms = np.log(np.ascontiguousarray(points.T[::-1]) + 0.5 ** (sobol.bits + 1))
    log_uniforms.flags.writeable = False
    return log_uniforms


def _cholesky_pullback(upper: np.ndarray, inverse: np.ndarray, upper_bar: np.ndarray) -> np.ndarray:
    """Adjoint (n, n), symmetric, of the factor U in ``U'U`` (Murray 2016, arXiv:1602.07527, section 3).

    SciPy's routines read the arrays by columns, as their transposes.
    """
    inner = dtrmm(0.5, upper.T, upper_bar.T, lower=1, trans_a=1)
    return symmetric(dsygst(inner, inverse.T, itype=2, lower=1)[0].T)


def _weighted_square(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``matrix diag(weights) matrix`` for a symmetric matrix (n, n)."""
    columns = matrix * np.sqrt(np.abs(weights))
    above, below = columns[:, weights > 0.0], columns[:, weights < 0.0]
    return above @ above.T - below @ below.T
