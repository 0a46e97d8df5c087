"""The compiled elimination; what it computes is written out in `photonpu.mesh.reference`.

`LANES` matrices are one iteration of the parallel loop. Rotations carry no common phases: what
each row and column should have been turned by is kept aside, and real matrices stay real.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_abreast import load_abreast, unload
from photonpu.mesh.kernels_math import arctan2_lanes, reduce_lanes, wrap_lanes
from photonpu.mesh.kernels_sweeps import (
    null_complex,
    null_real,
    sweep_complex,
    sweep_four_real,
    sweep_real,
)
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import Vector, store, where_less
from photonpu.simd import load_doubles as load
from photonpu.simd import size_doubles as size
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as root
from photonpu.tasks import take

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
Steps = tuple[Flags, Ints, Ints, Ints]

_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _run(steps: Steps, first: int) -> tuple[int, int]:
    """Return how many steps from `first` on make a run, and whether their pairs go up or down.

    All act on one side, each shares a row or column with the one before, and the line in which
    they make a zero moves only to where all lines still meet the steps before.
    """
    left, pair, pivot, _ = steps
    onwards = 1 if left[first] else -1
    direction = 1
    end = first + 1
    while end < left.size and left[end] == left[first]:
        step = pair[end] - pair[end - 1]
        if step * step != 1 or (end > first + 1 and step != direction):
            break
        if (pivot[end] - pivot[end - 1]) * onwards < 0:
            break
        direction = step
        end += 1
    return end - first, direction


@jit(fastmath=_CONTRACT)
def _note_split(splits: Floats, k: int, s: Vector, v_size: Vector, zeta: Vector) -> None:
    """Keep theta, zeta, and a flag: -1 where only v is 0, 1 where only s is, else 0."""
    zero, one = spread(0.0), spread(1.0)
    store(splits, 3 * k * LANES, spread(2.0) * arctan2_lanes(s, v_size))
    store(splits, (3 * k + 1) * LANES, zeta)
    dark = where_less(zero, v_size, where_less(zero, s, zero, one), -one)
    store(splits, (3 * k + 2) * LANES, dark)


@jit(fastmath=_CONTRACT)
def _note_right(splits: Floats, k: int, turned: Floats, m: int) -> Vector:
    """Turn columns `m` and ``m + 1`` by what step `k` of a run leaves aside; return its phi."""
    theta = load(splits, 3 * k * LANES)
    zeta = load(splits, (3 * k + 1) * LANES)
    dark = load(splits, (3 * k + 2) * LANES)
    upper, lower = load(turned, m * LANES), load(turned, (m + 1) * LANES)
    zero, pi = spread(0.0), spread(math.pi)
    common = spread(0.5 * math.pi) - spread(0.5) * theta
    bar = where_less(dark, zero, upper - pi, lower - zeta)
    cross = where_less(zero, dark, upper - pi, lower)
    store(turned, m * LANES, reduce_lanes(bar + common))
    store(turned, (m + 1) * LANES, reduce_lanes(cross + common))
    phi: Vector = where_less(zero, size(dark), zero, wrap_lanes(upper - lower + pi + zeta))
    return phi


@jit(fastmath=_CONTRACT)
def _note_left(splits: Floats, k: int, turned: Floats, m: int) -> Vector:
    """Turn rows `m` and ``m + 1`` by what step `k` of a run leaves aside; return its phi."""
    theta = load(splits, 3 * k * LANES)
    zeta = load(splits, (3 * k + 1) * LANES)
    dark = load(splits, (3 * k + 2) * LANES)
    upper, lower = load(turned, m * LANES), load(turned, (m + 1) * LANES)
    zero, pi = spread(0.0), spread(math.pi)
    common = spread(0.5 * math.pi) + spread(0.5) * theta
    bar = where_less(dark, zero, upper, lower + zeta)
    cross = where_less(zero, dark, upper, lower) - pi
    store(turned, m * LANES, reduce_lanes(bar + common))
    store(turned, (m + 1) * LANES, reduce_lanes(cross + common))
    phi: Vector = where_less(zero, size(dark), zero, wrap_lanes(lower - upper + zeta))
    return phi


@jit(fastmath=_CONTRACT)
def _note(
    steps: Steps,
    first: int,
    count: int,
    splits: Floats,
    turned: tuple[Floats, Floats],
    phases: tuple[Floats, Floats],
) -> None:
    """Keep theta and phi of a run's steps, and what columns and rows should be turned by."""
    left, pair, _, slot = steps
    columns, rows = turned
    theta, phi = phases
    for k in range(count):
        place = slot[first + k] * LANES
        store(theta, place, load(splits, 3 * k * LANES))
        if left[first]:
            store(phi, place, _note_left(splits, k, rows, pair[first + k]))
        else:
            store(phi, place, _note_right(splits, k, columns, pair[first + k]))


