"""Compiled kernels of the simulator; `photonpu.simulator.reference` defines each of them.

The noise is made in passes over short arrays (Philox counters, logarithm, sine and cosine as
polynomials) because such loops vectorise without a vector math library. All of it stands in one
file: a cached kernel does not see changes in another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit

Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Words = NDArray[np.uint32]

_FAST = frozenset({"contract", "nsz"})
_BLOCK = 64  # vectors a task; its partial sums stay in the second-level cache
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint32(0x9E3779B9)
_WEYL_1 = np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF_WORD = np.uint64(32)


@jit()
def _philox(vector: int, tile: Words, block: Words, key: Words, words: Words) -> None:
    """Fill `words` (4, b) with Philox4x32-10 of counters (vector, tile[i], block[i])."""
    low = np.uint32(np.uint64(vector) & _LOW)
    high = np.uint32(np.uint64(vector) >> _HALF_WORD)
    for i in range(block.size):
        c0, c1, c2, c3 = low, high, tile[i], block[i]
        k0, k1 = key[0], key[1]
        for _ in range(10):
            p0 = _MULTIPLIER_0 * np.uint64(c0)
            p1 = _MULTIPLIER_1 * np.uint64(c2)
            c0 = np.uint32(p1 >> _HALF_WORD) ^ c1 ^ k0
            c2 = np.uint32(p0 >> _HALF_WORD) ^ c3 ^ k1
            c1 = np.uint32(p1 & _LOW)
            c3 = np.uint32(p0 & _LOW)
            k0 = np.uint32(k0 + _WEYL_0)
            k1 = np.uint32(k1 + _WEYL_1)
        words[0, i] = c0
        words[1, i] = c1
        words[2, i] = c2
        words[3, i] = c3


@jit(fastmath=_FAST)
def _radius(words: Words, bits: Ints, radius: Singles) -> None:
    """Turn words into Box-Muller radii ``sqrt(-2 ln((w + 0.5) / 2^32))``; `bits` is scratch."""
    for i in range(words.size):
        radius[i] = np.float32(words[i]) * np.float32(2.0**-32) + np.float32(2.0**-33)
    pattern = radius.view(np.int32)
    for i in range(words.size):
        bits[i] = pattern[i]
    for i in range(words.size):
        # ln(m 2^e) with m in [sqrt(1/2), sqrt(2)): Cephes' single-precision polynomial.
        exponent = (bits[i] - np.int32(0x3F3504F3)) >> np.int32(23)
        pattern[i] = bits[i] - (exponent << np.int32(23))
        bits[i] = exponent
    for i in range(words.size):
        x = radius[i] - np.float32(1.0)
        z = x * x
        p = np.float32(7.0376836292e-2)
        p = p * x - np.float32(1.1514610310e-1)
        p = p * x + np.float32(1.1676998740e-1)
        p = p * x - np.float32(1.2420140846e-1)
        p = p * x + np.float32(1.4249322787e-1)
        p = p * x - np.float32(1.6668057665e-1)
        p = p * x + np.float32(2.0000714765e-1)
        p = p * x - np.float32(2.4999993993e-1)
        p = p * x + np.float32(3.3333331174e-1)
        e = np.float32(bits[i])
        log = x * z * p - np.float32(0.5) * z + x + e * np.float32(0.69314718056)
        radius[i] = np.sqrt(max(np.float32(-2.0) * log, np.float32(0.0)))


@jit(fastmath=_FAST)
def _pair(angle: Words, radius: Singles, first: Singles, second: Singles) -> None:
    """Fill `first`, `second` with radius times cos and sin of ``2 pi (w + 0.5) / 2^32``."""
    for i in range(angle.size):
        quarter = np.uint32(angle[i] + np.uint32(0x20000000)) >> np.uint32(30)
        rest = np.int32(np.uint32(angle[i] - np.uint32(quarter << np.uint32(30))))
        t = (np.float32(rest) + np.float32(0.5)) * np.float32(2.0 * np.pi * 2.0**-32)
        z = t * t
        s = np.float32(-1.9515295891e-4) * z + np.float32(8.3321608736e-3)
        s = (s * z - np.float32(1.6666654611e-1)) * z * t + t
        c = np.float32(2.443315711809948e-5) * z - np.float32(1.388731625493765e-3)
        c = (c * z + np.float32(4.166664568298827e-2)) * z * z - np.float32(0.5) * z
        c = c + np.float32(1.0)
        odd = np.float32(quarter & np.uint32(1))
        even = np.float32(1.0) - odd
        sign_cos = np.float32(1.0) - np.float32((quarter + np.uint32(1)) & np.uint32(2))
        sign_sin = np.float32(1.0) - np.float32(quarter & np.uint32(2))
        first[i] = radius[i] * sign_cos * (even * c + odd * s)
        second[i] = radius[i] * sign_sin * (even * s + odd * c)


@jit()
def _fill_normals(
    vector: int,
    tiles: Words,
    blocks: Words,
    key: Words,
    words: Words,
    bits: Ints,
    radius: Singles,
    normals: Singles,
) -> None:
    """Fill `normals` (4, b): lane l of block i is normals[l, i]."""
    _philox(vector, tiles, blocks, key, words)
    _radius(words[0], bits, radius)
    _pair(words[1], radius, normals[0], normals[1])
    _radius(words[2], bits, radius)
    _pair(words[3], radius, normals[2], normals[3])


@jit()
def sample_normals(key: Words, tile: int, vectors: NDArray[np.int64], rows: int) -> Singles:
    """Compute `photonpu.simulator.reference.sample_normals`."""
    count = -(-rows // 4)
    tiles = np.full(count, np.uint32(tile), np.uint32)
    blocks = np.arange(count).astype(np.uint32)
    words = np.empty((4, count), np.uint32)
    bits = np.empty(count, np.int32)
    radius = np.empty(count, np.float32)
    normals = np.empty((4, count), np.float32)
    drawn = np.empty((vectors.size, rows), np.float32)
    for v in range(vectors.size):
        _fill_normals(vectors[v], tiles, blocks, key, words, bits, radius, normals)
        for j in range(rows):
            drawn[v, j] = normals[j & 3, j >> 2]
    return drawn


@jit(fastmath=_FAST)
def _add_noise(
    value: Singles, tile: Ints, normals: Singles, line: Singles, floor: float, slope: float
) -> None:
    """Add detector noise to one vector's outputs of a column of tiles; `line` is scratch."""
    block = 0
    for t in range(tile.shape[0]):
        offset, count = tile[t, 0], tile[t, 1]
        blocks = (count + 3) >> 2
        for b in range(blocks):
            for lane in range(4):
                line[4 * b + lane] = normals[lane, block + b]
        block += blocks
        outputs = value[offset : offset + count]
        for j in range(count):
            y = outputs[j]
            outputs[j] = y + np.sqrt(np.float32(floor) + np.float32(slope) * y * y) * line[j]


