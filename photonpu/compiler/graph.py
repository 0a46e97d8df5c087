"""The compiler's graph: an ONNX graph as immutable values.

What ONNX calls initializer is a constant here, whether or not it is also listed as an input. Every
node has a name of its own, and knows which outer tensors its subgraphs capture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler import weights
from photonpu.compiler.inference import infer
from photonpu.errors import ModelError, UnsupportedModelError
from photonpu.program.values import TensorInfo

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]
Shape = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator.

    Attributes
    ----------
    name
        Unique in its graph.
    op, domain
        The operator, ``"Conv"``, and whose it is; ``""`` is ONNX itself.
    inputs, outputs
        Names of tensors in the operator's order; ``""`` for an optional one that is absent.
    attributes
        ONNX's own records by name; see `values`. They are read, never changed.
    captured
        Names of outer tensors that its subgraphs (of If, Loop, Scan) read.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, onnx.AttributeProto] = field(default_factory=dict)
    captured: tuple[str, ...] = ()

    @property
    def operator(self) -> str:
        """The operator with its domain, if that is not ONNX's own: ``com.microsoft.QGemm``."""
        return f"{self.domain}.{self.op}" if self.domain else self.op

    @property
    def reads(self) -> tuple[str, ...]:
        """Every tensor that it needs: inputs that are present, then captured ones."""
        return (*(name for name in self.inputs if name), *self.captured)

    @property
    def writes(self) -> tuple[str, ...]:
        """Every tensor that it gives."""
        return tuple(name for name in self.outputs if name)

    def values(self) -> dict[str, Any]:
        """Return the attributes as Python values, text as ``str``."""
        from onnx.helper import get_attribute_value

        values = {key: get_attribute_value(record) for key, record in self.attributes.items()}
        return {
            k: v.decode(errors="replace") if isinstance(v, bytes) else v for k, v in values.items()
        }

    def proto(self) -> onnx.NodeProto:
        """Return the node as ONNX writes it."""
        import onnx

        return onnx.NodeProto(
            name=self.name,
            op_type=self.op,
            domain=self.domain or None,
            input=self.inputs,
            output=self.outputs,
            attribute=self.attributes.values(),
        )


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: nodes in an order in which they can run.

    Two graphs are equal if they are the same object; compare their `text` for more.

    Attributes
    ----------
    name
        The model's name for it.
    inputs, outputs
        The interface, without constants.
    nodes
        The operators.
    constants
        Read-only arrays by name.
    opset
        Version of each operator set by domain.
    ir_version
        Version of ONNX's file format that the model asks for.
    shapes
        Shapes that follow from the model alone, where they do; a ``str`` is a free axis.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    opset: Mapping[str, int]
    ir_version: int
    shapes: Mapping[str, Shape] = field(default_factory=dict)

    @cached_property
    def producer(self) -> Mapping[str, Node]:
        """The node that gives each tensor; inputs and constants have none."""
        return MappingProxyType({name: node for node in self.nodes for name in node.writes})

    @cached_property
    def readers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that need each tensor, each as often as it reads it."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.reads:
                found.setdefault(name, []).append(node)
        return MappingProxyType({name: tuple(nodes) for name, nodes in found.items()})

    @cached_property
    def output_names(self) -> frozenset[str]:
        """Names of the tensors that the network gives."""
        return frozenset(info.name for info in self.outputs)

    def only_reader(self, name: str) -> Node | None:
        """Return the node that alone reads `name`, if nothing else, inside or out, needs it."""
        nodes = self.readers.get(name, ())
        if len(nodes) != 1 or name in self.output_names or name in nodes[0].captured:
            return None
        return nodes[0]

    def fresh(self, name: str) -> str:
        """Return `name`, with marks behind it if a tensor of the graph is called so already."""
        while name in self.constants or name in self.producer or name in self.readers:
            name += "'"
        return name

    def text(self) -> str:
        """Print the graph, one input, constant, node or output a line."""
        lines = [f"graph {self.name}"]
        lines += [f"input {_typed(info.name, info.dtype, info.shape)}" for info in self.inputs]
        lines += [
            f"constant {_typed(name, str(value.dtype), value.shape)}"
            for name, value in self.constants.items()
        ]
        lines += [_line(node) for node in self.nodes]
        lines += [f"output {_typed(info.name, info.dtype, info.shape)}" for info in self.outputs]
        return "\n".join(lines) + "\n"


def _typed(name: str, dtype: str, shape: Shape) -> str:
    return f"{name}: {dtype}[{', '.join(map(str, shape))}]"


def _line(node: Node) -> str:
    shown = []
    for key, value in sorted(node.values().items()):
        plain = isinstance(value, int | float | str | list)
        shown.append(f"{key}={value}" if plain else f"{key}=<{type(value).__name__}>")
    inputs = ", ".join(name or "-" for name in node.inputs)
    tail = f" {{{', '.join(shown)}}}" if shown else ""
    return f"{', '.join(name or '-' for name in node.outputs)} = {node.operator}({inputs}){tail}"


