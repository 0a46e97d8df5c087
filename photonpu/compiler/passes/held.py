"""Products that hold a constant matrix: where their channels are; how to change their numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, read_only

#: The oldest operator set in which these operators mean what they mean here.
OLDEST_OPSET = 7


@dataclass(frozen=True, slots=True)
class Held:
    """A Conv, ConvTranspose, Gemm or MatMul all of whose operands but the data are constants.

    Attributes
    ----------
    node
        The operator.
    place
        Which of its inputs the data are, 0 or 1.
    axis
        Axis of the channels, in its data as in its output.
    rank
        Number of axes of both.
    matrix
        (groups, rows, columns, taps) what it multiplies by, rows and columns those of one group:
        of a convolution a view of its weight, of others doubles.
    bias
        (rows of all groups,) what it adds.
    """

    node: Node
    place: int
    axis: int
    rank: int
    matrix: Array
    bias: Array

    @property
    def data(self) -> str:
        """Name of its data."""
        return self.node.inputs[self.place]

    @property
    def channels(self) -> int:
        """Channels that come out."""
        return int(self.matrix.shape[0] * self.matrix.shape[1])

    @property
    def in_channels(self) -> int:
        """Channels that go in."""
        return int(self.matrix.shape[0] * self.matrix.shape[2])

    @property
    def padded(self) -> bool:
        """Whether some outputs see fewer inputs than others, so that a shift would differ."""
        values = self.node.values()
        if self.node.op == "Conv":
            return values.get("auto_pad", "NOTSET").startswith("SAME") or any(
                values.get("pads", ())
            )
        return self.node.op == "ConvTranspose"


def held(graph: Graph, node: Node | None) -> Held | None:
    """Return a node as a product with a constant matrix, if it is one.

    Attributes that contradict the weight make it none: its lowering says so.
    """
    if node is None or node.domain or graph.opset.get("", OLDEST_OPSET) < OLDEST_OPSET:
        return None
    if node.op in ("Conv", "ConvTranspose"):
        place = 0
    elif node.op in ("Gemm", "MatMul"):
        place = int(node.inputs[0] in graph.constants)
    else:
        return None
    others = [name for index, name in enumerate(node.inputs) if index != place]
    if not others[0] or any(name and name not in graph.constants for name in others):
        return None
    if node.inputs[place] in graph.constants:
        return None
    weight = graph.constants[others[0]]
    bias = graph.constants[others[1]] if len(others) > 1 and others[1] else None
    if weight.dtype.kind != "f":
        return None
    dense = node.op in ("Gemm", "MatMul")
    return _dense(graph, node, place, weight, bias) if dense else _conv(node, weight, bias)


def _conv(node: Node, weight: Array, bias: Array | None) -> Held | None:
    groups, taps = node.values().get("group", 1), math.prod(weight.shape[2:])
    if weight.ndim < 3 or not weight.size or groups < 1 or len(weight) % groups:
        return None
    matrix = weight.reshape(groups, len(weight) // groups, weight.shape[1], taps)
    if node.op == "ConvTranspose":
        matrix = matrix.swapaxes(1, 2)
    channels = groups * matrix.shape[1]
    offset = np.zeros(channels) if bias is None else bias.astype(np.float64)
    if offset.shape != (channels,):
        return None
    return Held(node, 0, 1, weight.ndim, matrix, offset)


def _dense(graph: Graph, node: Node, place: int, weight: Array, bias: Array | None) -> Held | None:
    values = node.values()
    shape = graph.shapes.get(node.inputs[place])
    rank = 2 if node.op == "Gemm" else len(shape or ())
    if weight.ndim != 2 or not rank or values.get("transA" if place == 0 else "transB", 0):
        return None
    flag = values.get("transB", 0) if place == 0 else not values.get("transA", 0)
    matrix = (weight if flag else weight.T).astype(np.float64)
    axis = rank - 1 if place == 0 or rank == 1 else rank - 2
    offset = np.zeros(len(matrix))
    if bias is not None:
        numbers = along(bias, axis, rank)
        if numbers is None or len(numbers) not in (1, len(matrix)):
            return None
        offset = np.broadcast_to(numbers, (len(matrix),)).astype(np.float64)
    alpha, beta = values.get("alpha", 1.0), values.get("beta", 1.0)
    return Held(node, place, axis, rank, alpha * matrix[None, :, :, None], beta * offset)


def along(value: Array, axis: int, rank: int) -> Array | None:
    """Return an array that broadcasts to `rank` axes as one number an element of one of them.

    None if it varies over another axis.
    """
    if value.ndim > rank:
        return None
    value = value.reshape((1,) * (rank - value.ndim) + value.shape)
    for other in range(rank):
        if other != axis and value.shape[other] != 1:
            first = value.take([0], axis=other)
            if not (value == first).all():
                return None
            value = first
    return value.reshape(-1)


def changed(graph: Graph, product: Held, output: str, *, new_weight: bool = True) -> Graph:
    """Return the graph with the matrix and the bias that `product` now has, under new names.

    Parameters
    ----------
    graph
        The graph that `product` was found in.
    product
        The product with other numbers.
    output
        Name of its output from now on.
    new_weight
        Whether its matrix is another one.
    """
    node, weight_place = product.node, 1 - product.place
    old = graph.constants[node.inputs[weight_place]]
    numbers: dict[str, Array] = {}
    inputs = [*node.inputs[:2]]
    op = node.op
    attributes = dict(node.attributes)
    if new_weight:
        inputs[weight_place] = graph.fresh(f"{output}/weight")
        numbers[inputs[weight_place]] = _weight(product, old.shape)
        attributes.pop("alpha", None)
    if product.bias.any() or len(node.inputs) > 2:
        inputs.append(graph.fresh(f"{output}/bias"))
        numbers[inputs[2]] = _bias(product)
        attributes.pop("beta", None)
        op = "Gemm" if op == "MatMul" and product.rank == 2 else op
    new = replace(
        node,
        op=op,
        inputs=tuple(inputs),
        outputs=(output,),
        attributes=MappingProxyType(attributes),
    )
    constants = {
        name: read_only(value.astype(old.dtype, copy=False)) for name, value in numbers.items()
    }
    return replace(
        graph,
        nodes=tuple(new if other is node else other for other in graph.nodes),
        constants=MappingProxyType({**graph.constants, **constants}),
    )


def _weight(product: Held, shape: tuple[int, ...]) -> Array:
    """Lay the matrix out as its operator wants it."""
    matrix, values = product.matrix, product.node.values()
    if product.node.op == "Conv":
        return matrix.reshape(shape)
    if product.node.op == "ConvTranspose":
        return matrix.swapaxes(1, 2).reshape(shape)
    dense = matrix[0, :, :, 0]
    flag = values.get("transB", 0) if product.place == 0 else not values.get("transA", 0)
    return np.ascontiguousarray(dense if flag else dense.T)


def _bias(product: Held) -> Array:
    """Lay the bias out so that it can be added to the output."""
    if product.node.op in ("Conv", "ConvTranspose"):
        return product.bias
    return product.bias.reshape(-1, *(1,) * (product.rank - 1 - product.axis))
