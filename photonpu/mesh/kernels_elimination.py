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
from photonpu.mesh.kernels_abreast import all_finite, load_abreast, unload
from photonpu.mesh.kernels_math import arctan2_lanes, arctan2_quarter, wrap_lanes
from photonpu.mesh.kernels_notes import note, run_of
from photonpu.mesh.kernels_real import eliminate_real, runs_of
from photonpu.mesh.kernels_sweeps import null_complex, sweep_complex
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import address, keep, store, where_less
from photonpu.simd import load_doubles as load
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as root
from photonpu.tasks import take

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
Steps = tuple[Flags, Ints, Ints, Ints]

_BYTES = 8
_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _run_complex(
    field: int, ports: int, steps: Steps, first: int, run: tuple[int, int], turns: int
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
            sweep_complex(field, turns + 3 * done * LANES * _BYTES, place, stride, 1)
            place += stride
            done += 1
        at += onwards
    while at != last:
        sweep_complex(field, turns, start + at * line, stride, count)
        at += onwards


@jit(fastmath=_CONTRACT)
def _eliminate_complex(
    field: int,
    ports: int,
    steps: Steps,
    turned: tuple[int, int],
    phases: tuple[int, int],
) -> None:
    """Null the elements of complex matrices run by run."""
    left, pair, _, slot = steps
    rotations = np.empty(3 * LANES * ports)
    turns = address(rotations)
    zero, one = spread(0.0), spread(1.0)
    first = 0
    while first < left.size:
        count, direction = run_of(steps, first)
        _run_complex(field, ports, steps, first, (count, direction), turns)
        same = left[first] == (direction > 0)
        for k in range(count):
            s = load(turns, 3 * k * LANES)
            real = load(turns, (3 * k + 1) * LANES)
            imag = load(turns, (3 * k + 2) * LANES)
            real = real if same else -real
            v_size = root(real * real + imag * imag)
            angle = arctan2_quarter(s, v_size)
            store(phases[0], slot[first + k] * LANES, angle + angle)
            store(turns, (3 * k + 1) * LANES, arctan2_lanes(-imag, real))
            dark = where_less(zero, v_size, where_less(zero, s, zero, one), -one)
            store(turns, (3 * k + 2) * LANES, dark)
        lines = turned[1] if left[first] else turned[0]
        at = pair[first] + (0 if direction > 0 else 1)
        goes_on = load(lines, at * LANES)
        for k in range(count):
            place, turn = slot[first + k] * LANES, 3 * k * LANES
            zeta, dark = load(turns, turn + LANES), load(turns, turn + 2 * LANES)
            rotation = load(phases[0], place), zeta, dark
            met = load(lines, (at + direction) * LANES)
            phi, stays, goes_on = note(left[first], direction > 0, rotation, goes_on, met)
            store(phases[1], place, phi)
            store(lines, at * LANES, stays)
            at += direction
        store(lines, at * LANES, goes_on)
        first += count
    keep(rotations)


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
def fill_real(orthogonals: Floats, steps: Steps, theta: Floats, phi: Floats, psi: Floats) -> bool:
    """Fill in the phases of real unitaries; see `photonpu.mesh.reference.decompose`.

    Return whether all of their elements are finite; else there are no phases.
    """
    tiles, ports, _ = orthogonals.shape
    mzis = theta.shape[1]
    blocks = -(-tiles // LANES)
    runs = runs_of(steps, ports)
    counter, finite = np.zeros(1, np.int64), np.ones(1, np.bool_)
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
            if not all_finite(field):
                finite[0] = False
                break
            columns[:] = 0.0
            rows[:] = 0.0
            turned = address(columns), address(rows)
            notes = address(thetas), address(phis)
            eliminate_real(address(field), ports, steps, runs, turned, notes)
            zero, pi = spread(0.0), spread(math.pi)
            for i in range(ports):
                diagonal = load(field, i * (ports + 2) * LANES)
                store(last, i * LANES, where_less(diagonal, zero, pi, zero))
            results = theta[begin:end], phi[begin:end], psi[begin:end]
            _finish(steps, (columns, rows), (thetas, phis), last, results)
            block = take(counter)
    return bool(finite[0])


@jit(parallel=True, fastmath=_CONTRACT)
def fill(unitaries: Complexes, steps: Steps, theta: Floats, phi: Floats, psi: Floats) -> bool:
    """Fill in the phases of unitaries; see `photonpu.mesh.reference.decompose`.

    Return whether all of their elements are finite; else there are no phases.
    """
    tiles, ports, _ = unitaries.shape
    mzis = theta.shape[1]
    blocks = -(-tiles // LANES)
    counter, finite = np.zeros(1, np.int64), np.ones(1, np.bool_)
    for _ in prange(blocks):  # the first of each thread does all of its work, in the same memory
        block = take(counter)
        room = LANES if block < blocks else 0
        field = np.zeros(2 * ports * (ports + 1) * room)
        columns, rows, last = np.empty(ports * room), np.empty(ports * room), np.empty(ports * room)
        thetas, phis = np.empty(mzis * room), np.empty(mzis * room)
        while block < blocks:
            begin = block * LANES
            end = min(begin + LANES, tiles)
            for t in range(LANES):  # the last one in every lane that is left
                unitary = unitaries[min(begin + t, end - 1)]
                for i in range(ports):
                    for j in range(ports):
                        place = 2 * (i * (ports + 1) + j) * LANES + t
                        field[place] = unitary[i, j].real
                        field[place + LANES] = unitary[i, j].imag
            if not all_finite(field):
                finite[0] = False
                break
            columns[:] = 0.0
            rows[:] = 0.0
            turned = address(columns), address(rows)
            notes = address(thetas), address(phis)
            _eliminate_complex(address(field), ports, steps, turned, notes)
            for i in range(ports):
                place = 2 * i * (ports + 2) * LANES
                angle = arctan2_lanes(load(field, place + LANES), load(field, place))
                store(last, i * LANES, angle)
            results = theta[begin:end], phi[begin:end], psi[begin:end]
            _finish(steps, (columns, rows), (thetas, phis), last, results)
            block = take(counter)
    return bool(finite[0])


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
