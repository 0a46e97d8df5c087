"""Singular values of eight real matrices at a time; see `photonpu.mesh.reference.factor`.

Golub and Reinsch (1970), Numer. Math. 14, 403: a bidiagonal matrix loses its upper diagonal by
sweeps of rotations. Every lane has a window of its own in which it sweeps; outside of it, and when
it is done, its rotations are the identity, which changes no bit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_bidiagonal import bidiagonalise, product
from photonpu.mesh.kernels_sweeps import sweep_four_real, sweep_real
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import Vector, store, where_less
from photonpu.simd import load_doubles as load
from photonpu.simd import size_doubles as size
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as root

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Longs = NDArray[np.int64]

_CONTRACT = frozenset({"contract"})
_ROUNDING = 2.0**-53
_SWEEPS = 8  # that lines pass while they are in the cache
_PATIENCE = 30  # sweeps for each singular value; two are usual


@jit(fastmath=_CONTRACT)
def _windows(
    diagonals: tuple[Floats, Floats], ports: int, tolerance: Vector, window: Floats
) -> tuple[int, int]:
    """Set what is negligible of the upper diagonal to zero; find the last block without zeros.

    `window` gets the first and the last row of each lane's block, both 0 for none; return the
    least of the first and the largest of the last.
    """
    zero, one = spread(0.0), spread(1.0)
    first, last, shut = zero, zero, zero
    for k in range(ports - 2, -1, -1):
        e = load(diagonals[1], k * LANES)
        e = where_less(tolerance, size(e), e, zero)
        store(diagonals[1], k * LANES, e)
        alive = where_less(zero, size(e), one, zero)
        fresh = where_less(zero, last, zero, alive)
        last = where_less(zero, fresh, spread(k + 1.0), last)
        shut = where_less(zero, last, where_less(zero, alive, shut, one), zero)
        first = where_less(zero, last, where_less(zero, shut, first, spread(float(k))), zero)
    store(window, 0, first)
    store(window, LANES, last)
    low, high = ports, 0
    for lane in range(LANES):
        if window[LANES + lane] > 0.0:
            low = min(low, int(window[lane]))
            high = max(high, int(window[LANES + lane]))
    return low, high


@jit(fastmath=_CONTRACT)
def _shift(
    diagonals: tuple[Floats, Floats], tolerance: Vector, window: Floats, shift: Floats
) -> None:
    """Fill `shift` with the eigenvalue of the end of ``B^T B`` that is nearest its last element.

    Wilkinson's; 0 where a lane has no window, and where its diagonal has a zero: a sweep without
    a shift then brings the zero to the end (Demmel and Kahan 1990, SIAM J. Sci. Stat. Comput. 11).
    """
    diagonal, above = diagonals
    zero, one = spread(0.0), spread(1.0)
    begin, end, singular = load(window, 0), load(window, LANES), zero
    for k in range(diagonal.size // LANES):
        here = spread(float(k))
        inside = where_less(here, begin, zero, where_less(end, here, zero, one))
        small = where_less(tolerance, size(load(diagonal, k * LANES)), zero, inside)
        singular = where_less(zero, small, one, singular)
    store(shift, 0, singular)
    for lane in range(LANES):
        last = int(window[LANES + lane])
        flat = shift[lane] > 0.0
        shift[lane] = 0.0
        if last > 0 and not flat:
            upper = diagonal[(last - 1) * LANES + lane]
            lower = diagonal[last * LANES + lane]
            e = above[(last - 1) * LANES + lane]
            before = 0.0
            if last - 1 > window[lane]:
                before = above[(last - 2) * LANES + lane]
            corner = lower * lower + e * e
            mixed = upper * e
            half = 0.5 * (upper * upper + before * before - corner)
            reach = math.sqrt(half * half + mixed * mixed)
            reach = half + reach if half >= 0.0 else half - reach
            shift[lane] = corner - mixed * mixed / reach if reach != 0.0 else corner


@jit(fastmath=_CONTRACT)
def _rotation(y: Vector, z: Vector, acts: Vector) -> tuple[Vector, Vector, Vector]:
    """Return c, s and r with ``c y + s z = r`` and ``c z = s y``; 1, 0, y where it does not act."""
    zero, one = spread(0.0), spread(1.0)
    power = y * y + z * z
    acts = where_less(zero, power, acts, zero)
    r = root(power)
    scale = one / where_less(zero, acts, r, one)
    return (
        where_less(zero, acts, y * scale, one),
        where_less(zero, acts, z * scale, zero),
        where_less(zero, acts, r, y),
    )


@jit(fastmath=_CONTRACT)
def _chase(
    diagonals: tuple[Floats, Floats],
    window: Floats,
    shift: Floats,
    low: int,
    high: int,
    turns: tuple[Floats, Floats],
) -> None:
    """Sweep once, rows `low` to `high`; note the rotations of the columns and of the rows."""
    diagonal, above = diagonals
    zero, one = spread(0.0), spread(1.0)
    first, last, moved = load(window, 0), load(window, LANES), load(shift, 0)
    d, e = load(diagonal, low * LANES), load(above, low * LANES)
    y, z = zero, zero
    for k in range(low, high):
        here = spread(float(k))
        acts = where_less(here, first, zero, where_less(here, last, one, zero))
        begins = where_less(here, first, zero, where_less(first, here, zero, acts))
        plain = where_less(zero, size(moved), zero, begins)
        y = where_less(zero, begins, where_less(zero, plain, d, d * d - moved), y)
        z = where_less(zero, begins, where_less(zero, plain, e, d * e), z)
        c, s, r = _rotation(y, z, acts)
        turn = 2 * (k - low) * LANES
        store(turns[1], turn, c)
        store(turns[1], turn + LANES, s)
        if k > low:
            before = load(above, (k - 1) * LANES)
            inside = where_less(zero, begins, zero, acts)
            store(above, (k - 1) * LANES, where_less(zero, inside, r, before))
        next_d = load(diagonal, (k + 1) * LANES)
        y = c * d + s * e
        mixed = c * e - s * d
        z = s * next_d
        lower = c * next_d
        c, s, r = _rotation(y, z, acts)
        store(turns[0], turn, c)
        store(turns[0], turn + LANES, s)
        store(diagonal, k * LANES, where_less(zero, acts, r, d))
        y = where_less(zero, acts, c * mixed + s * lower, zero)
        d = where_less(zero, acts, c * lower - s * mixed, next_d)
        store(above, k * LANES, where_less(zero, acts, y, e))
        if k < high - 1:
            next_e = load(above, (k + 1) * LANES)
            z = s * next_e
            goes_on = where_less(here, last - one, acts, zero)
            e = where_less(zero, goes_on, c * next_e, next_e)
    store(diagonal, high * LANES, d)


@jit(fastmath=_CONTRACT)
def _turn_columns(
    field: Floats, ports: int, turns: Floats, places: NDArray[np.int64], sweeps: int
) -> None:
    """Rotate columns of `field` by several sweeps; `places` says where and how many."""
    row = (ports + 1) * LANES
    length = 2 * ports * LANES
    i = 0
    while i < ports:
        four = i + 4 <= ports
        for sweep in range(sweeps):
            place = i * row + places[sweep, 0] * LANES
            turn = turns[sweep * length :]
            if four:
                sweep_four_real(field, turn, place, row, LANES, places[sweep, 1])
            else:
                sweep_real(field, turn, place, LANES, places[sweep, 1])
        i += 4 if four else 1


@jit(fastmath=_CONTRACT)
def _diagonalise(
    diagonals: tuple[Floats, Floats], ports: int, left: Floats, right: Floats, window: Floats
) -> None:
    """Make bidiagonal matrices diagonal, rotating the columns of `left` and `right` along.

    A lane that has no end after many sweeps keeps a window in `window`.
    """
    largest = spread(0.0)
    for k in range(ports):
        d, e = size(load(diagonals[0], k * LANES)), size(load(diagonals[1], k * LANES))
        largest = where_less(largest, d, d, largest)
        largest = where_less(largest, e, e, largest)
    tolerance = largest * spread(_ROUNDING)
    shift = np.zeros(LANES)
    length = 2 * ports * LANES
    turns = np.empty(_SWEEPS * length), np.empty(_SWEEPS * length)
    places = np.zeros((_SWEEPS, 2), dtype=np.int64)
    patience = _PATIENCE * ports
    while patience > 0:
        sweeps = 0
        while sweeps < _SWEEPS:
            low, high = _windows(diagonals, ports, tolerance, window)
            if high == 0:
                break
            _shift(diagonals, tolerance, window, shift)
            noted = turns[0][sweeps * length :], turns[1][sweeps * length :]
            _chase(diagonals, window, shift, low, high, noted)
            places[sweeps, 0] = low
            places[sweeps, 1] = high - low
            sweeps += 1
        _turn_columns(left, ports, turns[0], places, sweeps)
        _turn_columns(right, ports, turns[1], places, sweeps)
        if sweeps < _SWEEPS:
            break
        patience -= sweeps


@jit(fastmath=_CONTRACT)
def _load(tiles: Floats, field: Floats, scales: Floats) -> None:
    """Put at most `LANES` tiles side by side, each divided by the power of two in `scales`."""
    ports = tiles.shape[1]
    for t in range(len(tiles)):
        largest = 0.0
        for i in range(ports):
            for j in range(ports):
                largest = max(largest, abs(tiles[t, i, j]))
        scales[t] = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0.0 else 1.0
    for i in range(ports):
        for t in range(len(tiles)):
            for j in range(ports):
                field[(i * (ports + 1) + j) * LANES + t] = tiles[t, i, j] / scales[t]


@jit(fastmath=_CONTRACT)
def _sort(diagonal: Floats, lane: int, order: Longs, signs: Floats, values: Floats) -> None:
    """Fill in one lane's singular values, descending, where they were, and their signs."""
    for k in range(values.size):
        values[k] = -abs(diagonal[k * LANES + lane])
    order[:] = np.argsort(values, kind="mergesort")
    for j in range(values.size):
        d = diagonal[order[j] * LANES + lane]
        signs[j] = -1.0 if d < 0.0 else 1.0
        values[j] = abs(d)


