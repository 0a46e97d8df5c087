"""Histograms of calibration: how large the numbers were that converters will meet.

Absolute values are counted in bins that are the same whatever the data, and that reach some octaves
down from the largest value: neither the order of the data nor their split into batches plays a
role, and memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import kernels_ranges, reference_ranges
from photonpu.errors import InputError

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Counts = NDArray[np.uint32] | Longs

OCTAVES = 12  # that a histogram reaches down from the largest value
_FINE = 5  # bits of a fraction that tell bins of an octave apart: they are 2 to 3 % wide
_SHIFT = 23 - _FINE
BINS = OCTAVES << _FINE


@dataclass(frozen=True, slots=True)
class Spread:
    """How large numbers were, in G groups.

    Attributes
    ----------
    largest
        (G,) largest absolute value.
    counts
        (G, 1 + bins) histogram of absolute values: those below its bins, and in each of them; the
        last bin holds the largest. None where nobody asks.
    """

    largest: Floats
    counts: Counts | None = None

    @classmethod
    def nothing(cls, groups: int, counted: bool) -> Spread:
        """Return what is known of `groups` groups before anything was seen."""
        counts = np.zeros((groups, 1 + BINS), np.uint32) if counted else None
        return cls(np.zeros(groups), counts)

    @classmethod
    def of(cls, values: Singles, starts: Longs, counted: bool) -> Spread:
        """Return the spread of numbers in groups of rows.

        Parameters
        ----------
        values
            (M, n).
        starts
            (G + 1,) the first row of each group, none empty, and M.
        counted
            Whether to count them, too.

        Raises
        ------
        InputError
            A number is NaN or infinite.
        """
        if not values.size:
            return cls.nothing(len(starts) - 1, counted)
        peaks = np.maximum(values.max(axis=1), -values.min(axis=1))
        largest = np.maximum.reduceat(peaks, starts[:-1])
        if not counted:
            return cls(largest.astype(np.float64))
        if not np.isfinite(largest).all():
            raise InputError(
                "the float network gives NaN or infinity on the calibration data: "
                "give samples that it works on"
            )
        # One row may be a whole tensor of more than 2^32 numbers; rows of tiles are short.
        kind = np.int64 if len(starts) == 2 else np.uint32
        counts = np.zeros((len(largest), 1 + BINS), kind)
        kernels_ranges.count(values, starts, codes(largest), _SHIFT, counts)
        return cls(largest.astype(np.float64), counts)

    @classmethod
    def placed(cls, parts: Iterable[tuple[Longs, Spread]], groups: int, counted: bool) -> Spread:
        """Put the groups of several parts, each with their numbers, into one of `groups`."""
        found = cls.nothing(groups, counted)
        for places, part in parts:
            found.largest[places] = part.largest
            if found.counts is not None and part.counts is not None:
                found.counts[places] = part.counts
        return found

    def only(self, groups: Longs) -> Spread:
        """Return some of the groups."""
        counts = None if self.counts is None else self.counts[groups]
        return Spread(self.largest[groups], counts)

    def joined(self, other: Spread) -> Spread:
        """Return the spread of what either saw: the same whatever the order."""
        largest = np.maximum(self.largest, other.largest)
        if self.counts is None or other.counts is None:
            return Spread(largest)
        top = codes(largest)
        mine = _moved(self.counts, top - codes(self.largest))
        return Spread(largest, mine + _moved(other.counts, top - codes(other.largest)))


def codes(largest: NDArray[np.float32] | Floats) -> Longs:
    """Return the bits of numbers, those of singles, that tell bins apart."""
    bits = np.abs(largest.astype(np.float32)).view(np.uint32)
    return (bits >> np.uint32(_SHIFT)).astype(np.int64)


def _moved(counts: Counts, down: Longs) -> Counts:
    """Return histograms whose last bins are `down` (G,) further up: lower bins are put together."""
    rows = np.flatnonzero(down)
    if not rows.size:
        return counts
    old, by = counts[rows], np.minimum(down[rows], BINS)
    source = np.arange(1, 1 + BINS) + by[:, None]
    new = np.take_along_axis(old, np.minimum(source, BINS), axis=1)
    new[source > BINS] = 0
    found = counts.copy()
    found[rows, 1:] = new
    found[rows, 0] = np.cumsum(old, axis=1)[np.arange(len(rows)), by]
    return found


def begins_of(largest: Floats) -> Floats:
    """Return where the bins of histograms begin, (G, bins), by their largest values."""
    return reference_ranges.edges(codes(largest), BINS, _SHIFT)
