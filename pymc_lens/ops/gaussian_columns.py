"""Averages of elliptical Gaussians over pixels as a PyTensor Op, and its adjoint.

As a PyTensor graph every exponential would be a call of its own, and arrays of all Gaussians and points would
go through memory several times.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, override

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op

from pymc_lens.linalg.gaussians import gaussian_averages, gaussian_averages_pullback
from pymc_lens.ops.adjoint import AdjointOp


class _GaussianOp(Op):
    """What the Op and its adjoint share: the Gaussians."""

    __props__ = ("slopes", "groups", "per_pixel")

    def __init__(self, slopes: Iterable[float], groups: Iterable[int], per_pixel: int) -> None:
        self.slopes = tuple(float(slope) for slope in slopes)
        self.groups = tuple(int(group) for group in groups)
        self.per_pixel = per_pixel

    def __str__(self) -> str:
        return type(self).__name__

    @property
    def _constants(self) -> tuple[np.ndarray, np.ndarray, int]:
        return np.array(self.slopes), np.array(self.groups), self.per_pixel


class GaussianColumns(_GaussianOp):
    """Pixel averages (n, n_pixels) of elliptical Gaussians; see `gaussian_averages` for its inputs.

    Parameters
    ----------
    slopes : (n,) float
        Of each Gaussian: ``-1 / (2 sigma^2)``.
    groups : (n,) int
        Ellipse of each Gaussian.
    per_pixel : int
        Points in each pixel.
    """

    @override
    def make_node(self, y: Any, x: Any, roots: Any) -> Apply:
        inputs = [pt.as_tensor_variable(part).astype("float64") for part in (y, x, roots)]
        for name, variable, ndim in zip(("y", "x", "roots"), inputs, (1, 1, 2), strict=True):
            if variable.type.ndim != ndim:
                raise TypeError(f"{name}: expected {ndim} dimensions, got {variable.type.ndim}.")
        shape = inputs[2].type.shape
        if shape[0] not in (max(self.groups) + 1, None) or shape[1] not in (3, None):
            raise TypeError(f"roots: expected shape ({max(self.groups) + 1}, 3), got {shape}.")
        n_points = inputs[0].type.shape[0]
        n_pixels = None if n_points is None else n_points // self.per_pixel
        return Apply(self, inputs, [pt.tensor(dtype="float64", shape=(len(self.slopes), n_pixels))])

    @override
    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        y, x, roots = map(np.ascontiguousarray, inputs)
        output_storage[0][0] = gaussian_averages(y, x, roots, *self._constants)

    @override
    def infer_shape(self, node: Apply, shapes: list[tuple]) -> list[tuple]:
        return [(len(self.slopes), shapes[0][0] // self.per_pixel)]

    @override
    def pullback(
        self, inputs: list[Variable], outputs: list[Variable], cotangents: list[Variable]
    ) -> list[Variable]:
        return GaussianPullback(self.slopes, self.groups, self.per_pixel)(*inputs, *cotangents)


class GaussianPullback(_GaussianOp, AdjointOp):
    """Cotangents of the inputs of `GaussianColumns` from that of its columns, (n, n_pixels)."""

    refused = "second derivatives of Gaussian light; use differences of its exact gradient"

    @override
    def perform(self, node: Apply, inputs: list[np.ndarray], output_storage: list[list[Any]]) -> None:
        y, x, roots, columns_bar = map(np.ascontiguousarray, inputs)
        bars = gaussian_averages_pullback(y, x, roots, columns_bar, *self._constants)
        for storage, bar in zip(output_storage, bars, strict=True):
            storage[0] = bar
