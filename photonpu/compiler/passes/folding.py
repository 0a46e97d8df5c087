"""Numbers that follow from shapes, computed beforehand although the batch is free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, Shape, read_only
from photonpu.compiler.passes.partial import EVALUATE, is_known

_MOST = 64  # numbers in an array that describes a shape


class Cells(NamedTuple):
    """An array some of whose numbers are unknown.

    Attributes
    ----------
    numbers
        An array of objects: numbers, names of free axes, or None.
    kind
        The element type that the network has for it.
    """

    numbers: Array
    kind: np.dtype[Any]


def fold_shapes(graph: Graph) -> Graph:
    """Turn what is computed from known axes alone into constants, and tell more shapes by it.

    onnxruntime folds an operator if all its inputs are constant. Shape of a tensor with a free
    batch is not, though the arithmetic behind it mostly takes the other axes: dynamic padding,
    sizes for Resize, the flattening of all but the batch.
    """
    if not any(node.op == "Shape" and not node.domain for node in graph.nodes):
        return graph
    walk = _Walk(graph)
    for node in graph.nodes:
        walk.visit(node)
    return walk.result()


class _Walk:
    """One way through the nodes of a graph, with what is known on it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._shapes: dict[str, Shape] = {
            info.name: info.shape for info in graph.inputs if info.shape
        } | dict(graph.shapes)
        self._cells: dict[str, Cells] = {}
        self._found: dict[str, Array] = {}
        self._nodes: list[Node] = []

    def visit(self, node: Node) -> None:
        """Evaluate a node as far as can be, or infer the shapes that it gives."""
        if node.domain or node.captured:
            self._nodes.append(node)
            return
        cells = self._evaluated(node)
        if cells is not None:
            output = node.outputs[0]
            self._cells[output] = cells
            self._shapes.setdefault(output, cells.numbers.shape)
            if self._settle(output, cells):
                return
        else:
            node = self._reshaped(node)
            self._infer(node)
        self._nodes.append(node)

    def result(self) -> Graph:
        """Return the graph with what was found; the same one if that is nothing."""
        graph = self._graph
        changed = len(self._nodes) != len(graph.nodes) or any(
            new is not old for new, old in zip(self._nodes, graph.nodes, strict=True)
        )
        if not changed and self._shapes == graph.shapes:
            return graph
        return replace(
            graph,
            nodes=tuple(self._nodes),
            constants=MappingProxyType({**graph.constants, **self._found}),
            shapes=MappingProxyType(self._shapes),
        )

    def _settle(self, output: str, cells: Cells) -> bool:
        """Make a constant of what is known completely, unless it is handed out by a node."""
        if output in self._graph.output_names or not all(map(is_known, cells.numbers.flat)):
            return False
        self._found[output] = read_only(cells.numbers.astype(cells.kind))
        return True

    def _known(self, name: str) -> Cells | None:
        """Return what is known of a small tensor."""
        if name in self._cells:
            return self._cells[name]
        value = self._graph.constants.get(name)
        if value is None or value.size > _MOST or value.dtype.kind not in "biuf":
            return None
        return Cells(value.astype(object), value.dtype)

    def _evaluated(self, node: Node) -> Cells | None:
        if node.op == "Shape":
            return self._shape(node)
        if node.op not in EVALUATE:
            return None
        inputs = [self._known(name) if name else None for name in node.inputs]
        absent = any(
            cells is None and name for cells, name in zip(inputs, node.inputs, strict=True)
        )
        if not inputs or absent:
            return None
        arrays = [None if cells is None else cells.numbers for cells in inputs]
        try:
            numbers = np.asarray(EVALUATE[node.op](*arrays, **node.values()), object)
        except (ValueError, TypeError, IndexError, ArithmeticError):
            return None  # onnxruntime says what is wrong, if it runs at all
        kind = _kind(node, inputs)
        if numbers.size > _MOST or kind is None:
            return None
        return Cells(_rounded(numbers, kind), kind)

    def _shape(self, node: Node) -> Cells | None:
        shape = self._shapes.get(node.inputs[0])
        if shape is None:
            return None
        values = node.values()
        part = shape[values.get("start", 0) : values.get("end", len(shape))]
        numbers = [None if size == "?" else size for size in part]
        return Cells(np.array(numbers, object), np.dtype(np.int64))

    def _reshaped(self, node: Node) -> Node:
        """Let a Reshape keep the axes that are free, and find one that is unknown by itself."""
        cells = self._cells.get(node.inputs[1]) if node.op == "Reshape" else None
        if cells is None or cells.numbers.ndim != 1:
            return node
        if 0 in cells.numbers or node.values().get("allowzero", 0):
            return node
        data = self._shapes.get(node.inputs[0], ())
        kept = [0 if a == b else a for a, b in zip(cells.numbers, data, strict=False)]
        sizes = [*kept, *cells.numbers[len(kept) :]]
        sizes = [size if is_known(size) else -1 for size in sizes]
        if sizes.count(-1) > 1:
            return node
        name = self._graph.fresh(f"{node.outputs[0]}/shape")
        self._found[name] = read_only(np.array(sizes, np.int64))
        return replace(node, inputs=(node.inputs[0], name))

    def _infer(self, node: Node) -> None:
        """Infer the shapes of a node's outputs where they are not known."""
        if all(_complete(self._shapes.get(name)) for name in node.writes):
            return
        constants = {
            name: self._found.get(name, self._graph.constants.get(name)) for name in node.reads
        }
        shapes = {
            name: value.shape if value is not None else self._shapes.get(name)
            for name, value in constants.items()
        }
        if all(shape is not None for shape in shapes.values()):
            self._shapes.update(_inferred(node, shapes, constants, self._graph.opset.get("", 13)))


