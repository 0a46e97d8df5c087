"""Networks in other floating-point types, for a mesh and a digital unit that compute in float32.

A network in half precision is widened as a whole: onnxruntime has few half-precision operators
for a CPU, and none for bfloat16. Of one in double precision only the products with a constant are
narrowed, since light is no more exact than float32, and all else stays as it is. Inputs and outputs
keep their types, but for bfloat16, which NumPy has not: they are float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from photonpu.compiler.inference import infer
from photonpu.compiler.weights import Array, Parted, array

if TYPE_CHECKING:
    import onnx

#: Attributes that name the element type of what an operator gives.
_TYPE_ATTRIBUTES = ("to", "dtype", "output_datatype", "output_dtype")
#: Products whose factors may be narrowed.
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum")


def single(parted: Parted) -> Parted:
    """Return a network that computes its products in float32.

    Parameters
    ----------
    parted
        A checked model; left as it is.

    Returns
    -------
    Parted
        The same function but for rounding: constants and activations of half precision are
        float32 between the Casts at its float16 inputs and outputs, and products with constants
        of double precision stand between Casts of their own.
    """
    return _narrowed(_widened(parted))


def _halves() -> frozenset[int]:
    from onnx import TensorProto

    return frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})


def _widened(parted: Parted) -> Parted:
    """Replace half precision by float32 everywhere but at the network's own inputs and outputs."""
    import onnx

    if not any(_kinds(parted.model.graph)):
        return parted
    model = onnx.ModelProto()
    model.CopyFrom(parted.model)
    apart = MappingProxyType(
        {
            name: value.astype(np.float32) if _is_half(value) else value
            for name, value in parted.apart.items()
        }
    )
    graph = model.graph
    held = {tensor.name for tensor in graph.initializer} | apart.keys()
    ends = (v for v in (*graph.input, *graph.output) if v.name not in held)
    typed = [v for v in ends if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16]
    kinds = {value.name: value.type.tensor_type.elem_type for value in typed}
    inputs = [value.name for value in graph.input if value.name in kinds]
    outputs = [value.name for value in graph.output if value.name in kinds]
    _widen_graph(graph)
    for value in typed:
        value.type.tensor_type.elem_type = kinds[value.name]
    _cast_ends(graph, inputs, outputs, kinds)
    return Parted(model, apart)


def _is_half(value: Array) -> bool:
    return value.dtype.name in ("float16", "bfloat16")


def _is_half_value(value: onnx.ValueInfoProto) -> bool:
    return value.type.tensor_type.elem_type in _halves()


def _kinds(graph: onnx.GraphProto) -> Iterator[bool]:
    """Yield of every type that a graph names whether it is of half precision."""
    halves = _halves()
    yield from (tensor.data_type in halves for tensor in graph.initializer)
    yield from (_is_half_value(value) for value in (*graph.input, *graph.output))
    for node in graph.node:
        for record in node.attribute:
            yield record.t.data_type in halves or any(t.data_type in halves for t in record.tensors)
            yield record.name in _TYPE_ATTRIBUTES and record.i in halves
            for inner in (record.g, *record.graphs):
                yield from _kinds(inner)


def _widen_graph(graph: onnx.GraphProto) -> None:
    """Make float32 of half precision in place, in the graphs inside too."""
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output):
        _widen_type(value.type)
    del graph.value_info[:]
    for node in graph.node:
        for record in node.attribute:
            if record.HasField("t"):
                _widen_tensor(record.t)
            for tensor in record.tensors:
                _widen_tensor(tensor)
            if record.name in _TYPE_ATTRIBUTES and record.i in _halves():
                record.i = 1
            if record.HasField("tp"):
                _widen_type(record.tp)
            for inner in (*([record.g] if record.HasField("g") else []), *record.graphs):
                _widen_graph(inner)


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    from onnx import numpy_helper

    if tensor.data_type in _halves():
        tensor.CopyFrom(numpy_helper.from_array(array(tensor).astype(np.float32), tensor.name))


