"""What enters the meshes: tensors as fields, looked at, quantised, with their zeros around them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, PhotonicStep, Stream, windows
from photonpu.simulator import finite, kernels_layout
from photonpu.simulator.addresses import Inside
from photonpu.simulator.buffers import Buffers
from photonpu.simulator.flow import Source
from photonpu.simulator.modulator import driven, encoded
from photonpu.simulator.panels import padded_rows, padded_size
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.slabs import Slab, cut, slab_bytes

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]
_KEPT_LINES = 1 << 12


@dataclass(frozen=True, slots=True)
class Laid:
    """A tensor that was written straight into the field of the step that reads it.

    Attributes
    ----------
    field
        (batch, lines, width, channels), which other parts may still miss.
    shape
        (batch, channels, *spatial) of the tensor.
    largest
        Its largest magnitude, rectified if it is.
    """

    field: Singles
    shape: tuple[int, ...]
    largest: float


@dataclass(frozen=True, slots=True)
class Part:
    """Some channels of what a step takes, or all of them.

    Attributes
    ----------
    source
        The tensor's name, and what becomes of it on the way.
    form
        (batch, channels, *spatial), contiguous; or where it is already.
    """

    source: Source
    form: Singles | Laid


@dataclass(frozen=True, slots=True)
class Target:
    """The field of the next step, to which an output goes.

    Attributes
    ----------
    field
        (batch, lines, width, channels).
    shape
        (batch, channels, *spatial) of the output.
    inside
        Where in it.
    coder
        Full scale and levels of that step's converter, and whether it takes negative numbers as
        zeros.
    """

    field: Singles
    shape: tuple[int, ...]
    inside: Inside
    coder: tuple[float, float, bool]


def parts(
    sources: Sequence[Source], tensors: Sequence[NDArray[Any] | Laid], geometry: Geometry
) -> tuple[Part, ...]:
    """Return tensors as parts of what a step takes.

    Parameters
    ----------
    sources
        What becomes of each.
    tensors
        One that is all, or several that are `joinable`.
    geometry
        The step's.

    Raises
    ------
    InputError
        The one has another number of axes or channels than the geometry.
    """
    found = []
    for source, x in zip(sources, tensors, strict=True):
        if isinstance(x, Laid):
            found.append(Part(source, x))
            continue
        single = finite.narrowed(x)
        form = single if len(tensors) > 1 else windows.channels_form(single, geometry)
        found.append(Part(source, np.ascontiguousarray(form)))
    return tuple(found)


def joinable(shapes: Sequence[tuple[int, ...]], geometry: Geometry) -> bool:
    """Return whether tensors joined along their channels, and no other axis, are what it takes."""
    return (
        {len(shape) for shape in shapes} == {2 + len(geometry.streams[0].window.kernel)}
        and len({(shape[0], *shape[2:]) for shape in shapes}) == 1
        and sum(shape[1] for shape in shapes) == geometry.in_channels
    )


def target(
    reader: PhotonicStep,
    shapes: Mapping[Source, tuple[int, ...]],
    source: Source,
    receiver: Receiver,
    room: int,
    buffers: Buffers,
) -> Target | None:
    """Return where in the field of the step that reads it a product goes, if it may.

    Parameters
    ----------
    reader
        That step.
    shapes
        The shape of each tensor that it reads, in their order.
    source
        The product among them.
    receiver
        What is before the meshes.
    room
        Bytes that the field may take.
    buffers
        Of what memory it is.
    """
    shape, index = shapes[source], list(shapes).index(source)
    inside = _inside(reader.geometry, tuple(shapes.values()), index, room)
    if receiver.response != "linear" or inside is None:
        return None
    size, margin = inside.size, inside.margin
    field = buffers.singles((shape[0], math.prod(size[:-1]), size[-1], inside.channels))
    whole = field.reshape(shape[0], *size, inside.channels)
    for axis, (before, length) in enumerate(zip(margin, shape[2:], strict=True)):
        along = (slice(None),) * (axis + 1)
        whole[(*along, slice(0, before))] = 0.0
        whole[(*along, slice(before + length, None))] = 0.0
    coder = reader.input_range, receiver.dac_levels, source.rectified
    return Target(field, shape, inside, coder)


@lru_cache(maxsize=256)
def _inside(
    geometry: Geometry, shapes: tuple[tuple[int, ...], ...], index: int, room: int
) -> Inside | None:
    """Return where in one field of a whole input one of its tensors lies; None for no such field.

    The field may take `room` bytes.
    """
    batch, _, *sizes = shapes[index]
    spatial = tuple(sizes)
    if not joinable(shapes, geometry) or laid_bytes(geometry, batch, spatial) > room:
        return None
    pieces = [list(cut(batch, spatial, geometry, s, room)) for s in geometry.streams]
    if any(len(slabs) != 1 or slabs[0].rows for slabs in pieces):
        return None
    stream = geometry.streams[0]
    first = sum(shape[1] for shape in shapes[:index])
    size, margin = padded_size(spatial, stream), stream.window.pads_begin
    return Inside(size, margin, geometry.in_channels, first)


@lru_cache(maxsize=256)
def laid_bytes(geometry: Geometry, batch: int, spatial: tuple[int, ...]) -> int:
    """Return what an input takes when all of it is laid out."""
    return batch * max(
        slab_bytes(stream.window.count(spatial), padded_size(spatial, stream), geometry)
        for stream in geometry.streams
    )


def seen_on_the_way(step: PhotonicStep, slabs: Sequence[Slab], receiver: Receiver) -> bool:
    """Return whether laying out the first stream of a step reads all of its input, as it is."""
    window = step.geometry.streams[0].window
    return (
        receiver.response == "linear"
        and window.kernel != ()
        and min(*window.pads_begin, *window.pads_end) >= 0
        and not any(slab.rows for slab in slabs)
    )


def look(step: PhotonicStep, part: Part, receiver: Receiver, largest: float | None = None) -> None:
    """Make sure that a part is finite; `largest` is its largest magnitude, if that is known.

    Raises
    ------
    InputError
        It holds NaN or infinity.
    """
    full_scale = step.input_range if receiver.clips else None
    if isinstance(part.form, Laid):
        nothing = np.empty(0, np.float32)
        finite.sure(step, Source(part.source.name), nothing, part.form.largest, full_scale)
        return
    if largest is None:
        largest = kernels_layout.peak(part.form)
    finite.sure(step, part.source, part.form, largest, full_scale)


def laid_out(
    step: PhotonicStep,
    parts: Sequence[Part],
    stream: Stream,
    slab: Slab,
    receiver: Receiver,
    buffers: Buffers,
) -> tuple[Singles, tuple[float, ...]]:
    """Return a slab of a step's input, quantised, with its zeros around it and its channels last.

    Returns
    -------
    field
        (samples, lines, width, channels); (samples, channels) where there are no spatial axes.
    largest
        For each part, the largest magnitude that was read; none where it was not looked for.
    """
    spatial = parts[0].form.shape[2:]
    if not spatial:
        return _encoded(step, parts, slab, receiver), ()
    source, margin, width = _lines(spatial, stream, slab)
    field = ready(parts)
    if field is None:
        shape = len(range(*slab.samples)), len(source), width, step.geometry.in_channels
        field = buffers.singles(shape)
    found, begin = [], 0
    for part in parts:
        if isinstance(part.form, Laid):
            found.append(part.form.largest)
        else:
            tensor, how = _driven(step, part, slab, receiver)
            found.append(kernels_layout.lay_out(tensor, source, margin, *how, begin, field))
        begin += part.form.shape[1]
    return field, tuple(found)


def ready(parts: Sequence[Part]) -> Singles | None:
    """Return the field that one of the parts was written into, if one was."""
    laid = [part.form.field for part in parts if isinstance(part.form, Laid)]
    return laid[0] if laid else None


def _driven(
    step: PhotonicStep, part: Part, slab: Slab, receiver: Receiver
) -> tuple[Singles, tuple[float, float, bool]]:
    """Return (samples, channels, lines, length) of a slab, and how it is still to be coded."""
    values = _form(part)[slice(*slab.samples)]
    tensor = values.reshape(*values.shape[:2], math.prod(values.shape[2:-1]), values.shape[-1])
    scale, levels, rectified = step.input_range, receiver.dac_levels, part.source.rectified
    if receiver.response == "linear":
        return tensor, (scale, levels, rectified)
    tensor = np.maximum(tensor, 0) if rectified else tensor
    return driven(tensor, scale, levels, receiver.response), (1.0, 0.0, False)


def _encoded(step: PhotonicStep, parts: Sequence[Part], slab: Slab, receiver: Receiver) -> Singles:
    """Return (samples, channels) fields of vectors."""
    forms = [np.maximum(_form(part), 0) if part.source.rectified else _form(part) for part in parts]
    vectors = np.concatenate(forms, axis=1) if len(forms) > 1 else forms[0]
    chosen = vectors[slice(*slab.samples)]
    return encoded(chosen, step.input_range, receiver.dac_levels, receiver.response)


def _form(part: Part) -> Singles:
    """Return the tensor of a part that is none of a field's yet."""
    return part.form.field if isinstance(part.form, Laid) else part.form


