"""What `photonpu.simulator.kernels_stream` reads: tiles as panels of weights, places as addresses.

A panel is the part of a matrix that meets one block of inputs and gives up to `PANEL` outputs: a
tile, a slice of a large one, or several small ones side by side. Panels of the same outputs form a
group, whose sums are added up together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, Stream, TileBank

Singles = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

LANES = 16  # as `photonpu.simd.LANES`; this module stays free of Numba
PANEL = 64


@dataclass(frozen=True, slots=True)
class Panels:
    """The tiles of one stream, packed.

    Attributes
    ----------
    weights
        Panel by panel, register of `LANES` outputs by register, input by input.
    panel
        (p, 6) for each panel: first input, last + 1, where its weights and its lanes begin, the
        tile whose number keys its noise, and the first of its registers in that tile.
    group
        (g, 5) for each group: first panel, last + 1, registers, first output, last + 1.
    lanes
        Panel by panel and register by register: the ADC's steps in one unit of output, then the
        layer's units in one step (in one unit of output, where there is no ADC); `LANES` each.
    row
        (M,) the row of the matrix that each output is.
    """

    weights: Singles
    panel: Longs
    group: Longs
    lanes: Singles
    row: Longs


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of the matrix that share a panel: a whole tile's, or a slice of a large one's."""

    row: int
    rows: int
    slice: int
    tiles: tuple[int, ...]  # from the first block of inputs to the last