@jit(fastmath=_CONTRACT)
def _run_real(
    field: Floats, ports: int, steps: Steps, first: int, run: tuple[int, int], turns: Floats
) -> None:
    """Eliminate by one run of steps, all of one side; fill `turns` with its rotations."""
    left, pair, pivot, _ = steps
    count, direction = run
    row, column = (ports + 1) * LANES, LANES
    stride, line = (row, column) if left[first] else (column, row)
    start = (pair[first] + (1 if direction < 0 else 0)) * stride
    stride *= direction
    keeps_first = left[first] == (direction > 0)
    onwards = 1 if left[first] else -1
    last = ports if left[first] else -1
    at = pivot[first]
    done = 0
    while done < count:
        place, begun = start + at * line, done
        lines = 4 if (last - at) * onwards >= 4 else 1
        if lines == 4:
            sweep_four_real(field, turns, place, onwards * line, stride, begun)
        else:
            sweep_real(field, turns, place, stride, begun)
        for _ in range(lines):
            newer = turns[2 * begun * LANES :]
            sweep_real(field, newer, place + begun * stride, stride, done - begun)
            here = place + done * stride
            while done < count and pivot[first + done] == at:
                on, met = load(field, here), load(field, here + stride)
                if keeps_first:
                    s, w = null_real(on, met)
                else:
                    s, w = null_real(met, on)
                    w = -w
                store(turns, 2 * done * LANES, s)
                store(turns, (2 * done + 1) * LANES, w)
                store(field, here, s * on + w * met)
                store(field, here + stride, s * met - w * on)
                here += stride
                done += 1
            place += onwards * line
            at += onwards
    while (last - at) * onwards >= 4:
        sweep_four_real(field, turns, start + at * line, onwards * line, stride, count)
        at += 4 * onwards
    while at != last:
        sweep_real(field, turns, start + at * line, stride, count)
        at += onwards


@jit(fastmath=_CONTRACT)
def _eliminate_real(
    field: Floats,
    ports: int,
    steps: Steps,
    turned: tuple[Floats, Floats],
    phases: tuple[Floats, Floats],
) -> None:
    """Null the elements of real matrices run by run."""
    left = steps[0]
    turns = np.empty(2 * LANES * ports)
    splits = np.empty(3 * LANES * ports)
    zero, pi = spread(0.0), spread(math.pi)
    first = 0
    while first < left.size:
        count, direction = _run(steps, first)
        _run_real(field, ports, steps, first, (count, direction), turns)
        same = left[first] == (direction > 0)
        for k in range(count):
            s, w = load(turns, 2 * k * LANES), load(turns, (2 * k + 1) * LANES)
            v = w if same else -w
            _note_split(splits, k, s, size(v), where_less(v, zero, pi, zero))
        _note(steps, first, count, splits, turned, phases)
        first += count


