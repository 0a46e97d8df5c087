"""Ways through a model that is not trusted: nothing here calls itself without a bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from photonpu.tables import printable

if TYPE_CHECKING:
    import onnx

#: Domains that stand for ONNX itself.
STANDARD = ("", "ai.onnx")
#: Characters of a model's names that an error shows.
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Scope:
    """A graph or function body, and how many graphs it is inside of."""

    body: onnx.GraphProto | onnx.FunctionProto
    depth: int


def scopes(proto: onnx.ModelProto) -> Iterator[Scope]:
    """Yield the model's graph, its functions, and every graph inside, outer before inner."""
    found = [Scope(proto.graph, 1), *(Scope(function, 1) for function in proto.functions)]
    while found:
        scope = found.pop()
        yield scope
        for node in scope.body.node:
            found += [Scope(graph, scope.depth + 1) for graph in subgraphs(node)]


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs that are attributes of a node."""
    found = []
    for record in node.attribute:
        if record.HasField("g"):
            found.append(record.g)
        found += record.graphs
    return found


def tensors(proto: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield every tensor that a model stores, wherever, with what to call it."""
    for scope in scopes(proto):
        for tensor in getattr(scope.body, "initializer", ()):
            yield f"initializer {quoted(tensor.name)}", tensor
        for sparse in getattr(scope.body, "sparse_initializer", ()):
            yield from _parts(f"sparse initializer {quoted(sparse.values.name)}", sparse)
        for node in scope.body.node:
            for record in node.attribute:
                if _holds_tensors(record):
                    yield from _attribute(where(node), record)
        for record in getattr(scope.body, "attribute_proto", ()):
            yield from _attribute(f"function {quoted(scope.body.name)}", record)


def _holds_tensors(record: onnx.AttributeProto) -> bool:
    """Say whether to look closer; names are only made for what is yielded."""
    return bool(
        record.HasField("t")
        or record.HasField("sparse_tensor")
        or record.tensors
        or record.sparse_tensors
    )


def _attribute(owner: str, record: onnx.AttributeProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    label = f"{owner}, attribute {quoted(record.name)}"
    if record.HasField("t"):
        yield label, record.t
    for tensor in record.tensors:
        yield label, tensor
    if record.HasField("sparse_tensor"):
        yield from _parts(label, record.sparse_tensor)
    for sparse in record.sparse_tensors:
        yield from _parts(label, sparse)


def _parts(label: str, sparse: onnx.SparseTensorProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    yield f"{label} (values)", sparse.values
    yield f"{label} (indices)", sparse.indices


def where(node: onnx.NodeProto) -> str:
    """Return what to call a node in an error: its name, else its first output, and its operator."""
    name = node.name or next((output for output in node.output if output), "")
    op = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return f"node {quoted(name)} ({shortened(op)})"


def quoted(name: str) -> str:
    """Return a name of the model in quotes, as `shortened` does."""
    return f"'{shortened(name)}'"


def shortened(name: str) -> str:
    """Return a name of the model so that a terminal can show it, cut if it is long."""
    cut = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    return printable(cut)


def plain(domain: str) -> str:
    """Return a domain by its one name: ONNX's own has two."""
    return "" if domain in STANDARD else domain
