"""Random source planes for tests of meshes and priors."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

RING = 2.0 * np.stack(
    [np.sin(np.linspace(0, 2 * np.pi, 25)[:-1]), np.cos(np.linspace(0, 2 * np.pi, 25)[:-1])], 1
)


def lattice(n: int = 6) -> np.ndarray:
    axis = np.linspace(-1.0, 1.0, n)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


@st.composite
def geometries(draw) -> tuple[np.ndarray, np.ndarray]:
    """Vertices between scattered at random and a lattice, whose squares are about to flip; and rays."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    jitter = draw(st.sampled_from([1.0, 0.1, 1e-2, 1e-3]))
    vertices = lattice() + jitter * 0.15 * rng.uniform(-1, 1, (36, 2))
    if draw(st.booleans()):
        vertices = rng.uniform(-1.2, 1.2, (draw(st.integers(5, 60)), 2))
    return vertices, rng.uniform(-1.3, 1.3, (50, 2))
