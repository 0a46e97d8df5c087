"""Sizes of what convolutions and pools give; see `growth`."""

from __future__ import annotations

from photonpu.compiler.untrusted.sizing.facts import Call, Shape, Size
from photonpu.compiler.untrusted.sizing.growth import RULES, sizes_of
from photonpu.compiler.untrusted.walk import STANDARD, where
from photonpu.errors import ModelError


def _window(call: Call, kernel: Shape | None, channels: Size) -> Shape | None:
    """Return the shape that a window moved over the input gives."""
    shape = call.shape(0)
    if shape is None or kernel is None or len(kernel) != len(shape) - 2:
        return None
    rank = len(kernel)
    strides = call.integers("strides") or [1] * rank
    dilations = call.integers("dilations") or [1] * rank
    pads = call.integers("pads") or [0] * 2 * rank
    if len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank:
        return None
    same = call.text("auto_pad", "NOTSET").startswith("SAME")
    pads = [0] * 2 * rank if call.text("auto_pad", "NOTSET") != "NOTSET" else pads
    result: list[Size] = [shape[0], channels]
    for i, size in enumerate(shape[2:]):
        k = kernel[i]
        if size is None or k is None:
            # Pads alone bound it from below: what is free counts as 1.
            result.append(_least(pads[i] + pads[rank + i], k, strides[i], dilations[i]))
        elif same:
            result.append(-(-size // strides[i]))
        else:
            room = size + pads[i] + pads[rank + i] - dilations[i] * (k - 1) - 1
            up = call.integer("ceil_mode") * (strides[i] - 1)
            count = (room + up) // strides[i] + 1
            if up and (count - 1) * strides[i] >= size + pads[i]:
                count -= 1  # no window begins in the padding behind
            result.append(count if room >= 0 else None)
    return tuple(result)


def _least(pads: int, kernel: Size, stride: int, dilation: int) -> Size:
    least = (pads - dilation * ((kernel or 1) - 1)) // stride
    return least if least > 2**16 else None


@RULES.register("Conv")
@RULES.register("ConvInteger")
def _conv(call: Call) -> Shape | None:
    _check_channels(call, 1, 1, call.integer("group", 1))
    return _convolved(call, call.shape(1))


@RULES.register("QLinearConv")
def _quantised(call: Call) -> Shape | None:
    _check_channels(call, 3, 1, call.integer("group", 1))
    return _convolved(call, call.shape(3))


def _check_channels(call: Call, index: int, axis: int, groups: int) -> None:
    """Refuse a weight for other channels or none: onnxruntime tells once it runs, on any input."""
    data, weight = call.fact(0), call.fact(index)
    shape, taken = call.shape(0), call.shape(index)
    if data is None or weight is None or not (data.exact and weight.exact):
        return
    if call.node.domain not in STANDARD:
        return  # onnxruntime's own have channels in other places
    if shape is None or taken is None or len(shape) < 3 or len(taken) < 3:
        return
    if 0 in taken[:2]:
        raise ModelError(
            f"{where(call.node)}: its weight has the shape {taken}, and with it no channels; "
            "export the model again"
        )
    given, wanted = shape[1], taken[axis]
    if given is not None and wanted is not None and given != wanted * groups:
        raise ModelError(
            f"{where(call.node)}: its input has {given} channels and its weight takes "
            f"{wanted * groups}; export the model again"
        )


def _convolved(call: Call, weight: Shape | None) -> Shape | None:
    given = sizes_of(call.integers("kernel_shape"))
    if weight is None:
        return _window(call, given, None)
    return _window(call, weight[2:], weight[0] if weight else None)


@RULES.register("DeformConv")
def _deformable(call: Call) -> Shape | None:
    return _convolved(call, call.shape(1))


@RULES.register("AveragePool")
@RULES.register("LpPool")
@RULES.register("MaxPool")
def _pool(call: Call) -> Shape | None:
    shape = call.shape(0)
    channels = shape[1] if shape is not None and len(shape) > 1 else None
    return _window(call, sizes_of(call.integers("kernel_shape")), channels)


@RULES.register("GlobalAveragePool")
@RULES.register("GlobalLpPool")
@RULES.register("GlobalMaxPool")
def _global(call: Call) -> Shape | None:
    shape = call.shape(0)
    return None if shape is None else (*shape[:2], *(1 for _ in shape[2:]))


@RULES.register("ConvTranspose")
def _transposed(call: Call) -> Shape | None:
    _check_channels(call, 1, 0, 1)
    shape, weight = call.shape(0), call.shape(1)
    if shape is None or weight is None or len(weight) != len(shape) or len(shape) < 3:
        return None
    rank = len(shape) - 2
    channels = None if weight[1] is None else weight[1] * call.integer("group", 1)
    chosen = call.integers("output_shape")
    if chosen:
        return (shape[0], channels, *chosen[-rank:])
    strides = call.integers("strides") or [1] * rank
    dilations = call.integers("dilations") or [1] * rank
    extra = call.integers("output_padding") or [0] * rank
    pads = call.integers("pads") or [0] * 2 * rank
    if not len(strides) == len(dilations) == len(extra) == len(pads) // 2 == rank:
        return None
    auto = call.text("auto_pad", "NOTSET")
    result: list[Size] = [shape[0], channels]
    for i, (size, kernel) in enumerate(zip(shape[2:], weight[2:], strict=True)):
        if kernel is None:
            result.append(None)
            continue
        small = 1 if size is None else size
        spread = strides[i] * (small - 1) + extra[i] + dilations[i] * (kernel - 1) + 1
        if auto.startswith("SAME"):
            spread = min(spread, small * strides[i])  # onnxruntime adds nothing to short kernels
        elif auto != "VALID":
            spread -= pads[i] + pads[rank + i]
        result.append(max(0, spread) if size is not None or spread > 2**16 else None)
    return tuple(result)


@RULES.register("MaxUnpool")
def _unpool(call: Call) -> Shape | None:
    shape, kernel = call.shape(0), call.integers("kernel_shape")
    chosen = sizes_of(call.numbers(2))
    if call.fact(2) is not None:
        return chosen
    if shape is None or not kernel or len(kernel) != len(shape) - 2:
        return None
    strides = call.integers("strides") or [1] * len(kernel)
    pads = call.integers("pads") or [0] * 2 * len(kernel)
    if len(strides) != len(kernel) or len(pads) != 2 * len(kernel):
        return None
    trims = [before + after for before, after in zip(pads, pads[len(kernel) :], strict=False)]
    result = [*shape[:2]]
    for i, size in enumerate(shape[2:]):
        spread = None if size is None else (size - 1) * strides[i] + kernel[i] - trims[i]
        result.append(None if spread is None else max(0, spread))
    return tuple(result)
