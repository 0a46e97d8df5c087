"""What a lowering takes and gives, their table, and the one way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photonpu.compiler.graph import Graph, Node
from photonpu.errors import ModelError
from photonpu.program.geometry import Geometry
from photonpu.registry import Registry

Floats = NDArray[np.float32]

#: The oldest operator set in which an operator has today's attributes; the first for the others.
OLDEST_OPSETS = {"Gemm": 7}


@dataclass(frozen=True, slots=True)
class Operand:
    """An input of an operator as its lowering sees it.

    Attributes
    ----------
    name
        Name of the tensor.
    value
        Its numbers if it is a constant, else None.
    shape
        Its shape if the number of its axes is known, else None; None for an axis that is free.
    """

    name: str
    value: NDArray[Any] | None
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """A product with constant matrices, all that the mesh needs to know of an operator.

    Attributes
    ----------
    input
        Name of the tensor that streams through the matrices.
    geometry
        How it turns into vectors, and the results into the output.
    weights
        For each stream (groups, rows / groups, columns / groups).
    bias
        (out_channels,) or None.
    """

    input: str
    geometry: Geometry
    weights: tuple[Floats, ...]
    bias: Floats | None


class StaysDigital(Exception):  # noqa: N818 - the outcome of a lowering, not an error
    """A lowering found that the mesh can't take an operator; `lower` hands the reason on."""


#: A function whose signature is the operator's in the ONNX specification. It returns the product
#: or raises `StaysDigital`.
Lowering = Callable[..., MatrixProduct]
LOWERINGS: Registry[Lowering] = Registry("lowering")


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
        return f"{node.op} is not a product with a constant matrix"
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
    return product


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
        wrong = ~np.isfinite(values)
        if wrong.any():
            first = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ModelError(
                f"node '{node.name}' ({node.op}): its constant '{name}' holds {values[first]} at "
                f"index {first} and light is finite; export the model again"
            )


def constant_on_left(a: Operand, b: Operand) -> bool:
    """Say whether the constant of two factors is the left one.

    Raises
    ------
    StaysDigital
        Neither is constant.
    """
    if a.value is None and b.value is None:
        raise StaysDigital(f"its factors '{a.name}' and '{b.name}' are both computed at run time")
    return b.value is None


def constant(role: str, operand: Operand) -> Floats:
    """Return the numbers of an operand that goes to the mesh.

    Parameters
    ----------
    role
        What the operand is to its operator: ``"weight"``.
    operand
        The operand.

    Raises
    ------
    StaysDigital
        They are not known beforehand, or are no float32.
    """
    if operand.value is None:
        raise StaysDigital(f"its {role} '{operand.name}' is computed at run time")
    if operand.value.dtype != np.float32:
        raise StaysDigital(
            f"its {role} '{operand.name}' is {operand.value.dtype} and the mesh takes float32"
        )
    return operand.value


def spatial_size(role: str, operand: Operand) -> tuple[int, ...]:
    """Return the sizes of the axes of `operand` after batch and channels.

    Parameters
    ----------
    role
        What needs them: ``"auto_pad"``.
    operand
        The operand.

    Raises
    ------
    StaysDigital
        One of them is unknown.
    """
    sizes = tuple(size for size in (operand.shape or ())[2:] if size is not None)
    if operand.shape is None or len(sizes) != len(operand.shape) - 2:
        raise StaysDigital(f"its {role} depends on the shape of '{operand.name}', which is free")
    return sizes
