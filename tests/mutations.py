"""Damaged models, drawn by number: number N is always the same model.

A sound model is drawn, then its messages or its bytes are changed, some times over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

#: Changes whenever a number would mean another model.
EDITION = 1

Random = np.random.Generator
Seeds = Sequence[tuple[str, bytes]]

INTEGERS = (0, 1, -1, 2, 3, -2, 4, 5, 7, 8, 16, 17, 127, 255, 1000, 65536, 10**6)
HUGE = (2**31 - 1, 2**31, 2**32, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63), -(2**62))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "y", "W", "it", "ai.onnx", "com.microsoft", "N", "a/b", "'", "\n", "é" * 3)


def mutate(number: int, seeds: Seeds) -> bytes:
    """Return the bytes of model `number`."""
    draw = np.random.default_rng([EDITION, number])
    data: bytes = _pick(draw, seeds)[1]
    kind = draw.random()
    if kind < 0.85:
        model = onnx.ModelProto.FromString(data)
        for _ in range(int(draw.geometric(0.65))):
            change = _pick(draw, CHANGES)
            # What protocol buffers can't hold isn't a model that a file could hold.
            with contextlib.suppress(ValueError, TypeError, UnicodeDecodeError):
                change(draw, model, seeds)
        data = model.SerializeToString()
    if kind > 0.8:
        for _ in range(int(draw.geometric(0.4))):
            data = _pick(draw, BYTE_CHANGES)(draw, data, seeds)
    return data


def _pick(draw: Random, things: Sequence[Any]) -> Any:
    return things[int(draw.integers(len(things)))]


# ---- bytes


def flip(draw: Random, data: bytes, seeds: Seeds) -> bytes:
    """Change one bit."""
    if not data:
        return data
    at = int(draw.integers(len(data)))
    return data[:at] + bytes([data[at] ^ (1 << int(draw.integers(8)))]) + data[at + 1 :]


def cut(draw: Random, data: bytes, seeds: Seeds) -> bytes:
    """Lose the end."""
    return data[: int(draw.integers(len(data) + 1))]


def lose(draw: Random, data: bytes, seeds: Seeds) -> bytes:
    """Lose some bytes in the middle."""
    at = int(draw.integers(len(data) + 1))
    return data[:at] + data[at + int(draw.integers(1, 9)) :]


def insert(draw: Random, data: bytes, seeds: Seeds) -> bytes:
    """Put random bytes in."""
    at = int(draw.integers(len(data) + 1))
    return data[:at] + draw.bytes(int(draw.integers(1, 9))) + data[at:]


def overwrite(draw: Random, data: bytes, seeds: Seeds) -> bytes:
    """Write a byte that means much to protocol buffers over another."""
    if not data:
        return data
    at = int(draw.integers(len(data)))
    return data[:at] + bytes([_pick(draw, (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12))]) + data[at + 1 :]


def splice(draw: Random, data: bytes, seeds: Seeds) -> bytes:
    """Go on as another file does."""
    other: bytes = _pick(draw, seeds)[1]
    return data[: int(draw.integers(len(data) + 1))] + other[int(draw.integers(len(other) + 1)) :]


BYTE_CHANGES = (flip, flip, overwrite, cut, lose, insert, splice)

# ---- messages


def _messages(message: Any) -> Iterator[Any]:
    """Yield a message and all that it holds."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(inner)


def _every(model: onnx.ModelProto, kind: type) -> list[Any]:
    return [message for message in _messages(model) if isinstance(message, kind)]


def _names(model: onnx.ModelProto) -> list[str]:
    """Name every tensor, in order, with repetitions."""
    nodes = _every(model, onnx.NodeProto)
    return [name for node in nodes for name in (*node.input, *node.output)] or ["x"]


