"""The largest partial sums of tiles; `photonpu.compiler.reference_ranges` says what they are.

Sixteen rows of a tile are one vector, and six vectors of inputs meet it while it is in a register:
as many sums as the registers of AVX2 hold. Each is added up input by input.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import (
    LANES,
    Vector,
    address,
    load_singles,
    maximum,
    repeat_single,
    spread_singles,
    store,
)

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]

_CONTRACT = frozenset({"contract"})
_TOGETHER = 6  # inputs whose sums are in registers at once
_NEAR = 8 * _TOGETHER  # inputs that stay in the cache while tiles pass
_PART = 512  # inputs, at least, that one thread takes at a time


@jit(fastmath=_CONTRACT, forceinline=True)
def _met(largest: Vector, wrong: Vector, sums: Vector) -> tuple[Vector, Vector]:
    """Return the larger of two sizes, and a number that is 0 as long as all sums are finite."""
    nothing = spread_singles(np.float32(0.0))
    return maximum(maximum(sums, nothing - sums), largest), wrong + sums * nothing


@jit(fastmath=_CONTRACT)
def _six(inputs: int, pitch: int, width: int, panel: int, peaks: Singles) -> None:
    """Let six inputs meet sixteen rows; widen the largest sums and what is wrong in `peaks`."""
    a0 = a1 = a2 = a3 = a4 = a5 = spread_singles(np.float32(0.0))
    for k in range(width):
        w = load_singles(panel, k * LANES)
        a0 = a0 + repeat_single(inputs, k) * w
        a1 = a1 + repeat_single(inputs, k + pitch) * w
        a2 = a2 + repeat_single(inputs, k + 2 * pitch) * w
        a3 = a3 + repeat_single(inputs, k + 3 * pitch) * w
        a4 = a4 + repeat_single(inputs, k + 4 * pitch) * w
        a5 = a5 + repeat_single(inputs, k + 5 * pitch) * w
    largest, wrong = load_singles(peaks, 0), load_singles(peaks, LANES)
    largest, wrong = _met(largest, wrong, a0)
    largest, wrong = _met(largest, wrong, a1)
    largest, wrong = _met(largest, wrong, a2)
    largest, wrong = _met(largest, wrong, a3)
    largest, wrong = _met(largest, wrong, a4)
    largest, wrong = _met(largest, wrong, a5)
    store(peaks, 0, largest)
    store(peaks, LANES, wrong)


@jit(fastmath=_CONTRACT)
def _one(inputs: int, width: int, panel: int, peaks: Singles) -> None:
    """Do for one input what `_six` does."""
    sums = spread_singles(np.float32(0.0))
    for k in range(width):
        sums = sums + repeat_single(inputs, k) * load_singles(panel, k * LANES)
    largest, wrong = _met(load_singles(peaks, 0), load_singles(peaks, LANES), sums)
    store(peaks, 0, largest)
    store(peaks, LANES, wrong)


@jit(fastmath=_CONTRACT)
def _panels(numbers: Singles, width: int, panels: Singles) -> None:
    """Copy a tile to `panels`: of each sixteen rows all of the first column, of the second..."""
    ports = len(numbers)
    for row in range(ports):
        begin = row // LANES * ports * LANES + row % LANES
        for k in range(width):
            panels[begin + k * LANES] = numbers[row, k]


@jit(fastmath=_CONTRACT)
def _part(
    vectors: Singles,
    span: tuple[int, int],
    numbers: Singles,
    members: Longs,
    places: Longs,
    largest: Singles,
) -> None:
    """Fill in the largest sums of tiles that read the same inputs over a span of the vectors."""
    ports, pitch = numbers.shape[1], vectors.shape[1]
    column, width = places[members[0], 0], places[members[0], 1]
    sixteens = -(-ports // LANES)
    panels = np.zeros((members.size, sixteens * LANES * ports), np.float32)
    peaks = np.zeros((members.size, 2 * LANES), np.float32)
    for m in range(members.size):
        _panels(numbers[members[m]], width, panels[m])
    start = address(vectors) + 4 * column
    for first in range(span[0], span[1], _NEAR):
        last = min(first + _NEAR, span[1])
        for m in range(members.size):
            for sixteen in range(-(-places[members[m], 2] // LANES)):
                panel = address(panels[m]) + 4 * sixteen * LANES * ports
                v = first
                while v + _TOGETHER <= last:
                    _six(start + 4 * v * pitch, pitch, width, panel, peaks[m])
                    v += _TOGETHER
                while v < last:
                    _one(start + 4 * v * pitch, width, panel, peaks[m])
                    v += 1
    for m in range(members.size):
        found, wrong = np.float32(0.0), np.float32(0.0)
        for lane in range(LANES):
            found = max(found, peaks[m, lane])
            wrong += peaks[m, LANES + lane]
        largest[members[m]] = found + wrong


@jit(parallel=True, fastmath=_CONTRACT)
def _all(
    vectors: Singles,
    numbers: Singles,
    order: Longs,
    starts: Longs,
    places: Longs,
    parts: int,
) -> Singles:
    """Return the largest sums over each of several parts of the vectors."""
    count, groups = len(vectors), starts.size - 1
    largest = np.zeros((parts, len(numbers)), np.float32)
    for task in prange(parts * groups):
        part, group = task // groups, task % groups
        span = part * count // parts, (part + 1) * count // parts
        members = order[starts[group] : starts[group + 1]]
        _part(vectors, span, numbers, members, places, largest[part])
    return largest


def largest_sums(vectors: Singles, numbers: Singles, places: Longs) -> Singles:
    """Compute `photonpu.compiler.reference_ranges.largest_sums`; NaN where a sum is not finite."""
    order = np.lexsort((places[:, 1], places[:, 0]))
    fresh = np.any(np.diff(places[order, :2], axis=0, prepend=-1), axis=1)
    starts = np.append(np.flatnonzero(fresh), len(order))
    parts = max(1, len(vectors) // _PART)
    return np.asarray(_all(vectors, numbers, order, starts, places, parts).max(axis=0))
