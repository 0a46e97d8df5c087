"""A matrix as blocks of the mesh's size, and the zero-padded numbers that go into tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.floating]


class Block(NamedTuple):
    """A rectangle of a matrix that one tile multiplies by."""

    row: int
    column: int
    rows: int
    columns: int


def blocks(groups: int, rows: int, columns: int, ports: int) -> tuple[Block, ...]:
    """Cut a block-diagonal matrix into rectangles of at most ``ports x ports``.

    Parameters
    ----------
    groups
        Blocks on the diagonal; 1 for a dense matrix.
    rows, columns
        Size of one block of the diagonal.
    ports
        Size of a tile.

    Returns
    -------
    tuple of Block
        Column of blocks by column of blocks; those that begin at one column are equally wide.
        Groups share tiles, which is what makes depthwise convolutions affordable: as many whole
        groups as fit, or, if that makes fewer tiles, inputs without regard to where groups end.
    """
    if groups == 1:
        return tuple(_whole_groups(groups, rows, columns, ports))
    return min(
        _whole_groups(groups, rows, columns, ports), _split(groups, rows, columns, ports), key=len
    )


def _whole_groups(groups: int, rows: int, columns: int, ports: int) -> tuple[Block, ...]:
    """Let as many whole groups as fit share a tile."""
    packed = max(1, min(groups, ports // rows, ports // columns))
    found = []
    for first in range(0, groups, packed):
        count = min(packed, groups - first)
        top, left = first * rows, first * columns
        for column, width in _spans(count * columns, ports):
            for row, height in _spans(count * rows, ports):
                found.append(Block(top + row, left + column, height, width))
    return tuple(found)


def _split(groups: int, rows: int, columns: int, ports: int) -> tuple[Block, ...]:
    """Fill each tile with inputs; a group between two tiles is the sum of both."""
    found = []
    for column, width in _spans(groups * columns, ports):
        top = column // columns * rows
        bottom = -(-(column + width) // columns) * rows
        for row, height in _spans(bottom - top, ports):
            found.append(Block(top + row, column, height, width))
    return tuple(found)


def _spans(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of the pieces of at most `size` that make up `length`."""
    for start in range(0, length, size):
        yield start, min(size, length - start)


def cut(weight: Reals, ports: int) -> tuple[tuple[Block, ...], Reals]:
    """Cut a matrix into zero-padded tiles.

    Parameters
    ----------
    weight
        (G, R, C): G blocks on a diagonal, R rows and C columns each.
    ports
        N, size of a tile.

    Returns
    -------
    tuple of Block, ndarray
        T places, and the (T, N, N) matrices that go there, of the type of the weights.
    """
    groups, rows, columns = weight.shape
    places = blocks(groups, rows, columns, ports)
    tiles = np.zeros((len(places), ports, ports), weight.dtype)
    if groups == 1:
        _cut_dense(weight[0], tiles)
        return places, tiles
    for tile, place in zip(tiles, places, strict=True):
        for group in range(place.row // rows, -(-(place.row + place.rows) // rows)):
            _copy_group(weight[group], group * rows, group * columns, place, tile)
    return places, tiles


def _cut_dense(matrix: Reals, tiles: Reals) -> None:
    """Copy a matrix into its tiles, column of blocks by column of blocks."""
    ports = tiles.shape[1]
    whole, rest = divmod(len(matrix), ports)
    first = 0
    for column, width in _spans(matrix.shape[1], ports):
        strip = matrix[:, column : column + width]
        split = strip[: whole * ports].reshape(whole, ports, width)
        tiles[first : first + whole, :, :width] = split
        first += whole
        if rest:
            tiles[first, :rest, :width] = strip[whole * ports :]
            first += 1


def _copy_group(block: Reals, top: int, left: int, place: Block, tile: Reals) -> None:
    """Copy into `tile` what `place` holds of the diagonal block that begins at (top, left)."""
    row = max(place.row, top)
    row_end = min(place.row + place.rows, top + block.shape[0])
    column = max(place.column, left)
    column_end = min(place.column + place.columns, left + block.shape[1])
    if row < row_end and column < column_end:
        tile[
            row - place.row : row_end - place.row,
            column - place.column : column_end - place.column,
        ] = block[row - top : row_end - top, column - left : column_end - left]
