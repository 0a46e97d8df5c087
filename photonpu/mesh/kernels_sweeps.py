"""Rotations of neighbouring rows or columns of eight matrices side by side.

Elements lie in vectors of `LANES` tiles, each tile in its own lane. A *run* is rotations that
follow each other along neighbouring rows or columns, so that one of the two that a rotation mixes
goes on into the next. Each *line* across them (a column for rotations of rows) passes the whole
run in one go, and what goes on stays in a register. A rotation is ``[[s, w], [-conj(w), s]]`` on
what goes on and what it meets; its first output stays where the former came from.
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

_NOTHING = 1e-200
_CONTRACT = frozenset({"contract"})
_PAIR = 2 * LANES
_TRIPLE = 3 * LANES


@jit(fastmath=_CONTRACT)
def sweep_real(field: Floats, turns: Floats, place: int, stride: int, count: int) -> None:
    """Take one line of real matrices, from `place` in steps of `stride`, through a run.

    `turns` holds s and w of `count` rotations.
    """
    goes_on = load(field, place)
    for turn in range(0, count * _PAIR, _PAIR):
        s, w = load(turns, turn), load(turns, turn + LANES)
        met = load(field, place + stride)
        store(field, place, s * goes_on + w * met)
        goes_on = s * met - w * goes_on
        place += stride
    store(field, place, goes_on)


@jit(fastmath=_CONTRACT)
def sweep_four_real(
    field: Floats, turns: Floats, place: int, line: int, stride: int, count: int
) -> None:
    """Take four lines, `line` apart, through a run at once; see `sweep_real`."""
    p0, p1, p2, p3 = place, place + line, place + 2 * line, place + 3 * line
    on0, on1, on2, on3 = load(field, p0), load(field, p1), load(field, p2), load(field, p3)
    for turn in range(0, count * _PAIR, _PAIR):
        s, w = load(turns, turn), load(turns, turn + LANES)
        met0 = load(field, p0 + stride)
        met1 = load(field, p1 + stride)
        store(field, p0, s * on0 + w * met0)
        store(field, p1, s * on1 + w * met1)
        on0 = s * met0 - w * on0
        on1 = s * met1 - w * on1
        met2 = load(field, p2 + stride)
        met3 = load(field, p3 + stride)
        store(field, p2, s * on2 + w * met2)
        store(field, p3, s * on3 + w * met3)
        on2 = s * met2 - w * on2
        on3 = s * met3 - w * on3
        p0, p1, p2, p3 = p0 + stride, p1 + stride, p2 + stride, p3 + stride
    store(field, p0, on0)
    store(field, p1, on1)
    store(field, p2, on2)
    store(field, p3, on3)


@jit(fastmath=_CONTRACT)
def sweep_complex(field: int, turns: int, place: int, stride: int, count: int) -> None:
    """Take one line of complex matrices through a run; see `sweep_real`.

    An element is two vectors, real and imaginary parts; a rotation is s and those of w. Arrays
    are given by their addresses.
    """
    on_real, on_imag = load(field, place), load(field, place + LANES)
    for turn in range(0, count * _TRIPLE, _TRIPLE):
        s = load(turns, turn)
        real, imag = load(turns, turn + LANES), load(turns, turn + 2 * LANES)
        met_real, met_imag = load(field, place + stride), load(field, place + stride + LANES)
        store(field, place, s * on_real + real * met_real - imag * met_imag)
        store(field, place + LANES, s * on_imag + real * met_imag + imag * met_real)
        next_real = s * met_real - real * on_real - imag * on_imag
        on_imag = s * met_imag - real * on_imag + imag * on_real
        on_real = next_real
        place += stride
    store(field, place, on_real)
    store(field, place + LANES, on_imag)


@jit(fastmath=_CONTRACT)
def null_complex(
    keep_real: Vector, keep_imag: Vector, lose_real: Vector, lose_imag: Vector
) -> tuple[Vector, Vector, Vector]:
    """Return s and both parts of v such that ``s lose - conj(v) keep = 0``, with s >= 0.

    It is 0, 1 where `keep` is nothing, and 1, 0 where only `lose` is; s^2 + |v|^2 = 1.
    """
    zero, one, nothing = spread(0.0), spread(1.0), spread(_NOTHING)
    keep_power = keep_real * keep_real + keep_imag * keep_imag
    lose_power = lose_real * lose_real + lose_imag * lose_imag
    keep_power = where_less(nothing, keep_power, keep_power, zero)
    lose_power = where_less(nothing, lose_power, lose_power, zero)
    power = keep_power + lose_power
    scale = one / root(where_less(zero, power, power, one))
    keep_size = root(keep_power)
    turn = where_less(zero, lose_power, scale, zero) / where_less(zero, keep_size, keep_size, one)
    real = (keep_real * lose_real + keep_imag * lose_imag) * turn
    imag = (keep_imag * lose_real - keep_real * lose_imag) * turn
    return (
        keep_size * scale,
        where_less(zero, keep_power, real, one),
        where_less(zero, keep_power, imag, zero),
    )
