"""Slabs cover every window once, see what it sees, and change no bit."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.program import Geometry, PhotonicStep, Stream, Window
from photonpu.program.cutting import cut
from photonpu.program.tiles import bank
from photonpu.simulator import fields, slabs, streaming
from photonpu.simulator.buffers import Buffers
from photonpu.simulator.flow import Source
from photonpu.simulator.panels import padded_size
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.strengths import strengths
from tests.simulator.handmade import packed

MACHINE = Machine.preset("mzi64-eo").override({"mesh.ports": 8, "cores": 2})
RECEIVER = Receiver.of(
    MACHINE, strengths(("shot", "thermal", "adc", "input_dac")), Chip.draw(MACHINE, 1), 2
)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Geometry, tuple[int, ...]]:
    """Draw a convolution of one to three axes, and the size of its input."""
    axes = draw(st.integers(1, 3))

    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(least, most)) for _ in range(axes))

    window = Window(each(1, 3), each(1, 3), each(1, 3), each(-1, 2), each(-1, 2))
    stream = Stream(window, ((0,) * axes,))
    spatial = each(6, 9)
    return Geometry("channels", 1, 2, 3, (stream,)), spatial


def transposed(axes: int) -> Geometry:
    """Return a transposed convolution of stride 2 and kernel 2."""
    offsets = tuple(np.ndindex(*(2,) * axes))
    window = Window(*((n,) * axes for n in (1, 1, 1, 0, 0)))
    return Geometry("channels", 1, 2, 3, (Stream(window, offsets),), (2,) * axes, (0,) * axes)


def outputs(
    geometry: Geometry, spatial: tuple[int, ...], scratch_bytes: int, sampling: str = "exact"
) -> np.ndarray:
    """Run random weights on a random tensor of two samples, noise on."""
    rng = np.random.default_rng(3)
    (stream,) = geometry.streams
    places, numbers = cut(rng.standard_normal((1, *geometry.matrix_shape(stream))), 8)
    tiles = bank(places, numbers, "clements", 2)
    exact = numbers / tiles.scale[:, None, None]
    x = rng.standard_normal((2, geometry.in_channels, *spatial)).astype(np.float32)
    count = math.prod(stream.window.count(spatial))
    bias = np.arange(geometry.out_channels, dtype=np.float32)
    step = PhotonicStep(
        "n", "Conv", "x", "y", geometry, ((0, len(tiles)),), (count,), 3.0, bias, 0, 0, 0
    )
    receiver = replace(RECEIVER, sampling=sampling)
    tiled = packed(tiles, exact, 3.0, receiver, 0)
    taken = fields.parts((Source("x"),), (x,), geometry)
    y, largest, _ = streaming.run(
        taken,
        5,
        scratch_bytes,
        Buffers(0),
        Buffers(0),
        step=step,
        matrices=(streaming.Matrix.of(tiled, receiver),),
        receiver=receiver,
    )
    assert largest >= np.abs(y).max(initial=0.0)
    return y


@given(convolutions(), st.integers(1, 6000), st.sampled_from(["exact", "fast", "merged"]))
def test_where_a_tensor_is_cut_changes_no_bit(
    case: tuple[Geometry, tuple[int, ...]], scratch_bytes: int, sampling: str
) -> None:
    whole = outputs(*case, 1 << 30, sampling)

    npt.assert_array_equal(outputs(*case, scratch_bytes, sampling), whole)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_transposed_convolution_may_be_cut_too(axes: int) -> None:
    case = transposed(axes), (5, 6, 7)[:axes]

    npt.assert_array_equal(outputs(*case, 1), outputs(*case, 1 << 30))


@given(convolutions(), st.integers(1, 6000))
def test_slabs_hold_each_window_once_within_what_they_may_take(
    case: tuple[Geometry, tuple[int, ...]], scratch_bytes: int
) -> None:
    geometry, spatial = case
    (stream,) = geometry.streams
    size, counts = padded_size(spatial, stream), stream.window.count(spatial)

    found = list(slabs.cut(3, spatial, geometry, stream, scratch_bytes))

    windows = [
        (sample, row)
        for part in found
        for sample in range(*part.samples)
        for row in range(*(part.rows or (0, counts[0])))
    ]
    assert windows == list(np.ndindex(3, counts[0]))
    allowed = max(scratch_bytes, slabs.least_bytes(spatial, geometry, stream))
    for part in found:
        taken = slabs.slab_bytes(part.counts(counts), part.size(size), geometry)
        assert taken * (part.samples[1] - part.samples[0]) <= allowed


def test_a_row_of_windows_beyond_32_bits_is_refused() -> None:
    window = Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
    stream = Stream(window, ((0, 0),))
    geometry = Geometry("channels", 1, 1 << 20, 1, (stream,))

    with pytest.raises(InputError, match=r"2\^31 is the most; split the input"):
        next(slabs.cut(1, (1 << 10, 1 << 10), geometry, stream, 1 << 28))
