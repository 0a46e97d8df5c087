"""Vectors streamed through the tiles of a matrix on one chip: those of a step, or bare ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from functools import partial

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, PhotonicStep, Stream, TileBank, windows
from photonpu.simulator import kernels, kernels_layout, slabs
from photonpu.simulator.kernels_normal import TOGETHER
from photonpu.simulator.modulator import driven, encoded
from photonpu.simulator.panels import (
    LANES,
    QUANTITIES,
    Panels,
    outputs_at,
    padded_rows,
    padded_size,
    panels,
    windows_at,
)
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.slabs import Slab
from photonpu.simulator.transfer import Transfer

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]
#: Input, index of its first sample, bytes that a slab of it may take; to the output.
Run = Callable[[Singles, int, int], Singles]
_MERGED_FROM = 0.5  # steps of the ADC: noise that may be added after it


def layer(
    bank: TileBank,
    step: PhotonicStep,
    transfers: Callable[[TileBank], Transfer],
    receiver: Receiver,
) -> Run:
    """Prepare a step for running.

    Parameters
    ----------
    bank
        The program's tiles.
    step
        The step.
    transfers
        Gives what tiles do to vectors on one chip, as `photonpu.simulator.transfer.transfer`.
    receiver
        Converters and detector.

    Returns
    -------
    callable
        Takes the input tensor, the index of its first sample, and the bytes that a slab may take;
        gives the output tensor.
    """
    packed = []
    for first, last in step.tiles:
        tiles = part(bank, first, last)
        span, found = (0, len(tiles)), transfers(tiles)
        packed.append(
            panels(tiles, found.matrices, span, step.input_range, receiver, first, found.share)
        )
    return partial(run, step=step, packed=tuple(packed), receiver=receiver)


def part(bank: TileBank, first: int, last: int) -> TileBank:
    """Return tiles from the first to the last + 1 of a bank, without a copy."""
    return TileBank(*(getattr(bank, field.name)[first:last] for field in fields(TileBank)))


def run(
    x: Singles,
    first_sample: int,
    scratch_bytes: int = slabs.SCRATCH_BYTES,
    *,
    step: PhotonicStep,
    packed: tuple[Panels, ...],
    receiver: Receiver,
) -> Singles:
    """Run a step: one ADC sample for each output of each tile, where there is an ADC.

    Parameters
    ----------
    x
        The step's input tensor.
    first_sample
        Index of the batch's first sample, which keys the noise.
    scratch_bytes
        About how much of the tensor is laid out at once. The output has the same bits for any.
    step
        What to run.
    packed
        The tiles of each stream.
    receiver
        Converters and detector.

    Returns
    -------
    ndarray
        The step's output tensor.

    Raises
    ------
    InputError
        Even one row of windows is too large to be laid out.
    """
    geometry = step.geometry
    form = np.ascontiguousarray(windows.channels_form(x, geometry))
    spatial = form.shape[2:]
    size = geometry.output_size(spatial)
    counts = [stream.window.count(spatial) for stream in geometry.streams]
    full = _full_size(size, counts, geometry)
    bias = np.zeros(geometry.out_channels, np.float32) if step.bias is None else step.bias
    out = np.empty((len(form), geometry.out_channels, *full), np.float32)
    filled = sum(
        len(stream.offsets) * math.prod(count)
        for stream, count in zip(geometry.streams, counts, strict=True)
    )
    if filled < math.prod(full):  # positions that no window reaches hold the bias alone
        out[...] = bias.reshape(-1, *(1,) * len(full))
    for stream, tiles, count, each in zip(
        geometry.streams, packed, counts, step.vectors, strict=True
    ):
        for part in slabs.cut(len(form), spatial, geometry, stream, scratch_bytes):
            start = first_sample * each + part.samples[0] * math.prod(count)
            _stream(form, step, stream, tiles, receiver, start, bias, out, part)
    if full != size:
        out = out[(slice(None), slice(None), *(slice(0, n) for n in size))]
    return windows.output_form(out, geometry, x.shape)


def _full_size(
    size: tuple[int, ...], counts: list[tuple[int, ...]], geometry: Geometry
) -> tuple[int, ...]:
    """Return the size of an output that no window leaves."""
    factors = geometry.upsample or (1,) * len(size)
    return tuple(
        max(n, *(count[axis] * factor for count in counts))
        for axis, (n, factor) in enumerate(zip(size, factors, strict=True))
    )


def _stream(
    form: Singles,
    step: PhotonicStep,
    stream: Stream,
    tiles: Panels,
    receiver: Receiver,
    start: int,
    bias: Singles,
    out: Singles,
    slab: Slab,
) -> None:
    """Fill what one slab of one stream gives of the output; its first sample begins at `start`."""
    geometry, spatial = step.geometry, form.shape[2:]
    first, last = slab.samples
    counts = (last - first, *slab.counts(stream.window.count(spatial)))
    if math.prod(counts) == 0:
        return
    base, offset = windows_at(counts, slab.size(padded_size(spatial, stream)), geometry, stream)
    place, row = outputs_at(counts, out.shape[2:], geometry, stream)
    if slab.rows:
        start += slab.rows[0] * math.prod(counts[2:])
        place += slab.rows[0] * (geometry.upsample or (1,))[0] * math.prod(out.shape[3:])
    field = _laid_out(form[first:last], stream, slab, step.input_range, receiver)
    channels = np.arange(geometry.out_channels).reshape(geometry.groups, 1, -1)
    channel = np.tile(channels, (1, len(stream.offsets), 1)).reshape(-1)
    places = place, row, bias[channel]
    _through(field, base, offset, tiles, places, start, receiver, out[first:last])


def _laid_out(
    form: Singles, stream: Stream, slab: Slab, input_range: float, receiver: Receiver
) -> Singles:
    """Return a slab of a tensor, quantised, with its zeros around it and its channels last."""
    batch, channels, *spatial = form.shape
    if not spatial:
        return encoded(form, input_range, receiver.dac_levels, receiver.response)
    source, margin = padded_rows(tuple(spatial), stream), stream.window.pads_begin[-1]
    size = slab.size(padded_size(tuple(spatial), stream))
    low = slab.lines[0] if slab.lines else 0
    if len(spatial) == 1:
        margin -= low
    else:
        lines = math.prod(size[1:-1])
        source = source[low * lines : (low + size[0]) * lines]
    field = np.empty((batch, len(source), size[-1], channels), np.float32)
    tensor = form.reshape(batch, channels, math.prod(spatial[:-1]), spatial[-1])
    if receiver.response == "linear":
        kernels_layout.lay_out(tensor, source, margin, input_range, receiver.dac_levels, field)
    else:
        tensor = driven(tensor, input_range, receiver.dac_levels, receiver.response)
        kernels_layout.lay_out(tensor, source, margin, 1.0, 0.0, field)
    return field


def _through(
    field: Singles,
    base: Longs,
    offset: Longs,
    tiles: Panels,
    places: tuple[Longs, Longs, Singles],
    start: int,
    receiver: Receiver,
    out: Singles,
) -> None:
    """Stream the vectors at `base`, of which the first is number `start`, to their `places`."""
    lead = start % TOGETHER
    tail = -(lead + len(base)) % TOGETHER
    place, row, bias = places
    flat, after = field.reshape(-1), offset.astype(np.int32)
    at = np.concatenate([base[:1].repeat(lead), base, base[-1:].repeat(tail)]).astype(np.int32)
    power = np.empty((len(tiles.spans), len(at) if tiles.lit else 0), np.float32)
    if tiles.lit:
        kernels.powers(flat, at, after, tiles.spans, power)
    kernels.stream(
        flat,
        at,
        after,
        (tiles.weights, tiles.panel, tiles.group, tiles.lanes),
        place,
        row,
        bias,
        lead,
        start // TOGETHER,
        power,
        (receiver.adc_levels, receiver.effects.slope, receiver.dithered),
        _sampling(tiles, receiver),
        receiver.key,
        out.reshape(-1),
    )


def _sampling(tiles: Panels, receiver: Receiver) -> int:
    """Return how the kernel draws the noise of a matrix.

    Noise added after the ADC has the variance of noise added before it where it is itself wide
    enough to hide the ADC's steps: from half a step on, to better than 3 % of a step squared. An
    ADC that rounds by chance has no steps to hide.
    """
    steps, units, _, floor, _ = tiles.lanes.reshape(-1, QUANTITIES, LANES).transpose(1, 0, 2)
    if not (floor.any() or receiver.effects.slope or tiles.lit):
        return kernels.SILENT
    if receiver.sampling == "fast":
        return kernels.FAST
    if receiver.sampling == "merged":
        least = np.sqrt(floor[units > 0]) * steps[units > 0]
        if not receiver.adc_levels or receiver.dithered or (least >= _MERGED_FROM).all():
            return kernels.MERGED
    return kernels.EXACT


def stream_vectors(vectors: Singles, tiles: Panels, start: int, receiver: Receiver) -> Singles:
    """Stream vectors through a matrix.

    Parameters
    ----------
    vectors
        (n, K), quantised: in units of one port's full-scale field.
    tiles
        The matrix.
    start
        Index of the first vector, which keys the noise.
    receiver
        Detector and ADC.

    Returns
    -------
    ndarray
        (n, M).
    """
    count, width = vectors.shape
    rows = tiles.rows
    out = np.empty((count, rows), np.float32)
    if count:
        base = np.arange(count, dtype=np.int64) * width
        place = np.arange(count, dtype=np.int64) * rows
        places = place, np.arange(rows, dtype=np.int64), np.zeros(rows, np.float32)
        field = np.ascontiguousarray(vectors, np.float32)
        offset = np.arange(width, dtype=np.int64)
        _through(field, base, offset, tiles, places, start, receiver, out)
    return out
