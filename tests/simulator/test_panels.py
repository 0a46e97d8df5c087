"""Panels stand for the matrix of their tiles, however those are cut."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from photonpu.hardware import Machine
from photonpu.program.cutting import cut
from photonpu.program.reordering import part
from photonpu.program.tiles import bank
from photonpu.simulator import kernels_panels, reference_panels
from photonpu.simulator.effects import together
from photonpu.simulator.matrix import PhotonicMatrix
from photonpu.simulator.packing import LANES
from photonpu.simulator.panels import Span, panels
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.streaming import stream_vectors
from photonpu.simulator.transfer import Transfer, Transfers
from tests.simulator.handmade import packed


@given(
    groups=st.sampled_from([1, 1, 2, 5, 20]),
    rows=st.sampled_from([1, 2, 9, 40, 100]),
    columns=st.sampled_from([1, 9, 27, 70]),
    ports=st.sampled_from([2, 8, 20, 48, 64, 80]),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.parametrize("levels", [0.0, 2.0**20])
def test_vectors_through_panels_meet_the_block_diagonal_matrix(
    levels: float, groups: int, rows: int, columns: int, ports: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((groups, rows, columns))
    places, numbers = cut(weight, ports)
    tiles = bank(places, numbers, "clements", 2)
    exact = numbers / tiles.scale[:, None, None]
    receiver = Receiver(together([], (2, ports)), levels, 0.0, np.array([1, 2, 3, 4], np.uint32))
    vectors = rng.uniform(-1, 1, (7, groups * columns)).astype(np.float32)

    got = stream_vectors(vectors, packed(tiles, exact, 3.0, receiver, 5), 2, receiver)

    expected = 3.0 * vectors.astype(float) @ linalg.block_diag(*weight).T
    npt.assert_allclose(got, expected, atol=2e-6 * max(1.0, np.abs(expected).max()) * columns**0.5)


@pytest.mark.parametrize("ports", [12, 16, 48, 64, 100, 128])
def test_no_two_samples_of_a_vector_share_a_draw(ports: int) -> None:
    weight = np.ones((1, 300, 130))
    places, numbers = cut(weight, ports)
    tiles = bank(places, numbers, "clements", 1)

    receiver = Receiver(together([], (1, ports)), 127.0, 0.0, np.array([1, 2, 3, 4], np.uint32))

    found = packed(tiles, numbers, 1.0, receiver, 0)

    draws = [
        (tile, register + column)
        for *_, registers, tile, register, _ in found.panel.tolist()
        for column in range(registers)
    ]
    assert len(set(draws)) == len(draws)
    assert found.panel[:, 5].sum() * LANES >= tiles.rows.sum()


@given(
    ports=st.sampled_from([9, 16, 40]),
    ranged=st.booleans(),
    shared=st.booleans(),
    levels=st.sampled_from([0.0, 127.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_set_lanes_agrees_with_its_reference(
    ports: int, ranged: bool, shared: bool, levels: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tiles, lane, pieces = 3, 0, []
    for tile in range(tiles):
        port, place = int(rng.integers(0, ports)), int(rng.integers(0, 40))
        pieces.append((tile, port, rng.integers(0, ports - port + 1), 1, place, 0, lane))
        lane += 64 * 2 * 5
    piece = np.array(pieces, np.int64)
    core = rng.integers(0, 2, tiles).astype(np.int32)
    ranges = rng.uniform(0.5, 2, (tiles, ports if ranged else 1))
    scale, reach = rng.uniform(0.5, 2, (2, tiles))
    offset, floor = rng.uniform(0.5, 2, (2, 2, ports))
    share = rng.uniform(0, 1, (tiles if shared else 0, ports))
    known = piece, core, ranges, scale, reach, (levels, 0.1), offset, floor, share
    fast, slow = np.zeros(lane, np.float32), np.zeros(lane, np.float32)

    kernels_panels.set_lanes(*known, fast)
    reference_panels.set_lanes(*known, slow)

    npt.assert_array_equal(fast, slow)


def test_panels_of_streams_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(0)
    cuts = [cut(rng.standard_normal((1, 100, 40)), 20) for _ in range(3)]
    places = tuple(place for found, _ in cuts for place in found)
    numbers = np.concatenate([found for _, found in cuts])
    tiles, each = bank(places, numbers, "clements", 2), len(cuts[0][0])
    receiver = Receiver(together([], (2, 20)), 127.0, 0.0, np.array([1, 2, 3, 4], np.uint32))
    share = rng.uniform(0, 1, (len(tiles), 20))
    transfers = Transfers.of(lambda _: Transfer(numbers, share), fluctuates=True)
    spans = [Span(i * each, (i + 1) * each, 1.0 + i, 7 * i) for i in (0, 2, 1)]

    found_together = panels(tiles, spans, transfers, receiver)

    for span, found in zip(spans, found_together, strict=True):
        some = slice(span.first, span.last)
        alone = packed(
            part(tiles, some), numbers[some], span.input_range, receiver, span.number, share[some]
        )
        for name in ("weights", "panel", "group", "lanes", "spans"):
            npt.assert_array_equal(getattr(found, name), getattr(alone, name))


def test_equal_weights_give_equal_outputs_in_tiles_of_any_scale() -> None:
    # A softmax of logits of 1e12 tells the last bits apart.
    weight = np.full((1000, 9), 0.37, np.float32)
    weight[::7] = np.random.default_rng(0).standard_normal((143, 9)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((20, 9)).astype(np.float32)
    matrix = PhotonicMatrix(weight, Machine.preset("ideal").override({"mesh.ports": 16}))
    found = np.delete(np.asarray(matrix @ x.T), np.arange(0, 1000, 7), axis=0)
    assert (found == found[0]).all()
