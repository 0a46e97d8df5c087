"""Networks that nobody would draw: hypothesis strategies for graphs of any operators that mix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper

from tests.compiler.networks import Array, network, numbers

Shape = tuple[int, ...]
_MOST = 1500  # elements of a tensor


@dataclass
class Drawing:
    """A network while it is drawn: what was drawn so far, and shapes of all tensors."""

    draw: st.DrawFn
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    tensors: dict[str, Shape] = field(default_factory=dict)

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def each(self, low: int, high: int, count: int) -> list[int]:
        return [self.integer(low, high) for _ in range(count)]

    def choice(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def any_of(self, fits: Callable[[Shape], bool]) -> str | None:
        """Draw one of the tensors that fit, the newest most often."""
        names = [name for name, shape in self.tensors.items() if fits(shape)]
        if not names:
            return None
        return names[-1] if self.integer(0, 3) else self.choice(*names)

    def weight(self, *shape: int, scale: float = 1.0) -> str:
        """Add a constant of normal numbers."""
        name = f"c{len(self.constants)}"
        value = numbers(*shape, seed=self.integer(0, 9)) * np.float32(scale)
        self.constants[name] = np.asarray(value, np.float32)
        return name

    def whole(self, values: Sequence[int]) -> str:
        """Add a constant of whole numbers."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.array(values, np.int64)
        return name

    def apply(self, op: str, inputs: Sequence[str], *shapes: Shape, **attributes: Any) -> None:
        """Add an operator with outputs of these shapes, unless one is empty or large."""
        if any(min(shape, default=1) < 1 or math.prod(shape) > _MOST for shape in shapes):
            return
        index = len(self.nodes)
        outputs = [f"t{index}_{i}" for i in range(len(shapes))]
        name = f"{op}{index}"
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        self.tensors.update(zip(outputs, shapes, strict=True))


#: Each adds one operator, or none if no tensor fits.
STEPS: list[Callable[[Drawing], None]] = []


def step(times: int) -> Callable[[Callable[[Drawing], None]], Callable[[Drawing], None]]:
    """Enter a step `times` over, so that it is drawn that often."""

    def enter(function: Callable[[Drawing], None]) -> Callable[[Drawing], None]:
        STEPS.extend([function] * times)
        return function

    return enter


def _image(shape: Shape) -> bool:
    return 3 <= len(shape) <= 5


