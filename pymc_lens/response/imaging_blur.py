"""The response of a camera: blur by a point spread function, on the fitted pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import override

import numpy as np

from pymc_lens.data.imaging import Imaging
from pymc_lens.linalg.blas import symmetric
from pymc_lens.linear.mapping import MappingMatrix
from pymc_lens.response.base import Observed, Response
from pymc_lens.response.psf_blur import PlacedColumns, PsfBlur, prepare_psf_blur
from pymc_lens.response.tiles import (
    TileBlocks,
    Tiles,
    curvature,
    model_image,
    prepare_tiles,
    tile_blocks,
    tile_pullback,
)
from pymc_lens.workspace import Workspace


class _ImagingBlur(Response):
    """What both responses of a camera have in common: the pixels, and columns that are seen everywhere."""

    def __init__(self, imaging: Imaging) -> None:
        self.imaging = imaging

    def __reduce__(self) -> tuple[type, tuple[Imaging]]:
        return type(self), (self.imaging,)

    @property
    @override
    def digest(self) -> str:
        return f"{type(self).__name__} {self.imaging.digest}"

    @property
    def noise(self) -> np.ndarray:  # type: ignore[override]
        return self.imaging.noise_fitted

    @cached_property
    def root_weights(self) -> np.ndarray:  # type: ignore[override]
        return self.spread(1.0 / self.noise)

    @property
    def pixel_positions(self) -> np.ndarray:  # type: ignore[override]
        return self.imaging.light_grid.mask_index

    @property
    def frame_size(self) -> int:  # type: ignore[override]
        height, width = self.imaging.light_grid.frame_shape
        return height * width

    @override
    def spread(self, values: np.ndarray) -> np.ndarray:
        image = np.zeros(self.imaging.plane.n_pixels)
        image[self.imaging.fitted] = values
        return image

    @override
    def blur(self, groups: Sequence[PlacedColumns]) -> np.ndarray:
        return self._psf_blur.blur(groups)

    @override
    def blur_pullback(self, blurred_bar: np.ndarray, positions: np.ndarray) -> np.ndarray:
        return self._psf_blur.pullback(blurred_bar, positions)

    @cached_property
    def _psf_blur(self) -> PsfBlur:
        grid, imaging = self.imaging.light_grid, self.imaging
        return prepare_psf_blur(grid.frame_shape, grid.mask_index, imaging.psf, imaging.psf_centre)


class TiledBlur(_ImagingBlur):
    """For images with pixelized sources, each of whose pixels is seen in few tiles of the image.

    Parameters
    ----------
    imaging : Imaging
    """

    @cached_property
    def tiles(self) -> Tiles:
        """Of the image."""
        imaging = self.imaging
        return prepare_tiles(
            imaging.plane.pixel_rows,
            imaging.plane.pixel_cols,
            imaging.psf,
            imaging.psf_centre,
            self.root_weights > 0.0,
        )

    @cached_property
    def tile_root_weights(self) -> np.ndarray:
        """(n_tiles, 64) inverse standard deviations."""
        return self.tiles.gather(self.root_weights)

    @override
    def observe(
        self, mapping: MappingMatrix, n_mapped: int, blurred: np.ndarray, workspace: Workspace
    ) -> TiledColumns:
        blocks = tile_blocks(self.tiles, mapping, blurred, self.tile_root_weights, n_mapped, workspace)
        return TiledColumns(self, mapping, len(blurred), blocks, workspace)

    @override
    def whiten(self, data: np.ndarray) -> np.ndarray:
        return self.tiles.gather(self.spread(data)) * self.tile_root_weights

    @override
    def unwhiten(self, whitened: np.ndarray) -> np.ndarray:
        values = np.empty(self.tiles.n_pixels + 1)
        values[self.tiles.pixels] = whitened
        return values[self.imaging.fitted] * self.noise


@dataclass(frozen=True, eq=False)
class TiledColumns(Observed):
    """Whitened columns by tile."""

    response: TiledBlur
    mapping: MappingMatrix
    n_dense: int
    blocks: TileBlocks
    workspace: Workspace

    @override
    def normal_equations(self, whitened: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
        curvature(self.blocks, whitened, matrix, vector, self.workspace)

    @override
    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        return model_image(self.blocks, coefficients)

    @override
    def pullback(
        self, residual: np.ndarray, mean: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return tile_pullback(
            self.response.tiles, self.blocks, self.mapping, self.n_dense, self.response.tile_root_weights,
            residual, mean, covariance, self.workspace,
        )  # fmt: skip


class DenseBlur(_ImagingBlur):
    """For images without pixelized sources: a small, dense system.

    Parameters
    ----------
    imaging : Imaging
    """

    maps_sources = False

    @override
    def observe(
        self, mapping: MappingMatrix, n_mapped: int, blurred: np.ndarray, workspace: Workspace
    ) -> WhitenedColumns:
        columns = workspace.array("columns", len(blurred), self.noise.size)
        np.multiply(blurred[:, self.seen], 1.0 / self.noise, out=columns)
        return WhitenedColumns(self, columns)

    @cached_property
    def seen(self) -> slice | np.ndarray:
        """Fitted pixels; to take a slice of them all costs nothing."""
        imaging = self.imaging
        return slice(None) if imaging.fitted.size == imaging.plane.n_pixels else imaging.fitted

    @override
    def whiten(self, data: np.ndarray) -> np.ndarray:
        return data / self.noise

    @override
    def unwhiten(self, whitened: np.ndarray) -> np.ndarray:
        return whitened * self.noise


@dataclass(frozen=True, eq=False)
class WhitenedColumns(Observed):
    """Whitened columns (n, n_data)."""

    response: DenseBlur
    columns: np.ndarray

    @override
    def normal_equations(self, whitened: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
        np.matmul(self.columns, self.columns.T, out=matrix)
        np.matmul(self.columns, whitened, out=vector)

    @override
    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        return coefficients @ self.columns

    @override
    def pullback(
        self, residual: np.ndarray, mean: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        whitened_bar = np.outer(mean, residual) - symmetric(covariance) @ self.columns
        blurred_bar = np.zeros((mean.size, self.response.imaging.plane.n_pixels))
        blurred_bar[:, self.response.seen] = whitened_bar / self.response.noise
        return np.empty(0), blurred_bar
