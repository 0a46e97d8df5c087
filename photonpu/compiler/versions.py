"""Versions of ONNX: onnx is usually some months ahead of onnxruntime."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import onnx
import onnxruntime
from onnx import helper

from photonpu.errors import UnsupportedModelError


def clamp(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model that asks for no newer format or operators than onnxruntime knows.

    onnx is usually a few months ahead of onnxruntime, while most operators stay what they were.

    Parameters
    ----------
    model
        The model; left as it is.
    """
    clamped = onnx.ModelProto()
    clamped.CopyFrom(model)
    format_version, opset = newest_versions()
    clamped.ir_version = min(model.ir_version, format_version)
    for entry in (*clamped.opset_import, *(o for f in clamped.functions for o in f.opset_import)):
        if entry.domain in ("", "ai.onnx"):
            entry.version = min(entry.version, opset)
    return clamped


def fitted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that onnxruntime knows the versions of and that means the same.

    Parameters
    ----------
    model
        A checked model; left as it is, and returned itself if nothing is to change.

    Raises
    ------
    UnsupportedModelError
        An operator was changed in a later operator set than onnxruntime knows.
    """
    format_version, opset = newest_versions()
    wanted = max((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), default=0)
    if model.ir_version <= format_version and wanted <= opset:
        return model
    if wanted > opset:
        for node in nodes_of(model.graph):
            _check_unchanged(node, wanted, opset)
    return clamp(model)


def _check_unchanged(node: onnx.NodeProto, wanted: int, known: int) -> None:
    """Refuse an operator that `wanted` has in another version than `known`."""
    if node.domain not in ("", "ai.onnx"):
        return
    since = onnx.defs.get_schema(node.op_type, wanted).since_version
    if since > known:
        raise UnsupportedModelError(
            f"node '{node.name or ', '.join(node.output)}' ({node.op_type}) is of operator set "
            f"{since} and this onnxruntime knows up to {known}: upgrade onnxruntime, or export the "
            f"model for operator set {known}"
        )


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of all graphs inside them."""
    for node in graph.node:
        yield node
        for record in node.attribute:
            for inner in (record.g, *record.graphs):
                yield from nodes_of(inner)


@functools.cache
def newest_versions() -> tuple[int, int]:
    """Return the newest format and operator set that onnx and onnxruntime both know, by trying."""
    opset = onnx.defs.onnx_opset_version()
    formats = range(onnx.IR_VERSION, 3, -1)
    format_version = next(version for version in formats if _loads(version, 13))
    return format_version, next(n for n in range(opset, 7, -1) if _loads(8, n))


def _loads(ir_version: int, opset: int) -> bool:
    """Say whether onnxruntime takes a model of these versions."""
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "probe",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
        ),
        ir_version=ir_version,
        opset_imports=[helper.make_opsetid("", opset)],
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # onnxruntime's exceptions share no other root
        return False
    return True
