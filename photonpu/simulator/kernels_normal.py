"""Normal numbers by counter; `photonpu.simulator.reference.sample_normals` defines them.

Box and Muller (1958): a point of the plane whose two places are normal lies at the distance
``sqrt(-2 ln u)`` in an even direction. Words become points in passes over some vectors, each short
enough for the processor to keep several steps of it under way; they stay in the first-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.simd import (
    LANES,
    address,
    alternate,
    bits_as_ints,
    bits_as_singles,
    bits_as_words,
    choose_negative,
    fma,
    ints_to_singles,
    keep,
    load_longs,
    load_singles,
    load_words,
    spread_ints,
    spread_singles,
    spread_words,
    sqrt,
    store,
)
from photonpu.simulator.kernels_cipher import cipher_round, last_round

#: Vectors that share a draw: the numbers of one register of outputs go to them.
TOGETHER = 4
#: Numbers that they take.
DRAWN = TOGETHER * LANES

_LONGS = LANES // 2
_EXACT_ROUNDS, _COARSE_ROUNDS = 7, 5
_WEYL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_DITHER = np.uint64(1 << 31)  # no tile has a number as large
_HALF = np.uint64(32)
_ROW = 2 * LANES  # from the first pair of vectors to the second
_F = np.float32

# -2 ln(1 + x) / x for sqrt(1/2) - 1 <= x < sqrt(2) - 1, to 1e-8 / x: minimax, by Remez exchange.
_LOG = tuple(
    _F(-2.0 * number)
    for number in (
        0.9999998807907104,
        -0.4999999403953552,
        0.3333527147769928,
        -0.25001826882362366,
        0.19931164383888245,
        -0.1655954122543335,
        0.1516207456588745,
        -0.14430680871009827,
        0.08264174312353134,
    )
)
_LOG1, _LOG2, _LOG3, _LOG4, _LOG5, _LOG6, _LOG7, _LOG8, _LOG9 = _LOG
_OCTAVE = _F(-2.0 * np.log(2.0) * 2.0**-23)
# sin(t) = t + t^3 (...) to 1.2e-9 and cos(t) = 1 + t^2 (...) to 3.3e-8, |t| <= pi / 4: minimax.
_SIN = (_F(-0.16666637361049652), _F(0.008331584744155407), _F(-0.0001946211705217138))
_COS = (_F(-0.49999895691871643), _F(0.04165629297494888), _F(-0.0013597822980955243))


@jit()
def schedule(key: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return what blocks meet: their own numbers under the first key, and the rounds' keys.

    Each is four blocks of 128 bits, a register of words.
    """
    words = np.empty((TOGETHER + _EXACT_ROUNDS, _LONGS), np.uint64)
    low = np.uint64(key[0]) | np.uint64(key[1]) << _HALF
    high = np.uint64(key[2]) | np.uint64(key[3]) << _HALF
    for row in range(TOGETHER):
        for i in range(0, _LONGS, 2):
            words[row, i] = low
            words[row, i + 1] = high ^ np.uint64(_LONGS // 2 * row + i // 2) << _HALF
    for row in range(_EXACT_ROUNDS):
        low += _WEYL[0]
        high += _WEYL[1]
        words[TOGETHER + row, 0::2] = low
        words[TOGETHER + row, 1::2] = high
    return words.reshape(-1)


@jit(forceinline=True)
def _encrypt(blocks: Any, keys: int, exact: bool) -> Any:
    """Return ARS of four blocks, which are under the first key."""
    blocks = cipher_round(blocks, load_longs(keys, TOGETHER * _LONGS))
    blocks = cipher_round(blocks, load_longs(keys, (TOGETHER + 1) * _LONGS))
    blocks = cipher_round(blocks, load_longs(keys, (TOGETHER + 2) * _LONGS))
    blocks = cipher_round(blocks, load_longs(keys, (TOGETHER + 3) * _LONGS))
    if not exact:
        return last_round(blocks, load_longs(keys, (TOGETHER + 4) * _LONGS))
    blocks = cipher_round(blocks, load_longs(keys, (TOGETHER + 4) * _LONGS))
    blocks = cipher_round(blocks, load_longs(keys, (TOGETHER + 5) * _LONGS))
    return last_round(blocks, load_longs(keys, (TOGETHER + 6) * _LONGS))


@jit(forceinline=True)
def _counted(group: int, tile: np.uint64, column: int) -> Any:
    """Return the counters of a register of outputs, four of them, without their own numbers."""
    return alternate(np.uint64(group), tile | np.uint64(LANES * column) << _HALF)


@jit(forceinline=True)
def _distance(word: Any) -> Any:
    """Return the squares of distances, ``-2 ln u`` with ``u = (w // 2 + 1/2) / 2^31``."""
    whole = ints_to_singles(bits_as_ints(word >> spread_words(np.uint32(1))))
    uniform = fma(whole, spread_singles(_F(2.0**-31)), spread_singles(_F(2.0**-32)))
    bits = bits_as_ints(uniform)
    # uniform = (1 + x) 2^e with 1 + x in [sqrt(1/2), sqrt(2)); e stands above the 23 bits of x
    above = bits_as_words(bits - spread_ints(np.int32(0x3F3504F3)))
    exponent = bits_as_ints(above & spread_words(np.uint32(0xFF800000)))
    x = bits_as_singles(bits - exponent) - spread_singles(_F(1.0))
    x2 = x * x
    low = fma(spread_singles(_LOG2), x, spread_singles(_LOG1))
    low = fma(fma(spread_singles(_LOG4), x, spread_singles(_LOG3)), x2, low)
    high = fma(spread_singles(_LOG6), x, spread_singles(_LOG5))
    high = fma(fma(spread_singles(_LOG8), x, spread_singles(_LOG7)), x2, high)
    x4 = x2 * x2
    high = fma(spread_singles(_LOG9), x4, high)
    return fma(fma(high, x4, low), x, ints_to_singles(exponent) * spread_singles(_OCTAVE))


@jit(forceinline=True)
def direction(word: Any) -> Any:
    """Return cos and sin of angles.

    The upper bits of a word are the sign of the cosine, and whether cos and sin change places;
    the others are the angle, within an eighth of a turn on either side of zero.
    """
    angle = ints_to_singles(bits_as_ints(word << spread_words(np.uint32(2))))
    eighth = _F(np.pi / 4 * 2.0**-31)
    t = fma(angle, spread_singles(eighth), spread_singles(_F(2.0) * eighth))
    t2 = t * t
    s = fma(fma(spread_singles(_SIN[2]), t2, spread_singles(_SIN[1])), t2, spread_singles(_SIN[0]))
    c = fma(fma(spread_singles(_COS[2]), t2, spread_singles(_COS[1])), t2, spread_singles(_COS[0]))
    s = fma(s, t2 * t, t)
    c = fma(c, t2, spread_singles(_F(1.0)))
    c = bits_as_singles(bits_as_words(c) ^ (word & spread_words(np.uint32(0x80000000))))
    swapped = bits_as_ints(word << spread_words(np.uint32(1)))
    return choose_negative(swapped, s, c), choose_negative(swapped, c, s)


@jit()
def points(
    drawn: int, groups: int, group: int, tile: int, column: int, keys: int, coarse: bool
) -> None:
    """Draw the points whose places are the numbers of register `column` of a tile's outputs.

    For each four vectors, `DRAWN` elements from `drawn` on are the squared distances of the points
    of the first two, the words that `direction` takes, and the same of the last two.
    """
    number = np.uint64(tile)
    step = 1 if coarse else 2
    for g in range(groups):
        counted = _counted(group + g, number, column)
        for pair in range(2):
            blocks = counted ^ load_longs(keys, step * pair * _LONGS)
            if coarse:  # a word serves twice, with half a step below its 16 bits
                word = bits_as_words(_encrypt(blocks, keys, False))
                half = spread_words(np.uint32(0x8000))
                angle = (word << spread_words(np.uint32(16))) | half
                word = (word & spread_words(np.uint32(0xFFFF0000))) | half
            else:
                word = bits_as_words(_encrypt(blocks, keys, True))
                blocks = counted ^ load_longs(keys, (step * pair + 1) * _LONGS)
                angle = bits_as_words(_encrypt(blocks, keys, True))
            store(drawn, g * DRAWN + pair * _ROW, word)
            store(drawn, g * DRAWN + pair * _ROW + LANES, angle)
    for at in range(0, groups * DRAWN, _ROW):
        store(drawn, at, _distance(load_words(drawn, at)))


@jit()
def dithers(drawn: int, groups: int, group: int, tile: int, column: int, keys: int) -> None:
    """Draw numbers, uniform from -1/2 to 1/2, in place of `points`: vector by vector."""
    number = np.uint64(tile) | _DITHER
    for g in range(groups):
        counted = _counted(group + g, number, column)
        for row in range(TOGETHER):
            blocks = counted ^ load_longs(keys, row * _LONGS)
            word = bits_as_ints(bits_as_words(_encrypt(blocks, keys, False)))
            store(
                drawn, g * DRAWN + row * LANES, ints_to_singles(word) * spread_singles(_F(2.0**-32))
            )


@jit()
def sample_normals(
    key: NDArray[np.uint32], tile: int, first: int, count: int, registers: int, coarse: bool
) -> NDArray[np.float32]:
    """Compute `photonpu.simulator.reference.sample_normals`, from a multiple of four on."""
    groups = -(-count // TOGETHER)
    normal = np.empty((groups * TOGETHER, registers * LANES), np.float32)
    drawn = np.empty(groups * DRAWN, np.float32)
    keys = schedule(key)
    start, stride = address(drawn), registers * LANES
    for column in range(registers):
        points(start, groups, first // TOGETHER, tile, column, address(keys), coarse)
        for pair in range(2 * groups):
            distance = sqrt(load_singles(start, pair * _ROW))
            cos, sin = direction(load_words(start, pair * _ROW + LANES))
            at = 2 * pair * stride + column * LANES
            store(normal, at, distance * cos)
            store(normal, at + stride, distance * sin)
    keep(drawn)
    keep(keys)
    return normal[:count]