@jit(fastmath=_CONTRACT)
def _run_complex(
    field: Floats, ports: int, steps: Steps, first: int, run: tuple[int, int], turns: Floats
) -> None:
    """Eliminate by one run of steps, all of one side; fill `turns` with its rotations."""
    left, pair, pivot, _ = steps
    count, direction = run
    row, column = 2 * (ports + 1) * LANES, 2 * LANES
    stride, line = (row, column) if left[first] else (column, row)
    start = (pair[first] + (1 if direction < 0 else 0)) * stride
    stride *= direction
    keeps_first = left[first] == (direction > 0)
    onwards = 1 if left[first] else -1
    last = ports if left[first] else -1
    at = pivot[first]
    done = 0
    while done < count:
        place = start + at * line
        sweep_complex(field, turns, place, stride, done)
        place += done * stride
        while done < count and pivot[first + done] == at:
            on = load(field, place), load(field, place + LANES)
            met = load(field, place + stride), load(field, place + stride + LANES)
            if keeps_first:
                s, real, imag = null_complex(on[0], on[1], met[0], met[1])
            else:
                s, real, imag = null_complex(met[0], met[1], on[0], on[1])
                real = -real
            store(turns, 3 * done * LANES, s)
            store(turns, (3 * done + 1) * LANES, real)
            store(turns, (3 * done + 2) * LANES, imag)
            sweep_complex(field, turns[3 * done * LANES :], place, stride, 1)
            place += stride
            done += 1
        at += onwards
    while at != last:
        sweep_complex(field, turns, start + at * line, stride, count)
        at += onwards


@jit(fastmath=_CONTRACT)
def _eliminate_complex(
    field: Floats,
    ports: int,
    steps: Steps,
    turned: tuple[Floats, Floats],
    phases: tuple[Floats, Floats],
) -> None:
    """Null the elements of complex matrices run by run."""
    left = steps[0]
    turns = np.empty(3 * LANES * ports)
    splits = np.empty(3 * LANES * ports)
    first = 0
    while first < left.size:
        count, direction = _run(steps, first)
        _run_complex(field, ports, steps, first, (count, direction), turns)
        same = left[first] == (direction > 0)
        for k in range(count):
            s = load(turns, 3 * k * LANES)
            real = load(turns, (3 * k + 1) * LANES)
            imag = load(turns, (3 * k + 2) * LANES)
            real = real if same else -real
            zeta = arctan2_lanes(-imag, real)
            _note_split(splits, k, s, root(real * real + imag * imag), zeta)
        _note(steps, first, count, splits, turned, phases)
        first += count


@jit(fastmath=_CONTRACT)
def _exchange(steps: Steps, phases: tuple[Floats, Floats], psi: Floats) -> None:
    """Move the left interferometers, last one first, to the other side of the output phases."""
    left, pair, _, slot = steps
    theta, phi = phases
    pi = spread(math.pi)
    for step in range(left.size - 1, -1, -1):
        if left[step]:
            m, k = pair[step] * LANES, slot[step] * LANES
            upper, lower = load(psi, m), load(psi, m + LANES)
            common = lower + pi - load(theta, k)
            store(psi, m, wrap_lanes(common - load(phi, k)))
            store(psi, m + LANES, wrap_lanes(common))
            store(phi, k, wrap_lanes(upper - lower))


@jit(fastmath=_CONTRACT)
def _finish(
    steps: Steps,
    turned: tuple[Floats, Floats],
    phases: tuple[Floats, Floats],
    psi: Floats,
    results: tuple[Floats, Floats, Floats],
) -> None:
    """Bring eight tiles, whose diagonal has phases `psi`, to the mesh's order; hand them out."""
    columns, rows = turned
    for i in range(0, psi.size, LANES):
        store(psi, i, wrap_lanes(load(psi, i) + load(columns, i) + load(rows, i)))
    _exchange(steps, phases, psi)
    theta, phi, last = results
    unload(phases[0], theta)
    unload(phases[1], phi)
    unload(psi, last)


