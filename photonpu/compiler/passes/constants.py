"""Constant nodes become constants of the graph."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only

_HALVES = ("float16", "bfloat16")


def constants(graph: Graph) -> Graph:
    """Turn Constant nodes, and half-precision constants cast to float32, into constants.

    Their values are known beforehand and the cast is exact; onnxruntime puts such casts before
    every operator that it computes in float32. What is handed out as an output stays a node,
    since every output is given by one.
    """
    found: dict[str, Array] = {}
    known = ChainMap(found, dict(graph.constants))
    nodes = []
    for node in graph.nodes:
        value = None
        if not node.domain and node.outputs[0] not in graph.output_names:
            value = _held(node) if node.op == "Constant" else _widened(node, known)
        if value is None:
            nodes.append(node)
        else:
            found[node.outputs[0]] = read_only(value)
    if not found:
        return graph
    merged = MappingProxyType({**graph.constants, **found})
    return replace(graph, nodes=tuple(nodes), constants=merged)


def _held(node: Node) -> Array | None:
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

    value = known.get(node.inputs[0]) if node.op == "Cast" else None
    if value is None or value.dtype.name not in _HALVES:
        return None
    return value.astype(np.float32) if node.values()["to"] == TensorProto.FLOAT else None
