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


def stream(
    vectors: Singles,
    weights: Singles,
    column: Ints,
    tile: Ints,
    factor: Singles,
    full_scale: Singles,
    rows: int,
    first: int,
    levels: float,
    floor: float,
    slope: float,
    key: Words,
) -> Singles:
    """Stream vectors through the tiles of one matrix; detect, digitise and add up what comes out.

    Each output ``y`` of each tile gets detector noise of variance ``floor + slope * y^2`` (shot
    noise follows the total detected power) and is rounded to the ADC's levels within its full
    scale; the sum over the tiles of a row is digital.

    Parameters
    ----------
    vectors
        (n, K), in units of one port's full-scale field.
    weights
        The transposed matrices of the tiles, one behind the other: for each column of blocks
        (inputs, outputs of all its tiles), flat.
    column
        (c, 4) for each column of blocks: first input, last + 1, first tile, last + 1.
    tile
        (t, 4) for each tile: where its outputs stand in its column of blocks, how many, the
        row they go to, and its index in the program.
    factor
        (t,) units of the layer for one unit of a tile's output.
    full_scale
        (t,) largest output that the ADC represents.
    rows
        M, rows of the matrix.
    first
        Index of the first vector.
    levels
        ADC levels on each side of zero; 0 for no ADC.
    floor, slope
        Noise variance at zero, and for each unit of squared output.
    key
        (2,) words: seed and chip.

    Returns
    -------
    ndarray
        (n, M) in the units of the layer.
    """
    total = np.zeros((len(vectors), rows), np.float32)
    index = first + np.arange(len(vectors), dtype=np.int64)
    begin = 0
    for low, high, first_tile, last_tile in column:
        width = int(tile[first_tile:last_tile, 1].sum())
        end = begin + int(high - low) * width
        partial = vectors[:, low:high] @ weights[begin:end].reshape(high - low, width)
        begin = end
        for t in range(first_tile, last_tile):
            offset, count, row, number = tile[t]
            value = partial[:, offset : offset + count]
            if floor > 0.0 or slope > 0.0:
                sigma = np.sqrt(np.float32(floor) + np.float32(slope) * value * value)
                value = value + sigma * sample_normals(key, int(number), index, int(count))
            if levels > 0.0:
                step = full_scale[t] / np.float32(levels)
                value = np.clip(np.rint(value / step), -levels, levels).astype(np.float32) * step
            total[:, row : row + count] += value * factor[t]
    return total


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
