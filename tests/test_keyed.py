"""Random numbers by counter: Philox4x32-10, the normals made of it, and ARS."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from photonpu import kernels_keyed
from photonpu.errors import InputError
from photonpu.keyed import ars, normal_array, normal_arrays, normals, philox, plain_philox

# Random123's kat_vectors (Salmon et al. 2011): counter, key, output of philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers_of_random123(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    npt.assert_array_equal(philox([counter], key), [expected])


@given(st.integers(0, 600), st.integers(1, 12), st.integers(0))
def test_compiled_philox_gives_the_words_of_its_twin(count: int, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counter = rng.integers(0, 2**32, (count, 4), dtype=np.uint32)
    key = rng.integers(0, 2**32, 2, dtype=np.uint32)
    npt.assert_array_equal(
        kernels_keyed.philox(counter, key, rounds), plain_philox(counter, key, rounds)
    )


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_plain_philox_gives_the_known_answers_of_random123(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    words = np.array([counter], np.uint32), np.array(key, np.uint32)
    npt.assert_array_equal(plain_philox(*words, 10), [expected])


# The same of ars4x32 with 10 rounds.
ANSWERS_OF_ARS = [
    (
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (0x8D73EE19, 0x506401EF, 0x13C2DBE4, 0x0CBE9C0D),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0, 0x082EFA98, 0xEC4E6C89),
        (0xA516E7D6, 0x8357AD74, 0x5B59B3EC, 0x8763FFF3),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF, 0, 0),
        (0xBB3743B1, 0x9F635551, 0xECBC87FC, 0xA19478A9),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), ANSWERS_OF_ARS)
def test_ars_gives_the_known_answers_of_random123(
    counter: tuple[int, ...], key: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    npt.assert_array_equal(ars([counter, counter], key, rounds=10), [expected, expected])


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    counters = [counter for counter, _, _ in KNOWN_ANSWERS]
    batch = philox(counters, (7, 9))
    for row, counter in zip(batch, counters, strict=True):
        npt.assert_array_equal(philox([counter], (7, 9))[0], row)


def test_normals_are_box_and_muller_of_the_known_answer() -> None:
    u0, u1, u2, u3 = ((word + 0.5) / 2.0**32 for word in KNOWN_ANSWERS[0][2])
    first, second = np.sqrt(-2 * np.log(u0)), np.sqrt(-2 * np.log(u2))
    expected = [
        first * np.cos(2 * np.pi * u1),
        first * np.sin(2 * np.pi * u1),
        second * np.cos(2 * np.pi * u3),
        second * np.sin(2 * np.pi * u3),
    ]
    npt.assert_allclose(normals((0, 0), [(0, 0, 0, 0)]), [expected], rtol=1e-14)


def test_normals_stay_finite_at_the_ends_of_the_range() -> None:
    # The smallest uniform is 2**-33, so no logarithm of zero: |n| <= sqrt(66 ln 2) = 6.764.
    draws = normal_array(3, shape=(1000, 100))
    assert np.all(np.abs(draws) < 6.765)


def test_a_hundred_thousand_draws_pass_kolmogorov_and_smirnov() -> None:
    draws = normal_array(11, 4, shape=(100_000,))
    assert stats.kstest(draws, "norm").pvalue > 1e-3
    npt.assert_allclose(draws.mean(), 0.0, atol=5 / np.sqrt(100_000))
    npt.assert_allclose(draws.var(), 1.0, atol=5 * np.sqrt(2 / 100_000))


def test_the_same_seed_and_stream_give_the_same_bits() -> None:
    npt.assert_array_equal(normal_array(5, 1, 2, shape=(3, 7)), normal_array(5, 1, 2, shape=(3, 7)))


def test_a_longer_array_begins_with_the_shorter_one() -> None:
    npt.assert_array_equal(normal_array(5, shape=(10,)), normal_array(5, shape=(33,))[:10])


@pytest.mark.parametrize("other", [(6, 1, 2), (5 + 2**32, 1, 2), (5, 2, 1), (5, 1, 3)])
def test_other_seeds_and_streams_are_uncorrelated(other: tuple[int, ...]) -> None:
    seed, *stream = other
    here, there = (
        normal_array(5, 1, 2, shape=(40_000,)),
        normal_array(seed, *stream, shape=(40_000,)),
    )
    assert abs(np.corrcoef(here, there)[0, 1]) < 5 / np.sqrt(40_000)


def test_arrays_drawn_together_are_those_drawn_alone() -> None:
    together = normal_arrays(5, (3, 0), (3, 1), (7,), shape=(2, 7))
    alone = [normal_array(5, *stream, shape=(2, 7)) for stream in ((3, 0), (3, 1), (7,))]
    npt.assert_array_equal(together, alone)


def test_an_empty_array_needs_no_draw() -> None:
    assert normal_array(1, shape=(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_named(seed: int) -> None:
    with pytest.raises(InputError, match=rf"seed={seed}: a seed is a whole number from 0"):
        normal_array(seed, shape=(1,))


@pytest.mark.parametrize("stream", [(1, 2, 3, 4), (-1,), (2**32,)])
def test_a_stream_out_of_range_is_named(stream: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="a stream is up to 3 numbers from 0"):
        normal_array(1, *stream, shape=(1,))
