"""The figures of fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pymc_lens.fit import FitImaging
from pymc_lens.plot.caustics import critical_curves
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
from pymc_lens.validation import require_instance


def subplot_fit(fit: FitImaging, *, axes: Any = None) -> Figure:
    """Draw data, model, residuals, lens-subtracted data and source plane in six panels.

    Parameters
    ----------
    fit : FitImaging
    axes : (2, 3) array of Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Figure
        All axes in arcsec; critical curves on the lens-subtracted image, caustics on the source plane, of
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
    figure, axes = panels(axes, (2, 3))
    where = frame(fit.data, fit.dataset.pixel_scales)
    critical, caustics = critical_curves(fit.tracer, where["region"], fit.dataset.plane.frame)
    norm = intensity_norm(fit.data)
    unit = fit.dataset.unit or "data units"
    show_image(axes[0, 0], fit.data, title="Data", label=unit, norm=norm, **where)
    model = rf"Model ($\ln E$ = {fit.log_evidence:.2f})"
    show_image(axes[0, 1], fit.model_image, title=model, label=unit, norm=norm, **where)
    show_residuals(axes[0, 2], fit.residual_map, title="Residual", label=unit, **where)
    normalized = rf"Normalized residual ($\chi^2/N$ = {fit.reduced_chi_squared:.3f})"
    show_residuals(axes[1, 0], fit.normalized_residual_map, title=normalized, label=r"$\sigma$", **where)
    subtracted, source_norm = fit.lens_subtracted_image, intensity_norm(fit.lensed_source)
    show_image(
        axes[1, 1], subtracted, title="Lens-subtracted data, critical curves", label=unit, norm=source_norm,
        **where,
    )  # fmt: skip
    draw_curves(axes[1, 1], critical)
    show_source(axes[1, 2], fit, caustics, "Source plane, caustics")
    return figure


def subplot_fits(fits: Mapping[str, FitImaging], *, axes: Any = None) -> Figure:
    """Draw normalized residuals and source planes of several fits side by side.

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
        _, caustics = critical_curves(fit.tracer, where["region"], fit.dataset.plane.frame)
        show_source(bottom, fit, caustics, rf"$\ln E$ = {fit.log_evidence:.1f}")
    return figure