def _lines(spatial: tuple[int, ...], stream: Stream, slab: Slab) -> tuple[Longs, int, int]:
    """Return which lines of a tensor a slab sees, the zeros before each, and its width with them.

    Lines of zeros alone are -1. What it returns is kept where lines are few.
    """
    if math.prod(spatial[:-1]) <= _KEPT_LINES:
        return _kept_lines(spatial, stream, slab)
    return _lines_of(padded_rows(spatial, stream), spatial, stream, slab)


@lru_cache(maxsize=64)
def _kept_lines(spatial: tuple[int, ...], stream: Stream, slab: Slab) -> tuple[Longs, int, int]:
    """Return what `_lines` does."""
    return _lines_of(_kept_rows(spatial, stream), spatial, stream, slab)


_kept_rows = lru_cache(maxsize=64)(padded_rows)


def _lines_of(
    rows: Longs, spatial: tuple[int, ...], stream: Stream, slab: Slab
) -> tuple[Longs, int, int]:
    """Return what `_lines` does, of the `padded_rows`."""
    size, margin = slab.size(padded_size(spatial, stream)), stream.window.pads_begin[-1]
    low = slab.lines[0] if slab.lines else 0
    if len(spatial) == 1:
        return rows, margin - low, size[-1]
    lines = math.prod(size[1:-1])
    return rows[low * lines : (low + size[0]) * lines], margin, size[-1]
