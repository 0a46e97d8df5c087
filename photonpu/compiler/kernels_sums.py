"""The largest partial sums of tiles; `photonpu.compiler.reference_ranges` says what they are.

Sixteen rows of a tile are one vector, and six vectors of inputs meet it while it is in a register:
as many sums as the registers of AVX2 hold. Each is added up input by input. Inputs are gathered
from what windows see just before they are used; all of them together may be larger than the cache.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.compiler.kernels_windows import Lines
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


@jit()
def _gather(
    lines: Lines, each: int, span: tuple[int, int], place: tuple[int, int], found: Singles
) -> None:
    """Copy columns of a span of the vectors; `place` is the first of these columns, and how many.

    Columns go by group, tap, and channel of the group, which has `each` of them.
    """
    taps, channels, put = lines.at.shape[1], lines.pixels.shape[1], 0
    pixels = lines.pixels.reshape(-1)
    while put < place[1]:
        column = place[0] + put
        tap, channel = column // each % taps, column % each
        begin = column // (each * taps) * each + channel
        run = min(each - channel, place[1] - put)
        for v in range(span[1] - span[0]):
            source = lines.at[span[0] + v, tap] * channels + begin
            target = v * place[1] + put
            k = 0
            while k + LANES <= run:
                store(found, target + k, load_singles(lines.pixels, source + k))
                k += LANES
            while k < run:
                found[target + k] = pixels[source + k]
                k += 1
        put += run


@jit(fastmath=_CONTRACT)
def _members(
    lines: Lines, each: int, numbers: Singles, members: Longs, places: Longs, largest: Singles
) -> None:
    """Fill in the largest sums of tiles that read the same inputs."""
    ports, count = numbers.shape[1], len(lines.at)
    column, width = places[members[0], 0], places[members[0], 1]
    sixteens = -(-ports // LANES)
    panels = np.zeros((members.size, sixteens * LANES * ports), np.float32)
    peaks = np.zeros((members.size, 2 * LANES), np.float32)
    for m in range(members.size):
        _panels(numbers[members[m]], width, panels[m])
    near = np.empty(_NEAR * width, np.float32)
    for first in range(0, count, _NEAR):
        last = min(first + _NEAR, count)
        _gather(lines, each, (first, last), (column, width), near)
        start = address(near)
        for m in range(members.size):
            for sixteen in range(-(-places[members[m], 2] // LANES)):
                panel = address(panels[m]) + 4 * sixteen * LANES * ports
                v = 0
                while v + _TOGETHER <= last - first:
                    _six(start + 4 * v * width, width, width, panel, peaks[m])
                    v += _TOGETHER
                while v < last - first:
                    _one(start + 4 * v * width, width, panel, peaks[m])
                    v += 1
    for m in range(members.size):
        found, wrong = np.float32(0.0), np.float32(0.0)
        for lane in range(LANES):
            found = max(found, peaks[m, lane])
            wrong += peaks[m, LANES + lane]
        largest[members[m]] = found + wrong


@jit(parallel=True, fastmath=_CONTRACT)
def _all(
    lines: Lines, each: int, numbers: Singles, order: Longs, starts: Longs, places: Longs
) -> Singles:
    """Return the largest sums of all tiles."""
    largest = np.zeros(len(numbers), np.float32)
    for group in prange(starts.size - 1):
        members = order[starts[group] : starts[group + 1]]
        _members(lines, each, numbers, members, places, largest)
    return largest


@jit(fastmath=_CONTRACT)
def _all_alone(
    lines: Lines, each: int, numbers: Singles, order: Longs, starts: Longs, places: Longs
) -> Singles:
    """Do what `_all` does, on the thread that calls it."""
    largest = np.zeros(len(numbers), np.float32)
    for group in range(starts.size - 1):
        members = order[starts[group] : starts[group + 1]]
        _members(lines, each, numbers, members, places, largest)
    return largest


def largest_sums(lines: Lines, groups: int, numbers: Singles, places: Longs) -> Singles:
    """Compute `photonpu.compiler.reference_ranges.largest_sums` of what windows see.

    Parameters
    ----------
    lines
        What they see.
    groups
        Of the product: `photonpu.compiler.kernels_windows.gathered` says what its vectors are.
    numbers, places
        As there.

    Returns
    -------
    ndarray
        (T,); NaN where a sum is not finite.
    """
    each = lines.pixels.shape[1] // groups
    return np.asarray(_all(lines, each, numbers, *_sharing(places), places))


def largest_sums_alone(lines: Lines, groups: int, numbers: Singles, places: Longs) -> Singles:
    """Compute `largest_sums` on the thread that calls it; several may at the same time."""
    each = lines.pixels.shape[1] // groups
    return np.asarray(_all_alone(lines, each, numbers, *_sharing(places), places))


def _sharing(places: Longs) -> tuple[Longs, Longs]:
    """Return tiles in the order of their inputs, and where those begin that read the same."""
    order = np.lexsort((places[:, 1], places[:, 0]))
    fresh = np.any(np.diff(places[order, :2], axis=0, prepend=-1), axis=1)
    return order, np.append(np.flatnonzero(fresh), len(order))
