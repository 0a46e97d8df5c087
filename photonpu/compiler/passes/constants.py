"""Constant nodes become constants of the graph."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only


def constants(graph: Graph) -> Graph:
    """Move the values of Constant nodes to the graph's constants: both are known beforehand.

    A Constant that is handed out as an output stays a node, since every output is given by one.
    """
    found: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        value = _value(node) if node.op == "Constant" and not node.domain else None
        if value is None or node.outputs[0] in graph.output_names:
            nodes.append(node)
        else:
            found[node.outputs[0]] = read_only(value)
    if not found:
        return graph
    merged = MappingProxyType({**graph.constants, **found})
    return replace(graph, nodes=tuple(nodes), constants=merged)


def _value(node: Node) -> Array | None:
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
