"""Matrices side by side: each in its own lane of vectors, and out of them again.

Rows of arrays here are contiguous.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import any_less, store, transposed, where_less
from photonpu.simd import load_doubles as load
from photonpu.simd import spread_doubles as spread

Floats = NDArray[np.float64]

_CONTRACT = frozenset({"contract"})


@jit()
def all_finite(field: Floats) -> bool:
    """Return whether no element is NaN or infinite; there are whole vectors of them."""
    zero, one = spread(0.0), spread(1.0)
    nothing = zero
    for i in range(0, field.size, LANES):
        element = load(field, i)
        nothing = nothing + (element - element)
    finite: bool = not any_less(zero, where_less(nothing, one, zero, one))
    return finite


@jit(fastmath=_CONTRACT)
def load_abreast(orthogonals: Floats, field: Floats) -> None:
    """Put at most `LANES` real matrices side by side, the last one in every lane that is left.

    A row of all is in the cache at a time.
    """
    tiles, ports, _ = orthogonals.shape
    whole = ports - ports % LANES if tiles == LANES else 0
    for i in range(ports):
        line = i * (ports + 1)
        for j in range(0, whole, LANES):
            columns = transposed(
                (
                    load(orthogonals[0, i], j),
                    load(orthogonals[1, i], j),
                    load(orthogonals[2, i], j),
                    load(orthogonals[3, i], j),
                    load(orthogonals[4, i], j),
                    load(orthogonals[5, i], j),
                    load(orthogonals[6, i], j),
                    load(orthogonals[7, i], j),
                )
            )
            store(field, (line + j) * LANES, columns[0])
            store(field, (line + j + 1) * LANES, columns[1])
            store(field, (line + j + 2) * LANES, columns[2])
            store(field, (line + j + 3) * LANES, columns[3])
            store(field, (line + j + 4) * LANES, columns[4])
            store(field, (line + j + 5) * LANES, columns[5])
            store(field, (line + j + 6) * LANES, columns[6])
            store(field, (line + j + 7) * LANES, columns[7])
        for j in range(whole, ports):
            for t in range(LANES):
                field[(line + j) * LANES + t] = orthogonals[min(t, tiles - 1), i, j]


@jit(fastmath=_CONTRACT)
def unload(block: Floats, results: Floats) -> None:
    """Copy what each tile has in its lane of `block` to its row of `results`."""
    tiles, length = results.shape
    whole = length - length % LANES if tiles == LANES else 0
    for i in range(0, whole, LANES):
        at = i * LANES
        lanes = transposed(
            (
                load(block, at),
                load(block, at + LANES),
                load(block, at + 2 * LANES),
                load(block, at + 3 * LANES),
                load(block, at + 4 * LANES),
                load(block, at + 5 * LANES),
                load(block, at + 6 * LANES),
                load(block, at + 7 * LANES),
            )
        )
        store(results[0], i, lanes[0])
        store(results[1], i, lanes[1])
        store(results[2], i, lanes[2])
        store(results[3], i, lanes[3])
        store(results[4], i, lanes[4])
        store(results[5], i, lanes[5])
        store(results[6], i, lanes[6])
        store(results[7], i, lanes[7])
    for first in range(whole, length, LANES):
        for lane in range(tiles):
            for i in range(first, min(first + LANES, length)):
                results[lane, i] = block[i * LANES + lane]