def panels(
    bank: TileBank,
    matrices: NDArray[np.float64],
    tiles: tuple[int, int],
    input_range: float,
    adc_levels: float,
    number: int,
) -> Panels:
    """Pack the tiles of one stream.

    Parameters
    ----------
    bank
        The program's tiles.
    matrices
        (T, N, N) what they multiply by on one chip, in units of their scale.
    tiles
        The stream's first tile and its last + 1.
    input_range
        The layer's units in one unit of input.
    adc_levels
        Levels of the ADC on each side of zero; 0 for none.
    number
        Number of the first tile, which keys its noise.
    """
    weights: list[Singles] = []
    lanes: list[Singles] = []
    panel: list[tuple[int, ...]] = []
    group: list[tuple[int, ...]] = []
    row: list[int] = []
    begin = lane = 0
    for members in _groups(bank, tiles):
        registers = -(-sum(part.rows for part in members) // LANES)
        first = len(panel), len(row)
        row += [part.row + i for part in members for i in range(part.rows)]
        for together in zip(*(part.tiles for part in members), strict=True):
            low, width = int(bank.column[together[0]]), int(bank.columns[together[0]])
            weight = np.zeros((width, registers * LANES), np.float32)
            lane_values = np.zeros((2, registers * LANES), np.float32)
            at = 0
            for part, tile in zip(members, together, strict=True):
                top = PANEL * part.slice
                weight[:, at : at + part.rows] = matrices[tile, top : top + part.rows, :width].T
                step = bank.adc_range[tile] / adc_levels if adc_levels else 1.0
                lane_values[0, at : at + part.rows] = 1.0 / step
                with np.errstate(over="ignore"):  # the step that reads an infinity names it
                    lane_values[1, at : at + part.rows] = step * bank.scale[tile] * input_range
                at += part.rows
            register = members[0].slice * PANEL // LANES
            key = number + together[0] - tiles[0]
            panel.append((low, low + width, begin, lane, key, register))
            weights.append(weight.reshape(width, registers, LANES).transpose(1, 0, 2).ravel())
            lanes.append(lane_values.reshape(2, registers, LANES).transpose(1, 0, 2).ravel())
            begin += weight.size
            lane += lane_values.size
        group.append((first[0], len(panel), registers, first[1], len(row)))
    return Panels(
        weights=np.concatenate(weights),
        panel=np.array(panel, np.int64),
        group=np.array(group, np.int64),
        lanes=np.concatenate(lanes),
        row=np.array(row, np.int64),
    )


def _groups(bank: TileBank, tiles: tuple[int, int]) -> Iterator[list[_Part]]:
    """Yield rows that go together: as many as a panel takes and as meet the same inputs."""
    found: dict[tuple[int, int], list[int]] = {}
    for tile in sorted(range(*tiles), key=lambda t: (bank.row[t], bank.column[t])):
        found.setdefault((int(bank.row[tile]), int(bank.rows[tile])), []).append(tile)
    members: list[_Part] = []
    for (row, rows), column in found.items():
        for index, top in enumerate(range(0, rows, PANEL)):
            part = _Part(row + top, min(PANEL, rows - top), index, tuple(column))
            full = sum(p.rows for p in members) + part.rows > PANEL
            if members and (full or not _same_inputs(bank, members[0], part)):
                yield members
                members = []
            members.append(part)
    if members:
        yield members


def _same_inputs(bank: TileBank, one: _Part, other: _Part) -> bool:
    """Say whether two parts meet the same blocks of inputs."""
    return len(one.tiles) == len(other.tiles) and all(
        bank.column[a] == bank.column[b] and bank.columns[a] == bank.columns[b]
        for a, b in zip(one.tiles, other.tiles, strict=True)
    )


def padded_size(spatial: tuple[int, ...], stream: Stream) -> tuple[int, ...]:
    """Return the spatial size of a tensor with the zeros of the stream's window around it."""
    window = stream.window
    return tuple(
        max(0, n + before + after)
        for n, before, after in zip(spatial, window.pads_begin, window.pads_end, strict=True)
    )


def padded_rows(spatial: tuple[int, ...], stream: Stream) -> Longs:
    """Return which line along the last axis each line of the padded tensor is; -1 for zeros.

    Lines are counted over all axes but the last, in C order.
    """
    window = stream.window
    steps = _pitches(spatial[:-1], 1)
    line = np.zeros((), np.int64)
    inside = np.ones((), np.bool_)
    for axis, total in enumerate(padded_size(spatial, stream)[:-1]):
        inner = (1,) * (len(spatial) - axis - 2)
        at = (np.arange(total, dtype=np.int64) - window.pads_begin[axis]).reshape(-1, *inner)
        line = line + at * steps[axis]
        inside = inside & (at >= 0) & (at < spatial[axis])
    return np.where(inside, line, -1).reshape(-1)


def _pitches(size: tuple[int, ...], inner: int) -> list[int]:
    """Return how far neighbours along each axis lie apart, `inner` along the last."""
    return [inner * math.prod(size[i + 1 :]) for i in range(len(size))]


def _grid(counts: tuple[int, ...], steps: list[int]) -> Longs:
    """Return the addresses of the points of a grid, flat and in C order."""
    address = np.zeros((), np.int64)
    for axis, (count, step) in enumerate(zip(counts, steps, strict=True)):
        inner = (1,) * (len(counts) - axis - 1)
        address = address + (np.arange(count, dtype=np.int64) * step).reshape(-1, *inner)
    return address.reshape(-1)


def windows_at(
    batch: int, spatial: tuple[int, ...], geometry: Geometry, stream: Stream
) -> tuple[Longs, Longs]:
    """Return where windows begin in the padded, channels-last tensor, and where elements follow.

    Returns
    -------
    base
        (batch * windows,).
    offset
        (K,) from the beginning of a window to each of its elements, ordered ``(group, tap,
        channel of the group)``.
    """
    window, channels = stream.window, geometry.in_channels
    size = padded_size(spatial, stream)
    pitches = _pitches(size, channels)
    plane = channels * math.prod(size)
    counts = window.count(spatial)
    steps = [s * p for s, p in zip(window.strides, pitches, strict=True)]
    base = _grid((batch, *counts), [plane, *steps])
    taps = _grid(window.kernel, [d * p for d, p in zip(window.dilations, pitches, strict=True)])
    inside = np.arange(channels, dtype=np.int64).reshape(geometry.groups, 1, -1)
    return base, (taps.reshape(1, -1, 1) + inside).reshape(-1)


def outputs_at(
    batch: int, counts: tuple[int, ...], full: tuple[int, ...], geometry: Geometry, stream: Stream
) -> tuple[Longs, Longs]:
    """Return where the outputs of each window go in ``(batch, out_channels, *full)``.

    Returns
    -------
    place
        (batch * windows,) where those of the first channel go.
    row
        (M,) from there to each row of the matrix, ordered ``(group, offset, channel of the
        group)``.
    """
    pitches = _pitches(full, 1)
    plane = math.prod(full)
    factors = geometry.upsample or (1,) * len(full)
    steps = [f * p for f, p in zip(factors, pitches, strict=True)]
    place = _grid((batch, *counts), [geometry.out_channels * plane, *steps])
    offsets = np.array(stream.offsets, np.int64).reshape(len(stream.offsets), len(full))
    inside = offsets @ np.array(pitches, np.int64)
    channel = np.arange(geometry.out_channels, dtype=np.int64).reshape(geometry.groups, 1, -1)
    return place, (channel * plane + inside.reshape(1, -1, 1)).reshape(-1)
