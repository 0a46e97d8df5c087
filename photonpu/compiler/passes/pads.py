"""Zeros around the input of a convolution go into its pads."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node

#: The operator set from which on Pad takes its amounts as an input.
PADS_AS_INPUT = 11


def fold_pads(graph: Graph) -> Graph:
    """Let a Conv pad by itself what a Pad pads with zeros before it.

    The windows of a convolution that lie outside its input read zeros, which cost no memory
    traffic. Exporters write a Pad of its own where both ends differ.
    """
    nodes = tuple(_folded(graph, node) for node in graph.nodes)
    if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return replace(graph, nodes=nodes)


def _folded(graph: Graph, node: Node) -> Node:
    """Return a Conv that reads what a Pad before it reads; another node as it is."""
    if node.domain or node.op != "Conv":
        return node
    pad = graph.producer.get(node.inputs[0])
    values = node.values()
    if pad is None or values.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return node
    amounts = _amounts(graph, pad)
    if amounts is None or amounts[:, :2].any() or (amounts < 0).any():
        return node
    from onnx import helper

    spatial = amounts[:, 2:].ravel()
    own = values.get("pads") or [0] * len(spatial)
    together = [int(a + b) for a, b in zip(own, spatial, strict=True)]
    attributes = {key: record for key, record in node.attributes.items() if key != "auto_pad"}
    attributes["pads"] = helper.make_attribute("pads", together)
    inputs = (pad.inputs[0], *node.inputs[1:])
    return replace(node, inputs=inputs, attributes=MappingProxyType(attributes))


def _amounts(graph: Graph, pad: Node) -> Array | None:
    """Return the zeros (2, axes) that a Pad adds before and after; None for any other node."""
    values = pad.values()
    if pad.domain or pad.op != "Pad" or values.get("mode", "constant") != "constant":
        return None
    if graph.opset.get("", PADS_AS_INPUT) < PADS_AS_INPUT:
        old = values.get("pads", values.get("paddings"))
        return None if values.get("value", 0.0) or old is None else np.reshape(old, (2, -1))
    amounts, value, axes = (*pad.inputs[1:], "", "")[:3]
    constants = graph.constants
    if amounts not in constants or (value and (value not in constants or constants[value].any())):
        return None
    rank = len(graph.shapes.get(pad.inputs[0], ()))
    given = constants[amounts].reshape(2, -1)
    if not axes:
        return given
    if axes not in constants or not rank:
        return None
    spread = np.zeros((2, rank), np.int64)
    spread[:, constants[axes]] = given
    return spread
