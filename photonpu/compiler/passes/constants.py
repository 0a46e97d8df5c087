"""Constant nodes become constants of the graph."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only
from photonpu.compiler.passes import integers

_HALVES = ("float16", "bfloat16")


def constants(graph: Graph) -> Graph:
    """Turn Constant nodes, casts to float32 and DequantizeLinear of constants into constants.

    Their values are known beforehand, and the cast, of half precision, is exact; onnxruntime puts
    such casts before every operator that it computes in float32. What is handed out as an
    output stays a node, since every output is given by one.
    """
    found: dict[str, Array] = {}
    known = ChainMap(found, dict(graph.constants))
    nodes = []
    for node in graph.nodes:
        value = None
        if not node.domain and node.outputs[0] not in graph.output_names:
            value = KNOWN[node.op](node, known) if node.op in KNOWN else None
        if value is None:
            nodes.append(node)
        else:
            found[node.outputs[0]] = read_only(value)
    if not found:
        return graph
    merged = MappingProxyType({**graph.constants, **found})
    return replace(graph, nodes=tuple(nodes), constants=merged)


def _held(node: Node, known: Mapping[str, Array]) -> Array | None:
    """Return what a Constant node holds; None for text and for sparse tensors."""
    from onnx import numpy_helper

    for key, value in node.values().items():
        if key == "value":
            return numpy_helper.to_array(value)
        if key in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if key in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    return None


def _widened(node: Node, known: Mapping[str, Array]) -> Array | None:
    """Return the float32 that a Cast makes of a constant of half precision, else None."""
    from onnx import TensorProto

    value = known.get(node.inputs[0])
    if value is None or value.dtype.name not in _HALVES:
        return None
    return value.astype(np.float32) if node.values()["to"] == TensorProto.FLOAT else None


def _real(node: Node, known: Mapping[str, Array]) -> Array | None:
    """Return what the integers of a constant stand for, in the type of their scale, else None."""
    attributes = node.values()
    if any(name not in known for name in node.reads) or attributes.get("output_dtype", 0):
        return None
    values, scale, *rest = (known[name] for name in node.reads)
    zero_point = rest[0] if rest else None
    axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
    try:
        numbers = integers.real(values, scale, zero_point, axis=axis, block=block)
    except (ValueError, IndexError):  # malformed: onnxruntime says so when it runs
        return None
    return numbers.astype(scale.dtype, copy=False)


#: Operator -> what finds its value, from those that are known.
KNOWN: Mapping[str, Callable[[Node, Mapping[str, Array]], Array | None]] = MappingProxyType(
    {"Constant": _held, "Cast": _widened, "DequantizeLinear": _real}
)
