"""The bytes of a model file, looked over before protocol buffers' parser makes objects of them.

The parser says of a damaged file only that it is one, makes a hundred bytes of objects from two
bytes of file, and hands out names that are no text. This walk finds the byte, and stops early.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from photonpu.compiler.untrusted.limits import Limits
from photonpu.errors import ModelError

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor  # type: ignore[import-untyped]

#: Messages within one another; the parser of protocol buffers allows no more.
DEEPEST = 100
#: Messages (attributes, shapes, notes) for each node that is allowed.
MESSAGES_PER_NODE = 64
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


@dataclass(slots=True)
class Message:
    """A kind of message: for each field's number its name, its kind on the wire, what is in it."""

    name: str
    fields: dict[int, tuple[str, int, Message | str | None]] = field(default_factory=dict)


@functools.cache
def model_message() -> Message:
    """Return what a model file is made of, from onnx's own descriptors."""
    import onnx

    known: dict[str, Message] = {}
    return _message(onnx.ModelProto.DESCRIPTOR, known)


def _message(descriptor: Descriptor, known: dict[str, Message]) -> Message:
    if descriptor.full_name in known:
        return known[descriptor.full_name]
    message = known[descriptor.full_name] = Message(descriptor.name)
    for entry in descriptor.fields:
        inside: Message | str | None = None
        kind = _VARINT
        if entry.message_type is not None:
            kind, inside = _BYTES, _message(entry.message_type, known)
        elif entry.type == entry.TYPE_STRING:
            kind, inside = _BYTES, "text"
        elif entry.type == entry.TYPE_BYTES:
            kind = _BYTES
        elif entry.type == entry.TYPE_DOUBLE:
            kind = _EIGHT
        elif entry.type == entry.TYPE_FLOAT:
            kind = _FOUR
        message.fields[entry.number] = entry.name, kind, inside
    return message


def has_graph(data: bytes) -> bool:
    """Say whether a file, perhaps damaged, begins like a model: its fields lead to a graph."""
    fields, position = model_message().fields, 0
    try:
        while position < len(data):
            key, position = _varint(data, position, "")
            name, wire, _ = fields.get(key >> 3, ("", -1, None))
            if name == "graph" or key & 7 != wire:
                return name == "graph" and key & 7 == wire
            length, position = _varint(data, position, "")
            position += length if wire == _BYTES else 0
    except ModelError:
        return False
    return False


def check_wire(data: bytes, label: str, limits: Limits) -> None:
    """Walk over a model file.

    Parameters
    ----------
    data
        The file.
    label
        What to call it.
    limits
        Bounds; here on nodes, and so on messages.

    Raises
    ------
    ModelError
        The file is damaged, or holds more nodes or messages than allowed; names the byte.
    """
    counts: dict[str, int] = {}
    most = limits.nodes * MESSAGES_PER_NODE
    position, messages = 0, 0
    open_ends = [len(data)]
    kinds = [model_message()]
    while open_ends:
        if position >= open_ends[-1]:
            if position > open_ends[-1]:
                raise _damaged(label, position, f"a field reaches beyond its {kinds[-1].name}")
            open_ends.pop()
            kinds.pop()
            continue
        start = position
        key, position = _varint(data, position, label)
        name, wire, inside = kinds[-1].fields.get(key >> 3, ("a field that ONNX lacks", -1, None))
        found = key & 7
        if found == _VARINT:
            _, position = _varint(data, position, label)
        elif found == _BYTES:
            length, position = _varint(data, position, label)
            if position + length > open_ends[-1]:
                raise _damaged(label, start, f"'{name}' reaches beyond its {kinds[-1].name}")
            if isinstance(inside, Message):
                messages += 1
                counts[inside.name] = counts.get(inside.name, 0) + 1
                _check_counts(label, start, counts, messages, limits.nodes, most)
                if len(kinds) >= DEEPEST:
                    raise _damaged(label, start, f"messages are {DEEPEST} deep in one another")
                open_ends.append(position + length)
                kinds.append(inside)
                continue
            if inside == "text":
                _check_text(data[position : position + length], name, label, start)
            position += length
        elif found in (_EIGHT, _FOUR):
            position += 8 if found == _EIGHT else 4
        else:
            raise _damaged(label, start, f"'{name}' is of a kind {found} that ONNX does not use")
        if found != wire and wire >= 0 and found != _BYTES:
            raise _damaged(label, start, f"'{name}' is of kind {found} and must be {wire}")


def _check_text(value: bytes, name: str, label: str, start: int) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise _damaged(label, start, f"a '{name}' is no text") from None


def _check_counts(
    label: str, start: int, counts: Mapping[str, int], messages: int, nodes: int, most: int
) -> None:
    if counts.get("NodeProto", 0) > nodes or messages > most:
        raise ModelError(
            f"{label} has more than {min(nodes, counts.get('NodeProto', 0))} nodes, or {messages} "
            f"messages, by byte {start}, and {nodes} is the limit for nodes: if you trust it, "
            "raise the limit"
        )


def _varint(data: bytes, position: int, label: str) -> tuple[int, int]:
    """Read a number of seven bits a byte, and return it with the place behind it."""
    if position < len(data) and data[position] < 128:
        return data[position], position + 1
    value = 0
    for shift in range(0, 70, 7):
        if position + shift // 7 >= len(data):
            break
        byte = data[position + shift // 7]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position + shift // 7 + 1
    raise _damaged(label, position, "a number does not end")


def _damaged(label: str, position: int, what: str) -> ModelError:
    return ModelError(f"{label} is damaged at byte {position}: {what}; copy or export it again")
