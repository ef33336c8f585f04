"""Averages of a cusp over the pixels around it.

A pixel is what the rectangles from the cusp to its four corners add up to. Each of these is two triangles,
below its diagonal and, with y and x exchanged, above, in which powers of a variable towards the cusp take it
away (Duffy 1982, SIAM J. Numer. Anal. 19, 1260); nodes that are even in angle suit narrow triangles too. All
follows from the place of one pixel and constants: graphs of more Ops compile for a minute.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytensor.tensor as pt
from pytensor.tensor.variable import TensorVariable

from pymc_lens.quadrature import gauss_legendre

# In pixels, off the centre: up to where they are integrated over, and from where on they are not at all. In
# between both ways are mixed, that nothing jumps as the centre moves.
_WITHIN, _BEYOND = 1.5, 2.5
# Nodes along a radius and across, and the power.
_RADIAL, _ANGULAR, _GRADING = 14, 8, 4
# arcsec: a side of a pixel may go through the cusp.
_TINY = 1e-12


def with_cusp(
    brightness: Callable[[TensorVariable, TensorVariable], TensorVariable],
    averages: TensorVariable,
    centre: tuple[TensorVariable, TensorVariable],
    middles: np.ndarray,
    side: float,
) -> TensorVariable:
    """Replace averages over the pixels around a cusp by integrals.

    Parameters
    ----------
    brightness : callable
        Of y and x, each (...), from the cusp.
    averages : (n_pixels,) variable
        Means of points.
    centre : pair of variables
        Of the cusp, (y, x), arcsec.
    middles : (n_pixels, 2) array
        Of the pixels, on a lattice along y and x, arcsec.
    side : float
        Of a pixel, arcsec.

    Returns
    -------
    (n_pixels,) TensorVariable
    """
    origin, places = middles[0], np.rint((middles - middles[0]) / side).T
    nearest = [pt.round((at - start) / side) for at, start in zip(centre, origin, strict=True)]
    y, x = (start + side * place - at for at, start, place in zip(centre, origin, nearest, strict=True))
    rows, columns = (
        pt.eq(place + steps[:, None], known)
        for place, steps, known in zip(nearest, (_ROWS, _COLUMNS), places, strict=True)
    )
    share = _fading((y / side + _ROWS) ** 2 + (x / side + _COLUMNS) ** 2)
    around = pt.cast(rows & columns, "float64")
    integrals = share * _integrals(brightness, y, x, side) / side**2
    return (1.0 - share @ around) * averages + integrals @ around


def _integrals(brightness: Callable, y: TensorVariable, x: TensorVariable, side: float) -> TensorVariable:
    """Integrals (25,) over the pixels around one at y and x from the cusp."""
    y, x = y + side * _CORNER_Y + _TINY, x + side * _CORNER_X + _TINY
    along, across = pt.switch(_IS_BELOW, x, y), pt.switch(_IS_BELOW, y, x)
    angle = pt.arcsinh(across / along)
    far, aside = along * _NEAR, along * _NEAR * pt.sinh(angle * _ASIDE)
    values = brightness(pt.switch(_IS_BELOW, aside, far), pt.switch(_IS_BELOW, far, aside))
    return _ADD_UP @ ((values * along**2 * angle * pt.cosh(angle * _ASIDE)) @ _WEIGHTS)


def _fading(squared: TensorVariable) -> TensorVariable:
    """Share of the integral at a squared distance: one, then zero, twice differentiable."""
    t = pt.clip((squared - _WITHIN**2) / (_BEYOND**2 - _WITHIN**2), 0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


# Five lines of pixels, of which at least one on either side of `_BEYOND` is left out; six lines of corners.
_STEPS = np.arange(-2.0, 3.0)
_ROWS, _COLUMNS = np.repeat(_STEPS, 5), np.tile(_STEPS, 5)
_LINES = np.arange(-2.5, 3.0)
# Each corner twice: for the triangle below the diagonal and for the one above.
_CORNER_Y, _CORNER_X = np.tile(np.repeat(_LINES, 6), 2)[:, None], np.tile(_LINES, 12)[:, None]
_IS_BELOW = np.repeat([True, False], 36)[:, None]
_DIFFERENCE = np.diff(np.eye(6), axis=0)
_ADD_UP = np.tile(np.kron(_DIFFERENCE, _DIFFERENCE), 2)
(_R, _R_WEIGHTS), (_V, _V_WEIGHTS) = gauss_legendre(_RADIAL), gauss_legendre(_ANGULAR)
_NEAR, _ASIDE = np.repeat(_R**_GRADING, _ANGULAR), np.tile(_V, _RADIAL)
_WEIGHTS = np.outer(_GRADING * _R ** (2 * _GRADING - 1) * _R_WEIGHTS, _V_WEIGHTS).ravel()
