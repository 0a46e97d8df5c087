"""What no output needs goes."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from photonpu.compiler.graph import Graph


def drop_dead(graph: Graph) -> Graph:
    """Remove nodes and constants that no output depends on: ONNX operators have no side effects."""
    needed = set(graph.output_names)
    kept = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.writes):
            needed.update(node.reads)
            kept.append(node)
    constants = {name: value for name, value in graph.constants.items() if name in needed}
    if len(kept) == len(graph.nodes) and len(constants) == len(graph.constants):
        return graph
    return replace(graph, nodes=tuple(reversed(kept)), constants=MappingProxyType(constants))
