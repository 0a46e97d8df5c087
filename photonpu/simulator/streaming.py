"""Vectors streamed through the tiles of a matrix on one chip: those of a step, or bare ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, PhotonicStep, Stream, TileBank
from photonpu.simulator import kernels, slabs
from photonpu.simulator.addresses import Addresses, Inside, addresses, together
from photonpu.simulator.buffers import Buffers
from photonpu.simulator.fields import Part, Target, laid_out, look, ready, seen_on_the_way
from photonpu.simulator.kernels_normal import TOGETHER
from photonpu.simulator.packing import LANES, QUANTITIES
from photonpu.simulator.panels import Panels, Span, padded_size, panels
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.slabs import Slab
from photonpu.simulator.transfer import Transfers

Singles = NDArray[np.float32]
#: Parts of the input, index of its first sample, bytes that a slab of it may take, and memory for
#: fields and for the output; to the output, (batch, out_channels, *spatial), or the
#: field that it is in; and its largest magnitude and greatest number.
Run = Callable[[Sequence[Part], int, int, Buffers, Buffers | Target], tuple[Singles, float, float]]
Coder = tuple[float, float, bool]
_MERGED_FROM = 0.5  # steps of the ADC: noise that may be added after it


@dataclass(frozen=True, slots=True)
class Matrix:
    """The tiles of one stream, ready to run.

    Attributes
    ----------
    tiles
        As they are packed.
    sampling
        How the kernel draws their noise.
    """

    tiles: Panels
    sampling: int

    @classmethod
    def of(cls, tiles: Panels, receiver: Receiver) -> Matrix:
        """Return tiles behind which a receiver draws noise as it can."""
        return cls(tiles, _sampling(tiles, receiver))


def layers(
    bank: TileBank,
    steps: Sequence[PhotonicStep],
    transfers: Transfers,
    receiver: Receiver,
) -> dict[str, Run]:
    """Prepare steps for running.

    Parameters
    ----------
    bank
        The program's tiles.
    steps
        The steps.
    transfers
        Gives what tiles do to vectors on one chip.
    receiver
        Converters and detector.

    Returns
    -------
    dict
        For each step by name a callable: `run`, with the step given.
    """
    spans = [
        Span(first, last, step.input_range, first) for step in steps for first, last in step.tiles
    ]
    packed = iter(panels(bank, spans, transfers, receiver))
    matrices = {
        step.name: tuple(Matrix.of(next(packed), receiver) for _ in step.tiles) for step in steps
    }
    return {
        step.name: partial(run, step=step, matrices=matrices[step.name], receiver=receiver)
        for step in steps
    }


def run(
    parts: Sequence[Part],
    first_sample: int,
    scratch_bytes: int,
    scratch: Buffers,
    outputs: Buffers | Target,
    *,
    step: PhotonicStep,
    matrices: tuple[Matrix, ...],
    receiver: Receiver,
) -> tuple[Singles, float, float]:
    """Run a step: one ADC sample for each output of each tile, where there is an ADC.

    Parameters
    ----------
    parts
        The step's input tensor, joined along its channels.
    first_sample
        Index of the batch's first sample, which keys the noise.
    scratch_bytes
        About how much of the tensor is laid out at once. The output has the same bits for any.
    scratch
        Of what memory that is.
    outputs
        Of what memory the output is; or the field of the next step, to which it goes, which takes
        an output that is `whole`.
    step
        What to run.
    matrices
        The tiles of each stream.
    receiver
        Converters and detector.

    Returns
    -------
    output
        (batch, out_channels, *spatial), or the field.
    largest, greatest
        Its largest magnitude, NaN or infinity where any is one of them; and its greatest number,
        at least 0. Not coded.

    Raises
    ------
    InputError
        The input holds NaN or infinity, or even one row of windows is too large to be laid out.
    """
    geometry, (batch, _, *sizes) = step.geometry, parts[0].form.shape
    spatial = tuple(sizes)
    size, counts, full, filled = _extent(geometry, spatial)
    pieces = _pieces(batch, spatial, geometry, scratch_bytes)
    seen = seen_on_the_way(step, pieces[0], receiver)
    if not seen:
        for part in parts:
            look(step, part, receiver)
    bias = np.zeros(geometry.out_channels, np.float32) if step.bias is None else step.bias
    if isinstance(outputs, Target):
        out, inside, coder = outputs.field, outputs.inside, outputs.coder
    else:
        out, inside, coder = outputs.singles((batch, geometry.out_channels, *full)), None, None
        if filled < math.prod(full):
            out[...] = bias.reshape(-1, *(1,) * len(full))  # alone where no window reaches
    laid, largest, greatest = ready(parts), 0.0, 0.0
    for number, (stream, count) in enumerate(zip(geometry.streams, counts, strict=True)):
        for slab in pieces[number]:
            field, read = laid_out(step, parts, stream, slab, receiver, scratch)
            if seen and number == 0:
                for part, most in zip(parts, read, strict=True):
                    look(step, part, receiver, most)
            start = first_sample * step.vectors[number] + slab.samples[0] * math.prod(count)
            where = spatial, geometry, stream, slab, start
            to = out[slice(*slab.samples)], full, inside, coder
            given = _stream(field, where, matrices[number], receiver, bias, to)
            largest = largest if largest >= given[0] or math.isnan(largest) else given[0]
            greatest = max(greatest, given[1])
            if laid is None:
                scratch.give(field)
    if laid is not None:
        scratch.give(laid)
    if isinstance(outputs, Target) or full == size:
        return out, largest, greatest
    # A copy even where the part that is left is contiguous: others get the memory of the whole.
    cropped = out[(slice(None), slice(None), *(slice(0, n) for n in size))].copy()
    outputs.give(out)
    return cropped, largest, greatest


def whole(geometry: Geometry, spatial: tuple[int, ...]) -> bool:
    """Return whether windows reach all of the output, and nothing beyond it."""
    size, _, full, filled = _extent(geometry, spatial)
    return full == size and filled == math.prod(full)


@lru_cache(maxsize=256)
def _extent(
    geometry: Geometry, spatial: tuple[int, ...]
) -> tuple[tuple[int, ...], list[tuple[int, ...]], tuple[int, ...], int]:
    """Return sizes for an input of the size `spatial`.

    Those of the output, of the windows of each stream, and of an output that no window leaves; and
    how many positions of it windows reach.
    """
    size = geometry.output_size(spatial)
    counts = [stream.window.count(spatial) for stream in geometry.streams]
    filled = sum(
        len(stream.offsets) * math.prod(count)
        for stream, count in zip(geometry.streams, counts, strict=True)
    )
    return size, counts, _full_size(size, counts, geometry), filled


@lru_cache(maxsize=64)
def _pieces(
    samples: int, spatial: tuple[int, ...], geometry: Geometry, scratch_bytes: int
) -> list[list[Slab]]:
    """Return the slabs of each stream."""
    return [
        list(slabs.cut(samples, spatial, geometry, stream, scratch_bytes))
        for stream in geometry.streams
    ]


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
    field: Singles,
    where: tuple[tuple[int, ...], Geometry, Stream, Slab, int],
    matrix: Matrix,
    receiver: Receiver,
    bias: Singles,
    to: tuple[Singles, tuple[int, ...], Inside | None, Coder | None],
) -> tuple[float, float]:
    """Fill what one slab of one stream gives of the output; return as `run` what was found.

    The slab lies in `field`; `where` is the spatial size of the input, the geometry, the stream,
    the slab, and the number of the first vector of the slab's first sample; `to` is the output of
    its samples, their spatial size, where they are in it if it is a field, and what codes them.
    """
    spatial, geometry, stream, slab, start = where
    out, full, inside, coder = to
    along, size = _sizes(spatial, stream, slab)
    counts = len(field), *along
    if math.prod(counts) == 0:
        return 0.0, 0.0
    first_row = slab.rows[0] if slab.rows else 0
    start += first_row * math.prod(along[1:])
    lead = start % TOGETHER
    found = addresses(counts, size, full, geometry, stream, lead, first_row, inside)
    return _through(field, found, matrix, bias[found.channel], start, receiver, out, coder)


@lru_cache(maxsize=256)
def _sizes(
    spatial: tuple[int, ...], stream: Stream, slab: Slab
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the number of a slab's windows along each axis, and what it sees of the field."""
    size = slab.size(padded_size(spatial, stream))
    return slab.counts(stream.window.count(spatial)), size


