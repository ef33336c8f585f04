"""The figure of a dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pymc_lens.data.imaging import Imaging
from pymc_lens.plot.images import Extent, frame, intensity_norm, panels, show_image
from pymc_lens.validation import require_instance

# Of the PSF's brightest pixel.
_PSF_WINGS = 1e-3


def subplot_dataset(dataset: Imaging, *, axes: Any = None) -> Figure:
    """Draw data, noise, signal-to-noise ratio and PSF.

    Parameters
    ----------
    dataset : Imaging
        What is masked or dropped is left white.
    axes : (2, 2) array of Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Figure
        All axes in arcsec.

    Raises
    ------
    TypeError, ValueError
        If ``dataset`` is something else, or there are more or fewer axes.
    """
    require_instance("dataset", dataset, Imaging)
    figure, axes = panels(axes, (2, 2))
    data, noise = dataset.native(dataset.data_fitted), dataset.native(dataset.noise_fitted)
    where = frame(data, dataset.pixel_scales)
    unit = dataset.unit or "data units"
    for ax, image, title, label in (
        (axes[0, 0], data, f"Data ({dataset.fitted.size} pixels)", unit),
        (axes[0, 1], noise, "Noise", unit),
        (axes[1, 0], data / noise, rf"Signal to noise (up to {np.nanmax(data / noise):.0f})", r"$\sigma$"),
    ):
        show_image(ax, image, title=title, label=label, norm=intensity_norm(image), **where)
    psf = dataset.psf
    title = f"PSF ({psf.shape[0]} x {psf.shape[1]} pixels)"
    show_image(
        axes[1, 1], psf, _psf_extent(dataset), title=title, label="fraction of the light",
        norm=intensity_norm(psf, _PSF_WINGS),
    )  # fmt: skip
    return figure


def _psf_extent(dataset: Imaging) -> Extent:
    """Edges of the PSF about its central pixel, which is not in the middle where the size is even."""
    (ny, nx), (cy, cx), scale = dataset.psf.shape, dataset.psf_centre, dataset.pixel_scales
    return (-cx - 0.5) * scale, (nx - cx - 0.5) * scale, (-cy - 0.5) * scale, (ny - cy - 0.5) * scale
