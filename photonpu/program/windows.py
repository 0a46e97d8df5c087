"""Tensors to the vectors that stream through a mesh, and rows back to tensors, in NumPy.

The road of one matrix product is `channels_form`, then for each stream `vectors`, the product,
`scatter`, and `output_form` at its end. `multiply` walks it with exact products: it defines what
a `Geometry` means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from photonpu.errors import InputError
from photonpu.program.geometry import Geometry, Stream, Window

Array = NDArray[Any]


def channels_form(x: Array, geometry: Geometry) -> Array:
    """View a tensor as ``(batch, channels, *spatial)``.

    Parameters
    ----------
    x
        The tensor as the model has it.
    geometry
        Says by its `access` where the channels are.

    Returns
    -------
    ndarray
        (batch, in_channels, *spatial); no copy where NumPy needs none.

    Raises
    ------
    InputError
        The tensor has another number of axes or channels than the geometry.
    """
    axes = len(geometry.streams[0].window.kernel)
    least = {"channels": 2 + axes, "last": 1, "second_last": 2}[geometry.access]
    if x.ndim < least or (geometry.access == "channels" and x.ndim != least):
        raise InputError(f"a tensor of shape {x.shape} has {x.ndim} axes: {least} are needed")
    if geometry.access == "last":
        x = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    elif geometry.access == "second_last":
        x = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
    if x.shape[1] != geometry.in_channels:
        raise InputError(
            f"a tensor seen as {x.shape} has {x.shape[1]} channels: "
            f"{geometry.in_channels} are needed"
        )
    return x


def output_shape(shape: Sequence[int], geometry: Geometry) -> tuple[int, ...]:
    """Return the shape of the output tensor for an input tensor of `shape`."""
    shape = tuple(shape)
    if geometry.access == "last":
        return (*shape[:-1], geometry.out_channels)
    if geometry.access == "second_last":
        return (*shape[:-2], geometry.out_channels, *geometry.output_size(shape[-1:]))
    return (shape[0], geometry.out_channels, *geometry.output_size(shape[2:]))


def output_form(y: Array, geometry: Geometry, shape: Sequence[int]) -> Array:
    """View ``(batch, out_channels, *spatial)`` as the model's output tensor.

    Parameters
    ----------
    y
        (batch, out_channels, *output spatial).
    geometry
        The product's geometry.
    shape
        Shape of the input tensor, before `channels_form`.
    """
    return y.reshape(output_shape(shape, geometry))


def vectors(x: Array, geometry: Geometry, stream: Stream, dtype: DTypeLike = np.float32) -> Array:
    """Lay out the windows of `stream` as the rows of one contiguous matrix (im2col).

    Parameters
    ----------
    x
        (batch, in_channels, *spatial), as `channels_form` gives it.
    geometry, stream
        The product and the one of its streams to prepare.
    dtype
        Element type of the result.

    Returns
    -------
    ndarray
        (batch * windows, columns): windows in C order, columns ordered
        ``(group, tap, channel of the group)``.
    """
    window = stream.window
    padded = _channels_last(x, window, dtype)
    groups, channels = geometry.groups, geometry.in_channels // geometry.groups
    counts = window.count(x.shape[2:])
    rows = len(x) * math.prod(counts)
    width = geometry.in_channels * math.prod(window.kernel)
    if rows == 0:
        return np.empty((0, width), dtype)
    steps = padded.strides
    view = np.lib.stride_tricks.as_strided(
        padded,
        shape=(len(x), *counts, groups, *window.kernel, channels),
        strides=(
            steps[0],
            *(s * step for s, step in zip(window.strides, steps[1:-1], strict=True)),
            channels * steps[-1],
            *(d * step for d, step in zip(window.dilations, steps[1:-1], strict=True)),
            steps[-1],
        ),
    )
    return np.ascontiguousarray(view).reshape(rows, width)


def channel_axis(geometry: Geometry) -> int:
    """Return which axis of a product's output its channels are."""
    return {"channels": 1, "last": -1, "second_last": -2}[geometry.access]


