"""What follows from a lens model: critical curves, Einstein radius, slope, mass, images of a point.

All take a tracer whose parameters are numbers, such as ``pl.fit_at(model, idata).tracer``; `over_draws` gives
the distribution of any of them over a posterior. Magnifications and convergences, at any positions and
differentiable, are methods of `pymc_lens.Tracer` and of every mass profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import astropy.constants
import astropy.units as u
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import xarray as xr
from contourpy import contour_generator
from pytensor.compile.mode import Mode
from scipy.interpolate import CubicSpline
from xarray import DataTree

from pymc_lens.data.image_plane import CENTRED, Frame
from pymc_lens.evaluate import evaluate_once, require_numbers
from pymc_lens.geometry.lattice import lattice
from pymc_lens.point import find_image, free_values_at, numbered_tracer
from pymc_lens.symbolic import pair
from pymc_lens.tracer import Tracer
from pymc_lens.validation import integer, positive_number, require_instance

__all__ = [
    "Curves",
    "PointImages",
    "critical_curves",
    "einstein_radius",
    "enclosed_mass",
    "image_positions",
    "mean_convergence",
    "over_draws",
    "slope",
]

_POINTS = 400
_SMALLEST = 8
# Beyond this the determinant is that of a singular centre, and contours want numbers.
_LARGEST = 10.0
_NEWTON_STEPS = 20
# arcsec: of differences, and of two images that are one.
_STEP, _SAME = 1e-5, 1e-6
_ON_A_CIRCLE = 512
_COMPILE = Mode("py", None)


class Curves(NamedTuple):
    """Critical curves in the image plane and their caustics.

    Attributes
    ----------
    critical, caustics : list of (n, 2) arrays
        (y, x), arcsec.
    """

    critical: list[np.ndarray]
    caustics: list[np.ndarray]


@dataclass(frozen=True)
class PointImages:
    """Images of a point, the first to arrive first.

    Attributes
    ----------
    positions : (n, 2) array
        (y, x), arcsec.
    magnifications : (n,) array
        Negative where the image is mirrored.
    kinds : tuple of str
        Of the arrival time: "minimum", "saddle" or "maximum".
    arrival_times : (n,) array or None
        Days after the first; None if masses in several planes lens it.
    """

    positions: np.ndarray
    magnifications: np.ndarray
    kinds: tuple[str, ...]
    arrival_times: np.ndarray | None


class _Mapping:
    """A tracer's mapping to a redshift, and its derivatives, at positions (n, 2)."""

    def __init__(self, tracer: Tracer, redshift: float | None) -> None:
        require_instance("tracer", tracer, Tracer)
        self.tracer, self.redshift = tracer, redshift
        grid = pt.matrix("grid", shape=(None, 2))
        jacobian = tracer.jacobian(grid, redshift)
        outputs = [tracer.traced_grid(grid, redshift), pt.stack(jacobian, axis=-1)]
        require_numbers(outputs, besides=[grid])
        self.positions, self.derivatives = (
            pytensor.function([grid], output, mode=_COMPILE) for output in outputs
        )

    def jacobian(self, points: np.ndarray) -> np.ndarray:
        """Return the derivatives (n, 2, 2) of (y, x) in the source plane in (y, x)."""
        return self.derivatives(points).reshape(-1, 2, 2)

    def determinant(self, points: np.ndarray) -> np.ndarray:
        return np.linalg.det(self.jacobian(points))


def critical_curves(
    tracer: Tracer,
    extent: tuple[float, float, float, float],
    frame: Frame = CENTRED,
    redshift: float | None = None,
) -> Curves:
    """Critical curves in the image plane and their caustics in the source plane, however many there are.

    The determinant of the lens mapping is followed along its zero on a grid of 400 x 400, and the points
    moved onto it. Curves a few steps of the grid long are left out.

    Parameters
    ----------
    tracer : Tracer
        All of whose parameters are numbers.
    extent : (left, right, bottom, top), arcsec
        Where to look in the image.
    frame : Frame, optional
        Of the image.
    redshift : float, optional
        Of the source; by default the tracer's.

    Returns
    -------
    Curves
        Critical curves in the image.

    Raises
    ------
    TypeError
        If the tracer depends on variables.
    """
    mapping = _Mapping(tracer, redshift)
    x, y = np.linspace(extent[0], extent[1], _POINTS), np.linspace(extent[2], extent[3], _POINTS)
    grid = lattice(y, x)
    determinant = mapping.determinant(frame.to_sky(grid.reshape(-1, 2))).reshape(grid.shape[:2])
    determinant = np.clip(np.nan_to_num(determinant, nan=-_LARGEST), -_LARGEST, _LARGEST)
    lines = contour_generator(x, y, determinant).lines(0.0)
    step = max(x[1] - x[0], y[1] - y[0])
    curves = [np.asarray(line, dtype=float)[:, ::-1] for line in lines]
    curves = [curve for curve in curves if np.ptp(curve, axis=0).max() > _SMALLEST * step]
    critical = [_moved_onto(mapping, frame.to_sky(curve), step) for curve in curves]
    caustics = [mapping.positions(curve) for curve in critical]
    return Curves([frame.from_sky(curve) for curve in critical], caustics)


