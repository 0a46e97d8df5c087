"""Products, and what becomes of them at the detectors: noise, the ADC's codes, their totals.

The outputs of one register of a tile for some vectors lie in `sums`, vector by vector, between the
steps here: they stay in the first-level cache. Arrays are given by their addresses.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from photonpu.jit import jit
from photonpu.simd import (
    LANES,
    fma,
    load_singles,
    maximum,
    minimum,
    repeat_single,
    rint,
    spread_singles,
    sqrt,
    store,
)
from photonpu.simulator.kernels_normal import TOGETHER, Key, coarse_normals, dithers, normals
from photonpu.simulator.kernels_product import make_panel_product

_F = np.float32

# Where the lanes of a register have what: the ADC's steps in one unit of output (1 for no ADC),
# the layer's units in one step, the detector's offset in steps, the variance of its noise at zero,
# and that for each unit of the squared length of the tile's input.
STEPS, UNIT, SHIFT, FLOOR, SHARE = (LANES * i for i in range(5))
QUANTITIES = 5

#: Vectors of one product: their sums, and what they meet, fill the registers of AVX2.
PRODUCT = 6
_product = make_panel_product(PRODUCT, 1)


@jit()
def multiply(
    field: int,
    base: int,
    count: int,
    offset: int,
    low: int,
    high: int,
    weights: int,
    begin: int,
    sums: int,
) -> None:
    """Write the products of `count` vectors, rounded up to whole ones, with one register."""
    at = 0
    for v in range(0, count, PRODUCT):
        y0, y1, y2, y3, y4, y5 = _product(field, base, v, offset, low, high, weights, begin, 0)
        store(sums, at, y0)
        store(sums, at + LANES, y1)
        store(sums, at + 2 * LANES, y2)
        store(sums, at + 3 * LANES, y3)
        store(sums, at + 4 * LANES, y4)
        store(sums, at + 5 * LANES, y5)
        at += PRODUCT * LANES


@jit()
def _add(start: int, at: int, value: Any) -> None:
    """Add a register to what an array holds."""
    store(start, at, value + load_singles(start, at))


@jit()
def _blur(sums: int, at: int, number: Any, floor: Any, slope: Any) -> None:
    """Add detector noise to a register of outputs."""
    y = load_singles(sums, at)
    store(sums, at, fma(sqrt(fma(slope * y, y, floor)), number, y))


@jit(forceinline=True)
def disturb(
    sums: int,
    count: int,
    lanes: int,
    lane: int,
    powers: int,
    slope_variance: float,
    coarse: bool,
    draw: tuple[int, int, int],
    key: Key,
) -> None:
    """Add detector noise to the outputs of `count` vectors, of which `draw` keys the first four.

    `powers` is where the squared lengths of their inputs are. Written out for either way to draw.
    """
    group, tile, register = draw
    slope = spread_singles(_F(slope_variance))
    floor = load_singles(lanes, lane + FLOOR)
    share = load_singles(lanes, lane + SHARE)
    for v in range(0, count, TOGETHER):
        if coarse:
            n0, n1, n2, n3 = coarse_normals(group, tile, register, key)
        else:
            n0, n1, n2, n3 = normals(group, tile, register, key)
        f0 = f1 = f2 = f3 = floor
        if powers:
            f0 = fma(share, repeat_single(powers, v), floor)
            f1 = fma(share, repeat_single(powers, v + 1), floor)
            f2 = fma(share, repeat_single(powers, v + 2), floor)
            f3 = fma(share, repeat_single(powers, v + 3), floor)
        at = v * LANES
        _blur(sums, at, n0, f0, slope)
        _blur(sums, at + LANES, n1, f1, slope)
        _blur(sums, at + 2 * LANES, n2, f2, slope)
        _blur(sums, at + 3 * LANES, n3, f3, slope)
        group += 1


@jit()
def _digitise(y: Any, levels: float, inverse: Any, shift: Any) -> Any:
    """Round a register of outputs to codes of the ADC."""
    code = minimum(rint(fma(y, inverse, shift)), spread_singles(_F(levels)))
    return maximum(code, spread_singles(_F(-levels)))


@jit()
def collect(
    sums: int,
    count: int,
    lanes: int,
    lane: int,
    levels: float,
    total: int,
    at: int,
    stride: int,
) -> None:
    """Digitise the outputs of `count` vectors and add them to their totals, `stride` apart."""
    inverse = load_singles(lanes, lane + STEPS)
    unit = load_singles(lanes, lane + UNIT)
    shift = load_singles(lanes, lane + SHIFT)
    if levels > 0.0:
        for v in range(count):
            code = _digitise(load_singles(sums, v * LANES), levels, inverse, shift)
            _add(total, at + v * stride, code * unit)
    else:
        for v in range(count):
            code = fma(load_singles(sums, v * LANES), inverse, shift)
            _add(total, at + v * stride, code * unit)


@jit()
def collect_dithered(
    sums: int,
    count: int,
    lanes: int,
    lane: int,
    levels: float,
    total: int,
    at: int,
    stride: int,
    draw: tuple[int, int, int],
    key: Key,
) -> None:
    """As `collect`, by an ADC that rounds up as often as the code's fraction says."""
    inverse = load_singles(lanes, lane + STEPS)
    unit = load_singles(lanes, lane + UNIT)
    shift = load_singles(lanes, lane + SHIFT)
    group, tile, register = draw
    for v in range(0, count, TOGETHER):
        y = v * LANES
        d0, d1, d2, d3 = dithers(group, tile, register, key)
        y0 = _digitise(load_singles(sums, y), levels, inverse, shift + d0)
        y1 = _digitise(load_singles(sums, y + LANES), levels, inverse, shift + d1)
        y2 = _digitise(load_singles(sums, y + 2 * LANES), levels, inverse, shift + d2)
        y3 = _digitise(load_singles(sums, y + 3 * LANES), levels, inverse, shift + d3)
        place = at + v * stride
        _add(total, place, y0 * unit)
        _add(total, place + stride, y1 * unit)
        _add(total, place + 2 * stride, y2 * unit)
        _add(total, place + 3 * stride, y3 * unit)
        group += 1


