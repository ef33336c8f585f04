"""From interpolation weights of single rays to the mapping matrix of image pixels, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pymc_lens.geometry.interpolation import Interpolation
from pymc_lens.linalg.kernel import kernel


class MappingMatrix(NamedTuple):
    """The unblurred mapping matrix: how source pixels make up image pixels, in compressed rows.

    Attributes
    ----------
    indptr : (n_pixels + 1,) int64
    indices : (nnz,) int32
        Source pixel of each entry.
    weights : (nnz,) float64
    slots : (n_interpolation_entries,) int32
        For each entry of the interpolation the entry of the mapping matrix it was added to, or -1.
    """

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    slots: np.ndarray

    def rows(self, pixels: slice) -> MappingMatrix:
        """Those of consecutive pixels; of no interpolation any more."""
        indptr = self.indptr[pixels.start : pixels.stop + 1]
        entries = slice(indptr[0], indptr[-1])
        return MappingMatrix(
            indptr - indptr[0], self.indices[entries], self.weights[entries], np.empty(0, np.int32)
        )


def apply_mapping(mapping: MappingMatrix, columns: np.ndarray) -> np.ndarray:
    """Images (n, n_pixels) of the mapping matrix of sources (n, n_source)."""
    images = np.zeros((len(columns), mapping.indptr.size - 1))
    _apply(mapping, columns, images)
    return images


def apply_mapping_transposed(mapping: MappingMatrix, image: np.ndarray, n_source: int) -> np.ndarray:
    """Return an image (n_pixels,), summed over the entries of each source pixel, (n_source,)."""
    sums = np.zeros(n_source)
    _apply_transposed(mapping, image, sums)
    return sums


def mapping_matrix(interpolation: Interpolation, n_pixels: int) -> MappingMatrix:
    """Average the interpolation of the rays of each image pixel.

    Parameters
    ----------
    interpolation : Interpolation
        Of ``n_pixels * rays_per_pixel`` rays, those of one pixel consecutive.
    n_pixels : int

    Returns
    -------
    MappingMatrix
    """
    indptr = np.empty(n_pixels + 1, np.int64)
    indices = np.empty(interpolation.indices.size, np.int32)
    weights = np.empty(interpolation.indices.size)
    slots = np.empty(interpolation.indices.size, np.int32)
    nnz = _combine(
        interpolation.indptr, interpolation.indices, interpolation.weights, indptr, indices, weights, slots
    )
    return MappingMatrix(indptr, indices[:nnz], weights[:nnz], slots)


@dataclass(frozen=True, eq=False)
class JoinedMapping:
    """The mapping matrices of several sources, side by side.

    Attributes
    ----------
    mapping : MappingMatrix
        Of all, source pixels in the order of the sources.
    places : tuple of (nnz,) int64
        Where the entries of each source are.
    """

    mapping: MappingMatrix
    places: tuple[np.ndarray | slice, ...]

    def pullback(self, weights_bar: np.ndarray) -> list[np.ndarray]:
        """Cotangents of each source's entries."""
        return [weights_bar[place] for place in self.places]


def join_mappings(mappings: Sequence[MappingMatrix], sizes: Sequence[int]) -> JoinedMapping:
    """Put mapping matrices of these numbers of source pixels side by side."""
    if not mappings:
        empty = np.empty(0, np.int32)
        return JoinedMapping(MappingMatrix(np.zeros(1, np.int64), empty, np.empty(0), empty), ())
    if len(mappings) == 1:
        return JoinedMapping(mappings[0], (slice(None),))
    counts = np.array([np.diff(mapping.indptr) for mapping in mappings])
    indptr = np.append(0, np.cumsum(counts.sum(axis=0)))
    starts = indptr[:-1] + np.cumsum(counts, axis=0) - counts
    indices, weights = np.empty(indptr[-1], np.int32), np.empty(indptr[-1])
    places = []
    offsets = np.cumsum([0, *sizes[:-1]])
    for mapping, count, start, offset in zip(mappings, counts, starts, offsets, strict=True):
        place = np.repeat(start - mapping.indptr[:-1], count) + np.arange(mapping.weights.size)
        indices[place], weights[place] = mapping.indices + offset, mapping.weights
        places.append(place)
    return JoinedMapping(MappingMatrix(indptr, indices, weights, np.empty(0, np.int32)), tuple(places))


def mapping_matrix_pullback(
    mapping: MappingMatrix, interpolation: Interpolation, weights_bar: np.ndarray
) -> np.ndarray:
    """Carry cotangents of the mapping matrix' entries to the interpolation's entries.

    Parameters
    ----------
    mapping, interpolation : as of the forward call
    weights_bar : (nnz,) float64

    Returns
    -------
    (n_interpolation_entries,) float64
    """
    rays_per_pixel = (interpolation.indptr.size - 1) // (mapping.indptr.size - 1)
    return _spread(mapping.slots, weights_bar, 1.0 / rays_per_pixel)


@kernel()
def _apply(mapping, columns, images):
    indptr, indices, weights, _ = mapping
    for column in range(columns.shape[0]):
        values = columns[column]
        for pixel in range(indptr.size - 1):
            total = 0.0
            for k in range(indptr[pixel], indptr[pixel + 1]):
                total += weights[k] * values[np.uint32(indices[k])]
            images[column, pixel] = total


@kernel()
def _apply_transposed(mapping, image, sums):
    indptr, indices, weights, _ = mapping
    for pixel in range(indptr.size - 1):
        for k in range(indptr[pixel], indptr[pixel + 1]):
            sums[indices[k]] += weights[k] * image[pixel]


@kernel()
def _combine(ray_indptr, ray_indices, ray_weights, indptr, indices, weights, slots):
    n_pixels = indptr.size - 1
    rays_per_pixel = (ray_indptr.size - 1) // n_pixels
    fraction = 1.0 / rays_per_pixel
    # Where each source pixel was last put; in another image pixel, or nowhere yet, if not among its own.
    last = np.full(ray_indices.max() + 1 if ray_indices.size else 0, -1)
    nnz = 0
    indptr[0] = 0
    for pixel in range(n_pixels):
        first = nnz
        begin = ray_indptr[pixel * rays_per_pixel]
        end = ray_indptr[(pixel + 1) * rays_per_pixel]
        for entry in range(begin, end):
            source = ray_indices[entry]
            if source < 0:
                slots[entry] = -1
                continue
            slot = last[np.uint32(source)]
            if slot < first:
                slot = nnz
                last[np.uint32(source)] = slot
                indices[slot] = source
                weights[slot] = 0.0
                nnz += 1
            weights[slot] += fraction * ray_weights[entry]
            slots[entry] = slot
        indptr[pixel + 1] = nnz
    return nnz


@kernel()
def _spread(slots, weights_bar, fraction):
    spread = np.zeros(slots.size)
    for entry in range(slots.size):
        if slots[entry] >= 0:
            spread[entry] = fraction * weights_bar[slots[entry]]
    return spread
