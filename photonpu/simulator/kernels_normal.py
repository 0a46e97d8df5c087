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
    load_longs,
    longs_in_order,
    low_product,
    spread_ints,
    spread_longs,
    spread_singles,
    spread_words,
    sqrt,
    store,
    words_to_singles,
)

#: Two words, and the `address` of what `schedule` makes of them.
Key = tuple[np.uint64, np.uint64, int]

#: Vectors that share a draw: the four numbers of one counter go to them.
TOGETHER = 4
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_COUNTERS = LANES // 2  # counters at once
_DITHER = np.uint64(0x80000000)  # no tile has a number as large
_F = np.float32


@jit()
def schedule(key: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return the keys of Philox's ten rounds, each of two words, in every lane of a register."""
    words = np.empty((10, 2, _COUNTERS), np.uint64)
    for r in range(10):
        words[r, 0] = (np.uint64(key[0]) + np.uint64(r) * _WEYL_0) & _LOW
        words[r, 1] = (np.uint64(key[1]) + np.uint64(r) * _WEYL_1) & _LOW
    return words.reshape(-1)


@jit(forceinline=True)
def _bump(c0: Any, c1: Any, c2: Any, c3: Any, keys: int, number: int) -> Any:
    """Return the words after one more round; they stand in the lower halves of 64-bit lanes."""
    half = spread_longs(_HALF)
    p0 = low_product(spread_longs(_MULTIPLIER_0), c0)
    p1 = low_product(spread_longs(_MULTIPLIER_1), c2)
    c0 = (p1 >> half) ^ c1 ^ load_longs(keys, 2 * number * _COUNTERS)
    c2 = (p0 >> half) ^ c3 ^ load_longs(keys, (2 * number + 1) * _COUNTERS)
    return c0, p1, c2, p0  # only the lower halves of products are read


@jit(forceinline=True)
def _philox(common: Any, c3: Any, keys: int, rounds: int) -> Any:
    """Return Philox4x32 of eight counters, which differ in their last words only.

    What the first three rounds make of their `common` words is one number for all of them.
    """
    half = spread_longs(_HALF)
    a2, b0, b1, d1, d2 = common
    # after the first round: c0 and c1, as well as c3, are common
    c2 = c3 ^ spread_longs(a2)
    # after the second: c2 and c3 are common
    p1 = low_product(spread_longs(_MULTIPLIER_1), c2)
    c0, c1 = (p1 >> half) ^ spread_longs(b0), p1
    # after the third: c1 is common
    p0 = low_product(spread_longs(_MULTIPLIER_0), c0)
    c0, c1, c2, c3 = c1 ^ spread_longs(b1), spread_longs(d1), (p0 >> half) ^ spread_longs(d2), p0
    c0, c1, c2, c3 = _bump(c0, c1, c2, c3, keys, 3)
    c0, c1, c2, c3 = _bump(c0, c1, c2, c3, keys, 4)
    c0, c1, c2, c3 = _bump(c0, c1, c2, c3, keys, 5)
    c0, c1, c2, c3 = _bump(c0, c1, c2, c3, keys, 6)
    if rounds == 10:
        c0, c1, c2, c3 = _bump(c0, c1, c2, c3, keys, 7)
        c0, c1, c2, c3 = _bump(c0, c1, c2, c3, keys, 8)
        c0, c1, c2, c3 = _bump(c0, c1, c2, c3, keys, 9)
    return c0, c1, c2, c3


@jit(forceinline=True)
def _common(group: int, tile: np.uint64, key: Key) -> Any:
    """Return what the first three rounds make of the words that a register's counters share."""
    key0, key1, _ = key
    next0, next1 = (key0 + _WEYL_0) & _LOW, (key1 + _WEYL_1) & _LOW
    third0, third1 = (next0 + _WEYL_0) & _LOW, (next1 + _WEYL_1) & _LOW
    p0 = _MULTIPLIER_0 * (np.uint64(group) & _LOW)
    p1 = _MULTIPLIER_1 * tile
    c0 = (p1 >> _HALF) ^ (np.uint64(group) >> _HALF) ^ key0
    c1, c3 = p1 & _LOW, p0 & _LOW
    a2 = (p0 >> _HALF) ^ key1
    p0 = _MULTIPLIER_0 * c0
    b0 = c1 ^ next0
    c2, c3 = (p0 >> _HALF) ^ c3 ^ next1, p0 & _LOW
    p1 = _MULTIPLIER_1 * c2
    return a2, b0, (p1 >> _HALF) ^ third0, p1 & _LOW, c3 ^ third1


@jit(forceinline=True)
def _radius(word: Any) -> Any:
    """Return Box-Muller's radii ``sqrt(-2 ln((w + 0.5) / 2^32))``."""
    uniform = fma(
        words_to_singles(word), spread_singles(_F(2.0**-32)), spread_singles(_F(2.0**-33))
    )
    return _root_of_log(uniform)


@jit(forceinline=True)
def _root_of_log(uniform: Any) -> Any:
    """Return ``sqrt(-2 ln u)`` for ``0 < u <= 1``; Cephes' logarithm, which is never above 0."""
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
    return sqrt(log * spread_singles(_F(-2.0)))


@jit(forceinline=True)
def _first_octant(t: Any) -> Any:
    """Return cos and sin of angles up to an eighth turn, by Cephes' polynomials."""
    z = t * t
    s = fma(spread_singles(_F(-1.9515295891e-4)), z, spread_singles(_F(8.3321608736e-3)))
    s = fma(fma(s, z, spread_singles(_F(-1.6666654611e-1))), z * t, t)
    c = fma(spread_singles(_F(2.443315711809948e-5)), z, spread_singles(_F(-1.388731625493765e-3)))
    c = fma(c, z, spread_singles(_F(4.166664568298827e-2)))
    c = fma(c, z * z, fma(spread_singles(_F(-0.5)), z, spread_singles(_F(1.0))))
    return c, s


@jit(forceinline=True)
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


@jit(forceinline=True)
def normals(group: int, tile: int, column: int, key: Key) -> Any:
    """Return the numbers of four vectors at register `column` of a tile's outputs."""
    common = _common(group, np.uint64(tile), key)
    even = even_longs() + spread_longs(np.uint64(LANES * column))
    odd = even + spread_longs(np.uint64(1))
    a0, a1, a2, a3 = _philox(common, even, key[2], 10)
    b0, b1, b2, b3 = _philox(common, odd, key[2], 10)
    radius = _radius(interleave(a0, b0))
    cos, sin = _circle(interleave(a1, b1))
    other = _radius(interleave(a2, b2))
    other_cos, other_sin = _circle(interleave(a3, b3))
    return radius * cos, radius * sin, other * other_cos, other * other_sin


@jit(forceinline=True)
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


@jit(forceinline=True)
def coarse_normals(group: int, tile: int, column: int, key: Key) -> Any:
    """Return what `normals` returns for half the work: one word makes two, after seven rounds."""
    common = _common(group, np.uint64(tile), key)
    counter = longs_in_order() + spread_longs(np.uint64(LANES // 2 * column))
    w0, w1, w2, w3 = _philox(common, counter, key[2], 7)
    n0, n1 = _coarse_pair(interleave(w0, w1))
    n2, n3 = _coarse_pair(interleave(w2, w3))
    return n0, n1, n2, n3


@jit(forceinline=True)
def dithers(group: int, tile: int, column: int, key: Key) -> Any:
    """Return numbers of four vectors, uniform from -1/2 to 1/2, that go with `coarse_normals`."""
    common = _common(group, np.uint64(tile) | _DITHER, key)
    even = even_longs() + spread_longs(np.uint64(LANES * column))
    odd = even + spread_longs(np.uint64(1))
    a0, a1, a2, a3 = _philox(common, even, key[2], 7)
    b0, b1, b2, b3 = _philox(common, odd, key[2], 7)
    return (
        _centred(interleave(a0, b0)),
        _centred(interleave(a1, b1)),
        _centred(interleave(a2, b2)),
        _centred(interleave(a3, b3)),
    )


@jit(forceinline=True)
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
    rounds = schedule(key)
    words = (np.uint64(key[0]), np.uint64(key[1]), address(rounds))
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
