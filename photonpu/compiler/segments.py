"""The graph cut at its photonic nodes: what lies between them becomes onnxruntime sessions.

The depth of a tensor is the number of photonic nodes on the longest way to it. Digital nodes of one
depth form one segment, which is then as large as it can be: it runs when everything of its depth is
there, before the photonic nodes that read it. A digital node that only deeper digital nodes read
waits for the first of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from photonpu.compiler import weights
from photonpu.compiler.graph import Array, Graph, Node
from photonpu.errors import UnsupportedModelError

if TYPE_CHECKING:
    import onnx

__all__ = ["Segment", "apart", "cut", "model"]

_NUMBERS = "biuf"  # NumPy's own kinds of numbers: any file and any session takes them


@dataclass(frozen=True, slots=True)
class Segment:
    """A maximal run of digital nodes.

    Attributes
    ----------
    nodes
        In an order in which they can run.
    inputs
        Tensors that it needs from before it, constants not among them.
    outputs
        Tensors that later steps or the user need of it.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def cut(graph: Graph, photonic: Collection[str]) -> tuple[Segment | Node, ...]:
    """Put the nodes of a graph into steps.

    Parameters
    ----------
    graph
        The network.
    photonic
        Names of the nodes that run on the mesh.

    Returns
    -------
    tuple of Segment or Node
        Digital segments and photonic nodes in an order in which they can run; each node of the
        graph is in exactly one.
    """
    depth: dict[str, int] = {}
    level: dict[str, int] = {}
    for node in graph.nodes:
        level[node.name] = max((depth.get(name, 0) for name in node.reads), default=0)
        depth.update(dict.fromkeys(node.writes, level[node.name] + (node.name in photonic)))
    _sink(graph, photonic, level)
    digital: dict[int, list[Node]] = {}
    products: dict[int, list[Node]] = {}
    for node in graph.nodes:
        lane = products if node.name in photonic else digital
        lane.setdefault(level[node.name], []).append(node)
    steps: list[Segment | Node] = []
    for here in range(max(level.values(), default=-1) + 1):
        if here in digital:
            steps.append(_segment(graph, digital[here]))
        steps += products.get(here, [])
    return tuple(steps)


def _sink(graph: Graph, photonic: Collection[str], level: dict[str, int]) -> None:
    """Move each digital node that only digital nodes read to the first of these, in `level`.

    What waits there would else cross photonic steps: a session more, and for a sequence, which is
    no tensor, no way at all.
    """
    for node in reversed(graph.nodes):
        readers = [reader for name in node.writes for reader in graph.readers.get(name, ())]
        waits = readers and not graph.output_names.intersection(node.writes)
        if node.name not in photonic and waits and not any(r.name in photonic for r in readers):
            level[node.name] = min(level[reader.name] for reader in readers)


def _segment(graph: Graph, nodes: Sequence[Node]) -> Segment:
    inside = {node.name for node in nodes}
    made = dict.fromkeys(name for node in nodes for name in node.writes)
    read = dict.fromkeys(name for node in nodes for name in node.reads)
    return Segment(
        nodes=tuple(nodes),
        inputs=tuple(n for n in read if n not in made and n not in graph.constants),
        outputs=tuple(
            name
            for name in made
            if name in graph.output_names
            or any(reader.name not in inside for reader in graph.readers.get(name, ()))
        ),
    )


def apart(graph: Graph, nodes: Iterable[Node]) -> dict[str, Array]:
    """Return those constants of nodes that `model` makes inputs: a file could not hold them.

    Parameters
    ----------
    graph
        The network.
    nodes
        Some of its nodes.
    """
    read = dict.fromkeys(name for node in nodes for name in node.reads if name in graph.constants)
    numbers = (n for n in read if graph.constants[n].dtype.kind in _NUMBERS)
    chosen = weights.large({name: graph.constants[name].nbytes for name in numbers})
    return {name: graph.constants[name] for name in read if name in chosen}


