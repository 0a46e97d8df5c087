"""What `photonpu.simulator.kernels` reads: tiles as panels of weights, places as addresses.

The rows of a matrix are taken `PANEL` at a time. A panel is what of the tiles of one block of
inputs gives such rows: a tile, a slice of a large one, or several small ones side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, Stream, TileBank
from photonpu.simulator.receiver import Receiver

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

LANES = 16  # as `photonpu.simd.LANES`; this module stays free of Numba
PANEL = 64
_LAYOUTS = 256  # a hundred bytes for each tile
_LARGEST = float(np.finfo(np.float32).max)
QUANTITIES = 5  # registers of lanes for a register of outputs


@dataclass(frozen=True, slots=True)
class Panels:
    """The tiles of one stream, packed.

    Attributes
    ----------
    weights
        Panel by panel, register of `LANES` outputs by register, input by input.
    panel
        (p, 9) for each panel: first input, last + 1, where its weights and its lanes begin, its
        first register among those of its rows, how many it has, what keys the noise of its first
        register: the number of a tile, and of a register in that tile; and its number in `spans`.
    group
        (g, 4) for each `PANEL` rows: first panel, last + 1, first row, last + 1.
    lanes
        Panel by panel and register by register, `LANES` of each: the ADC's steps in one unit of
        output, the layer's units in one step (one unit of output, where there is no ADC),
        the detector's offset in steps, the variance of its noise at zero, and that for each unit
        of the squared length of the input.
    spans
        (s, 2) the different blocks of inputs: first and last + 1.
    lit
        Whether any noise follows the squared length of the input.
    """

    weights: Singles
    panel: Longs
    group: Longs
    lanes: Singles
    spans: Longs
    lit: bool

    @property
    def rows(self) -> int:
        """Rows of the matrix."""
        return int(self.group[-1, 3])


def panels(
    bank: TileBank,
    matrices: Floats | Singles,
    tiles: tuple[int, int],
    input_range: float,
    receiver: Receiver,
    number: int,
    share: Floats | None = None,
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
    receiver
        Detectors and ADCs.
    number
        Number of the first tile, which keys its noise.
    share
        (T, N) variance of each output for each unit of the squared length of the tile's input;
        None for none.
    """
    # Numba is slow to import, and the laying out of windows does without.
    from photonpu.simulator import kernels_panels

    chosen = slice(*tiles)
    places = (bank.row, bank.rows, bank.column, bank.columns)
    kept = _kept_layout(*(of[chosen].astype(np.int64).tobytes() for of in places))
    panel, group, piece, spans = (array.copy() for array in kept)
    panel[:, 6] += number
    share = None if share is None else share[chosen]
    gain, ends = _ends(bank, chosen, input_range, receiver, share)
    registers = panel[:, 5]
    weights = np.zeros(int((registers * (panel[:, 1] - panel[:, 0])).sum()) * LANES, np.float32)
    lanes = np.zeros(int(registers.sum()) * QUANTITIES * LANES, np.float32)
    kernels_panels.pack(matrices[chosen], gain, ends, piece, weights, lanes)
    return Panels(weights, panel, group, lanes, spans, share is not None)


def _ends(
    bank: TileBank,
    tiles: slice,
    input_range: float,
    receiver: Receiver,
    share: Floats | None,
) -> tuple[Floats, Singles]:
    """Return what some tiles meet behind them, (T, N) gains and (`QUANTITIES`, T, N) of `lanes`."""
    effects, core = receiver.effects, bank.core[tiles]
    scale = bank.scale[tiles].astype(np.float64)[:, None]
    ranges = bank.adc_range[tiles].astype(np.float64).reshape(len(core), -1)
    step = ranges / receiver.adc_levels if receiver.adc_levels else np.ones_like(ranges)
    with np.errstate(over="ignore"):  # the step that reads an infinity names it
        unit = step * scale * input_range
        ranged = effects.ranged * ranges**2
    gain, offset, floor = effects.gain[core], effects.offset[core], effects.floor[core]
    silent = share is None and not any(a.any() for a in (effects.offset, effects.floor, ranged))
    if silent and not receiver.adc_levels and unit.max(initial=0.0) < _LARGEST:
        # The weights are the model's own again: equal ones give equal outputs in any tile.
        gain, unit = gain * scale, np.full_like(unit, input_range)
    ends = np.zeros((QUANTITIES, *gain.shape), np.float32)
    with np.errstate(over="ignore"):
        ends[0] = 1.0 / step
        ends[1] = unit
        ends[2] = offset / step
        ends[3] = floor + ranged
        ends[4] = 0.0 if share is None else share
    return gain, ends


