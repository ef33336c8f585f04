"""Blur and curvature on tiles of the image, forward and adjoint.

A row of the blurred mapping matrix touches only the source pixels whose rays fall inside the PSF's footprint.
The image is cut into tiles of 8 x 8 pixels; for each tile the touched columns are gathered into a small dense
block, the PSF is added as contiguous runs of eight, and one symmetric rank update per tile is scattered into
the curvature matrix. Nothing of the size (image pixels) x (source pixels) ever exists, and the adjoint stays
inside the same tiles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pymc_lens.linalg.blas import symmetric_product, symmetric_rank_update
from pymc_lens.linalg.kernel import kernel
from pymc_lens.linear.mapping import MappingMatrix
from pymc_lens.workspace import Workspace

TILE = 8
AREA = TILE * TILE
_PAD = TILE - 1


class Tiles(NamedTuple):
    """Static geometry of the tiles, prepared once for a mask and a PSF.

    Attributes
    ----------
    psf_padded : (ky, kx + 2 * 7) float64
        The PSF with zeros left and right, so that every run of eight stays inside a row.
    pixels : (n_tiles, 64) int64
        Slim index of each pixel of a tile, -1 where the tile leaves the mask.
    window_indptr : (n_tiles + 1,) int64
    window_pixels, window_dy, window_dx : (n_window,) int32
        The pixels that scatter light into each tile, and where the tile's first pixel lies in their PSF.
    n_pixels : int
        Unmasked pixels.
    """

    psf_padded: np.ndarray
    pixels: np.ndarray
    window_indptr: np.ndarray
    window_pixels: np.ndarray
    window_dy: np.ndarray
    window_dx: np.ndarray
    n_pixels: int

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Arrange slim values (n_pixels,) by tile, (n_tiles, 64), zero outside the mask."""
        return np.append(values, 0.0)[self.pixels]


class TileBlocks(NamedTuple):
    """The dense blocks of one evaluation: the whitened blurred mapping matrix, tile by tile.

    Attributes
    ----------
    column_indptr : (n_tiles + 1,) int64
    columns : (n_columns_in_all,) int32
        Columns of each tile, ascending; light columns last.
    blocks : (n_columns_in_all, 64) float64
        ``sqrt(W) L`` transposed: one row for each column of a tile.
    """

    column_indptr: np.ndarray
    columns: np.ndarray
    blocks: np.ndarray


def prepare_tiles(
    rows: np.ndarray, cols: np.ndarray, psf: np.ndarray, psf_centre: tuple[int, int], contributes: np.ndarray
) -> Tiles:
    """Cut the unmasked pixels into tiles and list which pixels scatter light into each.

    Parameters
    ----------
    rows, cols : (n_pixels,) int64
        Image row and column of every unmasked pixel.
    psf : (ky, kx) float64
    psf_centre : (int, int)
        Index of the PSF's centre; a pixel's light reaches ``row + k - centre`` with weight ``psf[k]``.
    contributes : (n_pixels,) bool
        Pixels that carry statistical weight; tiles without any are left out.
    """
    reach_low = psf.shape[0] - 1 - psf_centre[0], psf.shape[1] - 1 - psf_centre[1]
    cut = cut_into_tiles(rows, cols, contributes, reach_low, psf_centre)
    tile = np.repeat(np.arange(len(cut.pixels)), np.diff(cut.window_indptr))
    return Tiles(
        psf_padded=np.ascontiguousarray(np.pad(psf, ((0, 0), (_PAD, _PAD)))),
        pixels=cut.pixels,
        window_indptr=cut.window_indptr,
        window_pixels=cut.window_pixels,
        window_dy=(cut.origins[tile, 0] - rows[cut.window_pixels] + psf_centre[0]).astype(np.int32),
        window_dx=(cut.origins[tile, 1] - cols[cut.window_pixels] + psf_centre[1]).astype(np.int32),
        n_pixels=rows.size,
    )


class Cut(NamedTuple):
    """The unmasked pixels of an image in tiles, and which pixels are near each.

    Attributes
    ----------
    origins : (n_tiles, 2) int64
        Image row and column of each tile's first pixel.
    pixels : (n_tiles, 64) int64
        Slim index of each pixel of a tile, -1 where the tile leaves the mask.
    window_indptr : (n_tiles + 1,) int64
    window_pixels : (n_window,) int32
        Slim indices of the pixels near each tile, row by row.
    """

    origins: np.ndarray
    pixels: np.ndarray
    window_indptr: np.ndarray
    window_pixels: np.ndarray


