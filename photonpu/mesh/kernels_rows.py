"""Compiled kernels that put rows of tiles where products read them, `LANES` side by side.

`photonpu.mesh.reference_rows` defines them.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.values import Rows
from photonpu.simd import DOUBLE_LANES as SIDE
from photonpu.simd import LANES, address, keep, load_eights, store, transposed

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@jit()
def room(size: int) -> Singles:
    """Return memory for so many numbers, in pages of ordinary size.

    NumPy asks for huge ones, which a virtual machine may have to fetch from its host, each in
    milliseconds.
    """
    return np.empty(size, np.float32)


@jit()
def _spread(source: int, pitch: int, width: int, rows: Singles, weights: Singles, to: int) -> None:
    """Write columns of `SIDE` rows, from `source` on, to `weights`, `LANES` apart from `to` on."""
    target, j = address(weights), 0
    while j + SIDE <= width:
        a, b, c, d, e, f, g, h = transposed(
            (
                load_eights(source, j),
                load_eights(source, j + pitch),
                load_eights(source, j + 2 * pitch),
                load_eights(source, j + 3 * pitch),
                load_eights(source, j + 4 * pitch),
                load_eights(source, j + 5 * pitch),
                load_eights(source, j + 6 * pitch),
                load_eights(source, j + 7 * pitch),
            )
        )
        place = to + j * LANES
        store(target, place, a)
        store(target, place + LANES, b)
        store(target, place + 2 * LANES, c)
        store(target, place + 3 * LANES, d)
        store(target, place + 4 * LANES, e)
        store(target, place + 5 * LANES, f)
        store(target, place + 6 * LANES, g)
        store(target, place + 7 * LANES, h)
        j += SIDE
    while j < width:
        for i in range(SIDE):
            weights[to + j * LANES + i] = rows[i, j]
        j += 1


@jit()
def write(matrix: Singles | Floats, tile: int, core: int, rows: Rows) -> None:
    """Write the rows of one tile, which runs on a core."""
    ports, factor, weights = matrix.shape[1], rows.factor[tile], rows.weights
    scaled = np.empty((SIDE, ports), np.float32)
    source = address(scaled)
    for p in range(rows.first[tile], rows.first[tile + 1]):
        port, count, width = rows.piece[p, 1], rows.piece[p, 2], rows.piece[p, 3]
        place, begin = rows.piece[p, 4], rows.piece[p, 5]
        i = 0
        while i < count:
            register, inside = divmod(place + i, LANES)
            to = begin + register * width * LANES + inside
            together = SIDE if inside % SIDE == 0 and i + SIDE <= count else 1
            for r in range(together):
                by = rows.gain[core, port + i + r] * factor
                for j in range(width):
                    scaled[r, j] = np.float32(matrix[port + i + r, j] * by)
            if together == SIDE:
                _spread(source, ports, width, scaled, weights, to)
            else:
                for j in range(width):
                    weights[to + j * LANES] = scaled[0, j]
            i += together
    keep(scaled)


@jit(parallel=True)
def write_rows(matrices: Singles | Floats, core: Ints, rows: Rows) -> None:
    """Write the rows of (T, N, N) tiles where `rows` says."""
    for t in prange(len(matrices)):
        write(matrices[t], t, core[t], rows)
