"""A Gemm keeps what the mesh can do; the rest becomes operators around it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only

#: The oldest operator set in which Gemm means what it means here.
OLDEST_OPSET = 7


def split_gemm(graph: Graph) -> Graph:
    """Give a Gemm with one constant factor a Transpose before it and an Add after it.

    Light streams through the mesh row by row and each output has one bias: data that are
    transposed, and a bias that is not one constant a channel, are work for the digital unit.
    """
    if graph.opset.get("", OLDEST_OPSET) < OLDEST_OPSET:
        return graph
    nodes: list[Node] = []
    added: dict[str, Array] = {}
    for node in graph.nodes:
        if node.op == "Gemm" and not node.domain and _held(graph, node) is not None:
            nodes += _split(graph, node, added)
        else:
            nodes.append(node)
    if len(nodes) == len(graph.nodes):
        return graph
    return replace(
        graph,
        nodes=tuple(nodes),
        constants=MappingProxyType({**graph.constants, **added}),
    )


def _held(graph: Graph, node: Node) -> int | None:
    """Return which of the two factors is a constant that the mesh can hold, if just one is."""
    constant = [graph.constants.get(name) for name in node.inputs[:2]]
    held = [index for index, value in enumerate(constant) if value is not None]
    if len(held) != 1 or graph.constants[node.inputs[held[0]]].dtype != np.float32:
        return None
    return held[0]


def _split(graph: Graph, node: Node, added: dict[str, Array]) -> list[Node]:
    """Return what to put in a Gemm's place; constants that this needs go to `added`."""
    held = _held(graph, node)
    data = 0 if held else 1
    flag = "transB" if data else "transA"
    values, attributes = node.values(), dict(node.attributes)
    inputs, output = list(node.inputs), node.outputs[0]
    before: list[Node] = []
    after: list[Node] = []
    if values.get(flag, 0):
        turned = graph.fresh(f"{output}/data")
        before.append(_transpose(f"{node.name}/transpose", inputs[data], turned))
        inputs[data] = turned
        del attributes[flag]
    if len(inputs) > 2 and inputs[2] and not _fits(graph, inputs[2], data):
        bias = inputs.pop()
        product = graph.fresh(f"{output}/product")
        after = _add(graph, node, values.get("beta", 1.0), (product, bias), added)
        output = product
    gemm = replace(node, inputs=tuple(inputs), outputs=(output,), attributes=attributes)
    return [*before, gemm, *after]


def _fits(graph: Graph, bias: str, data: int) -> bool:
    """Say whether a bias is one constant a channel, which lie along the axis of the factor held."""
    value = graph.constants.get(bias)
    if value is None:
        return False
    shape = (1,) * (2 - value.ndim) + value.shape
    return bool(shape[data] == 1)


def _add(
    graph: Graph, node: Node, beta: float, addends: tuple[str, str], added: dict[str, Array]
) -> list[Node]:
    """Return the nodes that add ``beta`` times a bias to a product."""
    product, bias = addends
    scaled: list[Node] = []
    if beta != 1.0:
        factor, multiple = graph.fresh(f"{bias}/beta"), graph.fresh(f"{node.outputs[0]}/bias")
        added[factor] = read_only(np.array(beta, np.float32))
        scaled.append(Node(f"{node.name}/beta", "Mul", "", (bias, factor), (multiple,)))
        bias = multiple
    return [*scaled, Node(f"{node.name}/bias", "Add", "", (product, bias), node.outputs)]


def _transpose(name: str, data: str, turned: str) -> Node:
    from onnx import helper

    perm: Any = helper.make_attribute("perm", [1, 0])
    return Node(name, "Transpose", "", (data,), (turned,), MappingProxyType({"perm": perm}))
