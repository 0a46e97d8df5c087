"""The steps of an elimination: runs of them, their phases, and what they leave aside."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.mesh.kernels_math import reduce_lanes, wrap_lanes
from photonpu.simd import Vector, where_less
from photonpu.simd import size_doubles as size
from photonpu.simd import spread_doubles as spread

Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
Steps = tuple[Flags, Ints, Ints, Ints]

Noted = tuple[Vector, Vector, Vector]

_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def run_of(steps: Steps, first: int) -> tuple[int, int]:
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
def _note_right(theta: Vector, zeta: Vector, dark: Vector, upper: Vector, lower: Vector) -> Noted:
    zero, pi = spread(0.0), spread(math.pi)
    common = spread(0.5 * math.pi) - spread(0.5) * theta
    bar = where_less(dark, zero, upper - pi, lower - zeta)
    cross = where_less(zero, dark, upper - pi, lower)
    phi = where_less(zero, size(dark), zero, wrap_lanes(upper - lower + pi + zeta))
    return phi, reduce_lanes(bar + common), reduce_lanes(cross + common)


@jit(fastmath=_CONTRACT)
def _note_left(theta: Vector, zeta: Vector, dark: Vector, upper: Vector, lower: Vector) -> Noted:
    zero, pi = spread(0.0), spread(math.pi)
    common = spread(0.5 * math.pi) + spread(0.5) * theta
    bar = where_less(dark, zero, upper, lower + zeta)
    cross = where_less(zero, dark, upper, lower) - pi
    phi = where_less(zero, size(dark), zero, wrap_lanes(lower - upper + zeta))
    return phi, reduce_lanes(bar + common), reduce_lanes(cross + common)


@jit(fastmath=_CONTRACT)
def note(
    left: bool, ascends: bool, rotation: tuple[Vector, Vector, Vector], goes_on: Vector, met: Vector
) -> Noted:
    """Return the phi of a step, and what it leaves its first and its second line turned by.

    Lines are columns, or rows of a step from the left. `rotation` is theta, zeta, and `dark`: -1
    where only v is 0, 1 where only s is, else 0. `goes_on` and `met` are what the line that goes
    on and the one that it meets were turned by, and what is returned stands in the same order.
    """
    theta, zeta, dark = rotation
    upper, lower = (goes_on, met) if ascends else (met, goes_on)
    if left:
        phi, upper, lower = _note_left(theta, zeta, dark, upper, lower)
    else:
        phi, upper, lower = _note_right(theta, zeta, dark, upper, lower)
    return (phi, upper, lower) if ascends else (phi, lower, upper)
