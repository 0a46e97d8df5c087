"""Reflections that make eight real matrices side by side bidiagonal, and their products.

Golub and Kahan (1965), J. SIAM Numer. Anal. 2, 205. Element (i, j) of N x N matrices is the vector
of `LANES` numbers from ``(i (N + 1) + j) LANES`` on: rows of a power of two would collide in the
cache. A reflection is ``1 - tau v v^T``, the first element of v being 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import Vector, store, where_less
from photonpu.simd import load_doubles as load
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as root

Floats = NDArray[np.float64]

_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _reflector(
    field: Floats, place: int, stride: int, count: int, v: Floats
) -> tuple[Vector, Vector]:
    """Turn `count` numbers of `field` into v, also written to `v`; return tau and what is left.

    The reflection takes the numbers to zeros, all but the first.
    """
    zero, one = spread(0.0), spread(1.0)
    first = load(field, place)
    rest = zero
    for i in range(1, count):
        x = load(field, place + i * stride)
        rest = rest + x * x
    length = root(first * first + rest)
    left = where_less(first, zero, length, -length)
    left = where_less(zero, rest, left, first)
    scale = where_less(zero, rest, one / where_less(zero, rest, first - left, one), zero)
    tau = where_less(zero, rest, (left - first) / where_less(zero, rest, left, one), zero)
    store(v, 0, one)
    for i in range(1, count):
        x = load(field, place + i * stride) * scale
        store(field, place + i * stride, x)
        store(v, i * LANES, x)
    return tau, left


@jit(fastmath=_CONTRACT)
def _overlaps(
    field: Floats, place: int, row: int, rows: int, columns: int, v: Floats, w: Floats
) -> None:
    """Fill `w` with ``v^T A`` of the block of `field` that begins at `place`."""
    j = 0
    while j + 4 <= columns:
        p = place + j * LANES
        w0, w1, w2, w3 = spread(0.0), spread(0.0), spread(0.0), spread(0.0)
        for i in range(rows):
            x = load(v, i * LANES)
            w0 = w0 + x * load(field, p)
            w1 = w1 + x * load(field, p + LANES)
            w2 = w2 + x * load(field, p + 2 * LANES)
            w3 = w3 + x * load(field, p + 3 * LANES)
            p += row
        store(w, j * LANES, w0)
        store(w, (j + 1) * LANES, w1)
        store(w, (j + 2) * LANES, w2)
        store(w, (j + 3) * LANES, w3)
        j += 4
    while j < columns:
        p = place + j * LANES
        w0 = spread(0.0)
        for i in range(rows):
            w0 = w0 + load(v, i * LANES) * load(field, p)
            p += row
        store(w, j * LANES, w0)
        j += 1


@jit(fastmath=_CONTRACT)
def _reflect_row(field: Floats, place: int, columns: int, share: Vector, w: Floats) -> None:
    """Subtract `share` times `w` from one row."""
    for j in range(0, columns * LANES, LANES):
        store(field, place + j, load(field, place + j) - share * load(w, j))


@jit(fastmath=_CONTRACT)
def _reflect_both(
    field: Floats, place: int, columns: int, share: Vector, w: Floats, tau: Vector, u: Floats
) -> None:
    """Subtract `share` times `w` from one row, then reflect it by `tau` and `u`."""
    sum0, sum1 = spread(0.0), spread(0.0)
    last = columns * LANES
    for j in range(0, last - LANES, 2 * LANES):
        x0 = load(field, place + j) - share * load(w, j)
        x1 = load(field, place + j + LANES) - share * load(w, j + LANES)
        store(field, place + j, x0)
        store(field, place + j + LANES, x1)
        sum0 = sum0 + x0 * load(u, j)
        sum1 = sum1 + x1 * load(u, j + LANES)
    if columns % 2:
        x0 = load(field, place + last - LANES) - share * load(w, last - LANES)
        store(field, place + last - LANES, x0)
        sum0 = sum0 + x0 * load(u, last - LANES)
    _reflect_row(field, place, columns, tau * (sum0 + sum1), u)


@jit(fastmath=_CONTRACT)
def bidiagonalise(
    field: Floats, ports: int, taus: tuple[Floats, Floats], diagonals: tuple[Floats, Floats]
) -> None:
    """Make matrices upper bidiagonal, ``A = Q B P^T``; keep the reflections in `field`.

    `taus` are those of Q, whose reflections lie below the diagonal, and of P, whose lie to the
    right of the upper diagonal; `diagonals` are the diagonal of B and the one above.
    """
    row = (ports + 1) * LANES
    v, w, u = np.empty(ports * LANES), np.empty(ports * LANES), np.empty(ports * LANES)
    for k in range(ports):
        corner = k * (row + LANES)
        rows = ports - k
        tau, left = _reflector(field, corner, row, rows, v)
        store(taus[0], k * LANES, tau)
        store(diagonals[0], k * LANES, left)
        columns = rows - 1
        if columns == 0:
            break
        _overlaps(field, corner + LANES, row, rows, columns, v, w)
        _reflect_row(field, corner + LANES, columns, tau, w)
        turn, above = _reflector(field, corner + LANES, LANES, columns, u)
        store(taus[1], k * LANES, turn)
        store(diagonals[1], k * LANES, above)
        for i in range(1, rows):
            share = tau * load(v, i * LANES)
            _reflect_both(field, corner + LANES + i * row, columns, share, w, turn, u)


@jit(fastmath=_CONTRACT)
def product(field: Floats, ports: int, taus: Floats, across: bool, result: Floats) -> None:
    """Fill `result` with the product of the reflections that `bidiagonalise` left in `field`.

    They are Q, or P if `across`. The last reflection comes first, so that what is not touched
    yet is the identity.
    """
    row = (ports + 1) * LANES
    v, w = np.empty(ports * LANES), np.empty(ports * LANES)
    result[:] = 0.0
    for k in range(ports):
        store(result, k * (row + LANES), spread(1.0))
    shift = 1 if across else 0
    for k in range(ports - 1 - shift, -1, -1):
        count = ports - k - shift
        source = k * (row + LANES) + shift * LANES
        stride = LANES if across else row
        store(v, 0, spread(1.0))
        for i in range(1, count):
            store(v, i * LANES, load(field, source + i * stride))
        corner = (k + shift) * (row + LANES)
        tau = load(taus, k * LANES)
        _overlaps(result, corner, row, count, count, v, w)
        for i in range(count):
            _reflect_row(result, corner + i * row, count, tau * load(v, i * LANES), w)
