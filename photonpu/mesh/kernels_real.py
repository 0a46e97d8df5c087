"""The elimination of eight real matrices side by side; see `kernels_elimination`.

Lines that no step needs before the next run of the same side wait for it, and pass both at once.
Arrays that lie in vectors are given by their addresses.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_math import arctan2_quarter
from photonpu.mesh.kernels_notes import Steps, note, run_of
from photonpu.mesh.kernels_scaled import (
    CROSSED,
    LARGEST,
    null_scaled,
    rescale,
    sweep_both,
    sweep_four,
    sweep_scaled,
)
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import Vector, address, any_less, keep, store, where_less
from photonpu.simd import load_doubles as load
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as root

Longs = NDArray[np.int64]

FIRST, COUNT, DIRECTION, WAITING = range(4)
_BYTES = 8
_CONTRACT = frozenset({"contract"})


@jit()
def runs_of(steps: Steps, ports: int) -> Longs:
    """Return the runs of an elimination: first step, count, direction, and how many lines can wait.

    Those are the last lines that nothing needs until the run after the next, if that begins two
    places before this one and ends with it.
    """
    left, pair, pivot, _ = steps
    runs = np.empty((left.size, 4), np.int64)
    found = first = 0
    while first < left.size:
        count, direction = run_of(steps, first)
        runs[found, FIRST], runs[found, COUNT], runs[found, DIRECTION] = first, count, direction
        runs[found, WAITING] = 0
        found += 1
        first += count
    for r in range(found - 2):
        this, other, later = runs[r], runs[r + 1], runs[r + 2]
        here, there, between = this[FIRST], later[FIRST], other[FIRST]
        if (
            left[between] != left[here]
            and left[there] == left[here]
            and later[DIRECTION] == this[DIRECTION]
            and later[COUNT] == this[COUNT] + 2
            and pair[there] == pair[here] - 2 * this[DIRECTION]
        ):
            one, another = pair[between], pair[between + other[COUNT] - 1]
            lowest, highest = min(one, another), max(one, another) + 1
            one, another = pivot[here + this[COUNT] - 1], pivot[there + later[COUNT] - 1]
            if left[here]:
                lines = ports - 1 - max(highest, one, another)
            else:
                lines = min(lowest, one, another)
            this[WAITING] = max(lines - lines % 4, 0)
    return runs[:found]


@jit(fastmath=_CONTRACT)
def _pass_lines(
    field: int, turns: int, place: int, line: int, stride: int, count: int, lines: int
) -> None:
    """Take `lines` lines through a run."""
    while lines >= 4:
        sweep_four(field, turns, place, line, stride, count)
        place += 4 * line
        lines -= 4
    for _ in range(lines):
        sweep_scaled(field, turns, place, stride, count)
        place += line


@jit(fastmath=_CONTRACT)
def _pass_both(
    field: int,
    earlier: int,
    later: int,
    place: int,
    line: int,
    stride: int,
    count: int,
    lines: int,
) -> None:
    """Take `lines` lines through two runs, of which the earlier has `count` rotations."""
    while lines >= 2:
        sweep_both(field, earlier, later, place, line, stride, count)
        place += 2 * line
        lines -= 2
    for _ in range(lines):
        sweep_scaled(field, earlier, place + 2 * stride, stride, count)
        sweep_scaled(field, later, place, stride, count + 2)


@jit(fastmath=_CONTRACT)
def _null_run(
    field: int,
    steps: Steps,
    run: Longs,
    place: int,
    line: int,
    stride: int,
    lines: int,
    weights: tuple[int, int],
    turns: int,
) -> Vector:
    """Eliminate by one run on its first `lines` lines; return the largest weight.

    These have all of its pivots. `place` is where the first of them meets the run; `turns` is
    filled with its rotations.
    """
    left, pair, pivot, _ = steps
    first, count, direction = run[FIRST], run[COUNT], run[DIRECTION]
    mine, across = weights
    keeps_first = left[first] == (direction > 0)
    onwards = 1 if left[first] else -1
    at = pivot[first]
    here, ahead = (pair[first] + (1 if direction < 0 else 0)) * LANES, direction * LANES
    one = spread(1.0)
    on_weight, largest = load(mine, here), one
    a = b = one
    done = passed = 0
    while passed < lines:
        begun, together = done, 4 if lines - passed >= 4 else 1
        if together == 4:
            sweep_four(field, turns, place, line, stride, begun)
        else:
            sweep_scaled(field, turns, place, stride, begun)
        for _ in range(together):
            element = place + begun * stride
            on = load(field, element)
            for k in range(begun, done - 1):
                met = load(field, element + stride)
                store(field, element, on + load(turns, 2 * k * LANES) * met)
                on = met - load(turns, (2 * k + 1) * LANES) * on
                element += stride
            if begun < done:  # by the newest, which is still at hand
                met = load(field, element + stride)
                store(field, element, on + a * met)
                on = met - b * on
                element += stride
            while done < count and pivot[first + done] == at:
                met, met_weight = load(field, element + stride), load(mine, here + ahead)
                line_weight = load(across, at * LANES)
                if keeps_first:
                    b, a, power = null_scaled(on, met, on_weight, met_weight, line_weight)
                else:
                    a, b, power = null_scaled(met, on, met_weight, on_weight, line_weight)
                    a, b = -a, -b
                store(turns, 2 * done * LANES, a)
                store(turns, (2 * done + 1) * LANES, b)
                store(field, element, on + a * met)
                on = met - b * on
                power = power + one
                on_weight = on_weight * power
                store(mine, here, on_weight)
                largest = where_less(largest, on_weight, on_weight, largest)
                on_weight = met_weight * power
                here += ahead
                element += stride
                done += 1
            store(field, element, on)
            place += line
            at += onwards
            passed += 1
    store(mine, here, on_weight)
    most: Vector = where_less(largest, on_weight, on_weight, largest)
    return most


@jit(fastmath=_CONTRACT)
def _note_run(
    steps: Steps,
    run: Longs,
    turns: int,
    turned: tuple[int, int],
    phases: tuple[int, int],
) -> None:
    """Keep the phases of a run's rotations, and what columns and rows should be turned by."""
    left, pair, _, slot = steps
    thetas, phis = phases
    zero, one, pi, crossed = spread(0.0), spread(1.0), spread(math.pi), spread(0.5 * CROSSED)
    first, count, direction = run[FIRST], run[COUNT], run[DIRECTION]
    side, ascends = left[first], direction > 0
    same = side == ascends
    lines = turned[1] if side else turned[0]
    at = pair[first] + (0 if ascends else 1)
    goes_on = load(lines, at * LANES)
    for k in range(count):
        power = load(turns, 2 * k * LANES) * load(turns, (2 * k + 1) * LANES)
        angle = arctan2_quarter(where_less(crossed, power, zero, one), root(power))
        store(thetas, slot[first + k] * LANES, angle + angle)
    for k in range(count):
        a, b = load(turns, 2 * k * LANES), load(turns, (2 * k + 1) * LANES)
        power = a * b
        dark = where_less(zero, power, where_less(crossed, power, one, zero), -one)
        signed = where_less(zero, dark, one, b if same else -b)
        zeta = where_less(signed, zero, pi, zero)
        place = slot[first + k] * LANES
        rotation = load(thetas, place), zeta, dark
        met = load(lines, (at + direction) * LANES)
        phi, stays, goes_on = note(side, ascends, rotation, goes_on, met)
        store(phis, place, phi)
        store(lines, at * LANES, stays)
        at += direction
    store(lines, at * LANES, goes_on)


