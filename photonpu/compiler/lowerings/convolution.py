"""Conv of any rank: windows of the input times one matrix a group."""

from __future__ import annotations

import math
from collections.abc import Sequence

from photonpu.compiler.lowerings.products import (
    LOWERINGS,
    MatrixProduct,
    Operand,
    constant,
    spatial_size,
)
from photonpu.program.geometry import Geometry, Stream, Window


@LOWERINGS.register("Conv")
def conv(
    x: Operand,
    w: Operand,
    b: Operand | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> MatrixProduct:
    """Slide `w` (out, in / group, *kernel) over `x` (batch, in, *spatial) and add `b` (out,)."""
    weight = constant("weight", w)
    kernel = weight.shape[2:]
    ones = (1,) * len(kernel)
    steps, spread = tuple(strides or ones), tuple(dilations or ones)
    before, after = _pads(x, auto_pad, pads, kernel, steps, spread)
    window = Window(kernel, steps, spread, before, after)
    geometry = Geometry(
        access="channels",
        groups=group,
        in_channels=weight.shape[1] * group,
        out_channels=len(weight),
        streams=(Stream(window, ((0,) * len(kernel),)),),
    )
    grouped = weight.reshape(group, len(weight) // group, weight.shape[1], math.prod(kernel))
    matrix = grouped.swapaxes(2, 3).reshape(group, len(weight) // group, -1)
    return MatrixProduct(x.name, geometry, (matrix,), None if b is None else constant("bias", b))


def _pads(
    x: Operand,
    auto_pad: str,
    pads: Sequence[int] | None,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the zeros before and after each axis, ONNX's automatic ones worked out."""
    axes = len(kernel)
    if auto_pad == "VALID":
        return (0,) * axes, (0,) * axes
    if auto_pad == "NOTSET":
        both = tuple(pads or (0,) * (2 * axes))
        return both[:axes], both[axes:]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    if all(step == 1 for step in strides):
        totals = [size - 1 for size in reach]
    else:
        totals = [
            max(0, (-(-size // step) - 1) * step + extent - size)
            for size, step, extent in zip(spatial_size("auto_pad", x), strides, reach, strict=True)
        ]
    less = tuple(total // 2 for total in totals)
    more = tuple(total - half for total, half in zip(totals, less, strict=True))
    return (less, more) if auto_pad == "SAME_UPPER" else (more, less)
