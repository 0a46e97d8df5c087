"""Compiled kernels that pack panels; `photonpu.simulator.reference_panels` defines them."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import DOUBLE_LANES as SIDE
from photonpu.simd import LANES, address, load_eights, store, transposed

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]


@jit()
def _spread(rows: Singles, weights: Singles, first: int) -> None:
    """Write columns of `SIDE` rows to `weights`, `LANES` apart from place `first` on."""
    width = rows.shape[1]
    source, target, j = address(rows), address(weights), 0
    while j + SIDE <= width:
        a, b, c, d, e, f, g, h = transposed(
            (
                load_eights(source, j),
                load_eights(source, j + width),
                load_eights(source, j + 2 * width),
                load_eights(source, j + 3 * width),
                load_eights(source, j + 4 * width),
                load_eights(source, j + 5 * width),
                load_eights(source, j + 6 * width),
                load_eights(source, j + 7 * width),
            )
        )
        place = first + j * LANES
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
            weights[first + j * LANES + i] = rows[i, j]
        j += 1


@jit(parallel=True)
def pack(
    matrices: Floats | Singles,
    gain: Floats,
    ends: Singles,
    piece: Longs,
    weights: Singles,
    lanes: Singles,
) -> None:
    """Fill `weights` and `lanes` with rows of tiles, as `photonpu.simulator.panels.Panels` says."""
    quantities = ends.shape[0]
    for p in prange(len(piece)):
        tile, port, rows, width, place, begin, lane = piece[p]
        scaled = np.empty((SIDE, width), np.float32)
        i = 0
        while i < rows:
            register, inside = divmod(place + i, LANES)
            first = begin + register * width * LANES + inside
            together = SIDE if inside % SIDE == 0 and i + SIDE <= rows else 1
            for r in range(together):
                factor = gain[tile, port + i + r]
                for j in range(width):
                    scaled[r, j] = np.float32(matrices[tile, port + i + r, j] * factor)
            if together == SIDE:
                _spread(scaled, weights, first)
            else:
                for j in range(width):
                    weights[first + j * LANES] = scaled[0, j]
            i += together
        for i in range(rows):
            register, inside = divmod(place + i, LANES)
            first = lane + register * quantities * LANES + inside
            for q in range(quantities):
                lanes[first + q * LANES] = ends[q, tile, port + i]
