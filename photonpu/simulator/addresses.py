"""Where vectors are in a field, and where what comes of them goes: kept from run to run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, Stream
from photonpu.simulator.kernels_normal import TOGETHER
from photonpu.simulator.panels import outputs_at, windows_at

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
_KEPT_WINDOWS = 1 << 17  # of a slab whose addresses are kept


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
    """
    find = _kept if math.prod(counts) <= _KEPT_WINDOWS else _addresses
    return find(counts, size, full, geometry, stream, lead, first_row)


def _addresses(
    counts: tuple[int, ...],
    size: tuple[int, ...],
    full: tuple[int, ...],
    geometry: Geometry,
    stream: Stream,
    lead: int,
    first_row: int,
) -> Addresses:
    """Return what `addresses` does."""
    base, offset = windows_at(counts, size, geometry, stream)
    place, row = outputs_at(counts, full, geometry, stream)
    place += first_row * (geometry.upsample or (1,))[0] * math.prod(full[1:])
    channels = np.arange(geometry.out_channels).reshape(geometry.groups, 1, -1)
    channel = np.tile(channels, (1, len(stream.offsets), 1)).reshape(-1)
    return Addresses(*together(base, offset, lead), place, row, channel)


_kept = lru_cache(maxsize=32)(_addresses)


def together(base: Longs, offset: Longs, lead: int) -> tuple[Ints, Ints]:
    """Return `at` and `after` of `Addresses` for vectors of which `lead` share the first's draw."""
    tail = -(lead + len(base)) % TOGETHER
    at = np.empty(lead + len(base) + tail, np.int32)
    at[:lead] = base[0]
    at[lead : lead + len(base)] = base
    at[lead + len(base) :] = base[-1]
    return at, offset.astype(np.int32)
