"""Normal numbers by counter; `photonpu.simulator.reference.sample_normals` defines them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import (
    LANES,
    address,
    bits_as_ints,
    bits_as_singles,
    bits_as_words,
    choose_odd,
    even_longs,
    fma,
    interleave,
    ints_to_singles,
    longs_in_order,
    low_product,
    maximum,
    spread_ints,
    spread_longs,
    spread_singles,
    spread_words,
    sqrt,
    store,
    words_to_singles,
)

Key = tuple[np.uint64, np.uint64]

#: Vectors that share a draw: the four numbers of one counter go to them.
TOGETHER = 4
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_DITHER = np.uint64(0x80000000)  # no tile has a number as large
_F = np.float32


@jit()
def _philox(c0: Any, c1: Any, c2: Any, c3: Any, key: Key, rounds: int) -> Any:
    """Return Philox4x32 of eight counters; words stand in the lower halves of 64-bit lanes."""
    m0 = spread_longs(_MULTIPLIER_0)
    m1 = spread_longs(_MULTIPLIER_1)
    half = spread_longs(np.uint64(32))
    key0, key1 = key
    for _ in range(rounds):
        p0 = low_product(m0, c0)
        p1 = low_product(m1, c2)
        c0 = (p1 >> half) ^ c1 ^ spread_longs(key0)
        c2 = (p0 >> half) ^ c3 ^ spread_longs(key1)
        c1, c3 = p1, p0  # only their lower halves are read
        key0 = (key0 + _WEYL_0) & _LOW
        key1 = (key1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@jit()
def _radius(word: Any) -> Any:
    """Return Box-Muller's radii ``sqrt(-2 ln((w + 0.5) / 2^32))``."""
    uniform = fma(
        words_to_singles(word), spread_singles(_F(2.0**-32)), spread_singles(_F(2.0**-33))
    )
    return _root_of_log(uniform)


@jit()
def _root_of_log(uniform: Any) -> Any:
    """Return ``sqrt(-2 ln u)`` for ``0 < u <= 1``; Cephes' logarithm."""
    bits = bits_as_words(uniform)
    fraction = spread_ints(np.int32(23))
    # uniform = m 2^e with m in [sqrt(1/2), sqrt(2))
    exponent = bits_as_ints(bits - spread_words(np.uint32(0x3F3504F3))) >> fraction
    x = bits_as_singles(bits_as_ints(bits) - (exponent << fraction)) - spread_singles(_F(1.0))
    z = x * x
    p = spread_singles(_F(7.0376836292e-2))
    p = fma(p, x, spread_singles(_F(-1.1514610310e-1)))
    p = fma(p, x, spread_singles(_F(1.1676998740e-1)))
    p = fma(p, x, spread_singles(_F(-1.2420140846e-1)))
    p = fma(p, x, spread_singles(_F(1.4249322787e-1)))
    p = fma(p, x, spread_singles(_F(-1.6668057665e-1)))
    p = fma(p, x, spread_singles(_F(2.0000714765e-1)))
    p = fma(p, x, spread_singles(_F(-2.4999993993e-1)))
    p = fma(p, x, spread_singles(_F(3.3333331174e-1)))
    log = fma(x * z, p, fma(spread_singles(_F(-0.5)), z, x))
    log = fma(ints_to_singles(exponent), spread_singles(_F(0.69314718056)), log)
    return sqrt(maximum(log * spread_singles(_F(-2.0)), spread_singles(_F(0.0))))


@jit()
def _first_octant(t: Any) -> Any:
    """Return cos and sin of angles up to an eighth turn, by Cephes' polynomials."""
    z = t * t
    s = fma(spread_singles(_F(-1.9515295891e-4)), z, spread_singles(_F(8.3321608736e-3)))
    s = fma(fma(s, z, spread_singles(_F(-1.6666654611e-1))), z * t, t)
    c = fma(spread_singles(_F(2.443315711809948e-5)), z, spread_singles(_F(-1.388731625493765e-3)))
    c = fma(c, z, spread_singles(_F(4.166664568298827e-2)))
    c = fma(c, z * z, fma(spread_singles(_F(-0.5)), z, spread_singles(_F(1.0))))
    return c, s


@jit()
def _circle(word: Any) -> Any:
    """Return cos and sin of ``2 pi (w + 0.5) / 2^32``."""
    two = spread_words(np.uint32(30))
    quarter = (word + spread_words(np.uint32(0x20000000))) >> two
    rest = bits_as_ints(word - (quarter << two))
    t = (ints_to_singles(rest) + spread_singles(_F(0.5))) * spread_singles(_F(2 * np.pi * 2.0**-32))
    c, s = _first_octant(t)
    sign = spread_words(np.uint32(2))
    minus_cos = ((quarter + spread_words(np.uint32(1))) & sign) << two
    minus_sin = (quarter & sign) << two
    cos = bits_as_words(choose_odd(quarter, s, c)) ^ minus_cos
    sin = bits_as_words(choose_odd(quarter, c, s)) ^ minus_sin
    return bits_as_singles(cos), bits_as_singles(sin)


