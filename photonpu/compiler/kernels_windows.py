"""The windows of a product as vectors; `photonpu.program.windows.vectors` says what they are."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from photonpu.jit import jit
from photonpu.program.geometry import Geometry, Stream, Window

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]

_PIXELS = 16  # that are one line of the cache before they are turned,
_CHANNELS = 16  # and channels that are one line after it


class Lines(NamedTuple):
    """What windows see, the channels of a pixel together.

    Attributes
    ----------
    pixels
        (P + 1, channels) the pixels that are seen, of all entries of a batch, and zeros.
    at
        (windows, taps) which of them each tap of each window sees.
    """

    pixels: Singles
    at: Longs


@jit()
def _turn(field: Singles, chosen: Longs, pixels: Singles) -> None:
    """Fill in `chosen` ones of (batch, channels, pixels), and zeros behind all."""
    batch, channels, _ = field.shape
    count = chosen.size
    for entry in range(batch):
        for begin in range(0, count, _PIXELS):
            for first in range(0, channels, _CHANNELS):
                for index in range(begin, min(begin + _PIXELS, count)):
                    row, pixel = entry * count + index, chosen[index]
                    for channel in range(first, min(first + _CHANNELS, channels)):
                        pixels[row, channel] = field[entry, channel, pixel]
    pixels[batch * count] = 0.0


@jit()
def _gather(lines: Lines, groups: int, found: Singles) -> None:
    """Fill in vectors, whose columns go by group, tap, and channel of the group."""
    each = lines.pixels.shape[1] // groups
    windows, taps = lines.at.shape
    for window in range(windows):
        for tap in range(taps):
            run = lines.pixels[lines.at[window, tap]]
            for group in range(groups):
                column = (group * taps + tap) * each
                found[window, column : column + each] = run[group * each : (group + 1) * each]


def lines(form: Singles, stream: Stream) -> Lines:
    """Bring together the channels of what the windows of a stream see, and no more.

    Parameters
    ----------
    form
        (batch, channels, *spatial), as `photonpu.program.windows.channels_form` gives it.
    stream
        One of a product's.
    """
    at = _pixels(stream.window, form.shape[2:])
    batch, channels, count = *form.shape[:2], math.prod(form.shape[2:])
    inside = at >= 0
    if at.size > count:
        chosen, place = np.arange(count), at
    else:
        chosen, place = at[inside], np.cumsum(inside).reshape(at.shape) - 1
    pixels = np.empty((batch * chosen.size + 1, channels), np.float32)
    _turn(np.ascontiguousarray(form).reshape(batch, channels, count), chosen, pixels)
    starts = chosen.size * np.arange(batch)[:, None, None]
    seen = np.where(inside, place + starts, len(pixels) - 1)
    return Lines(pixels, seen.reshape(batch * len(at), at.shape[1]))


def gathered(lines: Lines, groups: int) -> Singles:
    """Return the vectors, (windows, columns), of a product of so many groups."""
    found = np.empty((len(lines.at), lines.pixels.shape[1] * lines.at.shape[1]), np.float32)
    _gather(lines, groups, found)
    return found


def vectors(form: Singles, geometry: Geometry, stream: Stream) -> Singles:
    """Compute `photonpu.program.windows.vectors`, reading what the windows see and no more."""
    return gathered(lines(form, stream), geometry.groups)


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
