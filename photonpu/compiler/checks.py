"""What a model must be before anything is computed from it, each as a check of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from photonpu.errors import ModelError, UnsupportedModelError
from photonpu.registry import did_you_mean

if TYPE_CHECKING:
    import onnx
    from google.protobuf.message import Message  # type: ignore[import-untyped]

#: Where onnxruntime's own operators live besides the standard.
RUNTIME_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})


def check_text(message: Message, label: str) -> None:
    """Refuse a name that is no UTF-8: protocol buffers hand it out as bytes, others stumble.

    Raises
    ------
    ModelError
        Names the field; `label` is what to call the model.
    """
    for field, value in message.ListFields():
        alone = isinstance(value, str | bytes) or hasattr(value, "ListFields")
        if field.type == field.TYPE_MESSAGE:
            for inner in [value] if alone else value:
                check_text(inner, label)
        texts = [value] if alone else value
        if field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in texts):
            raise ModelError(f"{label} is damaged: a '{field.name}' is no text; copy it again")


def check_operators(proto: onnx.ModelProto) -> None:
    """Refuse an operator that nobody knows, with the nearest name.

    Raises
    ------
    UnsupportedModelError
        Names the first such node.
    """
    from onnx import defs

    own = {(function.domain, function.name) for function in proto.functions}
    standard: list[str] = []
    nodes: list[onnx.NodeProto] = [n for g in _graphs(proto.graph) for n in g.node]
    for node in [*nodes, *(n for function in proto.functions for n in function.node)]:
        if (node.domain, node.op_type) in own:
            continue
        where = f"node '{node.name or node.output[0] if node.output else node.name}'"
        if node.domain not in RUNTIME_DOMAINS:
            raise UnsupportedModelError(
                f"{where} ({node.op_type} of '{node.domain}'): neither the mesh nor onnxruntime "
                "knows this operator; export the model with standard ONNX operators"
            )
        if node.domain in ("", "ai.onnx") and not defs.has(node.op_type):
            standard = standard or [s.name for s in defs.get_all_schemas() if not s.domain]
            raise UnsupportedModelError(
                f"{where} ({node.op_type}): ONNX has no such operator"
                f"{did_you_mean(node.op_type, standard) or '; export with standard operators'}"
            )


def check_structure(proto: onnx.ModelProto, label: str) -> None:
    """Let onnx's checker see the model, and put its complaint into one line.

    Raises
    ------
    ModelError
        The file format or operator set is too new, or the checker complains.
    """
    import onnx
    from onnx import checker

    newest = max(int(value) for value in onnx.Version.values())
    if proto.ir_version > newest:
        raise ModelError(
            f"{label} is written in version {proto.ir_version} of ONNX's format and this "
            f"installation reads up to {newest}: upgrade onnx, or export for an older version"
        )
    for entry in proto.opset_import:
        known = onnx.defs.onnx_opset_version()
        if entry.domain in ("", "ai.onnx") and entry.version > known:
            raise ModelError(
                f"{label} uses operator set {entry.version} and this installation knows up to "
                f"{known}: upgrade onnx and onnxruntime, or export for an older operator set"
            )
    try:
        checker.check_model(proto)
    except checker.ValidationError as error:
        raise ModelError(f"{label} is malformed: {first_line(error)}; export it again") from error


def _tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield every constant of a graph and of the graphs inside, with what to call it."""
    for inner in _graphs(graph):
        for tensor in inner.initializer:
            yield f"initializer '{tensor.name}'", tensor
        for node in inner.node:
            for record in node.attribute:
                if record.HasField("t"):
                    yield f"constant '{node.output[0] if node.output else node.name}'", record.t


def check_complete(proto: onnx.ModelProto, label: str) -> None:
    """Refuse a model whose weights are still in another file: nobody may look for it just anywhere.

    Raises
    ------
    ModelError
        Names the first such tensor.
    """
    from onnx import TensorProto

    for name, tensor in _tensors(proto.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ModelError(
                f"{label} keeps {name} in another file: give the path of the .onnx file, with that "
                "file in the same folder"
            )


def check_dense(graph: onnx.GraphProto) -> None:
    """Refuse sparse initializers.

    Raises
    ------
    UnsupportedModelError
        Names the first.
    """
    for inner in _graphs(graph):
        for sparse in inner.sparse_initializer:
            raise UnsupportedModelError(
                f"initializer '{sparse.values.name}' is a sparse tensor and photonpu reads dense "
                "ones: export the model without sparse tensors"
            )


def check_numbers(graph: onnx.GraphProto) -> None:
    """Refuse NaN; infinity is refused where it would reach the mesh, for masks rightly hold it.

    Raises
    ------
    ModelError
        Names the constant and the place of the first NaN.
    """
    from onnx import TensorProto, numpy_helper

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    for label, tensor in _tensors(graph):
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


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs inside its nodes."""
    yield graph
    for node in graph.node:
        yield from _subgraphs(node)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for record in node.attribute:
        if record.HasField("g"):
            yield from _graphs(record.g)
        for graph in record.graphs:
            yield from _graphs(graph)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
