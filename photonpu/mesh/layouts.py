"""Where the interferometers of a mesh are, and in which order a unitary is taken apart.

A mesh is columns of interferometers; light meets column 0 first. Each elimination step chooses
one interferometer so that an element of the matrix vanishes: from the right the matrix becomes
``U T^H``, from the left ``T U``, until it is diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from photonpu.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The interferometers of a mesh in the order of propagation, column by column.

    Attributes
    ----------
    ports
        Waveguides, N.
    row
        (K,) upper of the two waveguides that an interferometer couples.
    column
        (K,) the column it stands in, 0 first.
    depth
        Number of columns.
    """

    ports: int
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    depth: int

    @property
    def mzis(self) -> int:
        """Number of interferometers, K."""
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class Elimination:
    """Steps that turn a unitary into a diagonal matrix.

    Attributes
    ----------
    left
        (K,) whether the step acts on rows, from the left, or on columns, from the right.
    pair
        (K,) the first of the two neighbouring rows or columns that it mixes.
    pivot
        (K,) where it makes a zero: from the left in row ``pair + 1`` of column `pivot`, from the
        right in column ``pair`` of row `pivot`.
    slot
        (K,) index of its interferometer in the layout.
    """

    left: NDArray[np.bool_]
    pair: NDArray[np.int32]
    pivot: NDArray[np.int32]
    slot: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class _Step:
    """One elimination step and the column of its interferometer."""

    left: bool
    pair: int
    pivot: int
    column: int


@lru_cache(maxsize=32)
def clements(ports: int) -> tuple[Layout, Elimination]:
    """Return the rectangle of Clements et al. (2016, Optica 3, 1460): depth N.

    Column 0 couples (0, 1), (2, 3), ..., column 1 (1, 2), (3, 4), ... and so on. Antidiagonals
    of the lower left triangle vanish one after the other, by turns from the right and from the
    left, so that both sides of the mesh grow towards its middle.

    Parameters
    ----------
    ports
        Waveguides, 2 or more.

    Raises
    ------
    InputError
        If there are fewer than two waveguides.
    """
    last = ports - 1
    return _build(
        ports,
        [
            _Step(True, last - 1 - diagonal + j, j, last - j)
            if diagonal % 2
            else _Step(False, diagonal - j, last - j, j)
            for diagonal in range(last)
            for j in range(diagonal + 1)
        ],
    )


@lru_cache(maxsize=32)
def reck(ports: int) -> tuple[Layout, Elimination]:
    """Return the triangle of Reck et al. (1994, Phys. Rev. Lett. 73, 58): depth 2N - 3.

    Rows vanish left of the diagonal from the last one up, all from the right; each row is one
    diagonal line of interferometers.

    Parameters
    ----------
    ports
        Waveguides, 2 or more.

    Raises
    ------
    InputError
        If there are fewer than two waveguides.
    """
    last = ports - 1
    return _build(
        ports,
        [
            _Step(False, pair, last - line, 2 * line + pair)
            for line in range(last)
            for pair in range(last - line)
        ],
    )


def _build(ports: int, steps: list[_Step]) -> tuple[Layout, Elimination]:
    """Give the interferometers of `steps` their numbers: column by column, rows ascending."""
    if ports < 2:
        raise InputError(f"ports={ports}: a mesh needs 2 or more")
    pair = np.array([step.pair for step in steps], dtype=np.int32)
    column = np.array([step.column for step in steps], dtype=np.int32)
    order = np.lexsort((pair, column))
    slot = np.empty(len(steps), dtype=np.int32)
    slot[order] = np.arange(len(steps), dtype=np.int32)
    elimination = Elimination(
        np.array([step.left for step in steps], dtype=np.bool_),
        pair,
        np.array([step.pivot for step in steps], dtype=np.int32),
        slot,
    )
    layout = Layout(ports, pair[order], column[order], int(column.max()) + 1)
    for array in (layout.row, layout.column, elimination.left, pair, elimination.pivot, slot):
        array.flags.writeable = False
    return layout, elimination
