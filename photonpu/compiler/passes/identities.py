"""Operators that hand their input on unchanged go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from photonpu.compiler.graph import Graph, Node


def drop_identities(graph: Graph) -> Graph:
    """Remove Identity and Dropout: at inference both hand their first input on.

    One stays if its output has readers inside subgraphs, or if it gives an output of the network
    and its input is no tensor that can take this name.
    """
    captured = {name for node in graph.nodes for name in node.captured}
    names: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        output = node.outputs[0]
        if not _hands_on(node, graph) or output in captured:
            kept.append(node)
            continue
        source = _final(node.inputs[0], names)
        if output not in graph.output_names:
            names[output] = source
        elif source in graph.producer and source not in captured | graph.output_names:
            names[source] = output
        else:
            kept.append(node)
    if not names:
        return graph
    return replace(graph, nodes=tuple(_renamed(node, names) for node in kept))


def _hands_on(node: Node, graph: Graph) -> bool:
    """Say whether at inference the node's first output is its first input."""
    if node.domain or node.op not in ("Identity", "Dropout"):
        return False
    unread = all(
        name not in graph.readers and name not in graph.output_names for name in node.writes[1:]
    )
    training = node.inputs[2] if len(node.inputs) > 2 else ""
    if training:
        return unread and training in graph.constants and not graph.constants[training].any()
    return unread


def _final(name: str, names: Mapping[str, str]) -> str:
    while name in names:
        name = names[name]
    return name


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    inputs = tuple(_final(name, names) for name in node.inputs)
    outputs = tuple(_final(name, names) for name in node.outputs)
    if (inputs, outputs) == (node.inputs, node.outputs):
        return node
    return replace(node, inputs=inputs, outputs=outputs)
