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
from photonpu.simulator.kernels_normal import TOGETHER, Key, coarse_normals, dithers, normals

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

# Where the lanes of a register have what: the ADC's steps in one unit of output (1 for no ADC),
# the layer's units in one step, the detector's offset in steps, the variance of its noise at zero,
# and that for each unit of the squared length of the tile's input.
STEPS, UNIT, SHIFT, FLOOR, SHARE = (LANES * i for i in range(5))
QUANTITIES = 5
_product = make_panel_product(TOGETHER, 1)


@jit()
def _digitise(y: Any, levels: float, inverse: Any, shift: Any) -> Any:
    """Round a register of outputs to codes of the ADC."""
    code = minimum(rint(fma(y, inverse, shift)), spread_singles(_F(levels)))
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
    powers: Any,
    receiver: tuple[float, float, bool],
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
    levels, slope_variance, dithered = receiver
    slope = spread_singles(_F(slope_variance))
    inverse = load_singles(lanes, lane)
    unit = load_singles(lanes, lane + UNIT)
    shift = load_singles(lanes, lane + SHIFT)
    if sampling != SILENT:
        floor = load_singles(lanes, lane + FLOOR)
        share = load_singles(lanes, lane + SHARE)
        f0 = fma(share, spread_singles(powers[0]), floor)
        f1 = fma(share, spread_singles(powers[1]), floor)
        f2 = fma(share, spread_singles(powers[2]), floor)
        f3 = fma(share, spread_singles(powers[3]), floor)
    if sampling in (EXACT, FAST):
        if sampling == EXACT:
            n0, n1, n2, n3 = normals(draw[0], draw[1], draw[2], key)
        else:
            n0, n1, n2, n3 = coarse_normals(draw[0], draw[1], draw[2], key)
        y0 = _blur(y0, n0, f0, slope)
        y1 = _blur(y1, n1, f1, slope)
        y2 = _blur(y2, n2, f2, slope)
        y3 = _blur(y3, n3, f3, slope)
    if levels > 0.0 and dithered:
        d0, d1, d2, d3 = dithers(draw[0], draw[1], draw[2], key)
        y0 = _digitise(y0, levels, inverse, shift + d0)
        y1 = _digitise(y1, levels, inverse, shift + d1)
        y2 = _digitise(y2, levels, inverse, shift + d2)
        y3 = _digitise(y3, levels, inverse, shift + d3)
    elif levels > 0.0:
        y0 = _digitise(y0, levels, inverse, shift)
        y1 = _digitise(y1, levels, inverse, shift)
        y2 = _digitise(y2, levels, inverse, shift)
        y3 = _digitise(y3, levels, inverse, shift)
    else:
        y0 = fma(y0, inverse, shift)
        y1 = fma(y1, inverse, shift)
        y2 = fma(y2, inverse, shift)
        y3 = fma(y3, inverse, shift)
    y0 = y0 * unit
    y1 = y1 * unit
    y2 = y2 * unit
    y3 = y3 * unit
    if sampling == MERGED:
        gain = unit * inverse
        square = gain * gain
        _add(spread, at, fma(slope * y0, y0, square * f0))
        _add(spread, at + stride, fma(slope * y1, y1, square * f1))
        _add(spread, at + 2 * stride, fma(slope * y2, y2, square * f2))
        _add(spread, at + 3 * stride, fma(slope * y3, y3, square * f3))
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
    power: Singles,
    receiver: tuple[float, float, bool],
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
        low, high, begin, lane, place, registers, tile, register, span = panel[i]
        size = LANES * (high - low)
        for column in range(registers):
            weight = begin + column * size
            scale = lane + QUANTITIES * LANES * column
            at = LANES * (place + column)
            group = draw
            for v in range(first, last, TOGETHER):
                sums = _product(field, base, v, offset, low, high, weights, weight, size)
                which = (group, tile, register + column)
                shone = (_F(0.0), _F(0.0), _F(0.0), _F(0.0))
                if power.shape[1] > 0:
                    row = power[span]
                    shone = (row[v], row[v + 1], row[v + 2], row[v + 3])
                _detect(
                    sums,
                    total,
                    spread,
                    at,
                    stride,
                    lanes,
                    scale,
                    shone,
                    receiver,
                    sampling,
                    which,
                    key,
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
    power: Singles,
    receiver: tuple[float, float, bool],
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
            power,
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


@jit(parallel=True)
def powers(field: Singles, base: Ints, offset: Ints, spans: Longs, power: Singles) -> None:
    """Compute `photonpu.simulator.reference.powers`, four vectors at a time."""
    blocks = base.size // TOGETHER
    for task in prange(blocks * spans.shape[0]):
        span, v = task // blocks, task % blocks * TOGETHER
        s0 = s1 = s2 = s3 = _F(0.0)
        for k in range(spans[span, 0], spans[span, 1]):
            x0, x1 = field[base[v] + offset[k]], field[base[v + 1] + offset[k]]
            x2, x3 = field[base[v + 2] + offset[k]], field[base[v + 3] + offset[k]]
            s0 += x0 * x0
            s1 += x1 * x1
            s2 += x2 * x2
            s3 += x3 * x3
        power[span, v] = s0
        power[span, v + 1] = s1
        power[span, v + 2] = s2
        power[span, v + 3] = s3


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
