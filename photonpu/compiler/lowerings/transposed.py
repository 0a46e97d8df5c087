"""ConvTranspose by sub-pixel decomposition: no product with an inserted zero is ever streamed.

Along one axis ``y[o] = sum_j x[i] w[j]`` with ``o = i s + j d - p``. The outputs of one phase,
``o = q s + r``, meet only the taps ``j`` for which ``s`` divides ``r + p - j d``; tap ``j`` then
reads ``x[q + (r + p - j d) / s]``. Those taps are ``s / g`` apart, ``g = gcd(s, d)``, and what
they read is ``d / g`` apart: each phase is a convolution of stride 1 (Shi et al. 2016,
arXiv:1609.07009). Phases whose windows agree are stacked into one matrix.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from photonpu.compiler.lowerings.products import (
    LOWERINGS,
    Floats,
    MatrixProduct,
    Operand,
    constant,
    spatial_size,
)
from photonpu.program.geometry import Geometry, Stream, Window


@dataclass(frozen=True, slots=True)
class Phase:
    """The outputs ``q * stride + offset`` along one axis, as a convolution of stride 1.

    Attributes
    ----------
    offset
        Place on the sub-pixel grid.
    taps
        Taps of the kernel that it meets, in the order in which the input lies.
    dilation
        Input elements between them.
    pad_begin, pad_end
        Zeros before and after the input; negative numbers crop.
    """

    offset: int
    taps: tuple[int, ...]
    dilation: int
    pad_begin: int
    pad_end: int


@LOWERINGS.register("ConvTranspose")
def conv_transpose(
    x: Operand,
    w: Operand,
    b: Operand | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> MatrixProduct:
    """Spread `x` (batch, in, *spatial) by `w` (in, out / group, *kernel) and add `b` (out,)."""
    weight = constant("weight", w)
    kernel = weight.shape[2:]
    axes = len(kernel)
    steps = tuple(strides or (1,) * axes)
    spread = tuple(dilations or (1,) * axes)
    more = tuple(output_padding or (0,) * axes)
    full = tuple(
        d * (k - 1) + 1 + p - s for k, d, s, p in zip(kernel, spread, steps, more, strict=True)
    )
    before, after = _pads(x, auto_pad, pads, output_shape, full, steps)
    extra = tuple(f - p - q for f, p, q in zip(full, before, after, strict=True))
    phases = [
        list(_phases(*axis)) for axis in zip(kernel, steps, spread, before, extra, strict=True)
    ]
    streams, matrices = _stack(phases, weight, group)
    geometry = Geometry(
        access="channels",
        groups=group,
        in_channels=len(weight),
        out_channels=weight.shape[1] * group,
        streams=streams,
        upsample=steps,
        extra=extra,
    )
    return MatrixProduct(x.name, geometry, matrices, None if b is None else constant("bias", b))


def _phases(kernel: int, stride: int, dilation: int, pad: int, extra: int) -> Iterator[Phase]:
    """Yield the phases of one axis that meet any tap; the output has ``stride * n + extra``."""
    common = math.gcd(stride, dilation)
    for offset in sorted({(j * dilation - pad) % stride for j in range(kernel)}):
        taps = [j for j in range(kernel) if (offset + pad - j * dilation) % stride == 0][::-1]
        apart = dilation // common if len(taps) > 1 else 1
        begin = -(offset + pad - taps[0] * dilation) // stride
        windows = -((offset - extra) // stride)  # more than the input has elements
        yield Phase(offset, tuple(taps), apart, begin, windows - begin + apart * (len(taps) - 1))


def _stack(
    phases: list[list[Phase]], weight: Floats, groups: int
) -> tuple[tuple[Stream, ...], tuple[Floats, ...]]:
    """Combine the phases of all axes, those that read alike into one matrix."""
    alike: dict[tuple[tuple[int, int, int], ...], list[tuple[Phase, ...]]] = {}
    for chosen in itertools.product(*phases):
        key = tuple((len(p.taps), p.dilation, p.pad_begin) for p in chosen)
        alike.setdefault(key, []).append(chosen)
    streams, matrices = [], []
    for key, members in alike.items():
        taps, spread, begins = (tuple(column) for column in zip(*key, strict=True))
        ends = tuple(max(p.pad_end for p in axis) for axis in zip(*members, strict=True))
        window = Window(taps, (1,) * len(taps), spread, begins, ends)
        streams.append(Stream(window, tuple(tuple(p.offset for p in m) for m in members)))
        matrices.append(_matrix(weight, groups, members))
    return tuple(streams), tuple(matrices)


def _matrix(weight: Floats, groups: int, members: list[tuple[Phase, ...]]) -> Floats:
    """Gather the rows (offset, channel) and columns (tap, channel) of each group."""
    inputs = len(weight) // groups
    grouped = weight.reshape(groups, inputs, *weight.shape[1:])
    blocks = []
    for chosen in members:
        picked = grouped
        for axis, phase in enumerate(chosen):
            picked = np.take(picked, phase.taps, axis=3 + axis)
        flat = picked.reshape(groups, inputs, weight.shape[1], -1)
        blocks.append(flat.transpose(0, 2, 3, 1).reshape(groups, weight.shape[1], -1))
    return np.concatenate(blocks, axis=1)


def _pads(
    x: Operand,
    auto_pad: str,
    pads: Sequence[int] | None,
    output_shape: Sequence[int] | None,
    full: tuple[int, ...],
    strides: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what is cut before and after each axis; `full` is what an uncut output has extra."""
    axes = len(full)
    if output_shape:
        spatial = zip(output_shape[-axes:], strides, spatial_size("output_shape", x), strict=True)
        totals = [f - (size - s * n) for f, (size, s, n) in zip(full, spatial, strict=True)]
    elif auto_pad.startswith("SAME"):
        totals = [max(0, f) for f in full]
    elif auto_pad == "VALID":
        return (0,) * axes, (0,) * axes
    else:
        both = tuple(pads or (0,) * (2 * axes))
        return both[:axes], both[axes:]
    # An output that is larger than uncut gets its zeros at the end, as in onnxruntime.
    less = tuple(max(0, total) // 2 for total in totals)
    more = tuple(max(0, total) - half for total, half in zip(totals, less, strict=True))
    before = less if auto_pad == "SAME_UPPER" else more
    return before, tuple(total - begin for total, begin in zip(totals, before, strict=True))
