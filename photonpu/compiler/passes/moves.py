"""Arrays of one number a channel, taken through operators that only move numbers."""

from __future__ import annotations

import math

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node, Shape

#: Operators that keep the order of the numbers and change the axes alone.
RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
_MOST = 1 << 22  # elements that an array is written out to


def moves(node: Node) -> bool:
    """Say whether an operator hands on the numbers of its first input in another arrangement."""
    return not node.domain and (node.op == "Transpose" or node.op in RESHAPES)


def backward(graph: Graph, node: Node, value: Array) -> Array | None:
    """Return what broadcasts to the input of a moving node as `value` does to its output.

    None if that is unknown, or would be too large.
    """
    if node.op == "Transpose":
        order = _order(node, value.ndim)
        return None if order is None else value.transpose(np.argsort(order))
    return _recast(value, graph.shapes.get(node.outputs[0]), graph.shapes.get(node.inputs[0]))


def forward(graph: Graph, node: Node, value: Array) -> Array | None:
    """Return what broadcasts to the output of a moving node as `value` does to its input.

    None if that is unknown, or would be too large.
    """
    if node.op == "Transpose":
        order = _order(node, value.ndim)
        return None if order is None else value.transpose(order)
    return _recast(value, graph.shapes.get(node.inputs[0]), graph.shapes.get(node.outputs[0]))


def _order(node: Node, rank: int) -> list[int] | None:
    order: list[int] = list(node.values().get("perm", range(rank)[::-1]))
    return order if sorted(order) == list(range(rank)) else None


def _recast(value: Array, source: Shape | None, target: Shape | None) -> Array | None:
    """Reshape what broadcasts to `source` to what broadcasts to `target`."""
    if source is None or target is None or value.ndim != len(source):
        return None
    if value.size == 1:
        return value.reshape((1,) * len(target))
    source, target = _batches(source, target)
    same = _equal(source[::-1], target[::-1])
    outer = len(source) - same
    if math.prod(value.shape[:outer]) == 1:
        return value.reshape((1,) * (len(target) - same) + value.shape[outer:])
    same = _equal(source, target)
    inner, wanted = _sizes(source[same:]), _sizes(target[same:])
    if inner is None or wanted is None or math.prod(inner) != math.prod(wanted):
        return None
    if math.prod(value.shape[:same]) * math.prod(inner) > _MOST:
        return None
    whole = np.broadcast_to(value, (*value.shape[:same], *inner))
    return whole.reshape(*value.shape[:same], *wanted)


def _batches(source: Shape, target: Shape) -> tuple[Shape, Shape]:
    """Give two free first axes one name if all else has as many elements: then they agree."""
    inner, wanted = _sizes(source[1:]), _sizes(target[1:])
    free = all(shape and isinstance(shape[0], str) for shape in (source, target))
    if not free or inner is None or wanted is None or math.prod(inner) != math.prod(wanted):
        return source, target
    return ("batch", *inner), ("batch", *wanted)


def _equal(one: Shape, other: Shape) -> int:
    """Return how many axes agree from the first on."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b or a == "?":
            break
        count += 1
    return count


def _sizes(shape: Shape) -> tuple[int, ...] | None:
    """Return the sizes of axes none of which is free."""
    sizes = tuple(size for size in shape if isinstance(size, int))
    return sizes if len(sizes) == len(shape) else None
