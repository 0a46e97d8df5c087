"""Products over axes that have names: Einsum, and MatMul with a vector or a stack of matrices.

With one factor constant an axis has one of five parts, by who has it: data and output (free),
weight and output (fan), both and output (group), both alone (contracted), data alone (summed).
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from photonpu.compiler.graph import Array, Graph, Node
from photonpu.compiler.lowerings.products import Floats, StaysDigital
from photonpu.registry import Registry


@dataclass(frozen=True, slots=True)
class Factor:
    """A constant and the names of its axes."""

    value: Array
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contraction:
    """``output = sum over what it lacks of data * weight``, each axis by its name.

    Attributes
    ----------
    data
        Name of the tensor that is no constant.
    axes, sizes
        Names of its axes, and their sizes; a ``str`` is a free one.
    weight
        Its axes are `groups`, then `fan`, then `contracted`.
    groups, fan, contracted
        Names of axes: of data, weight and output; of weight and output; of data and weight.
    output
        Names of the output's axes in their order.
    """

    data: str
    axes: tuple[str, ...]
    sizes: Mapping[str, int | str]
    weight: Floats
    groups: tuple[str, ...]
    fan: tuple[str, ...]
    contracted: tuple[str, ...]
    output: tuple[str, ...]

    def size(self, axes: Sequence[str]) -> int:
        """Return how many elements some axes of the weight have."""
        names = (*self.groups, *self.fan, *self.contracted)
        return math.prod(self.weight.shape[names.index(axis)] for axis in axes)


#: Operator -> what it is as a contraction; it raises `StaysDigital` where it is none.
CONTRACTIONS: Registry[Callable[[Node, Graph], Contraction]] = Registry("contraction")


@CONTRACTIONS.register("Einsum")
def einsum(node: Node, graph: Graph) -> Contraction:
    """Sum over named axes, all operands but one constant: transposed and reshaped to a MatMul."""
    data = _the_data(node.inputs, graph)
    ranks = [len(shape_of(name, graph)) for name in node.inputs]
    terms, output = axes_of(node.values()["equation"], ranks)
    named = dict(enumerate(terms))
    place = node.inputs.index(data)
    axes = named.pop(place)
    factors = [Factor(weight_of(node.inputs[i], graph), named[i]) for i in named]
    factor = factors[0] if len(factors) == 1 else _joined(factors, {*axes, *output})
    return contraction(data, axes, factor, output, graph)


@CONTRACTIONS.register("MatMul")
def matmul(node: Node, graph: Graph) -> Contraction:
    """Multiply by a constant matrix, vector or stack of matrices, which leading axes choose."""
    data = _the_data(node.inputs, graph)
    left, right = (len(shape_of(name, graph)) for name in node.inputs)
    batch = max(left, right, 2) - 2
    names = tuple(string.ascii_lowercase[:batch])
    first = (*names[batch - max(left - 2, 0) :], *("M", "K")[-left:])
    second = (*names[batch - max(right - 2, 0) :], *("K", "N")[:right])
    output = (*names, *("M",) * (left > 1), *("N",) * (right > 1))
    if data == node.inputs[0]:
        return contraction(
            data, first, Factor(weight_of(node.inputs[1], graph), second), output, graph
        )
    return contraction(data, second, Factor(weight_of(node.inputs[0], graph), first), output, graph)


def _the_data(names: Sequence[str], graph: Graph) -> str:
    """Return the one operand that is no constant."""
    at_run_time = [name for name in names if name not in graph.constants]
    if len(at_run_time) > 1:
        first, second, *_ = at_run_time
        raise StaysDigital(f"its factors '{first}' and '{second}' are both computed at run time")
    if not at_run_time or len(names) < 2:
        raise StaysDigital("it has no factor that is constant beside one that is not")
    return at_run_time[0]


def shape_of(name: str, graph: Graph) -> tuple[int | str, ...]:
    """Return the shape of a tensor.

    Raises
    ------
    StaysDigital
        The number of its axes is unknown.
    """
    shape = graph.constants[name].shape if name in graph.constants else graph.shapes.get(name)
    if shape is None:
        raise StaysDigital(f"the number of axes of its data '{name}' is unknown")
    return tuple(shape)


def weight_of(name: str, graph: Graph) -> Floats:
    """Return a constant.

    Raises
    ------
    StaysDigital
        It is no float32, or empty.
    """
    value = graph.constants[name]
    if value.dtype != np.float32:
        raise StaysDigital(f"its weight '{name}' is {value.dtype} and the mesh takes float32")
    if not value.size:
        raise StaysDigital(f"its weight '{name}' is empty")
    return value


def axes_of(equation: str, ranks: Sequence[int]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Read an equation of Einsum.

    Parameters
    ----------
    equation
        ``"ij,jk->ik"``; an ellipsis stands for axes that have no letters.
    ranks
        Number of axes of each operand.

    Returns
    -------
    list of tuple of str, tuple of str
        Names of the axes of each operand, and of the output; axes in an ellipsis are numbers,
        the last one 0.

    Raises
    ------
    StaysDigital
        The equation does not fit the operands.
    """
    terms, arrow, result = equation.replace(" ", "").partition("->")
    written = terms.split(",")
    if len(written) != len(ranks):
        raise StaysDigital(f"its equation '{equation}' is not for {len(ranks)} operands")
    hidden = [
        rank - len(term.replace("...", "")) if "..." in term else 0
        for term, rank in zip(written, ranks, strict=True)
    ]
    named = [_spelt(term, count) for term, count in zip(written, hidden, strict=True)]
    if any(n < 0 for n in hidden) or [*map(len, named)] != list(ranks):
        raise StaysDigital(f"its equation '{equation}' does not fit its operands")
    if arrow:
        output = _spelt(result, max(hidden))
        if not set(output) <= {axis for term in named for axis in term}:
            raise StaysDigital(f"its equation '{equation}' gives an axis that no operand has")
        return named, output
    counts = Counter(axis for term in named for axis in term if axis.isalpha())
    once = sorted(axis for axis, count in counts.items() if count == 1)
    return named, (*_spelt("...", max(hidden)), *once)


