"""What rows of tiles meet behind them; `photonpu.simulator.reference_panels` defines it."""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import LANES

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Ints = NDArray[np.int32]

QUANTITIES = 5  # as `photonpu.simulator.panels.QUANTITIES`


@jit(parallel=True)
def set_lanes(
    piece: Longs,
    core: Ints,
    ranges: Floats,
    scale: Floats,
    reach: Floats,
    converter: tuple[float, float],
    offset: Floats,
    floor: Floats,
    share: Floats,
    lanes: Singles,
) -> None:
    """Fill `lanes` with what rows of tiles meet behind them."""
    levels, ranged = converter
    for p in prange(len(piece)):
        tile, port, rows, place, lane = (
            piece[p, 0],
            piece[p, 1],
            piece[p, 2],
            piece[p, 4],
            piece[p, 6],
        )
        on = core[tile]
        for i in range(port, port + rows):
            register, inside = divmod(place + i - port, LANES)
            first = lane + register * QUANTITIES * LANES + inside
            full = ranges[tile, i if ranges.shape[1] > 1 else 0]
            step = full / levels if levels > 0.0 else 1.0
            lanes[first] = 1.0 / step
            lanes[first + LANES] = step * scale[tile] * reach[tile]
            lanes[first + 2 * LANES] = offset[on, i] / step
            lanes[first + 3 * LANES] = floor[on, i] + ranged * (full * full)
            lanes[first + 4 * LANES] = share[tile, i] if len(share) > 0 else 0.0
