"""The compiled kernels of the simulator against the NumPy that defines them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.testing as npt
from hypothesis import given
from hypothesis import strategies as st

from photonpu.simulator import kernels, reference

KEYS = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(
    key=KEYS,
    tile=st.integers(0, 2**31 - 1),
    first=st.integers(0, 2**40),
    count=st.integers(1, 20),
    rows=st.integers(1, 70),
)
def test_sample_normals_agree_with_their_reference(
    key: tuple[int, int], tile: int, first: int, count: int, rows: int
) -> None:
    words = np.array(key, np.uint32)
    vectors = first + np.arange(count, dtype=np.int64)

    fast = kernels.sample_normals(words, tile, vectors, rows)

    npt.assert_allclose(fast, reference.sample_normals(words, tile, vectors, rows), atol=4e-6)


def test_sample_normals_are_standard_normal() -> None:
    count, rows = 20_000, 50  # n = 1e6 numbers
    key = np.array([1, 2], np.uint32)

    drawn = kernels.sample_normals(key, 3, np.arange(count, dtype=np.int64), rows).ravel()

    n = drawn.size
    assert abs(drawn.mean()) < 3 / math.sqrt(n)
    assert abs(drawn.var() - 1) < 3 * math.sqrt(2 / n)
    # P(|z| < 1) = 0.682689 for a normal number.
    assert abs((np.abs(drawn) < 1).mean() - 0.682689) < 3 * math.sqrt(0.2166 / n)


def test_streams_of_neighbouring_keys_and_tiles_are_uncorrelated() -> None:
    vectors = np.arange(2_000, dtype=np.int64)
    one = kernels.sample_normals(np.array([1, 0], np.uint32), 0, vectors, 50).ravel()
    key = kernels.sample_normals(np.array([2, 0], np.uint32), 0, vectors, 50).ravel()
    tile = kernels.sample_normals(np.array([1, 0], np.uint32), 1, vectors, 50).ravel()

    limit = 4 / math.sqrt(one.size)
    assert abs(np.corrcoef(one, key)[0, 1]) < limit
    assert abs(np.corrcoef(one, tile)[0, 1]) < limit


@st.composite
def streams(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the tiles of one matrix, vectors, and a receiver."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    heights = rng.integers(1, 20, draw(st.integers(1, 3))).tolist()
    widths = rng.integers(1, 20, draw(st.integers(1, 3))).tolist()
    tile: list[tuple[int, int, int, int]] = []
    column: list[tuple[int, int, int, int]] = []
    for c in range(len(widths)):
        column.append((sum(widths[:c]), sum(widths[: c + 1]), len(tile), len(tile) + len(heights)))
        for r, height in enumerate(heights):
            row = sum(heights[:r])
            tile.append((row, height, row, int(rng.integers(0, 1000))))
    return {
        "vectors": rng.uniform(-1, 1, (draw(st.integers(1, 150)), sum(widths))).astype(np.float32),
        "weights": rng.standard_normal(sum(widths) * sum(heights)).astype(np.float32),
        "column": np.array(column, np.int32),
        "tile": np.array(tile, np.int32),
        "factor": rng.uniform(0.1, 3, len(tile)).astype(np.float32),
        "full_scale": rng.uniform(0.5, 3, len(tile)).astype(np.float32),
        "rows": sum(heights),
        "first": draw(st.integers(0, 2**34)),
        "levels": draw(st.sampled_from([0.0, 7.0, 127.0, 2047.0])),
        "floor": draw(st.sampled_from([0.0, 1e-6, 1e-3])),
        "slope": draw(st.sampled_from([0.0, 1e-4])),
        "key": rng.integers(0, 2**32, 2).astype(np.uint32),
    }


@given(streams())
def test_stream_agrees_with_its_reference(case: dict[str, Any]) -> None:
    fast = kernels.stream(*case.values())
    slow = reference.stream(**case)

    if case["levels"] == 0:
        npt.assert_allclose(fast, slow, atol=2e-4)
        return
    # A sample within rounding of a code's edge may fall to either side: by one step, rarely.
    step = (case["full_scale"] / case["levels"] * case["factor"]).max()
    off = np.abs(fast - slow)
    assert off.max() <= len(case["column"]) * step * 1.001 + 2e-4
    assert (off > 2e-4).mean() < 0.02


@given(
    values=st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=50),
    full_scale=st.floats(0.1, 10),
    bits=st.integers(2, 14),
)
def test_quantise_agrees_with_its_reference(
    values: list[float], full_scale: float, bits: int
) -> None:
    array = np.array(values, np.float32)
    for levels in (0.0, float(2 ** (bits - 1) - 1)):
        fast = kernels.quantise(array, full_scale, levels)

        npt.assert_allclose(fast, reference.quantise(array, full_scale, levels), rtol=1e-6)


def test_quantise_of_three_bits_rounds_to_sevenths_and_clips() -> None:
    # By hand: 4 bits signed have 7 levels a side; 0.5 / 2 * 7 = 1.75 -> 2/7; 3 clips to 1.
    values = np.array([0.5, 3.0, -0.1, -9.0], np.float32)

    got = reference.quantise(values, 2.0, 7.0)

    npt.assert_allclose(got, [2 / 7, 1.0, 0.0, -1.0], rtol=1e-6)
