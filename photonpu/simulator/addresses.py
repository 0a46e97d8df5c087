"""Where vectors are in a field, and where what comes of them goes: kept from run to run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, Stream
from photonpu.simulator.kernels_normal import TOGETHER
from photonpu.simulator.panels import grid, outputs_at, pitches_of, windows_at

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
_KEPT_WINDOWS = 1 << 17  # of a slab whose addresses are kept


@dataclass(frozen=True, slots=True)
class Inside:
    """Where a tensor lies in the field of the step that reads it.

    Attributes
    ----------
    size
        Spatial size of the field, its zeros with it.
    margin
        Zeros along each axis before the tensor begins.
    channels
        Those of the field.
    first
        Which of these is the tensor's first.
    """

    size: tuple[int, ...]
    margin: tuple[int, ...]
    channels: int
    first: int


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the vectors of a slab are, and where what comes of them goes.

    Not to be written to, though writable: kernels would be compiled anew for read-only arrays.

    Attributes
    ----------
    at
        (n,) where each begins in the field; the first and the last several times, so that the
        number of the first is a multiple of `TOGETHER` and n too.
    after
        (K,) from there to each of its elements.
    place
        (p,) where the results of each begin in the output.
    row
        (M,) from there to each row of the matrix.
    channel
        (M,) the output channel that each row is.
    """

    at: Ints
    after: Ints
    place: Longs
    row: Longs
    channel: Longs


def addresses(
    counts: tuple[int, ...],
    size: tuple[int, ...],
    full: tuple[int, ...],
    geometry: Geometry,
    stream: Stream,
    lead: int,
    first_row: int,
    inside: Inside | None = None,
) -> Addresses:
    """Return where the vectors of a slab are, and where what comes of them goes.

    Parameters
    ----------
    counts
        Samples, then windows along each spatial axis.
    size, full
        Spatial sizes of the field and of the output.
    geometry, stream
        The product and one of its streams.
    lead
        How many vectors before the first share its draw.
    first_row
        The first of the slab's rows of windows.
    inside
        Where the output lies in the field of the next step; None for (samples, channels, *full).
    """
    find = _kept if math.prod(counts) <= _KEPT_WINDOWS else _addresses
    return find(counts, size, full, geometry, stream, lead, first_row, inside)


def _addresses(
    counts: tuple[int, ...],
    size: tuple[int, ...],
    full: tuple[int, ...],
    geometry: Geometry,
    stream: Stream,
    lead: int,
    first_row: int,
    inside: Inside | None = None,
) -> Addresses:
    """Return what `addresses` does."""
    base, offset = windows_at(counts, size, geometry, stream)
    if inside is None:
        place, row = outputs_at(counts, full, geometry, stream)
        line = math.prod(full[1:])
    else:
        place, row = _inside_at(counts, inside, geometry, stream)
        line = inside.channels * math.prod(inside.size[1:])
    place += first_row * (geometry.upsample or (1,))[0] * line
    channels = np.arange(geometry.out_channels).reshape(geometry.groups, 1, -1)
    channel = np.tile(channels, (1, len(stream.offsets), 1)).reshape(-1)
    return Addresses(*together(base, offset, lead), place, row, channel)


def _inside_at(
    counts: tuple[int, ...], inside: Inside, geometry: Geometry, stream: Stream
) -> tuple[Longs, Longs]:
    """Return as `outputs_at` where outputs go in a field."""
    pitches = pitches_of(inside.size, inside.channels)
    factors = geometry.upsample or (1,) * len(pitches)
    steps = [f * p for f, p in zip(factors, pitches, strict=True)]
    place = grid(counts, [inside.channels * math.prod(inside.size), *steps])
    begin = inside.first + sum(m * p for m, p in zip(inside.margin, pitches, strict=True))
    offsets = np.array(stream.offsets, np.int64).reshape(len(stream.offsets), len(pitches))
    channel = np.arange(geometry.out_channels, dtype=np.int64).reshape(geometry.groups, 1, -1)
    apart = (offsets @ np.array(pitches, np.int64)).reshape(1, -1, 1)
    return place + begin, (channel + apart).reshape(-1)


_kept = lru_cache(maxsize=32)(_addresses)


def together(base: Longs, offset: Longs, lead: int) -> tuple[Ints, Ints]:
    """Return `at` and `after` of `Addresses` for vectors of which `lead` share the first's draw."""
    tail = -(lead + len(base)) % TOGETHER
    at = np.empty(lead + len(base) + tail, np.int32)
    at[:lead] = base[0]
    at[lead : lead + len(base)] = base
    at[lead + len(base) :] = base[-1]
    return at, offset.astype(np.int32)