@jit(fastmath=_CONTRACT)
def _unload(left: Floats, right: Floats, diagonal: Floats, factors: Floats, values: Floats) -> None:
    """Copy V^H and U of each lane, singular values descending and not negative.

    Adding zero makes all zeros positive: idle sweeps may turn the sign of one. Some rows of all
    lanes are copied at a time, while they are in the cache.
    """
    tiles, ports = values.shape
    orders, signs = np.empty((tiles, ports), dtype=np.int64), np.empty((tiles, ports))
    for t in range(tiles):
        _sort(diagonal, t, orders[t], signs[t], values[t])
    row = (ports + 1) * LANES
    for first in range(0, ports, LANES):
        last = min(first + LANES, ports)
        for t in range(tiles):
            for j in range(ports):
                place = orders[t, j] * LANES + t
                for i in range(first, last):
                    factors[t, 0, j, i] = signs[t, j] * right[i * row + place] + 0.0
            for i in range(first, last):
                for j in range(ports):
                    factors[t, 1, i, j] = left[i * row + orders[t, j] * LANES + t] + 0.0


@jit(parallel=True, fastmath=_CONTRACT)
def factor(tiles: Floats) -> tuple[Floats, Floats, Flags]:
    """Factor real matrices as ``U diag(s) V^H``; see `photonpu.mesh.reference.factor`.

    The flags say for which of them the iteration came to an end.
    """
    count, ports, _ = tiles.shape
    factors, values = np.empty((count, 2, ports, ports)), np.empty((count, ports))
    found = np.empty(count, dtype=np.bool_)
    elements = ports * (ports + 1) * LANES
    for block in prange(-(-count // LANES)):
        begin = block * LANES
        end = min(begin + LANES, count)
        field, scales = np.zeros(elements), np.ones(LANES)
        _load(tiles[begin:end], field, scales)
        taus = np.zeros(ports * LANES), np.zeros(ports * LANES)
        diagonals = np.zeros(ports * LANES), np.zeros(ports * LANES)
        bidiagonalise(field, ports, taus, diagonals)
        left, right = np.empty(elements), np.empty(elements)
        product(field, ports, taus[0], False, left)
        product(field, ports, taus[1], True, right)
        window = np.zeros(2 * LANES)
        _diagonalise(diagonals, ports, left, right, window)
        _unload(left, right, diagonals[0], factors[begin:end], values[begin:end])
        for t in range(begin, end):
            found[t] = window[LANES + t - begin] == 0.0
            for i in range(ports):
                values[t, i] *= scales[t - begin]
    return factors, values, found
