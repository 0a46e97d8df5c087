"""The compiled kernels of the simulator against the NumPy that defines them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from photonpu.simulator import kernels, kernels_layout, reference
from photonpu.simulator.kernels_normal import sample_normals

Singles = NDArray[np.float32]

KEYS = st.tuples(*[st.integers(0, 2**32 - 1)] * 4)


@given(
    key=KEYS,
    tile=st.integers(0, 2**31 - 1),
    group=st.integers(0, 2**40),
    count=st.integers(1, 20),
    registers=st.integers(1, 5),
    coarse=st.booleans(),
)
def test_sample_normals_agree_with_their_reference(
    key: tuple[int, int, int, int], tile: int, group: int, count: int, registers: int, coarse: bool
) -> None:
    words = np.array(key, np.uint32)

    fast = sample_normals(words, tile, 4 * group, count, registers, coarse)

    slow = reference.sample_normals(words, tile, 4 * group, count, registers, coarse)
    npt.assert_allclose(fast, slow, atol=4e-6)


@pytest.mark.parametrize("coarse", [False, True])
def test_sample_normals_are_standard_normal(coarse: bool) -> None:
    keys = 10
    mean, variance, inside = np.empty(keys), np.empty(keys), np.empty(keys)
    for number in range(keys):
        key = np.array([number, 2, 3, 4], np.uint32)

        drawn = sample_normals(key, 3, 0, 15_626, 4, coarse).ravel().astype(float)

        n = drawn.size  # 1e6 numbers a key
        mean[number] = drawn.mean() * math.sqrt(n)
        variance[number] = (drawn.var() - 1) * math.sqrt(n / 2)
        # P(|z| < 1) = 0.682689 for a normal number.
        share = (np.abs(drawn) < 1).mean()
        inside[number] = (share - 0.682689) * math.sqrt(n / 0.2166)
        assert stats.kstest(drawn[:100_000], "norm").pvalue > 1e-4
    for found in (mean, variance, inside):
        assert stats.chi2.sf((found**2).sum(), keys) > 1e-3
        assert abs(found.mean()) * math.sqrt(keys) < 3


@pytest.mark.parametrize("coarse", [False, True])
def test_streams_of_neighbouring_keys_tiles_vectors_and_outputs_are_uncorrelated(
    coarse: bool,
) -> None:
    drawn = sample_normals(np.array([1, 0, 0, 0], np.uint32), 0, 0, 2_000, 4, coarse)
    key = sample_normals(np.array([2, 0, 0, 0], np.uint32), 0, 0, 2_000, 4, coarse)
    tile = sample_normals(np.array([1, 0, 0, 0], np.uint32), 1, 0, 2_000, 4, coarse)

    limit = 4 / math.sqrt(drawn.size)
    assert abs(np.corrcoef(drawn.ravel(), key.ravel())[0, 1]) < limit
    assert abs(np.corrcoef(drawn.ravel(), tile.ravel())[0, 1]) < limit
    assert abs(np.corrcoef(drawn[1:].ravel(), drawn[:-1].ravel())[0, 1]) < limit
    assert abs(np.corrcoef(drawn[:, 1:].ravel(), drawn[:, :-1].ravel())[0, 1]) < limit


@st.composite
def streams(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the panels of one matrix, vectors somewhere in a field, and a receiver."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    widths = rng.integers(1, 20, draw(st.integers(1, 3))).tolist()
    weights: list[Singles] = []
    lanes: list[Singles] = []
    panel: list[tuple[int, ...]] = []
    group: list[tuple[int, ...]] = []
    rows = begin = lane = 0
    noise = draw(st.sampled_from([0.0, 1e-6, 1e-3]))
    for _ in range(draw(st.integers(1, 3))):
        height = int(rng.integers(1, 65))
        whole = -(-height // 16)
        group.append((len(panel), len(panel) + len(widths), rows, rows + height))
        rows += height
        for index, width in enumerate(widths):
            low = sum(widths[:index])
            first = int(rng.integers(0, whole))
            registers = int(rng.integers(1, whole - first + 1))
            tile, register = rng.integers(0, [1000, 4]).tolist()
            key = tile, first + register, index
            panel.append((low, low + width, begin, lane, first, registers, *key))
            weights.append(rng.standard_normal(16 * width * registers).astype(np.float32))
            scale = rng.uniform(0.1, 3, (registers, 5, 16))
            scale[:, 2] -= 1.5
            scale[:, 3:] *= noise
            lanes.append(scale.ravel().astype(np.float32))
            begin, lane = begin + len(weights[-1]), lane + len(lanes[-1])
    count, lead = draw(st.integers(1, 200)), draw(st.integers(0, 3))
    together = -(-(count + lead) // 4) * 4
    planes = draw(st.booleans())
    return {
        "field": rng.uniform(-1, 1, 2000).astype(np.float32),
        "base": rng.integers(0, 1000, together).astype(np.int32),
        "offset": rng.integers(0, 1000, sum(widths)).astype(np.int32),
        "panels": (
            np.concatenate(weights),
            np.array(panel, np.int64),
            np.array(group, np.int64),
            np.concatenate(lanes),
        ),
        "place": np.arange(count, dtype=np.int64) * (1 if planes else rows),
        "row": rng.permutation(rows).astype(np.int64) * (count if planes else 1),
        "bias": rng.standard_normal(rows).astype(np.float32),
        "lead": lead,
        "draw": draw(st.integers(0, 2**34)),
        "power": rng.uniform(0, 9, (len(widths), together * draw(st.integers(0, 1)))).astype("f4"),
        "receiver": (
            draw(st.sampled_from([0.0, 7.0, 127.0, 2047.0])),
            draw(st.sampled_from([0.0, 1e-4])),
            draw(st.booleans()),
        ),
        "sampling": draw(st.integers(0, 3)),
        "key": rng.integers(0, 2**32, 4).astype(np.uint32),
        "coder": (0.0, 0.0, False),
    }


@given(streams())
def test_stream_agrees_with_its_reference(case: dict[str, Any]) -> None:
    size = int(case["place"][-1] + case["row"].max()) + 1
    fast, slow = np.zeros(size, np.float32), np.zeros(size, np.float32)

    kernels.stream(*case.values(), fast)  # type: ignore[call-arg]
    reference.stream(**case, out=slow)

    if case["receiver"][0] == 0:
        npt.assert_allclose(fast, slow, atol=3e-4)
        return
    # A sample within rounding of a code's edge may fall to either side: by one step, rarely.
    off = np.abs(fast - slow)
    assert off.max() <= 3 * case["panels"][3].max() * 1.001 + 3e-3
    assert (off > 3e-3).sum() <= 2 + 0.02 * off.size


@given(
    case=streams(),
    layout=st.sampled_from(["planes", "mixed", "last"]),
    levels=st.sampled_from([0.0, 7.0]),
    rectified=st.booleans(),
)
def test_stream_codes_what_it_gives_as_its_reference_does(
    case: dict[str, Any], layout: str, levels: float, rectified: bool
) -> None:
    count, rows = len(case["place"]), len(case["row"])
    if layout == "last":  # neighbouring rows are neighbours: a field of `rows` channels and one
        case["place"], case["row"] = np.arange(count) * (rows + 1) + 1, np.arange(rows)
    elif layout == "planes":
        case["place"], case["row"] = np.arange(count), np.arange(rows) * count
    case |= {"receiver": (0.0, 0.0, False), "sampling": 0, "coder": (9.0, levels, rectified)}
    size = int(case["place"][-1] + case["row"].max()) + 1
    fast, slow = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)

    found = kernels.stream(*case.values(), fast)  # type: ignore[call-arg]
    expected = reference.stream(**case, out=slow)

    npt.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    npt.assert_array_equal(np.isnan(fast), np.isnan(slow))
    off = np.nan_to_num(np.abs(fast - slow))
    # A number within rounding of a code's edge may fall to either side.
    assert off.max() <= (1.001 / levels if levels else 1e-4)
    assert (off > 1e-4).sum() <= 2 + 0.001 * off.size


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rows", [np.arange(20), np.arange(20) * 50])
@pytest.mark.parametrize("number", [3, 19])
def test_stream_tells_what_is_no_number(wrong: float, rows: np.ndarray, number: int) -> None:
    bias = np.zeros(20, np.float32)
    bias[number] = wrong
    panels = np.array([[0, 1, 0, 0, 0, 2, 0, 0, 0]]), np.array([[0, 1, 0, 20]])
    lanes = np.zeros(160, np.float32)
    place = np.arange(40) * (1 if rows[1] > 1 else 20)

    magnitude, _ = kernels.stream(
        np.zeros(1, np.float32),
        np.zeros(40, np.int32),
        np.zeros(1, np.int32),
        (np.zeros(32, np.float32), *panels, lanes),
        place,
        rows,
        bias,
        0,
        0,
        np.zeros((1, 0), np.float32),
        (0.0, 0.0, False),
        0,
        np.zeros(4, np.uint32),
        (1.0, 7.0, True),
        np.zeros(2000, np.float32),
    )

    assert not math.isfinite(magnitude)


@given(
    shape=st.tuples(
        *(st.integers(1, 3), st.integers(1, 40), st.integers(1, 4), st.integers(1, 40))
    ),
    margin=st.integers(-3, 3),
    more=st.integers(-2, 5),
    levels=st.sampled_from([0.0, 7.0]),
    rectified=st.booleans(),
    others=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_lay_out_agrees_with_its_reference(
    shape: tuple[int, ...],
    margin: int,
    more: int,
    levels: float,
    rectified: bool,
    others: tuple[int, int],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    tensor = rng.uniform(-3, 3, shape).astype(np.float32)
    source = rng.integers(-1, shape[2], 5).astype(np.int64)
    size = shape[0], 5, max(0, shape[3] + margin + more), shape[1] + sum(others)
    fast, slow = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
    how = tensor, source, margin, 2.0, levels, rectified, others[0]

    largest = kernels_layout.lay_out(*how, fast)

    assert largest == reference.lay_out(*how, slow)
    npt.assert_array_equal(fast, slow)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("place", [(0, 0, 0, 0), (1, 9, 1, 3), (0, 2, 1, 18), (1, 4, 0, 9)])
def test_lay_out_tells_what_is_no_number(
    wrong: float, rectified: bool, place: tuple[int, ...]
) -> None:
    tensor = np.ones((2, 10, 2, 19), np.float32)
    tensor[place] = wrong
    field = np.empty((2, 2, 19, 10), np.float32)
    source = np.arange(2)

    largest = kernels_layout.lay_out(tensor, source, 0, 1.0, 7.0, rectified, 0, field)

    assert not math.isfinite(largest)


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
        fast = kernels_layout.quantise(array, full_scale, levels)

        npt.assert_allclose(fast, reference.quantise(array, full_scale, levels), rtol=1e-6)


def test_quantise_of_three_bits_rounds_to_sevenths_and_clips() -> None:
    # By hand: 4 bits signed have 7 levels a side; 0.5 / 2 * 7 = 1.75 -> 2/7; 3 clips to 1.
    values = np.array([0.5, 3.0, -0.1, -9.0], np.float32)

    got = reference.quantise(values, 2.0, 7.0)

    npt.assert_allclose(got, [2 / 7, 1.0, 0.0, -1.0], rtol=1e-6)


@given(streams())
def test_powers_agree_with_their_reference(case: dict[str, Any]) -> None:
    spans = np.unique(case["panels"][1][:, :2], axis=0)
    fast = np.empty((len(spans), len(case["base"])), np.float32)
    slow = np.empty_like(fast)

    kernels.powers(case["field"], case["base"], case["offset"], spans, fast)
    reference.powers(case["field"], case["base"], case["offset"], spans, slow)

    npt.assert_allclose(fast, slow, rtol=1e-6)


@given(
    size=st.integers(0, 300_000),
    large=st.floats(0, 2.0**127, width=32),
    sign=st.sampled_from([-1.0, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_peak_agrees_with_its_reference(size: int, large: float, sign: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, size).astype(np.float32)
    if size:
        values[rng.integers(size)] = sign * large

    assert kernels_layout.peak(values) == reference.peak(values)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 17, 99_999, 100_002])
def test_peak_is_not_finite_where_a_value_is_not(wrong: float, place: int) -> None:
    values = np.zeros(100_003, np.float32)
    values[place] = wrong

    assert not math.isfinite(kernels_layout.peak(values))
