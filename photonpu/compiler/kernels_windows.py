"""The windows of a product as vectors; `photonpu.program.windows.vectors` says what they are."""

from __future__ import annotations

import math

import numpy as np
from numba import prange
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.program.geometry import Geometry, Stream, Window

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]

_TOGETHER = 8  # channels, whose lines may all have one place in the cache
_PART = 64  # windows that one thread takes at a time


@jit(parallel=True)
def _gather(field: Singles, at: Longs, groups: int, found: Singles) -> None:
    """Copy pixels `at` (windows, taps) of (batch, channels, pixels); outside, below 0, is 0."""
    batch, channels, _ = field.shape
    count, taps = at.shape
    each, parts = channels // groups, -(-count // _PART)
    for task in prange(batch * parts):
        entry, begin = task // parts, task % parts * _PART
        for first in range(0, channels, _TOGETHER):
            for window in range(begin, min(begin + _PART, count)):
                row = found[entry * count + window]
                for channel in range(first, min(first + _TOGETHER, channels)):
                    column = channel // each * each * taps + channel % each
                    for tap in range(taps):
                        pixel = at[window, tap]
                        value = field[entry, channel, max(pixel, 0)]
                        row[column + tap * each] = value if pixel >= 0 else np.float32(0.0)


def vectors(form: Singles, geometry: Geometry, stream: Stream) -> Singles:
    """Compute `photonpu.program.windows.vectors`, reading what the windows see and no more."""
    at = _pixels(stream.window, form.shape[2:])
    field = np.ascontiguousarray(form).reshape(*form.shape[:2], math.prod(form.shape[2:]))
    found = np.zeros((len(form) * len(at), form.shape[1] * at.shape[1]), np.float32)
    if form.size:
        _gather(field, at, geometry.groups, found)
    return found


def _pixels(window: Window, spatial: tuple[int, ...]) -> Longs:
    """Return which pixel each tap of each window sees, -1 for one outside."""
    counts = window.count(spatial)
    axes = len(counts)
    at, inside = np.zeros((1,) * 2 * axes, np.int64), np.ones((1,) * 2 * axes, np.bool_)
    for axis, size in enumerate(spatial):
        begins = np.arange(counts[axis]) * window.strides[axis] - window.pads_begin[axis]
        taps = np.arange(window.kernel[axis]) * window.dilations[axis]
        shape = [1] * 2 * axes
        shape[axis], shape[axes + axis] = len(begins), len(taps)
        place = (begins[:, None] + taps).reshape(shape)
        at = at * size + place
        inside = inside & (place >= 0) & (place < size)
    return np.where(inside, at, -1).reshape(math.prod(counts), math.prod(window.kernel))
