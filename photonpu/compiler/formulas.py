"""Counts of operators that take more than one line: attention, transforms, sampling.

Each returns elementary operations for `photonpu.compiler.operations`, which says what one is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photonpu.compiler.operations import Sizes

_SOFTMAX = 5  # operations an element: largest, difference, exponential, sum, quotient


def scores(batch: int, heads: int, queries: int, keys: int, width: int, values: int) -> int:
    """Return the operations of ``Softmax(Q K^T) V``, its scale included.

    Parameters
    ----------
    batch, heads
        Matrices of scores.
    queries, keys
        Their size.
    width, values
        Length of a head's queries and keys, and of its values.
    """
    number = batch * heads * queries * keys
    return number * (2 * width + 1 + _SOFTMAX + 2 * values)


def attention(sizes: Sizes) -> int:
    """Two operations a multiply-accumulate of scores and values, and 6 a score (scale, Softmax)."""
    query, key, value = (shape or (1, 1, 1) for shape in sizes.inputs[:3])
    past = sizes.inputs[4][-2] if len(sizes.inputs) > 4 and sizes.inputs[4] else 0
    if len(query) == 4:
        batch, matrices, queries, width = query
        return scores(batch, matrices, queries, key[-2] + past, width, value[-1])
    attributes = sizes.node.values()
    heads: int = attributes.get("q_num_heads", 1)
    groups: int = attributes.get("kv_num_heads", heads)
    batch, queries, width = query
    return scores(batch, heads, queries, key[1] + past, width // heads, value[-1] // groups)


def multi_head(sizes: Sizes) -> int:
    """Like Attention, of (batch, length, heads times width) with all inputs projected already."""
    heads: int = sizes.node.values().get("num_heads", 1)
    query = sizes.inputs[0] or (1, 1, 1)
    key = (sizes.inputs[1] if len(sizes.inputs) > 1 else ()) or query
    batch, queries = query[:2]
    keys = key[-2] if len(key) == 4 else key[1]
    hidden = sizes.outputs[0][-1] if sizes.outputs[0] else query[-1]
    return scores(batch, heads, queries, keys, hidden // heads, hidden // heads)


def linear_attention(sizes: Sizes) -> int:
    """Two operations a multiply-accumulate, to update each head's state and to read it."""
    attributes = sizes.node.values()
    heads: int = attributes.get("q_num_heads", 1)
    groups: int = attributes.get("kv_num_heads", heads)
    query, _, value = (shape or (1, 1, 1) for shape in sizes.inputs[:3])
    width, depth = query[-1] // heads, value[-1] // groups
    return 2 * math.prod(query[:-1]) * (heads + groups) * width * depth


def einsum(sizes: Sizes) -> int:
    """Two operations for every combination of indices."""
    equation: str = sizes.node.values()["equation"]
    labelled: dict[str, int] = {}
    for term, shape in zip(
        equation.replace(" ", "").split("->")[0].split(","), sizes.inputs, strict=True
    ):
        before, dots, after = term.partition("...")
        hidden = max(0, len(shape) - len(before) - len(after)) if dots else 0
        # Axes behind an ellipsis are told apart by their place from the right, as they broadcast.
        labels = [*before, *(f"...{hidden - i}" for i in range(hidden)), *after]
        for label, size in zip(labels, shape, strict=False):
            labelled[label] = max(size, labelled.get(label, 1))
    return 2 * math.prod(labelled.values())


def fourier(sizes: Sizes) -> int:
    """``5 n log2 n`` for each transform of length n: a radix-2 fast Fourier transform."""
    frames, length = 1, 1
    shape = sizes.outputs[0]
    if sizes.node.op == "STFT":
        frames, length = math.prod(shape[:-2]), shape[-2]
    elif len(shape) > 1:
        axis = sizes.node.values().get("axis", -2 if len(sizes.inputs) > 2 else 1)
        length = shape[axis]
        frames = math.prod(shape[:-1]) // max(1, length)
    return math.ceil(5 * frames * length * math.log2(max(2, length)))


def sort(sizes: Sizes) -> int:
    """``n log2 n`` comparisons of all n elements that go in."""
    return math.ceil(sizes.elements_in * math.log2(max(2, sizes.elements_in)))


def determinant(sizes: Sizes) -> int:
    """``2/3 n^3`` for each matrix: Gaussian elimination."""
    shape = sizes.inputs[0] or (1, 1)
    return math.prod(shape[:-2]) * -(-2 * shape[-1] ** 3 // 3)


def deformed(sizes: Sizes) -> int:
    """As Conv, and 8 operations for each tap that is interpolated: bilinear."""
    weight, out = sizes.inputs[1], sizes.outputs[0]
    windows = sizes.elements_out // max(1, out[1])
    taps = windows * math.prod(weight[2:]) * sizes.inputs[0][1]
    return 2 * math.prod(weight[1:]) * sizes.elements_out + 8 * taps


def local_response(sizes: Sizes) -> int:
    """Two operations for each neighbour of an element, and 6 for the power and the quotient."""
    neighbours: int = sizes.node.values().get("size", 1)
    return (2 * neighbours + 6) * sizes.elements_out


def suppression(sizes: Sizes) -> int:
    """12 operations for the overlap of each two boxes, for each class: the worst case."""
    boxes = sizes.inputs[0][-2] if len(sizes.inputs[0]) > 1 else 1
    kinds = math.prod(sizes.inputs[1][:-1]) if len(sizes.inputs) > 1 else 1
    return 12 * kinds * boxes * boxes