def einstein_radius(
    tracer: Tracer, extent: tuple[float, float, float, float], redshift: float | None = None
) -> float:
    """Radius of the circle with the area of the largest critical curve, arcsec.

    The effective Einstein radius of any mass: for an isothermal ellipsoid that of Kormann, Schneider &
    Bartelmann 1994 and of `pymc_lens.convert.effective_einstein_radius`.

    Parameters
    ----------
    tracer, extent, redshift
        See `critical_curves`.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If the tracer depends on variables.
    ValueError
        If there is no closed critical curve in the extent.

    Examples
    --------
    >>> lens = pl.Galaxy(0.5, mass=pl.mass.Isothermal(einstein_radius=1.2))
    >>> round(pl.quantities.einstein_radius(pl.Tracer([lens, pl.Galaxy(1.0)]), (-2.0, 2.0, -2.0, 2.0)), 6)
    1.2
    """
    critical = critical_curves(tracer, extent, CENTRED, redshift).critical
    areas = [_area(curve) for curve in critical if np.allclose(curve[0], curve[-1], atol=_SAME)]
    if not areas:
        raise ValueError(f"extent: expected one that holds a closed critical curve, got {extent}.")
    return float(np.sqrt(max(areas) / np.pi))


def mean_convergence(
    tracer: Tracer, radius: float, centre: Any = (0.0, 0.0), redshift: float | None = None
) -> float:
    """Convergence averaged over a disc: the mean radial deflection on its border, over its radius (Gauss).

    Parameters
    ----------
    tracer, redshift
        See `critical_curves`.
    radius : float
        Arcsec.
    centre : (y, x)
        Arcsec.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If the tracer depends on variables, or an argument is no number.
    ValueError
        If the radius is not positive.

    Examples
    --------
    >>> lens = pl.Galaxy(0.5, mass=pl.mass.Isothermal(einstein_radius=1.2))
    >>> round(pl.quantities.mean_convergence(pl.Tracer([lens, pl.Galaxy(1.0)]), 1.2), 6)
    1.0
    """
    radius = positive_number("radius", radius)
    mapping, outwards = _Mapping(tracer, redshift), _circle()
    points = np.array(pair("centre", centre)) + radius * outwards
    return float(((points - mapping.positions(points)) * outwards).sum(axis=1).mean() / radius)


def slope(tracer: Tracer, radius: float, centre: Any = (0.0, 0.0), redshift: float | None = None) -> float:
    """Logarithmic slope of the density at a radius, in three dimensions: one more than the convergence's.

    ``1 - dln kappa / dln r`` of the convergence averaged over a circle, which is `PowerLaw`'s slope for one.

    Parameters
    ----------
    tracer, radius, centre, redshift
        See `mean_convergence`; the radius may be what `einstein_radius` returns.

    Returns
    -------
    float
        Two for an isothermal mass.

    Raises
    ------
    TypeError, ValueError
        As `mean_convergence`.
    """
    radius = positive_number("radius", radius)
    mapping, middle = _Mapping(tracer, redshift), np.array(pair("centre", centre))
    kappas = []
    for factor in (np.exp(_STEP), np.exp(-_STEP)):
        jacobian = mapping.jacobian(middle + radius * factor * _circle())
        kappas.append(1.0 - 0.5 * np.trace(jacobian, axis1=1, axis2=2).mean())
    return float(1.0 - np.log(kappas[0] / kappas[1]) / (2.0 * _STEP))


