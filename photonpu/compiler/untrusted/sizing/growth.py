"""Sizes of outputs, operator by operator, in Python's unbounded integers.

A rule gives the shape of the first output, or None where it does not know; others have shapes of
their own in `OTHERS`. Rules trust nothing: what does not fit gives None, and onnx and onnxruntime
say more of it later. Operators that only rearrange or compute elementwise are in two lists.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from photonpu.compiler.untrusted.sizing.facts import Call, Shape, Size, broadcast
from photonpu.registry import Registry

#: Operator -> shape of its first output.
RULES: Registry[Callable[[Call], Shape | None]] = Registry("operator")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Operators whose output has the shape of the first input.
SAME = _words(
    """
    Abs Acos Acosh AffineTransform Asin Asinh Atan Atanh BatchNormalization Bernoulli Binarizer
    BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh CumProd CumSum DequantizeLinear Dropout
    DynamicQuantizeLinear Elu Erf Exp EyeLike FastGelu Floor Gelu GroupNormalization HardSigmoid
    HardSwish Hardmax Identity ImageScaler InstanceNormalization IsInf IsNaN LRN LabelEncoder
    LayerNormalization LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg
    Normalizer Not ParametricSoftplus QuantizeLinear QuickGelu RMSNormalization RandomNormalLike
    RandomUniformLike Reciprocal RegexFullMatch Relu ReverseSequence RotaryEmbedding Round
    ScaledTanh Scaler Scatter ScatterElements ScatterND Selu Shrink Sigmoid Sign
    SimplifiedLayerNormalization Sin Sinh SkipLayerNormalization Softmax Softplus Softsign Sqrt
    Swish Tan Tanh TensorScatter ThresholdedRelu Trilu
    """
)
#: Operators whose inputs are stretched to one shape.
STRETCHED = _words(
    """
    Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less
    LessOrEqual Max Mean Min Mod Mul Or PRelu Pow StringConcat Sub Sum Where Xor QLinearAdd
    QLinearMul BiasGelu
    """
)


def first_shape(call: Call) -> Shape | None:
    """Return the shape of an operator's first output; None if it is not known."""
    op = call.node.op_type
    if op in SAME:
        return call.shape(0)
    if op in STRETCHED:
        if call.version < 7 and "broadcast" in call.attributes:
            return call.shape(0)
        if op.startswith("QLinear"):
            return broadcast([call.shape(0), call.shape(3)])
        return broadcast([fact.shape for fact in call.inputs if fact is not None])
    if op not in RULES:
        return None
    try:
        return RULES[op](call)
    except (TypeError, ValueError, IndexError, KeyError, ArithmeticError):
        return None  # numbers that fit no operator: onnxruntime will say which


def sizes_of(numbers: list[Any] | None) -> Shape | None:
    """Return numbers as a shape; None if they cannot be one."""
    if numbers is None or any(n is not None and n < 0 for n in numbers):
        return None
    return tuple(None if n is None else int(n) for n in numbers)


def _axis(axis: int, rank: int) -> int:
    return axis + rank if axis < 0 else axis


def given_axes(call: Call, index: int = 1) -> list[Any] | None:
    """Return axes from an input, or from the attribute of older versions; None if unknown."""
    if call.fact(index) is not None:
        return call.numbers(index)
    return call.integers("axes") or []


@RULES.register("ConstantOfShape")
def _constant_of_shape(call: Call) -> Shape | None:
    return sizes_of(call.numbers(0))


@RULES.register("ConstantFill")
@RULES.register("RandomUniform")
@RULES.register("RandomNormal")
def _of_attribute(call: Call) -> Shape | None:
    return sizes_of(call.integers("shape"))


@RULES.register("Expand")
def _expand(call: Call) -> Shape | None:
    target = sizes_of(call.numbers(1))
    if call.shape(0) is None:
        return target  # it has that many elements at least
    return broadcast([call.shape(0), target])


@RULES.register("Tile")
def _tile(call: Call) -> Shape | None:
    repeats = call.numbers(1)
    if call.version < 6:
        return None if call.shape(0) is None else _times(call.shape(0) or (), [])
    if repeats is None or call.shape(0) is None:
        return sizes_of(repeats)
    return _times(call.shape(0) or (), repeats)


def _times(shape: Shape, factors: list[Any]) -> Shape | None:
    if len(shape) != len(factors) or any(f is not None and f < 0 for f in factors):
        return None
    return tuple(
        None if s is None or f is None else s * int(f) for s, f in zip(shape, factors, strict=True)
    )


@RULES.register("Upsample")
def _upsample(call: Call) -> Shape | None:
    if call.version >= 9:
        return _scaled(call.shape(0), call.numbers(1))
    if "scales" in call.attributes:
        return _scaled(call.shape(0), list(call.attributes["scales"].floats))
    scales = [call.attributes[k].f for k in ("height_scale", "width_scale") if k in call.attributes]
    return _scaled(call.shape(0), [1.0, 1.0, *scales])


def _scaled(shape: Shape | None, scales: list[Any] | None) -> Shape | None:
    if scales is None or any(s is None or not math.isfinite(s) or s < 0 for s in scales):
        return None
    if shape is None:
        return tuple(int(scale) for scale in scales)
    if len(shape) != len(scales):
        return None
    return tuple(
        None if size is None else int(size * scale)
        for size, scale in zip(shape, scales, strict=True)
    )


