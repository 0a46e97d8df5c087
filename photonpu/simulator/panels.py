"""What `photonpu.simulator.kernels` reads: tiles as panels of weights, places as addresses.

The rows of a matrix are taken `PANEL` at a time. A panel is what of the tiles of one block of
inputs gives such rows: a tile, a slice of a large one, or several small ones side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.mesh.values import Rows, frozen, frozen_ints
from photonpu.program import Geometry, Stream, TileBank
from photonpu.simulator.packing import kept_layouts
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.transfer import Transfers

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

_LARGEST = float(np.finfo(np.float32).max)


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


class Span(NamedTuple):
    """The tiles of one stream.

    Attributes
    ----------
    first, last
        The first of them in a bank, and the last + 1.
    input_range
        The layer's units in one unit of input.
    number
        Number of the first tile, which keys its noise.
    """

    first: int
    last: int
    input_range: float
    number: int


def panels(
    bank: TileBank, spans: Sequence[Span], transfers: Transfers, receiver: Receiver
) -> list[Panels]:
    """Pack the tiles of some streams.

    Parameters
    ----------
    bank
        The tiles.
    spans
        Which are those of each stream.
    transfers
        Gives what tiles do on one chip.
    receiver
        Detectors and ADCs.
    """
    # Numba is slow to import, and the laying out of windows does without.
    from photonpu.mesh import kernels_rows
    from photonpu.simulator import kernels_panels

    if not spans:
        return []
    laid = kept_layouts(
        tuple((span.first, span.last, span.number) for span in spans),
        *(
            of.astype(np.int64, copy=False).tobytes()
            for of in (bank.row, bank.rows, bank.column, bank.columns)
        ),
    )
    effects, core = receiver.effects, frozen_ints(bank.core)
    reach = np.ones(len(bank))
    for span in spans:
        reach[span.first : span.last] = span.input_range
    own = _in_own_units(bank, spans, transfers, receiver)
    factor = frozen(np.where(own, bank.scale, 1.0))
    weights, lanes = kernels_rows.room(laid.weights), np.zeros(laid.lanes, np.float32)
    for begin, end in laid.gaps:
        weights[begin:end] = 0.0
    rows = Rows(frozen(effects.gain), factor, laid.first, laid.piece, weights)
    share = transfers.write(bank, rows)
    kernels_panels.set_lanes(
        laid.piece,
        core,
        frozen(bank.adc_range).reshape(len(bank), -1),
        frozen(np.where(own, 1.0, bank.scale)),
        frozen(reach),
        (receiver.adc_levels, effects.ranged),
        frozen(effects.offset),
        frozen(effects.floor),
        frozen(np.zeros((0, bank.ports)) if share is None else share),
        lanes,
    )
    return [
        Panels(
            weights[slice(*stream.weights)],
            stream.panel,
            stream.group,
            lanes[slice(*stream.lanes)],
            stream.spans,
            share is not None,
        )
        for stream in laid.streams
    ]


def _in_own_units(
    bank: TileBank, spans: Sequence[Span], transfers: Transfers, receiver: Receiver
) -> NDArray[np.bool_]:
    """Return (T,) whether the weights of tiles are the model's own, not in units of their scale.

    They are where nothing is digitised and nothing acts: equal ones give equal outputs then, in
    any tile.
    """
    own, effects = np.zeros(len(bank), np.bool_), receiver.effects
    if receiver.adc_levels or transfers.fluctuates or effects.offset.any() or effects.floor.any():
        return own
    for span in spans:
        tiles = slice(span.first, span.last)
        with np.errstate(over="ignore"):  # the step that reads an infinity names it
            largest = (bank.scale[tiles].astype(np.float64) * span.input_range).max(initial=0.0)
        noisy = effects.ranged and bank.adc_range[tiles].any()
        own[tiles] = not noisy and largest < _LARGEST
    return own


@lru_cache(maxsize=256)
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