def model(
    graph: Graph,
    nodes: Iterable[Node],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dtypes: Mapping[str, np.dtype[Any]],
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> bytes:
    """Write nodes as an ONNX model of their own.

    Parameters
    ----------
    graph
        The network that they are of: gives constants and operator sets.
    nodes
        The nodes, in an order in which they can run.
    inputs, outputs
        Names of the tensors it takes and gives; sizes of axes stay open.
    dtypes
        Element types of the inputs; of the outputs too where they are known.
    sizes
        Of inputs whose sizes are to be fixed all the same.

    Returns
    -------
    bytes
        A serialised model with the constants that these nodes read; those of `apart` are inputs
        behind the others.

    Raises
    ------
    UnsupportedModelError
        The element type of an input is unknown: it is no tensor.
    """
    import onnx
    from onnx import helper, numpy_helper

    nodes, sizes = tuple(nodes), sizes or {}
    for name in inputs:
        if name not in dtypes:
            raise UnsupportedModelError(
                f"'{name}' passes between the mesh and the digital unit and is no tensor; export "
                "the model without sequences and optional values"
            )
    needed = dict.fromkeys(name for node in nodes for name in node.reads)
    large = apart(graph, nodes)
    constants = [name for name in needed if name in graph.constants and name not in large]
    domains = dict.fromkeys(["", *(domain for node in nodes for domain in _domains(node))])
    proto = helper.make_model(
        onnx.GraphProto(
            name=graph.name,
            node=[proto for node in nodes for proto in _protos(graph, node)],
            initializer=[numpy_helper.from_array(graph.constants[n], n) for n in constants],
            input=[
                *(_value(graph, name, dtypes, sizes.get(name)) for name in inputs),
                *(_constant_value(name, value) for name, value in large.items()),
            ],
            output=[_value(graph, name, dtypes) for name in outputs],
        ),
        ir_version=max(graph.ir_version, 4),
        opset_imports=[
            helper.make_opsetid(domain, graph.opset[domain])
            for domain in domains
            if domain in graph.opset
        ],
        producer_name="photonpu",
    )
    return bytes(proto.SerializeToString())


def _protos(graph: Graph, node: Node) -> list[onnx.NodeProto]:
    """Write a node; the bias that a pass gave a MatMul is an Add, since ONNX's MatMul has none."""
    if node.domain or node.op != "MatMul" or len(node.inputs) < 3:
        return [node.proto()]
    product = graph.fresh(f"{node.outputs[0]}/product")
    matmul = replace(node, inputs=node.inputs[:2], outputs=(product,))
    add = Node(f"{node.name}/bias", "Add", "", (product, node.inputs[2]), node.outputs)
    return [matmul.proto(), add.proto()]


def _domains(node: Node) -> list[str]:
    """Return the operator sets that a node needs, its subgraphs included."""
    found = [node.domain]
    for record in node.attributes.values():
        for graph in [record.g, *record.graphs]:
            found += [name for inner in graph.node for name in _inner_domains(inner)]
    return found


def _inner_domains(proto: onnx.NodeProto) -> list[str]:
    found = ["" if proto.domain == "ai.onnx" else proto.domain]
    for record in proto.attribute:
        for graph in [record.g, *record.graphs]:
            found += [name for inner in graph.node for name in _inner_domains(inner)]
    return found


def _value(
    graph: Graph,
    name: str,
    dtypes: Mapping[str, np.dtype[Any]],
    sizes: Sequence[int] | None = None,
) -> onnx.ValueInfoProto:
    """Describe a tensor: its type and its number of axes if they are known, sizes if given."""
    import onnx
    from onnx import helper

    if name not in dtypes:
        return onnx.ValueInfoProto(name=name)
    kind = np.dtype(dtypes[name])
    text = kind.kind in "OUS"
    element = onnx.TensorProto.STRING if text else helper.np_dtype_to_tensor_dtype(kind)
    if sizes is not None:
        return helper.make_tensor_value_info(name, element, sizes)
    axes = [None] * len(graph.shapes[name]) if name in graph.shapes else None
    return helper.make_tensor_value_info(name, element, axes)


def _constant_value(name: str, value: Array) -> onnx.ValueInfoProto:
    """Describe a constant that is an input."""
    from onnx import helper

    element = helper.np_dtype_to_tensor_dtype(value.dtype)
    return helper.make_tensor_value_info(name, element, value.shape)