def enclosed_mass(
    tracer: Tracer, radius: float, centre: Any = (0.0, 0.0), redshift: float | None = None
) -> u.Quantity:
    """Projected mass within a radius, solar masses, by the tracer's redshifts and cosmology.

    Parameters
    ----------
    tracer, radius, centre, redshift
        See `mean_convergence`.

    Returns
    -------
    astropy.units.Quantity
        Solar masses.

    Raises
    ------
    TypeError, ValueError
        As `mean_convergence`; also if masses in several planes lens the source.
    """
    kappa = mean_convergence(tracer, radius, centre, redshift)
    lenses = tracer.lens_redshifts(redshift)
    if len(lenses) != 1:
        raise ValueError(f"tracer: expected mass in one plane before the source, got it at {lenses}.")
    (distance,) = evaluate_once([tracer.time_delay_distance(redshift)])
    # The area pi (r D)^2 times the critical surface density c^2 D_source / (4 pi G D D_between).
    ratio = float(distance) / (1.0 + tracer.redshift_of(lenses[0])) * u.Mpc
    angle = radius * u.arcsec.to(u.rad)
    return (kappa * angle**2 * ratio * astropy.constants.c**2 / (4.0 * astropy.constants.G)).to(u.Msun)


def image_positions(
    tracer: Tracer,
    source: Any,
    extent: tuple[float, float, float, float],
    redshift: float | None = None,
) -> PointImages:
    """Images of a point in the source plane, with magnifications, kinds and arrival times.

    Triangles of a 400 x 400 grid whose images in the source plane hold the point start Newton's method.
    Images at the very centre of a singular mass, of no flux, are left out.

    Parameters
    ----------
    tracer, extent, redshift
        See `critical_curves`; the arrival times by the tracer's redshifts and cosmology.
    source : (y, x)
        Arcsec.

    Returns
    -------
    PointImages
        The first to arrive first; the brightest first where there are no arrival times.

    Raises
    ------
    TypeError
        If the tracer depends on variables, or the position consists of other things than numbers.
    ValueError
        If the position is no pair of finite numbers, or the redshift is beyond the farthest galaxy.

    Examples
    --------
    >>> lens = pl.Galaxy(0.5, mass=pl.mass.Isothermal(einstein_radius=1.2))
    >>> tracer = pl.Tracer([lens, pl.Galaxy(1.0)])
    >>> images = pl.quantities.image_positions(tracer, (0.0, 0.1), (-2.0, 2.0, -2.0, 2.0))
    >>> images.positions.round(3)
    array([[ 0. ,  1.3],
           [-0. , -1.1]])
    """
    mapping, point = _Mapping(tracer, redshift), np.array(pair("source", source))
    x, y = np.linspace(extent[0], extent[1], _POINTS), np.linspace(extent[2], extent[3], _POINTS)
    grid = lattice(y, x)
    starts = _triangles_around(grid, mapping.positions(grid.reshape(-1, 2)).reshape(grid.shape), point)
    positions = _distinct(_solved(mapping, starts, point, max(x[1] - x[0], y[1] - y[0])))
    jacobians = mapping.jacobian(positions)
    magnifications = 1.0 / np.linalg.det(jacobians)
    traces = np.trace(jacobians, axis1=1, axis2=2)
    kinds = np.where(magnifications < 0.0, "saddle", np.where(traces > 0.0, "minimum", "maximum"))
    times = _arrival_times(mapping, positions, point)
    order = np.argsort(times) if times is not None else np.argsort(-np.abs(magnifications))
    if times is not None:
        times = times[order] - times[order[:1]]
    return PointImages(positions[order], magnifications[order], tuple(kinds[order].tolist()), times)


def over_draws(
    quantity: Callable[[Tracer], Any],
    model: pm.Model,
    idata: DataTree,
    n_draws: int = 100,
    var_name: str | None = None,
) -> xr.DataArray:
    """Distribution of a quantity over a posterior.

    Parameters
    ----------
    quantity : callable
        Of a tracer, such as ``lambda tracer: pl.quantities.einstein_radius(tracer, (-3, 3, -3, 3))``; returns
        a number or an array of the same shape for every draw.
    model : pm.Model
        With a `LensedImage`.
    idata : DataTree
        Of ``pl.sample``.
    n_draws : int
        How many draws are taken, evenly spaced; all if there are fewer.
    var_name : str, optional
        Name of the image, where the model has several.

    Returns
    -------
    xarray.DataArray
        (sample, ...), with chain and draw as its coordinates.

    Raises
    ------
    TypeError, ValueError
        As `pymc_lens.fit_at`.
    """
    image, count = find_image(model, var_name), integer("n_draws", n_draws, minimum=1)
    posterior = idata["posterior"].to_dataset().stack(sample=("chain", "draw"), create_index=False)
    n = posterior.sizes["sample"]
    chosen = posterior.isel(sample=np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(int)))
    values = []
    for place in range(chosen.sizes["sample"]):
        at = free_values_at(model, chosen.isel(sample=place))
        values.append(np.asarray(quantity(numbered_tracer(model, image, at)), dtype=float))
    stacked = np.stack(values)
    dims = ("sample", *(f"axis_{axis}" for axis in range(stacked.ndim - 1)))
    return xr.DataArray(stacked, dims=dims, coords={name: chosen[name] for name in ("chain", "draw")})


