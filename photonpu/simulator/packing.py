"""How tiles are packed into panels, which is the same for all chips.

The rows of a matrix are taken `PANEL` at a time. A panel is what of the tiles of one block of
inputs gives such rows: a tile, a slice of a large one, or several small ones side by side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.values import fixed

Longs = NDArray[np.int64]

LANES = 16  # as `photonpu.simd.LANES`; this module stays free of Numba
PANEL = 64
QUANTITIES = 5  # registers of lanes for a register of outputs
_LAYOUTS = 256  # a hundred bytes for each tile


class Laid(NamedTuple):
    """How the tiles of one stream are packed: what `Panels` says of them.

    `weights` and `lanes` are where those of the stream begin and end.
    """

    panel: Longs
    group: Longs
    spans: Longs
    weights: tuple[int, int]
    lanes: tuple[int, int]


class Layouts(NamedTuple):
    """How the tiles of some streams are packed, one stream after another.

    Attributes
    ----------
    streams
        Each of them.
    first, piece
        As in `photonpu.mesh.values.Rows`; behind it, where the lanes of a panel begin.
    gaps
        Where weights begin and end of which some belong to no row.
    weights, lanes
        How many there are.
    """

    streams: tuple[Laid, ...]
    first: Longs
    piece: Longs
    gaps: tuple[tuple[int, int], ...]
    weights: int
    lanes: int


@lru_cache(maxsize=16)
def kept_layouts(spans: tuple[tuple[int, int, int], ...], *places: bytes) -> Layouts:
    """Return how streams of tiles are packed, of which the first, the last + 1 and a number say.

    `places` are rows and columns of all tiles as bytes. The result is the same for all chips.
    """
    streams, pieces, weights, lanes = list[Laid](), list[Longs](), 0, 0
    gaps = list[tuple[int, int]]()
    for first, last, number in spans:
        own = (of[8 * first : 8 * last] for of in places)
        panel, group, piece, blocks = (array.copy() for array in _kept_layout(*own))
        panel[:, 6] += number
        sizes = LANES * panel[:, 5] * (panel[:, 1] - panel[:, 0])
        filled = np.bincount(np.searchsorted(panel[:, 2], piece[:, 5]), piece[:, 2], len(panel))
        partly = np.flatnonzero(filled < LANES * panel[:, 5])
        begins = weights + panel[partly, 2]
        gaps += zip(begins.tolist(), (begins + sizes[partly]).tolist(), strict=True)
        piece += np.array([first, 0, 0, 0, 0, weights, lanes])
        pieces.append(piece)
        behind = weights + int(sizes.sum()), lanes + QUANTITIES * LANES * int(panel[:, 5].sum())
        streams.append(Laid(panel, group, blocks, (weights, behind[0]), (lanes, behind[1])))
        weights, lanes = behind
    piece = np.concatenate([np.empty((0, 7), np.int64), *pieces])
    piece = piece[np.argsort(piece[:, 0], kind="stable")]
    first_of = np.searchsorted(piece[:, 0], np.arange(len(places[0]) // 8 + 1))
    return Layouts(tuple(streams), fixed(first_of), fixed(piece), tuple(gaps), weights, lanes)


@lru_cache(maxsize=_LAYOUTS)
def _kept_layout(*places: bytes) -> tuple[Longs, Longs, Longs, Longs]:
    """Return `_layout` of numbers as bytes, which is the same for all chips."""
    row, rows, column, columns = (np.frombuffer(of, np.int64) for of in places)
    return _layout(row, rows, column, columns)


def _layout(
    row: Longs, rows: Longs, column: Longs, columns: Longs
) -> tuple[Longs, Longs, Longs, Longs]:
    """Return `panel`, `group` and `spans` of `Panels`, and the pieces of tiles that fill them.

    Tiles are numbered from 0; pieces are those of `photonpu.mesh.values.Rows`, and
    where the lanes of their panel begin. Of every `PANEL` rows, the tiles of one block of inputs
    are a panel.
    """
    above = row // PANEL * PANEL
    counts = -(-(row + rows - above) // PANEL)
    tile = np.repeat(np.arange(len(row)), counts)
    top = above[tile] + PANEL * (np.arange(len(tile)) - np.repeat(counts.cumsum() - counts, counts))
    order = np.lexsort((row[tile], column[tile], top))
    tile, top = tile[order], top[order]

    left = column[tile]
    new = np.ones(len(tile), np.bool_)
    new[1:] = (top[1:] != top[:-1]) | (left[1:] != left[:-1])
    first = np.flatnonzero(new)
    final = tile[np.append(first[1:], len(tile)) - 1]
    head, top_of = tile[first], top[first]
    place = np.maximum(row[head] - top_of, 0) // LANES
    bottom = np.minimum(top_of + PANEL, (row + rows)[final])
    registers = -(-(bottom - top_of) // LANES) - place
    low, width = column[head], columns[head]
    span, spans = _first_seen(np.stack([low, low + width], axis=1))
    begins = (_before(registers * amount) for amount in (LANES * width, QUANTITIES * LANES))
    register = (top_of - above[head]) // LANES + place
    panel = np.stack([low, low + width, *begins, place, registers, head, register, span], axis=1)

    of = new.cumsum() - 1
    port = np.maximum(top, row[tile]) - row[tile]
    ends = np.minimum(bottom[of], (row + rows)[tile]) - row[tile]
    where = port + row[tile] - top - LANES * place[of]
    piece = np.stack(
        [tile, port, ends - port, columns[tile], where, panel[of, 2], panel[of, 3]],
        axis=1,
    )

    tops, begin = np.unique(top_of, return_index=True)
    last = np.minimum((row + rows).max(), tops + PANEL)
    group = np.stack([begin, np.append(begin[1:], len(panel)), tops, last], axis=1)
    return panel, group, piece, spans


def _before(sizes: Longs) -> Longs:
    """Return the sum of all sizes before each."""
    return sizes.cumsum() - sizes


def _first_seen(pairs: Longs) -> tuple[Longs, Longs]:
    """Return numbers of pairs, counted as they are first seen, and the different ones in order."""
    different, at, which = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(at)
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return number[which.reshape(-1)], different[order]
