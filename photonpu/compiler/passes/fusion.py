"""Affine operators after a product go into its weights and its bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only


#: The oldest operator set in which BatchNormalization and Add mean what they mean here.
OLDEST_OPSET = 7
#: What an affine operator can fold into.
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold BatchNormalization into the product before it: at inference it is affine a channel.

    It folds after Conv, ConvTranspose, Gemm and a MatMul of matrices that nothing else reads.
    """
    return _fold_all(graph, "BatchNormalization", _fold_batch_norm)


def fold_bias(graph: Graph) -> Graph:
    """Fold an Add of one constant a channel into the bias of the product before it."""
    return _fold_all(graph, "Add", _fold_bias)


def _fold_all(graph: Graph, op: str, fold: Callable[[Graph, Node], Graph | None]) -> Graph:
    if graph.opset.get("", OLDEST_OPSET) < OLDEST_OPSET:
        return graph
    for name in [node.name for node in graph.nodes if node.op == op and not node.domain]:
        node = next(node for node in graph.nodes if node.name == name)
        graph = fold(graph, node) or graph
    return graph


def _fold_batch_norm(graph: Graph, norm: Node) -> Graph | None:
    values = norm.values()
    trains = values.get("training_mode", 0) or len(norm.writes) > 1
    constant = all(name in graph.constants for name in norm.inputs[1:])
    if trains or not values.get("spatial", 1) or not constant:
        return None
    gain, offset, mean, variance = (
        graph.constants[name].astype(np.float64) for name in norm.inputs[1:]
    )
    with np.errstate(all="ignore"):
        scale = gain / np.sqrt(variance + values.get("epsilon", 1e-5))
    if not np.isfinite(scale).all():
        return None
    return _absorb(graph, norm, norm.inputs[0], scale, offset - mean * scale)


def _fold_bias(graph: Graph, add: Node) -> Graph | None:
    for name, other in (add.inputs, add.inputs[::-1]):
        product = graph.producer.get(name)
        rank = _rank(graph, product) if product is not None else None
        value = graph.constants.get(other)
        if value is None or rank is None or value.ndim > rank:
            continue
        shape = (1,) * (rank - value.ndim) + value.shape
        if all(size == 1 for axis, size in enumerate(shape) if axis != 1):
            return _absorb(graph, add, name, None, value.astype(np.float64).reshape(-1))
    return None


def _rank(graph: Graph, product: Node) -> int | None:
    """Return the number of axes of a product's output, if it is known."""
    if product.op == "Gemm":
        return 2
    if len(product.inputs) > 1 and product.op in ("Conv", "ConvTranspose"):
        weight = graph.constants.get(product.inputs[1])
        return None if weight is None else weight.ndim
    shape = graph.shapes.get(product.outputs[0])
    return None if shape is None else len(shape)


def _absorb(
    graph: Graph, node: Node, name: str, scale: Array | None, shift: Array
) -> Graph | None:
    """Replace the product that gives `name` and the affine `node` after it by one product.

    Parameters
    ----------
    graph
        Where both are.
    node
        The affine operator: ``scale * product + shift``.
    name
        The tensor between them.
    scale
        (channels,) or None for ones.
    shift
        (channels,) or (1,).

    Returns
    -------
    Graph or None
        None if something else needs `name`, or its product can't take the constants.
    """
    product = graph.producer.get(name)
    if product is None or product.domain or product.op not in PRODUCTS:
        return None
    if graph.only_reader(name) is not node or len(product.inputs) < 2:
        return None
    weight = graph.constants.get(product.inputs[1])
    bias_name = product.inputs[2] if len(product.inputs) > 2 else ""
    if weight is None or (bias_name and bias_name not in graph.constants):
        return None
    if product.op == "MatMul" and (weight.ndim != 2 or _rank(graph, product) != 2):
        return None
    values = product.values()
    channels = _channels(product.op, weight, values)
    beta = values.get("beta", 1.0) if product.op == "Gemm" else 1.0
    if beta == 0 or len(shift) not in (1, channels) or (scale is not None and len(scale) != channels):
        return None
    bias = graph.constants[bias_name].astype(np.float64) if bias_name else np.zeros(channels)
    if scale is not None:
        bias = bias * scale
    added = {_fresh(graph, f"{node.outputs[0]}/bias"): bias + shift / beta}
    inputs = [product.inputs[0], product.inputs[1], *added]
    if scale is not None:
        inputs[1] = _fresh(graph, f"{node.outputs[0]}/weight")
        added[inputs[1]] = weight * _spread(scale, product.op, weight, values)
    folded = replace(
        product,
        op="Gemm" if product.op == "MatMul" else product.op,
        inputs=tuple(inputs),
        outputs=node.outputs[:1],
    )
    nodes = (folded if n is product else n for n in graph.nodes if n is not node)
    constants = {key: read_only(value.astype(weight.dtype)) for key, value in added.items()}
    return replace(
        graph,
        nodes=tuple(nodes),
        constants=MappingProxyType({**graph.constants, **constants}),
    )


def _channels(op: str, weight: Array, values: Mapping[str, Any]) -> int:
    """Return the number of output channels of a product."""
    axis = {"Conv": 0, "ConvTranspose": 1, "MatMul": 1}.get(op)
    if axis is None:
        axis = 0 if values.get("transB", 0) else 1
    groups = values.get("group", 1) if op == "ConvTranspose" else 1
    return int(weight.shape[axis] * groups)


def _spread(scale: Array, op: str, weight: Array, values: Mapping[str, Any]) -> Array:
    """Lay one number an output channel out so that it multiplies `weight`."""
    if op == "ConvTranspose":
        groups = values.get("group", 1)
        each = np.repeat(scale.reshape(groups, -1), weight.shape[0] // groups, axis=0)
        return each.reshape(*each.shape, *(1,) * (weight.ndim - 2))
    if op == "Conv" or (op == "Gemm" and values.get("transB", 0)):
        return scale.reshape(-1, *(1,) * (weight.ndim - 1))
    return scale


def _fresh(graph: Graph, name: str) -> str:
    while name in graph.constants or name in graph.producer:
        name += "'"
    return name
