"""What is suspicious about a mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection

from pymc_lens.distributions import lensed_images
from pymc_lens.inference.density import Density
from pymc_lens.inference.preflight import inputs_at

if TYPE_CHECKING:
    from pymc_lens.inference.mode import Mode

# Standard deviations of the prior beyond which a value is at its edge.
_EDGE = 4.0
_ROUND = 0.9
# Log-probability by which another mode may be lower and still hold a share of the posterior.
_CLOSE = 5.0
# Reduced chi-squared above which a fit is poor. Noise maps are too large rather than too small.
_POOR = 1.5


def remarks_on(
    mode: Mode,
    ends: Sequence[np.ndarray],
    starts: Sequence[np.ndarray],
    density: Density,
    draws: np.ndarray,
) -> tuple[str, ...]:
    """Say what is suspicious about a mode.

    Parameters
    ----------
    mode : Mode
    ends : sequence of (n,) float64
        Where the search's climbs ended.
    starts : sequence of (n,) float64
        Where they began.
    density : Density
    draws : (n_draws, n) float64
        From the prior.
    """
    return (
        *_at_edges(mode, density, draws),
        *_flat_ellipses(mode),
        *_poor_fits(mode, density.model),
        *_below_a_start(mode, starts, density),
        *_rivals(mode, ends, density),
    )


def within_posterior(mode: Mode, flat: np.ndarray) -> bool:
    """Whether a point is no farther from a mode than draws from the Gaussian around it are on average."""
    away = flat - DictToArrayBijection.map(mode.point).data
    return float(away @ np.linalg.solve(mode.covariance, away)) < away.size


def _at_edges(mode: Mode, density: Density, draws: np.ndarray) -> Iterator[str]:
    if len(draws) < 100:
        return
    low, middle, high = np.quantile(draws[1:], [0.16, 0.5, 0.84], axis=0)
    flat = DictToArrayBijection.map(mode.point).data
    away = (flat - middle) / np.where(high > low, 0.5 * (high - low), np.inf)
    for rv in density.model.free_RVs:
        value = density.model.rvs_to_values[rv]
        farthest = max(away[density.coordinates({value.name})], key=abs, default=0.0)
        if abs(farthest) > _EDGE:
            yield (
                f"The mode lies at the edge of the prior of {rv.name}: "
                f"{rounded(mode.parameters[rv.name])} is {abs(farthest):.1f} of its "
                f"standard deviations {'above' if farthest > 0 else 'below'} the "
                "middle. The prior is too narrow or elsewhere, or this is not the lens."
            )


def _flat_ellipses(mode: Mode) -> Iterator[str]:
    for name, value in mode.parameters.items():
        if "ell_comps" in name and np.shape(value)[-1:] == (2,):
            size = float(np.hypot(value[..., 0], value[..., 1]).max())
            if size > _ROUND:
                yield (
                    f"The mode has |{name}| = {size:.3f}, an axis ratio of {(1 - size) / (1 + size):.3f}: "
                    "this is hardly a galaxy. Give a narrower prior."
                )


def _poor_fits(mode: Mode, model: pm.Model) -> Iterator[str]:
    for name, image in lensed_images(model).items():
        inversion = image.owner.op.inversion
        chi_squared = inversion.invert(inputs_at(model, image, mode.point)).terms.chi_squared
        reduced = chi_squared / inversion.response.noise.size
        if reduced > _POOR:
            yield (
                f"The mode leaves residuals in {name} that noise does not explain: its reduced chi-squared "
                f"is {reduced:.2f}. The noise map, the light or the mass is wrong, or this is not the lens."
            )


def _below_a_start(mode: Mode, starts: Sequence[np.ndarray], density: Density) -> Iterator[str]:
    highest = max((density(start)[0] for start in starts), default=-np.inf)
    if highest > mode.log_density:
        yield (
            f"The search ended at log-probability {mode.log_density:.1f}, below a start, which has "
            f"{highest:.1f}: it failed. Give starts that name more of the variables."
        )


def _rivals(mode: Mode, ends: Sequence[np.ndarray], density: Density) -> Iterator[str]:
    for end in ends:
        behind = mode.log_density - density(end)[0]
        if behind < _CLOSE and not within_posterior(mode, end):
            parameters = density.parameters(density.point(end))
            values = ", ".join(f"{name} {rounded(parameters[name])}" for name in mode.initvals)
            yield f"Another mode is only {behind:.1f} lower in log-probability, at {values}."


def rounded(value: np.ndarray) -> str:
    """Write a value with four digits."""
    return np.array2string(np.asarray(value), precision=4)
