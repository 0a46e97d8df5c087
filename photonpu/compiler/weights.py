"""Large weights beside a model: protocol buffers can neither be written nor copied over 2 GiB.

A model whose weights are small stays as it is. Of a larger one the large weights become inputs,
and their numbers arrays, so that whatever reads the rest (onnx's checker, shape inference and
inliner, onnxruntime) gets a file of ordinary size.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from photonpu.compiler import written
from photonpu.errors import ModelError

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]

#: Weights that a file holds together; half of what a protocol buffer can, for all else that it has.
LARGE_BYTES = 2**30
#: A weight of this size stays in the file even then.
SMALL_BYTES = 2**20
#: Element types whose arrays any tool of ours can hold; others (text, 4 bits) stay in the model.
_WHOLE_BYTES = "FLOAT DOUBLE FLOAT16 BFLOAT16 INT8 INT16 INT32 INT64 UINT8 UINT16 UINT32 UINT64"
#: Operators that multiply data by their second input.
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class Parted(NamedTuple):
    """A model, and the numbers of those of its inputs that are weights.

    Attributes
    ----------
    model
        The model, its large weights among its inputs.
    apart
        Their numbers by name, read-only.
    """

    model: onnx.ModelProto
    apart: Mapping[str, Array]


def part(model: onnx.ModelProto, also: Collection[str] = ()) -> Parted:
    """Take the large weights out of a model that has more than `LARGE_BYTES` of them.

    Parameters
    ----------
    model
        The model; left as it is, and returned itself if its weights are small.
    also
        Names of weights that are taken out in any case.

    Raises
    ------
    ModelError
        The numbers of a weight do not fit its shape.
    """
    names = _large_weights(model).union(also)
    if not names:
        return Parted(model, MappingProxyType({}))
    chosen = [tensor for tensor in model.graph.initializer if tensor.name in names]
    apart = {tensor.name: array(tensor) for tensor in chosen}
    return Parted(_without(model, names), MappingProxyType(apart))


def factors(model: onnx.ModelProto) -> frozenset[str]:
    """Return the large weights by which a product with data multiplies, and nothing else reads.

    Nothing can be folded into these that our own passes do not fold, so that no other tool need
    see their numbers.
    """
    import onnx

    graph = model.graph
    known, read = _constant(graph), Counter(_readings(graph))
    found = {
        node.input[1]
        for node in graph.node
        if node.op_type in _PRODUCTS and node.domain in ("", "ai.onnx") and len(node.input) > 1
        if node.input[0] not in known and read[node.input[1]] == 1
    }
    single = onnx.TensorProto.FLOAT
    return frozenset(
        tensor.name
        for tensor in graph.initializer
        if tensor.name in found and tensor.data_type == single and nbytes(tensor) > SMALL_BYTES
    )


def _constant(graph: onnx.GraphProto) -> frozenset[str]:
    """Return the names of tensors that follow from constants, and perhaps from shapes, alone."""
    known = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Shape", "Size") or known.issuperset(filter(None, node.input)):
            known.update(node.output)
    return frozenset(known)


def _readings(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield a name for each time that a tensor is read, or handed out, in graphs inside too."""
    for node in graph.node:
        yield from node.input
        for record in node.attribute:
            for inner in (*([record.g] if record.HasField("g") else []), *record.graphs):
                yield from _readings(inner)
    for value in graph.output:
        yield value.name


