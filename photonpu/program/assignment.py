"""Which tile runs on which core of a measured chip.

No two cores are alike: a tile whose splits one core cannot reach may suit another. The tiles of a
stream share its turns, so that any order of them takes the same time, and so does any choice of
cores in a last turn that does not need all; which is best is the assignment problem (Kuhn 1955,
Naval Research Logistics Quarterly 2, 83), as in the remapping of Zhu et al. (2020, ICCAD).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from photonpu.errors import InputError
from photonpu.hardware import Chip, Machine
from photonpu.program import programming
from photonpu.program.values import Floats, Ints, Programming, TileBank
from photonpu.registry import did_you_mean

ASSIGNMENTS = {
    "round-robin": "the tiles of a stream go to the cores in turn",
    "best": "the tiles of a stream go where the sum of their squared errors is smallest",
}


def check(assignment: str) -> None:
    """Refuse what is no way to assign.

    Raises
    ------
    InputError
        It has another name.
    """
    if assignment not in ASSIGNMENTS:
        hint = did_you_mean(assignment, ASSIGNMENTS) or f"; there are: {', '.join(ASSIGNMENTS)}"
        raise InputError(f"assignment='{assignment}': there is no such way{hint}")


def for_chip(
    tiles: TileBank,
    streams: Iterable[tuple[int, int]],
    chip: Chip,
    machine: Machine,
    *,
    method: str = "local",
    rounding: str = "nearest",
    assignment: str = "round-robin",
) -> tuple[TileBank, Programming, tuple[str, ...]]:
    """Assign tiles to the cores of a chip and program them for it.

    Parameters
    ----------
    tiles
        With the phases of a perfect chip, assigned round-robin.
    streams
        First and last + 1 of the tiles of each stream.
    chip, machine
        What was measured, and of which machine.
    method, rounding
        As for `photonpu.program.programming.program`.
    assignment
        A name in `ASSIGNMENTS`.

    Returns
    -------
    tiles, programming
        What the chip is set to, and how well it does.
    notes
        What the best assignment buys.

    Raises
    ------
    InputError
        As `check` and `photonpu.program.programming.check`.
    """
    check(assignment)
    programming.check(method, rounding)
    notes: tuple[str, ...] = ()
    if assignment == "best":
        # Where nobody looks inside the chip, local correction stands for how good a core is.
        judged = "local" if method == "self-configured" else method
        costs = squared_errors(tiles, chip, machine, judged, rounding)
        before, tiles = tiles, assigned(tiles, streams, costs)
        notes = (_bought(before, tiles, costs),)
    made = programming.program(tiles, chip, machine, method, rounding)
    done = Programming(chip, method, rounding, assignment, made.unreachable, made.error)
    return made.tiles, done, notes


def _bought(before: TileBank, after: TileBank, costs: Floats) -> str:
    """Say how far all tiles together are off with both assignments."""
    tiles, size = np.arange(len(costs)), _sizes(before).sum()
    found = [
        float(np.sqrt(costs[tiles, bank.core].sum() / size)) if size else 0.0
        for bank in (after, before)
    ]
    return (
        f"the best assignment leaves all tiles together off by {found[0]:.3g}, where "
        f"round-robin would by {found[1]:.3g} (relative error)"
    )


def _sizes(tiles: TileBank) -> Floats:
    """Return (T,) the sum of the squares of the numbers of each tile."""
    sizes: Floats = tiles.scale**2 * (np.sin(tiles.attenuator / 2.0) ** 2).sum(axis=1)
    return sizes


def squared_errors(
    tiles: TileBank, chip: Chip, machine: Machine, method: str, rounding: str
) -> Floats:
    """Return (T, C) by how much each tile would be off on each core, squared.

    In the square of the unit of the weights: a tile counts by the size of its numbers.
    """
    weight = _sizes(tiles)
    costs = np.empty((len(tiles), chip.cores))
    for core in range(chip.cores):
        there = replace(tiles, core=np.full(len(tiles), core, np.int32))
        error = programming.program(there, chip, machine, method, rounding).error
        costs[:, core] = weight * error**2
    return costs


def assigned(tiles: TileBank, streams: Iterable[tuple[int, int]], costs: Floats) -> TileBank:
    """Give the tiles of each stream places, a core and a turn each, at the least cost.

    A stream takes no more turns than it needs, and all cores in each but the last.

    Parameters
    ----------
    tiles
        Assigned in any way.
    streams
        First and last + 1 of the tiles of each stream.
    costs
        (T, C) of a tile on a core.
    """
    from scipy.optimize import linear_sum_assignment

    cores = costs.shape[1]
    core: Ints = tiles.core.copy()
    turn: Ints = tiles.turn.copy()
    for first, last in streams:
        count, turns = last - first, -(-(last - first) // cores)
        price = np.zeros((turns * cores, turns * cores))
        price[:count] = np.tile(costs[first:last], turns)
        price[count:, : (turns - 1) * cores] = np.inf  # places are left free in the last turn only
        _, place = linear_sum_assignment(price)
        core[first:last], turn[first:last] = place[:count] % cores, place[:count] // cores
    return replace(tiles, core=core, turn=turn)