@RULES.register("Resize")
def _resize(call: Call) -> Shape | None:
    shape, axes = call.shape(0), call.integers("axes")
    sizes = call.numbers(3) if call.version >= 11 else None
    scales = call.numbers(2 if call.version >= 11 else 1)
    if axes is not None:
        if shape is None:
            return None
        sizes = _spread([*shape], axes, sizes)
        scales = _spread([1.0] * len(shape), axes, scales)
    if sizes:
        if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
            return _aspect(call, shape, sizes)
        return sizes_of(sizes)
    return _scaled(shape, scales) if scales else None


def _spread(whole: list[Any], axes: list[int], values: list[Any] | None) -> list[Any] | None:
    if not values or len(values) != len(axes):
        return None
    for axis, value in zip(axes, values, strict=True):
        if not -len(whole) <= axis < len(whole):
            return None
        whole[axis] = value
    return whole


def _aspect(call: Call, shape: Shape | None, sizes: list[Any]) -> Shape | None:
    """Return the larger of the two sizes that keep the proportions, where both are known."""
    if shape is None or len(shape) != len(sizes):
        return None
    known = [(a, b) for a, b in zip(shape, sizes, strict=True) if a and b and a != b]
    if not known:
        return sizes_of(sizes)
    shrinks = call.text("keep_aspect_ratio_policy") == "not_larger"
    ratio = (min if shrinks else max)(b / a for a, b in known)
    return tuple(None if a is None else math.ceil(a * ratio) for a in shape)


@RULES.register("Pad")
def _pad(call: Call) -> Shape | None:
    shape = call.shape(0)
    pads = call.integers("pads") or call.integers("paddings")
    pads = pads if pads is not None else call.numbers(1)
    if pads is None or any(n is None for n in pads):
        return None
    half = len(pads) // 2
    both = [pads[i] + pads[i + half] for i in range(half)]
    if shape is None:
        return tuple(max(1, extra) for extra in both)
    full: list[int] = [0] * len(shape)
    axes = call.numbers(3) if call.fact(3) is not None else list(range(len(shape)))
    if axes is None or len(axes) != half or any(not -len(full) <= a < len(full) for a in axes):
        return None
    for axis, extra in zip(axes, both, strict=True):
        full[axis] = extra
    return tuple(
        None if size is None else max(0, size + extra)
        for size, extra in zip(shape, full, strict=True)
    )


@RULES.register("Range")
def _range(call: Call) -> Shape | None:
    ends = [call.numbers(index) for index in range(3)]
    if any(not end or end[0] is None for end in ends):
        return (None,)
    start, stop, step = (end[0] for end in ends if end)
    if not step or not all(map(math.isfinite, (start, stop, step))):
        return (None,)
    if all(isinstance(end, int) for end in (start, stop, step)):
        return (max(0, -((start - stop) // step)),)
    count = (stop - start) / step
    return (max(0, math.ceil(count)) if math.isfinite(count) else 2**63,)


@RULES.register("OneHot")
def _one_hot(call: Call) -> Shape | None:
    shape, depth = call.shape(0), call.numbers(1)
    size = int(depth[0]) if depth and depth[0] is not None else None
    if shape is None:
        return None if size is None else (size,)
    axis = call.integer("axis", -1)
    places: list[Size] = [*shape]
    places.insert(axis + len(shape) + 1 if axis < 0 else axis, size)
    return tuple(places)


@RULES.register("BlackmanWindow")
@RULES.register("HannWindow")
@RULES.register("HammingWindow")
def _window(call: Call) -> Shape | None:
    return sizes_of(call.numbers(0)) or (None,)


@RULES.register("MelWeightMatrix")
def _mel(call: Call) -> Shape | None:
    bins, length = call.numbers(0), call.numbers(1)
    if not bins or not length or None in (bins[0], length[0]):
        return None
    return sizes_of([int(length[0]) // 2 + 1, int(bins[0])])


@RULES.register("Multinomial")
def _multinomial(call: Call) -> Shape | None:
    shape = call.shape(0)
    return (shape[0] if shape else None, call.integer("sample_size", 1))


@RULES.register("AffineGrid")
def _affine_grid(call: Call) -> Shape | None:
    sizes = sizes_of(call.numbers(1))
    return None if sizes is None else (sizes[0], *sizes[2:], len(sizes) - 2)


@RULES.register("Col2Im")
def _columns_to_image(call: Call) -> Shape | None:
    image, block, shape = sizes_of(call.numbers(1)), call.numbers(2), call.shape(0)
    if image is None:
        return None
    channels: Size = None
    if shape and len(shape) > 1 and shape[1] and block and None not in block and math.prod(block):
        channels = shape[1] // math.prod(int(size) for size in block)
    return (shape[0] if shape else None, channels, *image)


@RULES.register("CenterCropPad")
def _center_crop_pad(call: Call) -> Shape | None:
    shape, sizes, axes = call.shape(0), call.numbers(1), call.integers("axes")
    if sizes is None or (shape is None and axes is not None):
        return None
    if shape is None or axes is None:
        return sizes_of(sizes)
    return sizes_of(_spread([*shape], axes, sizes))


@RULES.register("DFT")
def _fourier(call: Call) -> Shape | None:
    shape, length = call.shape(0), call.numbers(1)
    if not shape:
        return None
    whole = not call.integer("onesided")
    places: list[Size] = [*shape[:-1], 2 if whole else None]
    axis = call.integer("axis", 1)
    if call.fact(2) is not None:
        axes = call.numbers(2)
        axis = int(axes[0]) if axes and axes[0] is not None else 0
    if -len(places) <= axis < len(places):
        chosen = length[0] if length else places[axis]
        places[axis] = int(chosen) if whole and chosen is not None else None
    return tuple(places)
