"""Products in a row, and sums of products written elementwise."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_lowercase

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node
from photonpu.compiler.passes.held import Held, changed, held
from photonpu.compiler.passes.replacement import (
    AXES_AS_INPUT,
    Replacement,
    opset,
    rewrite,
)

_EINSUM = 12  # the operator set that brought it


def join_products(graph: Graph) -> Graph:
    """Multiply two constant matrices in a row into one if that is no more work.

    A Gemm or MatMul behind another over the same axis, with nothing but a bias between them and no
    other reader, is one product with one matrix, and the light passes one mesh instead of two.
    """
    for old in [node for node in graph.nodes if node.op in ("Gemm", "MatMul")]:
        node = graph.producer.get(old.outputs[0])
        second = held(graph, node)
        if second is None:
            continue
        first = held(graph, graph.producer.get(second.data))
        if first is not None and graph.only_reader(second.data) is node:
            graph = _joined(graph, first, second)
    return graph


def _joined(graph: Graph, first: Held, second: Held) -> Graph:
    """Return the graph with one product in the place of two, or as it is."""
    if first.node.op not in ("Gemm", "MatMul") or first.axis != second.axis:
        return graph
    before, after = first.matrix[0, :, :, 0], second.matrix[0, :, :, 0]
    if before.shape[0] != after.shape[1] or first.rank != second.rank:
        return graph
    if len(after) * before.shape[1] > before.size + after.size:
        return graph
    joined = replace(
        second,
        node=replace(second.node, inputs=_with_data(second, first.data)),
        matrix=(after @ before)[None, :, :, None],
        bias=after @ first.bias + second.bias,
    )
    nodes = tuple(
        joined.node if node is second.node else node
        for node in graph.nodes
        if node is not first.node
    )
    return changed(replace(graph, nodes=nodes), joined, second.node.outputs[0])


def _with_data(product: Held, data: str) -> tuple[str, ...]:
    return tuple(data if i == product.place else n for i, n in enumerate(product.node.inputs))


def gather_sums(graph: Graph) -> Graph:
    """Write ReduceSum of a Mul by a constant as the Einsum it is, if it sums all that is scaled.

    Light sums what it passes, so that a weighted sum is a product with a matrix of one row.
    """
    return rewrite(graph, _change) if opset(graph) >= _EINSUM else graph


def _change(graph: Graph, node: Node) -> Replacement | None:
    found = _weighted(graph, node)
    shape = None if found is None else graph.shapes.get(found[0])
    if found is None or shape is None or not 0 < len(shape) <= len(ascii_lowercase):
        return None
    data, name = found
    value = graph.constants[name]
    axes = _summed_axes(graph, node, len(shape))
    if axes is None or value.ndim > len(shape):
        return None
    weight = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
    scaled = [axis for axis, size in enumerate(weight.shape) if size != 1]
    fits = all(weight.shape[axis] == shape[axis] for axis in scaled)
    if not (scaled and fits and {*scaled} <= axes):
        return None
    new = Replacement(graph, node)
    every = ascii_lowercase[: len(shape)]
    ones = sorted(axes) if node.values().get("keepdims", 1) else []  # each an axis of the weight
    sizes = [*(weight.shape[axis] for axis in scaled), *(1 for _ in ones)]
    factor = new.constant("weight", weight.reshape(sizes))
    held_axes = [every[axis] for axis in scaled] + [every[axis].upper() for axis in ones]
    left = [
        every[axis].upper() if axis in axes else every[axis]
        for axis in range(len(shape))
        if axis in ones or axis not in axes
    ]
    target = tuple(1 if a.isupper() else shape[every.index(a)] for a in left)
    equation = f"{every},{''.join(held_axes)}->{''.join(left)}"
    new.apply("Einsum", [data, factor], target, equation=equation)
    return new


def _weighted(graph: Graph, node: Node) -> tuple[str, str] | None:
    """Return data and constant of the product that a ReduceSum alone reads."""
    if node.domain or node.op != "ReduceSum" or graph.only_reader(node.inputs[0]) is not node:
        return None
    product = graph.producer.get(node.inputs[0])
    if product is None or product.domain or product.op != "Mul":
        return None
    constants = [name for name in product.inputs if name in graph.constants]
    data = [name for name in product.inputs if name not in graph.constants]
    if len(constants) != 1 or graph.constants[constants[0]].dtype != np.float32:
        return None
    return data[0], constants[0]


def _summed_axes(graph: Graph, node: Node, rank: int) -> set[int] | None:
    """Return the axes that a ReduceSum sums over, if they are known."""
    values = node.values()
    axes: Array | None = None
    if opset(graph) < AXES_AS_INPUT:
        axes = np.array(values.get("axes", range(rank)))
    elif len(node.inputs) > 1 and node.inputs[1]:
        axes = graph.constants.get(node.inputs[1])
    elif not values.get("noop_with_empty_axes", 0):
        axes = np.arange(rank)
    return None if axes is None or not axes.size else {int(axis) % rank for axis in axes.ravel()}
