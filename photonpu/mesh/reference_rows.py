"""Plain twin of the kernel that puts rows of tiles where products read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.values import Ints, Rows

LANES = 16  # as `photonpu.simd.LANES`


def write_rows(matrices: NDArray[np.float64] | NDArray[np.float32], core: Ints, rows: Rows) -> None:
    """Write the rows of tiles where `rows` says.

    Parameters
    ----------
    matrices
        (T, N, N) what tiles multiply by.
    core
        (T,) the core each runs on.
    rows
        Where its rows go; what no row goes to is left as it is.
    """
    for number, (matrix, on) in enumerate(zip(matrices, core, strict=True)):
        gain = rows.gain[on] * rows.factor[number]
        for piece in rows.piece[slice(*rows.first[number : number + 2])].tolist():
            _, port, count, width, place, begin, *_ = piece
            for i in range(count):
                register, inside = divmod(place + i, LANES)
                size = LANES * width
                weight = rows.weights[begin + register * size :][:size].reshape(width, LANES)
                weight[:, inside] = matrix[port + i, :width] * gain[port + i]
