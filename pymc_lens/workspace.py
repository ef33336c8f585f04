"""Arrays that outlive an evaluation."""

from __future__ import annotations

import numpy as np

# Bytes: lines of the cache. Vectors that straddle two of them take half as long again.
_LINE = 64


def aligned_zeros(size: int, dtype: type = np.float64) -> np.ndarray:
    """Zeros (size,) that begin where a line of the cache does."""
    n_bytes = size * np.dtype(dtype).itemsize
    stock = np.zeros(n_bytes + _LINE, np.uint8)
    first = -stock.ctypes.data % _LINE
    return stock[first : first + n_bytes].view(dtype)


class Workspace:
    """Arrays that are reused from evaluation to evaluation; they grow and are never shrunk.

    The operating system takes large arrays back as soon as they are freed, and hands out fresh pages slowly.
    One thread's own; what it holds is valid until the next evaluation.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}
        self._parts: dict[str, Workspace] = {}

    def array(self, name: str, *shape: int, dtype: type = np.float64) -> np.ndarray:
        """Return an array of this shape, cut from a buffer that is kept under this name.

        It holds what was last written there. At first that is zero: parts of a triangular matrix that nobody
        writes or reads are added to all the same, and numpy warns of the signalling NaNs of stale memory.
        """
        size = int(np.prod(shape))
        buffer = self._arrays.get(name)
        if buffer is None or buffer.size < size:
            buffer = aligned_zeros(int(1.2 * size) if buffer is not None else size, dtype)
            self._arrays[name] = buffer
        return buffer[:size].reshape(shape)

    def part(self, name: str) -> Workspace:
        """Return a workspace of its own that is kept under this name."""
        return self._parts.setdefault(name, Workspace())

    def size(self, name: str) -> int:
        """Return how many elements are kept under this name."""
        return self._arrays[name].size if name in self._arrays else 0