def _spelt(term: str, hidden: int) -> tuple[str, ...]:
    """Return the axes of one term, the hidden ones numbered downwards."""
    before, dots, after = term.partition("...")
    return (*before, *(str(n) for n in reversed(range(hidden)) if dots), *after)


def contraction(
    data: str, axes: tuple[str, ...], factor: Factor, output: tuple[str, ...], graph: Graph
) -> Contraction:
    """Sort the axes of a product by what they are.

    Raises
    ------
    StaysDigital
        It is none that a constant matrix can do.
    """
    if len(set(axes)) != len(axes):
        raise StaysDigital(f"it reads the diagonal of its data '{data}'")
    shape = shape_of(data, graph)
    if 0 in shape:
        raise StaysDigital(f"its data '{data}' are empty")
    sizes = dict(zip(axes, shape, strict=True))
    factor = _summed(factor, {*axes, *output})
    factor = _narrowed(factor, sizes)
    widened = {axis for axis in factor.axes if sizes.get(axis) == 1 != _size(factor, axis)}
    axes = tuple(f"1{axis}" if axis in widened else axis for axis in axes)
    sizes = dict(zip(axes, shape, strict=True))
    shared = [axis for axis in axes if axis in factor.axes]
    for axis in shared:
        if sizes[axis] != _size(factor, axis):
            raise StaysDigital(f"its data '{data}' of shape {shape} do not fit its weight")
    groups = tuple(axis for axis in shared if axis in output)
    contracted = tuple(axis for axis in shared if axis not in output)
    fan = tuple(axis for axis in factor.axes if axis not in shared)
    if not contracted:
        raise StaysDigital("it sums over no axis that its data share with its weight")
    order = [factor.axes.index(axis) for axis in (*groups, *fan, *contracted)]
    weight = factor.value.transpose(order)
    return Contraction(data, axes, sizes, weight, groups, fan, contracted, output)


def _size(factor: Factor, axis: str) -> int:
    return int(factor.value.shape[factor.axes.index(axis)])


def _narrowed(factor: Factor, sizes: Mapping[str, int | str]) -> Factor:
    """Drop axes of size 1 that the data have too."""
    kept = [
        index
        for index, axis in enumerate(factor.axes)
        if factor.value.shape[index] != 1 or axis not in sizes or sizes[axis] == 1
    ]
    shape = tuple(factor.value.shape[index] for index in kept)
    return Factor(factor.value.reshape(shape), tuple(factor.axes[index] for index in kept))


def _summed(factor: Factor, kept: set[str]) -> Factor:
    """Read the diagonal of a constant where an axis repeats, and sum over axes that end there."""
    axes = tuple(dict.fromkeys(axis for axis in factor.axes if axis in kept))
    if axes == factor.axes:
        return factor
    return _joined([factor], set(axes))


def _joined(factors: Sequence[Factor], kept: set[str]) -> Factor:
    """Contract constants with one another, up to the axes that someone else has too."""
    names = {axis: index for index, axis in enumerate(dict.fromkeys(_all_axes(factors)))}
    axes = tuple(axis for axis in names if axis in kept)
    sizes = {axis: _size(factor, axis) for factor in factors for axis in factor.axes}
    for factor in factors:
        for axis in factor.axes:
            sizes[axis] = max(sizes[axis], _size(factor, axis))
    if math.prod(sizes[axis] for axis in axes) > sum(factor.value.size for factor in factors):
        raise StaysDigital("its constants are smaller one by one than multiplied with one another")
    operands: list[object] = []
    for factor in factors:
        operands += [factor.value.astype(np.float64), [names[axis] for axis in factor.axes]]
    value = np.einsum(*operands, [names[axis] for axis in axes], optimize=True)  # type: ignore[call-overload]
    return Factor(np.asarray(value, np.float32), axes)


def _all_axes(factors: Sequence[Factor]) -> Iterator[str]:
    for factor in factors:
        yield from factor.axes
