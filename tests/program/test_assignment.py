"""Tiles go to the cores that suit them, in as many turns as before."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.program import assignment
from photonpu.program.cutting import cut
from photonpu.program.tiles import bank

MACHINE = Machine.preset("mzi64-eo").override(
    {"mesh.ports": 4, "cores": 3, "mesh.splitter_error_rad": 0.1}
)


def test_the_best_assignment_is_that_of_all_permutations() -> None:
    tiles = bank(*cut(np.random.default_rng(0).normal(size=(1, 20, 4)), 4), "clements", 3)
    costs = np.random.default_rng(1).uniform(size=(5, 3))

    found = assignment.assigned(tiles, [(0, 5)], costs)

    places = [0, 1, 2, 0, 1, 2]  # the last is left free, or another of its turn
    orders = {order for order in permutations(places, 5) if set(places[:3]) <= set(order)}
    least = min(sum(costs[range(5), order]) for order in orders)
    npt.assert_allclose(costs[range(5), found.core].sum(), least)
    taken = sorted(zip(found.turn.tolist(), found.core.tolist(), strict=True))
    assert taken[:3] == [(0, 0), (0, 1), (0, 2)]
    assert [turn for turn, _ in taken[3:]] == [1, 1]
    assert len(set(taken)) == 5


def test_a_tile_alone_goes_to_the_best_core() -> None:
    tiles = bank(*cut(np.random.default_rng(0).normal(size=(1, 8, 4)), 4), "clements", 3)
    costs = np.array([[3.0, 1.0, 2.0], [0.2, 0.3, 0.1]])

    found = assignment.assigned(tiles, [(0, 1), (1, 2)], costs)

    assert found.core.tolist() == [1, 2]
    assert found.turn.tolist() == [0, 0]


def test_streams_have_turns_of_their_own() -> None:
    tiles = bank(*cut(np.random.default_rng(0).normal(size=(1, 28, 4)), 4), "clements", 3)
    costs = np.random.default_rng(2).uniform(size=(7, 3))

    found = assignment.assigned(tiles, [(0, 3), (3, 7)], costs)

    assert sorted(found.core[:3]) == [0, 1, 2]
    assert found.turn[:3].tolist() == [0, 0, 0]
    assert sorted(found.turn[3:]) == [0, 0, 0, 1]
    assert sorted(found.core[3:][found.turn[3:] == 0]) == [0, 1, 2]


def test_the_best_assignment_leaves_less_error_than_round_robin() -> None:
    loud = np.repeat(np.random.default_rng(5).uniform(0.1, 3.0, 6), 4)
    weight = np.random.default_rng(4).normal(size=(1, 24, 4)) * loud[:, None]
    tiles = bank(*cut(weight, 4), "clements", 3)
    chip = Chip.draw(MACHINE, 0)

    total = {}
    notes: tuple[str, ...] = ()
    for name in ("round-robin", "best"):
        _, made, notes = assignment.for_chip(tiles, [(0, 6)], chip, MACHINE, assignment=name)
        size = tiles.scale**2 * (np.sin(tiles.attenuator / 2) ** 2).sum(axis=1)
        total[name] = float((size * made.error**2).sum())
        assert made.assignment == name

    assert total["best"] < 0.9 * total["round-robin"]
    whole = float((tiles.scale**2 * (np.sin(tiles.attenuator / 2) ** 2).sum(axis=1)).sum())
    best, other = (f"{(total[name] / whole) ** 0.5:.3g}" for name in ("best", "round-robin"))
    said = f"leaves all tiles together off by {best}, where round-robin would by {other} "
    assert notes == (f"the best assignment {said}(relative error)",)


def test_another_name_is_refused() -> None:
    with pytest.raises(InputError, match="assignment='bets': there is no such way; did you mean"):
        assignment.check("bets")
