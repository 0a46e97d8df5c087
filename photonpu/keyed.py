"""Random numbers by counter: a draw depends on what it is for, never on the order of drawing.

Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): a
bijection of a 128-bit counter under a 64-bit key. `plain_philox` is the twin of the compiled one.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from numpy.typing import ArrayLike, NDArray

from photonpu.errors import InputError

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], dtype=np.uint32)
_ROUNDS = 10
_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_STEPS = np.array([0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], dtype=np.uint64)

#: What each byte becomes in a round of the Advanced Encryption Standard (FIPS 197, figure 7).
SUBSTITUTES = np.frombuffer(
    bytes.fromhex(
        "637c777bf26b6fc53001672bfed7ab76ca82c97dfa5947f0add4a2af9ca472c0"
        "b7fd9326363ff7cc34a5e5f171d8311504c723c31896059a071280e2eb27b275"
        "09832c1a1b6e5aa0523bd6b329e32f8453d100ed20fcb15b6acbbe394a4c58cf"
        "d0efaafb434d338545f9027f503c9fa851a3408f929d38f5bcb6da2110fff3d2"
        "cd0c13ec5f974417c4a77e3d645d197360814fdc222a908846eeb814de5e0bdb"
        "e0323a0a4906245cc2d3ac629195e479e7c8376d8dd54ea96c56f4ea657aae08"
        "ba78252e1ca6b4c6e8dd741f4bbd8b8a703eb5664803f60e613557b986c11d9e"
        "e1f8981169d98e949b1e87e9ce5528df8ca1890dbfe6426841992d0fb054bb16"
    ),
    np.uint8,
)


def philox(counter: ArrayLike, key: ArrayLike, *, rounds: int = _ROUNDS) -> NDArray[np.uint32]:
    """Return the Philox4x32 blocks of `counter` under `key`.

    Parameters
    ----------
    counter
        (n, 4) unsigned 32-bit words; each row is one counter.
    key
        (2,) unsigned 32-bit words.
    rounds
        Ten, unless speed counts for more than margin.

    Returns
    -------
    NDArray[np.uint32]
        (n, 4) words, uniform over all 32-bit numbers.
    """
    words, keys = (np.ascontiguousarray(of, dtype=np.uint32) for of in (counter, key))
    if "numba" in sys.modules:  # else it would take longer to import
        from photonpu import kernels_keyed

        found: NDArray[np.uint32] = kernels_keyed.philox(words, keys, rounds)
        return found
    return plain_philox(words, keys, rounds)


def plain_philox(
    counter: NDArray[np.uint32], key: NDArray[np.uint32], rounds: int
) -> NDArray[np.uint32]:
    """Return the same without compiled code."""
    # Words of 64 bits, of which the upper half is 0: products need no other type.
    first, second, third, last = counter.T.astype(np.uint64)
    round_key = key.copy()
    for _ in range(rounds):
        first *= _MULTIPLIERS[0]
        third *= _MULTIPLIERS[1]
        second ^= third >> _SHIFT
        second ^= np.uint64(round_key[0])
        last ^= first >> _SHIFT
        last ^= np.uint64(round_key[1])
        third &= _LOW
        first &= _LOW
        first, second, third, last = second, third, last, first
        round_key += _WEYL
    return np.stack([first, second, third, last], axis=1).astype(np.uint32)


def ars(counter: ArrayLike, key: ArrayLike, *, rounds: int) -> NDArray[np.uint32]:
    """Return the ARS blocks of `counter` under `key`.

    Rounds of the Advanced Encryption Standard (FIPS 197), which processors have instructions for,
    with keys that go on by a constant (Salmon et al. 2011, section 4.1).

    Parameters
    ----------
    counter
        (n, 4) unsigned 32-bit words; each row is one counter.
    key
        (4,) unsigned 32-bit words.
    rounds
        Five are the fewest that pass BigCrush (table 2 there).

    Returns
    -------
    NDArray[np.uint32]
        (n, 4) words, uniform over all 32-bit numbers.
    """
    round_key = np.asarray(key, dtype="<u4").copy().view(np.uint64)
    state = (np.asarray(counter, dtype="<u4") ^ round_key.view("<u4")).view(np.uint8)
    state = state.reshape(-1, 4, 4)
    column, row = np.arange(4)[:, None], np.arange(4)
    for number in range(1, rounds + 1):
        state = SUBSTITUTES[state][:, (column + row) % 4, row]
        if number < rounds:
            double = state << 1 ^ 0x1B * (state >> 7)
            one, two, three = (np.roll(state, -i, axis=2) for i in (1, 2, 3))
            state = double ^ np.roll(double, -1, axis=2) ^ one ^ two ^ three
        round_key += _STEPS
        state = state ^ round_key.view(np.uint8).reshape(4, 4)
    return np.ascontiguousarray(state).view("<u4").reshape(-1, 4).astype(np.uint32)


def normals(key: ArrayLike, counter: ArrayLike) -> NDArray[np.float64]:
    """Return standard normal numbers, four for each counter.

    The words ``w`` of a block become uniforms ``(w + 1/2) / 2**32``, and each pair of them two
    normals by Box and Muller (1958): ``sqrt(-2 ln u0) * (cos, sin)(2 pi u1)``. The largest
    magnitude is 6.8.

    Parameters
    ----------
    key
        (2,) unsigned 32-bit words.
    counter
        (n, 4) unsigned 32-bit words.

    Returns
    -------
    NDArray[np.float64]
        (n, 4) numbers of mean 0 and variance 1.
    """
    uniform = (philox(counter, key) + 0.5) / 2.0**32
    radius = np.sqrt(-2.0 * np.log(uniform[:, 0::2]))
    angle = 2.0 * np.pi * uniform[:, 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2)
    return pairs.reshape(-1, 4)


def normal_array(seed: int, *stream: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an array of standard normal numbers that `seed` and `stream` fix.

    Arrays of different seeds or streams are independent; a longer array begins with the shorter
    one of the same stream.

    Parameters
    ----------
    seed
        The key, ``0 <= seed < 2**64``.
    stream
        Up to three numbers below ``2**32`` that say what the array is for; one that is left out
        counts as 0.
    shape
        Shape of the array.

    Returns
    -------
    NDArray[np.float64]
        Numbers of mean 0 and variance 1.

    Raises
    ------
    InputError
        If the seed or a stream number is out of its range, or there are more than three.
    """
    only: NDArray[np.float64] = normal_arrays(seed, stream, shape=shape)[0]
    return only


