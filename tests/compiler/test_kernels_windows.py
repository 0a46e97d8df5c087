"""Compiled windows hold what their definition holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.testing as npt
from hypothesis import given
from hypothesis import strategies as st

from photonpu.compiler import kernels_windows
from photonpu.program import windows
from photonpu.program.geometry import Geometry
from tests.program.test_windows import ALONG_ONE, PLAIN, geometries, numbers


@given(geometries(), st.integers(0, 6), st.integers(0, 3), st.booleans())
def test_vectors_are_those_of_the_definition(
    drawn: tuple[Geometry, tuple[int, ...]], further: int, batch: int, turned: bool
) -> None:
    geometry, size = drawn
    window = geometry.streams[0].window
    strides = tuple(stride + further for stride in window.strides)
    stream = replace(geometry.streams[0], window=replace(window, strides=strides))
    x = numbers(batch, geometry.in_channels, *size).astype(np.float32)
    x = np.asfortranarray(x) if turned else x

    found = kernels_windows.vectors(x, geometry, stream)

    npt.assert_array_equal(found, windows.vectors(x, geometry, stream))


@given(st.integers(0, 70), st.integers(1, 9), st.integers(1, 3))
def test_vectors_of_tensors_without_windows_are_theirs(
    count: int, channels: int, step: int
) -> None:
    for geometry in (
        Geometry("last", 1, channels, 1, (PLAIN,)),
        Geometry("second_last", 1, channels, 1, (ALONG_ONE,)),
    ):
        (stream,) = geometry.streams
        x = numbers(count, channels, *(5,) * len(stream.window.kernel)).astype(np.float32)[::step]
        found = kernels_windows.vectors(x, geometry, stream)
        npt.assert_array_equal(found, windows.vectors(x, geometry, stream))
