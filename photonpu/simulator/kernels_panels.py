"""Compiled kernels that pack panels; `photonpu.simulator.reference_panels` defines them."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import LANES

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]


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
        for i in range(rows):
            register, inside = divmod(place + i, LANES)
            factor = gain[tile, port + i]
            first = begin + register * width * LANES + inside
            for j in range(width):
                weights[first + j * LANES] = np.float32(matrices[tile, port + i, j] * factor)
            first = lane + register * quantities * LANES + inside
            for q in range(quantities):
                lanes[first + q * LANES] = ends[q, tile, port + i]
