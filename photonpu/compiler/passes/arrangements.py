"""Constants that are only arranged anew."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only
from photonpu.errors import ModelError


def arrange_constants(graph: Graph) -> Graph:
    """Transpose and reshape constants beforehand.

    onnxruntime does so with all constants but those that are too large for its file, and with
    those that an earlier pass made.

    Raises
    ------
    ModelError
        Names a node whose sizes or axes do not fit the constant.
    """
    found: dict[str, Array] = {}
    nodes = []
    for node in graph.nodes:
        value = None
        if not node.domain and node.inputs and node.outputs[0] not in graph.output_names:
            try:
                value = _arranged(graph, node, found)
            except (ValueError, IndexError) as error:  # NumPy's, of sizes or axes that don't fit
                raise ModelError(
                    f"node '{node.name}' ({node.op}) cannot arrange its constant: {error}; export "
                    "the model again"
                ) from error
        if value is None:
            nodes.append(node)
        else:
            found[node.outputs[0]] = read_only(value)
    if not found:
        return graph
    merged = MappingProxyType({**graph.constants, **found})
    return replace(graph, nodes=tuple(nodes), constants=merged)


def _arranged(graph: Graph, node: Node, found: dict[str, Array]) -> Array | None:
    """Return the constant that a node gives, if it only arranges another one anew."""
    value, *others = (found.get(name, graph.constants.get(name)) for name in node.inputs)
    if value is None:
        return None
    if node.op == "Transpose":
        return value.transpose(node.values().get("perm"))
    if node.op == "Reshape" and others and others[0] is not None and others[0].size:
        keep = not node.values().get("allowzero", 0)
        sizes = [
            value.shape[axis] if keep and size == 0 else int(size)
            for axis, size in enumerate(others[0])
        ]
        return value.reshape(sizes)
    if node.op in ("Squeeze", "Unsqueeze"):
        axes = node.values().get("axes", ()) if not others else others[0]
        if axes is None or len(axes) == 0:
            return None
        change = np.squeeze if node.op == "Squeeze" else np.expand_dims
        return change(value, tuple(axes))
    return None
