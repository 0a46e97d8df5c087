"""What `photonpu.simulator.kernels` reads: tiles as panels of weights, places as addresses.

The rows of a matrix are taken `PANEL` at a time. A panel is what of the tiles of one block of
inputs gives such rows: a tile, a slice of a large one, or several small ones side by side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, Stream, TileBank
from photonpu.simulator.receiver import Receiver

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

LANES = 16  # as `photonpu.simd.LANES`; this module stays free of Numba
PANEL = 64
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
    ends = _Ends.of(bank, input_range, receiver, share)
    weights: list[Singles] = []
    lanes: list[Singles] = []
    panel: list[tuple[int, ...]] = []
    group: list[tuple[int, ...]] = []
    spans: dict[tuple[int, int], int] = {}
    rows = int((bank.row + bank.rows)[slice(*tiles)].max())
    begin = lane = 0
    for top, columns in _together(bank, tiles).items():
        first = len(panel)
        for members in columns:
            place = (int(bank.row[members[0]]) - top) // LANES if bank.row[members[0]] > top else 0
            weight, scale = _packed(bank, matrices, members, top, place, ends)
            low, width = int(bank.column[members[0]]), int(bank.columns[members[0]])
            registers = scale.size // (QUANTITIES * LANES)
            span = spans.setdefault((low, low + width), len(spans))
            key = number + members[0] - tiles[0]
            passed = (top - int(bank.row[members[0]]) // PANEL * PANEL) // LANES
            which = key, passed + place, span
            panel.append((low, low + width, begin, lane, place, registers, *which))
            weights.append(weight)
            lanes.append(scale)
            begin, lane = begin + weight.size, lane + scale.size
        group.append((first, len(panel), top, min(rows, top + PANEL)))
    return Panels(
        weights=np.concatenate(weights),
        panel=np.array(panel, np.int64),
        group=np.array(group, np.int64),
        lanes=np.concatenate(lanes),
        spans=np.array(list(spans), np.int64),
        lit=share is not None,
    )


@dataclass(frozen=True, slots=True)
class _Ends:
    """What tiles meet behind them: by tile (and output port), or by core and output port."""

    step: Floats
    unit: Floats
    weight: Floats
    ranged: Floats
    share: Floats
    gain: Floats
    offset: Floats
    floor: Floats

    @classmethod
    def of(
        cls, bank: TileBank, input_range: float, receiver: Receiver, share: Floats | None
    ) -> _Ends:
        effects = receiver.effects
        ranges = np.asarray(bank.adc_range, np.float64)
        step = ranges / receiver.adc_levels if receiver.adc_levels else np.ones(len(bank))
        with np.errstate(over="ignore"):  # the step that reads an infinity names it
            unit = step * bank.scale * input_range
            ranged = effects.ranged * ranges**2
        weight = np.ones(len(bank))
        silent = share is None and not any(a.any() for a in (effects.offset, effects.floor, ranged))
        if silent and not receiver.adc_levels and unit.max(initial=0.0) < _LARGEST:
            # The weights are the model's own again: equal ones give equal outputs in any tile.
            weight, unit = np.asarray(bank.scale, np.float64), np.full(len(bank), input_range)
        share = np.zeros((len(bank), bank.psi.shape[2])) if share is None else share
        return cls(step, unit, weight, ranged, share, effects.gain, effects.offset, effects.floor)


def _together(bank: TileBank, tiles: tuple[int, int]) -> dict[int, list[list[int]]]:
    """Return for every `PANEL` rows the tiles that give some of them, by blocks of inputs."""
    found: dict[int, dict[int, list[int]]] = {}
    for tile in sorted(range(*tiles), key=lambda t: (bank.row[t], bank.column[t])):
        row, column = int(bank.row[tile]), int(bank.column[tile])
        for top in range(row // PANEL * PANEL, row + int(bank.rows[tile]), PANEL):
            found.setdefault(top, {}).setdefault(column, []).append(tile)
    return {
        top: [columns[column] for column in sorted(columns)]
        for top, columns in sorted(found.items())
    }


def _packed(
    bank: TileBank,
    matrices: Floats | Singles,
    members: list[int],
    top: int,
    place: int,
    ends: _Ends,
) -> tuple[Singles, Singles]:
    """Return weights and lanes of one panel, which begins `place` registers below row `top`."""
    last = members[-1]
    bottom = min(top + PANEL, int(bank.row[last] + bank.rows[last]))
    registers = -(-(bottom - top) // LANES) - place
    start, width = top + place * LANES, int(bank.columns[last])
    weight = np.zeros((registers * LANES, width), np.float32)
    scale = np.zeros((QUANTITIES, registers * LANES), np.float32)
    for tile in members:
        row = int(bank.row[tile])
        low, high = max(top, row), min(bottom, row + int(bank.rows[tile]))
        inside, ports = slice(low - start, high - start), slice(low - row, high - row)
        core = int(bank.core[tile])
        gain = ends.gain[core, ports, None] * ends.weight[tile]
        weight[inside] = matrices[tile, ports, :width] * gain
        with np.errstate(over="ignore"):
            scale[0, inside] = 1.0 / ends.step[tile]
            scale[1, inside] = ends.unit[tile]
            scale[2, inside] = ends.offset[core, ports] / ends.step[tile]
            scale[3, inside] = ends.floor[core, ports] + ends.ranged[tile]
            scale[4, inside] = ends.share[tile, ports]
    packed = weight.reshape(registers, LANES, width).transpose(0, 2, 1)
    together = scale.reshape(QUANTITIES, registers, LANES).transpose(1, 0, 2)
    return packed.ravel(), together.ravel()


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
    pitches = _pitches(size, channels)
    plane = channels * math.prod(size)
    steps = [s * p for s, p in zip(window.strides, pitches, strict=True)]
    base = _grid(counts, [plane, *steps])
    taps = _grid(window.kernel, [d * p for d, p in zip(window.dilations, pitches, strict=True)])
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
    pitches = _pitches(full, 1)
    plane = math.prod(full)
    factors = geometry.upsample or (1,) * len(full)
    steps = [f * p for f, p in zip(factors, pitches, strict=True)]
    place = _grid(counts, [geometry.out_channels * plane, *steps])
    offsets = np.array(stream.offsets, np.int64).reshape(len(stream.offsets), len(full))
    inside = offsets @ np.array(pitches, np.int64)
    channel = np.arange(geometry.out_channels, dtype=np.int64).reshape(geometry.groups, 1, -1)
    return place, (channel * plane + inside.reshape(1, -1, 1)).reshape(-1)
