"""Compiled kernels of the simulator; `photonpu.simulator.reference` defines each of them.

Vectors stream through the tiles of a matrix straight from their tensor, four at a time, by the
address of each element. A panel is a few registers of outputs that meet the same inputs: its sums
stay in registers, meet their noise and their ADC there, and are added up in the cache. Every output
of every tile comes of the same operations in the same order, whatever the block, the thread or the
processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import (
    LANES,
    address,
    fma,
    load_singles,
    make_panel_product,
    maximum,
    minimum,
    rint,
    spread_singles,
    sqrt,
    store,
)
from photonpu.simulator.kernels_normal import TOGETHER, Key, coarse_normals, normals

Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Words = NDArray[np.uint32]

_FAST = frozenset({"contract", "nsz"})
_BLOCK = 192  # vectors a task; their totals stay in the second-level cache
_F = np.float32

# How detector noise is drawn: not at all; a number for each sample; a coarser one, for half the
# work; one for each output, of the variance of all its samples together.
SILENT, EXACT, FAST, MERGED = range(4)
_product = make_panel_product(TOGETHER, 1)


@jit()
def _digitise(y: Any, levels: float, inverse: Any) -> Any:
    """Round a register of outputs to codes of the ADC."""
    code = minimum(rint(y * inverse), spread_singles(_F(levels)))
    return maximum(code, spread_singles(_F(-levels)))


@jit()
def _add(start: int, at: int, value: Any) -> None:
    """Add a register to what an array holds."""
    store(start, at, value + load_singles(start, at))


@jit()
def _blur(y: Any, number: Any, floor: Any, slope: Any) -> Any:
    """Add detector noise to a register of outputs."""
    return fma(sqrt(fma(slope * y, y, floor)), number, y)


@jit()
def _detect(
    sums: Any,
    total: int,
    spread: int,
    at: int,
    stride: int,
    lanes: int,
    lane: int,
    receiver: tuple[float, float, float],
    sampling: int,
    draw: tuple[int, int, int],
    key: Key,
) -> None:
    """Detect and digitise one register of four vectors, and add it to their totals.

    Its totals, and the variances of merged noise in `spread`, begin at `at`, those of the next
    vector `stride` further; `draw` is what keys its noise: the group of vectors, the tile, the
    register.
    """
    y0, y1, y2, y3 = sums
    levels, floor_variance, slope_variance = receiver
    if sampling in (EXACT, FAST):
        floor = spread_singles(_F(floor_variance))
        slope = spread_singles(_F(slope_variance))
        if sampling == EXACT:
            n0, n1, n2, n3 = normals(draw[0], draw[1], draw[2], key)
        else:
            n0, n1, n2, n3 = coarse_normals(draw[0], draw[1], draw[2], key)
        y0 = _blur(y0, n0, floor, slope)
        y1 = _blur(y1, n1, floor, slope)
        y2 = _blur(y2, n2, floor, slope)
        y3 = _blur(y3, n3, floor, slope)
    if levels > 0.0:
        inverse = load_singles(lanes, lane)
        y0 = _digitise(y0, levels, inverse)
        y1 = _digitise(y1, levels, inverse)
        y2 = _digitise(y2, levels, inverse)
        y3 = _digitise(y3, levels, inverse)
    unit = load_singles(lanes, lane + LANES)
    y0 = y0 * unit
    y1 = y1 * unit
    y2 = y2 * unit
    y3 = y3 * unit
    if sampling == MERGED:
        gain = unit * load_singles(lanes, lane) if levels > 0.0 else unit
        fixed = gain * gain * spread_singles(_F(floor_variance))
        slope = spread_singles(_F(slope_variance))
        _add(spread, at, fma(slope * y0, y0, fixed))
        _add(spread, at + stride, fma(slope * y1, y1, fixed))
        _add(spread, at + 2 * stride, fma(slope * y2, y2, fixed))
        _add(spread, at + 3 * stride, fma(slope * y3, y3, fixed))
    _add(total, at, y0)
    _add(total, at + stride, y1)
    _add(total, at + 2 * stride, y2)
    _add(total, at + 3 * stride, y3)


@jit()
def _merge(
    total: int, spread: int, count: int, stride: int, draw: tuple[int, int, int], key: Key
) -> None:
    """Add to the totals of `count` vectors noise of the variances in `spread`.

    `draw` numbers the first four vectors, the tile, and the register of the first outputs.
    """
    for v in range(0, count, TOGETHER):
        for column in range(stride // LANES):
            group, tile, register = draw
            n0, n1, n2, n3 = normals(group + v // TOGETHER, tile, register + column, key)
            at = v * stride + LANES * column
            _add(total, at, n0 * sqrt(load_singles(spread, at)))
            at += stride
            _add(total, at, n1 * sqrt(load_singles(spread, at)))
            at += stride
            _add(total, at, n2 * sqrt(load_singles(spread, at)))
            at += stride
            _add(total, at, n3 * sqrt(load_singles(spread, at)))


@jit()
def _block(
    field: int,
    base: int,
    vectors: tuple[int, int],
    offset: int,
    weights: int,
    panel: Longs,
    lanes: int,
    total: int,
    spread: int,
    stride: int,
    receiver: tuple[float, float, float],
    sampling: int,
    draw: int,
    key: Key,
) -> None:
    """Stream vectors from the first to the last + 1 of `vectors` through the panels of some rows.

    `draw` numbers the first four of them, counted over all samples of a run. Arrays are given by
    their addresses; there are `stride` totals a vector.
    """
    first, last = vectors
    for i in range(panel.shape[0]):
        low, high, begin, lane, place, registers, tile, register = panel[i]
        size = LANES * (high - low)
        for column in range(registers):
            weight = begin + column * size
            scale = lane + 2 * LANES * column
            at = LANES * (place + column)
            group = draw
            for v in range(first, last, TOGETHER):
                sums = _product(field, base, v, offset, low, high, weights, weight, size)
                which = (group, tile, register + column)
                _detect(
                    sums, total, spread, at, stride, lanes, scale, receiver, sampling, which, key
                )
                at += TOGETHER * stride
                group += 1


@jit()
def _hand_out(
    total: Singles,
    vectors: tuple[int, int],
    begin: int,
    stride: int,
    place: Longs,
    lead: int,
    row: Longs,
    bias: Singles,
    out: Singles,
) -> None:
    """Write totals, which start with vector `begin`, to their places, neighbours at once."""
    first, end = vectors
    while first < end:
        last = first + 1
        while last < end and place[last - lead] - place[last - 1 - lead] == 1:
            last += 1
        source, start = (first - begin) * stride, place[first - lead]
        for j in range(row.size):
            target = out[start + row[j] :][: last - first]
            for i in range(target.size):
                target[i] = total[source + j + i * stride] + bias[j]
        first = last


@jit(parallel=True)
def stream(
    field: Singles,
    base: Ints,
    offset: Ints,
    panels: tuple[Singles, Longs, Longs, Singles],
    place: Longs,
    row: Longs,
    bias: Singles,
    lead: int,
    draw: int,
    receiver: tuple[float, float, float],
    sampling: int,
    key: Words,
    out: Singles,
) -> None:
    """Compute `photonpu.simulator.reference.stream`."""
    weights, panel, groups, lanes = panels
    blocks = (base.size + _BLOCK - 1) // _BLOCK
    for task in prange(blocks * groups.shape[0]):
        first_panel, last_panel, first_row, last_row = groups[task % groups.shape[0]]
        stride = (last_row - first_row + LANES - 1) // LANES * LANES
        begin = task // groups.shape[0] * _BLOCK
        end = min(base.size, begin + _BLOCK)
        total = np.zeros((end - begin) * stride, np.float32)
        spread = np.zeros(total.size if sampling == MERGED else 0, np.float32)
        words = (np.uint64(key[0]), np.uint64(key[1]))
        group = draw + begin // TOGETHER
        _block(
            address(field),
            address(base),
            (begin, end),
            address(offset),
            address(weights),
            panel[first_panel:last_panel],
            address(lanes),
            address(total),
            address(spread),
            stride,
            receiver,
            sampling,
            group,
            words,
        )
        if sampling == MERGED:
            top = panel[first_panel]
            which = (group, top[6], top[7] - top[4])
            _merge(address(total), address(spread), end - begin, stride, which, words)
        _hand_out(
            total,
            (max(begin, lead), min(end, lead + place.size)),
            begin,
            stride,
            place,
            lead,
            row[first_row:last_row],
            bias[first_row:last_row],
            out,
        )


@jit(fastmath=_FAST)
def _lay_block(block: Singles, inverse: np.float32, levels: np.float32, target: Singles) -> None:
    """Write a block of (channels, positions), quantised, as (positions, channels)."""
    one = _F(1.0)
    unit = one / levels
    for i in range(block.shape[0]):
        for j in range(block.shape[1]):
            value = block[i, j] * inverse
            if levels > 0.0:
                value = np.rint(min(max(value, -one), one) * levels) * unit
            target[j, i] = value


@jit(parallel=True)
def _lay_out(
    tensor: Singles,
    source: Longs,
    margin: int,
    inverse: np.float32,
    levels: np.float32,
    field: Singles,
) -> None:
    """Fill `field` line by line, in squares that stay in the cache."""
    batch, channels, _, length = tensor.shape
    rows, width = source.size, field.shape[2]
    skipped, before = max(0, -margin), max(0, margin)
    kept = max(0, min(length - skipped, width - before))
    for task in prange(batch * rows):
        b, r = task // rows, task % rows
        line = field[b, r]
        if source[r] < 0 or kept == 0:
            line[:, :] = _F(0.0)
            continue
        line[:before, :] = _F(0.0)
        line[before + kept :, :] = _F(0.0)
        plane = tensor[b, :, source[r], skipped : skipped + kept]
        for c in range(0, channels, LANES):
            for x in range(0, kept, LANES):
                square = plane[c : c + LANES, x : x + LANES]
                target = line[before + x : before + x + square.shape[1], c : c + LANES]
                _lay_block(square, inverse, levels, target)


def lay_out(
    tensor: Singles,
    source: Longs,
    margin: int,
    full_scale: float,
    levels: float,
    field: Singles,
) -> None:
    """Compute `photonpu.simulator.reference.lay_out`."""
    _lay_out(tensor, source, margin, np.float32(1.0 / full_scale), np.float32(levels), field)


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