def any_field(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Change any field of any message."""
    message = _pick(draw, list(_messages(model)))
    fields = list(message.ListFields())
    if not fields or draw.random() < 0.1:  # one that is absent
        field = _pick(draw, list(message.DESCRIPTOR.fields))
        value = getattr(message, field.name)
    else:
        field, value = _pick(draw, fields)
    if hasattr(value, "extend"):
        _change_list(draw, message, field, value)
    elif field.type == field.TYPE_MESSAGE:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _value(draw, field, value, _names(model)))


def _change_list(draw: Random, message: Any, field: Any, values: Any) -> None:
    """Drop, double, swap, or change one entry of a repeated field; or drop all."""
    items = list(values)
    if field.type == field.TYPE_MESSAGE:
        items = [_copy(item) for item in items]
    kind = draw.random()
    at = int(draw.integers(len(items))) if items else 0
    other = int(draw.integers(len(items))) if items else 0
    if kind < 0.1:
        items = []
    elif kind < 0.4 and items:
        del items[at]
    elif kind < 0.6 and items:
        items.insert(other, items[at])
    elif kind < 0.7 and items:
        items[at], items[other] = items[other], items[at]
    elif field.type != field.TYPE_MESSAGE:
        new = _value(draw, field, items[at] if items else None, TEXTS)
        items[at : at + 1] = [new]
        if draw.random() < 0.2:
            items.extend([new] * int(draw.integers(1, 6)))
    message.ClearField(field.name)
    getattr(message, field.name).extend(items)


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _value(draw: Random, field: Any, old: Any, names: Sequence[str]) -> Any:
    """Return another value for a field."""
    if field.type == field.TYPE_STRING:
        return _pick(draw, names) if draw.random() < 0.6 else _pick(draw, TEXTS)
    if field.type == field.TYPE_BYTES:
        raw = bytes(old or b"")
        return _pick(draw, BYTE_CHANGES[:-1])(draw, raw, ())
    if field.type == field.TYPE_ENUM:
        return int(draw.integers(0, 30))
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return _pick(draw, FLOATS)
    if isinstance(old, int) and draw.random() < 0.3:
        return old + int(draw.integers(-2, 3))
    return _pick(draw, INTEGERS) if draw.random() < 0.6 else _pick(draw, HUGE)


def rewire(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Let a node read or write another tensor: cycles, two writers, types that do not fit."""
    node = _pick(draw, _every(model, onnx.NodeProto))
    slots = node.input if draw.random() < 0.7 and node.input else node.output
    if slots:
        slots[int(draw.integers(len(slots)))] = _pick(draw, _names(model))


def unname(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Leave an input or an output of a node out, its place kept."""
    node = _pick(draw, _every(model, onnx.NodeProto))
    slots = node.input if draw.random() < 0.7 and node.input else node.output
    if slots:
        slots[int(draw.integers(len(slots)))] = ""


def arity(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Give a node more inputs or outputs, or fewer."""
    node = _pick(draw, _every(model, onnx.NodeProto))
    slots = node.input if draw.random() < 0.6 else node.output
    if draw.random() < 0.5 and slots:
        del slots[int(draw.integers(len(slots)))]
    else:
        slots.extend([_pick(draw, _names(model))] * int(draw.integers(1, 4)))


def operator(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Let a node be another operator, known or not."""
    node = _pick(draw, _every(model, onnx.NodeProto))
    other = onnx.ModelProto.FromString(_pick(draw, seeds)[1])
    source = _pick(draw, _every(other, onnx.NodeProto))
    node.op_type = source.op_type if draw.random() < 0.9 else source.op_type[:-1]
    node.domain = source.domain


def attribute(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Give a node an attribute of another node, or change the type or numbers of one it has."""
    node = _pick(draw, _every(model, onnx.NodeProto))
    if draw.random() < 0.3 or not node.attribute:
        other = onnx.ModelProto.FromString(_pick(draw, seeds)[1])
        donors = [n for n in _every(other, onnx.NodeProto) if n.attribute]
        if donors:
            node.attribute.append(_pick(draw, _pick(draw, donors).attribute))
        return
    record = _pick(draw, node.attribute)
    kind = draw.random()
    if kind < 0.2:
        record.type = int(draw.integers(0, 15))
    elif kind < 0.3:
        node.attribute.append(record)
    elif record.ints:
        record.ints[int(draw.integers(len(record.ints)))] = _pick(draw, (*INTEGERS, *HUGE))
    elif record.floats:
        record.floats[int(draw.integers(len(record.floats)))] = _pick(draw, FLOATS)
    elif record.HasField("i"):
        record.i = _pick(draw, (*INTEGERS, *HUGE))
    elif record.HasField("f"):
        record.f = _pick(draw, FLOATS)
    elif record.HasField("s"):
        record.s = _pick(draw, (b"", b"SAME_UPPER", b"VALID", b"linear", b"\xff\xfe", b"NOTSET"))


def tensor(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Let a constant's shape, type, numbers or place disagree."""
    tensors = _every(model, TensorProto)
    if not tensors:
        return
    one = _pick(draw, tensors)
    kind = draw.random()
    if kind < 0.3 and one.dims:
        one.dims[int(draw.integers(len(one.dims)))] = _pick(draw, (*INTEGERS, *HUGE))
    elif kind < 0.4:
        one.dims.extend([_pick(draw, INTEGERS)] * int(draw.integers(1, 40)))
    elif kind < 0.6:
        one.data_type = int(draw.integers(0, 30))
    elif kind < 0.8 and one.raw_data:
        one.raw_data = _pick(draw, BYTE_CHANGES[:-1])(draw, one.raw_data, ())
    elif kind < 0.9:
        one.int64_data.append(_pick(draw, HUGE))
    else:
        one.data_location = TensorProto.EXTERNAL
        one.external_data.add(key="location", value=_pick(draw, ("/etc/passwd", "../x", "", "w")))


def interface(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Let an input or output be of another type or shape, or of none."""
    values = _every(model, onnx.ValueInfoProto)
    if not values:
        return
    value = _pick(draw, values)
    kind = draw.random()
    if kind < 0.2:
        value.type.Clear()
    elif kind < 0.4:
        value.type.tensor_type.elem_type = int(draw.integers(0, 30))
    elif kind < 0.5:
        value.type.tensor_type.ClearField("shape")
    elif kind < 0.6:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1
    else:
        axes = value.type.tensor_type.shape.dim
        axis = _pick(draw, axes) if axes and draw.random() < 0.8 else axes.add()
        if draw.random() < 0.3:
            axis.dim_param = _pick(draw, TEXTS)
        else:
            axis.dim_value = _pick(draw, (*INTEGERS, *HUGE))


def version(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Let the model be written for other versions."""
    if draw.random() < 0.3:
        model.ir_version = _pick(draw, (*range(14), *HUGE[:3]))
    elif model.opset_import:
        _pick(draw, model.opset_import).version = _pick(draw, (*range(-1, 30), *HUGE))


def graft(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Add the nodes and constants of another model, its inputs wired to ours."""
    other = onnx.ModelProto.FromString(_pick(draw, seeds)[1])
    graphs = _every(model, onnx.GraphProto)
    graph = _pick(draw, graphs)
    outputs = [name for node in graph.node for name in node.output if name] or ["x"]
    wired = {value.name: _pick(draw, outputs) for value in other.graph.input}
    for node in other.graph.node:
        new = graph.node.add()
        new.CopyFrom(node)
        new.input[:] = [wired.get(name, f"{name}+") if name else "" for name in node.input]
        new.output[:] = [f"{name}+" for name in node.output]
    for constant in other.graph.initializer:
        graph.initializer.add().CopyFrom(constant)
        graph.initializer[-1].name += "+"
    if draw.random() < 0.5 and graph.output and other.graph.output:
        graph.output[0].CopyFrom(other.graph.output[0])
        graph.output[0].name += "+"


def nest(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Give a node a subgraph, of its own model or of another, some levels deep."""
    node = _pick(draw, _every(model, onnx.NodeProto))
    inner = onnx.ModelProto.FromString(_pick(draw, seeds)[1]).graph
    for _ in range(int(draw.integers(1, 5))):
        outer = onnx.GraphProto(name="nested", output=inner.output)
        branch = outer.node.add(op_type="If", input=["x"], output=[o.name for o in inner.output])
        for name in ("then_branch", "else_branch"):
            record = branch.attribute.add(name=name, type=onnx.AttributeProto.GRAPH)
            record.g.CopyFrom(inner)
        inner = outer
    graphs = [record for record in node.attribute if record.HasField("g")]
    record = _pick(draw, graphs) if graphs else node.attribute.add(name="body")
    record.type = onnx.AttributeProto.GRAPH
    record.g.CopyFrom(inner)


def constant_input(draw: Random, model: onnx.ModelProto, seeds: Seeds) -> None:
    """Let an input be a constant of whatever it happens to hold."""
    if not model.graph.input:
        return
    value = _pick(draw, model.graph.input)
    tensor_type = value.type.tensor_type
    dims = [axis.dim_value for axis in tensor_type.shape.dim]
    size = int(np.prod([max(d, 0) for d in dims], dtype=np.float64)) if dims else 1
    width = int(draw.integers(1, 9))
    raw = draw.bytes(min(size, 4096) * width)
    model.graph.initializer.add(
        name=value.name, dims=dims, data_type=tensor_type.elem_type, raw_data=raw
    )


Change = Callable[[Random, onnx.ModelProto, Seeds], None]
CHANGES: tuple[Change, ...] = (
    any_field,
    any_field,
    any_field,
    any_field,
    rewire,
    unname,
    arity,
    operator,
    attribute,
    attribute,
    tensor,
    tensor,
    interface,
    version,
    graft,
    nest,
    constant_input,
)
