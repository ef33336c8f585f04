"""BLAS and LAPACK routines callable from numba kernels without the GIL.

Numba's own ``np.linalg`` covers neither symmetric updates nor inverses from a Cholesky factor. SciPy exports
the addresses of its BLAS and LAPACK; they are registered under names of our own, so that kernels compiled to
the disk cache are linked anew in every process (a raw address in a cached kernel would dangle).

All arrays are C-contiguous and symmetric matrices hold their *upper* triangle in C order, which is the lower
triangle in the Fortran order that BLAS reads.
"""

from __future__ import annotations

import llvmlite.binding
import numpy as np
from numba import types
from numba.extending import get_cython_function_address

from pymc_lens.linalg.kernel import kernel

_INT = types.CPointer(types.int32)
_DOUBLE = types.CPointer(types.float64)
_CHAR = types.CPointer(types.uint8)


def _external(routine: str, module: str, *argument_types: types.Type) -> types.ExternalFunction:
    symbol = f"pymc_lens_{routine}"
    llvmlite.binding.add_symbol(symbol, get_cython_function_address(module, routine))
    return types.ExternalFunction(symbol, types.void(*argument_types))


_BLAS, _LAPACK = "scipy.linalg.cython_blas", "scipy.linalg.cython_lapack"
_dsyrk = _external("dsyrk", _BLAS, _CHAR, _CHAR, _INT, _INT, _DOUBLE, _DOUBLE, _INT, _DOUBLE, _DOUBLE, _INT)
_dsymm = _external(
    "dsymm", _BLAS, _CHAR, _CHAR, _INT, _INT, _DOUBLE, _DOUBLE, _INT, _DOUBLE, _INT, _DOUBLE, _DOUBLE, _INT
)
_dpotrf = _external("dpotrf", _LAPACK, _CHAR, _INT, _DOUBLE, _INT, _INT)
_dpotri = _external("dpotri", _LAPACK, _CHAR, _INT, _DOUBLE, _INT, _INT)
_dpotrs = _external("dpotrs", _LAPACK, _CHAR, _INT, _INT, _DOUBLE, _INT, _DOUBLE, _INT, _INT)
_dpbtrf = _external("dpbtrf", _LAPACK, _CHAR, _INT, _INT, _DOUBLE, _INT, _INT)

_LETTERS = {letter: ord(letter) for letter in "LUNTR"}
_L, _T, _R = _LETTERS["L"], _LETTERS["T"], _LETTERS["R"]


def symmetric(upper: np.ndarray) -> np.ndarray:
    """Symmetric matrix (n, n) of this upper triangle."""
    return np.triu(upper) + np.triu(upper, 1).T


@kernel()
def symmetric_rank_update(rows, n, k, out):
    """Write ``rows[:n] @ rows[:n].T`` into the upper triangle of the first n*n entries of ``out``.

    Parameters
    ----------
    rows : (>= n, k) float64, C order
    n, k : int
    out : (>= n * n,) float64, read afterwards as an (n, n) matrix in C order
    """
    char = np.empty(2, np.uint8)
    size = np.empty(2, np.int32)
    scale = np.empty(2, np.float64)
    char[0], char[1] = _L, _T
    size[0], size[1] = n, k
    scale[0], scale[1] = 1.0, 0.0
    _dsyrk(
        char.ctypes, char[1:].ctypes, size.ctypes, size[1:].ctypes, scale.ctypes, rows.ctypes,
        size[1:].ctypes, scale[1:].ctypes, out.ctypes, size.ctypes,
    )  # fmt: skip


@kernel()
def symmetric_product(matrix, rows, n, k, factor, out):
    """Write ``factor * matrix @ rows[:n]`` into ``out[:n]``.

    Parameters
    ----------
    matrix : (>= n * n,) float64
        A symmetric (n, n) matrix in C order; its upper triangle is read.
    rows, out : (>= n, k) float64, C order
    n, k : int
    factor : float
    """
    char = np.empty(2, np.uint8)
    size = np.empty(2, np.int32)
    scale = np.empty(2, np.float64)
    char[0], char[1] = _R, _L
    size[0], size[1] = k, n
    scale[0], scale[1] = factor, 0.0
    _dsymm(
        char.ctypes, char[1:].ctypes, size.ctypes, size[1:].ctypes, scale.ctypes, matrix.ctypes,
        size[1:].ctypes, rows.ctypes, size.ctypes, scale[1:].ctypes, out.ctypes, size.ctypes,
    )  # fmt: skip


@kernel()
def cholesky_in_place(matrix):
    """Factorise a symmetric matrix U'U in its upper triangle; return LAPACK's ``info`` (0: success).

    Parameters
    ----------
    matrix : (n, n) float64, C order
    """
    char = np.empty(1, np.uint8)
    size = np.empty(1, np.int32)
    info = np.zeros(1, np.int32)
    char[0], size[0] = _L, matrix.shape[0]
    _dpotrf(char.ctypes, size.ctypes, matrix.ctypes, size.ctypes, info.ctypes)
    return info[0]


@kernel()
def cholesky_inverse_in_place(factor):
    """Replace a Cholesky factor by the upper triangle of the inverse; return LAPACK's ``info``.

    Parameters
    ----------
    factor : (n, n) float64, C order, from `cholesky_in_place`
    """
    char = np.empty(1, np.uint8)
    size = np.empty(1, np.int32)
    info = np.zeros(1, np.int32)
    char[0], size[0] = _L, factor.shape[0]
    _dpotri(char.ctypes, size.ctypes, factor.ctypes, size.ctypes, info.ctypes)
    return info[0]


@kernel()
def cholesky_solve_in_place(factor, vector):
    """Replace ``vector`` by the solution of the system whose Cholesky factor is given.

    Parameters
    ----------
    factor : (n, n) float64, C order, from `cholesky_in_place`
    vector : (n,) float64
    """
    char = np.empty(1, np.uint8)
    size = np.empty(2, np.int32)
    info = np.zeros(1, np.int32)
    char[0], size[0], size[1] = _L, factor.shape[0], 1
    _dpotrs(
        char.ctypes, size.ctypes, size[1:].ctypes, factor.ctypes, size.ctypes, vector.ctypes,
        size.ctypes, info.ctypes,
    )  # fmt: skip


@kernel()
def banded_cholesky_in_place(band):
    """Factorise a symmetric banded matrix in LAPACK's lower band storage; return ``info``.

    Parameters
    ----------
    band : (n, bandwidth + 1) float64, C order
        ``band[j, d]`` holds element (j + d, j); replaced by the lower factor in the same storage.
    """
    char = np.empty(1, np.uint8)
    size = np.empty(3, np.int32)
    info = np.zeros(1, np.int32)
    char[0] = _L
    size[0], size[1], size[2] = band.shape[0], band.shape[1] - 1, band.shape[1]
    _dpbtrf(char.ctypes, size.ctypes, size[1:].ctypes, band.ctypes, size[2:].ctypes, info.ctypes)
    return info[0]
