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
_dtrmm = _external(
    "dtrmm", _BLAS, _CHAR, _CHAR, _CHAR, _CHAR, _INT, _INT, _DOUBLE, _DOUBLE, _INT, _DOUBLE, _INT
)
_dpotrf = _external("dpotrf", _LAPACK, _CHAR, _INT, _DOUBLE, _INT, _INT)
_dlauum = _external("dlauum", _LAPACK, _CHAR, _INT, _DOUBLE, _INT, _INT)
_dtrtri = _external("dtrtri", _LAPACK, _CHAR, _CHAR, _INT, _DOUBLE, _INT, _INT)
_dtrsv = _external("dtrsv", _BLAS, _CHAR, _CHAR, _CHAR, _INT, _DOUBLE, _INT, _DOUBLE, _INT)
_dpbtrf = _external("dpbtrf", _LAPACK, _CHAR, _INT, _INT, _DOUBLE, _INT, _INT)

_L, _N, _T, _R = map(ord, "LNTR")


def symmetric(upper: np.ndarray) -> np.ndarray:
    """Symmetric matrix (n, n) of this upper triangle."""
    return np.triu(upper) + np.triu(upper, 1).T


@kernel()
def mirror_in_place(matrix):
    """Copy the upper triangle of (n, n) to the lower one."""
    n, side = matrix.shape[0], 32
    # Squares that stay in the cache: columns of a large matrix do not.
    for top in range(0, n, side):
        for left in range(top, n, side):
            for i in range(top, min(top + side, n)):
                for j in range(max(left, i + 1), min(left + side, n)):
                    matrix[j, i] = matrix[i, j]


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


# LAPACK's own factorisation and inverse solve with triangles, which OpenBLAS does at a third of the speed of
# products: here small triangles on the diagonal are inverted, and all else is products.
_SIDE = 64


@kernel()
def cholesky_in_place(matrix):
    """Factorise a symmetric matrix U'U in its upper triangle; return LAPACK's ``info`` (0: success).

    Parameters
    ----------
    matrix : (n, n) float64, C order
    """
    n = matrix.shape[0]
    inverse = np.empty((_SIDE, _SIDE))
    for begin in range(0, n, _SIDE):
        end = min(begin + _SIDE, n)
        info = _factorise_block(matrix[begin:, begin:], end - begin, n)
        if info != 0:
            return begin + info
        if end == n:
            break
        for i in range(end - begin):
            inverse[i, : end - begin] = matrix[begin + i, begin:end]
        _invert_block(inverse, end - begin, _SIDE)
        panel = matrix[begin:, end:]
        _multiply_by_triangle(_R, _T, inverse, _SIDE, panel, n - end, end - begin, n, 1.0)
        _subtract_square(panel, n - end, end - begin, n, matrix[end:, end:])
    return 0


@kernel()
def cholesky_inverse_in_place(factor):
    """Replace a Cholesky factor by the upper triangle of the inverse of what was factorised.

    Parameters
    ----------
    factor : (n, n) float64, C order, from `cholesky_in_place`
    """
    n = factor.shape[0]
    for begin in range(0, n, _SIDE):
        _invert_block(factor[begin:, begin:], min(_SIDE, n - begin), n)
    width = _SIDE
    while width < n:
        # Two inverted triangles on the diagonal and the square beside them make one of twice the side.
        for begin in range(0, n - width, 2 * width):
            middle = begin + width
            size, square = min(width, n - middle), factor[begin:, middle:]
            _multiply_by_triangle(_R, _N, factor[begin:, begin:], n, square, size, width, n, -1.0)
            _multiply_by_triangle(_L, _N, factor[middle:, middle:], n, square, size, width, n, 1.0)
        width *= 2
    _multiply_by_own_transpose(factor)


# Blocks of larger matrices in what follows: ``stride`` is the length of a whole row. BLAS reads C order as
# the transpose, so that rows and columns change places.


@kernel()
def _factorise_block(block, n, stride):
    char = np.array([_L], np.uint8)
    size = np.array([n, stride], np.int32)
    info = np.zeros(1, np.int32)
    _dpotrf(char.ctypes, size.ctypes, block.ctypes, size[1:].ctypes, info.ctypes)
    return info[0]


@kernel()
def _invert_block(block, n, stride):
    char = np.array([_L, _N], np.uint8)
    size = np.array([n, stride], np.int32)
    info = np.zeros(1, np.int32)
    _dtrtri(char.ctypes, char[1:].ctypes, size.ctypes, block.ctypes, size[1:].ctypes, info.ctypes)


@kernel()
def _multiply_by_triangle(side, transposed, triangle, triangle_stride, block, rows, cols, stride, factor):
    char = np.array([side, _L, transposed, _N], np.uint8)
    size = np.array([rows, cols, triangle_stride, stride], np.int32)
    scale = np.array([factor])
    _dtrmm(
        char.ctypes, char[1:].ctypes, char[2:].ctypes, char[3:].ctypes, size.ctypes, size[1:].ctypes,
        scale.ctypes, triangle.ctypes, size[2:].ctypes, block.ctypes, size[3:].ctypes,
    )  # fmt: skip


@kernel()
def _subtract_square(panel, n, k, stride, matrix):
    char = np.array([_L, _N], np.uint8)
    size = np.array([n, k, stride], np.int32)
    scale = np.array([-1.0, 1.0])
    _dsyrk(
        char.ctypes, char[1:].ctypes, size.ctypes, size[1:].ctypes, scale.ctypes, panel.ctypes,
        size[2:].ctypes, scale[1:].ctypes, matrix.ctypes, size[2:].ctypes,
    )  # fmt: skip


@kernel()
def _multiply_by_own_transpose(factor):
    char = np.array([_L], np.uint8)
    size = np.array([factor.shape[0]], np.int32)
    info = np.zeros(1, np.int32)
    _dlauum(char.ctypes, size.ctypes, factor.ctypes, size.ctypes, info.ctypes)


@kernel()
def cholesky_solve_in_place(factor, vector):
    """Replace ``vector`` by the solution of the system whose Cholesky factor is given.

    Parameters
    ----------
    factor : (n, n) float64, C order, from `cholesky_in_place`
    vector : (n,) float64
    """
    char = np.array([_L, _N, _T], np.uint8)
    size = np.array([factor.shape[0], 1], np.int32)
    for transposed in (1, 2):
        _dtrsv(
            char.ctypes, char[transposed:].ctypes, char[1:].ctypes, size.ctypes, factor.ctypes, size.ctypes,
            vector.ctypes, size[1:].ctypes,
        )  # fmt: skip


@kernel()
def banded_cholesky_in_place(band):
    """Factorise a symmetric banded matrix in LAPACK's lower band storage; return ``info``.

    Parameters
    ----------
    band : (n, bandwidth + 1) float64, C order
        ``band[j, d]`` holds element (j + d, j); replaced by the lower factor in the same storage.
    """
    char = np.array([_L], np.uint8)
    size = np.array([band.shape[0], band.shape[1] - 1, band.shape[1]], np.int32)
    info = np.zeros(1, np.int32)
    _dpbtrf(char.ctypes, size.ctypes, size[1:].ctypes, band.ctypes, size[2:].ctypes, info.ctypes)
    return info[0]
