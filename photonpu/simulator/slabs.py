"""A tensor cut for streaming: as many samples, or rows of windows of one, as memory allows.

No more of a tensor is laid out, and no more windows have addresses, than one slab holds. Where it
is cut changes no bit of the result: the noise of a vector is keyed by its number in the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from photonpu.errors import InputError
from photonpu.program import Geometry, Stream
from photonpu.simulator.panels import padded_size

SCRATCH_BYTES = 1 << 28  # a larger slab gains no time
_ELEMENT_BYTES = 4
_WINDOW_BYTES = 32  # addresses of a window and of its outputs, with what makes them
_LARGEST = 2**31 - 1  # elements that an address of 32 bits reaches


@dataclass(frozen=True, slots=True)
class Slab:
    """Some samples of a tensor whole, or a part of one along its first spatial axis.

    Attributes
    ----------
    samples
        First and last + 1.
    rows
        First and last + 1 of the windows along the first spatial axis; () for all.
    lines
        What these see of the padded tensor along that axis, first and last + 1; () for all.
    """

    samples: tuple[int, int]
    rows: tuple[int, int] | tuple[()] = ()
    lines: tuple[int, int] | tuple[()] = ()

    def counts(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        """Return the number of its windows along each axis, of `whole` in all."""
        return (self.rows[1] - self.rows[0], *whole[1:]) if self.rows else whole

    def size(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        """Return the spatial size of what it sees of a padded tensor of the size `whole`."""
        return (self.lines[1] - self.lines[0], *whole[1:]) if self.lines else whole


def cut(
    samples: int, spatial: tuple[int, ...], geometry: Geometry, stream: Stream, scratch_bytes: int
) -> Iterator[Slab]:
    """Yield the slabs of a tensor in the order of its windows.

    Parameters
    ----------
    samples, spatial
        Size of the tensor, ``(samples, channels, *spatial)``.
    geometry, stream
        The product and one of its streams.
    scratch_bytes
        What one slab may take; a row of windows is the least.

    Raises
    ------
    InputError
        One row of windows sees more elements than an address reaches.
    """
    size, counts = padded_size(spatial, stream), stream.window.count(spatial)
    each = slab_bytes(counts, size, geometry)
    elements = geometry.in_channels * math.prod(size)
    if not spatial or (each <= scratch_bytes and elements <= _LARGEST):
        together = min(scratch_bytes // max(1, each), _LARGEST // max(1, elements))
        for first in range(0, samples, max(1, together)):
            yield Slab((first, min(samples, first + max(1, together))))
        return
    height = _rows(counts, size, geometry, stream, scratch_bytes)
    for sample in range(samples):
        for first in range(0, counts[0], height):
            rows = first, min(counts[0], first + height)
            yield Slab((sample, sample + 1), rows, _lines(*rows, stream))


def slab_bytes(counts: tuple[int, ...], size: tuple[int, ...], geometry: Geometry) -> int:
    """Return what so many windows on a part of a padded tensor of that size take."""
    field = _ELEMENT_BYTES * geometry.in_channels * math.prod(size)
    return field + _WINDOW_BYTES * math.prod(counts)


def least_bytes(spatial: tuple[int, ...], geometry: Geometry, stream: Stream) -> int:
    """Return what the smallest slab of a tensor of that spatial size takes."""
    size, counts = padded_size(spatial, stream), stream.window.count(spatial)
    if not spatial:
        return slab_bytes(counts, size, geometry)
    low, high = _lines(0, 1, stream)
    return slab_bytes((1, *counts[1:]), (min(high - low, size[0]), *size[1:]), geometry)


def _lines(first: int, last: int, stream: Stream) -> tuple[int, int]:
    """Return which lines of the padded tensor some rows of windows see."""
    window = stream.window
    reach = window.dilations[0] * (window.kernel[0] - 1) + 1
    return first * window.strides[0], (last - 1) * window.strides[0] + reach


def _rows(
    counts: tuple[int, ...],
    size: tuple[int, ...],
    geometry: Geometry,
    stream: Stream,
    scratch_bytes: int,
) -> int:
    """Return how many rows of windows one slab holds.

    Raises
    ------
    InputError
        There is none that an address reaches.
    """
    low, high = _lines(0, 1, stream)
    line = geometry.in_channels * math.prod(size[1:])
    if (high - low) * line > _LARGEST:
        raise InputError(
            f"one row of windows sees {(high - low) * line:,} elements of a tensor of "
            f"{geometry.in_channels} channels and {size}: 2^31 is the most; split the input "
            "into pieces that overlap"
        )
    halo = _ELEMENT_BYTES * (high - low - stream.window.strides[0]) * line
    row = _ELEMENT_BYTES * stream.window.strides[0] * line + _WINDOW_BYTES * math.prod(counts[1:])
    fit = (scratch_bytes - halo) // max(1, row)
    reached = (_LARGEST // max(1, line) - (high - low)) // stream.window.strides[0] + 1
    return max(1, min(fit, reached))
