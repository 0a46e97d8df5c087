"""Tensors laid out for streams, and looked through; `photonpu.simulator.reference` defines both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import (
    DOUBLE_LANES,
    LANES,
    address,
    load_eights,
    load_singles,
    maximum,
    minimum,
    rint_eights,
    spread_eights,
    spread_singles,
    store,
    transposed,
    wider,
)

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]

_FAST = frozenset({"contract", "nsz"})
_F = np.float32

Coder = tuple[np.float32, np.float32, np.float32]


@jit()
def coder_of(full_scale: float, levels: float, rectified: bool) -> Coder:
    """Return the least code, the inverse of full scale, and levels; an inverse of 0 for none."""
    if full_scale == 0.0:
        return _F(0.0), _F(0.0), _F(0.0)
    least = 0.0 if rectified else -1.0 if levels > 0.0 else -np.inf
    return _F(least), _F(1.0 / full_scale), _F(levels)


@jit()
def coded(value: Any, coder: Coder) -> Any:
    """Return a register of numbers as codes of a converter, in units of its full scale."""
    least, levels = spread_eights(coder[0]), spread_eights(coder[2])
    relative = value * spread_eights(coder[1])
    if coder[2] > 0.0:
        clipped = maximum(minimum(relative, spread_eights(_F(1.0))), least)
        return rint_eights(clipped * levels) * spread_eights(_F(1.0) / coder[2])
    return maximum(relative, least)


@jit()
def coded_one(value: np.float32, coder: Coder) -> np.float32:
    """Return one number as `coded` does."""
    least, inverse, levels = coder
    relative = value * inverse
    if levels > 0.0:
        relative = np.rint(max(min(relative, _F(1.0)), least) * levels) * (_F(1.0) / levels)
    return max(relative, least)


@jit()
def _lay_square(
    tensor: int,
    begin: int,
    stride: int,
    coder: Coder,
    field: int,
    at: int,
    pitch: int,
    most: Any,
) -> Any:
    """Write eight channels of eight positions, quantised, as eight positions of eight channels.

    Return the largest magnitudes of what was read, lane by lane, with those before.
    """
    x0 = load_eights(tensor, begin)
    x1 = load_eights(tensor, begin + stride)
    x2 = load_eights(tensor, begin + 2 * stride)
    x3 = load_eights(tensor, begin + 3 * stride)
    x4 = load_eights(tensor, begin + 4 * stride)
    x5 = load_eights(tensor, begin + 5 * stride)
    x6 = load_eights(tensor, begin + 6 * stride)
    x7 = load_eights(tensor, begin + 7 * stride)
    most = wider(x3, wider(x2, wider(x1, wider(x0, most))))
    most = wider(x7, wider(x6, wider(x5, wider(x4, most))))
    x0, x1, x2, x3 = coded(x0, coder), coded(x1, coder), coded(x2, coder), coded(x3, coder)
    x4, x5, x6, x7 = coded(x4, coder), coded(x5, coder), coded(x6, coder), coded(x7, coder)
    y0, y1, y2, y3, y4, y5, y6, y7 = transposed((x0, x1, x2, x3, x4, x5, x6, x7))
    store(field, at, y0)
    store(field, at + pitch, y1)
    store(field, at + 2 * pitch, y2)
    store(field, at + 3 * pitch, y3)
    store(field, at + 4 * pitch, y4)
    store(field, at + 5 * pitch, y5)
    store(field, at + 6 * pitch, y6)
    store(field, at + 7 * pitch, y7)
    return most


@jit()
def _lay_rest(block: Singles, coder: Coder, target: Singles, most: np.float32) -> np.float32:
    """Write a block of (channels, positions), quantised, as (positions, channels).

    Return its largest magnitude with that before; NaN where either is.
    """
    for j in range(block.shape[1]):
        for i in range(block.shape[0]):
            size = abs(block[i, j])
            most = most if most >= size or most != most else size
            target[j, i] = coded_one(block[i, j], coder)
    return most


@jit(parallel=True)
def _lay_out(
    tensor: Singles,
    source: Longs,
    margin: int,
    converter: tuple[float, float, bool],
    first: int,
    field: Singles,
) -> float:
    """Fill channels of `field` line by line; return the largest magnitude, NaN where any is."""
    batch, channels, lines, length = tensor.shape
    rows, width, pitch = source.size, field.shape[2], field.shape[3]
    skipped, before = max(0, -margin), max(0, margin)
    kept = max(0, min(length - skipped, width - before))
    across, down = kept - kept % DOUBLE_LANES, channels - channels % DOUBLE_LANES
    stride, coder = lines * length, coder_of(converter[0], converter[1], converter[2])
    squares = across == kept and down == channels
    found = np.zeros((batch * rows, LANES), np.float32)
    for task in prange(batch * rows):
        b, r = task // rows, task % rows
        line = field[b, r, :, first : first + channels]
        if source[r] < 0 or kept == 0:
            line[:, :] = _F(0.0)
            continue
        line[:before, :] = _F(0.0)
        line[before + kept :, :] = _F(0.0)
        begin = b * channels * stride + source[r] * length + skipped
        place = (task * width + before) * pitch + first
        most = spread_eights(_F(0.0))
        for c in range(0, down, DOUBLE_LANES):  # few streams at once: the processor foresees them
            for x in range(0, across, DOUBLE_LANES):
                most = _lay_square(
                    address(tensor),
                    begin + c * stride + x,
                    stride,
                    coder,
                    address(field),
                    place + x * pitch + c,
                    pitch,
                    most,
                )
        store(found, task * LANES, most)
        if squares:  # to cut arrays takes time
            continue
        plane = tensor[b, :, source[r], skipped : skipped + kept]
        inside = line[before : before + kept]
        rest, side = plane[down:, :across], plane[:, across:]
        large = _lay_rest(rest, coder, inside[:across, down:], _F(0.0))
        large = _lay_rest(side, coder, inside[across:], large)
        found[task, DOUBLE_LANES] = large
    return _largest(found.reshape(-1))


@jit()
def _largest(sizes: Singles) -> float:
    """Return the largest of some magnitudes, NaN where any is."""
    most = _F(0.0)
    for size in sizes:
        most = most if most >= size or most != most else size
    return float(most)


def lay_out(
    tensor: Singles,
    source: Longs,
    margin: int,
    full_scale: float,
    levels: float,
    rectified: bool,
    first: int,
    field: Singles,
) -> float:
    """Compute `photonpu.simulator.reference.lay_out`."""
    converter = float(full_scale), float(levels), rectified
    largest: float = _lay_out(tensor, source, margin, converter, first, field)
    return largest


@jit(parallel=True, fastmath=_FAST)
def _quantise(values: Singles, inverse: np.float32, levels: np.float32, out: Singles) -> None:
    """Fill `out` with `values` as fractions of full scale on `levels` levels a side."""
    one = np.float32(1.0)
    for i in prange(values.size):
        relative = values[i] * inverse
        if levels > 0.0:
            code = np.rint(min(max(relative, -one), one) * levels)
            relative = code * (one / levels)
        out[i] = relative


def quantise(values: NDArray[Any], full_scale: float, levels: float) -> Singles:
    """Compute `photonpu.simulator.reference.quantise`."""
    out = np.empty(values.shape, np.float32)
    flat = np.ascontiguousarray(values).reshape(-1)
    _quantise(flat, np.float32(1.0 / full_scale), np.float32(levels), out.reshape(-1))
    return out


@jit(parallel=True)
def _peaks(values: Singles, found: Singles) -> None:
    """Fill rows of `found`: largest and least of a part, and NaN where one is not finite."""
    share = (values.size // LANES + len(found) - 1) // len(found) * LANES
    for task in prange(len(found)):
        low = high = bad = spread_singles(_F(0.0))
        for i in range(task * share, min(task * share + share, values.size) - LANES + 1, LANES):
            x = load_singles(values, i)
            low, high = minimum(x, low), maximum(x, high)
            bad = bad + (x - x)
        store(found, 3 * LANES * task, high)
        store(found, 3 * LANES * task + LANES, low)
        store(found, 3 * LANES * task + 2 * LANES, bad)


def peak(values: Singles) -> float:
    """Compute `photonpu.simulator.reference.peak`."""
    flat = values.ravel(order="K")
    rest = flat.size % LANES
    found = np.empty((max(1, min(16, flat.size // 65_536)), 3 * LANES), np.float32)
    _peaks(flat, found)
    bad = np.isnan(found[:, 2 * LANES :]).any()
    ends = np.concatenate([found[:, : 2 * LANES].ravel(), flat[flat.size - rest :]])
    return math.nan if bad else float(np.abs(ends).max())