def _through(
    field: Singles,
    where: Addresses,
    matrix: Matrix,
    bias: Singles,
    start: int,
    receiver: Receiver,
    out: Singles,
    coder: Coder | None = None,
) -> tuple[float, float]:
    """Stream vectors, of which the first is number `start`; return as `run` what was found."""
    tiles, flat = matrix.tiles, field.reshape(-1)
    power = np.empty((len(tiles.spans), len(where.at) if tiles.lit else 0), np.float32)
    if tiles.lit:
        kernels.powers(flat, where.at, where.after, tiles.spans, power)
    largest, greatest = kernels.stream(
        flat,
        where.at,
        where.after,
        (tiles.weights, tiles.panel, tiles.group, tiles.lanes),
        where.place,
        where.row,
        bias,
        start % TOGETHER,
        start // TOGETHER,
        power,
        (receiver.adc_levels, receiver.effects.slope, receiver.dithered),
        matrix.sampling,
        receiver.key,
        coder or (0.0, 0.0, False),
        out.reshape(-1),
    )
    return largest, greatest


def _sampling(tiles: Panels, receiver: Receiver) -> int:
    """Return how the kernel draws the noise of a matrix.

    Noise added after the ADC has the variance of noise added before it where it is itself wide
    enough to hide the ADC's steps: from half a step on, to better than 3 % of a step squared. An
    ADC that rounds by chance has no steps to hide.
    """
    steps, units, _, floor, _ = tiles.lanes.reshape(-1, QUANTITIES, LANES).transpose(1, 0, 2)
    if not (receiver.effects.slope or tiles.lit or floor.any()):
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
        number, row = np.arange(count), np.arange(rows)
        at, after = together(number * width, np.arange(width), start % TOGETHER)
        where = Addresses(at, after, number * rows, row, row)
        field = np.ascontiguousarray(vectors, np.float32)
        matrix, bias = Matrix.of(tiles, receiver), np.zeros(rows, np.float32)
        _through(field, where, matrix, bias, start, receiver, out)
    return out
