"""The figures of fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pymc_lens.fit import FitImaging
from pymc_lens.plot.images import (
    RESIDUAL_MAP,
    frame,
    intensity_norm,
    panels,
    residual_norm,
    show_image,
    show_residuals,
)
from pymc_lens.plot.source import draw_curves, show_source
from pymc_lens.quantities import critical_curves
from pymc_lens.validation import require_instance


def subplot_fit(fit: FitImaging, *, axes: Any = None) -> Figure:
    """Draw data, model, residuals, lens-subtracted data and the plane of the source in six panels.

    Where there are several sources, each has a row with its lensed image and its own plane.

    Parameters
    ----------
    fit : FitImaging
    axes : array of Axes, optional
        Where to draw, (2, 3) for one source and (3, 3) for two; by default in a new figure.

    Returns
    -------
    Figure
        All axes in arcsec; critical curves on the lens-subtracted image, caustics on the source planes, of
        which a square around what is seen of the source is shown.

    Raises
    ------
    TypeError, ValueError
        If ``fit`` is something else, or there are more or fewer axes.

    Examples
    --------
    >>> figure, axes = plt.subplots(2, 3, figsize=(12, 8), layout="compressed")  # doctest: +SKIP
    >>> pl.plot.subplot_fit(fit, axes=axes)  # doctest: +SKIP
    >>> axes[0, 0].set_title("SLACS J0252+0039")  # doctest: +SKIP
    """
    require_instance("fit", fit, FitImaging)
    sources = list(fit.sources.values())
    several = len(sources) > 1
    figure, axes = panels(axes, (1 + len(sources), 3) if several else (2, 3))
    where = frame(fit.data, fit.dataset.pixel_scales)
    look = where["region"], fit.dataset.plane.frame
    critical, caustics = critical_curves(fit.tracer, *look)
    norm = intensity_norm(fit.data)
    unit = fit.dataset.unit or "data units"
    show_image(axes[0, 0], fit.data, title="Data", label=unit, norm=norm, **where)
    model = rf"Model ($\ln E$ = {fit.log_evidence:.2f})"
    show_image(axes[0, 1], fit.model_image, title=model, label=unit, norm=norm, **where)
    show_residuals(axes[0, 2], fit.residual_map, title="Residual", label=unit, **where)
    normalized = rf"Normalized residual ($\chi^2/N$ = {fit.reduced_chi_squared:.3f})"
    show_residuals(axes[1, 0], fit.normalized_residual_map, title=normalized, label=r"$\sigma$", **where)
    subtracted = axes[2, 0] if several else axes[1, 1]
    show_image(
        subtracted, fit.lens_subtracted_image, title="Lens-subtracted data, critical curves", label=unit,
        norm=intensity_norm(fit.lensed_source), **where,
    )  # fmt: skip
    draw_curves(subtracted, critical)
    if not several:
        for source in sources:
            show_source(axes[1, 2], source, caustics, "Source plane, caustics")
        return _without_empty(figure, axes)
    for (image_ax, plane_ax), source in zip(axes[1:, 1:], sources, strict=True):
        image = fit.images[source.name]
        lensed = f"Lensed image of {source.name}"
        show_image(image_ax, image, title=lensed, label=unit, norm=intensity_norm(image), **where)
        _, caustics = critical_curves(fit.tracer, *look, source.redshift)
        show_source(plane_ax, source, caustics, f"Plane of {source.name}, caustics")
    return _without_empty(figure, axes)


def _without_empty(figure: Figure, axes: Any) -> Figure:
    for unused in axes.flat:
        if not unused.has_data():
            unused.set_axis_off()
    return figure


def subplot_fits(fits: Mapping[str, FitImaging], *, axes: Any = None) -> Figure:
    """Draw normalized residuals and source planes of several fits, of the farthest source, side by side.

    Parameters
    ----------
    fits : mapping of str to FitImaging
        By the title of each fit's column.
    axes : (2, n) array of Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Figure
        All axes in arcsec; all residuals on the same scale.

    Raises
    ------
    TypeError, ValueError
        If ``fits`` is something else or empty, or there are more or fewer axes.
    """
    require_instance("fits", fits, Mapping)
    if not fits:
        raise ValueError("fits: expected at least one fit by its title, got none.")
    for name, fit in fits.items():
        require_instance(f"fits[{name!r}]", fit, FitImaging)
    figure, axes = panels(axes, (2, len(fits)))
    limit = max(residual_norm(fit.normalized_residual_map).vmax or 0.0 for fit in fits.values())
    for (top, bottom), (name, fit) in zip(axes.T, fits.items(), strict=True):
        where = frame(fit.data, fit.dataset.pixel_scales)
        show_image(
            top,
            fit.normalized_residual_map,
            title=f"{name}\n" + rf"$\chi^2/N$ = {fit.reduced_chi_squared:.3f}",
            label=r"normalized residual ($\sigma$)",
            norm=Normalize(-limit, limit),
            cmap=RESIDUAL_MAP,
            **where,
        )
        source = list(fit.sources.values())[-1]
        _, caustics = critical_curves(fit.tracer, where["region"], fit.dataset.plane.frame, source.redshift)
        show_source(bottom, source, caustics, rf"$\ln E$ = {fit.log_evidence:.1f}")
    return figure