def normal_arrays(
    seed: int, *streams: tuple[int, ...], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return what `normal_array` gives for each of several streams, drawn together.

    Parameters
    ----------
    seed
        The key, ``0 <= seed < 2**64``.
    streams
        S of them, each up to three numbers.
    shape
        Shape of the array of one stream.

    Returns
    -------
    NDArray[np.float64]
        (S, *shape) numbers of mean 0 and variance 1.

    Raises
    ------
    InputError
        As `normal_array`.
    """
    if not 0 <= seed < 2**64:
        raise InputError(f"seed={seed}: a seed is a whole number from 0 to 2**64 - 1")
    size = math.prod(shape)
    each = -(-size // 4)
    counter = np.zeros((len(streams), each, 4), dtype=np.uint32)
    counter[:, :, 0] = np.arange(each)
    for place, stream in zip(counter, streams, strict=True):
        if len(stream) > 3 or not all(0 <= number < 2**32 for number in stream):
            raise InputError(f"stream={stream}: a stream is up to 3 numbers from 0 to 2**32 - 1")
        place[:, 1 : 1 + len(stream)] = stream
    draws = normals((seed & 0xFFFFFFFF, seed >> 32), counter.reshape(-1, 4))
    return draws.reshape(len(streams), -1)[:, :size].reshape(len(streams), *shape)
