"""Plain twins of the kernels that pack panels: what they compute, literally."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
LANES = 16


def pack(
    matrices: Floats | Singles,
    gain: Floats,
    ends: Singles,
    piece: Longs,
    weights: Singles,
    lanes: Singles,
) -> None:
    """Fill `weights` and `lanes` with rows of tiles, as `photonpu.simulator.panels.Panels` says.

    Parameters
    ----------
    matrices
        (T, N, N) what tiles multiply by.
    gain
        (T, N) what each row of theirs is multiplied by.
    ends
        (Q, T, N) quantities of each output, which go to its lane.
    piece
        (p, 7) rows of one tile that go to one panel: the tile, its first row, how many there are,
        how wide the tile is; where in the panel the first goes; where the weights and the lanes of
        the panel begin.
    weights, lanes
        Of all panels; what no row goes to is left as it is.
    """
    quantities = len(ends)
    for tile, port, rows, width, place, begin, lane in piece.tolist():
        for i in range(rows):
            register, inside = divmod(place + i, LANES)
            size = LANES * width
            weight = weights[begin + register * size :][:size].reshape(width, LANES)
            weight[:, inside] = matrices[tile, port + i, :width] * gain[tile, port + i]
            size = LANES * quantities
            end = lanes[lane + register * size :][:size].reshape(quantities, LANES)
            end[:, inside] = ends[:, tile, port + i]
