"""Products, and what becomes of them at the detectors: noise, the ADC's codes, their totals.

The outputs of one register of a tile for some vectors lie in `sums`, vector by vector, between the
steps here: they stay in the first-level cache. Arrays are given by their addresses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import (
    LANES,
    fma,
    load_singles,
    load_words,
    maximum,
    minimum,
    repeat_single,
    rint,
    spread_singles,
    sqrt,
    store,
)
from photonpu.simulator.kernels_normal import TOGETHER, direction, dithers, points
from photonpu.simulator.kernels_product import (
    PRODUCT,
    make_panel_detection,
    make_panel_product,
)

Longs = NDArray[np.int64]

_F = np.float32

# Where the lanes of a register have what: the ADC's steps in one unit of output (1 for no ADC),
# the layer's units in one step, the detector's offset in steps, the variance of its noise at zero,
# and that for each unit of the squared length of the tile's input.
STEPS, UNIT, SHIFT, FLOOR, SHARE = (LANES * i for i in range(5))
QUANTITIES = 5

_product = make_panel_product(PRODUCT)
_detection = make_panel_detection(PRODUCT, spreads=False)
_spreading = make_panel_detection(PRODUCT, spreads=True)


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
    for v in range(0, count, PRODUCT):
        _product(field, base, v, offset, low, high, weights, begin, sums, v * LANES)


@jit()
def _add(start: int, at: int, value: Any) -> None:
    """Add a register to what an array holds."""
    store(start, at, value + load_singles(start, at))


@jit(forceinline=True)
def _scatter(start: int, at: int, distance: Any, variance: Any, place: Any) -> None:
    """Add to a register the place of a point, so far out, for a normal number's variance."""
    store(start, at, fma(sqrt(variance * distance), place, load_singles(start, at)))


@jit(forceinline=True)
def _blur(sums: int, at: int, distance: Any, place: Any, floor: Any, slope: Any) -> None:
    """Add detector noise to a register of outputs."""
    y = load_singles(sums, at)
    _scatter(sums, at, distance, fma(slope * y, y, floor), place)


@jit()
def disturb(
    sums: int,
    count: int,
    lanes: int,
    lane: int,
    powers: int,
    slope_variance: float,
    coarse: bool,
    draw: tuple[int, int, int],
    keys: int,
    drawn: int,
) -> None:
    """Add detector noise to the outputs of `count` vectors, of which `draw` keys the first four.

    `powers` is where the squared lengths of their inputs are, `drawn` where there is room for
    what is drawn.
    """
    group, tile, register = draw
    points(drawn, (count + TOGETHER - 1) // TOGETHER, group, tile, register, keys, coarse)
    slope = spread_singles(_F(slope_variance))
    floor = load_singles(lanes, lane + FLOOR)
    share = load_singles(lanes, lane + SHARE)
    for v in range(0, count, 2):
        at = v * LANES
        f0 = f1 = floor
        if powers:
            f0 = fma(share, repeat_single(powers, v), floor)
            f1 = fma(share, repeat_single(powers, v + 1), floor)
        distance = load_singles(drawn, at)
        cos, sin = direction(load_words(drawn, at + LANES))
        _blur(sums, at, distance, cos, f0, slope)
        _blur(sums, at + LANES, distance, sin, f1, slope)


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
    keys: int,
    drawn: int,
) -> None:
    """As `collect`, by an ADC that rounds up as often as the code's fraction says."""
    inverse = load_singles(lanes, lane + STEPS)
    unit = load_singles(lanes, lane + UNIT)
    shift = load_singles(lanes, lane + SHIFT)
    group, tile, register = draw
    dithers(drawn, (count + TOGETHER - 1) // TOGETHER, group, tile, register, keys)
    for v in range(count):
        dither = load_singles(drawn, v * LANES)
        code = _digitise(load_singles(sums, v * LANES), levels, inverse, shift + dither)
        _add(total, at + v * stride, code * unit)


@jit()
def floors(lanes: int, panel: Longs, spread: int, count: int, stride: int) -> None:
    """Write to `spread` the variances at zero of all noise that `disturb` would draw.

    `panel` are those of some rows, whose variances add up; they are `count` vectors' alike.
    """
    nothing = spread_singles(_F(0.0))
    for at in range(0, stride, LANES):
        store(spread, at, nothing)
    for i in range(panel.shape[0]):
        for column in range(panel[i, 5]):
            lane = panel[i, 3] + QUANTITIES * LANES * column
            gain = load_singles(lanes, lane + STEPS) * load_singles(lanes, lane + UNIT)
            floor = load_singles(lanes, lane + FLOOR)
            _add(spread, LANES * (panel[i, 4] + column), floor * (gain * gain))
    for at in range(stride, count * stride, LANES):
        store(spread, at, load_singles(spread, at - stride))


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
    """Add to `spread` the variances of the noise that `disturb` would draw, but for `floors`'s."""
    gain = load_singles(lanes, lane + STEPS) * load_singles(lanes, lane + UNIT)
    square = gain * gain
    share = load_singles(lanes, lane + SHARE) * square
    slope = spread_singles(_F(slope_variance)) * square
    for v in range(count):
        y = load_singles(sums, v * LANES)
        variance = fma(slope * y, y, load_singles(spread, at + v * stride))
        if powers:
            variance = fma(share, repeat_single(powers, v), variance)
        store(spread, at + v * stride, variance)


@jit()
def detect(
    inputs: tuple[int, int, int, int, int, int, int],
    count: int,
    registers: int,
    lanes: int,
    levels: float,
    slope_variance: float,
    total: int,
    spread: int,
    at: int,
    stride: int,
) -> None:
    """Do what `multiply`, `collect` and, unless `spread` is 0, `spread_out` do, in registers.

    `inputs` are those of `multiply` without the count: powers, and an ADC that rounds by chance or
    not at all, have no part in it.
    """
    field, base, offset, low, high, weights, begin = inputs
    top, slope = _F(levels), _F(slope_variance)
    for v in range(0, count, PRODUCT):
        place, weight, quantities = at + v * stride, begin, lanes
        for _ in range(registers):
            if spread:
                _spreading(
                    field,
                    base,
                    v,
                    offset,
                    low,
                    high,
                    weights,
                    weight,
                    quantities,
                    top,
                    slope,
                    total,
                    spread,
                    place,
                    stride,
                )
            else:
                _detection(
                    field,
                    base,
                    v,
                    offset,
                    low,
                    high,
                    weights,
                    weight,
                    quantities,
                    top,
                    slope,
                    total,
                    spread,
                    place,
                    stride,
                )
            place += LANES
            weight += LANES * (high - low)
            quantities += 4 * QUANTITIES * LANES


@jit()
def merge(
    total: int,
    spread: int,
    count: int,
    stride: int,
    draw: tuple[int, int, int],
    keys: int,
    drawn: int,
) -> None:
    """Add to the totals of `count` vectors noise of the variances in `spread`.

    `draw` numbers the first four vectors, the tile, and the register of the first outputs.
    """
    group, tile, register = draw
    for column in range(stride // LANES):
        groups = (count + TOGETHER - 1) // TOGETHER
        points(drawn, groups, group, tile, register + column, keys, False)
        for v in range(0, count, 2):
            distance = load_singles(drawn, v * LANES)
            cos, sin = direction(load_words(drawn, v * LANES + LANES))
            at = v * stride + LANES * column
            _scatter(total, at, distance, load_singles(spread, at), cos)
            at += stride
            _scatter(total, at, distance, load_singles(spread, at), sin)
