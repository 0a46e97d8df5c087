"""What enters the meshes: tensors as fields, looked at, quantised, with their zeros around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.program import Geometry, PhotonicStep, Stream, windows
from photonpu.simulator import finite, kernels_layout
from photonpu.simulator.buffers import Buffers
from photonpu.simulator.flow import Source
from photonpu.simulator.modulator import driven, encoded
from photonpu.simulator.panels import padded_rows, padded_size
from photonpu.simulator.receiver import Receiver
from photonpu.simulator.slabs import Slab

Singles = NDArray[np.float32]
Longs = NDArray[np.int64]
_KEPT_LINES = 1 << 12


@dataclass(frozen=True, slots=True)
class Part:
    """Some channels of what a step takes, or all of them.

    Attributes
    ----------
    source
        The tensor's name, and what becomes of it on the way.
    form
        (batch, channels, *spatial), contiguous.
    """

    source: Source
    form: Singles


def parts(
    sources: Sequence[Source], tensors: Sequence[NDArray[Any]], geometry: Geometry
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
    with np.errstate(over="ignore"):  # whoever sees the infinity names it
        singles = [x.astype(np.float32, copy=False) for x in tensors]
    if len(singles) == 1:
        singles = [windows.channels_form(singles[0], geometry)]
    return tuple(
        Part(source, np.ascontiguousarray(x)) for source, x in zip(sources, singles, strict=True)
    )


def joinable(tensors: Sequence[NDArray[Any]], geometry: Geometry) -> bool:
    """Return whether tensors joined along their channels, and no other axis, are what it takes."""
    sizes = {(len(x), *x.shape[2:]) for x in tensors}
    axes = {x.ndim for x in tensors}
    return (
        axes == {2 + len(geometry.streams[0].window.kernel)}
        and len(sizes) == 1
        and sum(x.shape[1] for x in tensors) == geometry.in_channels
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
    if largest is None:
        largest = kernels_layout.peak(part.form)
    full_scale = step.input_range if receiver.clips else None
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
    scale, levels = step.input_range, receiver.dac_levels
    first, last = slab.samples
    spatial = parts[0].form.shape[2:]
    if not spatial or receiver.response != "linear":
        parts = [Part(part.source, _rectified(part)[first:last]) for part in parts]
        first, last = 0, last - first
    if not spatial:
        form = np.concatenate([part.form for part in parts], axis=1)
        return encoded(form, scale, levels, receiver.response), ()
    size = slab.size(padded_size(spatial, stream))
    source, margin = _lines(spatial, stream, slab, size)
    channels = step.geometry.in_channels
    field = buffers.singles((last - first, len(source), size[-1], channels))
    found, begin = [], 0
    for part in parts:
        form = part.form[first:last]
        tensor = form.reshape(*form.shape[:2], math.prod(spatial[:-1]), spatial[-1])
        rectified = part.source.rectified
        if receiver.response != "linear":
            tensor = driven(tensor, scale, levels, receiver.response)
            kernels_layout.lay_out(tensor, source, margin, 1.0, 0.0, False, begin, field)
        else:
            found.append(
                kernels_layout.lay_out(
                    tensor, source, margin, scale, levels, rectified, begin, field
                )
            )
        begin += form.shape[1]
    return field, tuple(found)


def _rectified(part: Part) -> Singles:
    """Return a part's tensor as it is taken."""
    return np.maximum(part.form, 0) if part.source.rectified else part.form


def _lines(
    spatial: tuple[int, ...], stream: Stream, slab: Slab, size: tuple[int, ...]
) -> tuple[Longs, int]:
    """Return which lines of a tensor a slab sees, -1 for zeros, and the zeros before each."""
    margin = stream.window.pads_begin[-1]
    low = slab.lines[0] if slab.lines else 0
    if len(spatial) == 1:
        return _rows(spatial, stream), margin - low
    lines = math.prod(size[1:-1])
    return _rows(spatial, stream)[low * lines : (low + size[0]) * lines], margin


_kept_rows = lru_cache(maxsize=64)(padded_rows)


def _rows(spatial: tuple[int, ...], stream: Stream) -> Longs:
    """Return `padded_rows`, kept where they are few."""
    few = math.prod(spatial[:-1]) <= _KEPT_LINES
    return _kept_rows(spatial, stream) if few else padded_rows(spatial, stream)