@jit(fastmath=_FAST)
def _add_up(
    value: Singles, total: Singles, tile: Ints, factor: Singles, full_scale: Singles, levels: float
) -> None:
    """Round one vector's outputs of a column of tiles to ADC codes and add them to its sums."""
    limit = np.float32(levels)
    for t in range(tile.shape[0]):
        outputs = value[tile[t, 0] : tile[t, 0] + tile[t, 1]]
        target = total[tile[t, 2] : tile[t, 2] + tile[t, 1]]
        if levels > 0.0:
            step = full_scale[t] / limit
            inverse = np.float32(1.0) / step
            weight = step * factor[t]
            for j in range(outputs.size):
                target[j] += min(max(np.rint(outputs[j] * inverse), -limit), limit) * weight
        else:
            for j in range(outputs.size):
                target[j] += outputs[j] * factor[t]


@jit()
def _counters(tile: Ints) -> tuple[Words, Words]:
    """Return the last two counter words of each block of four outputs of a column of tiles."""
    count = 0
    for t in range(tile.shape[0]):
        count += (tile[t, 1] + 3) >> 2
    tiles = np.empty(count, np.uint32)
    blocks = np.empty(count, np.uint32)
    i = 0
    for t in range(tile.shape[0]):
        for b in range((tile[t, 1] + 3) >> 2):
            tiles[i] = tile[t, 3]
            blocks[i] = b
            i += 1
    return tiles, blocks


@jit()
def _detect(
    partial: Singles,
    total: Singles,
    first: int,
    tile: Ints,
    factor: Singles,
    full_scale: Singles,
    levels: float,
    floor: float,
    slope: float,
    key: Words,
) -> None:
    """Detect, digitise and add up the outputs of a column of tiles, changed, for some vectors."""
    tiles, blocks = _counters(tile)
    words = np.empty((4, tiles.size), np.uint32)
    bits = np.empty(tiles.size, np.int32)
    radius = np.empty(tiles.size, np.float32)
    normals = np.empty((4, tiles.size), np.float32)
    line = np.empty(4 * ((tile[:, 1].max() + 3) >> 2), np.float32)
    for v in range(partial.shape[0]):
        if floor > 0.0 or slope > 0.0:
            _fill_normals(first + v, tiles, blocks, key, words, bits, radius, normals)
            _add_noise(partial[v], tile, normals, line, floor, slope)
        _add_up(partial[v], total[v], tile, factor, full_scale, levels)


@jit(parallel=True)
def stream(
    vectors: Singles,
    weights: Singles,
    column: Ints,
    tile: Ints,
    factor: Singles,
    full_scale: Singles,
    rows: int,
    first: int,
    levels: float,
    floor: float,
    slope: float,
    key: Words,
) -> Singles:
    """Compute `photonpu.simulator.reference.stream`."""
    count = vectors.shape[0]
    total = np.zeros((count, rows), np.float32)
    for task in prange((count + _BLOCK - 1) // _BLOCK):
        low, high = task * _BLOCK, min(count, (task + 1) * _BLOCK)
        begin = 0
        for c in range(column.shape[0]):
            inputs = column[c, 1] - column[c, 0]
            tiles = slice(column[c, 2], column[c, 3])
            width = tile[tiles, 1].sum()
            end = begin + inputs * width
            block = np.ascontiguousarray(vectors[low:high, column[c, 0] : column[c, 1]])
            partial = np.dot(block, weights[begin:end].reshape(inputs, width))
            begin = end
            _detect(
                partial,
                total[low:high],
                first + low,
                tile[tiles],
                factor[tiles],
                full_scale[tiles],
                levels,
                floor,
                slope,
                key,
            )
    return total


@jit(parallel=True, fastmath=_FAST)
def _quantise(values: Singles, inverse: np.float32, levels: np.float32, out: Singles) -> None:
    """Fill `out` with `values` as fractions of full scale on `levels` levels a side."""
    one = np.float32(1.0)
    for i in prange(values.size):
        relative = values[i] * inverse
        if levels > 0.0:
            code = np.rint(min(max(relative, -one), one) * levels)
            relative = code * (one / levels)
        out[i] = relative


def quantise(values: NDArray[Any], full_scale: float, levels: float) -> Singles:
    """Compute `photonpu.simulator.reference.quantise`."""
    out = np.empty(values.shape, np.float32)
    flat = np.ascontiguousarray(values).reshape(-1)
    _quantise(flat, np.float32(1.0 / full_scale), np.float32(levels), out.reshape(-1))
    return out
