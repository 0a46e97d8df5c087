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

# Sums over edges may be taken in any order, though always in the same.
_SUMS = frozenset({"contract", "reassoc"})
_TOGETHER = 256  # groups, which take a thread much longer than it takes to start
_MAGNITUDE = np.uint32(0x7FFFFFFF)  # all bits of a single but its sign


@jit()
def _count(bits: Words, starts: Longs, top: Longs, shift: int, counts: Words | Longs) -> None:
    bins = counts.shape[1] - 1
    for group in range(top.size):
        found, first = counts[group], bins - top[group]
        for row in range(starts[group], starts[group + 1]):
            for i in range(bits.shape[1]):
                code = np.int64((bits[row, i] & _MAGNITUDE) >> np.uint32(shift))
                found[max(0, code + first)] += 1


def count(values: Singles, starts: Longs, top: Longs, shift: int, counts: Words | Longs) -> None:
    """Compute `photonpu.compiler.reference_ranges.count`."""
    _count(np.ascontiguousarray(values).view(np.uint32), starts, top, shift, counts)


@jit(fastmath=_SUMS)
def _sum(edges: Floats, steps: Floats, clip: float, levels: float) -> float:
    """Sum integrals up to edges: of the density's `steps` at each, which are those of the bins."""
    step, inverse = clip / levels, levels / clip
    cell, total = step * step * step / 12.0, 0.0
    for i in range(edges.size):
        code = min(levels, math.floor(edges[i] * inverse + 0.5))
        rest = edges[i] - code * step
        total += steps[i] * (code * cell + rest * rest * rest / 3.0)
    return total


@jit()
def _fill(
    edges: Floats,
    steps: Floats,
    clips: Floats,
    levels: float,
    out: Floats,
    groups: tuple[int, int],
) -> None:
    """Fill the errors of groups from the first to the last + 1."""
    for group in range(groups[0], groups[1]):
        for i in range(clips.shape[1]):
            out[group, i] = _sum(edges[group], steps[group], clips[group, i], levels)


@jit(parallel=True)
def _fill_all(edges: Floats, steps: Floats, clips: Floats, levels: float, out: Floats) -> None:
    """Fill the errors of all groups on several threads."""
    for task in prange((clips.shape[0] + _TOGETHER - 1) // _TOGETHER):
        groups = task * _TOGETHER, min(clips.shape[0], (task + 1) * _TOGETHER)
        _fill(edges, steps, clips, levels, out, groups)


def conversion_errors(
    begins: Floats, largest: Floats, counts: Words | Longs, clips: Floats, levels: float
) -> Floats:
    """Compute `photonpu.compiler.reference_ranges.conversion_errors`.

    A sum over bins of their density times an integral from edge to edge is one over edges.
    """
    nothing, last = np.zeros((len(clips), 1)), largest[:, None]
    edges = np.concatenate([nothing, begins, last], axis=1)
    width = np.diff(edges, axis=1)
    density = np.divide(counts, width, out=np.zeros_like(width), where=width > 0)
    steps = -np.diff(density, axis=1, prepend=0.0, append=0.0)
    out = np.empty(clips.shape)
    if len(clips) > _TOGETHER:
        _fill_all(edges, steps, clips, float(levels), out)
    else:
        _fill(edges, steps, clips, float(levels), out, (0, len(clips)))
    # All of the last bin may be its one largest number.
    code = np.minimum(levels, np.rint(last * (levels / clips)))
    alone = np.where(width[:, -1] > 0, 0, counts[:, -1])[:, None]
    return out + alone * (last - code * (clips / levels)) ** 2
