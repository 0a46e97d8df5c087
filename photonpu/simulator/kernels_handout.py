"""Totals handed out to a tensor or to the next step's field, for `photonpu.simulator.kernels`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import (
    DOUBLE_LANES,
    address,
    load_eights,
    maximum,
    spread_eights,
    store,
    transposed,
    wider,
)
from photonpu.simulator.kernels_layout import Coder, coded, coded_one

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]

FOUND = 32  # numbers that a task notes of what it handed out: two lines of the cache
_F = np.float32


@jit()
def _neighbours(row: Longs) -> bool:
    """Return whether each whole eight of rows are neighbours where they go, and there are some."""
    whole = row.size - row.size % DOUBLE_LANES
    for j in range(whole):
        if row[j] != row[j - j % DOUBLE_LANES] + j % DOUBLE_LANES:
            return False
    return whole > 0


@jit()
def _hand_one(value: np.float32, coder: Coder, out: Singles, at: int, found: Singles) -> None:
    """Write one number, and note what it adds to what was found."""
    size, most = abs(value), found[2 * DOUBLE_LANES]
    if not (most >= size or most != most):
        found[2 * DOUBLE_LANES] = size
    found[2 * DOUBLE_LANES + 1] = max(found[2 * DOUBLE_LANES + 1], value)
    out[at] = coded_one(value, coder) if coder[1] > 0.0 else value


@jit()
def _hand_rows(
    total: Singles,
    count: int,
    stride: int,
    place: Longs,
    row: Longs,
    bias: Singles,
    coder: Coder,
    out: Singles,
    found: Singles,
) -> None:
    """Write totals of which each eight rows are neighbours where they go."""
    whole = row.size - row.size % DOUBLE_LANES
    source, target = address(total), address(out)
    most, top = spread_eights(_F(0.0)), spread_eights(_F(0.0))
    for v in range(count):
        at, start = v * stride, place[v]
        for j in range(0, whole, DOUBLE_LANES):
            value = load_eights(source, at + j) + load_eights(bias, j)
            most, top = wider(value, most), maximum(value, top)
            if coder[1] > 0.0:
                value = coded(value, coder)
            store(target, start + row[j], value)
        for j in range(whole, row.size):
            _hand_one(total[at + j] + bias[j], coder, out, start + row[j], found)
    store(found, 0, most)
    store(found, DOUBLE_LANES, top)


@jit()
def _hand_squares(
    total: Singles,
    count: int,
    stride: int,
    place: Longs,
    row: Longs,
    bias: Singles,
    coder: Coder,
    out: Singles,
    found: Singles,
) -> None:
    """Write totals of which neighbouring vectors may be neighbours where they go."""
    first, whole = 0, row.size - row.size % DOUBLE_LANES
    source, target = address(total), address(out)
    most, top = spread_eights(_F(0.0)), spread_eights(_F(0.0))
    while first < count:
        step = place[first + 1] - place[first] if first + 1 < count else 1
        last = first + 1
        while last < count and place[last] - place[last - 1] == step:
            last += 1
        at, start = first * stride, place[first]
        square = (last - first) // DOUBLE_LANES * DOUBLE_LANES if step == 1 else 0
        for j in range(0, whole if square else 0, DOUBLE_LANES):  # few lines of the cache at once
            offset = load_eights(bias, j)
            for v in range(0, square, DOUBLE_LANES):
                y = at + v * stride + j
                x0 = load_eights(source, y) + offset
                x1 = load_eights(source, y + stride) + offset
                x2 = load_eights(source, y + 2 * stride) + offset
                x3 = load_eights(source, y + 3 * stride) + offset
                x4 = load_eights(source, y + 4 * stride) + offset
                x5 = load_eights(source, y + 5 * stride) + offset
                x6 = load_eights(source, y + 6 * stride) + offset
                x7 = load_eights(source, y + 7 * stride) + offset
                most = wider(x3, wider(x2, wider(x1, wider(x0, most))))
                most = wider(x7, wider(x6, wider(x5, wider(x4, most))))
                top = maximum(x3, maximum(x2, maximum(x1, maximum(x0, top))))
                top = maximum(x7, maximum(x6, maximum(x5, maximum(x4, top))))
                if coder[1] > 0.0:
                    x0, x1, x2 = coded(x0, coder), coded(x1, coder), coded(x2, coder)
                    x3, x4, x5 = coded(x3, coder), coded(x4, coder), coded(x5, coder)
                    x6, x7 = coded(x6, coder), coded(x7, coder)
                columns = transposed((x0, x1, x2, x3, x4, x5, x6, x7))
                store(target, start + v + row[j], columns[0])
                store(target, start + v + row[j + 1], columns[1])
                store(target, start + v + row[j + 2], columns[2])
                store(target, start + v + row[j + 3], columns[3])
                store(target, start + v + row[j + 4], columns[4])
                store(target, start + v + row[j + 5], columns[5])
                store(target, start + v + row[j + 6], columns[6])
                store(target, start + v + row[j + 7], columns[7])
        for v in range(last - first):
            for j in range(whole if v < square else 0, row.size):
                one = total[at + v * stride + j] + bias[j]
                _hand_one(one, coder, out, start + v * step + row[j], found)
        first = last
    store(found, 0, most)
    store(found, DOUBLE_LANES, top)


@jit()
def hand_out(
    total: Singles,
    count: int,
    stride: int,
    place: Longs,
    row: Longs,
    bias: Singles,
    coder: Coder,
    out: Singles,
    found: Singles,
) -> None:
    """Write the totals of `count` vectors to their places.

    `found` is filled: the largest magnitudes, then the largest numbers, lane by lane and of others.
    """
    if _neighbours(row):
        _hand_rows(total, count, stride, place, row, bias, coder, out, found)
    else:
        _hand_squares(total, count, stride, place, row, bias, coder, out, found)


@jit()
def largest(found: Singles) -> tuple[float, float]:
    """Return the largest magnitude, NaN where any is, and the largest number of all tasks."""
    size = top = _F(0.0)
    for task in range(found.shape[0]):
        for lane in range(DOUBLE_LANES):
            one = found[task, lane]
            size = size if size >= one or size != size else one
            top = max(top, found[task, DOUBLE_LANES + lane])
        one = found[task, 2 * DOUBLE_LANES]
        size = size if size >= one or size != size else one
        top = max(top, found[task, 2 * DOUBLE_LANES + 1])
    return float(size), float(top)
