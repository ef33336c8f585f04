"""One image in one panel, the way all figures here show it."""

from __future__ import annotations

from typing import Any, cast

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure

INTENSITY_MAP = "inferno"
RESIDUAL_MAP = "RdBu_r"
# Ticks of a colour bar stay this far apart, as a fraction of its length.
_TICK_DISTANCE = 0.12
# Pixels that are shown around what was fitted.
_MARGIN = 2
# Where an image is zero everywhere its colour bar ends here.
_TINY = 1e-30
# (left, right, bottom, top), arcsec.
Extent = tuple[float, float, float, float]


def panels(
    axes: Any, shape: tuple[int, int], panel_size: tuple[float, float] = (4.9, 4.3)
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its panels (rows, columns): those that are given, or new ones.

    Parameters
    ----------
    axes : array of Axes or None
    shape : (rows, columns)
    panel_size : (width, height)
        Inches.

    Raises
    ------
    ValueError
        If the number of axes is another.
    """
    rows, columns = shape
    if axes is None:
        size = (panel_size[0] * columns, panel_size[1] * rows)
        return plt.subplots(rows, columns, figsize=size, layout="compressed", squeeze=False)
    given = np.asarray(axes, dtype=object)
    if given.size != rows * columns or not all(isinstance(ax, Axes) for ax in given.flat):
        raise ValueError(
            f"axes: expected {rows * columns} Axes, as plt.subplots({rows}, {columns}) makes them, got "
            f"{axes!r}."
        )
    return given.flat[0].get_figure(root=True), given.reshape(shape)


def intensity_norm(image: np.ndarray, faint: float = 0.02) -> Normalize:
    """Stretch that shows faint arcs and bright cores alike: asinh, linear below a few times the median.

    Parameters
    ----------
    image : array
    faint : float
        Of the brightest pixel; what is fainter still is linear as well.
    """
    finite = image[np.isfinite(image)]
    top = max(float(finite.max(initial=0.0)), _TINY)
    low = min(float(np.percentile(finite, 0.5)) if finite.size else 0.0, 0.0)
    linear = max(2.0 * float(np.median(np.abs(finite))) if finite.size else 0.0, faint * top)
    return AsinhNorm(linear_width=linear, vmin=0.0 - _rounded_up(-low), vmax=_rounded_up(top))


def residual_norm(image: np.ndarray) -> Normalize:
    """Return a stretch symmetric about zero that all but a few pixels fit in."""
    finite = np.abs(image[np.isfinite(image)])
    limit = float(np.percentile(finite, 99.8)) if finite.size else 0.0
    limit = _rounded_up(max(limit, _TINY))
    return Normalize(-limit, limit)


def show_image(
    ax: Axes,
    image: np.ndarray,
    extent: Extent,
    *,
    title: str,
    label: str,
    norm: Normalize,
    cmap: str = INTENSITY_MAP,
    region: Extent | None = None,
) -> None:
    """Draw an image with axes in arcsec, equal aspect and a colour bar.

    Parameters
    ----------
    ax : Axes
    image : (ny, nx) float, NaN where there is nothing
    extent : (left, right, bottom, top), arcsec
    title, label : str
        Of the panel and of its colour bar.
    norm : Normalize
    cmap : str
    region : (left, right, bottom, top), optional
        The part to show, arcsec.
    """
    shown = ax.imshow(
        image, origin="lower", extent=extent, cmap=cmap, norm=norm, interpolation="nearest", aspect="equal"
    )
    ax.set(title=title, xlabel="x (arcsec)", ylabel="y (arcsec)")
    ax.locator_params(nbins=7)
    if region is not None:
        ax.set_xlim(region[:2])
        ax.set_ylim(region[2:])
    add_colour_bar(ax, shown, label)


def show_residuals(ax: Axes, image: np.ndarray, extent: Extent, **labels: Any) -> None:
    """Draw residuals on a diverging map symmetric about zero; see `show_image`."""
    show_image(ax, image, extent, norm=residual_norm(image), cmap=RESIDUAL_MAP, **labels)


def add_colour_bar(ax: Axes, shown: ScalarMappable, label: str) -> None:
    """Draw the colour bar of what a panel shows, with a number at either end."""
    bar = ax.figure.colorbar(shown, ax=ax, fraction=0.046, pad=0.03)
    bar.set_label(label)
    ticks = _ticks(cast(Normalize, shown.norm))
    bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    bar.minorticks_off()


def frame(image: np.ndarray, pixel_scales: float) -> dict[str, Any]:
    """Where `show_image` draws an image about the origin: its extent, and the region of its finite pixels."""
    extent: list[float] = []
    region: list[float] = []
    for n, places in zip(image.shape[::-1], np.nonzero(np.isfinite(image))[::-1], strict=True):
        half = 0.5 * n * pixel_scales
        first, last = places.min() - _MARGIN, places.max() + 1 + _MARGIN
        extent += [-half, half]
        region += [max(first * pixel_scales - half, -half), min(last * pixel_scales - half, half)]
    return {"extent": tuple(extent), "region": tuple(region)}


def _ticks(norm: Normalize) -> list[float]:
    """Both ends, zero between them, and round numbers where there is room."""
    low, high = float(norm.vmin), float(norm.vmax)  # type: ignore[arg-type]
    inner = [float(f"{float(value):.1g}") for value in norm.inverse(np.array([0.25, 0.5, 0.75]))]
    ticks = [low, high]
    for value in [0.0, *inner]:
        places = np.asarray(norm(np.array([value, *ticks])))
        if low < value < high and np.abs(places[1:] - places[0]).min() > _TICK_DISTANCE:
            ticks.append(value)
    return sorted(ticks)


def _rounded_up(value: float) -> float:
    """Round a number that is not negative up, to two digits."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(value / unit * (1.0 - 1e-9)) * unit:.2g}")
