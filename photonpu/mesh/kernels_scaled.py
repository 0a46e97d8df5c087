"""Rotations of eight real matrices side by side, by two multiplications instead of four.

A rotation ``[[s, w], [-w, s]]`` of what goes on and what it meets (see `kernels_sweeps`) has its
``s`` taken out: ``[[1, a], [-b, 1]]``, and the size that this leaves to be multiplied by is kept
for each row and each column (Gentleman 1973, J. Inst. Maths Applics 12, 329; Golub and Van Loan
2013, Matrix Computations, 5.1.13). An element is what lies in the field, divided by the roots of
the *weights* of its row and its column. Arrays are given by their addresses.
"""

from __future__ import annotations

from photonpu.jit import jit
from photonpu.simd import DOUBLE_LANES as LANES
from photonpu.simd import Vector, any_less, store, where_less
from photonpu.simd import load_doubles as load
from photonpu.simd import spread_doubles as spread
from photonpu.simd import sqrt_doubles as root

CROSSED = 1e56  # the square of the tangent that stands for none: an element by it is nothing
LARGEST = 2.0**300  # of weights, before a run: the square of an element is still a number
_STEP = 2.0**150  # what weights are divided by
_STEPS = 7  # make any number as small
_NOTHING = 1e-52  # the square of what counts as zero
_CONTRACT = frozenset({"contract"})
_PAIR = 2 * LANES


@jit(fastmath=_CONTRACT)
def sweep_scaled(field: int, turns: int, place: int, stride: int, count: int) -> None:
    """Take one line, from `place` in steps of `stride`, through `count` rotations.

    `turns` holds a and b of each.
    """
    goes_on = load(field, place)
    for turn in range(0, count * _PAIR, _PAIR):
        met = load(field, place + stride)
        store(field, place, goes_on + load(turns, turn) * met)
        goes_on = met - load(turns, turn + LANES) * goes_on
        place += stride
    store(field, place, goes_on)


@jit(fastmath=_CONTRACT)
def sweep_four(field: int, turns: int, place: int, line: int, stride: int, count: int) -> None:
    """Take four lines, `line` apart, through a run at once; see `sweep_scaled`."""
    p0, p1, p2, p3 = place, place + line, place + 2 * line, place + 3 * line
    on0, on1, on2, on3 = load(field, p0), load(field, p1), load(field, p2), load(field, p3)
    for turn in range(0, count * _PAIR, _PAIR):
        a, b = load(turns, turn), load(turns, turn + LANES)
        met0 = load(field, p0 + stride)
        met1 = load(field, p1 + stride)
        store(field, p0, on0 + a * met0)
        store(field, p1, on1 + a * met1)
        on0 = met0 - b * on0
        on1 = met1 - b * on1
        met2 = load(field, p2 + stride)
        met3 = load(field, p3 + stride)
        store(field, p2, on2 + a * met2)
        store(field, p3, on3 + a * met3)
        on2 = met2 - b * on2
        on3 = met3 - b * on3
        p0, p1, p2, p3 = p0 + stride, p1 + stride, p2 + stride, p3 + stride
    store(field, p0, on0)
    store(field, p1, on1)
    store(field, p2, on2)
    store(field, p3, on3)


@jit(fastmath=_CONTRACT)
def sweep_both(
    field: int,
    earlier: int,
    later: int,
    place: int,
    line: int,
    stride: int,
    count: int,
) -> None:
    """Take two lines, `line` apart, through two runs at once; see `sweep_scaled`.

    The later run starts at `place`; the earlier one, of `count` rotations, two strides behind,
    and both end together.
    """
    p, q = place, place + line
    met0, met1 = load(field, p + stride), load(field, q + stride)
    on0, on1 = load(field, p), load(field, q)
    a, b = load(later, 0), load(later, LANES)
    store(field, p, on0 + a * met0)
    store(field, q, on1 + a * met1)
    on0, on1 = met0 - b * on0, met1 - b * on1
    first0, first1 = load(field, p + 2 * stride), load(field, q + 2 * stride)
    for turn in range(0, count * _PAIR, _PAIR):
        p, q = p + stride, q + stride
        a, b = load(earlier, turn), load(earlier, turn + LANES)
        met0, met1 = load(field, p + 2 * stride), load(field, q + 2 * stride)
        between0, between1 = first0 + a * met0, first1 + a * met1
        first0, first1 = met0 - b * first0, met1 - b * first1
        a, b = load(later, turn + _PAIR), load(later, turn + _PAIR + LANES)
        store(field, p, on0 + a * between0)
        store(field, q, on1 + a * between1)
        on0, on1 = between0 - b * on0, between1 - b * on1
    p, q, turn = p + stride, q + stride, (count + 1) * _PAIR
    a, b = load(later, turn), load(later, turn + LANES)
    store(field, p, on0 + a * first0)
    store(field, q, on1 + a * first1)
    store(field, p + stride, first0 - b * on0)
    store(field, q + stride, first1 - b * on1)


@jit(fastmath=_CONTRACT)
def null_scaled(
    keep: Vector, lose: Vector, keep_weight: Vector, lose_weight: Vector, line_weight: Vector
) -> tuple[Vector, Vector, Vector]:
    """Return how much of `keep` is to be taken from `lose`, of `lose` to be added to `keep`.

    And the product of both, the square of the tangent. That is 0 where only `lose` is nothing,
    and `CROSSED` where `keep` is.
    """
    zero, least = spread(0.0), spread(_NOTHING) * line_weight
    ratio = keep_weight / lose_weight
    tangent = where_less(least * lose_weight, lose * lose, lose / keep, zero)
    power = keep * keep
    if any_less(power, least * keep_weight):
        crossed = root(spread(CROSSED) / ratio)
        tangent = where_less(least * keep_weight, power, tangent, crossed)
    back = tangent * ratio
    return tangent, back, tangent * back


@jit(fastmath=_CONTRACT)
def rescale(field: int, weights: int, i: int, place: int, line: int, lines: int) -> None:
    """Divide weight `i` where it is large, and its elements, `line` apart from `place` on.

    By powers of two: the bits are the same whenever this happens.
    """
    weight, one, step = load(weights, i * LANES), spread(1.0), spread(_STEP)
    for _ in range(_STEPS):
        if not any_less(step, weight):
            break
        factor = where_less(step, weight, spread(1.0 / _STEP), one)
        weight = weight * factor
        factor = root(factor)
        at = place
        for _ in range(lines):
            store(field, at, factor * load(field, at))
            at += line
    store(weights, i * LANES, weight)
