"""The ellipse around the border of a mask as traced to the source plane, and points moved onto it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pymc_lens.errors import InadmissibleError

# Relative difference of the principal variances below which they count as equal.
_ISOTROPIC = float(np.sqrt(np.finfo(np.float64).eps))


@dataclass(frozen=True, eq=False)
class BorderEllipse:
    """Mean, principal axes and extents along them of the traced border: PyAutoLens's ellipse.

    Attributes
    ----------
    border : (n_border, 2) float64
        Traced (y, x), arcsec.
    centre : (2,) float64
    axes : (2, 2) float64
        In columns.
    variances : (2,) float64
        Along the axes, times the number of points.
    extents : (2,) float64
        Largest distances of the border from the centre along each axis, arcsec.
    """

    border: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    extents: np.ndarray

    @classmethod
    def around(cls, border: np.ndarray) -> BorderEllipse:
        """Lay the ellipse around traced border pixels (n_border, 2).

        Raises
        ------
        InadmissibleError
            If they lie on one line.
        """
        centre = border.mean(axis=0)
        offsets = border - centre
        variances, axes = np.linalg.eigh(offsets.T @ offsets)
        if variances[1] - variances[0] <= _ISOTROPIC * variances[1]:
            axes = np.eye(2)
        extents = np.abs(offsets @ axes).max(axis=0)
        if not extents.min() > 0.0:
            raise InadmissibleError(
                "degenerate border", "vertices: the border of the mask is traced to one line."
            )
        return cls(border, centre, axes, variances, extents)

    @property
    def _form(self) -> np.ndarray:
        """Matrix (2, 2) of the quadratic form that is one on the ellipse."""
        return self.axes / self.extents**2 @ self.axes.T

    def relocate(self, points: np.ndarray) -> np.ndarray:
        """Move points (n, 2) outside towards the centre, onto the ellipse."""
        offsets = points - self.centre
        outside = np.einsum("ni,ij,nj->n", offsets, self._form, offsets)
        shrink = 1.0 / np.sqrt(np.maximum(outside, 1.0))
        return np.where((outside > 1.0)[:, None], self.centre + shrink[:, None] * offsets, points)

    def pullback(self, points: np.ndarray, relocated_bar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Adjoint of `relocate`, to the points and to the border (n_border, 2).

        Parameters
        ----------
        points : (n, 2) float64
            As of the forward call.
        relocated_bar : (n, 2) float64
        """
        offsets, form = points - self.centre, self._form
        outside = np.einsum("ni,ij,nj->n", offsets, form, offsets)
        moved = outside > 1.0
        offsets, outside, bar = offsets[moved], outside[moved], relocated_bar[moved]
        outside_bar = -0.5 * (bar * offsets).sum(axis=1) * outside**-1.5
        offsets_bar = bar / np.sqrt(outside)[:, None] + 2.0 * outside_bar[:, None] * (offsets @ form)
        points_bar = relocated_bar.copy()
        points_bar[moved] = offsets_bar
        centre_bar = (bar - offsets_bar).sum(axis=0)
        form_bar = np.einsum("n,ni,nj->ij", outside_bar, offsets, offsets)
        return points_bar, self._border_pullback(centre_bar, form_bar)

    def _border_pullback(self, centre_bar: np.ndarray, form_bar: np.ndarray) -> np.ndarray:
        offsets = self.border - self.centre
        axes_bar = 2.0 * form_bar @ self.axes / self.extents**2
        extents_bar = -2.0 * (self.axes * (form_bar @ self.axes)).sum(axis=0) / self.extents**3
        offsets_bar = np.zeros(offsets.shape)
        along = offsets @ self.axes
        for axis, farthest in enumerate(np.abs(along).argmax(axis=0)):
            signed = np.sign(along[farthest, axis]) * extents_bar[axis]
            offsets_bar[farthest] += signed * self.axes[:, axis]
            axes_bar[:, axis] += signed * offsets[farthest]
        offsets_bar += offsets @ self._scatter_bar(axes_bar)
        mean_bar = centre_bar - offsets_bar.sum(axis=0)
        return offsets_bar + mean_bar / len(offsets)

    def _scatter_bar(self, axes_bar: np.ndarray) -> np.ndarray:
        """Cotangent (2, 2), with its transpose added, of the matrix whose eigenvectors the axes are."""
        gap = self.variances[1] - self.variances[0]
        if gap <= _ISOTROPIC * self.variances[1]:
            return np.zeros((2, 2))
        minor, major = self.axes.T
        turn_bar = (minor @ axes_bar[:, 1] - major @ axes_bar[:, 0]) / gap
        return turn_bar * (np.outer(minor, major) + np.outer(major, minor))
