"""Models for one set of matrices: inputs that a mesh would have to hold become constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from photonpu.compiler.lowerings import CONTRACTIONS, LOWERINGS
from photonpu.compiler.operations import FACTORS
from photonpu.compiler.passes.quantised import REWRITES

Feeds = Mapping[str, Any]

#: Operators that may reach the mesh, by their own lowering or rewritten to one that has it.
_PRODUCTS = frozenset({*LOWERINGS, *CONTRACTIONS, *REWRITES})


def products(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that a lowering is known for, those in subgraphs and functions included."""
    inside: list[Sequence[onnx.NodeProto]] = [model.graph.node]
    inside += [function.node for function in model.functions]
    while inside:
        for node in inside.pop():
            if _operator(node) in _PRODUCTS:
                yield node
            for record in node.attribute:
                inside += [graph.node for graph in (record.g, *record.graphs)]


def matrices_among(graph: onnx.GraphProto, feeds: Feeds) -> frozenset[str]:
    """Return which inputs are matrices (and biases) that the mesh would have to hold.

    Parameters
    ----------
    graph
        The network.
    feeds
        Its inputs.

    Returns
    -------
    frozenset of str
        Names of inputs, read as they are or transposed: weight and bias of Conv and
        ConvTranspose, of Gemm and MatMul that factor which leaves the other free to stream, all
        operands of Einsum but the first; of their quantised kin the scales and zero points too.
    """
    known = {tensor.name for tensor in graph.initializer}
    origin: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Constant":
            known.update(node.output)
        elif node.op_type in ("Identity", "Transpose"):
            origin[node.output[0]] = origin.get(node.input[0], node.input[0])
    found: set[str] = set()
    for node in graph.node:
        if _operator(node) in _PRODUCTS:
            operands = [origin.get(name, name) for name in node.input]
            held = _held(node, operands, feeds, known | found)
            found.update(name for name in held if name in feeds)
    return frozenset(found)


def _operator(node: onnx.NodeProto) -> str:
    """Return the operator of a node with its domain, if that is not ONNX's own."""
    own = node.domain in ("", "ai.onnx")
    return node.op_type if own else f"{node.domain}.{node.op_type}"


def _held(
    node: onnx.NodeProto, operands: list[str], feeds: Feeds, known: set[str]
) -> tuple[str, ...]:
    """Return those operands of a product that the mesh would hold rather than stream."""
    if node.op_type == "Einsum":
        return () if known & {*operands} or len({*operands}) < 2 else tuple(operands[1:])
    places = FACTORS.get(_operator(node), (0, 1))
    left, right = (operands[place] for place in places)
    bias = [name for place, name in enumerate(operands) if place not in places]
    if left == right or (left in known and right in known):
        return ()
    if node.op_type in ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv"):
        return () if left in known else (right, *bias)
    if left in known or right in known:
        return tuple(bias)
    if node.op_type in ("Gemm", "QGemm"):
        transposed = any(record.name == "transA" and record.i for record in node.attribute)
        return (left if transposed else right, *bias)
    two_axes = [name for name in (right, left) if np.ndim(feeds.get(name, ())) == 2]
    return (*(two_axes or [right])[:1], *bias)


def specialise(model: onnx.ModelProto, feeds: Feeds, matrices: frozenset[str]) -> onnx.ModelProto:
    """Return a copy of a model for given matrices and shapes.

    Parameters
    ----------
    model
        The model.
    feeds
        Its inputs.
    matrices
        Those of them that become constants; of all others the shapes are fixed.
    """
    special = onnx.ModelProto()
    special.CopyFrom(model)
    special.ir_version = max(model.ir_version, 4)  # older ones list constants as inputs too
    graph = special.graph
    kept = [value for value in graph.input if value.name not in matrices]
    del graph.input[:]
    graph.input.extend(kept)
    for name in sorted(matrices):
        graph.initializer.append(numpy_helper.from_array(np.asarray(feeds[name]), name))
    for value in graph.input:
        if value.name in feeds and value.type.HasField("tensor_type"):
            axes = value.type.tensor_type.shape.dim
            del axes[:]
            for size in np.shape(feeds[value.name]):
                axes.add().dim_value = size
    del graph.value_info[:]  # written for other shapes
    return special
