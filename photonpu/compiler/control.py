"""What control flow costs: If, Loop and Scan run whole in onnxruntime, their bodies are counted.

A body is looked at as a graph of its own, with the shapes that its first run meets, and each of its
operators is charged as anywhere else, times the runs where their number follows from the model.
Where it does not, the body is counted once; of the branches of an If the dearer one is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from photonpu.compiler.graph import Graph, Node, from_model
from photonpu.compiler.operations import PRODUCTS
from photonpu.compiler.operations import operators as plain_operators
from photonpu.errors import PhotonpuError
from photonpu.program import HostOperator

if TYPE_CHECKING:
    import onnx

Shapes = Mapping[str, tuple[int, ...]]
Dtypes = Mapping[str, np.dtype[Any]]

_SMALL = 64  # elements of a constant that may be a shape, and is shown to shape inference


@dataclass(frozen=True, slots=True)
class Inside:
    """What the bodies of one node of control flow do for one sample.

    Attributes
    ----------
    operations, macs
        Elementary operations, and the multiply-accumulates of products among them.
    elements_in, elements_out
        Elements that its operators read and write.
    products
        Names and operators of the matrix products inside.
    runs
        How often the body is counted; None where that is once because only a run would tell.
    unknown
        Operators that are charged nothing, since their shapes are known at run time only.
    """

    operations: int = 0
    macs: int = 0
    elements_in: int = 0
    elements_out: int = 0
    products: tuple[str, ...] = ()
    runs: int | None = 1
    unknown: int = 0

    def reason(self, op: str) -> str:
        """Return why the products inside are not on the mesh, and how they are counted."""
        runs = (
            "its dearer branch is counted"
            if op == "If"
            else f"its body is counted {self.runs} times"
            if self.runs is not None
            else "its body is counted once, since how often it runs is known at run time only"
        )
        unknown = f"; {self.unknown} operators of unknown shapes are not" if self.unknown else ""
        return (
            f"control flow runs whole on the digital unit, and with it {', '.join(self.products)}; "
            f"{runs}{unknown}"
        )


def operators(
    graph: Graph, nodes: Iterable[Node], shapes: Shapes, dtypes: Dtypes = MappingProxyType({})
) -> tuple[HostOperator, ...]:
    """Count what digital nodes do for one sample, control flow by what it holds.

    Parameters
    ----------
    graph
        The network that they are of.
    nodes
        The nodes, none of which is left out.
    shapes, dtypes
        Measured, by tensor name.
    """
    found = []
    for node in nodes:
        inner = inside(node, graph, shapes, dtypes)
        (cost,) = plain_operators([node], shapes, graph.constants)
        if inner is not None:
            cost = HostOperator(
                name=node.name,
                op=cost.op,
                operations=inner.operations,
                elements_in=inner.elements_in,
                elements_out=inner.elements_out,
                macs=inner.macs,
            )
        found.append(cost)
    return tuple(found)


def inside(
    node: Node, graph: Graph, shapes: Shapes, dtypes: Dtypes = MappingProxyType({})
) -> Inside | None:
    """Return what the bodies of a node do; None for a node without bodies.

    Parameters
    ----------
    node, graph
        A node and the graph that it is of.
    shapes, dtypes
        Measured or inferred, by tensor name.
    """
    bodies = list(_bodies(node))
    if not bodies:
        return None
    runs = _runs(node, graph, shapes)
    each = [_body(body, node, graph, shapes, dtypes) for body in bodies]
    dearest = max(each, key=lambda body: (body.operations, body.elements_in))
    times = 1 if runs is None else runs
    return Inside(
        operations=times * dearest.operations,
        macs=times * dearest.macs,
        elements_in=times * dearest.elements_in,
        elements_out=times * dearest.elements_out,
        products=tuple(dict.fromkeys(name for body in each for name in body.products)),
        runs=runs,
        unknown=dearest.unknown,
    )


def _bodies(node: Node) -> Iterator[onnx.GraphProto]:
    for record in node.attributes.values():
        if record.HasField("g"):
            yield record.g
        yield from record.graphs


def _body(
    body: onnx.GraphProto, node: Node, graph: Graph, shapes: Shapes, dtypes: Dtypes
) -> Inside:
    """Count one run of a body."""
    inner = _graph(body, node, graph, shapes, dtypes)
    if inner is None:
        products = tuple(f"'{n.name}' ({n.op_type})" for n in body.node if n.op_type in PRODUCTS)
        return Inside(products=products, unknown=len(body.node))
    known = {
        name: tuple(size if isinstance(size, int) else 1 for size in shape)
        for name, shape in inner.shapes.items()
    }
    total = Inside()
    for each in inner.nodes:
        total = _sum(total, _node(each, inner, known))
    return total


def _node(node: Node, graph: Graph, shapes: Shapes) -> Inside:
    """Count one node of a body; one whose shapes are unknown is charged nothing."""
    nested = inside(node, graph, shapes)
    if nested is not None:
        return nested
    products = (f"'{node.name}' ({node.operator})",) if node.operator in PRODUCTS else ()
    names = (*node.reads, *node.writes)
    if any(name not in shapes and name not in graph.constants for name in names):
        return Inside(products=products, unknown=1)
    (cost,) = plain_operators([node], shapes, graph.constants)
    return Inside(cost.operations, cost.macs, cost.elements_in, cost.elements_out, products)


def _sum(one: Inside, other: Inside) -> Inside:
    return Inside(
        one.operations + other.operations,
        one.macs + other.macs,
        one.elements_in + other.elements_in,
        one.elements_out + other.elements_out,
        (*one.products, *other.products),
        1,
        one.unknown + other.unknown,
    )


def _graph(
    body: onnx.GraphProto, node: Node, graph: Graph, shapes: Shapes, dtypes: Dtypes
) -> Graph | None:
    """Return a body as a graph whose inputs have the shapes that its first run meets."""
    import onnx
    from onnx import helper, numpy_helper

    proto = onnx.GraphProto(name=body.name, node=body.node, initializer=body.initializer)
    own = {value.name for value in body.input}
    given = zip(body.input, _arguments(node, body, shapes, graph), strict=False)
    declared = [(v.name, v.type.tensor_type.elem_type, shape) for v, shape in given]
    for name in node.captured:
        if name in own:
            continue
        value = graph.constants.get(name)
        if value is not None and value.size <= _SMALL:
            proto.initializer.append(numpy_helper.from_array(value, name))
            continue
        kind = value.dtype if value is not None else dtypes.get(name, np.dtype(np.float32))
        shape = value.shape if value is not None else shapes.get(name)
        text = np.dtype(kind).kind in "OUS"
        element = onnx.TensorProto.STRING if text else helper.np_dtype_to_tensor_dtype(kind)
        declared.append((name, element, shape))
    for name, element, shape in declared:
        if shape is not None:
            proto.input.append(helper.make_tensor_value_info(name, element or 1, shape))
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opset.items()]
    model = helper.make_model(proto, opset_imports=opsets, ir_version=max(graph.ir_version, 4))
    try:
        return from_model(model)
    except (PhotonpuError, RuntimeError, ValueError):  # inference finds what does not fit
        return None


def _arguments(
    node: Node, body: onnx.GraphProto, shapes: Shapes, graph: Graph
) -> list[tuple[int, ...] | None]:
    """Return the shapes of a body's inputs at its first run; None where it is unknown."""

    def shape(name: str) -> tuple[int, ...] | None:
        return graph.constants[name].shape if name in graph.constants else shapes.get(name)

    if node.op == "Loop":
        return [(), (), *map(shape, node.inputs[2:])]
    if node.op == "Scan":
        first, axes = _scanned(node)
        taken = []
        for name, axis in zip(node.inputs[first:], axes, strict=True):
            whole = shape(name)
            kept = None if whole is None else list(whole)
            if kept:
                del kept[axis]
            taken.append(None if kept is None else tuple(kept))
        return [*map(shape, node.inputs[:first]), *taken]
    return [None] * len(body.input)