@jit(fastmath=_CONTRACT)
def eliminate_real(
    field: int,
    ports: int,
    steps: Steps,
    runs: Longs,
    turned: tuple[int, int],
    phases: tuple[int, int],
) -> None:
    """Null the elements of real matrices run by run; what is left is their diagonal's signs."""
    left, pair, pivot, _ = steps
    strides = LANES, (ports + 1) * LANES  # from column to column, from row to row
    length = ports * LANES * _BYTES
    ones, rotations = np.ones(2 * ports * LANES), np.empty(8 * ports * LANES)
    weights, turns = address(ones), address(rotations)
    waiting = np.zeros(2, np.int64)  # how many lines of either side wait for their next run
    for r in range(len(runs)):
        run = runs[r]
        first, count, direction = run[FIRST], run[COUNT], run[DIRECTION]
        side = 1 if left[first] else 0
        begin = pair[first] + (1 if direction < 0 else 0)
        onwards = 1 if side else -1
        stride, line = direction * strides[side], onwards * strides[1 - side]
        place = begin * strides[side] + pivot[first] * strides[1 - side]
        lines = (ports if side else pivot[first] + 1) - (pivot[first] if side else 0)
        before = waiting[side]
        later = run[WAITING] if before == 0 else before
        near = lines - later
        mine = turns + (4 * side + (2 if before else 0)) * length
        pivots = (pivot[first + count - 1] - pivot[first]) * onwards + 1
        pivots = min(near, pivots + -pivots % 4)
        both = weights + side * length, weights + (1 - side) * length
        largest = _null_run(field, steps, run, place, line, stride, pivots, both, mine)
        _pass_lines(field, mine, place + pivots * line, line, stride, count, near - pivots)
        large = any_less(spread(LARGEST), largest)
        place += near * line
        if before:
            _pass_both(
                field, turns + 4 * side * length, mine, place, line, stride, count - 2, later
            )
        elif large:
            _pass_lines(field, mine, place, line, stride, count, later)
        waiting[side] = 0 if before or large else later
        if large:
            for i in range(ports):
                rescale(
                    field, weights + side * length, i, i * strides[side], strides[1 - side], ports
                )
        _note_run(steps, run, mine, turned, phases)
    keep(ones)
    keep(rotations)
