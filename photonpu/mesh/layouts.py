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
        (K,) the waveguide at the upper arm of an interferometer.
    column
        (K,) the column it stands in, 0 first.
    depth
        Number of columns.
    partner
        (K,) the waveguide at its lower arm; the next one but for butterflies and the spare
        waveguides of a diamond.
    height
        (K,) where it stands across the light, in widths of an interferometer.
    waveguides
        N and those beyond them that light may leave to; signals use the first N.
    """

    ports: int
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    depth: int
    partner: NDArray[np.int32]
    height: NDArray[np.int32]
    waveguides: int

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


@lru_cache(maxsize=32)
def diamond(ports: int) -> tuple[Layout, NDArray[np.int32]]:
    """Return the diamond of Shokraneh et al. (2020, Opt. Express 28, 23495): (N - 1)^2 of them.

    The triangle of Reck et al. and its mirror image above, on N - 2 spare waveguides that start
    dark and end at nothing, numbered from N on, the nearest first. What errors let escape from
    the triangle is lost there instead of returning to it.

    Parameters
    ----------
    ports
        Waveguides with signals, 2 or more.

    Returns
    -------
    Layout, ndarray
        The mesh, and (N (N - 1) / 2,) where in it the interferometers of the triangle are.

    Raises
    ------
    InputError
        If there are fewer than two waveguides.
    """
    triangle = reck(ports)[0]
    spare = [
        (row + 2 * step, row, ports - 1 + row)
        for row in range(1, ports - 1)
        for step in range(ports - 1 - row)
    ]
    column, above, upper = np.array(spare, dtype=np.int32).reshape(-1, 3).T
    rows = np.concatenate([triangle.row, upper])
    partners = np.concatenate([triangle.partner, np.where(above == 1, 0, upper - 1)])
    columns = np.concatenate([triangle.column, column])
    heights = np.concatenate([triangle.row, -above])
    order = np.lexsort((heights, columns))
    layout = _layout(
        ports,
        rows[order],
        columns[order],
        partners[order],
        heights[order],
        max(ports, 2 * ports - 2),
    )
    slots = np.empty(len(order), dtype=np.int32)
    slots[order] = np.arange(len(order), dtype=np.int32)
    return layout, slots[: triangle.mzis]


@lru_cache(maxsize=32)
def butterfly(ports: int) -> Layout:
    """Return the butterfly of the fast Fourier transform: log2 N columns of N / 2.

    Column c couples waveguides 2^c apart (Cooley and Tukey 1965, Math. Comput. 19, 297). It has
    N log2 N + N phases for the N^2 of a unitary: it is not universal.

    Parameters
    ----------
    ports
        Waveguides, a power of 2.

    Raises
    ------
    InputError
        If `ports` is not a power of 2, or below 2.
    """
    if ports < 2 or ports & (ports - 1):
        raise InputError(f"ports={ports}: a butterfly needs a power of 2, 2 or more")
    depth = ports.bit_length() - 1
    waveguide = np.arange(ports)
    rows = np.concatenate([waveguide[waveguide >> c & 1 == 0] for c in range(depth)])
    columns = np.repeat(np.arange(depth), ports // 2)
    heights = np.tile(2 * np.arange(ports // 2), depth)
    return _layout(ports, rows, columns, rows + (1 << columns), heights, ports)


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
    for array in (elimination.left, pair, elimination.pivot, slot):
        array.flags.writeable = False
    rows = pair[order]
    return _layout(ports, rows, column[order], rows + 1, rows, ports), elimination


def _layout(
    ports: int,
    row: NDArray[np.integer],
    column: NDArray[np.integer],
    partner: NDArray[np.integer],
    height: NDArray[np.integer],
    waveguides: int,
) -> Layout:
    """Return a layout of read-only arrays, its interferometers in the order of propagation."""
    parts = [np.ascontiguousarray(part, dtype=np.int32) for part in (row, column, partner, height)]
    for part in parts:
        part.flags.writeable = False
    return Layout(ports, parts[0], parts[1], int(column.max()) + 1, parts[2], parts[3], waveguides)