def cut_into_tiles(
    rows: np.ndarray,
    cols: np.ndarray,
    contributes: np.ndarray,
    before: tuple[int, int],
    after: tuple[int, int],
) -> Cut:
    """Cut pixels (n_pixels,) into tiles; leave out those without any that contributes.

    Near a tile are the pixels up to ``before`` rows and columns in front of it, and ``after`` behind it.
    """
    origin = np.array([rows.min(), cols.min()])
    slim = np.full((rows.max() - origin[0] + 1, cols.max() - origin[1] + 1), -1, np.int64)
    slim[rows - origin[0], cols - origin[1]] = np.arange(rows.size)
    weighted = np.zeros(slim.shape, bool)
    weighted[rows - origin[0], cols - origin[1]] = contributes
    origins, pixels, windows = [], [], []
    for top in range(0, slim.shape[0], TILE):
        for left in range(0, slim.shape[1], TILE):
            if not weighted[top : top + TILE, left : left + TILE].any():
                continue
            tile = np.full((TILE, TILE), -1, np.int64)
            inside = slim[top : top + TILE, left : left + TILE]
            tile[: inside.shape[0], : inside.shape[1]] = inside
            window = slim[
                max(top - before[0], 0) : top + TILE + after[0],
                max(left - before[1], 0) : left + TILE + after[1],
            ]
            origins.append(origin + np.array([top, left]))
            pixels.append(tile.ravel())
            windows.append(window[window >= 0])
    indptr = np.cumsum([0, *(window.size for window in windows)])
    return Cut(np.array(origins), np.array(pixels), indptr, np.concatenate(windows).astype(np.int32))


def tile_blocks(
    tiles: Tiles,
    mapping: MappingMatrix,
    light: np.ndarray,
    tile_root_weights: np.ndarray,
    n_source: int,
    workspace: Workspace,
) -> TileBlocks:
    """Blur the mapping matrix and whiten it with the noise, tile by tile.

    Parameters
    ----------
    tiles : Tiles
    mapping : MappingMatrix
    light : (n_light, n_pixels) float64
        Blurred columns that are dense in the image, such as lens light.
    tile_root_weights : (n_tiles, 64) float64
        1/sigma by tile, zero where a pixel does not count.
    n_source : int
    workspace : Workspace
        Owns the result until the next call.
    """
    n_tiles = tiles.pixels.shape[0]
    column_indptr = workspace.array("column_indptr", n_tiles + 1, dtype=np.int64)
    capacity = max(workspace.size("columns"), 64 * n_tiles)
    while True:
        columns = workspace.array("columns", capacity, dtype=np.int32)
        blocks = workspace.array("blocks", capacity, AREA)
        room = TileBlocks(column_indptr, columns, blocks)
        if _fill_blocks(tiles, mapping, light, tile_root_weights, n_source, room):
            return TileBlocks(column_indptr, columns[: column_indptr[-1]], blocks[: column_indptr[-1]])
        capacity *= 2


def curvature(
    tile_blocks: TileBlocks,
    tile_data: np.ndarray,
    curvature_matrix: np.ndarray,
    data_vector: np.ndarray,
    workspace: Workspace,
) -> None:
    """Write ``F = L' W L`` (upper triangle) and ``D = L' W d`` into the given arrays.

    Parameters
    ----------
    tile_blocks : TileBlocks
    tile_data : (n_tiles, 64) float64
        ``sqrt(W) d`` by tile.
    curvature_matrix : (n, n) float64
    data_vector : (n,) float64
    workspace : Workspace
    """
    widest = int(np.diff(tile_blocks.column_indptr).max())
    square = workspace.array("small_square", widest * widest)
    _accumulate(tile_blocks, tile_data, square, curvature_matrix, data_vector)


def model_image(tile_blocks: TileBlocks, coefficients: np.ndarray) -> np.ndarray:
    """Whitened model ``sqrt(W) L s`` by tile, (n_tiles, 64), of coefficients (n,)."""
    model = np.zeros((tile_blocks.column_indptr.size - 1, AREA))
    _predict(tile_blocks, coefficients, model)
    return model


def model_variances(tile_blocks: TileBlocks, covariance: np.ndarray, workspace: Workspace) -> np.ndarray:
    """Variances of the whitened model by tile, (n_tiles, 64).

    Parameters
    ----------
    tile_blocks : TileBlocks
    covariance : (n, n) float64
        Of the coefficients, in the upper triangle.
    workspace : Workspace
    """
    widest = int(np.diff(tile_blocks.column_indptr).max())
    variances = np.zeros((tile_blocks.column_indptr.size - 1, AREA))
    square = workspace.array("small_square", widest * widest)
    _vary(tile_blocks, covariance, square, workspace.array("small_rows", widest, AREA), variances)
    return variances


