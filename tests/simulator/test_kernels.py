"""The compiled kernels of the simulator against the NumPy that defines them."""

from __future__ import annotations

import math

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
def detections(draw: st.DrawFn) -> dict[str, object]:
    """Draw one column of tiles, its outputs, and a receiver."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tiles, count = draw(st.integers(1, 3)), draw(st.integers(1, 40))
    rows = rng.integers(1, 20, tiles).astype(np.int32)
    begin = (np.cumsum(rows) - rows).astype(np.int32)
    height = int(rows.sum())
    return {
        "partial": rng.standard_normal((count, height)).astype(np.float32),
        "total": rng.standard_normal((count, height)).astype(np.float32),
        "first": draw(st.integers(0, 2**34)),
        "begin": begin,
        "rows": rows,
        "row": rng.permutation(begin) if len(set(rows.tolist())) == 1 else begin,
        "tile": rng.integers(0, 1000, tiles).astype(np.int32),
        "factor": rng.uniform(0.1, 3, tiles).astype(np.float32),
        "full_scale": rng.uniform(0.5, 3, tiles).astype(np.float32),
        "levels": draw(st.sampled_from([0.0, 7.0, 127.0, 2047.0])),
        "floor": draw(st.sampled_from([0.0, 1e-6, 1e-3])),
        "slope": draw(st.sampled_from([0.0, 1e-4])),
        "key": rng.integers(0, 2**32, 2).astype(np.uint32),
    }


def _copy(case: dict[str, object]) -> dict[str, object]:
    return {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in case.items()}


@given(detections())
def test_detect_agrees_with_its_reference(case: dict[str, object]) -> None:
    fast, slow = _copy(case), _copy(case)

    kernels.detect(**fast)
    reference.detect(**slow)  # type: ignore[arg-type]

    levels = float(case["levels"])  # type: ignore[arg-type]
    if levels == 0:
        npt.assert_allclose(fast["total"], slow["total"], atol=2e-5)
        return
    # A sample within rounding of a code's edge may fall to either side: by one step, rarely.
    step = case["full_scale"] / levels * case["factor"]  # type: ignore[operator]
    off = np.abs(np.asarray(fast["total"]) - np.asarray(slow["total"]))
    assert off.max() <= step.max() * 1.001 + 2e-5
    assert (off > 2e-5).mean() < 0.01


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
