"""Affine operators after a product go into its weights and its bias."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only

#: The oldest operator set in which these operators mean what they mean here.
OLDEST_OPSET = 7
#: What they can fold into.
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Affine:
    """``scale * tensor + shift``, each (channels,) or (1,).

    Attributes
    ----------
    tensor
        Name of what it acts on.
    scale, shift
        Its numbers; no scale is 1.
    """

    tensor: str
    scale: Array | None
    shift: Array


def fold_affine(graph: Graph) -> Graph:
    """Fold BatchNormalization, Add, Sub, Mul and Div into the product before them.

    At inference each is affine with one constant a channel: it goes into the weights and the bias
    of a Conv, ConvTranspose, Gemm or MatMul of matrices, if nothing else reads that product.
    """
    if graph.opset.get("", OLDEST_OPSET) < OLDEST_OPSET:
        return graph
    for name in [node.name for node in graph.nodes if node.op in AFFINE and not node.domain]:
        node = next(node for node in graph.nodes if node.name == name)
        for affine in AFFINE[node.op](graph, node):
            folded = _absorb(graph, node, affine)
            if folded is not None:
                graph = folded
                break
    return graph


def _batch_norm(graph: Graph, norm: Node) -> Iterator[Affine]:
    values = norm.values()
    trains = values.get("training_mode", 0) or len(norm.writes) > 1
    constant = all(name in graph.constants for name in norm.inputs[1:])
    if trains or not values.get("spatial", 1) or not constant:
        return
    gain, offset, mean, variance = (
        graph.constants[name].astype(np.float64) for name in norm.inputs[1:]
    )
    with np.errstate(all="ignore"):
        scale = gain / np.sqrt(variance + values.get("epsilon", 1e-5))
    yield Affine(norm.inputs[0], scale, offset - mean * scale)


def _operands(graph: Graph, node: Node) -> Iterator[tuple[str, Array, bool]]:
    """Yield (tensor, one constant a channel, tensor is first) of an operator on two tensors."""
    first, second = node.inputs
    for name, other in ((first, second), (second, first)):
        product = graph.producer.get(name)
        rank = None if product is None else _rank(graph, product)
        value = graph.constants.get(other)
        if value is None or rank is None or value.ndim > rank:
            continue
        shape = (1,) * (rank - value.ndim) + value.shape
        if all(size == 1 for axis, size in enumerate(shape) if axis != 1):
            yield name, value.astype(np.float64).reshape(-1), name == first


def _add(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, _ in _operands(graph, node):
        yield Affine(name, None, value)


def _sub(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, first in _operands(graph, node):
        yield Affine(name, None, -value) if first else Affine(name, -np.ones(1), value)


def _mul(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, _ in _operands(graph, node):
        yield Affine(name, value, np.zeros(1))


def _div(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, first in _operands(graph, node):
        if first and value.all():
            yield Affine(name, 1 / value, np.zeros(1))


#: Operator -> what it may be as an affine function of one of its inputs.
AFFINE: Mapping[str, Callable[[Graph, Node], Iterator[Affine]]] = MappingProxyType(
    {"BatchNormalization": _batch_norm, "Add": _add, "Sub": _sub, "Mul": _mul, "Div": _div}
)


def _rank(graph: Graph, product: Node) -> int | None:
    """Return the number of axes of a product's output, if it is known."""
    if product.op == "Gemm":
        return 2
    if len(product.inputs) > 1 and product.op in ("Conv", "ConvTranspose"):
        weight = graph.constants.get(product.inputs[1])
        return None if weight is None else weight.ndim
    shape = graph.shapes.get(product.outputs[0])
    return None if shape is None else len(shape)


def _absorb(graph: Graph, node: Node, affine: Affine) -> Graph | None:
    """Replace a product and the affine `node` after it by one product.

    Returns None if something else needs the tensor between them, or the product can't take the
    constants.
    """
    product = graph.producer.get(affine.tensor)
    if product is None or product.domain or product.op not in PRODUCTS:
        return None
    if graph.only_reader(affine.tensor) is not node or not _constant_but_data(graph, product):
        return None
    weight, values = graph.constants[product.inputs[1]], product.values()
    if product.op == "MatMul" and (weight.ndim != 2 or _rank(graph, product) != 2):
        return None
    channels = _channels(product.op, weight, values)
    beta = values.get("beta", 1.0) if product.op == "Gemm" else 1.0
    numbers = [affine.shift] if affine.scale is None else [affine.shift, affine.scale]
    if beta == 0 or any(len(v) not in (1, channels) or not _finite(v) for v in numbers):
        return None
    bias_name = product.inputs[2] if len(product.inputs) > 2 else ""
    bias = graph.constants[bias_name].astype(np.float64) if bias_name else np.zeros(channels)
    scaled = bias if affine.scale is None else bias * affine.scale
    added = {graph.fresh(f"{node.outputs[0]}/bias"): scaled + affine.shift / beta}
    inputs = [product.inputs[0], product.inputs[1], *added]
    if affine.scale is not None:
        scale = np.broadcast_to(affine.scale, (channels,))
        inputs[1] = graph.fresh(f"{node.outputs[0]}/weight")
        added[inputs[1]] = weight * _spread(scale, product.op, weight, values)
    folded = replace(
        product,
        op="Gemm" if product.op == "MatMul" else product.op,
        inputs=tuple(inputs),
        outputs=node.outputs[:1],
    )
    nodes = (folded if other is product else other for other in graph.nodes if other is not node)
    constants = {key: read_only(value.astype(weight.dtype)) for key, value in added.items()}
    return replace(
        graph,
        nodes=tuple(nodes),
        constants=MappingProxyType({**graph.constants, **constants}),
    )


def _constant_but_data(graph: Graph, product: Node) -> bool:
    return len(product.inputs) > 1 and all(
        not name or name in graph.constants for name in product.inputs[1:]
    )


def _finite(values: Array) -> bool:
    return bool(np.isfinite(values).all())


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
