"""Models as the bytes of their files, without a copy of the whole: weights are most of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from photonpu.compiler.untrusted import stored

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message  # type: ignore[import-untyped]

_LEAST = 2**14  # bytes of a weight that is handed out by itself
_BYTES = 2  # what a protocol buffer calls a field whose length stands before it
_MORE = 0x80  # says that more digits of a number follow, seven bits each


def copy(source: Message, target: Message, skip: Collection[str] = ()) -> None:
    """Copy the fields of a message one by one: as a whole it may be too large.

    Parameters
    ----------
    source, target
        Messages of one type.
    skip
        Names of fields that are left out.
    """
    for field in source.DESCRIPTOR.fields:
        if field.name in skip:
            continue
        value = getattr(source, field.name)
        if not hasattr(value, "MergeFrom"):
            if source.HasField(field.name):
                setattr(target, field.name, value)
        elif len(value) if hasattr(value, "__len__") else source.HasField(field.name):
            getattr(target, field.name).MergeFrom(value)


def pieces(model: onnx.ModelProto) -> Iterator[bytes]:
    """Yield what ``model.SerializeToString(deterministic=True)`` gives, in pieces.

    Parameters
    ----------
    model
        The model; the data of its weights have the sizes that their shapes ask for.
    """
    from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]

    graph = model.graph
    if any(len(UnknownFieldSet(part)) for part in (model, graph, *graph.initializer)):
        yield model.SerializeToString(deterministic=True)
        return
    begin, end = _around(model, "graph")
    first, last = _around(graph, "initializer")
    weights = [_weight(tensor) for tensor in graph.initializer]
    sizes = [len(before) + held + len(after) for before, held, after in weights]
    heads = [_head(graph, "initializer", size) for size in sizes]
    whole = len(first) + sum(map(len, heads)) + sum(sizes) + len(last)
    yield begin + _head(model, "graph", whole) + first
    for head, tensor, (before, held, after) in zip(heads, graph.initializer, weights, strict=True):
        yield head + before
        if held:
            yield tensor.raw_data
        yield after
    yield last + end


def _weight(tensor: onnx.TensorProto) -> tuple[bytes, int, bytes]:
    """Return what is written before the data of a weight, their size, and what is written then.

    All of a small one counts as what is before them.
    """
    size = stored.size_in_bytes(math.prod(tensor.dims), tensor.data_type)
    if size < _LEAST or not tensor.HasField("raw_data"):
        return tensor.SerializeToString(deterministic=True), 0, b""
    before, after = _around(tensor, "raw_data")
    return before + _head(tensor, "raw_data", size), size, after


def _around(message: Message, name: str) -> tuple[bytes, bytes]:
    """Return how the fields of a message before one of them are written, and those behind it."""
    number = message.DESCRIPTOR.fields_by_name[name].number
    numbers = {field.name: field.number for field in message.DESCRIPTOR.fields}
    before, after = type(message)(), type(message)()
    copy(message, before, [other for other, found in numbers.items() if found >= number])
    copy(message, after, [other for other, found in numbers.items() if found <= number])
    return before.SerializeToString(deterministic=True), after.SerializeToString(deterministic=True)


def _head(message: Message, name: str, length: int) -> bytes:
    """Return what is written before the bytes of a field."""
    written = bytearray()
    for number in (message.DESCRIPTOR.fields_by_name[name].number << 3 | _BYTES, length):
        while number >= _MORE:
            written.append(number % _MORE | _MORE)
            number //= _MORE
        written.append(number)
    return bytes(written)
