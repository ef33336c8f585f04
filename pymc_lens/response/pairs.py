"""Curvature from weights of pairs of pixels, forward and adjoint.

With the blur B, the weights W of the data and the mapping matrix M the curvature is ``M' (B' W B) M``. The
matrix in the middle (PyAutoArray's "w-tilde") depends on the image alone and couples pixels that scatter
light into a common one: it is prepared once. What is left at every evaluation are products with the sparse M,
which cost less than the dense blocks of `tiles` wherever a tile of the image sees many source pixels, that is
where these are finer than the image's. Of the product ``B' W B M`` the curvature, which is symmetric, needs
about two thirds; the gradient completes it, and takes then no more than one scalar product an entry of M.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from pymc_lens.linalg.kernel import kernel
from pymc_lens.linear.mapping import MappingMatrix
from pymc_lens.response.tiles import AREA, cut_into_tiles
from pymc_lens.workspace import Workspace, aligned_zeros


class PairWeights(NamedTuple):
    """``B' W B`` by tiles of 8 x 8 pixels, prepared once for an image.

    Attributes
    ----------
    pixels : (n_tiles, 64) int64
        Slim index of each pixel of a tile, -1 where the tile leaves the mask.
    window_indptr : (n_tiles + 1,) int64
    window_pixels : (n_window,) int32
        The pixels that a tile's pixels are coupled to.
    weights : (n_window, 64) float64
        Of each of them and the pixels of the tile.
    """

    pixels: np.ndarray
    window_indptr: np.ndarray
    window_pixels: np.ndarray
    weights: np.ndarray


def n_pair_weights(n_pixels: int, psf_shape: tuple[int, int]) -> int:
    """About how many numbers `PairWeights` hold for an image."""
    height, width = (2 * (n - 1) + 8 for n in psf_shape)
    return n_pixels * height * width


def prepare_pair_weights(
    rows: np.ndarray, cols: np.ndarray, psf: np.ndarray, psf_centre: tuple[int, int], weights: np.ndarray
) -> PairWeights:
    """Weigh the pairs of an image's pixels.

    Parameters
    ----------
    rows, cols : (n_pixels,) int64
        Image row and column of every unmasked pixel.
    psf : (ky, kx) float64
    psf_centre : (int, int)
        Index of the PSF's centre; a pixel's light reaches ``row + k - centre`` with weight ``psf[k]``.
    weights : (n_pixels,) float64
        1/sigma^2, zero where a pixel does not count.
    """
    reach = psf.shape[0] - 1, psf.shape[1] - 1
    cut = cut_into_tiles(rows, cols, np.ones(rows.size, bool), reach, reach)
    rows, cols = rows - rows.min() + psf_centre[0], cols - cols.min() + psf_centre[1]
    frame = np.zeros((rows.max() + psf.shape[0], cols.max() + psf.shape[1]))
    frame[rows, cols] = weights
    # The first pixel that a pixel's PSF reaches.
    rows, cols = rows - psf_centre[0], cols - psf_centre[1]
    pairs = aligned_zeros(cut.window_pixels.size * AREA).reshape(-1, AREA)
    _weigh_pairs(cut.pixels, cut.window_indptr, cut.window_pixels, rows, cols, psf, frame, pairs)
    return PairWeights(cut.pixels, cut.window_indptr, cut.window_pixels, pairs)


class PairedRows(NamedTuple):
    """``B' W L``, as far as it is computed.

    Attributes
    ----------
    rows : (n_pixels, n) float64
        Those of pixels that see no source are not written, nor, until `complete` is called, the columns
        before ``first`` of a pixel's tile.
    first : (n_tiles,) int64
        No pixel of the tile sees a source pixel before.
    """

    rows: np.ndarray
    first: np.ndarray


def paired_rows(
    pairs: PairWeights, mapping: MappingMatrix, dense: np.ndarray, n_source: int, workspace: Workspace
) -> PairedRows:
    """``B' W L``, as far as the upper triangle of the curvature needs it.

    Parameters
    ----------
    pairs : PairWeights
    mapping : MappingMatrix
    dense : (n_dense, n_pixels) float64
        ``B' W L`` of the columns that are dense in the image.
    n_source : int
    workspace : Workspace
        Owns the result until the next call.
    """
    rows = workspace.array("paired_rows", mapping.indptr.size - 1, n_source + len(dense))
    rows[:, n_source:] = dense.T
    first = _first_seen(pairs.pixels, mapping, n_source)
    lanes = workspace.array("lanes", n_source, AREA)
    _multiply(pairs, mapping, first, np.full(first.size, n_source), lanes, rows)
    return PairedRows(rows, first)


def complete(
    pairs: PairWeights, mapping: MappingMatrix, paired: PairedRows, n_source: int, workspace: Workspace
) -> None:
    """Write the columns that `paired_rows` left out."""
    lanes = workspace.array("lanes", n_source, AREA)
    _multiply(pairs, mapping, np.zeros_like(paired.first), paired.first, lanes, paired.rows)


def write_curvature(mapping: MappingMatrix, rows: np.ndarray, curvature_matrix: np.ndarray) -> None:
    """Write ``M' (B' W L)`` into the upper triangle of (n_source, n)."""
    shape = mapping.indptr.size - 1, len(curvature_matrix)
    columns = csr_array((mapping.weights, mapping.indices, mapping.indptr), shape).tocsc()
    _accumulate(columns.indptr, columns.indices, columns.data, rows, curvature_matrix)


@kernel(fastmath={"contract", "reassoc"})
def _weigh_pairs(tile_pixels, window_indptr, window_pixels, rows, cols, psf, frame, pairs):
    height, width = psf.shape
    for tile in range(window_indptr.size - 1):
        for entry in range(window_indptr[tile], window_indptr[tile + 1]):
            other = window_pixels[entry]
            for a in range(AREA):
                pixel = tile_pixels[tile, a]
                if pixel < 0:
                    continue
                dy, dx = rows[pixel] - rows[other], cols[pixel] - cols[other]
                first, last = max(0, -dx), min(width, width - dx)
                total = 0.0
                for v in range(max(0, -dy), min(height, height - dy)):
                    own, its, reached = psf[v], psf[v + dy], frame[rows[pixel] + v]
                    for u in range(first, last):
                        total += own[u] * its[u + dx] * reached[cols[pixel] + u]
                pairs[entry, a] = total


@kernel()
def _first_seen(tile_pixels, mapping, n_source):
    """Whole groups of eight source pixels before any that a pixel of each tile sees."""
    indptr, indices, _, _ = mapping
    first = np.empty(tile_pixels.shape[0], np.int64)
    for tile in range(first.size):
        lowest = n_source
        for pixel in tile_pixels[tile]:
            if pixel >= 0:
                for k in range(indptr[pixel], indptr[pixel + 1]):
                    lowest = min(lowest, indices[k])
        first[tile] = lowest // 8 * 8
    return first


@kernel()
def _seeing(tile_pixels, indptr):
    """Return places in a tile of pixels that see a source."""
    places = np.empty(AREA, np.int64)
    n = 0
    for place in range(AREA):
        pixel = tile_pixels[place]
        if pixel >= 0 and indptr[pixel] < indptr[pixel + 1]:
            places[n] = place
            n += 1
    return places[:n]


@kernel(fastmath={"contract"})
def _multiply(pairs, mapping, first, last, lanes, rows):
    """Write, for the pixels of each tile, the columns of source pixels from one on and before another."""
    tile_pixels, window_indptr, window_pixels, weights_of_pairs = pairs
    indptr, indices, weights, _ = mapping
    counting = np.empty(lanes.shape[0] + 1, np.int64)
    for tile in range(window_indptr.size - 1):
        seeing, begin, end = _seeing(tile_pixels[tile], indptr), first[tile], last[tile]
        if seeing.size == 0 or begin == end:
            continue
        lanes[begin:end] = 0.0
        for entry in range(window_indptr[tile], window_indptr[tile + 1]):
            pixel, of_pairs = window_pixels[entry], weights_of_pairs[entry]
            # Not to have the processor guess which of them count.
            n = 0
            for k in range(indptr[pixel], indptr[pixel + 1]):
                counting[n] = k
                n += (indices[k] >= begin) & (indices[k] < end)
            for k in counting[:n]:
                # Unsigned: a negative index would have to be wrapped around.
                weight, lane = weights[k], lanes[np.uint32(indices[k])]
                for a in range(AREA):
                    lane[a] += weight * of_pairs[a]
        _transpose(lanes, begin, end, seeing, tile_pixels[tile], rows)


@kernel()
def _transpose(lanes, begin, end, places, tile_pixels, rows):
    """Write some columns of lanes into rows, a line of the cache at a time."""
    whole = begin + (end - begin) // 8 * 8
    for i in range(begin, whole, 8):
        lane0, lane1, lane2, lane3 = lanes[i], lanes[i + 1], lanes[i + 2], lanes[i + 3]
        lane4, lane5, lane6, lane7 = lanes[i + 4], lanes[i + 5], lanes[i + 6], lanes[i + 7]
        for place in places:
            row = rows[tile_pixels[place], i : i + 8]
            row[0], row[1], row[2], row[3] = lane0[place], lane1[place], lane2[place], lane3[place]
            row[4], row[5], row[6], row[7] = lane4[place], lane5[place], lane6[place], lane7[place]
    for place in places:
        row = rows[tile_pixels[place]]
        for i in range(whole, end):
            row[i] = lanes[i, place]


# Four rows at a time: they come from a slower cache than the one that is added to.


@kernel(fastmath={"contract"})
def _accumulate(starts, pixels, weights, rows, curvature_matrix):
    for i in range(starts.size - 1):
        target = curvature_matrix[i, i:]
        target[:] = 0.0
        k, last = starts[i], starts[i + 1]
        while k + 4 <= last:
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            row0, row1 = rows[pixels[k], i:], rows[pixels[k + 1], i:]
            row2, row3 = rows[pixels[k + 2], i:], rows[pixels[k + 3], i:]
            for j in range(target.size):
                target[j] += w0 * row0[j] + w1 * row1[j] + w2 * row2[j] + w3 * row3[j]
            k += 4
        while k < last:
            weight, row = weights[k], rows[pixels[k], i:]
            for j in range(target.size):
                target[j] += weight * row[j]
            k += 1


@kernel(fastmath={"contract", "reassoc"})
def weights_pullback(mapping, rows, covariance, weights_bar):
    """Subtract ``B' W L C`` for the symmetric C (n, n) from cotangents (nnz,) of the mapping's weights."""
    indptr, indices, _, _ = mapping
    for pixel in range(indptr.size - 1):
        row = rows[pixel]
        k, last = indptr[pixel], indptr[pixel + 1]
        while k + 4 <= last:
            row0, row1 = covariance[indices[k]], covariance[indices[k + 1]]
            row2, row3 = covariance[indices[k + 2]], covariance[indices[k + 3]]
            sum0, sum1, sum2, sum3 = 0.0, 0.0, 0.0, 0.0
            for j in range(row.size):
                value = row[j]
                sum0 += value * row0[j]
                sum1 += value * row1[j]
                sum2 += value * row2[j]
                sum3 += value * row3[j]
            weights_bar[k] -= sum0
            weights_bar[k + 1] -= sum1
            weights_bar[k + 2] -= sum2
            weights_bar[k + 3] -= sum3
            k += 4
        while k < last:
            source, total = covariance[indices[k]], 0.0
            for j in range(row.size):
                total += row[j] * source[j]
            weights_bar[k] -= total
            k += 1
