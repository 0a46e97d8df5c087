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
_PART = 64  # windows, or pixels, that one thread takes at a time
_RUN = 16  # channels that are one line of the cache when they lie together


@jit(parallel=True)
def _gather(field: Singles, at: Longs, groups: int, found: Singles) -> None:
    """Copy pixels `at` (windows, taps) of (batch, channels, pixels) where they are 0 or more."""
    batch, channels, pixels = field.shape
    count, taps = at.shape
    each, parts = channels // groups, -(-count // _PART)
    numbers, target = field.reshape(-1), found.reshape(-1)
    for task in prange(batch * parts):
        entry, begin = task // parts, task % parts * _PART
        for first in range(0, channels, _TOGETHER):
            for window in range(begin, min(begin + _PART, count)):
                row = (entry * count + window) * channels * taps
                for channel in range(first, min(first + _TOGETHER, channels)):
                    source = (entry * channels + channel) * pixels
                    column = row + channel // each * each * taps + channel % each
                    for tap in range(taps):
                        pixel = at[window, tap]
                        if pixel >= 0:
                            target[np.uint64(column)] = numbers[np.uint64(source + pixel)]
                        column += each


@jit(parallel=True)
def _turned(field: Singles) -> Singles:
    """Return (batch, pixels, channels) of (batch, channels, pixels)."""
    batch, channels, pixels = field.shape
    turned = np.empty((batch, pixels, channels), np.float32)
    parts = -(-pixels // _PART)
    for task in prange(batch * parts):
        entry, begin = task // parts, task % parts * _PART
        for first in range(0, channels, _RUN):
            for pixel in range(begin, min(begin + _PART, pixels)):
                for channel in range(first, min(first + _RUN, channels)):
                    turned[entry, pixel, channel] = field[entry, channel, pixel]
    return turned


@jit(parallel=True)
def _gather_runs(turned: Singles, at: Longs, groups: int, found: Singles) -> None:
    """Do what `_gather` does with (batch, pixels, channels), a run of channels at a time."""
    batch, _, channels = turned.shape
    count, taps = at.shape
    each = channels // groups
    for task in prange(batch * count):
        entry, window = task // count, task % count
        for tap in range(taps):
            if at[window, tap] >= 0:
                run = turned[entry, at[window, tap]]
                for group in range(groups):
                    column = (group * taps + tap) * each
                    found[task, column : column + each] = run[group * each : (group + 1) * each]


def vectors(form: Singles, geometry: Geometry, stream: Stream) -> Singles:
    """Compute `photonpu.program.windows.vectors`, reading what the windows see and no more.

    Where each pixel is seen more than once, channels are brought together first.
    """
    at = _pixels(stream.window, form.shape[2:])
    field = np.ascontiguousarray(form).reshape(*form.shape[:2], math.prod(form.shape[2:]))
    found = np.zeros((len(form) * len(at), form.shape[1] * at.shape[1]), np.float32)
    if form.size and at.size > field.shape[2]:
        _gather_runs(_turned(field), at, geometry.groups, found)
    elif form.size:
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
