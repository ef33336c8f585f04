"""How numerics are compiled: on one thread, without the GIL, once per version of the sources."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit

_PACKAGE = Path(__file__).parents[1]
_NUMERICS = ("inversion", "linalg", "mesh", "regularization")


@cache
def _sources_stamp() -> tuple[str]:
    digest = sha256()
    for folder in _NUMERICS:
        for path in sorted((_PACKAGE / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return (digest.hexdigest(),)


def kernel(**options: Any) -> Callable[[Callable], Any]:
    """Compile a function with numba, cached on disk until any source of the numerics changes.

    Numba's own cache looks at the file of a function only: after a change in another file, from which it was
    inlined or called, it would go on using the old code.

    Parameters
    ----------
    **options
        Of `numba.njit`.
    """

    def compiled(function: Callable) -> Any:
        dispatcher = njit(cache=True, nogil=True, **options)(function)
        dispatcher._cache._cache_file._source_stamp = _sources_stamp()
        return dispatcher

    return compiled
