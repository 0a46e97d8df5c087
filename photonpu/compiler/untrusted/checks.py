"""What a model must be before anything is computed from it, each as a check of its own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from photonpu.compiler import weights
from photonpu.compiler.untrusted.walk import tensors
from photonpu.errors import ModelError

if TYPE_CHECKING:
    import onnx
    from google.protobuf.descriptor import (  # type: ignore[import-untyped]
        Descriptor,
        FieldDescriptor,
    )
    from google.protobuf.message import Message  # type: ignore[import-untyped]


#: Characters of another package's message that an error of ours shows.
LONGEST_LINE = 400


def check_text(message: Message, label: str) -> None:
    """Refuse a name that is no UTF-8: protocol buffers hand it out as bytes, others stumble.

    Raises
    ------
    ModelError
        Names the field; `label` is what to call the model.
    """
    for field in _fields(message.DESCRIPTOR):
        value = getattr(message, field.name)
        repeated = not isinstance(value, str | bytes) and hasattr(value, "__len__")
        if field.type == field.TYPE_MESSAGE:
            if repeated or message.HasField(field.name):
                for inner in value if repeated else [value]:
                    check_text(inner, label)
        elif any(isinstance(text, bytes) for text in (value if repeated else [value])):
            raise ModelError(f"{label} is damaged: a '{field.name}' is no text; copy it again")


@functools.cache
def _fields(kind: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Return the fields of a message that are text or messages: others may be large."""
    wanted = ("TYPE_MESSAGE", "TYPE_STRING")
    return tuple(f for f in kind.fields if f.type in [getattr(f, name) for name in wanted])


def check_versions(proto: onnx.ModelProto, label: str) -> None:
    """Refuse a model of the future.

    Raises
    ------
    ModelError
        The file format or operator set is too new.
    """
    import onnx

    newest = max(int(value) for value in onnx.Version.values())
    if proto.ir_version > newest:
        raise ModelError(
            f"{label} is written in version {proto.ir_version} of ONNX's format and this "
            f"installation reads up to {newest}: upgrade onnx, or export for an older version"
        )
    known = onnx.defs.onnx_opset_version()
    for entry in (*proto.opset_import, *(o for f in proto.functions for o in f.opset_import)):
        if entry.domain in ("", "ai.onnx") and entry.version > known:
            raise ModelError(
                f"{label} uses operator set {entry.version} and this installation knows up to "
                f"{known}: upgrade onnx and onnxruntime, or export for an older operator set"
            )


def check_structure(proto: onnx.ModelProto, label: str) -> None:
    """Let onnx's checker see the model, and put its complaint into one line.

    Raises
    ------
    ModelError
        The checker complains.
    """
    from google.protobuf.message import EncodeError
    from onnx import checker

    try:
        checker.check_model(weights.outline(proto))
    except checker.ValidationError as error:
        raise ModelError(f"{label} is malformed: {first_line(error)}; export it again") from error
    except EncodeError as error:
        raise ModelError(
            f"{label} holds 2 GiB or more besides its large initializers, and no protocol buffer "
            "does: make its large constants initializers, in other files"
        ) from error


def check_numbers(proto: onnx.ModelProto) -> None:
    """Refuse NaN; infinity is refused where it would reach the mesh, for masks rightly hold it.

    Raises
    ------
    ModelError
        Names the constant and the place of the first NaN.
    """
    from onnx import TensorProto, numpy_helper

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    for label, tensor in tensors(proto):
        if tensor.data_type not in floats:
            continue
        try:
            values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"{label} is malformed: {first_line(error)}; export the model again"
            ) from error
        wrong = np.isnan(values.astype(np.float32, copy=False))
        if wrong.any():
            first = tuple(int(axis) for axis in np.argwhere(wrong)[0])
            count = int(wrong.sum())
            raise ModelError(
                f"{label} holds NaN at index {first}"
                f"{f' and {count - 1} more' if count > 1 else ''}: training diverged or the file "
                "is damaged; export the model again"
            )


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, cut if it is long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0].rstrip(".") if lines else type(error).__name__
    return first if len(first) <= LONGEST_LINE else f"{first[:LONGEST_LINE]}..."
