"""Tiles go to the cores that suit them, and the schedule stays as it was."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.testing as npt
import pytest

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.program import assignment
from photonpu.program.tiles import bank, cut

MACHINE = Machine.preset("mzi64-eo").override(
    {"mesh.ports": 4, "cores": 3, "mesh.splitter_error_rad": 0.1}
)


def test_the_best_assignment_is_that_of_all_permutations() -> None:
    tiles = bank(*cut(np.random.default_rng(0).normal(size=(1, 20, 4)), 4), "clements", 3)
    costs = np.random.default_rng(1).uniform(size=(5, 3))

    found = assignment.assigned(tiles, [(0, 5)], costs)

    places = [0, 1, 2, 0, 1]
    least = min(sum(costs[range(5), order]) for order in set(permutations(places)))
    npt.assert_allclose(costs[range(5), found.core].sum(), least)
    taken = sorted(zip(found.turn.tolist(), found.core.tolist(), strict=True))
    assert taken == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_streams_keep_their_own_places() -> None:
    tiles = bank(*cut(np.random.default_rng(0).normal(size=(1, 16, 4)), 4), "clements", 3)
    costs = np.random.default_rng(2).uniform(size=(4, 3))

    found = assignment.assigned(tiles, [(0, 2), (2, 4)], costs)

    for part in (slice(0, 2), slice(2, 4)):
        assert sorted(found.core[part]) == sorted(tiles.core[part])
        assert sorted(found.turn[part]) == sorted(tiles.turn[part])


def test_the_best_assignment_leaves_less_error_than_round_robin() -> None:
    loud = np.repeat(np.random.default_rng(5).uniform(0.1, 3.0, 6), 4)
    weight = np.random.default_rng(4).normal(size=(1, 24, 4)) * loud[:, None]
    tiles = bank(*cut(weight, 4), "clements", 3)
    chip = Chip.draw(MACHINE, 0)

    total = {}
    for name in assignment.ASSIGNMENTS:
        _, made = assignment.for_chip(tiles, [(0, 6)], chip, MACHINE, assignment=name)
        size = tiles.scale**2 * (np.sin(tiles.attenuator / 2) ** 2).sum(axis=1)
        total[name] = float((size * made.error**2).sum())
        assert made.assignment == name

    assert total["best"] < 0.9 * total["round-robin"]


def test_another_name_is_refused() -> None:
    with pytest.raises(InputError, match="assignment='bets': there is no such way; did you mean"):
        assignment.check("bets")
