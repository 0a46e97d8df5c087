"""Panels stand for the matrix of their tiles, however those are cut."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from photonpu.hardware import Machine
from photonpu.program.reordering import part
from photonpu.program.tiles import bank, cut
from photonpu.simulator import kernels_panels, reference_panels
from photonpu.simulator.effects import together
from photonpu.simulator.matrix import PhotonicMatrix
from photonpu.simulator.panels import LANES, panels
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.streaming import stream_vectors


def block_diagonal(weight: np.ndarray) -> np.ndarray:
    """Write blocks (G, R, C) on a diagonal."""
    groups, rows, columns = weight.shape
    whole = np.zeros((groups * rows, groups * columns))
    for g in range(groups):
        whole[g * rows : (g + 1) * rows, g * columns : (g + 1) * columns] = weight[g]
    return whole


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

    packed = panels(tiles, exact, (0, len(tiles)), 3.0, receiver, 5)
    got = stream_vectors(vectors, packed, 2, receiver)

    expected = 3.0 * vectors.astype(float) @ block_diagonal(weight).T
    npt.assert_allclose(got, expected, atol=2e-6 * max(1.0, np.abs(expected).max()) * columns**0.5)


@pytest.mark.parametrize("ports", [12, 16, 48, 64, 100, 128])
def test_no_two_samples_of_a_vector_share_a_draw(ports: int) -> None:
    weight = np.ones((1, 300, 130))
    places, numbers = cut(weight, ports)
    tiles = bank(places, numbers, "clements", 1)

    receiver = Receiver(together([], (1, ports)), 127.0, 0.0, np.array([1, 2, 3, 4], np.uint32))

    packed = panels(tiles, numbers, (0, len(tiles)), 1.0, receiver, 0)

    draws = [
        (tile, register + column)
        for *_, registers, tile, register, _ in packed.panel.tolist()
        for column in range(registers)
    ]
    assert len(set(draws)) == len(draws)
    assert packed.panel[:, 5].sum() * LANES >= tiles.rows.sum()


@given(
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    kind=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pack_agrees_with_its_reference(widths: list[int], kind: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tiles, ports, quantities = len(widths), 9, 3
    matrices: np.ndarray = rng.standard_normal((tiles, ports, ports)).astype(kind)
    gain = rng.uniform(0.5, 2, (tiles, ports))
    ends = rng.standard_normal((quantities, tiles, ports)).astype(np.float32)
    pieces, begin, lane = [], 0, 0
    for tile, width in enumerate(widths):
        port = int(rng.integers(0, ports))
        place = int(rng.integers(0, 40))
        pieces.append((tile, port, rng.integers(0, ports - port + 1), width, place, begin, lane))
        begin, lane = begin + 64 * width, lane + 64 * quantities
    piece = np.array(pieces, np.int64)
    fast = np.zeros(begin, np.float32), np.zeros(lane, np.float32)
    slow = np.zeros(begin, np.float32), np.zeros(lane, np.float32)

    kernels_panels.pack(matrices, gain, ends, piece, *fast)
    reference_panels.pack(matrices, gain, ends, piece, *slow)

    npt.assert_array_equal(fast[0], slow[0])
    npt.assert_array_equal(fast[1], slow[1])


def test_panels_of_some_tiles_of_a_bank_are_those_of_these_tiles_alone() -> None:
    rng = np.random.default_rng(0)
    cuts = [cut(rng.standard_normal((1, 100, 40)), 20) for _ in range(3)]
    places = tuple(place for found, _ in cuts for place in found)
    numbers = np.concatenate([found for _, found in cuts])
    tiles, each = bank(places, numbers, "clements", 2), len(cuts[0][0])
    receiver = Receiver(together([], (2, 20)), 127.0, 0.0, np.array([1, 2, 3, 4], np.uint32))
    share = rng.uniform(0, 1, (len(tiles), 20))

    packed = panels(tiles, numbers, (each, 2 * each), 1.0, receiver, 7, share)

    alone = panels(
        part(tiles, slice(each, 2 * each)),
        numbers[each : 2 * each],
        (0, each),
        1.0,
        receiver,
        7,
        share[each : 2 * each],
    )
    for name in ("weights", "panel", "group", "lanes", "spans"):
        npt.assert_array_equal(getattr(packed, name), getattr(alone, name))


def test_equal_weights_give_equal_outputs_in_tiles_of_any_scale() -> None:
    # A softmax of logits of 1e12 tells the last bits apart.
    weight = np.full((1000, 9), 0.37, np.float32)
    weight[::7] = np.random.default_rng(0).standard_normal((143, 9)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((20, 9)).astype(np.float32)
    matrix = PhotonicMatrix(weight, Machine.preset("ideal").override({"mesh.ports": 16}))
    found = np.delete(np.asarray(matrix @ x.T), np.arange(0, 1000, 7), axis=0)
    assert (found == found[0]).all()
