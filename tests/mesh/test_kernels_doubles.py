"""A vector of doubles does to each of its lanes what NumPy does to a number."""

from __future__ import annotations

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu import simd
from photonpu.jit import jit
from photonpu.mesh import kernels_math, values
from photonpu.simd import DOUBLE_LANES as LANES

Floats = NDArray[np.float64]


@jit()
def everything(a: Floats, b: Floats, result: Floats) -> None:
    """Fill rows of `result`, one for each operation."""
    x, y = simd.load_doubles(a, 1), simd.load_doubles(b, 2)
    simd.store(result, 0 * LANES, x + y)
    simd.store(result, 1 * LANES, x - y)
    simd.store(result, 2 * LANES, x * y)
    simd.store(result, 3 * LANES, x / y)
    simd.store(result, 4 * LANES, -x)
    simd.store(result, 5 * LANES, simd.size_doubles(x))
    simd.store(result, 6 * LANES, simd.floor_doubles(x))
    simd.store(result, 7 * LANES, simd.sqrt_doubles(simd.size_doubles(x)))
    simd.store(result, 8 * LANES, simd.where_less(x, y, simd.spread_doubles(2.5), x))


@jit()
def angles(y: Floats, x: Floats, result: Floats) -> None:
    """Fill two rows of `result`: the angles of points, and those wrapped."""
    angle = kernels_math.arctan2_lanes(simd.load_doubles(y, 0), simd.load_doubles(x, 0))
    simd.store(result, 0, angle)
    simd.store(result, LANES, kernels_math.wrap_lanes(angle))


@jit()
def less(a: Floats, b: Floats) -> bool:
    """Return whether any lane of `a` is less than that of `b`."""
    return simd.any_less(simd.load_doubles(a, 0), simd.load_doubles(b, 0))  # type: ignore[no-any-return]


def test_any_lane_that_is_less_is_noticed_and_nan_is_not() -> None:
    ones = np.ones(LANES)
    assert not less(ones, ones)
    for lane in range(LANES):
        for other, expected in ((2.0, True), (0.5, False), (np.nan, False), (np.inf, True)):
            b = ones.copy()
            b[lane] = other
            assert less(ones, b) is expected


@given(st.integers(0, 2**32 - 1))
def test_every_operation_is_that_of_numpy_bit_for_bit(seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(0.0, 3.0, (2, LANES + 2))
    result = np.empty(9 * LANES)

    everything(a, b, result)

    x, y = a[1 : LANES + 1], b[2:]
    expected = [x + y, x - y, x * y, x / y, -x, abs(x), np.floor(x), np.sqrt(abs(x))]
    expected.append(np.where(x < y, 2.5, x))
    npt.assert_array_equal(result.reshape(9, LANES), expected)


@pytest.mark.parametrize("radius", [1e-30, 1.0, 1e30])
def test_the_angles_of_points_agree_with_the_c_library(radius: float) -> None:
    for start in np.linspace(-math.pi, math.pi, 60):
        points = radius * np.exp(1j * (start + np.arange(LANES) * math.pi / 4))
        result = np.empty(2 * LANES)
        angles(points.imag.copy(), points.real.copy(), result)
        npt.assert_allclose(result[:LANES], np.angle(points), atol=1e-15)
        npt.assert_array_equal(result[LANES:], values.wrap(result[:LANES]))


def test_angles_at_the_origin_and_on_the_axes_are_exact() -> None:
    y = np.array([0.0, 0.0, 2.0, 0.0, -2.0, 1.0, -0.0, 1e-300])
    x = np.array([0.0, 2.0, 0.0, -2.0, 0.0, 1.0, 3.0, 1.0])
    result = np.empty(2 * LANES)
    angles(y, x, result)
    quarter = math.pi / 2
    expected = [0.0, 0.0, quarter, math.pi, -quarter, math.pi / 4, 0.0, 1e-300]
    npt.assert_array_equal(result[:LANES], expected)