def _circle() -> np.ndarray:
    """Return unit vectors (n, 2), (y, x), evenly spaced."""
    angles = 2.0 * np.pi * (np.arange(_ON_A_CIRCLE) + 0.5) / _ON_A_CIRCLE
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1)


def _area(curve: np.ndarray) -> float:
    """Area within a closed curve (n, 2), by a spline through its points."""
    points = curve[np.append(np.linalg.norm(np.diff(curve, axis=0), axis=1) > _SAME, True)]
    points[-1] = points[0]
    length = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1)))
    spline = CubicSpline(length, points, bc_type="periodic")
    nodes, weights = np.polynomial.legendre.leggauss(3)
    widths = np.diff(length)
    at = (length[:-1, None] + 0.5 * widths[:, None] * (nodes + 1.0)).ravel()
    (y, x), (dy, dx) = spline(at).T, spline(at, 1).T
    return float(abs((0.5 * (x * dy - y * dx)) @ (0.5 * widths[:, None] * weights).ravel()))


def _moved_onto(mapping: _Mapping, curve: np.ndarray, step: float) -> np.ndarray:
    """Move points (n, 2) near a critical curve onto it, by Newton's method along the gradient."""
    for _ in range(3):
        value = mapping.determinant(curve)
        sides = [
            (mapping.determinant(curve + _STEP * axis) - mapping.determinant(curve - _STEP * axis))
            / (2.0 * _STEP)
            for axis in np.eye(2)
        ]
        gradient = np.stack(sides, axis=-1)
        with np.errstate(all="ignore"):
            move = -(value / (gradient**2).sum(axis=-1))[:, None] * gradient
        curve = np.where(np.linalg.norm(move, axis=-1, keepdims=True) < step, curve + move, curve)
    return curve


def _triangles_around(grid: np.ndarray, traced: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Centres (n, 2) of the grid's triangles whose images hold a point."""
    corners = [(slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None)),
               (slice(1, None), slice(None, -1)), (slice(1, None), slice(1, None))]  # fmt: skip
    found = []
    for three in ((0, 1, 2), (3, 2, 1)):
        a, b, c = (traced[corners[i]] - point for i in three)
        signs = [np.sign(p[..., 1] * q[..., 0] - p[..., 0] * q[..., 1]) for p, q in ((a, b), (b, c), (c, a))]
        inside = np.abs(sum(signs)) == 3
        found.append(sum(grid[corners[i]][inside] for i in three) / 3.0)
    return np.concatenate(found)


def _solved(mapping: _Mapping, starts: np.ndarray, point: np.ndarray, step: float) -> np.ndarray:
    """Solutions (n, 2) of the lens equation near starting points; those that Newton's method finds."""
    positions = starts
    for _ in range(_NEWTON_STEPS):
        excess = mapping.positions(positions) - point
        with np.errstate(all="ignore"):
            move = np.linalg.solve(mapping.jacobian(positions), excess[..., None])[..., 0]
        size = np.linalg.norm(move, axis=-1, keepdims=True)
        positions = positions - move * np.minimum(1.0, step / np.maximum(size, 1e-300))
    solves = np.linalg.norm(mapping.positions(positions) - point, axis=-1) < _SAME * step
    return positions[solves]


def _distinct(positions: np.ndarray) -> np.ndarray:
    kept: list[np.ndarray] = []
    for position in positions:
        if all(np.linalg.norm(position - other) > _SAME for other in kept):
            kept.append(position)
    return np.array(kept).reshape(-1, 2)


def _arrival_times(mapping: _Mapping, positions: np.ndarray, point: np.ndarray) -> np.ndarray | None:
    """Days, up to a constant (Schneider, Ehlers & Falco 1992, eq. 5.44); None behind several planes."""
    tracer, redshift = mapping.tracer, mapping.redshift
    if len(tracer.lens_redshifts(redshift)) != 1:
        return None
    (times,) = evaluate_once([tracer.arrival_times(positions, point, redshift)])
    return times
