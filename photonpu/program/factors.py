"""A product of two activations as vectors that stream through matrices, and back.

``matmul`` broadcasts the leading axes of its factors. The factor that the mesh holds is a stack of
matrices, the other one a stack of entries, each a run of vectors through one of the matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Held = Literal["left", "right"]


def matrix_shapes(
    left: Sequence[int], right: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of two factors; a vector counts as a matrix of one row or one column."""
    return (
        (1, *left) if len(left) == 1 else tuple(left),
        (*right, 1) if len(right) == 1 else tuple(right),
    )


def split(left: Array, right: Array, held: Held) -> tuple[Array, Array, NDArray[np.intp]]:
    """Turn two factors into vectors and the matrices that these stream through.

    Parameters
    ----------
    left, right
        The factors of ``matmul(left, right)``.
    held
        Which of them is in the mesh.

    Returns
    -------
    vectors, matrices, entry
        (E, V, C) the vectors of each entry, (P, R, C) the matrices, each once however many entries
        share it, and (E,) the matrix of each entry. Entries are in C order of the leading axes.
    """
    a_shape, b_shape = matrix_shapes(left.shape, right.shape)
    a, b = left.reshape(a_shape), right.reshape(b_shape).swapaxes(-1, -2)
    matrices, vectors = (b, a) if held == "right" else (a, b)
    stack = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    count = math.prod(matrices.shape[:-2])
    order = np.arange(count).reshape(matrices.shape[:-2])
    spread = np.broadcast_to(vectors, (*stack, *vectors.shape[-2:]))
    return (
        spread.reshape(-1, *vectors.shape[-2:]),
        matrices.reshape(count, *matrices.shape[-2:]),
        np.broadcast_to(order, stack).reshape(-1),
    )


def join(rows: Array, left: Sequence[int], right: Sequence[int], held: Held) -> Array:
    """Put the results of all entries together as ``matmul`` gives them.

    Parameters
    ----------
    rows
        (E, V, R): what each vector became.
    left, right
        Shapes of the factors.
    held
        Which of them was in the mesh.
    """
    a, b = matrix_shapes(left, right)
    whole = rows if held == "right" else rows.swapaxes(-1, -2)
    whole = whole.reshape(*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
    if len(left) == 1:
        whole = whole[..., 0, :]
    return whole[..., 0] if len(right) == 1 else whole
