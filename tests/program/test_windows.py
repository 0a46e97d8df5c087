"""Windows: the order of rows and columns, against loops that spell it out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from photonpu.errors import InputError
from photonpu.program import windows
from photonpu.program.geometry import Geometry, Stream, Window

PLAIN = Stream(Window((), (), (), (), ()), ((),))
ALONG_ONE = Stream(Window((1,), (1,), (1,), (0,), (0,)), ((0,),))


def numbers(*shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(math.prod(shape) + len(shape)).standard_normal(shape)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[Geometry, tuple[int, ...]]:
    axes = draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    groups = draw(st.integers(1, 3))
    window = Window(each(1, 3), each(1, 3), each(1, 2), each(-1, 2), each(-1, 2))
    geometry = Geometry(
        access="channels",
        groups=groups,
        in_channels=groups * draw(st.integers(1, 3)),
        out_channels=groups * draw(st.integers(1, 2)),
        streams=(Stream(window, ((0,) * axes,)),),
    )
    return geometry, each(1, 6)


def spelled_out(x: NDArray[np.float64], geometry: Geometry) -> NDArray[np.float64]:
    """List each window by hand: (group, tap, channel of the group), zero outside the input."""
    window = geometry.streams[0].window
    size = x.shape[2:]
    each = geometry.in_channels // geometry.groups
    rows = []
    for sample in x:
        for place in itertools.product(*map(range, window.count(size))):
            row = []
            for group in range(geometry.groups):
                for tap in itertools.product(*map(range, window.kernel)):
                    at = tuple(
                        q * s + t * d - p
                        for q, s, t, d, p in zip(
                            place,
                            window.strides,
                            tap,
                            window.dilations,
                            window.pads_begin,
                            strict=True,
                        )
                    )
                    inside = all(0 <= a < n for a, n in zip(at, size, strict=True))
                    for channel in range(each):
                        row.append(sample[(group * each + channel, *at)] if inside else 0.0)
            rows.append(row)
    width = geometry.matrix_shape(geometry.streams[0])[1]
    return np.array(rows, np.float64).reshape(len(rows), width)


@given(geometries())
def test_vectors_are_the_windows_in_order_of_group_tap_and_channel(
    drawn: tuple[Geometry, tuple[int, ...]],
) -> None:
    geometry, size = drawn
    x = numbers(2, geometry.in_channels, *size)
    laid_out = windows.vectors(x, geometry, geometry.streams[0], np.float64)
    npt.assert_array_equal(laid_out, spelled_out(x, geometry))
    assert laid_out.flags.c_contiguous


def test_vectors_have_the_element_type_that_is_asked_for() -> None:
    geometry = Geometry("last", 1, 3, 2, (PLAIN,))
    assert windows.vectors(numbers(4, 3), geometry, PLAIN).dtype == np.float32


def test_vectors_never_share_memory_with_the_input() -> None:
    geometry = Geometry("last", 1, 3, 2, (PLAIN,))
    x = numbers(4, 3).astype(np.float32)
    assert not np.shares_memory(x, windows.vectors(x, geometry, PLAIN))


def test_a_product_over_the_last_axis_is_a_matmul() -> None:
    x, weight = numbers(2, 3, 4, 5), numbers(1, 6, 5)
    geometry = Geometry("last", 1, 5, 6, (PLAIN,))
    npt.assert_allclose(windows.multiply(x, geometry, [weight]), x @ weight[0].T, atol=1e-12)


def test_a_product_over_the_axis_before_the_last_is_a_matmul_from_the_left() -> None:
    x, weight = numbers(2, 3, 5, 4), numbers(1, 6, 5)
    geometry = Geometry("second_last", 1, 5, 6, (ALONG_ONE,))
    npt.assert_allclose(windows.multiply(x, geometry, [weight]), weight[0] @ x, atol=1e-12)


def test_one_vector_alone_gives_one_vector() -> None:
    geometry = Geometry("last", 1, 3, 2, (PLAIN,))
    y = windows.multiply(np.array([1.0, 2.0, 3.0]), geometry, [np.eye(3)[None, :2]])
    npt.assert_array_equal(y, [1.0, 2.0])


def test_groups_do_not_mix_and_a_bias_is_added_a_channel() -> None:
    geometry = Geometry("last", 2, 4, 2, (PLAIN,))
    weight = np.array([[[1.0, 10.0]], [[100.0, 1000.0]]])
    y = windows.multiply(np.array([[1.0, 2.0, 3.0, 4.0]]), geometry, [weight], np.array([0.5, 0.0]))
    npt.assert_array_equal(y, [[21.5, 4300.0]])


def test_scatter_fills_the_sub_pixels_of_each_offset_and_drops_windows_beyond_the_output() -> None:
    stream = Stream(Window((1,), (1,), (1,), (0,), (0,)), ((0,), (2,)))
    geometry = Geometry("channels", 1, 1, 1, (stream,), upsample=(3,), extra=(-1,))
    out = np.zeros((1, 1, 5))
    windows.scatter(np.array([[1.0, 2.0], [3.0, 4.0]]), geometry, stream, out)
    npt.assert_array_equal(out, [[[1.0, 0.0, 2.0, 3.0, 0.0]]])


def test_a_window_that_does_not_fit_gives_no_output() -> None:
    stream = Stream(Window((3,), (1,), (1,), (0,), (0,)), ((0,),))
    geometry = Geometry("channels", 1, 1, 2, (stream,))
    assert windows.multiply(np.ones((1, 1, 2)), geometry, [np.ones((1, 2, 3))]).shape == (1, 2, 0)


def test_a_tensor_with_other_channels_is_refused() -> None:
    geometry = Geometry("last", 1, 3, 2, (PLAIN,))
    with pytest.raises(InputError, match=r"seen as \(2, 4\) has 4 channels: 3 are needed"):
        windows.channels_form(np.ones((2, 4)), geometry)


def test_a_tensor_with_other_axes_is_refused() -> None:
    geometry = Geometry("channels", 1, 3, 2, (ALONG_ONE,))
    with pytest.raises(InputError, match=r"shape \(2, 3\) has 2 axes: 3 are needed"):
        windows.channels_form(np.ones((2, 3)), geometry)