def _widen_type(kind: onnx.TypeProto) -> None:
    """Replace the element type of a tensor, or of the tensors in a sequence or optional value."""
    held = kind.WhichOneof("value")
    if held == "tensor_type" and kind.tensor_type.elem_type in _halves():
        kind.tensor_type.elem_type = 1
    elif held in ("sequence_type", "optional_type"):
        _widen_type(getattr(kind, held).elem_type)


def _cast_ends(
    graph: onnx.GraphProto, inputs: list[str], outputs: list[str], kinds: Mapping[str, int]
) -> None:
    """Rename what the network's half-precision inputs and outputs are inside, and cast between."""
    from onnx import helper

    inside = {name: f"{name}/float32" for name in (*inputs, *outputs)}
    rename(graph, inside)
    for value in graph.output:  # which rename took for tensors inside
        value.name = next((name for name, new in inside.items() if new == value.name), value.name)
    before = [helper.make_node("Cast", [name], [inside[name]], to=1) for name in inputs]
    after = [helper.make_node("Cast", [inside[n]], [n], to=kinds[n]) for n in outputs]
    nodes = [*before, *graph.node, *(node for node in after if node.output[0] not in inputs)]
    del graph.node[:]
    graph.node.extend(nodes)


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors other names in place, wherever nodes and the graphs inside them read or write.

    Parameters
    ----------
    graph
        The graph; its inputs and initializers keep their names.
    names
        Old name -> new name.
    """
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        for place in (node.input, node.output):
            renamed = [names.get(name, name) for name in place]
            del place[:]
            place.extend(renamed)
        for record in node.attribute:
            for inner in (*([record.g] if record.HasField("g") else []), *record.graphs):
                own = {value.name for value in inner.input} | {t.name for t in inner.initializer}
                rename(inner, {old: new for old, new in names.items() if old not in own})
    for value in graph.output:
        value.name = names.get(value.name, value.name)


def _narrowed(parted: Parted) -> Parted:
    """Put products in double precision with a constant factor between Casts to and from float32."""
    import onnx

    chosen = _double_products(parted)
    if not chosen:
        return parted
    model = onnx.ModelProto()
    model.CopyFrom(parted.model)
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(model.graph.node):
        nodes += _between_casts(node) if index in chosen else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.value_info[:]
    return Parted(model, parted.apart)


def _double_products(parted: Parted) -> frozenset[int]:
    """Return the indices of products with a constant factor whose numbers are doubles."""
    from onnx import TensorProto

    graph = parted.model.graph
    products = [i for i, node in enumerate(graph.node) if node.op_type in _PRODUCTS]
    if not products or not _has_doubles(parted):
        return frozenset()
    known = {tensor.name for tensor in graph.initializer} | parted.apart.keys()
    for node in graph.node:
        if all(name in known for name in node.input) and not node.domain:
            known.update(node.output)
    inferred = infer(parted.model).graph
    doubles = {
        value.name
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type == TensorProto.DOUBLE
    }
    return frozenset(
        i
        for i in products
        if graph.node[i].output[0] in doubles and known.intersection(graph.node[i].input[:2])
    )


def _has_doubles(parted: Parted) -> bool:
    from onnx import TensorProto

    graph = parted.model.graph
    kinds = {tensor.data_type for tensor in graph.initializer}
    kinds |= {value.type.tensor_type.elem_type for value in graph.input}
    return TensorProto.DOUBLE in kinds


def _between_casts(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return a product in float32 between Casts of its own."""
    import onnx
    from onnx import TensorProto, helper

    output = node.output[0]
    names = {name: f"{name}/float32/{output}" for name in node.input if name}
    single = onnx.NodeProto()
    single.CopyFrom(node)
    del single.input[:], single.output[:]
    single.input.extend(names.get(name, name) for name in node.input)
    single.output.append(f"{output}/float32")
    return [
        *(
            helper.make_node("Cast", [old], [new], to=TensorProto.FLOAT)
            for old, new in names.items()
        ),
        single,
        helper.make_node("Cast", [f"{output}/float32"], [output], to=TensorProto.DOUBLE),
    ]
