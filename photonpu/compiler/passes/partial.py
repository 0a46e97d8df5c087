"""Operators on small arrays of which some numbers are unknown.

Each function has its operator's signature in the ONNX specification and takes arrays of objects:
Python's numbers, the name of a free axis for its size, or None for what else is unknown.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from photonpu.compiler.graph import Array

Evaluation = Callable[..., Array]


def is_known(number: Any) -> bool:
    """Say whether a cell holds a number."""
    return number is not None and not isinstance(number, str)


def _each(function: Callable[..., Any], count: int) -> Evaluation:
    """Return a function of arrays that is unknown where one of its numbers is."""

    def known(*numbers: Any) -> Any:
        return function(*numbers) if all(map(is_known, numbers)) else None

    ufunc = np.frompyfunc(known, count, 1)

    def evaluate(*arrays: Array, **_: Any) -> Array:
        return np.asarray(ufunc(*arrays), object)

    return evaluate


def _folded(function: Callable[[Any, Any], Any]) -> Evaluation:
    """Return a function of any number of arrays."""
    pair = _each(function, 2)

    def evaluate(first: Array, *others: Array) -> Array:
        for other in others:
            first = pair(first, other)
        return first

    return evaluate


def _div(a: Any, b: Any) -> Any:
    """Divide; integers are cut off towards zero."""
    whole = isinstance(a, int) and isinstance(b, int)
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if whole else a / b


def _mod(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """Return the remainder, with the divisor's sign or, by `fmod`, the dividend's."""
    return _each(math.fmod if fmod else operator.mod, 2)(a, b)


def _cast(x: Array, *, to: int, **_: Any) -> Array:
    """Cut fractions off for integers."""
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = tensor_dtype_to_np_dtype(to).kind
    return _each({"f": float, "b": bool}.get(kind, int), 1)(x)


def _gather(data: Array, indices: Array, *, axis: int = 0) -> Array:
    return np.take(data, indices.astype(np.int64), axis)


def _concat(*arrays: Array, axis: int) -> Array:
    return np.concatenate(arrays, axis)


def _unsqueeze(data: Array, given: Array | None = None, *, axes: list[int] | None = None) -> Array:
    return np.expand_dims(data, tuple(axes if given is None else given))  # type: ignore[arg-type]


def _squeeze(data: Array, given: Array | None = None, *, axes: list[int] | None = None) -> Array:
    found = axes if given is None else given
    return np.squeeze(data, None if found is None else tuple(found))


def _reshape(data: Array, shape: Array, *, allowzero: int = 0) -> Array:
    keep = not allowzero
    return data.reshape([data.shape[i] if keep and n == 0 else n for i, n in enumerate(shape)])


def _transpose(data: Array, *, perm: list[int] | None = None) -> Array:
    return data.transpose(perm)


def _slice(
    data: Array,
    first: Array | None = None,
    last: Array | None = None,
    along: Array | None = None,
    by: Array | None = None,
    *,
    starts: list[int] | None = None,
    ends: list[int] | None = None,
    axes: list[int] | None = None,
) -> Array:
    begin, end = (starts, ends) if first is None else (first, last)
    over = axes if along is None else along
    steps = [1] * len(begin) if by is None else by  # type: ignore[arg-type]
    chosen = [slice(None)] * data.ndim
    for axis, a, b, step in zip(
        range(len(steps)) if over is None else over,
        begin,  # type: ignore[arg-type]
        end,  # type: ignore[arg-type]
        steps,
        strict=True,
    ):
        size = data.shape[axis]
        stop = None if step < 0 and b < -size else b
        chosen[axis] = slice(a, stop, step)
    return data[tuple(chosen)]


def _constant_of_shape(shape: Array, *, value: Any = None) -> Array:
    from onnx import numpy_helper

    if math.prod(shape) > 1 << 10:
        raise ValueError("too large to be a shape")
    fill = 0.0 if value is None else numpy_helper.to_array(value).item()
    return np.full([int(size) for size in shape], fill, object)


def _where(condition: Array, x: Array, y: Array) -> Array:
    return _each(lambda c, pair: pair[0 if c else 1], 2)(condition, _pairs(x, y))


def _pairs(x: Array, y: Array) -> Array:
    pair = np.frompyfunc(lambda a, b: (a, b), 2, 1)
    return np.asarray(pair(x, y), object)


def _identity(x: Array) -> Array:
    return x


#: Operator -> what it does to known and unknown numbers.
EVALUATE: Mapping[str, Evaluation] = MappingProxyType(
    {
        "Abs": _each(abs, 1),
        "Add": _each(operator.add, 2),
        "Cast": _cast,
        "Ceil": _each(math.ceil, 1),
        "Concat": _concat,
        "ConstantOfShape": _constant_of_shape,
        "Div": _each(_div, 2),
        "Equal": _each(operator.eq, 2),
        "Floor": _each(math.floor, 1),
        "Gather": _gather,
        "Identity": _identity,
        "Max": _folded(max),
        "Min": _folded(min),
        "Mod": _mod,
        "Mul": _each(operator.mul, 2),
        "Neg": _each(operator.neg, 1),
        "Reshape": _reshape,
        "Slice": _slice,
        "Squeeze": _squeeze,
        "Sub": _each(operator.sub, 2),
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
        "Where": _where,
    }
)