def thinned(form: Array, stream: Stream, most: int) -> tuple[Array, Stream]:
    """Return every few entries of a batch, and a stream of every few windows.

    Parameters
    ----------
    form
        (batch, in_channels, *spatial), as `channels_form` gives it.
    stream
        One of the product's.
    most
        About as many windows are left, evenly spaced.
    """
    window = stream.window
    entries = form[:: max(1, len(form) // most)]
    number = len(entries) * math.prod(window.count(form.shape[2:]))
    factor = 1
    while window.kernel and number > most * factor ** len(window.kernel):
        factor += 1
    strides = tuple(factor * stride for stride in window.strides)
    return entries, replace(stream, window=replace(window, strides=strides))


def _channels_last(x: Array, window: Window, dtype: DTypeLike) -> Array:
    """Copy to (batch, *padded spatial, channels): pixels of a window are then runs in memory."""
    spatial = x.shape[2:]
    size = tuple(
        max(0, n + before + after)
        for n, before, after in zip(spatial, window.pads_begin, window.pads_end, strict=True)
    )
    source: list[slice] = []
    target: list[slice] = []
    for n, total, before in zip(spatial, size, window.pads_begin, strict=True):
        first = max(0, -before)
        length = max(0, min(n - first, total - max(0, before)))
        source.append(slice(first, first + length))
        target.append(slice(max(0, before), max(0, before) + length))
    make = np.empty if size == spatial and not any(window.pads_begin) else np.zeros
    padded = make((len(x), *size, x.shape[1]), dtype)
    padded[(slice(None), *target)] = np.moveaxis(x, 1, -1)[(slice(None), *source)]
    return padded


def scatter(rows: Array, geometry: Geometry, stream: Stream, out: Array) -> None:
    """Write the results of one stream to the positions that they belong to.

    Parameters
    ----------
    rows
        (batch * windows, rows of the matrix), rows ordered ``(group, offset, channel of the
        group)``.
    geometry, stream
        The product and the stream that was computed.
    out
        (batch, out_channels, *output spatial), written in place. Positions that no stream fills
        keep their value: hand zeros. Windows that lie beyond the output are dropped.
    """
    batch, groups, offsets = len(out), geometry.groups, stream.offsets
    channels = geometry.out_channels // groups
    size = out.shape[2:]
    if out.size == 0:
        return
    factors = geometry.upsample or (1,) * len(size)
    counts = size
    if geometry.upsample:
        spatial = (n - m for n, m in zip(size, geometry.extra, strict=True))
        source = tuple(n // factor for n, factor in zip(spatial, factors, strict=True))
        counts = stream.window.count(source)
    blocks = rows.reshape(batch, *counts, groups, len(offsets), channels)
    grouped = out.reshape(batch, groups, channels, *size)
    for index, offset in enumerate(offsets):
        places = tuple(slice(r, None, s) for r, s in zip(offset, factors, strict=True))
        target = grouped[(slice(None), slice(None), slice(None), *places)]
        kept = tuple(slice(0, n) for n in target.shape[3:])
        block = np.moveaxis(blocks[..., index, :], (-2, -1), (1, 2))
        target[...] = block[(slice(None), slice(None), slice(None), *kept)]


def multiply(
    x: Array, geometry: Geometry, weights: Sequence[Array], bias: Array | None = None
) -> Array:
    """Compute a matrix product exactly: the twin of what the meshes do.

    Parameters
    ----------
    x
        The input tensor as the model has it.
    geometry
        Its geometry.
    weights
        For each stream (groups, rows / groups, columns / groups).
    bias
        (out_channels,) or None.

    Returns
    -------
    ndarray
        The output tensor as the model has it, in the wider of the element types of `x` and
        `weights`.

    Raises
    ------
    InputError
        The tensor does not fit the geometry.
    """
    seen = channels_form(x, geometry)
    dtype = np.result_type(x, *weights)
    size = geometry.output_size(seen.shape[2:])
    out = np.zeros((len(seen), geometry.out_channels, *size), dtype)
    for stream, weight in zip(geometry.streams, weights, strict=True):
        columns = vectors(seen, geometry, stream, dtype)
        grouped = columns.reshape(len(columns), geometry.groups, weight.shape[2])
        rows = np.matmul(grouped.transpose(1, 0, 2), weight.transpose(0, 2, 1))
        joined = rows.transpose(1, 0, 2).reshape(len(columns), len(weight) * weight.shape[1])
        scatter(joined, geometry, stream, out)
    if bias is not None:
        out += bias.reshape(-1, *(1,) * len(size))
    return output_form(out, geometry, x.shape)