def from_model(model: onnx.ModelProto, apart: Mapping[str, Array] | None = None) -> Graph:
    """Turn a model that `photonpu.compiler.reader.read` gave into a graph.

    Parameters
    ----------
    model
        A checked model without functions of its own.
    apart
        Numbers of those of its inputs that are weights; see `photonpu.compiler.weights`.

    Returns
    -------
    Graph
        The same network. A constant that is handed out as an output passes an Identity, so that
        every output is given by a node or is an input.

    Raises
    ------
    ModelError
        An input or output is of an element type that there is not.
    UnsupportedModelError
        An input or output is no tensor.
    """
    model, large = weights.part(model)
    graph = model.graph
    constants = {**large, **(apart or {})}
    for tensor in graph.initializer:
        constants[tensor.name] = weights.array(tensor)
    nodes = tuple(_nodes(graph.node))
    known = _inferred(model)
    outputs = tuple(_info(known.get(value.name, value)) for value in graph.output)
    nodes, constants = _hand_out(nodes, constants, [info.name for info in outputs])
    return Graph(
        name=graph.name or "model",
        inputs=tuple(_info(value) for value in graph.input if value.name not in constants),
        outputs=outputs,
        nodes=nodes,
        constants=MappingProxyType(constants),
        opset=MappingProxyType({_domain(o.domain): o.version for o in model.opset_import}),
        ir_version=model.ir_version,
        shapes=MappingProxyType(_shapes(known.values())),
    )


#: Types of arrays that go into a network and come out of it.
_EXCHANGED = frozenset(
    {"float16", "bfloat16", "float32", "float64", "bool", "str"}
    | {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)


def read_only(array: Array) -> Array:
    """Return `array`, or a copy if it is someone else's to change, that can't be written."""
    if array.flags.writeable:
        array = array if array.flags.owndata else array.copy()
        array.flags.writeable = False
    return array


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _nodes(protos: Iterable[onnx.NodeProto]) -> Iterator[Node]:
    taken: set[str] = set()
    for index, proto in enumerate(protos):
        name = proto.name or f"{proto.op_type}_{index}"
        while name in taken:
            name = f"{name}_{index}"
        taken.add(name)
        yield Node(
            name=name,
            op=proto.op_type,
            domain=_domain(proto.domain),
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes=MappingProxyType({record.name: record for record in proto.attribute}),
            captured=_captured(proto),
        )


def _captured(proto: onnx.NodeProto) -> tuple[str, ...]:
    """Find the outer names that a node's subgraphs read, in order, each once."""
    found: dict[str, None] = {}
    for record in proto.attribute:
        for graph in [record.g, *record.graphs] if record.HasField("g") else record.graphs:
            own = {value.name for value in graph.input} | {t.name for t in graph.initializer}
            for node in graph.node:
                for name in (*node.input, *_captured(node)):
                    if name and name not in own:
                        found[name] = None
                own.update(node.output)
            for value in graph.output:
                if value.name not in own:
                    found[value.name] = None
    return tuple(found)


def _hand_out(
    nodes: tuple[Node, ...], constants: dict[str, Array], outputs: list[str]
) -> tuple[tuple[Node, ...], dict[str, Array]]:
    """Let each constant that is an output pass an Identity; its readers read it before that."""
    names = {name: f"{name}/constant" for name in outputs if name in constants}
    identities = [
        Node(f"Identity/{name}", "Identity", "", (inner,), (name,)) for name, inner in names.items()
    ]
    renamed = [
        replace(node, inputs=tuple(names.get(name, name) for name in node.inputs)) for node in nodes
    ]
    moved = {names.get(name, name): value for name, value in constants.items()}
    return (*identities, *renamed), moved


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    from onnx.helper import tensor_dtype_to_np_dtype

    if not value.type.HasField("tensor_type"):
        held = value.type.WhichOneof("value") or "nothing"
        raise UnsupportedModelError(
            f"'{value.name}' is of type {held.removesuffix('_type')}; photonpu's inputs and "
            "outputs are tensors: export the model so"
        )
    kind = value.type.tensor_type.elem_type
    try:
        dtype = tensor_dtype_to_np_dtype(kind)
    except KeyError as error:
        raise ModelError(
            f"'{value.name}' is of element type {kind}, which ONNX does not have; export the "
            "model again"
        ) from error
    name = "str" if dtype == np.dtype(object) else dtype.name
    if name not in _EXCHANGED:
        raise UnsupportedModelError(
            f"'{value.name}' is {name}, in which onnxruntime takes and gives no arrays: export "
            "inputs and outputs in another type, and convert inside"
        )
    return TensorInfo(value.name, name, _shape(value.type.tensor_type.shape))


def _shape(shape: onnx.TensorShapeProto) -> Shape:
    return tuple(
        axis.dim_value
        if axis.HasField("dim_value") and axis.dim_value >= 0
        else axis.dim_param or "?"
        for axis in shape.dim
    )


def _inferred(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Return what follows from a model alone of the types and shapes of its tensors."""
    light, weighty = weights.skeleton(model)
    graph = infer(light).graph
    declared = {value.name for value in model.graph.input}
    return {
        value.name: value
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.name in declared or value.name not in weighty
    }


def _shapes(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Shape]:
    return {
        value.name: _shape(value.type.tensor_type.shape)
        for value in values
        if value.type.tensor_type.HasField("shape")
    }