def tile_pullback(
    tiles: Tiles,
    tile_blocks: TileBlocks,
    mapping: MappingMatrix,
    n_light: int,
    tile_root_weights: np.ndarray,
    tile_residual: np.ndarray,
    coefficients: np.ndarray,
    inverse: np.ndarray,
    workspace: Workspace,
) -> tuple[np.ndarray, np.ndarray]:
    """Cotangents of the mapping matrix and of the light columns for the Gaussian evidence.

    With ``A = F + H`` the evidence has ``dlnE/dL = W (d - L s) s' - W L A^-1``, evaluated within each tile.

    Parameters
    ----------
    tiles, tile_blocks, mapping, tile_root_weights
        As of the forward call.
    n_light : int
    tile_residual : (n_tiles, 64) float64
        ``sqrt(W) (d - L s)`` by tile.
    coefficients : (n,) float64
        s, source pixels first.
    inverse : (n, n) float64
        Upper triangle of ``A^-1``.
    workspace : Workspace

    Returns
    -------
    mapping_bar : (nnz,) float64
    light_bar : (n_light, n_pixels) float64
    """
    widest = int(np.diff(tile_blocks.column_indptr).max())
    mapping_bar = np.zeros(mapping.weights.size)
    light_bar = np.zeros((n_light, tiles.n_pixels))
    square = workspace.array("small_square", widest * widest)
    rows = workspace.array("small_rows", widest, AREA)
    _pull_back(
        tiles, tile_blocks, mapping, tile_root_weights, tile_residual, coefficients, inverse, square, rows,
        mapping_bar, light_bar,
    )  # fmt: skip
    return mapping_bar, light_bar


@kernel(inline="always")
def _cut_patch(psf, dy, dx, patch):
    """Copy the part of the PSF that a pixel spreads over a tile, zero where it does not reach."""
    for a in range(TILE):
        inside = 0 <= dy + a < psf.shape[0]
        for b in range(TILE):
            patch[a * TILE + b] = psf[dy + a, dx + _PAD + b] if inside else 0.0


@kernel()
def touched_columns(first, last, window_pixels, indptr, indices, touched, local, columns):
    """List the source pixels that a tile's window pixels map to, ascending; -1 where they do not fit.

    ``local`` (n_source,) receives the place of each in the list.
    """
    entry = first
    while entry < last:
        # Neighbours in an image row follow one another in the mapping matrix.
        begin = window_pixels[entry]
        end = begin
        while entry < last and window_pixels[entry] == end:
            end += 1
            entry += 1
        for k in range(indptr[begin], indptr[end]):
            touched[np.uint32(indices[k])] = True
    n = 0
    for source in range(touched.size):
        if touched[source]:
            touched[source] = False
            if n == columns.size:
                return -1
            local[source] = n
            columns[n] = source
            n += 1
    return n


@kernel(fastmath={"contract"})
def _fill_blocks(tiles, mapping, light, root_weights, n_source, room):
    psf, pixels, window_indptr, window_pixels, window_dy, window_dx, _ = tiles
    indptr, indices, weights, _ = mapping
    column_indptr, columns, blocks = room
    n_light = light.shape[0]
    touched = np.zeros(n_source, np.bool_)
    local = np.empty(n_source, np.int32)
    patch = np.empty(AREA)
    column_indptr[0] = 0
    for tile in range(window_indptr.size - 1):
        first, last = window_indptr[tile], window_indptr[tile + 1]
        begin = column_indptr[tile]
        n = touched_columns(first, last, window_pixels, indptr, indices, touched, local, columns[begin:])
        end = begin + n + n_light
        if n < 0 or end > columns.size:
            return False
        column_indptr[tile + 1] = end
        tile_rows = blocks[begin:end]
        tile_rows[:n] = 0.0
        for entry in range(first, last):
            pixel = window_pixels[entry]
            if indptr[pixel] == indptr[pixel + 1]:
                continue
            _cut_patch(psf, window_dy[entry], window_dx[entry], patch)
            for k in range(indptr[pixel], indptr[pixel + 1]):
                weight = weights[k]
                row = tile_rows[np.uint32(local[np.uint32(indices[k])])]
                for a in range(AREA):
                    row[a] += weight * patch[a]
        for k in range(n_light):
            columns[end - n_light + k] = n_source + k
            for a in range(AREA):
                pixel = pixels[tile, a]
                blocks[end - n_light + k, a] = light[k, pixel] if pixel >= 0 else 0.0
        for i in range(end - begin):
            for a in range(AREA):
                tile_rows[i, a] *= root_weights[tile, a]
    return True