@lru_cache(maxsize=_LAYOUTS)
def _kept_layout(*places: bytes) -> tuple[Longs, Longs, Longs, Longs]:
    """Return `_layout` of numbers as bytes, which is the same for all chips."""
    row, rows, column, columns = (np.frombuffer(of, np.int64) for of in places)
    return _layout(row, rows, column, columns)


def _layout(
    row: Longs, rows: Longs, column: Longs, columns: Longs
) -> tuple[Longs, Longs, Longs, Longs]:
    """Return `panel`, `group` and `spans` of `Panels`, and the pieces of tiles that fill them.

    Tiles are numbered from 0; pieces are those of `photonpu.simulator.reference_panels.pack`. Of
    every `PANEL` rows, the tiles of one block of inputs are a panel.
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
    steps = pitches_of(spatial[:-1], 1)
    line = np.zeros((), np.int64)
    inside = np.ones((), np.bool_)
    for axis, total in enumerate(padded_size(spatial, stream)[:-1]):
        inner = (1,) * (len(spatial) - axis - 2)
        at = (np.arange(total, dtype=np.int64) - window.pads_begin[axis]).reshape(-1, *inner)
        line = line + at * steps[axis]
        inside = inside & (at >= 0) & (at < spatial[axis])
    return np.where(inside, line, -1).reshape(-1)


def pitches_of(size: tuple[int, ...], inner: int) -> list[int]:
    """Return how far neighbours along each axis lie apart, `inner` along the last."""
    return [inner * math.prod(size[i + 1 :]) for i in range(len(size))]


def grid(counts: tuple[int, ...], steps: list[int]) -> Longs:
    """Return the addresses of the points of a grid, flat and in C order."""
    address = np.zeros((), np.int64)
    for axis, (count, step) in enumerate(zip(counts, steps, strict=True)):
        inner = (1,) * (len(counts) - axis - 1)
        address = address + (np.arange(count, dtype=np.int64) * step).reshape(-1, *inner)
    return address.reshape(-1)


def windows_at(
    counts: tuple[int, ...], size: tuple[int, ...], geometry: Geometry, stream: Stream
) -> tuple[Longs, Longs]:
    """Return where windows begin in the padded, channels-last tensor, and where elements follow.

    Parameters
    ----------
    counts
        Samples, then windows along each spatial axis.
    size
        Spatial size of what is laid out of the padded tensor.
    geometry, stream
        The product and one of its streams.

    Returns
    -------
    base
        (samples * windows,).
    offset
        (K,) from the beginning of a window to each of its elements, ordered ``(group, tap,
        channel of the group)``.
    """
    window, channels = stream.window, geometry.in_channels
    pitches = pitches_of(size, channels)
    plane = channels * math.prod(size)
    steps = [s * p for s, p in zip(window.strides, pitches, strict=True)]
    base = grid(counts, [plane, *steps])
    taps = grid(window.kernel, [d * p for d, p in zip(window.dilations, pitches, strict=True)])
    inside = np.arange(channels, dtype=np.int64).reshape(geometry.groups, 1, -1)
    return base, (taps.reshape(1, -1, 1) + inside).reshape(-1)


def outputs_at(
    counts: tuple[int, ...], full: tuple[int, ...], geometry: Geometry, stream: Stream
) -> tuple[Longs, Longs]:
    """Return where the outputs of each window go in ``(samples, out_channels, *full)``.

    Parameters
    ----------
    counts
        Samples, then windows along each spatial axis.
    full
        Spatial size of the output.
    geometry, stream
        The product and one of its streams.

    Returns
    -------
    place
        (samples * windows,) where those of the first channel go.
    row
        (M,) from there to each row of the matrix, ordered ``(group, offset, channel of the
        group)``.
    """
    pitches = pitches_of(full, 1)
    plane = math.prod(full)
    factors = geometry.upsample or (1,) * len(full)
    steps = [f * p for f, p in zip(factors, pitches, strict=True)]
    place = grid(counts, [geometry.out_channels * plane, *steps])
    offsets = np.array(stream.offsets, np.int64).reshape(len(stream.offsets), len(full))
    inside = offsets @ np.array(pitches, np.int64)
    channel = np.arange(geometry.out_channels, dtype=np.int64).reshape(geometry.groups, 1, -1)
    return place, (channel * plane + inside.reshape(1, -1, 1)).reshape(-1)
