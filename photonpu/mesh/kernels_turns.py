"""Sines, cosines and arcs of lanes, in double precision and for what light meets in single."""

from __future__ import annotations

import math

import numpy as np

from photonpu.jit import jit
from photonpu.mesh.kernels_moves import turn_quarters
from photonpu.simd import (
    Vector,
    doubles_to_eights,
    spread_eights,
    where_less,
)
from photonpu.simd import floor_doubles as floor
from photonpu.simd import size_doubles as size
from photonpu.simd import spread_doubles as spread

_CONTRACT = frozenset({"contract"})


@jit(fastmath=_CONTRACT)
def _reduced(x: Vector) -> tuple[Vector, Vector]:
    """Return `x` less the nearest multiple of pi/2, and which multiple it is, from 0 to 3."""
    n = floor(x * spread(2.0 / math.pi) + spread(0.5))
    y = x - n * spread(1.5707963267341256)
    y = y - n * spread(6.077100506303966e-11)
    y = y - n * spread(2.0222662487959506e-21)
    return y, n - spread(4.0) * floor(spread(0.25) * n)


@jit(fastmath=_CONTRACT)
def sincos_lanes(x: Vector) -> tuple[Vector, Vector]:
    """Return what `sincos` does, lane by lane."""
    y, quadrant = _reduced(x)
    z = y * y
    sine = spread(-1.0 / 1307674368000.0)
    sine = sine * z + spread(1.0 / 6227020800.0)
    sine = sine * z + spread(-1.0 / 39916800.0)
    sine = sine * z + spread(1.0 / 362880.0)
    sine = sine * z + spread(-1.0 / 5040.0)
    sine = sine * z + spread(1.0 / 120.0)
    sine = sine * z + spread(-1.0 / 6.0)
    sine = y + y * (z * sine)
    cosine = spread(1.0 / 20922789888000.0)
    cosine = cosine * z + spread(-1.0 / 87178291200.0)
    cosine = cosine * z + spread(1.0 / 479001600.0)
    cosine = cosine * z + spread(-1.0 / 3628800.0)
    cosine = cosine * z + spread(1.0 / 40320.0)
    cosine = cosine * z + spread(-1.0 / 720.0)
    cosine = cosine * z + spread(1.0 / 24.0)
    cosine = cosine * z + spread(-0.5)
    cosine = spread(1.0) + z * cosine
    odd = quadrant - spread(2.0) * floor(spread(0.5) * quadrant)
    first = where_less(spread(0.5), odd, cosine, sine)
    second = where_less(spread(0.5), odd, sine, cosine)
    first = where_less(spread(1.5), quadrant, -first, first)
    second = where_less(size(quadrant - spread(1.5)), spread(1.0), -second, second)
    return first, second


@jit(fastmath=_CONTRACT)
def turn_lanes(x: Vector) -> tuple[Vector, Vector]:
    """Return sine and cosine in single precision, each within 1e-7 for ``|x| < 1e5``.

    Polynomials of the reduced argument's square, interpolated at 4 and 5 Chebyshev nodes, are
    within 3e-9.
    """
    n = floor(x * spread(2.0 / math.pi) + spread(0.5))
    y = doubles_to_eights(x - n * spread(0.5 * math.pi))
    z = y * y
    sine = spread_eights(np.float32(-0.0001950356948487196))
    sine = sine * z + spread_eights(np.float32(0.008332033202324342))
    sine = sine * z + spread_eights(np.float32(-0.16666650626147905))
    sine = y + y * (z * sine)
    cosine = spread_eights(np.float32(2.4379412696124163e-05))
    cosine = cosine * z + spread_eights(np.float32(-0.001388661347837977))
    cosine = cosine * z + spread_eights(np.float32(0.041666616543016975))
    cosine = cosine * z + spread_eights(np.float32(-0.4999999961331921))
    cosine = spread_eights(np.float32(1.0)) + z * cosine
    turned: tuple[Vector, Vector] = turn_quarters(n, sine, cosine)
    return turned


@jit(fastmath=_CONTRACT)
def cosine_lanes(x: Vector) -> Vector:
    """Return the cosine, within 1e-15 for ``|x| < 20``.

    It is a sine of what is left to the nearest odd multiple of pi/2; there a polynomial in the
    square, interpolated at 8 Chebyshev nodes, is within 4e-16.
    """
    n = floor(x * spread(1.0 / math.pi))
    odd = n + spread(0.5)
    y = x - odd * spread(math.pi)
    z = y * y
    w = z * z
    even = spread(1.6048166167666442e-10)
    even = even * w + spread(2.7557316608034622e-06)
    even = even * w + spread(0.008333333333282726)
    odd_part = spread(-7.374360691567403e-13)
    odd_part = odd_part * w + spread(-2.5051881879351066e-08)
    odd_part = odd_part * w + spread(-0.00019841269824853736)
    odd_part = odd_part * w + spread(-0.16666666666666072)
    sine = y + y * (z * (even * z + odd_part))
    half = spread(0.5) * n
    sign = spread(4.0) * (half - floor(half)) - spread(1.0)
    cosine: Vector = sign * sine
    return cosine


@jit(fastmath=_CONTRACT)
def arctan_lanes(x: Vector) -> Vector:
    """Return the angle whose tangent is `x`, from -1 to 1, within 2e-13.

    A polynomial in the square, interpolated at 15 Chebyshev nodes, its even and odd parts side by
    side.
    """
    z = x * x
    w = z * z
    even = spread(0.0001704604046618824)
    even = even * w + spread(0.005936376596452122)
    even = even * w + spread(0.028410612112699588)
    even = even * w + spread(0.054582394542429476)
    even = even * w + spread(0.07663177357754078)
    even = even * w + spread(0.11110640790649381)
    even = even * w + spread(0.1999999901342103)
    even = even * w + spread(0.99999999999971)
    odd = spread(-0.0014666686334116588)
    odd = odd * w + spread(-0.01523249190907656)
    odd = odd * w + spread(-0.042324616793255394)
    odd = odd * w + spread(-0.06536228811849373)
    odd = odd * w + spread(-0.09086360660727331)
    odd = odd * w + spread(-0.14285684661254053)
    odd = odd * w + spread(-0.3333333332025471)
    angle: Vector = x * (even + z * odd)
    return angle
