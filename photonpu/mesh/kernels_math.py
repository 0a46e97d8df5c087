"""What the kernels are made of, without branches so that loops vectorise.

Numba calls the C library for sin, cos and atan2, one number at a time.
"""

from __future__ import annotations

import math

import numpy as np

from photonpu.jit import jit
from photonpu.simd import Vector, where_less
from photonpu.simd import floor_doubles as floor
from photonpu.simd import size_doubles as size
from photonpu.simd import spread_doubles as spread

_TURN = 2.0 * math.pi
_ALMOST_A_TURN = _TURN - 1e-12
_TAN_EIGHTH = math.sqrt(2.0) - 1.0
# arctan(t) / t = 1 + z sum of these times powers of z = t^2, in few steps one after another.
_ATAN = (
    -0.3333333333333312,
    0.19999999999940893,
    -0.14285714279250245,
    0.11111110744919658,
    -0.09090896809064027,
    0.07692045330902225,
    -0.06662951813629191,
    0.05846878297330872,
    -0.05035102456601552,
    0.03796525745386593,
    -0.017805397205419446,
)
_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def wrap(phase: float) -> float:
    """Return `phase` in [0, 2 pi); less than 1e-12 below a whole turn is 0.

    Rounding alone separates the two, and a heater would have to hold the difference.
    """
    wrapped = phase - _TURN * np.floor(phase * (1.0 / _TURN))
    return wrapped if 0.0 <= wrapped < _ALMOST_A_TURN else 0.0


@jit(fastmath=_CONTRACT)
def coded_phase(phase: float, step: float, unit: float) -> float:
    """Return the nearest phase that a converter can set to one in [0, 2 pi), or 0 for a turn.

    Steps are even in phase, or with `unit` in the voltage whose square the phase follows.
    """
    if unit > 0.0:
        volts = math.floor(math.sqrt(phase / unit))
        below, above = unit * volts * volts, unit * (volts + 1.0) * (volts + 1.0)
        code = below if phase - below <= above - phase else above
        return code if abs(code - phase) <= _TURN - phase else 0.0
    code = step * math.floor(phase / step + 0.5)
    return code if code < _TURN - 0.5 * step else 0.0


@jit(fastmath=_CONTRACT)
def arctan2(y: float, x: float) -> float:
    """Return the angle of the point (x, y), within 5e-16.

    The argument is folded to at most tan(pi/8); there a polynomial in its square, interpolated
    at 12 Chebyshev nodes, is within 2e-18 of arctan(t) / t.
    """
    wide = abs(x)
    high = abs(y)
    large = max(wide, high)
    small = min(wide, high)
    fold = small > _TAN_EIGHTH * large
    t = (small - large if fold else small) / (
        small + large if fold else (large if large > 0.0 else 1.0)
    )
    z = t * t
    two = z * z
    four = two * two
    low = _ATAN[0] + _ATAN[1] * z + (_ATAN[2] + _ATAN[3] * z) * two
    middle = _ATAN[4] + _ATAN[5] * z + (_ATAN[6] + _ATAN[7] * z) * two
    series = low + (middle + (_ATAN[8] + _ATAN[9] * z + _ATAN[10] * two) * four) * four
    angle = t + t * (z * series)
    angle = angle + 0.25 * math.pi if fold else angle
    angle = 0.5 * math.pi - angle if high > wide else angle
    angle = math.pi - angle if x < 0.0 else angle
    return -angle if y < 0.0 else angle


@jit(fastmath=_CONTRACT)
def sincos(x: float) -> tuple[float, float]:
    """Return sin and cos of `x`, within 2e-16 for ``|x| < 1e5``.

    The argument is reduced to at most pi/4 with pi/2 in three parts (Cody and Waite 1980); there
    the Taylor series are within 5e-17.
    """
    n = np.floor(x * (2.0 / math.pi) + 0.5)
    y = x - n * 1.5707963267341256
    y = y - n * 6.077100506303966e-11
    y = y - n * 2.0222662487959506e-21
    z = y * y
    sine = -1.0 / 1307674368000.0
    sine = sine * z + 1.0 / 6227020800.0
    sine = sine * z - 1.0 / 39916800.0
    sine = sine * z + 1.0 / 362880.0
    sine = sine * z - 1.0 / 5040.0
    sine = sine * z + 1.0 / 120.0
    sine = sine * z - 1.0 / 6.0
    sine = y + y * (z * sine)
    cosine = 1.0 / 20922789888000.0
    cosine = cosine * z - 1.0 / 87178291200.0
    cosine = cosine * z + 1.0 / 479001600.0
    cosine = cosine * z - 1.0 / 3628800.0
    cosine = cosine * z + 1.0 / 40320.0
    cosine = cosine * z - 1.0 / 720.0
    cosine = cosine * z + 1.0 / 24.0
    cosine = cosine * z - 0.5
    cosine = 1.0 + z * cosine
    quadrant = n - 4.0 * np.floor(0.25 * n)
    odd = quadrant == 1.0 or quadrant == 3.0
    first = cosine if odd else sine
    second = sine if odd else cosine
    return (
        -first if quadrant >= 2.0 else first,
        -second if quadrant == 1.0 or quadrant == 2.0 else second,
    )


@jit(fastmath=_CONTRACT)
def reduce_lanes(phase: Vector) -> Vector:
    """Return `phase` less whole turns, from 0 to 2 pi but for rounding."""
    reduced: Vector = phase - spread(_TURN) * floor(phase * spread(1.0 / _TURN))
    return reduced


@jit(fastmath=_CONTRACT)
def wrap_lanes(phase: Vector) -> Vector:
    """Return what `wrap` does, lane by lane."""
    zero = spread(0.0)
    reduced = reduce_lanes(phase)
    below = where_less(reduced, spread(_ALMOST_A_TURN), reduced, zero)
    wrapped: Vector = where_less(below, zero, zero, below)
    return wrapped


@jit(fastmath=_CONTRACT)
def arctan2_quarter(y: Vector, x: Vector) -> Vector:
    """Return what `arctan2` does, lane by lane, of numbers that are not negative."""
    zero, one = spread(0.0), spread(1.0)
    large = where_less(x, y, y, x)
    small = where_less(x, y, x, y)
    limit = spread(_TAN_EIGHTH) * large
    above = where_less(limit, small, small - large, small)
    below = where_less(limit, small, small + large, where_less(zero, large, large, one))
    t = above / below
    z = t * t
    two = z * z
    four = two * two
    low = spread(_ATAN[0]) + spread(_ATAN[1]) * z + (spread(_ATAN[2]) + spread(_ATAN[3]) * z) * two
    middle = spread(_ATAN[4]) + spread(_ATAN[5]) * z
    middle = middle + (spread(_ATAN[6]) + spread(_ATAN[7]) * z) * two
    high = spread(_ATAN[8]) + spread(_ATAN[9]) * z + spread(_ATAN[10]) * two
    series = low + (middle + high * four) * four
    angle = t + t * (z * series)
    angle = where_less(limit, small, angle + spread(0.25 * math.pi), angle)
    found: Vector = where_less(x, y, spread(0.5 * math.pi) - angle, angle)
    return found


@jit(fastmath=_CONTRACT)
def arctan2_lanes(y: Vector, x: Vector) -> Vector:
    """Return what `arctan2` does, lane by lane."""
    zero = spread(0.0)
    angle = arctan2_quarter(size(y), size(x))
    angle = where_less(x, zero, spread(math.pi) - angle, angle)
    signed: Vector = where_less(y, zero, -angle, angle)
    return signed