@jit()
def spread_out(
    sums: int,
    count: int,
    lanes: int,
    lane: int,
    powers: int,
    slope_variance: float,
    spread: int,
    at: int,
    stride: int,
) -> None:
    """Add to `spread` the variances of the noise that `disturb` would draw."""
    gain = load_singles(lanes, lane + STEPS) * load_singles(lanes, lane + UNIT)
    square = gain * gain
    floor = load_singles(lanes, lane + FLOOR) * square
    share = load_singles(lanes, lane + SHARE) * square
    slope = spread_singles(_F(slope_variance)) * square
    for v in range(count):
        y = load_singles(sums, v * LANES)
        variance = fma(slope * y, y, floor)
        if powers:
            variance = fma(share, repeat_single(powers, v), variance)
        _add(spread, at + v * stride, variance)


@jit()
def merge(
    total: int, spread: int, count: int, stride: int, draw: tuple[int, int, int], key: Key
) -> None:
    """Add to the totals of `count` vectors noise of the variances in `spread`.

    `draw` numbers the first four vectors, the tile, and the register of the first outputs.
    """
    group, tile, register = draw
    for v in range(0, count, TOGETHER):
        for column in range(stride // LANES):
            n0, n1, n2, n3 = normals(group, tile, register + column, key)
            at = v * stride + LANES * column
            _add(total, at, n0 * sqrt(load_singles(spread, at)))
            at += stride
            _add(total, at, n1 * sqrt(load_singles(spread, at)))
            at += stride
            _add(total, at, n2 * sqrt(load_singles(spread, at)))
            at += stride
            _add(total, at, n3 * sqrt(load_singles(spread, at)))
        group += 1
