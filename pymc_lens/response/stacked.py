"""Several exposures of the same sky: one response after the other, and coefficients that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, override

import numpy as np

from pymc_lens.linear.base import consecutive
from pymc_lens.linear.mapping import MappingMatrix
from pymc_lens.response.base import Observed, Response
from pymc_lens.response.psf_blur import PlacedColumns
from pymc_lens.workspace import Workspace


class _Share(NamedTuple):
    """Which positions are in the frame of a response, and their places there."""

    inside: np.ndarray
    positions: np.ndarray


class StackedResponse(Response):
    """Responses whose pixels, frames and data follow one another.

    Parts are laid out for all of them at once: a pixelized source for the rays of the first exposure, then
    those of the second, on one mesh.

    Parameters
    ----------
    responses : sequence of Response
        All for images with pixelized sources, or all for images without.
    """

    def __init__(self, responses: Sequence[Response]) -> None:
        self.responses = tuple(responses)
        self._known: dict[int, tuple[np.ndarray, list[_Share]]] = {}

    def __reduce__(self) -> tuple[type, tuple[tuple[Response, ...]]]:
        return type(self), (self.responses,)

    @property
    def maps_sources(self) -> bool:  # type: ignore[override]
        return all(response.maps_sources for response in self.responses)

    @property
    @override
    def digest(self) -> str:
        return f"StackedResponse {[response.digest for response in self.responses]}"

    @cached_property
    def noise(self) -> np.ndarray:  # type: ignore[override]
        return np.concatenate([response.noise for response in self.responses])

    @cached_property
    def root_weights(self) -> np.ndarray:  # type: ignore[override]
        return np.concatenate([response.root_weights for response in self.responses])

    @cached_property
    def pixel_positions(self) -> np.ndarray:  # type: ignore[override]
        pairs = zip(self.responses, self._frames, strict=True)
        return np.concatenate([response.pixel_positions + frame.start for response, frame in pairs])

    @property
    def frame_size(self) -> int:  # type: ignore[override]
        return self._frames[-1].stop

    @override
    def blur(self, groups: Sequence[PlacedColumns]) -> np.ndarray:
        blurred = []
        for k, response in enumerate(self.responses):
            shares = [(columns, self._shares(positions)[k]) for columns, positions in groups]
            blurred.append(
                response.blur([(columns[:, share.inside], share.positions) for columns, share in shares])
            )
        return np.concatenate(blurred, axis=1)

    @override
    def blur_pullback(self, blurred_bar: np.ndarray, positions: np.ndarray) -> np.ndarray:
        columns_bar = np.zeros((len(blurred_bar), positions.size))
        triples = zip(self.responses, self._shares(positions), self._pixels, strict=True)
        for response, share, pixels in triples:
            columns_bar[:, share.inside] = response.blur_pullback(blurred_bar[:, pixels], share.positions)
        return columns_bar

    @override
    def observe(
        self, mapping: MappingMatrix, n_mapped: int, blurred: np.ndarray, workspace: Workspace
    ) -> StackedColumns:
        observed = [
            response.observe(
                mapping.rows(pixels) if n_mapped else mapping, n_mapped, blurred[:, pixels],
                workspace.part(f"exposure {k}"),
            )
            for k, (response, pixels) in enumerate(zip(self.responses, self._pixels, strict=True))
        ]  # fmt: skip
        return StackedColumns(tuple(observed), self._whitened, workspace)

    @override
    def whiten(self, data: np.ndarray) -> np.ndarray:
        pairs = zip(self.responses, self._data, strict=True)
        return np.concatenate([response.whiten(data[place]) for response, place in pairs])

    @override
    def unwhiten(self, whitened: np.ndarray) -> np.ndarray:
        pairs = zip(self.responses, self._whitened, strict=True)
        return np.concatenate([response.unwhiten(whitened[place]) for response, place in pairs])

    @override
    def spread(self, values: np.ndarray) -> np.ndarray:
        pairs = zip(self.responses, self._data, strict=True)
        return np.concatenate([response.spread(values[place]) for response, place in pairs])

    def _shares(self, positions: np.ndarray) -> list[_Share]:
        """Tell which positions are in the frame of each response; kept, as they are always the same."""
        if id(positions) not in self._known:
            insides = [(positions >= frame.start) & (positions < frame.stop) for frame in self._frames]
            shares = [
                _Share(inside, positions[inside] - frame.start)
                for inside, frame in zip(insides, self._frames, strict=True)
            ]
            self._known[id(positions)] = positions, shares
        return self._known[id(positions)][1]

    @cached_property
    def _frames(self) -> list[slice]:
        return consecutive([response.frame_size for response in self.responses])

    @cached_property
    def _pixels(self) -> list[slice]:
        return consecutive([response.root_weights.size for response in self.responses])

    @cached_property
    def _data(self) -> list[slice]:
        return consecutive([response.noise.size for response in self.responses])

    @cached_property
    def _whitened(self) -> list[slice]:
        return consecutive(
            [len(response.whiten(np.zeros(response.noise.size))) for response in self.responses]
        )


@dataclass(frozen=True, eq=False)
class StackedColumns(Observed):
    """Whitened columns of several exposures."""

    exposures: tuple[Observed, ...]
    places: list[slice]
    workspace: Workspace

    @override
    def normal_equations(self, whitened: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
        of_one, vector_of_one = self.workspace.array("matrix of one", *matrix.shape), np.empty(vector.size)
        matrix[...], vector[...] = 0.0, 0.0
        for exposure, place in zip(self.exposures, self.places, strict=True):
            exposure.normal_equations(whitened[place], of_one, vector_of_one)
            matrix += of_one
            vector += vector_of_one

    @override
    def predict(self, coefficients: np.ndarray) -> np.ndarray:
        return np.concatenate([exposure.predict(coefficients) for exposure in self.exposures])

    @override
    def variances(self, covariance: np.ndarray) -> np.ndarray:
        return np.concatenate([exposure.variances(covariance) for exposure in self.exposures])

    @override
    def pullback(
        self, residual: np.ndarray, mean: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        mapping_bars, blurred_bars = zip(
            *(
                exposure.pullback(residual[place], mean, covariance)
                for exposure, place in zip(self.exposures, self.places, strict=True)
            ),
            strict=True,
        )
        return np.concatenate(mapping_bars), np.concatenate(blurred_bars, axis=1)
