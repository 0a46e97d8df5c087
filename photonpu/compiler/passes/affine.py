"""Affine operators around a product go into its weights and its bias."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node
from photonpu.compiler.meanwhile import both
from photonpu.compiler.passes.held import OLDEST_OPSET, Held, along, changed, held
from photonpu.compiler.passes.moves import backward, forward, moves

_LARGE_BYTES = 2**20  # of a matrix that two threads multiply


@dataclass(frozen=True, slots=True)
class Affine:
    """``scale * tensor + shift``; both have the tensor's number of axes.

    Attributes
    ----------
    tensor
        Name of what it acts on.
    scale, shift
        Its numbers, which broadcast to the tensor; no scale is 1.
    """

    tensor: str
    scale: Array | None
    shift: Array


def fold_affine(graph: Graph) -> Graph:
    """Fold BatchNormalization, Add, Sub, Mul and Div into the product before or behind them.

    At inference each is affine with constants. If these are one number a channel of a Conv,
    ConvTranspose, Gemm or MatMul before it, with nothing but Transpose and Reshape between them,
    they go into its weights and its bias, provided that nothing else reads what lies between. A
    BatchNormalization goes into the product behind it too, if no padding with zeros comes between
    them and the input converters lose no more than one bit by it.
    """
    if graph.opset.get("", OLDEST_OPSET) < OLDEST_OPSET:
        return graph
    for old in [node for node in graph.nodes if node.op in AFFINE and not node.domain]:
        node = graph.producer.get(old.outputs[0])  # its inputs change if others were folded before
        if node is None or node.name != old.name:
            continue
        for affine in AFFINE[node.op](graph, node):
            folded = _into_product_before(graph, node, affine)
            if folded is None and node.op == "BatchNormalization":
                folded = _into_product_behind(graph, node, affine)
            if folded is not None:
                graph = folded
                break
    return graph


def _batch_norm(graph: Graph, norm: Node) -> Iterator[Affine]:
    values = norm.values()
    trains = values.get("training_mode", 0) or len(norm.writes) > 1
    constant = all(name in graph.constants for name in norm.inputs[1:])
    rank = _rank(graph, norm.inputs[0])
    if trains or not values.get("spatial", 1) or not constant or rank is None or rank < 2:
        return
    gain, offset, mean, variance = (
        graph.constants[name].astype(np.float64) for name in norm.inputs[1:]
    )
    with np.errstate(all="ignore"):
        scale = gain / np.sqrt(variance + values.get("epsilon", 1e-5))
    shape = (1, -1, *(1,) * (rank - 2))
    yield Affine(norm.inputs[0], scale.reshape(shape), (offset - mean * scale).reshape(shape))


def _operands(graph: Graph, node: Node) -> Iterator[tuple[str, Array, bool]]:
    """Yield (tensor, constant that broadcasts to it, tensor is first) of an operator on two."""
    first, second = node.inputs
    for name, other in ((first, second), (second, first)):
        value, rank = graph.constants.get(other), _rank(graph, name)
        if value is None or rank is None or value.ndim > rank or name in graph.constants:
            continue
        value = value.astype(np.float64).reshape((1,) * (rank - value.ndim) + value.shape)
        shape = graph.shapes.get(name)
        if shape is None:  # then one axis alone may vary, whose size the product says
            fits = sum(size != 1 for size in value.shape) <= 1
        else:
            fits = all(a in (1, b) for a, b in zip(value.shape, shape, strict=True))
        if fits:
            yield name, value, name == first


def _add(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, _ in _operands(graph, node):
        yield Affine(name, None, value)


def _sub(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, first in _operands(graph, node):
        minus = np.full((1,) * value.ndim, -1.0)
        yield Affine(name, None, -value) if first else Affine(name, minus, value)


def _mul(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, _ in _operands(graph, node):
        yield Affine(name, value, np.zeros((1,) * value.ndim))


def _div(graph: Graph, node: Node) -> Iterator[Affine]:
    for name, value, first in _operands(graph, node):
        if first and value.all():
            yield Affine(name, 1 / value, np.zeros((1,) * value.ndim))


#: Operator -> what it may be as an affine function of one of its inputs.
AFFINE: Mapping[str, Callable[[Graph, Node], Iterator[Affine]]] = MappingProxyType(
    {"BatchNormalization": _batch_norm, "Add": _add, "Sub": _sub, "Mul": _mul, "Div": _div}
)


def _rank(graph: Graph, name: str) -> int | None:
    """Return the number of axes of a tensor, if it is known."""
    shape = graph.shapes.get(name)
    if shape is not None:
        return len(shape)
    product = held(graph, graph.producer.get(name))
    return None if product is None else product.rank


def _into_product_before(graph: Graph, node: Node, affine: Affine) -> Graph | None:
    """Fold an affine `node` into the product that feeds it."""
    tensor, reader, path = affine.tensor, node, []
    while True:
        source = graph.producer.get(tensor)
        if source is None or graph.only_reader(tensor) is not reader:
            return None
        product = held(graph, source)
        if product is not None:
            break
        moved = _moved(graph, source, affine, backward) if moves(source) else None
        if moved is None:
            return None
        path.append(source)
        affine, reader, tensor = moved, source, source.inputs[0]
    numbers = _channels(affine, product, product.channels)
    if numbers is None:
        return None
    scale, shift = numbers
    rows = scale.reshape(len(product.matrix), -1, 1, 1)
    folded = replace(
        product, matrix=_times(product.matrix, rows), bias=product.bias * scale + shift
    )
    output = product.node.outputs[0] if path else node.outputs[0]
    graph = changed(graph, folded, output, new_weight=affine.scale is not None)
    if path:
        graph = _swapped(graph, path[0], replace(path[0], outputs=node.outputs[:1]))
    return _without(graph, node)


def _into_product_behind(graph: Graph, node: Node, affine: Affine) -> Graph | None:
    """Fold a BatchNormalization into the product that reads it."""
    tensor, path = node.outputs[0], []
    if not _keeps_resolution(graph, node):
        return None
    while True:
        reader = graph.only_reader(tensor)
        product = held(graph, reader)
        if reader is None or product is not None:
            break
        moved = _moved(graph, reader, affine, forward) if moves(reader) else None
        if moved is None or reader.inputs[0] != tensor:
            return None
        path.append(reader)
        affine, tensor = moved, reader.outputs[0]
    numbers = None if product is None else _channels(affine, product, product.in_channels)
    if product is None or numbers is None or product.data != tensor:
        return None
    scale, shift = numbers
    if product.padded and shift.any():
        return None
    groups = len(product.matrix)
    columns, added = (v.reshape(groups, 1, -1, 1) for v in (scale, shift))
    bias = product.bias + (product.matrix * added).sum(axis=(2, 3)).reshape(-1)
    folded = replace(product, matrix=_times(product.matrix, columns), bias=bias)
    graph = changed(graph, folded, product.node.outputs[0])
    first = path[0] if path else graph.producer[product.node.outputs[0]]
    inputs = tuple(node.inputs[0] if name == node.outputs[0] else name for name in first.inputs)
    return _without(_swapped(graph, first, replace(first, inputs=inputs)), node)


def _times(matrix: Array, factors: Array) -> Array:
    """Multiply in double precision, and round once to the type of the matrix."""
    product, factors = np.empty_like(matrix), np.broadcast_to(factors, matrix.shape)
    middle = matrix.shape[1] // 2

    def multiply(rows: slice) -> None:
        np.multiply(matrix[:, rows], factors[:, rows], out=product[:, rows])

    if matrix.nbytes < _LARGE_BYTES:
        multiply(slice(None))
    else:  # fresh memory takes longer than the numbers
        both(partial(multiply, slice(middle)), partial(multiply, slice(middle, None)))
    product.flags.writeable = False  # so that nobody need copy it
    return product


def _moved(
    graph: Graph, node: Node, affine: Affine, way: Callable[[Graph, Node, Array], Array | None]
) -> Affine | None:
    """Take an affine function through a node that moves numbers."""
    shift = way(graph, node, affine.shift)
    scale = None if affine.scale is None else way(graph, node, affine.scale)
    if shift is None or (scale is None and affine.scale is not None):
        return None
    return Affine(affine.tensor, scale, shift)


def _channels(affine: Affine, product: Held, channels: int) -> tuple[Array, Array] | None:
    """Return scale and shift of each channel; None if they vary within one or are infinite."""
    ones = np.ones((1,) * product.rank) if affine.scale is None else affine.scale
    found = []
    for value in (ones, affine.shift):
        numbers = along(value, product.axis, product.rank)
        if numbers is None or len(numbers) not in (1, channels) or not np.isfinite(numbers).all():
            return None
        found.append(np.broadcast_to(numbers, (channels,)))
    return found[0], found[1]


def _keeps_resolution(graph: Graph, norm: Node) -> bool:
    """Say whether input converters resolve what a normalisation reads as well as what it gives.

    One full scale holds all channels, three standard deviations around each mean. Folded, the
    steps of the converter grow by the scale of each channel: by the mean square they may double.
    """
    gain, offset, mean, variance = (
        graph.constants[name].astype(np.float64) for name in norm.inputs[1:]
    )
    with np.errstate(all="ignore"):
        deviation = np.sqrt(variance + norm.values().get("epsilon", 1e-5))
        before = (np.abs(mean) + 3 * deviation).max() * np.sqrt(np.mean((gain / deviation) ** 2))
        return bool(before <= 2 * (np.abs(offset) + 3 * np.abs(gain)).max())


def _swapped(graph: Graph, old: Node, new: Node) -> Graph:
    return replace(graph, nodes=tuple(new if node is old else node for node in graph.nodes))


def _without(graph: Graph, node: Node) -> Graph:
    return replace(graph, nodes=tuple(other for other in graph.nodes if other is not node))
