"""Contractions with constants become a MatMul or a Conv, with data moved before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence

from photonpu.compiler.graph import Graph, Node, Shape
from photonpu.compiler.lowerings.contraction import CONTRACTIONS, Contraction
from photonpu.compiler.lowerings.products import StaysDigital
from photonpu.compiler.passes.replacement import (
    Replacement,
    opset,
    reshaped,
    rewrite,
    transposed,
)

_MOST_TERMS = 2  # factors of a MatMul; a third is a bias that `fold_affine` gave it


def reduce_contractions(graph: Graph) -> Graph:
    """Write Einsum, and MatMul with a vector or a stack of matrices, as products with a matrix.

    Where no axis chooses among matrices this is a MatMul over the data's last axis; where one
    does, or the axis lies further inside, a Conv of one tap, one group a matrix. Transpose and
    Reshape around it move numbers and compute nothing.
    """
    return rewrite(graph, _change)


def _change(graph: Graph, node: Node) -> Replacement | None:
    if node.domain or node.op not in CONTRACTIONS or _is_plain(graph, node):
        return None
    try:
        found = CONTRACTIONS[node.op](node, graph)
        new = Replacement(graph, node)
        data, axes = _summed(new, found)
        shape = tuple(found.sizes[axis] for axis in axes)
        _written(new, found, data, axes, shape)
    except StaysDigital:
        return None
    return new


def _is_plain(graph: Graph, node: Node) -> bool:
    """Say whether a node is a MatMul that lowers as it is."""
    constants = [graph.constants[name] for name in node.inputs if name in graph.constants]
    return node.op == "MatMul" and (
        len(node.inputs) > _MOST_TERMS or all(value.ndim == _MOST_TERMS for value in constants)
    )


def _summed(new: Replacement, found: Contraction) -> tuple[str, tuple[str, ...]]:
    """Sum the data over axes that neither the weight nor the output has; size 1 needs no sum."""
    needed = {*found.groups, *found.contracted, *found.output}
    lost = [i for i, axis in enumerate(found.axes) if axis not in needed]
    if all(found.sizes[found.axes[i]] == 1 for i in lost):
        return found.data, found.axes
    import numpy as np

    kept = tuple(axis for axis in found.axes if axis in needed)
    shape = tuple(found.sizes[axis] for axis in kept)
    if opset(new.graph) < 13:
        given = {"axes": lost}
        return new.apply("ReduceSum", [found.data], shape, label="sum", keepdims=0, **given), kept
    axes = new.constant("sum/axes", np.array(lost, np.int64))
    return new.apply("ReduceSum", [found.data, axes], shape, label="sum", keepdims=0), kept


def _written(
    new: Replacement, found: Contraction, data: str, axes: tuple[str, ...], shape: Shape
) -> None:
    """Write the product: data moved, multiplied, and the result moved."""
    inner = {*found.groups, *found.contracted}
    first = min(axes.index(axis) for axis in inner)
    free = [axis for axis in axes if axis not in inner]
    before = [axis for axis in free if axes.index(axis) < first]
    after = [axis for axis in free if axes.index(axis) > first]
    if not found.groups and not _in_channels(found, axes, before, after):
        before, after = free, []
    order = [*before, *found.groups, *found.contracted, *after]
    shape = tuple(shape[axes.index(axis)] for axis in order)
    data = transposed(new, data, _as_was(found, axes), [axes.index(a) for a in order], "before")
    outer, inside = _kept(before, found), _kept(after, found)
    product = _matmul if not (found.groups or inside) else _conv
    data, flat = product(new, found, data, shape, (outer, inside))
    result = [*outer, *found.groups, *found.fan, *inside]
    target = (
        *(found.sizes[axis] for axis in outer),
        *(found.size([axis]) for axis in (*found.groups, *found.fan)),
        *(found.sizes[axis] for axis in inside),
    )
    if sum(isinstance(size, str) for size in target) > 1:
        raise StaysDigital("two of its axes are free")
    data = reshaped(new, data, flat, target, "unfold")
    transposed(new, data, target, [result.index(axis) for axis in found.output], "after")


def _as_was(found: Contraction, axes: Sequence[str]) -> Shape:
    return tuple(found.sizes[axis] for axis in axes)


def _kept(axes: Sequence[str], found: Contraction) -> list[str]:
    """Return those of some axes that the output has; the others are of size 1."""
    return [axis for axis in axes if axis in found.output]


def _in_channels(
    found: Contraction, axes: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> bool:
    """Say whether nothing needs to move if the contracted axes are taken for channels."""
    outer, inside = _kept(before, found), _kept(after, found)
    return (
        bool(inside)
        and tuple(axes) == (*before, *found.contracted, *after)
        and found.output == (*outer, *found.fan, *inside)
    )


def _matmul(
    new: Replacement,
    found: Contraction,
    data: str,
    shape: Shape,
    free: tuple[list[str], list[str]],
) -> tuple[str, Shape]:
    """Multiply over the last axis."""
    rows, columns = found.size(found.fan), found.size(found.contracted)
    outer = tuple(found.sizes[axis] for axis in free[0])
    data = reshaped(new, data, shape, (*outer, columns), "fold")
    weight = new.constant("weight", found.weight.reshape(rows, columns).T)
    flat = (*outer, rows)
    return new.apply("MatMul", [data, weight], flat), flat


def _conv(
    new: Replacement,
    found: Contraction,
    data: str,
    shape: Shape,
    free: tuple[list[str], list[str]],
) -> tuple[str, Shape]:
    """Multiply groups of channels, each by a matrix of its own."""
    groups, rows, columns = map(found.size, (found.groups, found.fan, found.contracted))
    outer, inside = (_product([found.sizes[axis] for axis in axes]) for axes in free)
    if isinstance(outer, str) and isinstance(inside, str):
        raise StaysDigital("two of its axes are free")
    data = reshaped(new, data, shape, (outer, groups * columns, inside), "fold")
    weight = new.constant("weight", found.weight.reshape(groups * rows, columns, 1))
    flat: Shape = (outer, groups * rows, inside)
    return new.apply("Conv", [data, weight], flat, group=groups), flat


def _product(sizes: Sequence[int | str]) -> int | str:
    """Multiply sizes of axes, of which any may be free."""
    free = [size for size in sizes if isinstance(size, str)]
    known = math.prod(size for size in sizes if isinstance(size, int))
    if not free:
        return known
    return "*".join(free if known == 1 else [*free, str(known)])
