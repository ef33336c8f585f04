"""A normal distribution whose leading elements are free, and of whose others some are confined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dsyr2k

from pymc_lens.linalg.blas import cholesky_inverse_in_place
from pymc_lens.orthant.partly_confined import PartlyConfined, confine_some


@dataclass(frozen=True, eq=False)
class LedByFree:
    """A normal distribution ``exp(-x'Px / 2 + shift'x)`` on ``x_c >= 0``.

    The leading elements, as many as there are free ones before the first that is confined, are integrated
    over with the Cholesky factor U of P, which serves everything else too.

    Attributes
    ----------
    log_mass : float
        Logarithm of its integral over ``(2 pi)^(n / 2)``.
    rest : PartlyConfined
        Marginal distribution of the other elements.
    factor : (n, n) float64
        U, in the upper triangle; `moments` consumes it.
    whitened : (n_leading,) float64
        The leading elements of ``U^-T shift``.
    """

    log_mass: float
    rest: PartlyConfined
    factor: np.ndarray
    whitened: np.ndarray

    @property
    def sites(self) -> np.ndarray:
        """(2, n_c) sites of expectation propagation, to start the next from."""
        return self.rest.sites

    @property
    def mean(self) -> np.ndarray:
        """(n,) mean of the nearest normal distribution."""
        return given_the_rest(self.factor, self.whitened, self.rest.mean)

    def draw(self, rng: np.random.Generator) -> np.ndarray | None:
        """Draw (n,) from the distribution; None where `Confinement.draw` does not."""
        rest = self.rest.draw(rng)
        if rest is None:
            return None
        return given_the_rest(self.factor, self.whitened + rng.standard_normal(self.whitened.size), rest)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (n,) and covariance (n, n), in the upper triangle, as the derivatives of `log_mass`."""
        mean, second = self.rest.moments()
        covariance = second - np.outer(mean, mean)
        n_leading = self.whitened.size
        if not n_leading:
            return mean, covariance
        joined = given_the_rest(self.factor, self.whitened, mean)
        moved = np.zeros((len(self.factor), mean.size))
        moved[:n_leading] = -self.factor[:n_leading, n_leading:]
        moved = solve_triangular(self.factor, moved, check_finite=False)
        np.fill_diagonal(moved[n_leading:], 1.0)
        leading_covariance(self.factor, n_leading)
        dsyr2k(0.5, moved, moved @ covariance, beta=1.0, c=self.factor.T, lower=1, overwrite_c=1)
        return joined, self.factor


def confine_after_free(
    factor: np.ndarray,
    trailing: np.ndarray,
    shift: np.ndarray,
    confined: np.ndarray,
    sites: np.ndarray | None = None,
) -> LedByFree:
    """Confine some elements of N(P^-1 shift, P^-1) to be not negative.

    Parameters
    ----------
    factor : (n, n) float64
        Cholesky factor of P, in the upper triangle.
    trailing : (n_rest, n_rest) float64
        The last square of P, symmetric, from the first confined element on.
    shift : (n,) float64
    confined : (n,) bool
    sites : (2, n_c) float64, optional
        See `confine`.

    Raises
    ------
    InadmissibleError
        As `confine`.
    """
    n_leading = confined.size - len(trailing)
    whitened = solve_triangular(factor, shift, trans=1, check_finite=False)[:n_leading]
    crossing = factor[:n_leading, n_leading:]
    rest = confine_some(
        trailing - crossing.T @ crossing,
        shift[n_leading:] - crossing.T @ whitened,
        confined[n_leading:],
        sites,
    )
    log_mass = rest.log_mass + 0.5 * float(whitened @ whitened)
    log_mass -= float(np.log(factor.diagonal()[:n_leading]).sum())
    return LedByFree(log_mass, rest, factor, whitened)


def given_the_rest(factor: np.ndarray, whitened: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Join elements (n_rest,) with the mean of the leading ones given these: (n,).

    Parameters
    ----------
    factor : (n, n) float64
        Cholesky factor U of the precision, in the upper triangle.
    whitened : (n_leading,) float64
        The leading elements of ``U^-T shift``.
    rest : (n_rest,) float64
    """
    n_leading = whitened.size
    moved = np.concatenate([whitened - factor[:n_leading, n_leading:] @ rest, np.zeros(rest.size)])
    joined = solve_triangular(factor, moved, check_finite=False)
    joined[n_leading:] = rest
    return joined


def leading_covariance(factor: np.ndarray, n_leading: int) -> None:
    """Replace a Cholesky factor (n, n) by the covariance of the leading elements given the others.

    It is in the upper triangle, with zeros for the others.
    """
    factor[:, n_leading:] = 0.0
    if not n_leading:
        return
    np.fill_diagonal(factor[n_leading:, n_leading:], 1.0)
    cholesky_inverse_in_place(factor)
    factor[n_leading:, n_leading:] = 0.0
