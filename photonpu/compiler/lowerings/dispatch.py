"""The one way in: a node to its matrix product, or to the reason why it stays digital."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from photonpu.compiler.graph import Graph, Node
from photonpu.compiler.lowerings.contraction import CONTRACTIONS
from photonpu.compiler.lowerings.products import (
    LOWERINGS,
    MatrixProduct,
    Operand,
    StaysDigital,
)
from photonpu.errors import ModelError

#: The oldest operator set in which an operator has today's attributes; the first for the others.
OLDEST_OPSETS = {"Gemm": 7}


def lower(
    node: Node, graph: Graph, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> MatrixProduct | str:
    """Bring a node to a matrix product if that can be.

    Parameters
    ----------
    node
        One of the graph's nodes.
    graph
        Holds the constants.
    shapes
        Measured shapes by tensor name. Only automatic and derived padding and products with
        constants on the left need them; what follows from them holds for these sizes alone.

    Returns
    -------
    MatrixProduct or str
        The product, or in a few words why the node stays digital.

    Raises
    ------
    ModelError
        A weight or bias on its way to the mesh is not finite, or its shape contradicts the
        node's attributes.
    """
    if node.domain or node.op not in LOWERINGS:
        return _why_not(node, graph)
    oldest = OLDEST_OPSETS.get(node.op, 1)
    if graph.opset.get("", oldest) < oldest:
        return f"operator set {graph.opset['']} is older than {oldest}"
    known = shapes or {}
    operands = [
        Operand(name, graph.constants.get(name), _shape(name, graph, known)) if name else None
        for name in node.inputs
    ]
    try:
        product = LOWERINGS[node.op](*operands, **node.values())
    except StaysDigital as why:
        return str(why)
    except (ValueError, ArithmeticError) as error:
        raise ModelError(
            f"node '{node.name}' ({node.op}): its attributes and the shapes of its constants do "
            f"not fit together ({error}); export the model again"
        ) from error
    _check_finite(node, graph)
    if any(0 in weight.shape for weight in product.weights):
        return "its matrix has no rows or no columns"
    return product


def _why_not(node: Node, graph: Graph) -> str:
    """Say why an operator without a lowering is no product; a pass may yet write it as one."""
    if node.op in CONTRACTIONS and not node.domain:
        try:
            CONTRACTIONS[node.op](node, graph)
        except StaysDigital as why:
            return str(why)
    return f"{node.op} is not a product with a constant matrix"


def _shape(
    name: str, graph: Graph, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[int | None, ...] | None:
    if name in graph.constants:
        return graph.constants[name].shape
    shape = shapes.get(name, graph.shapes.get(name))
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) else None for size in shape)


def _check_finite(node: Node, graph: Graph) -> None:
    for name in node.inputs:
        if name not in graph.constants:
            continue
        values = graph.constants[name]
        finite = np.isfinite(values)
        if not finite.all():
            first = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ModelError(
                f"node '{node.name}' ({node.op}): its constant '{name}' holds {values[first]} at "
                f"index {first} and light is finite; export the model again"
            )