@jit()
def normals(group: int, tile: int, column: int, key: Key) -> Any:
    """Return the numbers of four vectors at register `column` of a tile's outputs."""
    c0 = spread_longs(np.uint64(group) & _LOW)
    c1 = spread_longs(np.uint64(group) >> np.uint64(32))
    c2 = spread_longs(np.uint64(tile))
    even = even_longs() + spread_longs(np.uint64(LANES * column))
    odd = even + spread_longs(np.uint64(1))
    a0, a1, a2, a3 = _philox(c0, c1, c2, even, key, 10)
    b0, b1, b2, b3 = _philox(c0, c1, c2, odd, key, 10)
    radius = _radius(interleave(a0, b0))
    cos, sin = _circle(interleave(a1, b1))
    other = _radius(interleave(a2, b2))
    other_cos, other_sin = _circle(interleave(a3, b3))
    return radius * cos, radius * sin, other * other_cos, other * other_sin


@jit()
def _coarse_pair(word: Any) -> Any:
    """Return two normal numbers of each word: 16 bits of radius, 13 of angle, 3 of octant."""
    high = bits_as_ints(word >> spread_words(np.uint32(16)))
    uniform = ints_to_singles(high) + spread_singles(_F(0.5))
    radius = _root_of_log(uniform * spread_singles(_F(2.0**-16)))
    low = bits_as_ints(word & spread_words(np.uint32(0x1FFF)))
    eighth = ints_to_singles(low) + spread_singles(_F(0.5))
    cos, sin = _first_octant(eighth * spread_singles(_F(np.pi / 2**15)))
    swapped = word >> spread_words(np.uint32(13))
    sign = spread_words(np.uint32(0x80000000))
    x = bits_as_words(radius * choose_odd(swapped, sin, cos))
    y = bits_as_words(radius * choose_odd(swapped, cos, sin))
    x = x ^ ((word << spread_words(np.uint32(17))) & sign)
    y = y ^ ((word << spread_words(np.uint32(16))) & sign)
    return bits_as_singles(x), bits_as_singles(y)


@jit()
def coarse_normals(group: int, tile: int, column: int, key: Key) -> Any:
    """Return what `normals` returns for half the work: one word makes two, after seven rounds."""
    c0 = spread_longs(np.uint64(group) & _LOW)
    c1 = spread_longs(np.uint64(group) >> np.uint64(32))
    c2 = spread_longs(np.uint64(tile))
    counter = longs_in_order() + spread_longs(np.uint64(LANES // 2 * column))
    w0, w1, w2, w3 = _philox(c0, c1, c2, counter, key, 7)
    n0, n1 = _coarse_pair(interleave(w0, w1))
    n2, n3 = _coarse_pair(interleave(w2, w3))
    return n0, n1, n2, n3


@jit()
def dithers(group: int, tile: int, column: int, key: Key) -> Any:
    """Return numbers of four vectors, uniform from -1/2 to 1/2, that go with `coarse_normals`."""
    c0 = spread_longs(np.uint64(group) & _LOW)
    c1 = spread_longs(np.uint64(group) >> np.uint64(32))
    c2 = spread_longs(np.uint64(tile) | _DITHER)
    even = even_longs() + spread_longs(np.uint64(LANES * column))
    odd = even + spread_longs(np.uint64(1))
    a0, a1, a2, a3 = _philox(c0, c1, c2, even, key, 7)
    b0, b1, b2, b3 = _philox(c0, c1, c2, odd, key, 7)
    return (
        _centred(interleave(a0, b0)),
        _centred(interleave(a1, b1)),
        _centred(interleave(a2, b2)),
        _centred(interleave(a3, b3)),
    )


@jit()
def _centred(word: Any) -> Any:
    """Return ``(w + 0.5) / 2^32 - 0.5``."""
    return fma(words_to_singles(word), spread_singles(_F(2.0**-32)), spread_singles(_F(-0.5)))


@jit()
def sample_normals(
    key: NDArray[np.uint32], tile: int, first: int, count: int, registers: int, coarse: bool
) -> NDArray[np.float32]:
    """Compute `photonpu.simulator.reference.sample_normals`, from a multiple of four on."""
    whole = -(-count // TOGETHER) * TOGETHER
    drawn = np.empty((whole, registers * LANES), np.float32)
    start = address(drawn)
    words = (np.uint64(key[0]), np.uint64(key[1]))
    stride = registers * LANES
    for v in range(0, whole, TOGETHER):
        for column in range(registers):
            group = (first + v) // TOGETHER
            if coarse:
                n0, n1, n2, n3 = coarse_normals(group, tile, column, words)
            else:
                n0, n1, n2, n3 = normals(group, tile, column, words)
            at = v * stride + column * LANES
            store(start, at, n0)
            store(start, at + stride, n1)
            store(start, at + 2 * stride, n2)
            store(start, at + 3 * stride, n3)
    return drawn[:count]
