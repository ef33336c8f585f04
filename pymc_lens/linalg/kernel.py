"""How numerics are compiled: on one thread, without the GIL, once per version of the sources."""

from __future__ import annotations

import fcntl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import IndexDataCacheFile
from numba.core.compiler_lock import global_compiler_lock

_PACKAGE = Path(__file__).parents[1]
# A division by zero gives what numbers give, as in NumPy: the point is inadmissible, and no error.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# Rooms with kernels.
NUMERICS = ("geometry", "linalg", "linear", "orthant", "regularization", "response")


@cache
def _sources_stamp() -> tuple[str]:
    digest = sha256()
    for folder in NUMERICS:
        for path in sorted((_PACKAGE / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return (digest.hexdigest(),)


class _SoundCacheFile(IndexDataCacheFile):
    """Numba's cache of one function, which takes a damaged file for none: it is made again."""

    def _load_index(self) -> dict:
        return self._undamaged(super()._load_index) or {}

    def load(self, key: Any) -> Any:
        return self._undamaged(lambda: super(_SoundCacheFile, self).load(key))

    def save(self, key: Any, data: Any) -> None:
        try:
            super().save(key, data)
        except OSError as error:  # a full disk
            _warn_once("unsaved", f"Compiled numerics cannot be kept in {self._cache_path}: {error}.")

    def _undamaged(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except OSError:
            raise
        except Exception as error:  # whatever unpickling a part of a file, or another version's, may raise
            _warn_once(
                "damaged",
                f"A file of compiled numerics in {self._cache_path} is damaged ({type(error).__name__}); "
                "it is made again.",
            )
            return None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process in at a time."""
    with ExitStack() as stack:
        # Where nothing can be written to, or the file system has no locks, numba's own behaviour has to do.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
            # A process that is forked meanwhile has the file open as well: closing it here would not do.
            stack.callback(fcntl.flock, file, fcntl.LOCK_UN)
        yield


def _compiled_once(dispatcher: Any, path: Path) -> Callable[[Any], Any]:
    """Return how a function is compiled: by one of the processes that need it, for which the others wait.

    They would all compile the same functions, where they begin together. And numba reads the index, picks a
    name for the machine code that is not in it, and writes both: two processes that save a function for
    different arguments might pick the same name, and each would run the other's code.
    """
    compile_here = dispatcher.compile

    def compile_alone(signature: Any) -> Any:
        # Numba's own lock first: a thread that has it might wait for the file, and another for this one.
        with global_compiler_lock, _alone(path):
            return compile_here(signature)

    return compile_alone


def kernel(**options: Any) -> Callable[[Callable], Any]:
    """Compile a function with numba, cached on disk until any source of the numerics changes.

    Numba's own cache looks at the file of a function only: after a change in another file, from which it was
    inlined or called, it would go on using the old code. It is kept beside the sources, or, where these
    cannot be written to, in the user's cache folder; where there is neither, functions are compiled in every
    process, which one warning says.

    Parameters
    ----------
    **options
        Of `numba.njit`.
    """

    def compiled(function: Callable) -> Any:
        try:
            dispatcher = njit(cache=True, **_OPTIONS, **options)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            _warn_once(
                "nowhere",
                "No folder can be written to where compiled numerics are kept: they are compiled anew in "
                "every process, which takes about a minute. Set the environment variable NUMBA_CACHE_DIR to "
                "a folder of your own.",
            )
            return njit(**_OPTIONS, **options)(function)
        found = dispatcher._cache._cache_file
        sound = _SoundCacheFile(found._cache_path, Path(found._index_name).stem, _sources_stamp())
        dispatcher._cache._cache_file = sound
        dispatcher.compile = _compiled_once(dispatcher, Path(sound._index_path).with_suffix(".lock"))
        return dispatcher

    return compiled


_said: set[str] = set()


def _warn_once(what: str, message: str) -> None:
    if what not in _said:
        _said.add(what)
        warnings.warn(message, stacklevel=4)
