"""Rounds of the Advanced Encryption Standard, by instructions and by table."""

from collections.abc import Callable

import numba
import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu.keyed import ars
from photonpu.simd import load_longs, store
from photonpu.simulator.kernels_cipher import cipher_round, last_round, make_round

_plain_round, _plain_last = make_round(last=False, plain=True), make_round(last=True, plain=True)
Longs = NDArray[np.uint64]
WORDS = st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4)


def _by_instructions(state: Longs, keys: Longs) -> None:
    blocks = load_longs(state, 0)
    for number in range(keys.size // 8 - 1):
        blocks = cipher_round(blocks, load_longs(keys, 8 * number))
    store(state, 0, last_round(blocks, load_longs(keys, keys.size - 8)))


def _by_table(state: Longs, keys: Longs) -> None:
    blocks = load_longs(state, 0)
    for number in range(keys.size // 8 - 1):
        blocks = _plain_round(blocks, load_longs(keys, 8 * number))
    store(state, 0, _plain_last(blocks, load_longs(keys, keys.size - 8)))


@pytest.mark.parametrize("work", [numba.njit(_by_instructions), numba.njit(_by_table)])
@given(
    counters=st.lists(WORDS, min_size=4, max_size=4), key=WORDS, rounds=st.sampled_from([2, 5, 7])
)
def test_rounds_are_those_of_the_reference(
    work: Callable[[Longs, Longs], None], counters: list[list[int]], key: list[int], rounds: int
) -> None:
    given_words = np.array(counters, np.uint32)
    first = np.array(key, np.uint32).view(np.uint64)
    step = np.array([0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B], np.uint64)
    state = (given_words.view(np.uint64) ^ first).ravel()
    keys = np.concatenate([np.tile(first + np.uint64(r + 1) * step, 4) for r in range(rounds)])

    work(state, keys)

    npt.assert_array_equal(
        state.view(np.uint32).reshape(4, 4), ars(given_words, key, rounds=rounds)
    )