def _complete(shape: Shape | None) -> bool:
    return shape is not None and all(isinstance(size, int) for size in shape[1:])


def _kind(node: Node, inputs: list[Cells | None]) -> np.dtype[Any] | None:
    """Return the element type of what an operator gives."""
    from onnx.helper import tensor_dtype_to_np_dtype

    values = node.values()
    if node.op == "Cast":
        kind: np.dtype[Any] = tensor_dtype_to_np_dtype(values["to"])
        return kind if kind.kind in "biuf" else None
    if node.op == "Equal":
        return np.dtype(bool)
    if node.op == "ConstantOfShape":
        given = values.get("value")
        return tensor_dtype_to_np_dtype(given.data_type if given is not None else 1)
    first = inputs[1 if node.op == "Where" else 0]
    return None if first is None else first.kind


def _rounded(numbers: Array, kind: np.dtype[Any]) -> Array:
    """Round what is known to an element type."""
    rounded = [kind.type(n).item() if is_known(n) else n for n in numbers.flat]
    result = np.empty(len(rounded), object)
    result[:] = rounded
    return result.reshape(numbers.shape)


def _inferred(
    node: Node,
    shapes: Mapping[str, Shape | None],
    constants: Mapping[str, Array | None],
    opset: int,
) -> dict[str, Shape]:
    """Return the shapes that one operator gives, as far as onnx tells them."""
    from onnx import TensorProto, defs, helper, numpy_helper, shape_inference

    def kind(name: str) -> int:
        value = constants[name]
        return int(
            TensorProto.FLOAT if value is None else helper.np_dtype_to_tensor_dtype(value.dtype)
        )

    types = {
        name: helper.make_tensor_type_proto(
            kind(name), [None if size == "?" else size for size in shape or ()]
        )
        for name, shape in shapes.items()
    }
    data = {
        name: numpy_helper.from_array(value)
        for name, value in constants.items()
        if value is not None and value.size <= _MOST
    }
    try:
        found = shape_inference.infer_node_outputs(
            defs.get_schema(node.op, opset, ""),
            node.proto(),
            types,
            data,
            opset_imports=[helper.make_opsetid("", opset)],
        )
    except Exception:  # what onnx's inference raises shares no other root
        return {}
    return {
        name: tuple(
            axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?"
            for axis in value.tensor_type.shape.dim
        )
        for name, value in found.items()
        if value.tensor_type.HasField("shape")
    }
