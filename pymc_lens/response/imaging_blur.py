"""The response of a camera: blur by a point spread function, on the fitted pixels of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import override

import numpy as np

from pymc_lens.data.imaging import Imaging
from pymc_lens.linalg.blas import mirror_in_place, symmetric
from pymc_lens.linear.mapping import MappingMatrix, apply_mapping, apply_mapping_transposed
from pymc_lens.response.base import Observed, Response
from pymc_lens.response.pairs import (
    PairedRows,
    PairWeights,
    complete,
    n_pair_weights,
    paired_rows,
    prepare_pair_weights,
    weights_pullback,
    write_curvature,
)
from pymc_lens.response.psf_blur import PlacedColumns, PsfBlur, prepare_psf_blur
from pymc_lens.response.tiles import (
    TileBlocks,
    Tiles,
    curvature,
    model_image,
    model_variances,
    prepare_tiles,
    tile_blocks,
    tile_pullback,
)
from pymc_lens.workspace import Workspace

# Source pixels for one of the image from which on pairs of pixels are quicker than tiles (measured), and the
# bytes that their weights may take.
_FINE = 1.0 / 6.0
_MOST_BYTES = 2**27


def pairs_pay(imaging: Imaging, n_mapped: int) -> bool:
    """Whether `PairedBlur` is quicker than `TiledBlur` for so many source pixels, and not too large."""
    n_pixels = imaging.plane.n_pixels
    small = 8 * n_pair_weights(n_pixels, imaging.psf.shape) <= _MOST_BYTES
    return small and n_mapped >= _FINE * n_pixels


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
    def variances(self, covariance: np.ndarray) -> np.ndarray:
        return model_variances(self.blocks, covariance, self.workspace)

    @override
    def pullback(
        self, residual: np.ndarray, mean: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return tile_pullback(
            self.response.tiles, self.blocks, self.mapping, self.n_dense, self.response.tile_root_weights,
            residual, mean, covariance, self.workspace,
        )  # fmt: skip


class PairedBlur(_ImagingBlur):
    """For images with pixelized sources that are finer than the image, each pixel of which sees many.

    Parameters
    ----------
    imaging : Imaging
    """

    @cached_property
    def tiled(self) -> TiledBlur:
        """The same response by tiles, for what no product of pairs gives."""
        return TiledBlur(self.imaging)

    @cached_property
    def pairs(self) -> PairWeights:
        """Of the image's pixels."""
        imaging = self.imaging
        rows, cols = imaging.plane.pixel_rows, imaging.plane.pixel_cols
        return prepare_pair_weights(rows, cols, imaging.psf, imaging.psf_centre, self.root_weights**2)

    def blur_weighted(self, images: np.ndarray) -> np.ndarray:
        """Apply ``B' sqrt(W)`` to whitened images (n, n_pixels)."""
        return self.blur_pullback(images * self.root_weights, self.pixel_positions)

    @override
    def observe(
        self, mapping: MappingMatrix, n_mapped: int, blurred: np.ndarray, workspace: Workspace
    ) -> PairedColumns:
        dense = blurred * self.root_weights
        paired = paired_rows(self.pairs, mapping, self.blur_weighted(dense), n_mapped, workspace)
        return PairedColumns(self, mapping, n_mapped, dense, paired, workspace)

    @override
    def whiten(self, data: np.ndarray) -> np.ndarray:
        return self.spread(data) * self.root_weights

    @override
    def unwhiten(self, whitened: np.ndarray) -> np.ndarray:
        return whitened[self.imaging.fitted] * self.noise


@dataclass(frozen=True, eq=False)
class PairedColumns(Observed):
    """Columns of sources as a mapping matrix, and whitened dense ones (n_dense, n_pixels)."""

    response: PairedBlur
    mapping: MappingMatrix
    n_mapped: int
    dense: np.ndarray
    paired: PairedRows
    workspace: Workspace

    @override
    def normal_equations(self, whitened: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
        n_mapped = self.n_mapped
        write_curvature(self.mapping, self.paired.rows, matrix[:n_mapped])
        matrix[n_mapped:, n_mapped:] = self.dense @ self.dense.T
        (unblurred,) = self.response.blur_weighted(whitened[None])
        vector[:n_mapped] = apply_mapping_transposed(self.mapping, unblurred, n_mapped)
        vector[n_mapped:] = self.dense @ whitened

    @override
    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        of_sources, of_dense = np.split(coefficients, [self.n_mapped])
        return self._whitened_images(of_sources[None])[0] + of_dense @ self.dense

    @override
    def variances(self, covariance: np.ndarray) -> np.ndarray:
        root_weights, tiled = self.response.root_weights, self.response.tiled
        counts = root_weights > 0.0
        blurred = np.divide(self.dense, root_weights, out=np.zeros_like(self.dense), where=counts)
        columns = tiled.observe(self.mapping, self.n_mapped, blurred, self.workspace.part("tiles"))
        fitted = tiled.unwhiten(columns.variances(covariance)) / self.response.noise
        return self.response.spread(fitted)

    @override
    def pullback(
        self, residual: np.ndarray, mean: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        n_mapped = self.n_mapped
        (unblurred,) = self.response.blur_weighted(residual[None])
        mapping_bar = np.repeat(unblurred, np.diff(self.mapping.indptr)) * mean[self.mapping.indices]
        mirror_in_place(covariance)
        weights_pullback(self.mapping, self._completed, covariance, mapping_bar)
        dense_bar = np.outer(mean[n_mapped:], residual)
        if len(dense_bar):
            dense_bar -= self._whitened_images(covariance[n_mapped:, :n_mapped])
            dense_bar -= covariance[n_mapped:, n_mapped:] @ self.dense
        return mapping_bar, dense_bar * self.response.root_weights

    @cached_property
    def _completed(self) -> np.ndarray:
        """``B' W L`` (n_pixels, n) of pixels that see a source."""
        complete(self.response.pairs, self.mapping, self.paired, self.n_mapped, self.workspace)
        return self.paired.rows

    def _whitened_images(self, sources: np.ndarray) -> np.ndarray:
        """Whitened, blurred images (n, n_pixels) of sources (n, n_mapped)."""
        images = apply_mapping(self.mapping, sources)
        positions = self.response.pixel_positions
        return self.response.blur([(images, positions)]) * self.response.root_weights


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
    def variances(self, covariance: np.ndarray) -> np.ndarray:
        return np.einsum("ia,ia->a", self.columns, symmetric(covariance) @ self.columns)

    @override
    def pullback(
        self, residual: np.ndarray, mean: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        whitened_bar = np.outer(mean, residual) - symmetric(covariance) @ self.columns
        blurred_bar = np.zeros((mean.size, self.response.imaging.plane.n_pixels))
        blurred_bar[:, self.response.seen] = whitened_bar / self.response.noise
        return np.empty(0), blurred_bar