@jit(parallel=True, fastmath=_CONTRACT)
def fill_real(orthogonals: Floats, steps: Steps, theta: Floats, phi: Floats, psi: Floats) -> None:
    """Fill in the phases of real unitaries; see `photonpu.mesh.reference.decompose`."""
    tiles, ports, _ = orthogonals.shape
    mzis = theta.shape[1]
    blocks = -(-tiles // LANES)
    counter = np.zeros(1, np.int64)
    for _ in prange(blocks):  # the first of each thread does all of its work, in the same memory
        block = take(counter)
        room = LANES if block < blocks else 0
        field = np.zeros(ports * (ports + 1) * room)
        columns, rows, last = np.empty(ports * room), np.empty(ports * room), np.empty(ports * room)
        thetas, phis = np.empty(mzis * room), np.empty(mzis * room)
        while block < blocks:
            begin = block * LANES
            end = min(begin + LANES, tiles)
            load_abreast(orthogonals[begin:end], field)
            columns[:] = 0.0
            rows[:] = 0.0
            _eliminate_real(field, ports, steps, (columns, rows), (thetas, phis))
            zero, pi = spread(0.0), spread(math.pi)
            for i in range(ports):
                diagonal = load(field, i * (ports + 2) * LANES)
                store(last, i * LANES, where_less(diagonal, zero, pi, zero))
            results = theta[begin:end], phi[begin:end], psi[begin:end]
            _finish(steps, (columns, rows), (thetas, phis), last, results)
            block = take(counter)


@jit(parallel=True, fastmath=_CONTRACT)
def fill(unitaries: Complexes, steps: Steps, theta: Floats, phi: Floats, psi: Floats) -> None:
    """Fill in the phases of unitaries; see `photonpu.mesh.reference.decompose`."""
    tiles, ports, _ = unitaries.shape
    mzis = theta.shape[1]
    blocks = -(-tiles // LANES)
    counter = np.zeros(1, np.int64)
    for _ in prange(blocks):  # the first of each thread does all of its work, in the same memory
        block = take(counter)
        room = LANES if block < blocks else 0
        field = np.zeros(2 * ports * (ports + 1) * room)
        columns, rows, last = np.empty(ports * room), np.empty(ports * room), np.empty(ports * room)
        thetas, phis = np.empty(mzis * room), np.empty(mzis * room)
        while block < blocks:
            begin = block * LANES
            end = min(begin + LANES, tiles)
            for t in range(begin, end):
                for i in range(ports):
                    for j in range(ports):
                        place = 2 * (i * (ports + 1) + j) * LANES + t - begin
                        field[place] = unitaries[t, i, j].real
                        field[place + LANES] = unitaries[t, i, j].imag
            columns[:] = 0.0
            rows[:] = 0.0
            _eliminate_complex(field, ports, steps, (columns, rows), (thetas, phis))
            for i in range(ports):
                place = 2 * i * (ports + 2) * LANES
                angle = arctan2_lanes(load(field, place + LANES), load(field, place))
                store(last, i * LANES, angle)
            results = theta[begin:end], phi[begin:end], psi[begin:end]
            _finish(steps, (columns, rows), (thetas, phis), last, results)
            block = take(counter)


@jit()
def places(unitaries: int, mzis: int, ports: int) -> tuple[Floats, Floats, Floats]:
    """Return arrays for theta, phi and psi, in pages of ordinary size.

    NumPy asks for huge ones, which a virtual machine may have to fetch from its host, each in
    milliseconds.
    """
    return np.empty((unitaries, mzis)), np.empty((unitaries, mzis)), np.empty((unitaries, ports))


def decompose_real(
    orthogonals: Floats, left: Flags, pair: Ints, pivot: Ints, slot: Ints
) -> tuple[Floats, Floats, Floats]:
    """Take real unitaries apart; see `photonpu.mesh.reference.decompose`."""
    phases: tuple[Floats, Floats, Floats] = places(
        len(orthogonals), slot.size, orthogonals.shape[1]
    )
    fill_real(orthogonals, (left, pair, pivot, slot), *phases)
    return phases


def decompose(
    unitaries: Complexes, left: Flags, pair: Ints, pivot: Ints, slot: Ints
) -> tuple[Floats, Floats, Floats]:
    """Take unitaries apart; see `photonpu.mesh.reference.decompose`."""
    phases: tuple[Floats, Floats, Floats] = places(len(unitaries), slot.size, unitaries.shape[1])
    fill(unitaries, (left, pair, pivot, slot), *phases)
    return phases
