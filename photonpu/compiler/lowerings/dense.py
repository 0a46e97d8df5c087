"""Gemm and MatMul: one matrix, no windows."""

from __future__ import annotations

import numpy as np

from photonpu.compiler.lowerings.products import (
    LOWERINGS,
    Floats,
    MatrixProduct,
    Operand,
    StaysDigital,
    constant,
    constant_on_left,
)
from photonpu.program.geometry import Geometry, Stream, Window

#: For a product over the last axis, and for one over the axis before it.
LAST = Stream(Window((), (), (), (), ()), ((),))
SECOND_LAST = Stream(Window((1,), (1,), (1,), (0,), (0,)), ((0,),))


@LOWERINGS.register("Gemm")
def gemm(
    a: Operand,
    b: Operand,
    c: Operand | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> MatrixProduct:
    """Compute ``alpha * a' @ b' + beta * c``: one factor constant, `c` a bias after it."""
    on_left = constant_on_left(a, b)
    x, transposed = (b, transB) if on_left else (a, transA)
    if transposed:
        raise StaysDigital(f"its data '{x.name}' is transposed")
    if on_left:
        matrix = constant("weight", a).T if transA else constant("weight", a)
    else:
        matrix = constant("weight", b) if transB else constant("weight", b).T
    bias = None
    if c is not None and beta != 0:
        bias = np.float32(beta) * _bias(c, len(matrix), axis=0 if on_left else 1)
    return _product(x, np.float32(alpha) * matrix, bias, SECOND_LAST if on_left else LAST)


@LOWERINGS.register("MatMul")
def matmul(a: Operand, b: Operand, c: Operand | None = None) -> MatrixProduct:
    """Compute ``a @ b``, one a constant of any rank; a bias `c` was an Add behind it."""
    on_left = constant_on_left(a, b)
    x, matrix = (b, constant("weight", a)) if on_left else (a, constant("weight", b))
    if matrix.ndim != 2:
        raise StaysDigital(
            f"its weight '{(a if on_left else b).name}' has {matrix.ndim} axes and those of its "
            f"data '{x.name}' are unknown or do not fit"
        )
    matrix = matrix if on_left else matrix.T
    bias = None
    if c is not None:
        bias = np.broadcast_to(constant("bias", c).reshape(-1), matrix.shape[:1])
    if not on_left:
        return _product(x, matrix, bias, LAST)
    if x.shape is None:
        raise StaysDigital(f"the number of axes of its data '{x.name}' is unknown")
    return _product(x, matrix, bias, LAST if len(x.shape) == 1 else SECOND_LAST)


def _bias(c: Operand, channels: int, *, axis: int) -> Floats:
    """Return `c` as one number a channel, where the channels lie along `axis` of two."""
    value = constant("bias", c)
    shape = (1,) * (2 - value.ndim) + value.shape
    if shape[1 - axis] != 1:
        raise StaysDigital(
            f"its bias '{c.name}' of shape {value.shape} is not one number a channel"
        )
    return np.broadcast_to(value.reshape(-1), (channels,))


def _product(x: Operand, matrix: Floats, bias: Floats | None, stream: Stream) -> MatrixProduct:
    rows, columns = matrix.shape
    geometry = Geometry(
        access="last" if stream is LAST else "second_last",
        groups=1,
        in_channels=columns,
        out_channels=rows,
        streams=(stream,),
    )
    return MatrixProduct(x.name, geometry, (np.ascontiguousarray(matrix)[None],), bias)
