"""Plain twin of the kernel behind the packing of panels: what it computes, literally."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Ints = NDArray[np.int32]
LANES = 16
QUANTITIES = 5


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
    """Fill `lanes` of `photonpu.simulator.panels.Panels` with what rows of tiles meet behind them.

    Parameters
    ----------
    piece
        (p, 7) rows of one tile that go to one panel, as in `photonpu.mesh.values.Rows`; and where
        the lanes of the panel begin.
    core
        (T,) the core each tile runs on.
    ranges
        (T, 1 or N) full scale of the ADC, in units of scale and reach.
    scale, reach
        (T,) of each tile; together what one is in the layer's units.
    converter
        Levels of the ADC on each side of zero, 0 where there is none; and the variance of its
        noise for each unit of the square of its range.
    offset, floor
        (C, N) offset of the detectors, and variance of their noise.
    share
        (T, N) variance for each unit of the squared length of the input; (0, N) for none.
    lanes
        Of all panels; what no row goes to is left as it is.
    """
    levels, ranged = converter
    for tile, port, rows, _, place, _, lane in piece.tolist():
        ports = np.arange(port, port + rows)
        full = np.broadcast_to(ranges[tile], offset.shape[1])[ports]
        step = full / levels if levels else np.ones(rows)
        quantities = (
            1.0 / step,
            step * scale[tile] * reach[tile],
            offset[core[tile], ports] / step,
            floor[core[tile], ports] + ranged * full**2,
            share[tile, ports] if len(share) else np.zeros(rows),
        )
        register, inside = np.divmod(place + ports - port, LANES)
        for number, quantity in enumerate(quantities):
            lanes[lane + (register * QUANTITIES + number) * LANES + inside] = quantity
