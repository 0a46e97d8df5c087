"""Compiled kernels of the simulator; `photonpu.simulator.reference` defines each of them.

Vectors stream through the tiles of a matrix straight from their tensor by the address of each
element. A panel is a few registers of outputs that meet the same inputs. Every output of every tile
comes of the same operations in the same order, whatever the block, the thread or the processor.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import LANES, address, keep
from photonpu.simulator.kernels_detection import (
    QUANTITIES,
    collect,
    collect_dithered,
    detect,
    disturb,
    floors,
    merge,
    multiply,
    spread_out,
)
from photonpu.simulator.kernels_handout import FOUND, hand_out, largest
from photonpu.simulator.kernels_layout import coder_of
from photonpu.simulator.kernels_normal import DRAWN, TOGETHER, schedule
from photonpu.simulator.kernels_product import PRODUCT
from photonpu.tasks import take

Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Words = NDArray[np.uint32]

_BLOCK = 96  # vectors a task; their totals stay in the second-level cache
_F = np.float32

# How detector noise is drawn: not at all; a number for each sample; a coarser one, for half the
# work; one for each output, of the variance of all its samples together.
SILENT, EXACT, FAST, MERGED = range(4)


@jit()
def _block(
    field: int,
    base: int,
    count: int,
    offset: int,
    weights: int,
    panel: Longs,
    lanes: int,
    total: int,
    spread: int,
    stride: int,
    sums: int,
    powers: int,
    pitch: int,
    receiver: tuple[float, float, bool],
    sampling: int,
    draw: int,
    keys: int,
    drawn: int,
) -> None:
    """Stream `count` vectors through the panels of some rows.

    `draw` numbers the first four of them, counted over all samples of a run. Arrays are given by
    their addresses; there are `stride` totals a vector, and `pitch` powers a span, 0 for none.
    """
    levels, slope, dithered = receiver
    for i in range(panel.shape[0]):
        low, high, begin, lane, place, registers, tile, register, span = panel[i]
        shone = powers + 4 * span * pitch if pitch else 0
        if levels > 0.0 and not dithered and not pitch and sampling in (SILENT, MERGED):
            inputs = field, base, offset, low, high, weights, begin
            quantities = lanes + 4 * lane
            apart, at = spread if sampling == MERGED else 0, LANES * place
            detect(inputs, count, registers, quantities, levels, slope, total, apart, at, stride)
            continue
        for column in range(registers):
            weight = begin + column * LANES * (high - low)
            scale = lane + QUANTITIES * LANES * column
            at = LANES * (place + column)
            which = (draw, tile, register + column)
            multiply(field, base, count, offset, low, high, weights, weight, sums)
            if sampling in (EXACT, FAST):
                coarse = sampling == FAST
                disturb(sums, count, lanes, scale, shone, slope, coarse, which, keys, drawn)
            elif sampling == MERGED:
                spread_out(sums, count, lanes, scale, shone, slope, spread, at, stride)
            if levels > 0.0 and dithered:
                collect_dithered(
                    sums, count, lanes, scale, levels, total, at, stride, which, keys, drawn
                )
            else:
                collect(sums, count, lanes, scale, levels, total, at, stride)


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
    coder: tuple[float, float, bool],
    out: Singles,
) -> tuple[float, float]:
    """Compute `photonpu.simulator.reference.stream`."""
    weights, panel, groups, lanes = panels
    blocks = (base.size + _BLOCK - 1) // _BLOCK
    keys, converter = schedule(key), coder_of(coder[0], coder[1], coder[2])
    found = np.zeros((blocks * groups.shape[0], FOUND), np.float32)
    counter = np.zeros(1, np.int64)
    for _ in prange(len(found)):  # the first of each thread does all of its work
        task = take(counter)
        while task < len(found):
            first_panel, last_panel, first_row, last_row = groups[task % groups.shape[0]]
            stride = (last_row - first_row + LANES - 1) // LANES * LANES
            begin = task // groups.shape[0] * _BLOCK
            end = min(base.size, begin + _BLOCK)
            here = np.empty(end - begin + PRODUCT, np.int32)  # the last product is a whole one
            here[: end - begin] = base[begin:end]
            here[end - begin :] = base[end - 1]
            sums = np.empty(here.size * LANES, np.float32)
            total = np.zeros(here.size * stride, np.float32)
            spread = np.empty(total.size if sampling == MERGED else 0, np.float32)
            drawn = np.empty(-(-here.size // TOGETHER) * DRAWN, np.float32)
            group = draw + begin // TOGETHER
            those = panel[first_panel:last_panel]
            if sampling == MERGED:
                floors(address(lanes), those, address(spread), here.size, stride)
            _block(
                address(field),
                address(here),
                end - begin,
                address(offset),
                address(weights),
                those,
                address(lanes),
                address(total),
                address(spread),
                stride,
                address(sums),
                address(power) + 4 * begin,
                power.shape[1],
                receiver,
                sampling,
                group,
                address(keys),
                address(drawn),
            )
            if sampling == MERGED:
                which = (group, those[0, 6], those[0, 7] - those[0, 4])
                merge(
                    address(total),
                    address(spread),
                    end - begin,
                    stride,
                    which,
                    address(keys),
                    address(drawn),
                )
            first, last = max(begin, lead), min(end, lead + place.size)
            hand_out(
                total[(first - begin) * stride :],
                max(0, last - first),
                stride,
                place[first - lead : max(first, last) - lead],
                row[first_row:last_row],
                bias[first_row:last_row],
                converter,
                out,
                found[task],
            )
            keep(here)
            keep(sums)
            keep(spread)
            keep(drawn)
            task = take(counter)
    return largest(found)


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