def outline(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what onnx's checker may see of a model: it refuses what onnxruntime accepts.

    Parameters
    ----------
    model
        The model, which is returned itself if there is nothing to change; the amount of data of
        its weights has been compared with their shapes.

    Returns
    -------
    onnx.ModelProto
        All but small weights are inputs, for the checker would copy them, and an input or output
        without type or shape is a float number.
    """
    names = frozenset(name for name, size in _movable(model).items() if size > SMALL_BYTES)
    vague = [value.name for value in _interface(model) if _is_vague(value)]
    if not names and not vague:
        return model
    shown = _without(model, names)
    for value in _interface(shown):
        if _is_vague(value):
            kind = value.type.tensor_type
            kind.elem_type = kind.elem_type or 1
            kind.shape.SetInParent()
    return shown


def _interface(model: onnx.ModelProto) -> Iterable[onnx.ValueInfoProto]:
    return (*model.graph.input, *model.graph.output)


def _is_vague(value: onnx.ValueInfoProto) -> bool:
    """Say whether the type or the shape of a tensor is missing."""
    kind = value.type.WhichOneof("value")
    return kind is None or (kind == "tensor_type" and not value.type.tensor_type.HasField("shape"))


def skeleton(model: onnx.ModelProto) -> tuple[onnx.ModelProto, frozenset[str]]:
    """Return a copy in which all but small weights are inputs, and the names of these weights.

    Types and shapes follow from it as from the whole, and it is quick to write and read.
    """
    sizes = {tensor.name: nbytes(tensor) for tensor in model.graph.initializer}
    names = frozenset(name for name, size in sizes.items() if size > SMALL_BYTES)
    return _without(model, names), names


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model of any size, each of whose weights has less than 2 GiB."""
    import onnx

    copy = onnx.ModelProto()
    written.copy(model, copy, skip=("graph",))
    written.copy(model.graph, copy.graph, skip=("initializer",))
    for tensor in model.graph.initializer:
        copy.graph.initializer.add().CopyFrom(tensor)
    return copy


def replace_nodes(model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """Give a model in place the nodes and operator sets of another, and no functions."""
    for field in ("functions", "opset_import"):
        model.ClearField(field)
    model.opset_import.extend(other.opset_import)
    for field in ("node", "value_info"):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(getattr(other.graph, field))


def digest(model: onnx.ModelProto) -> str:
    """Return a hash of all that a model holds, of its file if its weights are small."""
    light, apart = part(model)
    found = hashlib.sha256()
    for piece in written.pieces(light):
        found.update(piece)
    for name in sorted(apart):
        found.update(apart[name].data)
    return found.hexdigest()


def array(tensor: onnx.TensorProto) -> Array:
    """Return the numbers of a constant.

    Raises
    ------
    ModelError
        They do not fit its shape.
    """
    from onnx import numpy_helper

    try:
        numbers: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"initializer '{tensor.name}' is malformed: {error}; export the model again"
        ) from error
    numbers.flags.writeable = False
    return numbers


def nbytes(tensor: onnx.TensorProto) -> int:
    """Return the size that a constant's type and shape ask for."""
    from onnx import helper

    return int(math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def large(sizes: Mapping[str, int]) -> frozenset[str]:
    """Return which constants are to stand apart; none if a file can hold them all.

    Parameters
    ----------
    sizes
        Name -> bytes.
    """
    if sum(sizes.values()) <= LARGE_BYTES:
        return frozenset()
    return frozenset(name for name, size in sizes.items() if size > SMALL_BYTES)


def _large_weights(model: onnx.ModelProto) -> frozenset[str]:
    """Return which weights of a model are to stand apart."""
    return large(_movable(model))


def _movable(model: onnx.ModelProto) -> dict[str, int]:
    """Return the sizes, bytes, of those weights of a model that can be inputs as well."""
    import onnx

    kinds = {onnx.TensorProto.DataType.Value(name) for name in _WHOLE_BYTES.split()}
    given = {value.name for value in model.graph.output}
    weights = (t for t in model.graph.initializer if t.data_type in kinds and t.name not in given)
    return {tensor.name: nbytes(tensor) for tensor in weights}


def _without(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """Return a copy of a model in which these weights are inputs."""
    import onnx
    from onnx import helper

    light = onnx.ModelProto()
    written.copy(model, light, skip=("graph",))
    written.copy(model.graph, light.graph, skip=("initializer",))
    declared = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in names:
            light.graph.initializer.append(tensor)
        elif tensor.name not in declared:
            kind, shape = tensor.data_type, list(tensor.dims)
            light.graph.input.append(helper.make_tensor_value_info(tensor.name, kind, shape))
    return light
