"""What the compiled kernels of `photonpu.simulator.kernels` compute, written literally.

Each function here defines the kernel of the same name and signature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu import keyed

Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Words = NDArray[np.uint32]


def sample_normals(key: Words, tile: int, vectors: NDArray[np.int64], rows: int) -> Singles:
    """Draw the normal number of each ADC sample of one tile.

    Parameters
    ----------
    key
        (2,) words: seed and chip.
    tile
        Index of the tile in the program.
    vectors
        (n,) index of each vector in its layer, counted over all samples of the run.
    rows
        Outputs of the tile.

    Returns
    -------
    ndarray
        (n, rows). The counter of output ``j`` is (vector low, vector high, tile, j // 4), and
        its lane j % 4: the same number whatever the batch, the order or the threads.
    """
    blocks = -(-rows // 4)
    counter = np.empty((len(vectors), blocks, 4), np.uint32)
    counter[..., 0] = (vectors & 0xFFFFFFFF)[:, None]
    counter[..., 1] = (vectors >> 32)[:, None]
    counter[..., 2] = tile
    counter[..., 3] = np.arange(blocks)
    drawn = keyed.normals(key, counter.reshape(-1, 4))
    return drawn.reshape(len(vectors), blocks * 4)[:, :rows].astype(np.float32)


def detect(
    partial: Singles,
    total: Singles,
    first: int,
    begin: Ints,
    rows: Ints,
    row: Ints,
    tile: Ints,
    factor: Singles,
    full_scale: Singles,
    levels: float,
    floor: float,
    slope: float,
    key: Words,
) -> None:
    """Detect, digitise and add up the outputs of one column of tiles.

    Each output ``y`` of a tile gets detector noise of variance ``floor + slope * y^2`` (shot
    noise follows the total detected power), is rounded to the ADC's levels within its full
    scale, and is added to its row of the layer's output.

    Parameters
    ----------
    partial
        (n, P) outputs of the tiles of one column of blocks, side by side, in units of one
        port's full-scale field.
    total
        (n, M) sums so far, in the units of the layer; changed in place.
    first
        Index of the first vector.
    begin, rows
        (t,) where each tile's outputs stand in `partial`, and how many.
    row
        (t,) where they go in `total`.
    tile
        (t,) index of each tile in the program.
    factor
        (t,) units of the layer for one unit of `partial`.
    full_scale
        (t,) largest output that the ADC represents, in units of `partial`.
    levels
        ADC levels on each side of zero; 0 for no ADC.
    floor, slope
        Noise variance at zero, and for each unit of squared output.
    key
        (2,) words: seed and chip.
    """
    vectors = first + np.arange(len(partial), dtype=np.int64)
    for i in range(len(tile)):
        value = partial[:, begin[i] : begin[i] + rows[i]]
        if floor > 0.0 or slope > 0.0:
            sigma = np.sqrt(np.float32(floor) + np.float32(slope) * value * value)
            value = value + sigma * sample_normals(key, int(tile[i]), vectors, int(rows[i]))
        if levels > 0.0:
            step = full_scale[i] / np.float32(levels)
            code = np.rint(value * (np.float32(1.0) / step))
            value = np.clip(code, -levels, levels).astype(np.float32) * step
        total[:, row[i] : row[i] + rows[i]] += value * factor[i]


def quantise(values: Singles, full_scale: float, levels: float) -> Singles:
    """Divide by `full_scale`, clip to [-1, 1] and round to `levels` levels on each side.

    Parameters
    ----------
    values
        Any shape.
    full_scale
        Largest value that is represented.
    levels
        Levels on each side of zero; 0 for no converter: divided only, neither clipped nor rounded.

    Returns
    -------
    ndarray
        Same shape, in units of `full_scale`.
    """
    relative: Singles = values * np.float32(1.0 / full_scale)
    if levels == 0.0:
        return relative
    code = np.rint(np.clip(relative, -1.0, 1.0) * np.float32(levels))
    return np.asarray(code * np.float32(1.0 / levels), np.float32)
