"""Histograms of calibration; `photonpu.compiler.reference_ranges` says what they compute."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit

Singles = NDArray[np.float32]
Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
Words = NDArray[np.uint32]

_CONTRACT = frozenset({"contract"})
_MAGNITUDE = np.uint32(0x7FFFFFFF)  # all bits of a single but its sign


@jit(parallel=True)
def _count(bits: Words, starts: Longs, top: Longs, shift: int, counts: Words | Longs) -> None:
    bins = counts.shape[1] - 1
    for group in prange(top.size):
        found, first = counts[group], bins - top[group]
        for row in range(starts[group], starts[group + 1]):
            for i in range(bits.shape[1]):
                code = np.int64((bits[row, i] & _MAGNITUDE) >> np.uint32(shift))
                found[max(0, code + first)] += 1


def count(values: Singles, starts: Longs, top: Longs, shift: int, counts: Words | Longs) -> None:
    """Compute `photonpu.compiler.reference_ranges.count`."""
    _count(np.ascontiguousarray(values).view(np.uint32), starts, top, shift, counts)


@jit(fastmath=_CONTRACT)
def _integral(value: float, step: float, inverse: float, levels: float) -> float:
    """Integrate the squared error of a converter from zero to `value`."""
    code = min(levels, math.floor(value * inverse + 0.5))
    rest = value - code * step
    return code * step * step * step / 12.0 + rest * rest * rest / 3.0


@jit(fastmath=_CONTRACT)
def _sum(
    begins: Floats, largest: float, counts: Words | Longs, clip: float, levels: float
) -> float:
    """Sum the squared errors of one histogram at one full scale."""
    step, inverse = clip / levels, levels / clip
    total, below, begin = 0.0, 0.0, 0.0
    for bin_ in range(counts.size):
        end = begins[bin_] if bin_ < begins.size else largest
        if end > begin:
            upto = _integral(end, step, inverse, levels)
            if counts[bin_]:
                total += counts[bin_] * (upto - below) / (end - begin)
            below = upto
        elif counts[bin_]:
            rest = begin - min(levels, float(round(begin * inverse))) * step
            total += counts[bin_] * rest * rest
        begin = end
    return total


@jit(parallel=True)
def _conversion_errors(
    begins: Floats,
    largest: Floats,
    counts: Words | Longs,
    clips: Floats,
    levels: float,
    out: Floats,
) -> None:
    for group in prange(clips.shape[0]):
        for i in range(clips.shape[1]):
            clip = clips[group, i]
            out[group, i] = _sum(begins[group], largest[group], counts[group], clip, levels)


def conversion_errors(
    begins: Floats, largest: Floats, counts: Words | Longs, clips: Floats, levels: float
) -> Floats:
    """Compute `photonpu.compiler.reference_ranges.conversion_errors`."""
    out = np.empty(clips.shape)
    _conversion_errors(begins, largest, counts, clips, float(levels), out)
    return out
