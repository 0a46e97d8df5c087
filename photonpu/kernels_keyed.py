"""Compiled random numbers by counter; `photonpu.keyed` defines them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit

Words = NDArray[np.uint32]

_FIRST, _SECOND = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_STEP_0, _STEP_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_SHIFT, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


@jit()
def philox(counter: Words, key: Words, rounds: int) -> Words:
    """Return the Philox4x32 blocks of (n, 4) counters under a key."""
    words = np.empty(counter.shape, np.uint32)
    for i in range(len(counter)):
        a, b = np.uint64(counter[i, 0]), np.uint64(counter[i, 1])
        c, d = np.uint64(counter[i, 2]), np.uint64(counter[i, 3])
        low, high = np.uint64(key[0]), np.uint64(key[1])
        for _ in range(rounds):
            first, second = _FIRST * a, _SECOND * c
            a, c = (second >> _SHIFT) ^ b ^ low, (first >> _SHIFT) ^ d ^ high
            b, d = second & _LOW, first & _LOW
            low, high = (low + _STEP_0) & _LOW, (high + _STEP_1) & _LOW
        words[i, 0], words[i, 1], words[i, 2], words[i, 3] = a, b, c, d
    return words