@kernel(fastmath={"contract", "reassoc"})
def _accumulate(tile_blocks, tile_data, square, curvature_matrix, data_vector):
    column_indptr, columns, blocks = tile_blocks
    for i in range(curvature_matrix.shape[0]):
        curvature_matrix[i, i:] = 0.0
    data_vector[:] = 0.0
    for tile in range(column_indptr.size - 1):
        begin = column_indptr[tile]
        n = column_indptr[tile + 1] - begin
        if n == 0:
            continue
        symmetric_rank_update(blocks[begin : begin + n], n, AREA, square)
        # Unsigned: a negative index would have to be wrapped around.
        places = columns[begin : begin + n].astype(np.uint32)
        for i in range(n):
            target, row = curvature_matrix[places[i]], square[i * n : (i + 1) * n]
            for j in range(i, n):
                target[places[j]] += row[j]
            total = 0.0
            for a in range(AREA):
                total += blocks[begin + i, a] * tile_data[tile, a]
            data_vector[columns[begin + i]] += total


@kernel(fastmath={"contract"})
def _predict(tile_blocks, coefficients, model):
    column_indptr, columns, blocks = tile_blocks
    for tile in range(column_indptr.size - 1):
        for column in range(column_indptr[tile], column_indptr[tile + 1]):
            coefficient = coefficients[columns[column]]
            for a in range(AREA):
                model[tile, a] += coefficient * blocks[column, a]


@kernel(fastmath={"contract", "reassoc"})
def _vary(tile_blocks, covariance, square, rows, variances):
    column_indptr, columns, blocks = tile_blocks
    for tile in range(column_indptr.size - 1):
        begin = column_indptr[tile]
        n = column_indptr[tile + 1] - begin
        if n == 0:
            continue
        _gather_square(covariance, columns[begin : begin + n], square)
        symmetric_product(square, blocks[begin : begin + n], n, AREA, 1.0, rows)
        for i in range(n):
            for a in range(AREA):
                variances[tile, a] += blocks[begin + i, a] * rows[i, a]


@kernel()
def _gather_square(matrix, columns, square):
    """Cut the upper triangle of a tile's columns out of that of all."""
    n = columns.size
    # Unsigned: a negative index would have to be wrapped around.
    places = columns.astype(np.uint32)
    for i in range(n):
        source, row = matrix[places[i]], square[i * n : (i + 1) * n]
        for j in range(i, n):
            row[j] = source[places[j]]


@kernel(fastmath={"contract", "reassoc"})
def _pull_back(
    tiles, tile_blocks, mapping, root_weights, residual, coefficients, inverse, square, rows, mapping_bar,
    light_bar,
):  # fmt: skip
    psf, pixels, window_indptr, window_pixels, window_dy, window_dx, _ = tiles
    indptr, indices, _, _ = mapping
    column_indptr, columns, blocks = tile_blocks
    n_light = light_bar.shape[0]
    local = np.empty(coefficients.size, np.int32)
    patch = np.empty(AREA)
    for tile in range(column_indptr.size - 1):
        begin = column_indptr[tile]
        n = column_indptr[tile + 1] - begin
        if n == 0:
            continue
        _gather_square(inverse, columns[begin : begin + n], square)
        symmetric_product(square, blocks[begin : begin + n], n, AREA, -1.0, rows)
        for i in range(n):
            column = columns[begin + i]
            local[column] = i
            coefficient = coefficients[column]
            for a in range(AREA):
                rows[i, a] = root_weights[tile, a] * (rows[i, a] + coefficient * residual[tile, a])
        for entry in range(window_indptr[tile], window_indptr[tile + 1]):
            pixel = window_pixels[entry]
            if indptr[pixel] == indptr[pixel + 1]:
                continue
            _cut_patch(psf, window_dy[entry], window_dx[entry], patch)
            for k in range(indptr[pixel], indptr[pixel + 1]):
                row = rows[np.uint32(local[np.uint32(indices[k])])]
                total = 0.0
                for a in range(AREA):
                    total += row[a] * patch[a]
                mapping_bar[k] += total
        for k in range(n_light):
            for a in range(AREA):
                pixel = pixels[tile, a]
                if pixel >= 0:
                    light_bar[k, pixel] += rows[n - n_light + k, a]