def _scanned(node: Node) -> tuple[int, list[int]]:
    """Return how many inputs of a Scan are states, and the axis along which each other goes."""
    values = node.values()
    number = values["num_scan_inputs"]
    return len(node.inputs) - number, values.get("scan_input_axes", [0] * number)


def _runs(node: Node, graph: Graph, shapes: Shapes) -> int | None:
    """Return how often a body runs; None where only a run would tell."""
    if node.op == "If":
        return 1
    if node.op == "Scan":
        first, axes = _scanned(node)
        whole = shapes.get(node.inputs[first], ())
        return whole[axes[0]] if -len(whole) <= axes[0] < len(whole) else None
    if node.op == "Loop":
        most = graph.constants.get(node.inputs[0]) if node.inputs[0] else None
        if most is not None and math.prod(most.shape) == 1 and _goes_on(node, graph):
            return max(0, int(most.reshape(-1)[0]))
    return None


def _goes_on(node: Node, graph: Graph) -> bool:
    """Say whether nothing but its number of runs ends a Loop."""
    from onnx import numpy_helper

    (body,) = _bodies(node)
    start = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    begins = not (len(node.inputs) > 1 and node.inputs[1]) or (start is not None and start.all())
    constants = {t.name: numpy_helper.to_array(t) for t in body.initializer}
    constants |= {name: graph.constants[name] for name in node.captured if name in graph.constants}
    same = {body.input[1].name}
    for inner in body.node:
        if inner.op_type == "Identity" and inner.input[0] in same:
            same.add(inner.output[0])
        elif inner.op_type == "Constant" and inner.attribute[0].name == "value":
            constants[inner.output[0]] = numpy_helper.to_array(inner.attribute[0].t)
    last = body.output[0].name
    return bool(begins and (last in same or (last in constants and constants[last].all())))
