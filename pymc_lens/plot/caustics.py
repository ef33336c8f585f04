"""Critical curves and caustics of a tracer with fixed numbers."""

from __future__ import annotations

import numpy as np
from contourpy import contour_generator

from pymc_lens.data.image_plane import Frame
from pymc_lens.evaluate import evaluate_once
from pymc_lens.geometry.lattice import lattice
from pymc_lens.tracer import Tracer

_POINTS = 400
_SMALLEST = 8


def critical_curves(
    tracer: Tracer, extent: tuple[float, float, float, float], frame: Frame, redshift: float | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Critical curves in the image plane and their caustics in the source plane.

    The determinant of the lens mapping is taken from differences of the traced positions on a fine grid and
    followed along its zero. Curves a few grid steps long are left out: they are the singular centre of a mass
    profile, which has no critical curve.

    Parameters
    ----------
    tracer : Tracer
        All of whose parameters are numbers.
    extent : (left, right, bottom, top), arcsec
        Where to look in the image.
    frame : Frame
        Of the image.
    redshift : float, optional
        Of the source; by default the tracer's.

    Returns
    -------
    critical, caustics : lists of (n, 2) arrays
        (y, x), arcsec; the former in the image.
    """
    x, y = np.linspace(extent[0], extent[1], _POINTS), np.linspace(extent[2], extent[3], _POINTS)
    grid = lattice(y, x)
    (traced,) = evaluate_once([tracer.traced_grid(frame.to_sky(grid.reshape(-1, 2)), redshift)])
    traced = traced.reshape(grid.shape)
    by_y = np.gradient(traced, y, axis=0)
    by_x = np.gradient(traced, x, axis=1)
    determinant = by_y[..., 0] * by_x[..., 1] - by_y[..., 1] * by_x[..., 0]
    lines = contour_generator(x, y, determinant).lines(0.0)
    smallest = _SMALLEST * max(x[1] - x[0], y[1] - y[0])
    curves = [np.asarray(line, dtype=float)[:, ::-1] for line in lines]
    critical = [curve for curve in curves if np.ptp(curve, axis=0).max() > smallest]
    if not critical:
        return [], []
    (ends,) = evaluate_once([tracer.traced_grid(frame.to_sky(np.concatenate(critical)), redshift)])
    return critical, np.split(ends, np.cumsum([len(curve) for curve in critical])[:-1])