@step(6)
def conv(d: Drawing) -> None:
    if (x := d.any_of(_image)) is None:
        return
    batch, channels, *sizes = d.tensors[x]
    axes = len(sizes)
    groups = d.choice(*(g for g in range(1, channels + 1) if channels % g == 0))
    kernel, strides = d.each(1, 3, axes), d.each(1, 2, axes)
    outputs = groups * d.integer(1, 3)
    attributes: dict[str, Any] = {"group": groups, "strides": strides}
    automatic = d.choice("NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
    dilations, pads = [1] * axes, [0] * (2 * axes)
    if not automatic.startswith("SAME"):  # onnxruntime dilates with explicit padding only
        dilations = attributes["dilations"] = d.each(1, 2, axes)
    if automatic == "NOTSET":
        pads = attributes["pads"] = d.each(0, 2, 2 * axes)
    else:
        attributes["auto_pad"] = automatic
    reach = [g * (k - 1) + 1 for k, g in zip(kernel, dilations, strict=True)]
    if automatic.startswith("SAME"):
        after = [-(-n // s) for n, s in zip(sizes, strides, strict=True)]
    else:
        after = [
            (n + before + behind - r) // s + 1 if n + before + behind >= r else 0
            for n, before, behind, r, s in zip(
                sizes, pads[:axes], pads[axes:], reach, strides, strict=True
            )
        ]
    inner = channels // groups
    inputs = [x, d.weight(outputs, inner, *kernel, scale=(inner * math.prod(kernel)) ** -0.5)]
    if d.draw(st.booleans()):
        inputs.append(d.weight(outputs))
    d.apply("Conv", inputs, (batch, outputs, *after), **attributes)


@step(5)
def conv_transpose(d: Drawing) -> None:
    if (x := d.any_of(_image)) is None:
        return
    batch, channels, *sizes = d.tensors[x]
    axes = len(sizes)
    groups = d.choice(*(g for g in range(1, channels + 1) if channels % g == 0))
    kernel, strides, dilations = (d.each(1, 3, axes) for _ in range(3))
    attributes: dict[str, Any] = {"group": groups, "strides": strides, "dilations": dilations}
    reach = [g * (k - 1) + 1 for k, g in zip(kernel, dilations, strict=True)]
    full = [s * (n - 1) + r for n, s, r in zip(sizes, strides, reach, strict=True)]
    kind = d.choice("pads", "pads", "output_shape", "SAME_UPPER", "SAME_LOWER", "VALID")
    if kind == "output_shape":  # onnx's shape inference takes none below the input's size
        low = [max(n, f - 2) for n, f in zip(sizes, full, strict=True)]
        after = [
            d.integer(min(n, f + s - 1), f + s - 1)
            for n, f, s in zip(low, full, strides, strict=True)
        ]
        attributes["output_shape"] = after
    elif kind == "pads":
        before = [d.integer(0, min(1, (n - 1) // 2)) for n in full]
        more = [d.integer(0, s - 1) for s in strides]  # onnxruntime takes no more
        attributes |= {"pads": [*before, *before], "output_padding": more}
        after = [n - 2 * p + q for n, p, q in zip(full, before, more, strict=True)]
    else:
        attributes["auto_pad"] = kind
        same = [min(n * s, f) for n, s, f in zip(sizes, strides, full, strict=True)]
        after = full if kind == "VALID" else same
    outputs = d.integer(1, 2)
    inputs = [x, d.weight(channels, outputs, *kernel, scale=(channels // groups) ** -0.5)]
    if d.draw(st.booleans()):
        inputs.append(d.weight(outputs * groups))
    d.apply("ConvTranspose", inputs, (batch, outputs * groups, *after), **attributes)


@step(2)
def normalise(d: Drawing) -> None:
    if (x := d.any_of(lambda shape: len(shape) > 1)) is None:
        return
    channels = d.tensors[x][1]
    parts = [d.weight(channels) for _ in range(4)]
    d.constants[parts[3]] = np.abs(d.constants[parts[3]]) + np.float32(0.5)
    d.apply("BatchNormalization", [x, *parts], d.tensors[x])


@step(3)
def activate(d: Drawing) -> None:
    if x := d.any_of(lambda shape: True):
        op = d.choice("Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "Softplus", "HardSwish", "Neg")
        d.apply(op, [x], d.tensors[x])


@step(2)
def arithmetic(d: Drawing) -> None:
    if x := d.any_of(lambda shape: True):
        shape = d.tensors[x]
        broad = [size if d.draw(st.booleans()) else 1 for size in shape]
        names = [x, d.weight(*broad[d.integer(0, len(broad)) :])]
        op = d.choice("Add", "Sub", "Mul")
        d.apply(op, names if d.draw(st.booleans()) else names[::-1], shape)


@step(3)
def skip(d: Drawing) -> None:
    if x := d.any_of(lambda shape: True):
        shape = d.tensors[x]
        other = d.any_of(lambda candidate: candidate == shape)
        d.apply(d.choice("Add", "Mul"), [x, other or x], shape)


@step(2)
def concat(d: Drawing) -> None:
    if x := d.any_of(lambda shape: len(shape) > 1):
        shape = d.tensors[x]
        other = d.any_of(
            lambda s: len(s) == len(shape) and (s[0], *s[2:]) == (shape[0], *shape[2:])
        )
        joined = (shape[0], shape[1] + d.tensors[other or x][1], *shape[2:])
        d.apply("Concat", [x, other or x], joined, axis=1)


@step(1)
def split(d: Drawing) -> None:
    if x := d.any_of(lambda shape: len(shape) > 1 and shape[1] > 1):
        shape = d.tensors[x]
        first = d.integer(1, shape[1] - 1)
        parts = [(shape[0], size, *shape[2:]) for size in (first, shape[1] - first)]
        d.apply("Split", [x, d.whole([first, shape[1] - first])], *parts, axis=1)


@step(2)
def pool(d: Drawing) -> None:
    if (x := d.any_of(lambda s: _image(s) and min(s[2:]) > 1)) is None:
        return
    batch, channels, *sizes = d.tensors[x]
    kind = d.choice("MaxPool", "AveragePool", "GlobalAveragePool")
    if kind == "GlobalAveragePool":
        d.apply(kind, [x], (batch, channels, *(1 for _ in sizes)))
        return
    strides = d.each(1, 2, len(sizes))
    after = [(n - 2) // s + 1 for n, s in zip(sizes, strides, strict=True)]
    d.apply(kind, [x], (batch, channels, *after), kernel_shape=[2] * len(sizes), strides=strides)


@step(1)
def resize(d: Drawing) -> None:
    if x := d.any_of(_image):
        shape = d.tensors[x]
        after = (*shape[:2], *(2 * n for n in shape[2:]))
        mode = d.choice("nearest", "linear") if len(shape) == 4 else "nearest"
        d.apply("Resize", [x, "", "", d.whole(after)], after, mode=mode)


@step(1)
def pad(d: Drawing) -> None:
    if x := d.any_of(lambda shape: len(shape) > 0):
        shape = d.tensors[x]
        pads = [d.integer(0, 1) for _ in range(2 * len(shape))]
        after = tuple(n + pads[i] + pads[i + len(shape)] for i, n in enumerate(shape))
        d.apply("Pad", [x, d.whole(pads)], after, mode=d.choice("constant", "edge"))


@step(1)
def slice_(d: Drawing) -> None:
    if x := d.any_of(lambda shape: max(shape, default=0) > 1):
        shape = d.tensors[x]
        axis = d.choice(*(i for i, n in enumerate(shape) if n > 1))
        first, stride = d.integer(0, shape[axis] - 1), d.integer(1, 2)
        left = -(-(shape[axis] - first) // stride)
        ends = [d.whole([value]) for value in (first, shape[axis], axis, stride)]
        d.apply("Slice", [x, *ends], (*shape[:axis], left, *shape[axis + 1 :]))


@step(2)
def transpose(d: Drawing) -> None:
    if x := d.any_of(lambda shape: len(shape) > 1):
        shape = d.tensors[x]
        order = d.draw(st.permutations(range(len(shape))))
        d.apply("Transpose", [x], tuple(shape[axis] for axis in order), perm=order)


@step(2)
def reshape(d: Drawing) -> None:
    if x := d.any_of(lambda shape: len(shape) > 1):
        shape = d.tensors[x]
        at = d.integer(0, len(shape) - 2)
        kind = d.choice("merge", "part", "Flatten", "Unsqueeze")
        if kind == "merge":
            after = (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
            d.apply("Reshape", [x, d.whole(after)], after)
        elif kind == "part" and len(shape) < 5:
            factor = d.choice(*(f for f in range(1, shape[at] + 1) if shape[at] % f == 0))
            after = (*shape[:at], factor, shape[at] // factor, *shape[at + 1 :])
            d.apply("Reshape", [x, d.whole(after)], after)
        elif kind == "Flatten":
            after = (math.prod(shape[: at + 1]), math.prod(shape[at + 1 :]))
            d.apply("Flatten", [x], after, axis=at + 1)
        elif len(shape) < 5:
            d.apply("Unsqueeze", [x, d.whole([at])], (*shape[:at], 1, *shape[at:]))


@step(4)
def matmul(d: Drawing) -> None:
    if (x := d.any_of(lambda shape: len(shape) > 0)) is None:
        return
    shape, size = d.tensors[x], d.integer(1, 5)
    leading = [d.choice(1, n) for n in shape[:-2]]
    leading = leading[d.integer(0, len(leading)) :]
    kind = d.choice("right", "right", "left", "vector")
    if kind == "vector":
        d.apply("MatMul", [x, d.weight(shape[-1])], shape[:-1])
    elif kind == "right" or len(shape) < 2:
        weight = d.weight(*leading, shape[-1], size, scale=shape[-1] ** -0.5)
        d.apply("MatMul", [x, weight], (*shape[:-1], size))
    else:
        weight = d.weight(*leading, size, shape[-2], scale=shape[-2] ** -0.5)
        d.apply("MatMul", [weight, x], (*shape[:-2], size, shape[-1]))


@step(3)
def gemm(d: Drawing) -> None:
    if not any(len(shape) == 2 for shape in d.tensors.values()):
        wide = d.any_of(lambda shape: len(shape) > 0) or "x"
        first, *others = d.tensors[wide]
        d.apply("Flatten", [wide], (first, math.prod(others)), axis=1)
    if (x := d.any_of(lambda shape: len(shape) == 2)) is None:
        return
    rows, columns = d.tensors[x]
    size, turned, on_left = d.integer(1, 5), *(d.draw(st.booleans()) for _ in range(2))
    flip = d.draw(st.booleans())
    if turned:
        rows, columns = columns, rows
    inner = rows if on_left else columns
    weight = d.weight(*((size, inner) if on_left != flip else (inner, size)))
    after = (size, columns) if on_left else (rows, size)
    inputs = [weight, x] if on_left else [x, weight]
    if d.draw(st.booleans()):
        inputs.append(d.weight(*(d.choice(1, n) for n in after)))
    attributes: dict[str, Any] = {
        "alpha": d.choice(1.0, 0.5),
        "beta": d.choice(1.0, -2.0, 0.0),
        "transA": int(flip if on_left else turned),
        "transB": int(turned if on_left else flip),
    }
    d.apply("Gemm", inputs, after, **attributes)


@step(3)
def einsum(d: Drawing) -> None:
    if (x := d.any_of(lambda shape: 0 < len(shape) < 5)) is None:
        return
    shape, size = d.tensors[x], d.integer(1, 4)
    data = "abcd"[: len(shape)]
    sizes = {**dict(zip(data, shape, strict=True)), "k": size}
    held = d.draw(st.permutations([*data, "k"]))[: d.integer(1, 3)]
    kept = [axis for axis in dict.fromkeys([*data, *held]) if d.integer(0, 3)]
    output = d.draw(st.permutations(kept))
    weight = d.weight(*(sizes[axis] for axis in held), scale=0.5)
    terms = [(x, data), (weight, "".join(held))]
    terms = terms if d.draw(st.booleans()) else terms[::-1]
    equation = f"{','.join(term for _, term in terms)}->{''.join(output)}"
    after = tuple(sizes[axis] for axis in output)
    d.apply("Einsum", [name for name, _ in terms], after, equation=equation)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[onnx.ModelProto, Array]:
    """Draw a network of one input, with data for it; it has up to four outputs."""
    d = Drawing(draw)
    axes = d.integer(1, 3)
    largest = {1: 9, 2: 6, 3: 4}[axes]
    shape = (d.integer(1, 2), d.integer(1, 4), *d.each(2, largest, axes))
    d.tensors["x"] = shape
    for change in draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=12)):
        change(d)
    conv(d)
    if not d.nodes:
        activate(d)
    read = {name for node in d.nodes for name in node.input}
    ends = [name for name in d.tensors if name not in read]
    taps = draw(st.lists(st.sampled_from([n for n in d.tensors if n != "x"]), max_size=1))
    outputs = {name: len(d.tensors[name]) for name in [*ends[-3:], *taps]}
    free = shape[0] == 1 and draw(st.booleans())
    inputs: dict[str, Sequence[int | str]] = {"x": ("N", *shape[1:]) if free else shape}
    opset = d.choice(14, 17, 20)
    model = network(d.nodes, inputs, outputs, d.constants, opset)
    return model, numbers(*shape, seed=draw(st.integers(0, 9)))
